"""Which faults happen when: drawn from a seed, so that the same seed gives the same story. Pure."""

import random
from typing import Literal

from msgspec import Struct

Database = Literal["sqlite", "postgresql"]

FREEZE_S = (1.0, 4.0)
LONG_FREEZE_S = (60.0, 130.0)  # long enough for the engine's watcher to prove that Asterisk is hung
LONG = 0.1  # so many of a soak's freezes of Asterisk are long ones
CRM_S = (1.5, 4.0)
CLOCK_S = (2.0, 5.0)
CLOCK_JUMPS = (-86_400, -3600, 3600, 86_400)
KINDS: dict[str, tuple[float, float]] = {
    "vonal.kill": (0.0, 0.0),
    "vonal.freeze": FREEZE_S,
    "vonal.restart": (0.0, 0.0),
    "asterisk.kill": (0.0, 0.0),
    "asterisk.freeze": FREEZE_S,
    "crm.down": CRM_S,
    "crm.hang": CRM_S,
    "crm.500": CRM_S,
    "crm.garbage": CRM_S,
    "crm.drip": CRM_S,
    "crm.cut": CRM_S,
    "crm.endless": CRM_S,
    "clock.jump": CLOCK_S,
}
"""Each kind with the shortest and longest time that it lasts, in seconds."""
ONLY: dict[Database, dict[str, tuple[float, float]]] = {
    "sqlite": {"disk.full": FREEZE_S},
    "postgresql": {"postgresql.kill": FREEZE_S, "postgresql.freeze": FREEZE_S, "postgresql.terminate": (0.0, 0.0)},
}


class Fault(Struct, frozen=True, kw_only=True):
    """It begins `at` (seconds from the start) and is lifted after `lasts` seconds. `jump`: the clock's, in seconds."""

    at: float
    kind: str
    lasts: float
    jump: int = 0

    @property
    def part(self) -> str:
        """What is hit: vonal, asterisk, postgresql, crm, disk or clock."""
        return self.kind.partition(".")[0]


def short(seed: int, database: Database, *, seconds: float) -> list[Fault]:
    """Every kind once, those that both databases share dealt out between the two."""
    chance = random.Random(seed)
    shared = list(KINDS)
    chance.shuffle(shared)
    kinds = [*shared[database == "postgresql" :: 2], *ONLY[database]]
    chance.shuffle(kinds)
    kinds.sort(key=lambda one: one != "vonal.restart")  # it takes 20 s, in which the others happen
    step = seconds / len(kinds)
    return [_fault(chance, kind, (place + chance.random()) * step, long=0.0) for place, kind in enumerate(kinds)]


def long(seed: int, database: Database, *, seconds: float, every: float = 8.0) -> list[Fault]:
    """One fault every so many seconds on the average, at any moment: some come on top of each other."""
    chance = random.Random(seed)
    kinds = [*KINDS, *ONLY[database]]
    times = sorted(chance.uniform(0, seconds) for _ in range(int(seconds / every)))
    return [_fault(chance, chance.choice(kinds), at, long=LONG) for at in times]


def _fault(chance: random.Random, kind: str, at: float, *, long: float) -> Fault:
    lasts = {**KINDS, **ONLY["sqlite"], **ONLY["postgresql"]}[kind]
    if kind == "asterisk.freeze" and chance.random() < long:
        lasts = LONG_FREEZE_S
    jump = chance.choice(CLOCK_JUMPS) if kind == "clock.jump" else 0
    return Fault(at=round(at, 2), kind=kind, lasts=round(chance.uniform(*lasts), 2), jump=jump)
