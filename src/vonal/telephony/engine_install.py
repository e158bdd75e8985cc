"""Gets the embedded Asterisk: downloads it with the machine's own `apt-get`, as an ordinary user, and unpacks it.

Nothing is installed on the machine. `apt-get` is given folders of its own inside the engine folder and an empty list of
packages, so it fetches Asterisk with everything that Asterisk needs, its C library included; `dpkg-deb` unpacks that
into `tree/`, from where it runs in place through its own loader (binary.py). Signatures and hashes are apt's work; the
hashes of the unpacked files stand in `tree/manifest.json`.
"""

import fcntl
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Literal

import msgspec
import structlog

from vonal.domain.errors import EngineUnavailable
from vonal.telephony.binary import AsteriskBinary, embedded

SUITE = "sid"  # the one suite of Debian that carries Asterisk's current LTS
PACKAGES = ("asterisk", "asterisk-core-sounds-en", "asterisk-moh-opsound-gsm")
DISK_NEEDED = 600_000_000  # bytes: downloads, indexes and the tree together, measured 460 MB
INSTEAD = "install Asterisk 20 or later by yourself and set VONAL_ASTERISK to its path, such as /usr/sbin/asterisk"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Progress:
    """Where an install stands, in bytes; `total` is 0 where it is not known."""

    stage: Literal["waiting", "index", "download", "unpack", "check"]
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class Package:
    """One file to fetch; `sha256` is from the signed index."""

    file: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What was installed: packages by file name, and of each path in the tree its size in bytes and its SHA-256.

    A symbolic link has size 0 and `-> TARGET`.
    """

    version: str
    packages: list[str]
    files: dict[str, tuple[int, str]]


def install(engine_dir: Path, *, progress: Callable[[Progress], None], again: bool = False) -> AsteriskBinary:
    """Makes `engine_dir/tree` complete, or finds that it is; with `again` gets the newest one in its place.

    May be killed at any moment and called again: what was downloaded is kept. Two at once wait for each other.
    Raises EngineUnavailable, with what to do, where there is no apt, no network, no room or no suite with Asterisk.
    """
    engine_dir.mkdir(parents=True, exist_ok=True)
    with _locked(engine_dir / "lock", progress) as lock:
        if not again and (found := _installed(engine_dir, progress)):
            return found
        if shutil.disk_usage(engine_dir).free < DISK_NEEDED:
            raise EngineUnavailable(
                f"{engine_dir} needs {DISK_NEEDED // 1_000_000} MB of free space; make room, or set VONAL_ENGINE_DIR"
            )
        apt = _Apt(engine_dir / "apt", lock)
        packages = apt.fetch(progress)
        binary = _unpack(engine_dir, apt, packages, progress)
        shutil.rmtree(apt.folder)
    log.info("engine installed", version=binary.version, folder=str(engine_dir))
    return binary


def damaged(tree: Path) -> list[str]:
    """Paths in `tree` that are missing or differ from its manifest; ["manifest.json"] when that is unreadable."""
    try:
        manifest = msgspec.json.decode((tree / "manifest.json").read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError):
        return ["manifest.json"]
    return [path for path, expected in manifest.files.items() if _fingerprint(tree / path) != expected]


def mirrors(targets: str) -> list[str]:
    """Debian mirrors among apt's index targets, the likeliest first.

    `targets`: lines `URI<tab>RELEASE<tab>ORIGIN`, as `apt-get indextargets --format` prints them; a field that apt does
    not know stays as `$(NAME)`. Security archives carry no `sid` and are left out.
    """
    rows = [line.split("\t") for line in targets.splitlines() if line.count("\t") == 2]  # noqa: PLR2004 - the fields
    uris = [
        (uri, origin)
        for uri, release, origin in rows
        if "security" not in release and origin in {"Debian", "$(ORIGIN)"}
    ]
    ranked = sorted(uris, key=lambda row: (not row[0].rstrip("/").endswith("/debian"), row[1] != "Debian"))
    return list(dict.fromkeys(uri for uri, _ in ranked))


def packages_of(print_uris: str) -> list[Package]:
    """Reads `apt-get --print-uris`: lines `'URI' FILE SIZE SHA256:HASH` among others."""
    pattern = re.compile(r"^'[^']+' (\S+\.deb) (\d+) SHA256:([0-9a-f]{64})$", re.MULTILINE)
    return [Package(file, int(size), digest) for file, size, digest in pattern.findall(print_uris)]


@contextmanager
def _locked(path: Path, progress: Callable[[Progress], None]) -> Iterator[int]:
    """Holds `path` locked; children that inherit the number given keep it locked, also when we are killed."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(Progress("waiting"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)


