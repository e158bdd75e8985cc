"""Getting the embedded Asterisk, with stand-ins for apt-get and dpkg-deb: what is fetched, kept, proved and said."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vonal.domain.errors import EngineUnavailable
from vonal.telephony import binary, engine_install
from vonal.telephony.binary import ESSENTIAL, locate, version_of
from vonal.telephony.engine_install import Package, Progress, apt_conf, damaged, install, mirrors, packages_of
from vonal.telephony.modules import MODULES, loadable

DEB = b"a package"
DIGEST = hashlib.sha256(DEB).hexdigest()
LIBRARIES = "usr/lib/any-linux-gnu"

# What the real tools do, in little. APT_TEST holds what apt's mirror has, and a log of the calls.
APT_GET = f"""#!/bin/sh
echo "$@" >> "$APT_TEST/calls"
case "$*" in
*indextargets*) cat "$APT_TEST/targets" ;;
*update*) [ ! -e "$APT_TEST/fault" ] || {{ cat "$APT_TEST/fault" >&2; exit 100; }} ;;
*--print-uris*) echo "'http://a/x.deb' x.deb {len(DEB)} SHA256:{DIGEST}" ;;
*--download-only*)
    [ ! -e "$APT_TEST/cut" ] || {{ echo "E: Connection failed" >&2; exit 100; }}
    folder=$(dirname "$APT_CONFIG")/archives
    [ -e "$folder/x.deb" ] || cp "$APT_TEST/x.deb" "$folder/" ;;
esac
"""
DPKG_DEB = f"""#!/bin/sh
mkdir -p "$3/{LIBRARIES}/asterisk/modules" "$3/usr/sbin" "$3/usr/share/asterisk/sounds/en_US_voice"
touch "$3/usr/sbin/asterisk"
for name in {" ".join(ESSENTIAL)}; do echo code > "$3/{LIBRARIES}/asterisk/modules/$name"; done
printf '#!/bin/sh\\necho Asterisk 22.1.0' > "$3/{LIBRARIES}/ld-linux-any.so.2"
chmod +x "$3/{LIBRARIES}/ld-linux-any.so.2"
"""
APT_CONFIG_TOOL = """#!/bin/sh
echo 'Acquire::http::Proxy "http://proxy.example:3128";'
echo 'DPkg::Post-Invoke:: "rm -rf /important";'
"""


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that plays the Debian mirror of the stand-in apt-get, which is the only one on PATH."""
    folder, tools = tmp_path / "mirror", tmp_path / "tools"
    folder.mkdir()
    tools.mkdir()
    (folder / "x.deb").write_bytes(DEB)
    (folder / "targets").write_text("http://mirror.example/debian/\tstable\tDebian\n")
    for name, text in {"apt-get": APT_GET, "dpkg-deb": DPKG_DEB, "apt-config": APT_CONFIG_TOOL}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setenv("APT_TEST", str(folder))
    monkeypatch.setattr(engine_install, "_keyring", lambda: Path("/keyring.gpg"))
    return folder


def downloads(mirror: Path) -> int:
    return (mirror / "calls").read_text().count("--download-only")


def test_an_install_makes_a_tree_with_a_manifest_and_leaves_no_downloads(mirror: Path, tmp_path: Path):
    seen: list[Progress] = []
    found = install(tmp_path / "engine", progress=seen.append)

    assert found.version == "22.1.0"
    assert damaged(tmp_path / "engine" / "tree") == []
    assert sorted(path.name for path in (tmp_path / "engine").iterdir()) == ["lock", "tree"]
    assert [*dict.fromkeys(one.stage for one in seen)] == ["index", "download", "unpack", "check"]
    assert Progress("download", len(DEB), len(DEB)) in seen
    assert locate("embedded", tmp_path / "engine") == found


