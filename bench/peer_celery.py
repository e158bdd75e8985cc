"""A peer: Celery with Redis and requests, four processes. A task signs and sends an event, and is tried again.

`option`: as it comes (Redis in memory, a task is forgotten when it begins), or "careful": Redis syncs each write to
disk and tasks are acknowledged when they end, which is nearest to what Vonal promises.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import requests.adapters
from celery import Celery

import peer
import world
from world import Figures, Spec

HERE = Path(__file__).parent
WORKERS = 4

app = Celery("peer", broker=os.environ.get("BENCH_BROKER", "memory://"))
app.conf.update(
    task_ignore_result=True,
    task_acks_late=bool(os.environ.get("BENCH_CAREFUL")),
    broker_connection_retry_on_startup=True,
)
session = requests.Session()
session.mount("http://", requests.adapters.HTTPAdapter(pool_connections=world.HOSTS))


@app.task(name="deliver", autoretry_for=(requests.RequestException,), retry_backoff=5, max_retries=10)
def deliver(url: str, event: dict[str, Any]) -> None:
    """The work."""
    headers, body = peer.signed(event)
    session.post(url, data=body, headers=headers, timeout=10, allow_redirects=False).raise_for_status()


async def main(spec: Spec) -> Figures:
    """Does what the spec says."""
    careful = spec.option == "careful"
    with tempfile.TemporaryDirectory(prefix="vonal-redis-") as name, _redis(Path(name), careful=careful) as redis:
        app.conf.broker_url = f"redis+socket://{name}/redis.sock"
        with _workers(Path(name), careful=careful):
            return await peer.measure(spec, _tell, redis)


async def _tell(told: peer.Told) -> None:
    await asyncio.to_thread(lambda: [deliver.delay(url, event) for url, event in told])


@contextmanager
def _redis(folder: Path, *, careful: bool) -> Iterator[int]:
    # Debian's redis-tools has the server too, under another name, and sets up no service.
    binary = shutil.which("redis-server") or shutil.which("redis-check-rdb")
    if binary is None:
        raise SystemExit("Celery needs Redis: apt-get install --no-install-recommends redis-tools")
    words = ["redis-server", "--port", "0", "--unixsocket", str(folder / "redis.sock"), "--dir", str(folder)]
    words += ["--save", "", *(["--appendonly", "yes", "--appendfsync", "always"] if careful else [])]
    server = subprocess.Popen(words, executable=binary, stdout=subprocess.DEVNULL)
    try:
        while not (folder / "redis.sock").exists():
            if server.poll() is not None:
                raise SystemExit("Redis does not start")
            time.sleep(0.05)
        yield server.pid
    finally:
        server.kill()
        server.wait()


@contextmanager
def _workers(folder: Path, *, careful: bool) -> Iterator[None]:
    words = [sys.executable, "-m", "celery", "-A", "peer_celery", "worker", "--concurrency", str(WORKERS)]
    words += ["--loglevel", "ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    environ = {
        **os.environ,
        "BENCH_BROKER": app.conf.broker_url,
        "BENCH_CAREFUL": "1" if careful else "",
        "C_FORCE_ROOT": "1",
        "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
    }
    with (folder / "celery.log").open("wb") as log:
        workers = subprocess.Popen(words, env=environ, cwd=folder, stdout=log, stderr=log)
    try:
        yield
    finally:
        workers.terminate()
        try:
            workers.wait(15)
        except subprocess.TimeoutExpired:
            workers.kill()
            workers.wait()


if __name__ == "__main__":
    world.contender(main)
