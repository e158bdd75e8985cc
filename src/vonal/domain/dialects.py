"""Which of our events other systems' formats can tell, and which settings mean nothing beside them."""

from vonal.domain.directory import Webhook
from vonal.domain.events import TEST

OPENING = ("call.incoming", "call.outgoing")
FOLLOWING = ("call.answered", "call.ended")
TOLD = (*OPENING, *FOLLOWING, TEST)  # the same three moments of a call in all of them


def opening(direction: str) -> str:
    """The event that begins a call of this direction."""
    return "call.incoming" if direction == "inbound" else "call.outgoing"


def faults(webhook: Webhook) -> list[tuple[str, str]]:
    """(path, reason) of all that does not go with the webhook's dialect; a default is never a fault."""
    name = webhook.dialect
    if name == "native":
        return []
    found = [
        (f"events[{index}]", f"the dialect {name} cannot tell {event}; it tells {', '.join(TOLD)}")
        for index, event in enumerate(webhook.events)
        if event not in TOLD
    ]
    if set(FOLLOWING).intersection(webhook.events) and not set(OPENING).intersection(webhook.events):
        found.append(("events", f"{' and '.join(FOLLOWING)} are told after {' or '.join(OPENING)}; add one of these"))
    if webhook.method != "POST":
        found.append(("method", f"the dialect {name} needs POST"))
    if webhook.fields != "standard":
        found.append(("fields", f"mean nothing with the dialect {name}, whose fields are fixed; mask hides some"))
    if webhook.recording == "inline":
        found.append(("recording", f"the dialect {name} carries no recordings"))
    if webhook.security.type == "encrypted":
        found.append(("security.type", f"encrypted bodies are not known to the dialect {name}"))
    if webhook.scope.extensions:
        found.append(
            ("scope.extensions", f"with the dialect {name}, a call begins before its extension is known; use numbers")
        )
    return found
