"""Whatever is killed, frozen, full or wrong: the CRM's records are the journal's calls, each once.

Two lengths: the short one for `make test`, and `make soak` (FAULTS_MINUTES). FAULTS_SEED repeats a story.
"""

import os
import random
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import pytest

from faults import plan
from faults.house import house
from faults.inject import DATABASE
from faults.story import tell
from postgresql import running_server

MINUTES = float(os.environ.get("FAULTS_MINUTES", "0"))
SEED = int(os.environ.get("FAULTS_SEED", "") or (random.SystemRandom().randrange(10_000) if MINUTES else 1))
SHORT_S = 16.0
LONG_RATE, SHORT_RATE = 20.0, 10.0  # calls per second


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_the_crm_has_each_call_of_the_journal_once(
    tmp_path: Path, database: Literal["sqlite", "postgresql"], capfd: pytest.CaptureFixture[str]
) -> None:
    def say(text: str) -> None:
        with capfd.disabled():
            print(text, flush=True)

    seconds = MINUTES * 30 if MINUTES else SHORT_S
    rate = LONG_RATE if MINUTES else SHORT_RATE
    faults = (plan.long if MINUTES else plan.short)(SEED, database, seconds=seconds)
    say(f"\n{database}, FAULTS_SEED={SEED}, {seconds:.0f} s at {rate:.0f} calls/s")
    with ExitStack() as stack:
        server = stack.enter_context(running_server()) if database == "postgresql" else None
        if server:
            server.create(DATABASE)
        clock_moves = any(one.part == "clock" for one in faults)
        async with house(tmp_path, server=server, name=DATABASE, clock_moves=clock_moves) as made:
            verdict = await tell(made, faults, seconds=seconds, rate=rate, seed=SEED, say=say)
    assert verdict.calls > 0
    assert verdict.good, verdict
    assert not made.crm.backwards