def test_english_sounds_are_found_under_their_language(mirror: Path, tmp_path: Path):
    found = install(tmp_path / "engine", progress=lambda _: None)
    assert (found.data_dir / "sounds" / "en").readlink() == Path("en_US_voice")


def test_a_whole_engine_is_not_fetched_again_unless_asked(mirror: Path, tmp_path: Path):
    for again, expected in [(False, 1), (False, 1), (True, 2)]:
        install(tmp_path / "engine", progress=lambda _: None, again=again)
        assert downloads(mirror) == expected


@pytest.mark.parametrize("path", ["usr/sbin/asterisk", "usr/share/asterisk/sounds/en", "manifest.json"])
def test_a_missing_file_is_noticed_and_the_engine_is_fetched_again(mirror: Path, tmp_path: Path, path: str):
    install(tmp_path / "engine", progress=lambda _: None)
    tree = tmp_path / "engine" / "tree"
    (tree / path).unlink()
    assert damaged(tree) == [path]

    install(tmp_path / "engine", progress=lambda _: None)

    assert damaged(tree) == []


def test_a_changed_file_is_noticed(mirror: Path, tmp_path: Path):
    install(tmp_path / "engine", progress=lambda _: None)
    module = tmp_path / "engine" / "tree" / LIBRARIES / "asterisk" / "modules" / ESSENTIAL[0]
    module.write_text("evil")  # as long as what was there
    assert damaged(tmp_path / "engine" / "tree") == [f"{LIBRARIES}/asterisk/modules/{ESSENTIAL[0]}"]


def test_what_a_broken_off_install_left_is_used_or_thrown_away(mirror: Path, tmp_path: Path):
    archives, half = tmp_path / "engine/apt/archives", tmp_path / "engine/unpacking/tree"
    archives.mkdir(parents=True)
    half.mkdir(parents=True)
    (archives / "x.deb").write_bytes(DEB)
    (half / "half-a-file").touch()
    (mirror / "x.deb").unlink()

    install(tmp_path / "engine", progress=lambda _: None)

    assert not (tmp_path / "engine" / "tree" / "half-a-file").exists()


def test_a_failed_download_keeps_what_came_and_says_so(mirror: Path, tmp_path: Path):
    (mirror / "cut").touch()
    with pytest.raises(EngineUnavailable, match="run it again to go on from here: Connection failed"):
        install(tmp_path / "engine", progress=lambda _: None)
    (mirror / "cut").unlink()
    assert install(tmp_path / "engine", progress=lambda _: None).version == "22.1.0"


def test_a_package_that_arrived_damaged_is_not_unpacked_and_is_fetched_anew(mirror: Path, tmp_path: Path):
    (mirror / "x.deb").write_bytes(DEB[::-1])
    with pytest.raises(EngineUnavailable, match=r"x\.deb arrived damaged"):
        install(tmp_path / "engine", progress=lambda _: None)
    assert not (tmp_path / "engine" / "tree").exists()

    (mirror / "x.deb").write_bytes(DEB)
    assert install(tmp_path / "engine", progress=lambda _: None).version == "22.1.0"


def test_a_second_install_waits_for_the_first_and_finds_its_engine(mirror: Path, tmp_path: Path):
    folder = tmp_path / "engine"
    folder.mkdir()
    seen = []

    def release(progress: Progress) -> None:
        seen.append(progress.stage)
        if progress.stage == "waiting":
            holder.stdin.close()

    script = (
        "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); "
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, folder / "lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        holder.stdout.readline()
        install(folder, progress=release)

    assert seen[0] == "waiting"


def test_a_faulty_mirror_is_told_in_apt_s_words_without_its_password(mirror: Path, tmp_path: Path):
    (mirror / "fault").write_text(
        "W: hm\nE: The repository 'http://me:hunter2@mirror.example sid' has no Release file.\n"
    )
    with pytest.raises(EngineUnavailable, match=r"no Release file.*VONAL_ASTERISK") as raised:
        install(tmp_path / "engine", progress=lambda _: None)
    assert "hunter2" not in raised.value.detail


def test_a_machine_whose_sources_name_no_debian_is_told_what_to_do(mirror: Path, tmp_path: Path):
    (mirror / "targets").write_text("http://mirror.example/ubuntu/\tnoble\tUbuntu\n")
    with pytest.raises(EngineUnavailable, match=r"no Debian archive; .*VONAL_ASTERISK"):
        install(tmp_path / "engine", progress=lambda _: None)


def test_a_machine_without_apt_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineUnavailable, match=r"no apt-get here; .*VONAL_ASTERISK"):
        install(tmp_path / "engine", progress=lambda _: None)


