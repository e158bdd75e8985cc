"""What the CRM remembers of calls, and how its page shows them. Pure."""

from collections.abc import Mapping
from typing import Any, Literal, Protocol

Phase = Literal["agent", "ringing", "talking", "ended"]
ORDER = ("agent", "ringing", "talking", "ended")
MOST_CALLS = 200


class Known(Protocol):
    """A customer in the CRM's files."""

    @property
    def id(self) -> str: ...
    @property
    def number(self) -> str: ...


class Book:
    """Calls by id, each as its newest event tells it: events may come twice, and an old one after a newer."""

    def __init__(self, customers: tuple[Known, ...] | list[Known]) -> None:
        self._customers = {one.number: one.id for one in customers}
        self._calls: dict[str, tuple[int, dict[str, Any]]] = {}

    def take(self, data: dict[str, Any], *, sequence: int | None) -> dict[str, Any] | None:
        """The call as the page shows it, or None when the page knows all this already.

        `sequence`: the event's; None for what was asked from the API, which counts when it is further on.
        """
        call_id, shown = data["call"]["id"], self._shown(data)
        known, before = self._calls.get(call_id, (-1, None))
        if sequence is None:
            newer = before is None or ORDER.index(shown["phase"]) > ORDER.index(before["phase"])
        else:
            newer = sequence > known
        if not newer:
            return None
        self._calls[call_id] = known if sequence is None else sequence, shown
        while len(self._calls) > MOST_CALLS:
            del self._calls[min(self._calls, key=lambda one: str(self._calls[one][1]["started_at"]))]
        return shown

    def shown(self) -> list[dict[str, Any]]:
        """All calls, newest first."""
        return sorted(
            (call for _, call in self._calls.values()), key=lambda call: str(call["started_at"]), reverse=True
        )

    def _shown(self, data: dict[str, Any]) -> dict[str, Any]:
        call, times = data["call"], data["times"]
        other = data["from"] if call["direction"] == "inbound" else data["to"]
        agent = data["agent"] or {}
        return {
            "id": call["id"],
            "direction": call["direction"],
            "phase": phase(data),
            "outcome": call["disposition"],
            "customer": self._customers.get(other["number"] or ""),
            "number": other["number"] or other["raw"],
            "name": other["name"],
            "anonymous": bool(other.get("anonymous")),
            "agent": agent.get("extension"),
            "agent_name": agent.get("name"),
            "started_at": times["started_at"],
            "answered_at": times["answered_at"],
            "talk_s": times["talk_s"],
            "recording": _recording(data["recordings"]),
        }


def phase(data: Mapping[str, Any]) -> Phase:
    """Where in its life the call is. "agent": clicked, and the agent's own phone is still ringing."""
    if data["times"]["ended_at"]:
        return "ended"
    if data["times"]["answered_at"]:
        return "talking"
    clicked = data["call"]["origin"] == "click_to_call"
    return "agent" if clicked and not any(leg["answered_at"] for leg in data["legs"]) else "ringing"


def _recording(recordings: list[dict[str, Any]]) -> dict[str, Any] | None:
    wanted = ("id", "state", "duration_s")
    return next(({name: one[name] for name in wanted} for one in recordings), None)
