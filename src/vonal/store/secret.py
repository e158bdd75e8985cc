"""The service's secrets: VONAL_SECRET_KEY, or `secret.key` in the data folder, made at the first start."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vonal.config import Settings, SettingsError
from vonal.files import sync_folder

_SHORTEST = 16
_MOST = 255  # as many as recording ids can tell apart (`vonal.calls.reference`)


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


def append_secret(settings: Settings) -> None:
    """Makes a new secret, and writes it into `secret.key` as the newest one; it is on disk when this returns.

    Two at once append one after the other. Raises SettingsError when VONAL_SECRET_KEY takes the file's place, when the
    file is damaged, or when it holds 255 secrets, the most there may be.
    """
    if settings.secret_key:
        raise SettingsError(
            "The secrets stand in VONAL_SECRET_KEY, which only you can change: append a comma and a new one there "
            "(`openssl rand -hex 32` makes one), and restart every process of the service: it seals all rows anew then."
        )
    path = settings.data_dir / "secret.key"
    load_secrets(settings)
    with _locked(path.parent):
        old = path.read_text(encoding="utf-8").rstrip("\n")
        if len(_checked(old.splitlines(), str(path))) >= _MOST:
            raise SettingsError(f"{path}: there are {_MOST} secrets, the most there may be")
        draft = _draft(path, f"{old}\n{_new()}")
        draft.replace(path)  # whoever reads sees the old file or the new one
        sync_folder(path.parent)


def _checked(texts: list[str], where: str) -> tuple[bytes, ...]:
    found = [text.strip().encode() for text in texts if text.strip()]
    if not found or any(len(one) < _SHORTEST for one in found):
        raise SettingsError(f"{where}: expected secrets of at least {_SHORTEST} characters, the newest one last")
    return tuple(found)


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(path, _new())
    try:
        os.link(draft, path)  # unlike a rename, it never replaces the one that another process made meanwhile
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    sync_folder(path.parent)


def _new() -> str:
    return secrets.token_urlsafe(48) + "\n"


def _draft(path: Path, content: str) -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return draft


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
