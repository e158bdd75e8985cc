"""A PostgreSQL server of the test run's own: in a folder of its own, without a port, ending with the run."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql


@contextmanager
def running_server() -> Iterator["Server"]:
    """Starts the newest PostgreSQL of this machine; removes it, folder and all, at the end."""
    binaries = _binaries()
    user = _other_user() if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="vonal-pg-"))
    if user is not None:
        os.chown(folder, user, -1)
    data = folder / "data"
    options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
    try:
        _run([binaries / "initdb", f"--pgdata={data}", *options], user=user, folder=folder)
        # The server goes down with us even when we are killed.
        command = ["setpriv", "--pdeathsig", "QUIT", binaries / "postgres", "-D", data, "-k", folder]
        command += ["-c", "listen_addresses=", "-c", "max_connections=200"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, user=user, cwd=folder, stdout=log, stderr=log)
        try:
            _run([binaries / "pg_isready", "-h", folder, "-t", "30"], user=user, folder=folder, until=process)
            yield Server(folder)
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Server:
    """`url(name)` is the address of a database; `create` and `drop` make and remove one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self._folder}"

    def create(self, name: str, *, template: str = "template1") -> None:
        self._execute("CREATE DATABASE {} TEMPLATE {}", name, template)

    def drop(self, name: str) -> None:
        self._execute("DROP DATABASE {} WITH (FORCE)", name)

    def _execute(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if found:
        return found[-1].parent
    if on_path := shutil.which("postgres"):
        return Path(on_path).parent
    raise RuntimeError("the tests of the store need PostgreSQL's server: apt-get install postgresql")


def _other_user() -> int:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    raise RuntimeError("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")


def _run(command: list, *, user: int | None, folder: Path, until: subprocess.Popen | None = None) -> None:
    while True:
        done = subprocess.run(command, user=user, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        if until is None or until.poll() is not None:
            log = folder / "log"
            raise RuntimeError(f"{command[0]}: {done.stdout}{done.stderr}{log.read_text() if log.exists() else ''}")
        time.sleep(0.02)
