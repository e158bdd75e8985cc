"""A call's legs as bars on a line of time: where each begins, rings, talks and ends. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from vonal.domain.call import Call, Leg

WIDTH = 1000  # of a drawing, in its own units
_LEAST = 4  # so wide is a part that was short, so that it can be seen
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
_MOST_TICKS = 6


@dataclass(frozen=True, kw_only=True)
class Part:
    """From `x` on, `width` wide; lengths in seconds."""

    x: int
    width: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A leg. `starts` is counted in seconds from the call's beginning."""

    leg: Leg
    starts: float
    ringing: Part | None
    talking: Part | None


@dataclass(frozen=True, kw_only=True)
class Line:
    """`marks`: where the call was handed over; `ticks`: places with their seconds."""

    bars: list[Bar]
    marks: list[int]
    ticks: list[tuple[int, int]]
    seconds: float


def line(call: Call, now: datetime) -> Line:
    """The call until now, or until its end."""
    end = max([call.ended_at or now, *(leg.ended_at for leg in call.legs if leg.ended_at)])
    start = min([call.started_at, *(leg.started_at for leg in call.legs)])
    whole = max((end - start).total_seconds(), 1.0)

    def place(at: datetime) -> int:
        return round(min(max((at - start).total_seconds() / whole, 0), 1) * WIDTH)

    def part(first: datetime, last: datetime) -> Part | None:
        if last <= first:
            return None
        x = min(place(first), WIDTH - _LEAST)
        return Part(x=x, width=max(place(last) - x, _LEAST), seconds=(last - first).total_seconds())

    bars = []
    for leg in call.legs:
        over = leg.ended_at or end
        answered = min(leg.answered_at, over) if leg.answered_at else None
        bars.append(
            Bar(
                leg=leg,
                starts=(leg.started_at - start) / timedelta(seconds=1),
                ringing=part(leg.started_at, answered or over),
                talking=part(answered, over) if answered else None,
            )
        )
    step = next((one for one in _STEPS if whole / one <= _MOST_TICKS), _STEPS[-1])
    ticks = [(round(at / whole * WIDTH), at) for at in range(0, int(whole) + 1, step)]
    return Line(bars=bars, marks=[place(one.at) for one in call.transfers], ticks=ticks, seconds=whole)
