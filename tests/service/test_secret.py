"""The service's secret key."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vonal.config import Settings, SettingsError
from vonal.store.secret import load_secrets


def test_a_secret_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    made = load_secrets(settings)
    assert len(made) == 1
    assert len(made[0]) >= 32
    assert load_secrets(settings) == made
    assert (tmp_path / "data" / "secret.key").stat().st_mode & 0o777 == 0o600
    assert [one.name for one in (tmp_path / "data").iterdir()] == ["secret.key"]


def test_two_that_start_at_once_get_the_same_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: load_secrets(Settings(data_dir=tmp_path)), range(16)))
    assert len(set(made)) == 1


def test_the_setting_wins_and_may_hold_several_the_newest_last(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, secret_key="the-older-secret-1, the-newer-secret-2")
    assert load_secrets(settings) == (b"the-older-secret-1", b"the-newer-secret-2")
    assert not (tmp_path / "secret.key").exists()


@pytest.mark.parametrize("content", ["", "\n \n", "short\n"])
def test_a_damaged_file_is_never_replaced_but_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "secret.key"
    path.write_text(content)
    with pytest.raises(SettingsError, match=r"secret\.key"):
        load_secrets(Settings(data_dir=tmp_path))
    assert path.read_text() == content
    with pytest.raises(SettingsError, match="VONAL_SECRET_KEY"):
        load_secrets(Settings(data_dir=tmp_path, secret_key="short"))