def _installed(engine_dir: Path, progress: Callable[[Progress], None]) -> AsteriskBinary | None:
    tree = engine_dir / "tree"
    if not tree.exists():
        return None
    progress(Progress("check"))
    if broken := damaged(tree):
        log.warning("engine is damaged and is fetched again", files=len(broken), first=broken[0])
        return None
    return embedded(engine_dir)


class _Apt:
    """`apt-get` with folders of its own under `folder`."""

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self.archives = folder / "archives"
        self._lock = lock
        self._programs = {name: _program(name) for name in ("apt-get", "apt-config", "dpkg-deb")}
        self._keyring = _keyring()

    def fetch(self, progress: Callable[[Progress], None]) -> list[Package]:
        """Downloads what is still missing of PACKAGES and all they need; answers the files, verified."""
        uris = mirrors(self._run("apt-get", "indextargets", "--format", "$(REPO_URI)\t$(RELEASE)\t$(ORIGIN)"))
        if not uris:
            raise EngineUnavailable(f"this machine's apt sources name no Debian archive; {INSTEAD}")
        acquire = self._run("apt-config", "dump", "--no-empty", "--format", '%F "%v";%n')
        packages = self._plan(uris, acquire, progress)
        self._download(packages, progress)
        for package in packages:
            self._verify(package)
        return packages

    def unpack(self, package: Package, tree: Path) -> None:
        self._run("dpkg-deb", "-x", str(self.archives / package.file), str(tree))

    def _plan(self, uris: Sequence[str], acquire: str, progress: Callable[[Progress], None]) -> list[Package]:
        progress(Progress("index"))
        for position, uri in enumerate(uris, 1):
            self._configure(uri, acquire)
            try:
                self._apt("update", "-o", "APT::Update::Error-Mode=any")
                nothing = f"Dir::Cache::archives={self.folder / 'nothing'}"
                return packages_of(self._apt("install", "--print-uris", "-o", nothing, *PACKAGES))
            except EngineUnavailable:
                if position == len(uris):
                    raise
        raise AssertionError("unreachable: uris is not empty")

    def _configure(self, uri: str, acquire: str) -> None:
        for folder in ("lists/partial", "archives/partial", "nothing/partial", "etc"):
            (self.folder / folder).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").write_text("")
        sources = self.folder / "etc" / "sources.list"
        sources.touch(0o600)  # a mirror's address may hold a password
        sources.write_text(f"deb [signed-by={self._keyring}] {uri} {SUITE} main\n")
        configuration = self.folder / "apt.conf"
        configuration.touch(0o600)
        configuration.write_text(apt_conf(self.folder, acquire))

    def _download(self, packages: Sequence[Package], progress: Callable[[Progress], None]) -> None:
        total = sum(package.size for package in packages)
        with TemporaryFile("w+") as errors:
            process = self._start(("--download-only", "install", *PACKAGES), errors)
            try:
                while process.poll() is None:
                    progress(Progress("download", min(self._fetched(packages), total), total))
                    time.sleep(0.1)
            finally:
                process.terminate()
                process.wait()
            if process.returncode:
                errors.seek(0)
                raise EngineUnavailable(f"download failed; run it again to go on from here: {_reason(errors.read())}")
        progress(Progress("download", total, total))

    def _fetched(self, packages: Sequence[Package]) -> int:
        places = [
            folder / package.file for package in packages for folder in (self.archives, self.archives / "partial")
        ]
        return sum(_size(place) for place in places)

    def _verify(self, package: Package) -> None:
        path = self.archives / package.file
        with path.open("rb") as file:
            if file_digest(file, "sha256").hexdigest() == package.sha256:
                return
        path.unlink()
        raise EngineUnavailable(f"{package.file} arrived damaged and was thrown away; run it again")

    def _apt(self, *arguments: str) -> str:
        process = self._start(arguments, subprocess.PIPE)
        output, errors = process.communicate()
        if process.returncode:
            raise EngineUnavailable(f"Debian's {SUITE} cannot be read: {_reason(errors)}. If this goes on, {INSTEAD}")
        return output

    def _start(self, arguments: Sequence[str], errors: IO[str] | int) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 - fixed arguments, no shell
            [self._programs["apt-get"], "-y", *arguments],
            env={**os.environ, "LC_ALL": "C", "APT_CONFIG": str(self.folder / "apt.conf")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if "--print-uris" in arguments else subprocess.DEVNULL,
            stderr=errors,
            text=True,
            pass_fds=(self._lock,),
        )

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            [self._programs[program], *arguments],
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
            pass_fds=(self._lock,),
        )
        if done.returncode:
            raise EngineUnavailable(f"{program} failed: {_reason(done.stderr)}")
        return done.stdout


