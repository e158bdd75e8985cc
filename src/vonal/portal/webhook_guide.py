"""The guided form of a webhook. All of it stands in one form, of which one step is shown at a time.

Nothing is kept between the steps but what the form itself carries, so that it works without script, in several windows,
and after the service was restarted.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from litestar import Response

from vonal.domain.dialects import TOLD
from vonal.domain.directory import Webhook
from vonal.domain.errors import RequestError, VonalError
from vonal.domain.events import LIVE, SUBSCRIBABLE, TEST
from vonal.domain.masks import MASKABLE
from vonal.portal import webhook_draft as draft
from vonal.portal import webhook_list, webhook_preview, webhook_reasons, webhook_starts
from vonal.portal.asked import Asked, Form
from vonal.portal.page import go, page
from vonal.portal.route import Route
from vonal.portal.services import Portal
from vonal.webhooks.trial import Trial

MAX_BODY = 262_144  # bytes: certificates may be in it
_NOT_OURS = ("csrf", "step", "go", "stored")


@dataclass(kw_only=True)
class Guide:
    """The form as it is shown. `stored`: the id of the webhook that is changed, empty for a new one."""

    form: Form
    step: str
    stored: str = ""
    faults: dict[str, list[str]] = field(default_factory=dict)
    trial: Trial | None = None
    trouble: VonalError | None = None  # what stands in the way, and is about no field

    steps = draft.STEPS
    tree = draft.TREE
    maskable = MASKABLE
    told = TOLD
    live = LIVE
    subscribable = tuple(one for one in SUBSCRIBABLE if one != TEST)

    def one(self, name: str) -> str:
        """The field's value."""
        return draft.one(self.form, name)

    def has(self, name: str, value: str) -> bool:
        """Whether the value is among the field's."""
        return value in self.form.get(name, [])

    def rows(self, name: str, empty: int = 2) -> list[tuple[str, str]]:
        """The rows of a table of names and values, and some to fill in."""
        return [*draft.pairs(self.form, name), *[("", "")] * empty]

    @property
    def masks(self) -> dict[str, str]:
        """What is masked, by path."""
        return dict(draft.pairs(self.form, "mask"))

    @property
    def other_masks(self) -> list[tuple[str, str]]:
        """Those of the CRM's own fields, and one to fill in."""
        own = [(path, kind) for path, kind in draft.pairs(self.form, "mask") if path not in MASKABLE and kind]
        return [*own, ("", "")]

    @property
    def number(self) -> int:
        """Of the step, from 1."""
        return self.steps.index(self.step) + 1


async def begin(portal: Portal, asked: Asked) -> Response[Any]:
    """An empty form, or one of the ready starting points."""
    if asked.one("webhook"):
        return await webhook_list.show(portal, asked, asked.one("webhook"))
    taken = [one.id for one in await portal.webhooks.all(asked.tenant.id)]
    form = webhook_starts.form_to_begin_with(asked.one("start"), taken)
    return await _answer(portal, asked, Guide(form=form, step=draft.STEPS[0]))


async def edit(portal: Portal, asked: Asked) -> Response[Any]:
    """The form of a stored webhook."""
    webhook = await portal.webhooks.find(asked.tenant.id, asked.path["id"])
    step = asked.one("step") if asked.one("step") in draft.STEPS else draft.STEPS[0]
    return await _answer(portal, asked, Guide(form=draft.form_of(webhook), step=step, stored=webhook.id))


async def move(portal: Portal, asked: Asked) -> Response[Any]:
    """To the step that was asked for, unless something before it is at fault."""
    guide = _sent(asked)
    wanted = asked.one("go", "next")
    here = guide.steps.index(guide.step)
    if wanted == "generate":
        webhook_starts.generate(guide.form, anew=True)
    there = _wanted_step(wanted, here)
    if there > here:
        _keep_until(guide, await _faults(portal, asked, guide), there)
    else:
        guide.step = guide.steps[there]
    return await _answer(portal, asked, guide)


async def preview(portal: Portal, asked: Asked) -> Response[Any]:
    """The request alone, as the form is now."""
    guide = _sent(asked)
    return _page(asked, "webhooks/preview.html", guide=guide, **await _preview(portal, asked, guide))


async def check_address(portal: Portal, asked: Asked) -> Response[Any]:
    """What is wrong with the address, as soon as it is typed."""
    url = asked.one("url")
    reason = portal.webhooks.url_fault(url) if url else None
    return _page(asked, "webhooks/address_fault.html", reasons=[reason] if reason else [])


async def test(portal: Portal, asked: Asked) -> Response[Any]:
    """One `webhook.test` is sent, with the form as it is; nothing is stored but its delivery."""
    guide = _sent(asked)
    faults = await _faults(portal, asked, guide)
    _keep_until(guide, faults, len(guide.steps) - 1)
    if not guide.faults and guide.trouble is None:
        try:
            webhook = await _drafted(portal, asked, guide)
            portal.test_limit.take(asked.tenant.id, now=portal.steady())
            guide.trial = await portal.trials.test(asked.tenant.id, webhook, by=asked.actor)
        except VonalError as fault:
            guide.trouble = fault
    return await _answer(portal, asked, guide)


