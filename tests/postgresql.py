"""A PostgreSQL server of the test run's own: in a folder of its own, without a port, ending with the run."""

import contextlib
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
        server = Server(folder, binaries, user)
        server.start()
        try:
            server.until_ready()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Server:
    """`url(name)` is a database's address; `create` and `drop` make and remove one. It can be killed and frozen."""

    def __init__(self, folder: Path, binaries: Path, user: int | None) -> None:
        self._folder, self._binaries, self._user = folder, binaries, user
        self._process: subprocess.Popen[bytes]

    def start(self) -> None:
        """Starts it, and returns at once. Not from a thread: the server ends with the thread that has started it."""
        # The server goes down with us even when we are killed.
        command = ["setpriv", "--pdeathsig", "QUIT", self._binaries / "postgres", "-D", self._folder / "data"]
        command += ["-k", self._folder, "-c", "listen_addresses=", "-c", "max_connections=200"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, user=self._user, cwd=self._folder, stdout=log, stderr=log)

    def until_ready(self) -> None:
        """Returns as soon as it takes connections."""
        command = [self._binaries / "pg_isready", "-h", self._folder, "-t", "30"]
        _run(command, user=self._user, folder=self._folder, until=self._process)

    def stop(self) -> None:
        """At once, without a checkpoint."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(30)

    def kill(self) -> None:
        """kill -9, the server and all its backends."""
        self.signal(signal.SIGKILL)
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """To the server first, so that it cannot do anything about its backends."""
        pid = self._process.pid
        backends = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in (pid, *map(int, backends)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, number)

    def terminate(self, name: str) -> None:
        """Ends every connection to a database, as an administrator may."""
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=2) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))

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
