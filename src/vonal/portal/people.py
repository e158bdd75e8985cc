"""The company's people: who may sign in, as what; inviting, changing, helping and removing them."""

from typing import Any

from litestar import Response

from vonal.domain.errors import InvalidParts, VonalError
from vonal.domain.users import ROLES, Membership, Role, User, may_give
from vonal.portal.account import zone_of
from vonal.portal.asked import Asked
from vonal.portal.page import go, page
from vonal.portal.route import Route
from vonal.portal.said import Said
from vonal.portal.services import Portal
from vonal.portal.words import N_, language_of
from vonal.users.staff import Giver

FAULTS = {
    "malformed": N_("Enter an e-mail address, such as anna@example.com."),
    "there": N_("This person is among your people already."),
    "barred": N_("The operator of the service has barred this person."),
    "missing": N_("Enter how the person is called."),
    "unknown": N_("There is no such extension."),
    "last_owner": N_("This is the last owner: make somebody else an owner first."),
}
OWN_ROLE = N_("This is your own role. Tick the box below if you mean it.")
NO_EXTENSION = N_("An agent sees the calls of an extension: choose one.")


async def listing(portal: Portal, asked: Asked) -> Response[Any]:
    """Everybody."""
    staff = portal.people.staff
    return page(
        asked,
        "people/list.html",
        people=await staff.everybody(asked.tenant.id),
        required=await staff.second_factor_required(asked.tenant.id),
        zone=zone_of(asked),
    )


async def invite(_portal: Portal, asked: Asked) -> Response[Any]:
    """The form to invite somebody."""
    empty = dict.fromkeys(("name", "email", "extension"), "")
    return _invite(asked, {**empty, "role": "agent", "language": asked.tenant.language}, {})


async def send(portal: Portal, asked: Asked) -> Response[Any]:
    """Invites somebody; the link is shown this once."""
    typed = {name: asked.one(name) for name in ("name", "email", "role", "extension", "language")}
    user = User(
        id="",
        email=typed["email"].lower(),
        name=typed["name"],
        language=language_of(typed["language"]) or "en",
        memberships=(_place(asked),),
    )
    try:
        made = await portal.people.staff.invite(asked.tenant.id, _giver(asked), user, company=_company(asked))
    except InvalidParts as fault:
        return _invite(asked, typed, _faults(asked, fault))
    link = portal.people.staff.link(made.token, "invitation") if made.token else None
    return page(asked, "people/link.html", user=made.user, link=link, kind="invitation", mailed=portal.people.can_mail)


async def show(portal: Portal, asked: Asked) -> Response[Any]:
    """One of them."""
    return await _show(portal, asked, {})


async def change(portal: Portal, asked: Asked) -> Response[Any]:
    """Another role, or extension."""
    user_id, place = asked.path["id"], _place(asked)
    if user_id == asked.me.user.id and place.role != asked.me.role and not asked.one("sure"):
        return await _show(
            portal, asked, {"role": asked.say("This is your own role. Tick the box below if you mean it.")}
        )
    try:
        await portal.people.staff.change(
            asked.tenant.id, _giver(asked), user_id, role=place.role, extension=place.extension
        )
    except InvalidParts as fault:
        return await _show(portal, asked, _faults(asked, fault))
    return go(asked, "/people" if user_id != asked.me.user.id else "/", said=asked.say("Saved."))


async def remove(portal: Portal, asked: Asked) -> Response[Any]:
    """Removes one of them; the dialog has asked."""
    try:
        await portal.people.staff.remove(asked.tenant.id, _giver(asked), asked.path["id"])
    except InvalidParts as fault:
        return await _show(portal, asked, _faults(asked, fault))
    return go(asked, "/people", said=asked.say("The person may no longer sign in here."))


async def link(portal: Portal, asked: Asked) -> Response[Any]:
    """A link to choose a password, shown this once."""
    made, kind = await portal.people.staff.link_for(
        asked.tenant.id, _giver(asked), asked.path["id"], company=_company(asked)
    )
    address = portal.people.staff.link(made.token or "", kind)
    return page(asked, "people/link.html", user=made.user, link=address, kind=kind, mailed=portal.people.can_mail)


async def remove_factors(portal: Portal, asked: Asked) -> Response[Any]:
    """For who has lost his phone."""
    await portal.people.staff.remove_factors(asked.tenant.id, _giver(asked), asked.path["id"])
    said = Said(text=asked.say("The second factors are removed; all browsers of this person are signed out."))
    return go(asked, f"/people/{asked.path['id']}", said=said)


async def require(portal: Portal, asked: Asked) -> Response[Any]:
    """Whether everybody needs a second factor."""
    required = asked.one("required") == "on"
    if asked.me.role != "owner":
        return go(asked, "/people", said=Said(text=asked.say("Only an owner may change this."), kind="warning"))
    await portal.people.staff.require_second_factor(asked.tenant.id, _giver(asked), required=required)
    return go(asked, "/people", said=asked.say("Saved."))


def _giver(asked: Asked) -> Giver:
    return Giver(role=asked.me.role or "agent", name=asked.me.user.name or asked.me.user.email, actor=asked.actor)


def _company(asked: Asked) -> str:
    return asked.tenant.name or asked.tenant.id


def _place(asked: Asked) -> Membership:
    role: Role = next((one for one in ROLES if one == asked.one("role")), "agent")
    return Membership(tenant_id=asked.tenant.id, role=role, extension=asked.one("extension") or None)


def _faults(asked: Asked, fault: VonalError) -> dict[str, str]:
    return {
        name: asked.say(NO_EXTENSION if (name, reason) == ("extension", "missing") else FAULTS[reason])
        for name, reason in fault.faults
    }


def _invite(asked: Asked, typed: dict[str, str], faults: dict[str, str]) -> Response[bytes]:
    status = 422 if faults else 200
    return page(asked, "people/invite.html", status=status, typed=typed, faults=faults, roles=_roles(asked))


async def _show(portal: Portal, asked: Asked, faults: dict[str, str]) -> Response[bytes]:
    one = await portal.people.staff.find(asked.tenant.id, asked.path["id"])
    return page(
        asked,
        "people/show.html",
        status=422 if faults else 200,
        one=one,
        faults=faults,
        roles=_roles(asked),
        may=may_give(asked.me.role or "agent", one.place.role),
        myself=one.user.id == asked.me.user.id,
        zone=zone_of(asked),
    )


def _roles(asked: Asked) -> list[Role]:
    return [one for one in ROLES if may_give(asked.me.role or "agent", one)]


ROUTES = (
    Route(path="/people", handler=listing, needs="change_users"),
    Route(path="/people/invite", handler=invite, needs="change_users"),
    Route(path="/people/invite", handler=send, needs="change_users", method="POST"),
    Route(path="/people/second-factor", handler=require, needs="change_users", method="POST"),
    Route(path="/people/{id}", handler=show, needs="change_users"),
    Route(path="/people/{id}/change", handler=change, needs="change_users", method="POST"),
    Route(path="/people/{id}/link", handler=link, needs="change_users", method="POST"),
    Route(path="/people/{id}/remove-factors", handler=remove_factors, needs="change_users", method="POST"),
    Route(path="/people/{id}/remove", handler=remove, needs="change_users", method="POST"),
)
