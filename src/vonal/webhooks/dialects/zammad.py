"""Zammad's generic CTI: https://docs.zammad.org/en/latest/api/generic-cti/index.html. Pure.

Where the pages leave a choice, its source decides (app/models/cti/driver/base.rb, app/models/cti/log.rb). `user` of an
answer is one text: it is asked for its `downcase`, which a list has not; and only incoming calls have it, for it would
overwrite the customer's name in the log. `answeringNumber` finds the agent by phone, login or id: the e-mail address,
usually the login, names nobody else, as an extension might. No `queue`: Zammad takes the number for it.
"""

from vonal.domain.events import CallEvent
from vonal.webhooks.dialects import words
from vonal.webhooks.dialects.words import Data, Fields


def fields(event: CallEvent, data: Data, _host: str) -> Fields | None:
    """The fields in the order of Zammad's examples."""
    moment = words.moment(event)
    if moment is None:
        return None
    told: Fields = [
        ("event", moment),
        ("from", words.number(data["from"])),
        ("to", words.number(data["to"])),
        ("direction", words.direction(data)),
        ("callId", words.call_id(event)),
    ]
    if moment == "newCall":
        return told + _users(data)
    if moment == "answer":
        return told + (_agent(data) if words.direction(data) == "in" else [])
    return [*told, *_agent(data), ("cause", words.cause(data))]


def _users(data: Data) -> Fields:
    return [("user", [name for one in words.people(data) if (name := words.name(one))])]


def _agent(data: Data) -> Fields:
    agent = data["agent"]
    if not agent or not (name := words.name(agent)):
        return []
    answering = agent["email"] or agent["extension"]
    told: Fields = [("user", name)]
    answered = data["times"]["answered_at"] is not None and words.direction(data) == "in"
    return [*told, ("answeringNumber", answering)] if answered and answering else told
