"""The one question about DER that the libraries do not ask: can it be read in one way only?"""

from __future__ import annotations

from typing import Final

__all__ = ["is_definite"]

_SHORT: Final = 0x80
_CONSTRUCTED: Final = 0x20
_LONG_TAG: Final = 0x1F
_MAX_DEPTH: Final = 40


def is_definite(data: bytes) -> bool:
    """Whether these bytes are one element whose lengths, all the way down, are definite, in the
    shortest form, and add up: what can be read in one way only."""
    open_until = [len(data)]
    at = 0
    while at < len(data):
        if len(open_until) > _MAX_DEPTH:
            return False
        header = _header(data, at)
        if header is None:
            return False
        constructed, at, end = header
        if end > open_until[-1] or (len(open_until) == 1 and end != len(data)):
            return False
        if constructed:
            open_until.append(end)
        else:
            at = end
        while len(open_until) > 1 and at == open_until[-1]:
            open_until.pop()
    return len(data) > 0 and len(open_until) == 1


def _header(data: bytes, at: int) -> tuple[bool, int, int] | None:
    """Whether it is constructed, where its contents begin, where they end."""
    constructed = bool(data[at] & _CONSTRUCTED)
    # Tags above 30 are in none of the structures that are read here.
    if data[at] & _LONG_TAG == _LONG_TAG or at + 1 >= len(data):
        return None
    first = data[at + 1]
    if first < _SHORT:
        return constructed, at + 2, at + 2 + first
    count = first & 0x7F
    length = data[at + 2 : at + 2 + count]
    if not 1 <= count <= 4 or len(length) < count or length[0] == 0:
        return None
    size = int.from_bytes(length)
    return None if size < _SHORT else (constructed, at + 2 + count, at + 2 + count + size)
