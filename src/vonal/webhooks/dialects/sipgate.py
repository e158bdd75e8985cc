"""sipgate.io's push API: https://developer.sipgate.io/push-api/api-reference/. Pure.

`userId` is `w` and the extension, `fullUserId` the tenant's id before it, as sipgate puts them together. A transfer,
which sipgate tells as a second call with the first one's `origCallId`, changes no id here and is not told.
"""

from vonal.domain.events import CallEvent
from vonal.webhooks.dialects import words
from vonal.webhooks.dialects.words import Data, Fields


def fields(event: CallEvent, data: Data, _host: str) -> Fields | None:
    """The form's fields in the order of sipgate's examples."""
    ends: Fields = [("from", words.number(data["from"])), ("to", words.number(data["to"]))]
    ends.append(("direction", words.direction(data)))
    call: Fields = [("callId", words.call_id(event))]
    match words.moment(event):
        case "newCall":
            return [("event", "newCall"), *ends, *call, ("origCallId", words.call_id(event)), *_users(event, data)]
        case "answer":
            return [("event", "answer"), *call, *_answering_user(event, data), *ends, *_answering(data)]
        case "hangup":
            return [("event", "hangup"), ("cause", words.cause(data)), *call, *ends, *_answering(data)]
        case None:
            return None


def _users(event: CallEvent, data: Data) -> Fields:
    people = words.people(data)
    names = [name for one in people if (name := words.name(one))]
    ids = [_id(one) for one in people if one["extension"]]
    return [("user", names), ("userId", ids), ("fullUserId", [event.tenant_id + one for one in ids])]


def _answering_user(event: CallEvent, data: Data) -> Fields:
    """Who answered; "only incoming calls can have this parameter"."""
    agent = data["agent"]
    if words.direction(data) != "in" or not agent:
        return []
    found: Fields = [("user", name)] if (name := words.name(agent)) else []
    if agent["extension"]:
        found += [("userId", _id(agent)), ("fullUserId", event.tenant_id + _id(agent))]
    return found


def _answering(data: Data) -> Fields:
    if data["times"]["answered_at"] is None:
        return []
    if words.direction(data) == "out":
        return [("answeringNumber", words.number(data["to"]))]
    agent = data["agent"]
    return [("answeringNumber", agent["extension"])] if agent and agent["extension"] else []


def _id(person: Data) -> str:
    return f"w{person['extension']}"
