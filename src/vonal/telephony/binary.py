"""Finds the Asterisk to run, embedded or installed, and what must be known to run it."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vonal.domain.errors import EngineUnavailable
from vonal.telephony.modules import loadable

OLDEST = 20  # the oldest Asterisk with all that Vonal needs
ESSENTIAL = ("chan_pjsip.so", "res_ari.so", "res_pjsip_session.so", "cel_custom.so", "app_celgenuserevent.so")
INSTALL = "run `vonal engine install`"


@dataclass(frozen=True)
class AsteriskBinary:
    """An Asterisk that can be run. `argv` is how, without arguments; `modules` is what its modules.conf may load."""

    argv: tuple[str, ...]
    version: str
    module_dir: Path
    data_dir: Path
    modules: tuple[str, ...]


def locate(setting: str, engine_dir: Path) -> AsteriskBinary:
    """The Asterisk that VONAL_ASTERISK names: `embedded`, or the path of an installed one.

    Raises EngineUnavailable, with what to do, when there is none, it is too old, or it does not run.
    """
    return embedded(engine_dir) if setting == "embedded" else installed(Path(setting).expanduser())


def embedded(engine_dir: Path) -> AsteriskBinary:
    """The tree in `engine_dir`, run through its own loader with its own libraries, whatever the machine has."""
    tree = engine_dir / "tree"
    folders = sorted(tree.glob("usr/lib/*/asterisk/modules"))
    if not folders:
        raise EngineUnavailable(f"there is no Asterisk in {engine_dir}; {INSTALL}, or set VONAL_ASTERISK")
    libraries = folders[0].parent.parent
    loaders = sorted(libraries.glob("ld-linux*.so.*"))
    if not loaders:
        raise EngineUnavailable(f"the Asterisk in {engine_dir} is not whole; {INSTALL}")
    # Without its cache the loader cannot mix the machine's own libraries in.
    argv = (str(loaders[0]), "--inhibit-cache", "--library-path", str(libraries), str(tree / "usr/sbin/asterisk"))
    return _examined(argv, _version(argv), folders[0], tree / "usr/share/asterisk")


def installed(program: Path) -> AsteriskBinary:
    """An Asterisk of the machine's own, of which nothing but program, modules and sounds is used."""
    if not (program.is_file() and os.access(program, os.X_OK)):
        raise EngineUnavailable(f"VONAL_ASTERISK={program} is no program; give the path of Asterisk, or `embedded`")
    argv = (str(program),)
    version = _version(argv)
    prefix = program.parent.parent
    told = _told_folders(prefix)
    modules = [*told.get("astmoddir", []), *(prefix / "lib").glob("*/asterisk/modules")]
    modules += [prefix / lib / "asterisk/modules" for lib in ("lib", "lib64")]
    data = [
        *told.get("astdatadir", []),
        prefix / "share/asterisk",
        prefix / "var/lib/asterisk",
        Path("/var/lib/asterisk"),
    ]
    return _examined(
        argv,
        version,
        _first(modules, "chan_pjsip.so", f"the modules of {program}"),
        _first(data, "documentation", f"the data folder of {program}"),
    )


def environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What Asterisk sees of our environment: no setting or password of ours, and nothing that changes its libraries."""
    kept = {name: environ[name] for name in ("HOME", "PATH", "TZ") if name in environ}
    return {**kept, "LANG": "C.UTF-8"}


def version_of(answer: str) -> tuple[int, str]:
    """(22, "22.10.1+dfsg") from `Asterisk 22.10.1+dfsg`, (20, "20.7-cert1") from `Asterisk certified/20.7-cert1`.

    (0, what it says) when that is no Asterisk.
    """
    found = re.match(r"Asterisk (?:certified[/-])?((\d+)\.\S+)", answer)
    return (int(found[2]), found[1]) if found else (0, answer.strip()[:80])


def _version(argv: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            [*argv, "-V"], capture_output=True, text=True, timeout=20, check=False, env=environment()
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise EngineUnavailable(f"{argv[-1]} does not run: {fault}; {INSTALL}") from fault
    major, version = version_of(done.stdout)
    if done.returncode or not major:
        said = (done.stderr or done.stdout).strip()[:200]
        raise EngineUnavailable(f"{argv[-1]} -V does not tell a version of Asterisk: {said or 'it says nothing'}")
    if major < OLDEST:
        raise EngineUnavailable(f"{argv[-1]} is Asterisk {version}; Vonal needs {OLDEST} or later. Or {INSTALL}")
    return version


def _examined(argv: tuple[str, ...], version: str, module_dir: Path, data_dir: Path) -> AsteriskBinary:
    present = frozenset(path.name for path in module_dir.iterdir())
    if missing := [name for name in ESSENTIAL if name not in present]:
        raise EngineUnavailable(f"{argv[-1]} lacks {', '.join(missing)} in {module_dir}; install Asterisk's modules")
    music = any((data_dir / "moh").glob("*.*"))
    return AsteriskBinary(argv, version, module_dir, data_dir, loadable(present, music=music))


def _told_folders(prefix: Path) -> dict[str, list[Path]]:
    """What the installed one's asterisk.conf says; it may be missing, or not for us to read."""
    for path in (prefix / "etc/asterisk/asterisk.conf", Path("/etc/asterisk/asterisk.conf")):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        lines = re.findall(r"^\s*(ast\w+)\s*=>?\s*([^;\n]+?)\s*(?:;.*)?$", text, re.MULTILINE)
        return {name: [Path(value)] for name, value in lines}
    return {}


def _first(folders: Sequence[Path], member: str, what: str) -> Path:
    for folder in folders:
        if (folder / member).exists():
            return folder
    raise EngineUnavailable(f"{what}: not found in {', '.join(map(str, folders))}; install them, or {INSTALL}")
