"""What a webhook that is still being written would send: the request of a real call, and example values of fields."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from msgspec.structs import replace

from vonal.directory import check_webhook, webhook_form
from vonal.directory.webhook_form import Json
from vonal.domain.call import Call
from vonal.domain.directory import Security, Webhook
from vonal.domain.errors import InvalidParts, RequestError
from vonal.domain.events import SUBSCRIBABLE, TEST
from vonal.portal import request_view
from vonal.portal import webhook_draft as draft
from vonal.portal.asked import Form
from vonal.portal.request_view import RequestView
from vonal.portal.services import Portal
from vonal.store import calls
from vonal.store.calls import CallFilter
from vonal.webhooks import fields
from vonal.webhooks.trial import Preview

EXAMPLE = "https://crm.example/calls"
RECENT_CALLS = 8


@dataclass(frozen=True, kw_only=True)
class Previewed:
    """The request, or why it cannot be made; and what it may be made of."""

    shown: RequestView | None
    detail: str
    recent: list[tuple[Call, str]]
    examples: dict[str, str] = field(default_factory=dict)


async def preview(portal: Portal, tenant_id: str, form: Form, stored: Webhook | None, *, examples: bool) -> Previewed:
    """Of the call and event that the form names, or the newest that fits; with `examples` of all fields."""
    found, _ = await portal.db.read(partial(calls.listing, tenant_id, wanted=CallFilter(), limit=RECENT_CALLS))
    recent = [(one, customer_of(one)) for one in found]
    webhook = lenient(draft.json_of(form), stored)
    if webhook is None:
        return Previewed(shown=None, detail="", recent=recent)
    call, event = draft.one(form, "call") or None, draft.one(form, "event") or None
    if event not in SUBSCRIBABLE or event not in webhook.events or event == TEST:
        event = None
    if call and not any(one.id == call for one in found):
        call = None
    try:
        made = await portal.trials.preview(tenant_id, webhook, call=call, event=event)
        values = await _examples(portal, tenant_id, webhook, made) if examples else {}
    except RequestError as fault:
        return Previewed(shown=None, detail=fault.detail, recent=recent)
    shown = await _shown(portal, tenant_id, made)
    return Previewed(shown=shown, detail="", recent=recent, examples=values)


def lenient(data: Json, stored: Webhook | None) -> Webhook | None:
    """The webhook as far as it can be read: what is broken, or missing still, gives way to something usual."""
    if not data["url"] or check_webhook.url_fault(data["url"]):
        data = {**data, "url": EXAMPLE}
    data = {**data, "id": stored.id if stored else "draft", "events": data["events"] or [TEST]}
    for _ in range(3):  # each round may uncover another fault
        try:
            return webhook_form.read(data, id_=data["id"], stored=stored)
        except InvalidParts as fault:
            data = {"url": EXAMPLE, "events": [TEST], "id": data["id"], **draft.without(data, fault.faults)}
    return None


def customer_of(call: Call) -> str:
    """The number on the other side of the call."""
    party = call.to if call.direction == "outbound" else call.from_
    return party.number or party.raw


async def _shown(portal: Portal, tenant_id: str, made: Preview) -> RequestView:
    if made.sample:
        return request_view.of(made)
    call = await portal.db.read(partial(calls.find, tenant_id, call_id=made.call_id))
    at: datetime | None = call.started_at if call else None
    return request_view.of(made, customer=customer_of(call) if call else "", at=at)


async def _examples(portal: Portal, tenant_id: str, webhook: Webhook, made: Preview) -> dict[str, str]:
    """What stands at each path in the call's data, masked as the webhook asks."""
    whole = replace(
        webhook,
        method="POST",
        encoding="json",
        dialect="native",
        fields="full",
        recording="reference",
        params={},
        security=Security(),
    )
    call = None if made.sample else made.call_id
    told = await portal.trials.preview(tenant_id, whole, call=call, event=made.event)
    data = json.loads(told.body)["data"]
    paths = {path for group in draft.TREE.values() for path in group}
    return {path: _text(fields.at(data, path)) for path in paths}


def _text(value: Any) -> str:
    """As short as an example may be."""
    if isinstance(value, list):
        return ", ".join(_text(one) for one in value if one is not None)[:80]
    if value is None:
        return ""
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))[:80]
