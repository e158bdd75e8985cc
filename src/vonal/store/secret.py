"""The service's secrets: VONAL_SECRET_KEY, or `secret.key` in the data folder, made at the first start."""

import os
import secrets
from pathlib import Path

from vonal.config import Settings, SettingsError

_SHORTEST = 16


def load_secrets(settings: Settings) -> tuple[bytes, ...]:
    """The secrets, oldest first: the last one protects what is new, the earlier ones still open what is old.

    VONAL_SECRET_KEY separates them by commas, `secret.key` (mode 0600) has one a line. To change the secret, append.
    Raises SettingsError when one is too short, or the file is empty: a new one would lock out all that is old.
    """
    if settings.secret_key:
        return _checked(settings.secret_key.split(","), "VONAL_SECRET_KEY")
    path = settings.data_dir / "secret.key"
    if not path.exists():
        _make(path)
    return _checked(path.read_text(encoding="utf-8").splitlines(), str(path))


def _checked(texts: list[str], where: str) -> tuple[bytes, ...]:
    found = [text.strip().encode() for text in texts if text.strip()]
    if not found or any(len(one) < _SHORTEST for one in found):
        raise SettingsError(f"{where}: expected secrets of at least {_SHORTEST} characters, the newest one last")
    return tuple(found)


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(secrets.token_urlsafe(48) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # unlike a rename, it never replaces the one that another process made meanwhile
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
