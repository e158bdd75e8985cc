"""Makes pages out of templates, with what every page has: the viewer, the language, the form's token, the policy."""

import gzip
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Response
from litestar.response import Redirect

from vonal.domain.users import Language
from vonal.portal import assets, formats, words
from vonal.portal.asked import Asked
from vonal.portal.said import Said, cookie, found
from vonal.users.sessions import csrf_token

TEMPLATES = Path(__file__).parent / "templates"
# Scripts and styles come from our own files alone; nothing of us stands in another site's frame.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; media-src 'self' blob:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
    "Vary": "HX-Request, Cookie, Accept-Language, Accept-Encoding",
}
_WORTH_PACKING = 1000  # bytes


def page(asked: Asked, template: str, *, status: int = 200, **given: Any) -> Response[bytes]:
    """The template as an answer.

    It sees `asked`, `viewer`, `said`, `csrf()`, `_()`, `ngettext()`, `asset()`, `icon()`, the filters of `formats`.
    """
    said = None if asked.is_fragment else found(asked.request, secure=asked.secure)
    text = rendered(asked, template, said=said, **given)
    content, headers = text.encode(), dict(HEADERS)
    # Forms' tokens are another each time, so what is packed beside them cannot be guessed by length (BREACH).
    if len(content) > _WORTH_PACKING and "gzip" in asked.request.headers.get("accept-encoding", ""):
        content, headers["Content-Encoding"] = gzip.compress(content, 6, mtime=0), "gzip"
    answer = Response(content=content, status_code=status, media_type="text/html", headers=headers)
    if said is not None:
        answer.cookies.append(cookie(None, secure=asked.secure))
    return answer


def rendered(asked: Asked, template: str, *, said: Said | None = None, **given: Any) -> str:
    """The template as text."""
    made = _environment(asked.language).get_template(template)
    return made.render(
        asked=asked, viewer=asked.viewer, csrf=lambda: _csrf(asked), said=said, back=_back(asked), **given
    )


def plain(text: str, *, status: int) -> Response[bytes]:
    """A sentence for a script to show."""
    return Response(content=text.encode(), status_code=status, media_type="text/plain", headers=HEADERS)


def go(asked: Asked, path: str, *, said: str | Said | None = None) -> Response[Any]:
    """Sends the browser to another page of ours after a deed (303), also when htmx has asked.

    `said`, already in the reader's language, is told there.
    """
    answer: Response[Any]
    if "hx-request" in asked.request.headers:
        answer = Response(content=b"", status_code=200, headers={**HEADERS, "HX-Redirect": path})
    else:
        answer = Redirect(path, status_code=303, headers=HEADERS)
    if said is not None:
        told = Said(text=said) if isinstance(said, str) else said
        answer.cookies.append(cookie(told, secure=asked.secure))
    return answer


def _back(asked: Asked) -> str:
    """Where the browser is, for what leads back here; a deed's path shows nothing."""
    url = asked.request.url
    if asked.request.method != "GET":
        return "/"
    return f"{url.path}?{url.query}" if url.query else url.path


def _csrf(asked: Asked) -> str:
    return csrf_token(asked.viewer.signed_in.token) if asked.viewer else ""


@cache
def _environment(language: Language) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        partial(words.gettext, language), partial(words.ngettext, language), newstyle=True
    )
    filters: Mapping[str, Any] = formats.filters(language)
    environment.filters.update(filters)
    environment.globals.update(language=language, asset=assets.asset, icon=assets.icon)
    return environment
