"""What a phone needs to know to register: shown once, and fetched by a softphone that reads the QR code.

The code holds an address, not the secret. Linphone (free, for Android, iOS, Windows, macOS and Linux) reads it and gets
its settings from there (Linphone's documentation, "Remote provisioning").
"""

from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import segno
from litestar import Response

from vonal.domain.directory import Extension
from vonal.domain.errors import NotFound
from vonal.portal.asked import Asked
from vonal.portal.page import HEADERS, page
from vonal.portal.route import Route
from vonal.portal.services import Portal

XML = "application/xml; charset=utf-8"


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A phone's settings."""

    server: str
    user: str
    secret: str
    name: str


def login(tenant_id: str, extension: Extension) -> str:
    """The user by which its phone registers."""
    return f"{tenant_id}-{extension.number}"


def shown(portal: Portal, asked: Asked, extension: Extension, *, fresh: bool) -> Response[bytes]:
    """The page with the secret, which no other page shows. `fresh`: the extension is new, not only its secret."""
    setup = Setup(
        server=portal.sip_server,
        user=login(asked.tenant.id, extension),
        secret=extension.secret or "",
        name=extension.name or extension.number,
    )
    # After the question mark, because the paths of requests are logged.
    link = f"{portal.base_url.rstrip('/')}/phone?code={portal.shelf.put(asked.tenant.id, setup)}"
    code = segno.make(link, error="m", micro=False).svg_data_uri(scale=5, border=4, light="#fff", dark="#000")
    return page(asked, "extensions/secret.html", extension=extension, setup=setup, fresh=fresh, code=code, link=link)


async def provision(portal: Portal, asked: Asked) -> Response[Any]:
    """The settings, for a softphone that has read the code; for a quarter of an hour."""
    found = portal.shelf.look(asked.one("code"), Setup)
    if found is None:
        raise NotFound("This code is no longer valid. Make a new one in the portal: the extension, New phone secret.")
    return Response(content=_linphone(found).encode(), media_type=XML, headers=HEADERS)


def _linphone(setup: Setup) -> str:
    server = f"<sip:{setup.server};transport=tcp>"
    sections = {
        "misc": {"transient_provisioning": "1"},  # it asks this once, not at each start
        "proxy_0": {
            "reg_proxy": server,
            "reg_identity": f'"{_plain(setup.name)}" <sip:{setup.user}@{setup.server}>',
            "reg_sendregister": "1",
            "reg_expires": "600",
        },
        "auth_info_0": {"username": setup.user, "passwd": setup.secret, "domain": setup.server.rpartition(":")[0]},
        "sip": {"default_proxy": "0", "media_encryption": "none"},
    }
    body = "".join(
        f"<section name={quoteattr(section)}>"
        + "".join(f'<entry name={quoteattr(name)} overwrite="true">{escape(text)}</entry>' for name, text in of.items())
        + "</section>"
        for section, of in sections.items()
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<config xmlns="http://www.linphone.org/xsds/lpconfig.xsd">{body}</config>\n'


def _plain(name: str) -> str:
    return "".join(one for one in name if one not in '"<>\\')


ROUTES = (Route(path="/phone", handler=provision, needs="anybody"),)
