"""How many requests may be under way, so that no webhook takes the places of others. No I/O.

A webhook is fast until a request of it takes more than a second, and failing after a failed one; each kind has places
of its own. A request that turns out slow leaves its fast place at once: however many webhooks begin to hang at the same
time, the others have their places back within two seconds. One host gets so many connections, whoever sends there.
"""

from collections import Counter
from dataclasses import dataclass, field

from vonal.delivery.lane import Kind, Lane

PLACES: dict[Kind, int] = {"fast": 256, "slow": 128, "failing": 64}
TOTAL = 1024
PER_HOST = 64
SLOW_MS = 1000


@dataclass(eq=False, slots=True)
class Flight:
    """A request under way, since `at` (ms)."""

    lane: Lane
    kind: Kind
    host: str
    at: int


@dataclass(eq=False)
class Room:
    """Asked before each request; `wait` remembers a lane that found no place, and `next_fed` tells which may go now."""

    flights: set[Flight] = field(default_factory=set)
    _taken: Counter[Kind] = field(default_factory=Counter)
    _hosts: Counter[str] = field(default_factory=Counter)
    _waiting: dict[Kind, dict[tuple[str, str], Lane]] = field(
        default_factory=lambda: {kind: {} for kind in PLACES},
    )
    _waiting_for_host: dict[str, dict[tuple[str, str], Lane]] = field(default_factory=dict)

    def has_place(self, lane: Lane) -> bool:
        """Whether the lane may send one more request."""
        return self._kind_has_place(lane.kind) and self._hosts[lane.host] < PER_HOST

    def wait(self, lane: Lane) -> None:
        """The lane found no place."""
        if self._kind_has_place(lane.kind):
            self._waiting_for_host.setdefault(lane.host, {})[lane.key] = lane
        else:
            self._waiting[lane.kind][lane.key] = lane

    def is_waiting(self, lane: Lane) -> bool:
        """Whether the lane is still to be told of a place."""
        return lane.key in self._waiting[lane.kind] or lane.key in self._waiting_for_host.get(lane.host, ())

    def enter(self, lane: Lane, now: int) -> Flight:
        """One of the lane's requests is under way."""
        flight = Flight(lane, lane.kind, lane.host, now)
        self.flights.add(flight)
        self._taken[flight.kind] += 1
        self._hosts[flight.host] += 1
        return flight

    def at_host(self, flight: Flight, host: str) -> None:
        """Where the request goes turns out when it is made; the lane's next ones are asked about this host."""
        if flight.host != host:
            self._let_go_of_host(flight.host)
            flight.host = flight.lane.host = host
            self._hosts[host] += 1

    def leave(self, flight: Flight) -> None:
        """The request is over."""
        self.flights.discard(flight)
        self._taken[flight.kind] -= 1
        self._let_go_of_host(flight.host)

    def tell_slow(self, now: int) -> None:
        """Moves what has been under way for long out of the places of the fast."""
        for flight in self.flights:
            if flight.kind == "fast" and now - flight.at > SLOW_MS:
                flight.kind, flight.lane.slow = "slow", True
                self._taken["fast"] -= 1
                self._taken["slow"] += 1

    def next_fed(self) -> Lane | None:
        """A lane that waited and has a place now; it waits no longer."""
        for kind, waiting in self._waiting.items():
            if waiting and self._kind_has_place(kind):
                return waiting.pop(next(iter(waiting)))
        for host, waiting in self._waiting_for_host.items():
            if self._hosts[host] < PER_HOST:
                lane = waiting.pop(next(iter(waiting)))
                if not waiting:
                    del self._waiting_for_host[host]
                return lane
        return None

    def _kind_has_place(self, kind: Kind) -> bool:
        return self._taken[kind] < PLACES[kind] and len(self.flights) < TOTAL

    def _let_go_of_host(self, host: str) -> None:
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]
