"""The month before the demo begins: believable made-up calls of the demo's tenant, a few of them with their sound.

The same for the same day. They are stored as calls that are over, without events: nothing is owed to any webhook, and
no manifest knows of them. All numbers are of the ranges that the demo's customers have: nobody's.
"""

import contextlib
import hashlib
import io
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import av
from msgspec import Struct
from sqlalchemy import Connection

from vonal.calls import sound
from vonal.calls.folders import Folders
from vonal.calls.reference import Keys, mint
from vonal.cli.demo import cast
from vonal.domain.call import Agent, Call, Disposition, Leg, Party, Recording, Transfer, call_id
from vonal.domain.directory import Tenant
from vonal.domain.sound import Outcome, stored_path
from vonal.store import calls, recordings
from vonal.store.call_search import CallFilter
from vonal.store.database import Database

DAYS = 30
SEED = 36
A_DAY = (26, 44)  # calls of a working day
WITH_SOUND = 12  # of the newest answered ones
NODE = "demo-month"
_HOURS = (8, 9, 9, 10, 10, 10, 11, 11, 12, 13, 13, 14, 14, 15, 15, 16, 17)
_STRANGERS = (
    ("Szabó Márton", "+36305550145"), ("Balogh Réka", "+36205550146"), ("Molnár Dániel", "+36705550147"),
    ("Farkas Eszter", "+36305550148"), ("Papp Zoltán", "+36205550149"), ("Takács Nóra", "+36305550151"),
    ("Juhász Péter", "+36705550152"), ("Lakatos Ildikó", "+36205550153"), ("Mészáros Tamás", "+36305550154"),
    ("Simon Judit", "+36205550155"), ("Rácz Balázs", "+36705550156"), ("Fekete Zsófia", "+36305550157"),
)  # fmt: skip


class Heard(Struct, frozen=True, kw_only=True):
    """A sound file that several calls share a copy of."""

    content: bytes
    seconds: float


def fill(
    db: Database, tenant: Tenant, *, now: datetime, folders: Folders, secrets: Sequence[bytes], sounds: Path
) -> int:
    """Stores the month, unless the tenant has calls already; how many calls it were. `sounds`: Asterisk's own."""
    if db.read_now(lambda tx: calls.listing(tenant.id, tx, CallFilter(), limit=1))[0]:
        return 0
    made = list(month(tenant, now))
    answered = [call for call in made if call.answered_at and call.direction != "internal" and not call.transfers]
    with contextlib.suppress(OSError, av.FFmpegError):  # a month without sound will do
        heard = [_heard(sounds, one.says) for one in cast.CUSTOMERS[:3]]
        keys = Keys.of(secrets)
        for number, call in enumerate(answered[-WITH_SOUND:]):
            _record(db, call, heard[number % len(heard)], keys=keys, folders=folders, tenant=tenant)
    db.submit(partial(calls.any_tenant_save, calls=made)).result()
    return len(made)


def month(tenant: Tenant, now: datetime) -> Iterator[Call]:
    """Its calls, oldest first; the last one ends before now."""
    zone = ZoneInfo(tenant.timezone)
    today = now.astimezone(zone).date()
    for ago in range(DAYS, -1, -1):
        day = today - timedelta(days=ago)
        dice = random.Random(f"{SEED} {day}")  # noqa: S311 - a story, no secret
        starts = sorted(_moments(day, zone, dice))
        for number, start in enumerate(starts):
            call = _call(tenant, start, dice, number)
            if call.ended_at and call.ended_at < now:
                yield call


def _moments(day: date, zone: ZoneInfo, dice: random.Random) -> Iterator[datetime]:
    working = day.weekday() < 5  # noqa: PLR2004 - Saturday
    for _ in range(dice.randint(*A_DAY) if working else dice.randint(0, 4)):
        at = time(dice.choice(_HOURS), dice.randrange(60), dice.randrange(60))
        yield datetime.combine(day, at, zone).astimezone(UTC)


def _call(tenant: Tenant, start: datetime, dice: random.Random, number: int) -> Call:
    kind = dice.choices(("inbound", "outbound", "internal"), (58, 34, 8))[0]
    start += timedelta(milliseconds=dice.randrange(1000))
    linkedid = f"{NODE}-{int(start.timestamp())}.{number}"
    call = Call(id=call_id(NODE, linkedid), tenant_id=tenant.id, linkedid=linkedid, state="completed", started_at=start)
    everybody = {one.number: one.name for one in tenant.extensions if one.number in cast.SIMULATED}
    first, second = dice.sample(sorted(everybody), 2)
    name, other = dice.choice([*((one.name, one.number) for one in cast.CUSTOMERS), *_STRANGERS])
    outside = Party(number=other, raw=f"06{other[3:]}" if other.startswith("+36") else other, name=name)
    match kind:
        case "inbound":
            outcome: Disposition = dice.choices(("answered", "no_answer", "cancelled", "busy"), (78, 12, 7, 3))[0]
            call.direction, call.from_ = "inbound", outside
            call.to = Party(number=cast.SWITCHBOARD, raw=cast.SWITCHBOARD[1:], name=tenant.numbers[0].name)
        case "outbound":
            outcome = dice.choices(("answered", "no_answer", "busy", "cancelled"), (72, 15, 8, 5))[0]
            call.direction, call.to = "outbound", outside
            call.from_ = Party(number=cast.SWITCHBOARD, raw=first, name=everybody[first])
        case _:
            outcome = dice.choices(("answered", "no_answer"), (85, 15))[0]
            call.direction, call.to = "internal", Party(raw=second, name=everybody[second])
            call.from_ = Party(raw=first, name=everybody[first])
    person = second if kind == "internal" else first
    call.agent = Agent(extension=person, name=everybody[person])
    _play(call, outcome, dice, first=first, second=second)
    if call.direction == "inbound" and outcome == "answered" and dice.random() < 0.08:  # noqa: PLR2004
        _hand_over(call, first, second, everybody[second])
    return call