def test_too_little_room_is_told_before_anything_is_fetched(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engine_install, "DISK_NEEDED", 1 << 62)
    with pytest.raises(EngineUnavailable, match=r"free space.*VONAL_ENGINE_DIR"):
        install(tmp_path / "engine", progress=lambda _: None)
    assert not (mirror / "calls").exists()


def test_the_machine_s_hooks_are_not_run_but_its_way_to_the_mirror_is_kept():
    dump = 'Acquire::http::Proxy "http://p:1";\nDPkg::Post-Invoke:: "x";\nAPT::Update::Post-Invoke:: "y";\n'
    written = apt_conf(Path("/e"), dump)
    assert 'Acquire::http::Proxy "http://p:1";' in written
    assert "Post-Invoke" not in written


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ("http://d/debian/\tstable\tDebian", ["http://d/debian/"]),
        ("http://d/debian/\tstable\tDebian\nhttp://d/debian/\tstable-updates\tDebian", ["http://d/debian/"]),
        ("http://d/debian-security/\tstable-security\tDebian\nhttp://d/debian\tstable\tDebian", ["http://d/debian"]),
        ("http://d/debian-security/\tstable-security\tDebian", []),
        ("http://other/apt\tx\t$(ORIGIN)\nhttp://d/debian\tstable\t$(ORIGIN)", ["http://d/debian", "http://other/apt"]),
        ("http://cache/repo-7/\tstable\tDebian", ["http://cache/repo-7/"]),
        ("http://u/ubuntu\tnoble\tUbuntu", []),
        ("", []),
    ],
)
def test_debian_mirrors_are_told_from_other_sources(targets: str, expected: list[str]):
    assert mirrors(targets) == expected


def test_print_uris_is_read_and_what_is_not_a_package_is_passed_over():
    text = f"Reading package lists...\n'http://a/p/x_1%3a2_all.deb' x_1%3a2_all.deb 12 SHA256:{DIGEST}\nNeed 12 B\n"
    assert packages_of(text) == [Package("x_1%3a2_all.deb", 12, DIGEST)]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Asterisk 22.10.1+dfsg+~cs6-1", (22, "22.10.1+dfsg+~cs6-1")),
        ("Asterisk 20.9.3\n", (20, "20.9.3")),
        ("Asterisk certified/20.7-cert1", (20, "20.7-cert1")),
        ("Asterisk certified-20.7-cert1", (20, "20.7-cert1")),
        ("GNU bash, version 5", (0, "GNU bash, version 5")),
        ("", (0, "")),
    ],
)
def test_versions_of_asterisk_are_read(said: str, expected: tuple[int, str]):
    assert version_of(said) == expected


