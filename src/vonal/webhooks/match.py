"""Which webhook wants which call event. Pure."""

from typing import Any

from vonal.domain.directory import Webhook, WebhookScope
from vonal.domain.events import MISSED, TEST, CallEvent


def matches(webhook: Webhook, event: CallEvent) -> bool:
    """Whether the event is to be sent to the webhook.

    `scope.extensions` looks at everybody of the tenant who has had part in the call so far, so a `call.incoming`, which
    comes before any phone rings, passes only if the call knows its agent already; `call.ringing` names who rings.
    """
    return webhook.enabled and _subscribed(webhook, event) and _in_scope(webhook.scope, event)


def _subscribed(webhook: Webhook, event: CallEvent) -> bool:
    if event.type in webhook.events:
        return True
    return MISSED in webhook.events and _is_missed(event)


def _is_missed(event: CallEvent) -> bool:
    call = event.data["call"]
    return event.type == "call.completed" and call["direction"] == "inbound" and call["disposition"] != "answered"


def _in_scope(scope: WebhookScope, event: CallEvent) -> bool:
    if event.type == TEST:
        return True
    data = event.data
    if scope.directions and data["call"]["direction"] not in scope.directions:
        return False
    if scope.extensions and not _extensions(data).intersection(scope.extensions):
        return False
    return not scope.numbers or not {data["from"]["number"], data["to"]["number"]}.isdisjoint(scope.numbers)


def _extensions(data: dict[str, Any]) -> set[str]:
    there = {leg["extension"] for leg in data["legs"] if leg["extension"]}
    agent = data["agent"]
    return there | {agent["extension"]} if agent else there