def _play(call: Call, outcome: Disposition, dice: random.Random, *, first: str, second: str) -> None:
    """How it goes: who rings for how long, and who talks."""
    start = call.started_at
    rings = timedelta(seconds={"busy": 0.8, "no_answer": 25}.get(outcome, dice.uniform(2, 14)))
    talks = timedelta(seconds=min(dice.lognormvariate(4.6, 0.9), 1500) if outcome == "answered" else 0)
    answered = start + rings if outcome == "answered" else None
    end = start + rings + talks
    call.disposition, call.answered_at, call.ended_at = outcome, answered, end
    call.talk_s = round(talks.total_seconds(), 3)
    call.ended_by = "caller" if outcome == "cancelled" or dice.random() < 0.6 else "called"  # noqa: PLR2004
    call.cause = {"answered": 16, "busy": 17, "no_answer": 19}.get(outcome, 16)
    outside = call.from_.number if call.direction == "inbound" else call.to.number

    def leg(party: str, extension: str | None) -> Leg:
        return Leg(
            id=f"leg_{len(call.legs) + 1}",
            channel=f"{call.linkedid}-{len(call.legs) + 1}",
            kind="extension" if extension else "trunk",
            party=party,  # type: ignore[arg-type]
            number=None if extension else outside,
            extension=extension,
            started_at=start,
            answered_at=answered,
            ended_at=end,
            disposition=outcome,
            cause=call.cause,
        )

    match call.direction:
        case "inbound":
            call.legs.append(leg("caller", None))
            call.legs.append(leg("called", first))
            also = leg("called", second)  # both ring; the other one's phone stops when the first is answered
            also.answered_at, also.ended_at = None, answered or end
            also.disposition = "cancelled" if answered else outcome
            call.legs.append(also)
        case "outbound":
            call.legs += [leg("caller", first)]
            call.legs += [leg("called", None)]
        case _:
            call.legs += [leg("caller", first)]
            call.legs += [leg("called", second)]


def _hand_over(call: Call, giver: str, taker: str, name: str) -> None:
    """After a third of the talk the other agent takes it."""
    assert call.answered_at  # noqa: S101 - only answered calls are handed over
    at = call.answered_at + timedelta(seconds=call.talk_s / 3)
    call.transfers.append(Transfer(type="attended", from_=giver, to=taker, at=at))
    given = next(one for one in call.legs if one.extension == giver)
    taken = next(one for one in call.legs if one.extension == taker)
    taken.started_at, taken.answered_at, taken.ended_at = at - timedelta(seconds=4), at, given.ended_at
    taken.disposition = "answered"
    given.ended_at = at
    call.agent = Agent(extension=taker, name=name)


# --- sound -----------------------------------------------------------------------------------------------------------


def _heard(sounds: Path, says: str) -> Heard:
    """An agent's greeting, and then what the customer says."""
    agent, customer = _samples(sounds / "hello-world.gsm"), _samples(sounds / f"{says}.gsm")
    silence = bytes(len(agent))
    left, right = agent + bytes(len(customer)), silence + customer
    both = bytearray(2 * len(left))
    for offset, channel in ((0, left), (2, right)):
        both[offset::4], both[offset + 1 :: 4] = channel[0::2], channel[1::2]
    file = io.BytesIO()
    samples = sound.encode(iter([bytes(both)]), file, "mp3")
    return Heard(content=file.getvalue(), seconds=round(samples / sound.RATE, 3))


def _samples(path: Path) -> bytes:
    """Mono, 16 bits."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=sound.RATE)
        frames = [made for frame in container.decode(audio=0) for made in resampler.resample(frame)]
        return b"".join(bytes(one.planes[0])[: one.samples * 2] for one in frames)


def _record(db: Database, call: Call, heard: Heard, *, keys: Keys, folders: Folders, tenant: Tenant) -> None:
    """The call lasts as long as its sound, which lies where a recording lies."""
    assert call.answered_at  # noqa: S101 - others have none
    name = f"{call.linkedid}.raw"
    one = Recording(id=mint(keys, tenant.id, call.id, name), file=name, customer_first=True, state="processing")
    path = stored_path(tenant.id, one.id, call.started_at, "mp3")
    target = folders.recordings / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(heard.content)
    _shorten(call, heard.seconds)
    call.recordings = [one]
    keep = partial(recordings.any_tenant_keep, calls=[call], formats={tenant.id: "mp3"})
    db.submit(keep).result()
    call.recordings = [
        Recording(
            id=one.id,
            file=name,
            customer_first=True,
            state="ready",
            format="mp3",
            channels=2,
            duration_s=heard.seconds,
            size_bytes=len(heard.content),
            sha256=hashlib.sha256(heard.content).hexdigest(),
            path=path,
        )
    ]
    outcome = Outcome(tenant_id=tenant.id, call_id=call.id, recording=call.recordings[0])
    gone = call.started_at + timedelta(days=tenant.recording.retention_days)

    def settle(tx: Connection) -> None:
        recordings.settle(tenant.id, tx, outcome, delete_at=gone)

    db.submit(settle).result()


def _shorten(call: Call, seconds: float) -> None:
    assert call.answered_at and call.ended_at  # noqa: S101, PT018 - as above
    before, call.ended_at, call.talk_s = call.ended_at, call.answered_at + timedelta(seconds=seconds), seconds
    for leg in call.legs:
        if leg.ended_at == before:
            leg.ended_at = call.ended_at