def asterisk(prefix: Path, said: str) -> Path:
    """An installed Asterisk, as a distribution lays it out."""
    modules = prefix / "lib" / "any-linux-gnu" / "asterisk" / "modules"
    for folder in (modules, prefix / "sbin", prefix / "share/asterisk/documentation"):
        folder.mkdir(parents=True)
    for name in ESSENTIAL:
        (modules / name).touch()
    program = prefix / "sbin" / "asterisk"
    program.write_text(f"#!/bin/sh\necho {said}\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def _no_settings_of_the_machine_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary, "_told_folders", lambda _: {})


@pytest.mark.usefixtures("_no_settings_of_the_machine_s")
def test_an_installed_asterisk_is_used_with_its_own_modules_and_sounds(tmp_path: Path):
    program = asterisk(tmp_path, "Asterisk 20.9.3")
    found = locate(str(program), tmp_path)
    assert found.argv == (str(program),)
    assert found.version == "20.9.3"
    assert found.module_dir == tmp_path / "lib/any-linux-gnu/asterisk/modules"
    assert found.data_dir == tmp_path / "share/asterisk"
    assert sorted(found.modules) == sorted(ESSENTIAL)


def test_an_installed_asterisk_s_own_settings_say_where_its_modules_are(tmp_path: Path):
    program = asterisk(tmp_path, "Asterisk 20.9.3")
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "lib/any-linux-gnu/asterisk/modules").rename(elsewhere)
    (tmp_path / "etc/asterisk").mkdir(parents=True)
    (tmp_path / "etc/asterisk/asterisk.conf").write_text(f"[directories](!)\nastmoddir => {elsewhere} ; here\n")
    assert locate(str(program), tmp_path).module_dir == elsewhere


@pytest.mark.usefixtures("_no_settings_of_the_machine_s")
@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("Asterisk 18.9.0", "Asterisk 18.9.0; Vonal needs 20 or later"),
        ("hello", "does not tell a version of Asterisk: hello"),
        ("", "it says nothing"),
    ],
)
def test_a_program_that_will_not_do_is_told_with_what_to_do(tmp_path: Path, said: str, reason: str):
    with pytest.raises(EngineUnavailable, match=reason):
        locate(str(asterisk(tmp_path, said)), tmp_path)


@pytest.mark.usefixtures("_no_settings_of_the_machine_s")
def test_an_asterisk_without_pjsip_is_told_by_the_module_s_name(tmp_path: Path):
    program = asterisk(tmp_path, "Asterisk 22.0.0")
    (tmp_path / "lib/any-linux-gnu/asterisk/modules/res_ari.so").unlink()
    with pytest.raises(EngineUnavailable, match=r"lacks res_ari\.so"):
        locate(str(program), tmp_path)


@pytest.mark.parametrize("setting", ["embedded", "/nowhere/asterisk", "~/nowhere/asterisk", "/tmp"])
def test_no_asterisk_where_one_should_be_is_told_with_what_to_do(tmp_path: Path, setting: str):
    with pytest.raises(EngineUnavailable, match=r"vonal engine install|give the path"):
        locate(setting, tmp_path)


def test_asterisk_sees_no_setting_and_no_library_of_ours():
    given = {"PATH": "/bin", "HOME": "/h", "VONAL_SECRET_KEY": "s", "LD_PRELOAD": "/x.so", "LD_LIBRARY_PATH": "/y"}
    assert binary.environment(given) == {"PATH": "/bin", "HOME": "/h", "LANG": "C.UTF-8"}


def test_only_modules_that_are_there_are_loaded_and_music_only_where_there_is_any():
    present = {"chan_pjsip.so", "res_musiconhold.so", "app_unknown.so"}
    assert loadable(present, music=True) == ("res_musiconhold.so", "chan_pjsip.so")
    assert loadable(present, music=False) == ("chan_pjsip.so",)


def test_no_module_is_named_twice():
    assert len(set(MODULES)) == len(MODULES)


def test_a_mirror_s_password_is_readable_by_its_owner_alone(mirror: Path, tmp_path: Path):
    (mirror / "cut").touch()
    with pytest.raises(EngineUnavailable):
        install(tmp_path / "engine", progress=lambda _: None)
    for name in ("apt.conf", "etc/sources.list"):
        assert (tmp_path / "engine" / "apt" / name).stat().st_mode & 0o077 == 0, name
    assert os.path.lexists(tmp_path / "engine" / "apt" / "archives")
