"""Makes pages out of templates, with what every page has: the viewer, the language, the form's token, the policy."""

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Response
from litestar.response import Redirect

from vonal.domain.users import Language
from vonal.portal import formats, words
from vonal.portal.asked import Asked
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
    "Cache-Control": "no-store",
    "Vary": "HX-Request, Cookie",
}


def page(asked: Asked, template: str, *, status: int = 200, **given: Any) -> Response[bytes]:
    """The template as an answer. It sees `asked`, `viewer`, `csrf()`, `_()`, `ngettext()`, the filters of `formats`."""
    environment = _environment(asked.language)
    text = environment.get_template(template).render(
        asked=asked, viewer=asked.viewer, csrf=lambda: _csrf(asked), **given
    )
    return Response(content=text.encode(), status_code=status, media_type="text/html; charset=utf-8", headers=HEADERS)


def go(asked: Asked, path: str) -> Response[Any]:
    """Sends the browser to another page of ours after a deed (303), also when htmx has asked."""
    if "hx-request" in asked.request.headers:
        return Response(content=b"", status_code=200, headers={**HEADERS, "HX-Redirect": path})
    return Redirect(path, status_code=303, headers=HEADERS)


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
    environment.globals["language"] = language
    return environment
