"""The portal's scripts, styles and icons, as `make web` has built them: their addresses, and the files themselves."""

import mimetypes
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from litestar import HttpMethod, Request, Response
from litestar.handlers import HTTPRouteHandler
from markupsafe import Markup

from vonal.domain.errors import NotFound

STATIC = Path(__file__).parent / "static"
HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",  # a file's name changes with its content
    "Cross-Origin-Resource-Policy": "same-origin",
    "Vary": "Accept-Encoding",
}
_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))


class NotBuiltError(Exception):
    """The files are not there, as in a fresh clone."""


def asset(name: str) -> str:
    """The address of a file, such as "app.js". Raises NotBuiltError, KeyError."""
    return f"/static/{_read('manifest.json')[name]}"


def icon(name: str, extra: str = "") -> Markup:
    """Tabler's icon of this name, as a picture that means nothing to a screen reader. `extra`: more classes.

    The name must stand in quotation marks in a template or a module of the portal: only those are built in.
    """
    shapes = _read("icons.json").get(name)
    if shapes is None:
        raise KeyError(f"there is no icon {name!r}, or `make web` has not seen it yet")
    style = 'fill="currentColor"' if name.endswith("-filled") else 'fill="none" stroke="currentColor" stroke-width="2"'
    return Markup(  # noqa: S704 - our own build's shapes
        f'<svg class="icon{{}}" viewBox="0 0 24 24" width="24" height="24" {style} stroke-linecap="round"'
        f' stroke-linejoin="round" aria-hidden="true" focusable="false">{shapes}</svg>'
    ).format(f" {extra}" if extra else "")


def routes() -> list[HTTPRouteHandler]:
    """Serves them."""
    handler = HTTPRouteHandler(
        "/static/{name:str}", http_method=[HttpMethod.GET], name="portal static", status_code=200
    )
    return [handler(_serve)]


async def _serve(request: Request[Any, Any, Any]) -> Response[bytes]:
    name = request.path_params["name"]
    if name not in _read("manifest.json").values() and not _is_part(name):
        raise NotFound("There is no such file.")
    accepted = request.headers.get("accept-encoding", "")
    encoding, ending = next((one for one in _ENCODINGS if one[0] in accepted), ("", ""))
    return Response(
        content=_content(f"{name}{ending}"),
        media_type=mimetypes.guess_type(name)[0] or "application/octet-stream",
        headers={**HEADERS, **({"Content-Encoding": encoding} if encoding else {})},
    )


def _is_part(name: str) -> bool:
    """Whether it is what several scripts share: the manifest does not name those."""
    return name.startswith("part-") and name.endswith(".js") and "/" not in name and (STATIC / name).is_file()


@cache
def _content(name: str) -> bytes:
    return (STATIC / name).read_bytes()


@cache
def _read(name: str) -> dict[str, str]:
    try:
        return msgspec.json.decode((STATIC / name).read_bytes(), type=dict[str, str])
    except FileNotFoundError as fault:
        raise NotBuiltError("The portal's scripts and styles have not been built: run `make web`.") from fault