def apt_conf(folder: Path, dump: str) -> str:
    """apt's configuration for `folder`; of the machine's own (`apt-config dump`) how to reach its mirrors is kept."""
    reach = re.compile(r"^Acquire::(http|https|ftp|tor|ForceIPv\d|Check-Date|Proxy)\b.*;$")
    kept = [line for line in dump.splitlines() if reach.match(line)]
    return "\n".join(
        [
            *kept,
            f'Dir::State "{folder}";',
            f'Dir::State::lists "{folder}/lists";',
            f'Dir::State::status "{folder}/status";',
            f'Dir::Cache "{folder}";',
            f'Dir::Cache::archives "{folder}/archives";',
            f'Dir::Etc "{folder}/etc";',
            f'Dir::Etc::parts "{folder}/nothing";',
            'Dir::Etc::netrc "/etc/apt/auth.conf";',
            'Dir::Etc::netrcparts "/etc/apt/auth.conf.d";',
            # A mirror's index of an ever-changing suite may be some days old; its signature still counts.
            'Acquire::Check-Valid-Until "false";',
            'Acquire::ForceHash "SHA256";',
            'Acquire::Languages "none";',
            'Acquire::Retries "3";',
            'APT::Install-Recommends "false";',
            # The folder belongs to who installs, where apt's own user cannot write.
            'APT::Sandbox::User "";',
            "",
        ]
    )


def _unpack(
    engine_dir: Path, apt: _Apt, packages: Sequence[Package], progress: Callable[[Progress], None]
) -> AsteriskBinary:
    """Unpacks beside the tree, tries it, and puts it in the tree's place in one step."""
    stage = engine_dir / "unpacking"
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir()
    done, total = 0, sum(package.size for package in packages)
    for package in packages:
        progress(Progress("unpack", done, total))
        apt.unpack(package, stage / "tree")
        done += package.size
    progress(Progress("check", done, total))
    _name_sounds(stage / "tree" / "usr/share/asterisk/sounds")
    version = embedded(stage).version
    manifest = Manifest(version, [package.file for package in packages], _fingerprints(stage / "tree"))
    (stage / "tree" / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    os.sync()  # the tree must not turn up empty after a power cut
    tree, old = engine_dir / "tree", engine_dir / "old"
    shutil.rmtree(old, ignore_errors=True)
    if tree.exists():
        tree.rename(old)
    (stage / "tree").rename(tree)
    shutil.rmtree(stage)
    shutil.rmtree(old, ignore_errors=True)
    return embedded(engine_dir)


def _name_sounds(sounds: Path) -> None:
    """Asterisk looks for its English sounds in `en`; a package's script, not run here, would make that link."""
    for voice in sorted(sounds.glob("en_*"))[:1]:
        (sounds / "en").symlink_to(voice.name)


def _fingerprints(tree: Path) -> dict[str, tuple[int, str]]:
    files = sorted(path for path in tree.rglob("*") if path.is_symlink() or path.is_file())
    return {str(path.relative_to(tree)): found for path in files if (found := _fingerprint(path))}


def _fingerprint(path: Path) -> tuple[int, str] | None:
    try:
        if path.is_symlink():
            return 0, f"-> {path.readlink()}"
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_size, file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _program(name: str) -> str:
    if found := shutil.which(name):
        return found
    raise EngineUnavailable(f"the embedded Asterisk is made of Debian packages, and there is no {name} here; {INSTEAD}")


def _keyring() -> Path:
    for suffix in ("gpg", "pgp"):
        if (path := Path(f"/usr/share/keyrings/debian-archive-keyring.{suffix}")).is_file():
            return path
    raise EngineUnavailable(f"there is no keyring of Debian's archive here, so nothing can be verified; {INSTEAD}")


def _reason(errors: str) -> str:
    """apt's own words on one line; an address's password is cut out."""
    lines = [line[2:].strip() for line in errors.splitlines() if line.startswith("E:")] or errors.splitlines()[-3:]
    return re.sub(r"//[^/@\s]*@", "//", "; ".join(lines)) or "no reason given"
