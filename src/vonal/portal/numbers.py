"""Public numbers: whom each rings, in what order and for how long."""

from dataclasses import dataclass
from typing import Any

from litestar import Response

from vonal.directory import editing
from vonal.directory import numbers as edits
from vonal.directory.editing import ChangedMeanwhile
from vonal.domain.directory import Extension, Number
from vonal.domain.errors import InvalidParts
from vonal.portal.asked import Asked
from vonal.portal.forms import SAVED, Faults, faults_of, refusing
from vonal.portal.page import go, page
from vonal.portal.route import Route
from vonal.portal.services import Portal

_UNDER = "numbers[0]."


@dataclass(frozen=True, kw_only=True)
class Typed:
    """What stands in the form. `order`: all extensions, as they stand; `ring`: those that are ticked, in that order."""

    name: str
    strategy: str
    timeout: str
    order: list[str]
    ring: list[str]


async def listing(_portal: Portal, asked: Asked) -> Response[bytes]:
    """All numbers, and what happens when somebody calls one."""
    return page(asked, "numbers/list.html", numbers=asked.tenant.numbers, people=_people(asked))


async def show(_portal: Portal, asked: Asked) -> Response[bytes]:
    """One of them, with its form."""
    return _form(asked, edits.find(asked.tenant, _number(asked)))


async def arrange(_portal: Portal, asked: Asked) -> Response[bytes]:
    """The form with an extension moved up or down, or anew with what was changed in it: nothing is saved."""
    typed = _typed(asked)
    for name, by in (("up", -1), ("down", 1)):
        if one := asked.one(name):
            order = edits.moved(typed.order, one, by)
            typed = Typed(
                name=typed.name,
                strategy=typed.strategy,
                timeout=typed.timeout,
                order=order,
                ring=[number for number in order if number in typed.ring],
            )
    template = "numbers/form.html" if asked.is_fragment else "numbers/show.html"
    return _form(asked, edits.find(asked.tenant, _number(asked)), typed=typed, template=template)


async def save(portal: Portal, asked: Asked) -> Response[Any]:
    """It rings so from now on."""
    stored, typed = edits.find(asked.tenant, _number(asked)), _typed(asked)
    try:
        refusing([] if typed.ring else [("ring", "needs a phone to ring")])
        sent = {"number": stored.number, "name": typed.name, "ring": typed.ring}
        wanted = editing.read({**sent, "strategy": typed.strategy, "timeout": typed.timeout}, Number)
        edit = edits.ringing_otherwise(wanted, shown=asked.one("shown"))
        await portal.editor.tenant(asked.tenant.id, edit, by=asked.actor)
    except InvalidParts as fault:
        return _form(asked, stored, typed=typed, faults=faults_of(asked, fault, under=_UNDER), status=422)
    except ChangedMeanwhile:
        fresh = edits.find(portal.tenant(asked.tenant.id) or asked.tenant, stored.number)
        return _form(asked, fresh, typed=typed, changed=True, status=409)
    return go(asked, "/numbers", said=asked.say(SAVED))


def _number(asked: Asked) -> str:
    return f"+{asked.path['number']}"


def _people(asked: Asked) -> dict[str, Extension]:
    by_number = sorted(asked.tenant.extensions, key=lambda one: (len(one.number), one.number))
    return {one.number: one for one in by_number}


def _typed(asked: Asked) -> Typed:
    people = _people(asked)
    given = dict.fromkeys(one for one in asked.many("order") if one in people)
    order = [*given, *(one for one in people if one not in given)]
    ticked = set(asked.many("ring"))
    return Typed(
        name=asked.one("name"),
        strategy=asked.one("strategy"),
        timeout=asked.one("timeout"),
        order=order,
        # An extension that is gone meanwhile stays among them, so that the fault is told and not passed over.
        ring=[one for one in order if one in ticked] + sorted(ticked - set(order)),
    )


def _form(
    asked: Asked,
    number: Number,
    *,
    typed: Typed | None = None,
    faults: Faults | None = None,
    changed: bool = False,
    template: str = "numbers/show.html",
    status: int = 200,
) -> Response[bytes]:
    people = _people(asked)
    rest = [one for one in people if one not in number.ring]
    stored = Typed(
        name=number.name,
        strategy=number.strategy,
        timeout=str(number.timeout),
        order=[*number.ring, *rest],
        ring=number.ring,
    )
    return page(
        asked,
        template,
        status=status,
        number=number,
        people=people,
        stored=stored,
        typed=typed or stored,
        # After a change by somebody else the form is about what is stored now.
        shown=editing.digest(number) if typed is None or changed else asked.one("shown"),
        faults=faults or {},
        changed=changed,
    )


ROUTES = (
    Route(path="/numbers", handler=listing, needs="all_calls"),
    Route(path="/numbers/{number}", handler=show, needs="all_calls"),
    Route(path="/numbers/{number}/arrange", handler=arrange, needs="change_directory", method="POST"),
    Route(path="/numbers/{number}/save", handler=save, needs="change_directory", method="POST"),
)
