"""Order and completeness under random failures, random timing, restarts and pushes that get lost."""

import asyncio
import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delivery_house import DELIVERED, House, webhook
from sample_calls import events_of_call
from vonal.domain.delivery import Outcome
from vonal.domain.events import LIVE, CallEvent
from vonal.store.database import Database
from vonal.store.sql import from_ms, to_ms

HOOKS = ("a", "b")
ANSWERS = {
    "ok": lambda _: DELIVERED,
    "down": lambda _: Outcome(error="timeout", fault="theirs"),
    "busy": lambda _: Outcome(status=503, fault="theirs"),
    "picky": lambda rng: Outcome(status=rng.choice([200, 422]), fault="theirs"),
    "flaky": lambda rng: Outcome(status=rng.choice([200, 500]), fault="theirs"),
}
SETS = (
    ("call.incoming", "call.ringing", "call.answered", "call.ended", "recording.ready", "call.completed"),
    ("call.completed",),
    ("call.incoming", "call.ended", "call.completed"),
)
Step = tuple[Any, ...]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("call"), st.integers(1, 30), st.sampled_from(SETS), st.booleans()),
        st.tuples(st.just("mood"), st.sampled_from(HOOKS), st.sampled_from(sorted(ANSWERS))),
        st.tuples(st.just("wait"), st.sampled_from([0.0, 1.0, 5.0, 20.0, 70.0, 600.0])),
        st.tuples(st.just("turns"), st.integers(1, 20)),
        st.tuples(st.just("restart")),
    ),
    min_size=1,
    max_size=25,
)


@dataclass
class Crm:
    """What the two webhooks got: a fault is noted where it is seen."""

    house: House
    rng: random.Random
    moods: dict[str, str] = field(default_factory=lambda: dict.fromkeys(HOOKS, "ok"))
    told: list[CallEvent] = field(default_factory=list)
    done: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    taken: set[tuple[str, str]] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    crashes: bool = False

    def script(self, hook: str, event: CallEvent) -> Outcome:
        outcome = ANSWERS[self.moods[hook]](self.rng)
        self._check(hook, event)
        if (outcome.status or 0) < 300 and outcome.status:
            self.taken.add((hook, event.id))
        return outcome

    def _check(self, hook: str, event: CallEvent) -> None:
        if (hook, event.id) in self.taken and not self.crashes:
            self.faults.append(f"{event.type} was sent to {hook} again after it had been taken")
        for earlier in self.told:
            if earlier.call_id != event.call_id or earlier.sequence >= event.sequence:
                continue
            late = earlier.type in LIVE and self.house.now >= to_ms(earlier.at) + 38_000
            if (hook, earlier.id) not in self.taken and not late:
                self.faults.append(f"{event.type} overtook {earlier.type} on the way to {hook}")


async def _run(crm: Crm, plan: list[Step]) -> None:
    house = crm.house
    for step in plan:
        match step:
            case ("call", count, types, push):
                calls = [events_of_call(at=from_ms(house.now), types=types) for _ in range(count)]
                for told in zip(*calls, strict=True):
                    crm.told += told
                    await house.tell(told, push=push)
            case ("mood", hook, mood):
                crm.moods[hook] = mood
            case ("wait", seconds):
                house.now += int(seconds * 1000)
                await house.worker.sweep()
            case ("turns", count):
                for _ in range(count):
                    await asyncio.sleep(0)
            case ("restart",):
                crm.crashes = True
                await house.worker.stop(0)
                await house.restart()


@settings(
    max_examples=300,
    phases=[__import__("hypothesis").Phase.generate],
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(plan=steps, seed=st.integers(0, 2**32))
def test_no_event_overtakes_an_earlier_one_of_its_call_and_no_record_is_lost(
    database: Database, plan: list[Step], seed: int
):
    asyncio.run(_order_holds(database, plan, seed))


async def _order_holds(database: Database, plan: list[Step], seed: int) -> None:
    rng = random.Random(seed)
    house = House(database, ticks=lambda: rng.randrange(6))
    crm = Crm(house, rng)
    house.script = crm.script
    await house.save(*(webhook(name) for name in HOOKS))
    await house.worker.refresh()
    await _run(crm, plan)
    crm.moods = dict.fromkeys(HOOKS, "ok")
    for _ in range(40):
        await house.advance(600)
        if "open" not in await house.states():
            break
    records = [one for one in crm.told if one.type not in LIVE]
    missing = [(hook, one.type) for one in records for hook in HOOKS if (hook, one.id) not in crm.taken]
    await house.worker.stop(0)
    assert crm.faults == []
    assert missing == []
    assert set(await house.states()) <= {"delivered", "dropped"}
