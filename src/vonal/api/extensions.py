"""`/api/v1/extensions`: the tenant's phones, and what they are doing."""

from typing import Literal

from litestar import Response
from msgspec import Struct

from vonal.api.operation import Answers, Asked, Operation, json_answer
from vonal.api.services import Services
from vonal.domain.directory import Extension
from vonal.domain.errors import TelephonyUnavailable
from vonal.domain.telephony import Phone


class ExtensionShape(Struct, frozen=True, kw_only=True):
    """An extension. `in_call`: its phone rings or is in a conversation."""

    number: str
    name: str
    email: str | None
    registered: bool
    in_call: bool
    state: Literal["offline", "idle", "in_call"]


class ExtensionPage(Struct, frozen=True, kw_only=True):
    """All extensions of the tenant; there is never a second page."""

    items: list[ExtensionShape]
    next_cursor: None = None


async def list_extensions(services: Services, asked: Asked) -> Response[bytes]:
    """The tenant's extensions with their phones' states."""
    tenant = services.tenant(asked.tenant_id)
    phones = await services.phones(asked.tenant_id)
    known = tenant.extensions if tenant else []
    return json_answer(ExtensionPage(items=[_shown(one, phones.get(one.number)) for one in known]))


def _shown(extension: Extension, phone: Phone | None) -> ExtensionShape:
    registered = phone is not None and phone.registered
    in_call = phone is not None and bool(phone.channels)
    reachable: Literal["offline", "idle"] = "idle" if registered else "offline"
    return ExtensionShape(
        number=extension.number,
        name=extension.name,
        email=extension.email,
        registered=registered,
        in_call=in_call,
        state="in_call" if in_call else reachable,
    )


OPERATIONS = (
    Operation(
        name="listExtensions",
        methods=("GET",),
        path="/api/v1/extensions",
        summary="Extensions, with registration and in-call state",
        scope="read",
        handler=list_extensions,
        answers={200: Answers(description="All extensions of the tenant.", body=ExtensionPage)},
        errors=(TelephonyUnavailable,),
    ),
)
