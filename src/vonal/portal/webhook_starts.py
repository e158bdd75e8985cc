"""Where the form begins: a webhook for screen pops, one for the call log, or both in one, with names of their own."""

import secrets
from collections.abc import Collection

from vonal.domain.directory import Security, Webhook
from vonal.domain.security import new_signing_key
from vonal.portal import webhook_draft as draft
from vonal.portal.asked import Form

_LIVE = ["call.incoming", "call.ringing", "call.answered", "call.ended"]
_RECORDS = ["call.completed", "call.updated", "recording.ready"]
_SIGNED = Security(type="hmac")
STARTS = {
    "screen_pop": Webhook(
        id="screen-pop",
        url="",
        method="GET",
        events=["call.ringing"],
        fields=["call.id", "from.number", "from.name", "agent.extension"],
        recording="none",
        timeout=5,
        security=_SIGNED,
    ),
    "call_log": Webhook(id="call-log", url="", events=_RECORDS, security=_SIGNED),
    "both": Webhook(id="crm", url="", events=[*_LIVE, *_RECORDS], security=_SIGNED),
}


def form_to_begin_with(start: str, taken: Collection[str]) -> Form:
    """The form as it is first shown; `taken`: the names that the tenant's webhooks have."""
    form = draft.form_of(STARTS.get(start, STARTS["both"]))
    name = draft.one(form, "id")
    free = next(one for one in (name, *(f"{name}-{number}" for number in range(2, 1000))) if one not in taken)
    form |= {"id": [free]}
    generate(form)
    return form


def generate(form: Form, *, anew: bool = False) -> None:
    """Puts a fresh secret where the chosen security needs one and none stands yet, or `anew`."""
    kind = draft.one(form, "security_type")
    if kind == "hmac" or draft.one(form, "also_sign") == "1":
        _fill(form, "signing_key", new_signing_key(), anew=anew and kind == "hmac")
    if kind == "encrypted":
        _fill(form, "encryption_key", secrets.token_urlsafe(32), anew=anew)
    if kind in ("api_key_header", "api_key_param") and anew:  # most receivers say which key they want
        form["api_key"] = [secrets.token_urlsafe(32)]


def _fill(form: Form, name: str, secret: str, *, anew: bool) -> None:
    if anew or not draft.one(form, name):
        form[name] = [secret]
