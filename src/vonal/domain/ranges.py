"""The `Range` header (RFC 9110, section 14): which bytes of a file are wanted."""

import re
from typing import NamedTuple

from vonal.domain.errors import RangeNotSatisfiable

_SINGLE = re.compile(r"[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*")


class ByteRange(NamedTuple):
    """Bytes `first` to `last`, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """How many bytes these are."""
        return self.last - self.first + 1


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """The bytes of a file of `size` bytes that `header` asks for; None when the whole is to be sent.

    The whole is sent without a header, for a unit other than bytes, and for several ranges at once (which a server may
    ignore). Raises RangeNotSatisfiable (answer 416 with `Content-Range: bytes */SIZE`) for nonsense and for what lies
    beyond the end.
    """
    if header is None:
        return None
    unit, _, wanted = header.partition("=")
    if unit.strip().lower() != "bytes" or "," in wanted:
        return None
    found = _SINGLE.fullmatch(wanted)
    if found is None or found[0].strip() == "-":
        raise RangeNotSatisfiable("Expected Range: bytes=FIRST-LAST, bytes=FIRST- or bytes=-COUNT.")
    first, last = _bounds(found[1], found[2], size)
    if first > last or first >= size:
        raise RangeNotSatisfiable(f"The file has {size} bytes.")
    return ByteRange(first, last)


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    if not first:
        return max(size - int(last), 0), size - 1
    return int(first), min(int(last), size - 1) if last else size - 1
