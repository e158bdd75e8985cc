"""What `vonal doctor` knows about health: the shape of a finding, and the checks of the machine."""

import ctypes
import os
import shutil
import socket
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from msgspec import Struct

from vonal.config import Settings

State = Literal["ok", "warn", "fail"]
LITTLE, TOO_LITTLE = 2 << 30, 200 << 20  # bytes; an hour of mp3 in stereo takes about 15 MB
SLOW_NAME_SECONDS, NAME_SECONDS = 0.2, 3.0
PORTS_PER_CALL = 4  # two parties, sound and its control
TCP, UDP = "tcp", "udp"
_UNSYNCHRONISED = 5  # adjtimex(2): TIME_ERROR


class Finding(Struct, frozen=True, kw_only=True):
    """One check's result; `do` says what to do about it, and is empty when there is nothing to be done."""

    check: str
    state: State
    found: str
    do: str = ""


class Port(Struct, frozen=True, kw_only=True):
    """A port that must be ours or free. `owners`: the processes of ours that may have it."""

    setting: str
    host: str
    port: int
    protocol: Literal["tcp", "udp"]
    owners: frozenset[int]


def data_folder(settings: Settings) -> Iterator[Finding]:
    """Rights and room of the folder that holds everything."""
    folder = settings.data_dir
    existing = next(one for one in (folder, *folder.parents) if one.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        do = f"give it to the user who runs Vonal: chown -R USER {existing}, or set VONAL_DATA_DIR"
        yield Finding(check="data folder", state="fail", found=f"{existing} cannot be written", do=do)
        return
    yield from _secrecy(folder)
    free = shutil.disk_usage(existing).free
    room = f"{free / 2**30:.1f} GiB free"
    if free < LITTLE:
        do = f"make room on the disk of {existing}, shorten retention_days, or move VONAL_DATA_DIR"
        yield Finding(check="disk", state="fail" if free < TOO_LITTLE else "warn", found=f"only {room}", do=do)
    else:
        yield Finding(check="disk", state="ok", found=room)


def _secrecy(folder: Path) -> Iterator[Finding]:
    if not folder.exists():
        yield Finding(check="data folder", state="ok", found=f"{folder} is made at the first start")
        return
    names = ("secret.key", "vonal.db", "engine", "recordings")
    is_open = folder.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    read_by_all = [one for one in names if (folder / one).exists() and (folder / one).stat().st_mode & stat.S_IRWXO]
    if is_open and read_by_all:
        found = f"{', '.join(read_by_all)} can be read by others"
        yield Finding(check="data folder", state="warn", found=found, do=f"chmod -R go-rwx {folder}")
    else:
        yield Finding(check="data folder", state="ok", found=f"{folder}, ours alone")


def clock() -> Finding:
    """Whether this machine's clock is kept right: webhooks' signatures are good for five minutes only."""
    year = time.gmtime().tm_year
    do = "let it be set from the network: apt-get install systemd-timesyncd (or chrony)"
    if year < 2026 or year > 2100:  # noqa: PLR2004 - before this program was written, or beyond reason
        return Finding(check="clock", state="fail", found=f"it is not the year {year}", do=do)
    libc = ctypes.CDLL(None, use_errno=True)
    state = libc.adjtimex(ctypes.create_string_buffer(512))  # `modes` 0: only looks
    if state < 0:
        return Finding(check="clock", state="ok", found="kept by somebody else; it cannot be asked from in here")
    if state == _UNSYNCHRONISED:
        return Finding(check="clock", state="warn", found="nobody keeps it right", do=do)
    return Finding(check="clock", state="ok", found="synchronised")


def host_name(name: str | None = None) -> Finding:
    """Whether the machine knows its own name: Asterisk asks for it, and waits seconds at each call if nobody knows."""
    name = name or socket.gethostname()
    do = f"add a line to /etc/hosts: 127.0.1.1 {name}"
    answers: list[str] = []
    asking = threading.Thread(target=_resolve, args=(name, answers), daemon=True)
    began = time.monotonic()
    asking.start()
    asking.join(NAME_SECONDS)
    took = time.monotonic() - began
    if not answers:
        return Finding(
            check="host name", state="fail", found=f"{name} is not found ({took:.1f} s); calls would hang", do=do
        )
    if took > SLOW_NAME_SECONDS:
        return Finding(check="host name", state="warn", found=f"{name} is found only after {took:.1f} s", do=do)
    return Finding(check="host name", state="ok", found=f"{name} is {answers[0]}")


def _resolve(name: str, answers: list[str]) -> None:
    try:
        answers.append(str(socket.getaddrinfo(name, None)[0][4][0]))
    except OSError:
        return


def ports(wanted: Iterable[Port]) -> Iterator[Finding]:
    """Each port is free, or ours."""
    for one in wanted:
        check = f"port {one.port}/{one.protocol}"
        if _is_free(one):
            yield Finding(check=check, state="ok", found=f"free ({one.setting})")
            continue
        holders = _holders(one)
        if one.owners & holders:
            yield Finding(check=check, state="ok", found=f"ours ({one.setting})")
        else:
            who = ", ".join(f"{_name(pid)} (pid {pid})" for pid in sorted(holders)) or "another user's program"
            do = f"stop it, or change {one.setting}"
            yield Finding(check=check, state="fail", found=f"taken by {who}", do=do)


def sound_ports(settings: Settings) -> Finding:
    """Whether there are enough ports for sound, and out of the way of those that the system gives away."""
    first, last = settings.rtp_ports
    calls = (last - first + 1) // PORTS_PER_CALL
    found = f"{first}-{last}, enough for {calls} calls at a time"
    given = [int(one) for one in Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()]
    do = "set VONAL_RTP_PORTS to a range of its own, such as 20000-24000"
    if first <= settings.sip_listen[1] <= last or first <= settings.ari_port <= last:
        return Finding(check="sound ports", state="fail", found=f"{found}, but SIP's or ARI's port lies in it", do=do)
    if first <= given[1] and last >= given[0]:
        found = f"{found}, but the system gives away ports from {given[0]} to {given[1]}"
        return Finding(check="sound ports", state="warn", found=found, do=do)
    return Finding(check="sound ports", state="ok", found=found)


def _is_free(one: Port) -> bool:
    family = socket.AF_INET6 if ":" in one.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if one.protocol == TCP else socket.SOCK_DGRAM) as probe:
        if one.protocol == TCP:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((one.host, one.port))
        except OSError:
            return False
    return True


def holding(path: Path) -> frozenset[int]:
    """Processes that have the file open, as far as we may look."""
    return frozenset(_with_open({str(path)}))


def _holders(one: Port) -> set[int]:
    return _with_open({f"socket:[{inode}]" for inode in _inodes(one)})


def _with_open(targets: set[str]) -> set[int]:
    """Processes with one of these behind a descriptor (proc(5))."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            if any(str(link.readlink()) in targets for link in folder.iterdir()):
                found.add(int(folder.parent.name))
        except OSError:
            continue  # another user's, or it has just ended
    return found


def _inodes(one: Port) -> Iterator[str]:
    for name in (one.protocol, f"{one.protocol}6"):
        table = Path("/proc/net") / name
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            columns = line.split()
            listens = one.protocol == UDP or columns[3] == "0A"
            if listens and int(columns[1].rpartition(":")[2], 16) == one.port:
                yield columns[9]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "?"