async def save(portal: Portal, asked: Asked) -> Response[Any]:
    """The webhook is in effect, or shown again with what is wrong."""
    guide = _sent(asked)
    if asked.one("go") in ("on", "paused"):
        guide.form["enabled"] = ["1" if asked.one("go") == "on" else ""]
    _keep_until(guide, await _faults(portal, asked, guide), len(guide.steps) - 1)
    if guide.faults or guide.trouble:
        return await _answer(portal, asked, guide)
    data = draft.json_of(guide.form)
    try:
        if guide.stored:
            done = await portal.webhooks.replace(asked.tenant.id, guide.stored, data, by=asked.actor)
        else:
            done = await portal.webhooks.create(asked.tenant.id, data, by=asked.actor)
    except VonalError as fault:
        guide.trouble = fault
        return await _answer(portal, asked, guide)
    return go(asked, webhook_list.page_of(done.id) if guide.stored else f"/webhooks/{done.id}/done")


async def done(portal: Portal, asked: Asked) -> Response[Any]:
    """What will happen now."""
    hook = await webhook_list.find(portal, asked, asked.path["id"])
    return page(asked, "webhooks/done.html", hook=hook)


def _sent(asked: Asked) -> Guide:
    step = asked.one("step") if asked.one("step") in draft.STEPS else draft.STEPS[0]
    form = {name: list(values) for name, values in asked.form.items() if name not in _NOT_OURS}
    guide = Guide(form=form, step=step, stored=asked.one("stored"))
    if guide.stored:
        form["id"] = [guide.stored]
    return guide


def _wanted_step(wanted: str, here: int) -> int:
    if wanted in draft.STEPS:
        return draft.STEPS.index(wanted)
    moved = here + {"next": 1, "back": -1}.get(wanted, 0)
    return min(max(moved, 0), len(draft.STEPS) - 1)


async def _faults(portal: Portal, asked: Asked, guide: Guide) -> dict[str, list[str]]:
    """All that is wrong with the form, by field; what is about no field is the guide's trouble."""
    told: list[tuple[str, str]] = [(path, "stands twice") for path, _ in draft.twice(guide.form)]
    if not guide.stored and not draft.one(guide.form, "id").strip():
        told.append(("id", "is missing"))
    try:
        await _drafted(portal, asked, guide)
    except RequestError as fault:
        reasons = fault.faults or [(fault.param or "", fault.detail.removeprefix(f"{fault.param}: "))]
        told += [one for one in reasons if one not in told]
    # Whoever reads the form for the first time finds faults of its shape alone; the address is worth more words.
    url = draft.one(guide.form, "url").strip()
    if url and "url" not in dict(told) and (reason := portal.webhooks.url_fault(url)):
        told.append(("url", reason))
    placed = draft.placed(told, guide.form)
    if strange := placed.pop("", None):
        guide.trouble = RequestError("; ".join(strange))
    return placed


async def _drafted(portal: Portal, asked: Asked, guide: Guide) -> Webhook:
    data = draft.json_of(guide.form)
    webhook_id = guide.stored or data["id"] or "draft"
    return await portal.webhooks.drafted(asked.tenant.id, webhook_id, data, new=not guide.stored)


def _keep_until(guide: Guide, faults: dict[str, list[str]], there: int) -> None:
    """Moves to the step `there`, or to the first before it in which something is at fault."""
    before = {name: reasons for name, reasons in faults.items() if guide.steps.index(draft.step_of(name)) < there}
    first = min((guide.steps.index(draft.step_of(name)) for name in before), default=there)
    guide.step = guide.steps[first]
    guide.faults = {name: reasons for name, reasons in before.items() if draft.step_of(name) == guide.step}


async def _answer(portal: Portal, asked: Asked, guide: Guide) -> Response[Any]:
    webhook_starts.generate(guide.form)
    given = await _preview(portal, asked, guide)
    template = "webhooks/guide_form.html" if asked.is_fragment else "webhooks/guide.html"
    status = 422 if (guide.faults or guide.trouble) and not asked.is_fragment else 200
    return _page(asked, template, status=status, guide=guide, draft=draft, **given)


def _page(asked: Asked, template: str, **given: Any) -> Response[bytes]:
    return page(asked, template, say=partial(webhook_reasons.said, asked.language), **given)


async def _preview(portal: Portal, asked: Asked, guide: Guide) -> dict[str, Any]:
    stored = await portal.webhooks.find(asked.tenant.id, guide.stored) if guide.stored else None
    wanted = guide.step == "fields"
    previewed = await webhook_preview.preview(portal, asked.tenant.id, guide.form, stored, examples=wanted)
    return {"previewed": previewed, "shown": previewed.shown, "exact": guide.one("exact") == "1"}


ROUTES = (
    Route(path=f"/webhooks/{webhook_list.NEW}", handler=begin, needs="change_webhooks"),
    Route(path="/webhooks/{id}/edit", handler=edit, needs="change_webhooks"),
    Route(path="/webhooks/{id}/done", handler=done, needs="change_webhooks"),
    # Beside /webhooks/…, where every word may be the id of a webhook.
    Route(path="/webhook-form/step", handler=move, needs="change_webhooks", method="POST", max_body=MAX_BODY),
    Route(path="/webhook-form/preview", handler=preview, needs="change_webhooks", method="POST", max_body=MAX_BODY),
    Route(
        path="/webhook-form/address", handler=check_address, needs="change_webhooks", method="POST", max_body=MAX_BODY
    ),
    Route(path="/webhook-form/test", handler=test, needs="change_webhooks", method="POST", max_body=MAX_BODY),
    Route(path="/webhook-form/save", handler=save, needs="change_webhooks", method="POST", max_body=MAX_BODY),
)
