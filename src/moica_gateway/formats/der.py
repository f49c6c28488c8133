"""The little of DER (X.690) that signed attributes and ``SignedData`` need, written at once.

asn1crypto builds a tree of objects for it, which costs more than everything else in a signature;
that these bytes are the ones that it makes is tested. Reading is left to libraries, but for the one
question that they do not ask: whether it can be read in one way only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = [
    "CONTEXT_0",
    "INTEGER",
    "OCTET_STRING",
    "OID",
    "SEQUENCE",
    "SET",
    "UTF8_STRING",
    "is_definite",
    "object_identifier",
    "set_of",
    "tlv",
]

INTEGER: Final = 0x02
OCTET_STRING: Final = 0x04
OID: Final = 0x06
UTF8_STRING: Final = 0x0C
SEQUENCE: Final = 0x30
SET: Final = 0x31
CONTEXT_0: Final = 0xA0
_SHORT: Final = 0x80
_CONSTRUCTED: Final = 0x20
_LONG_TAG: Final = 0x1F
_MAX_DEPTH: Final = 40


def tlv(tag: int, *parts: bytes) -> bytes:
    """An element of one byte of tag, around its parts."""
    content = b"".join(parts)
    length = len(content)
    if length < _SHORT:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, _SHORT | len(size))) + size + content


def set_of(parts: Iterable[bytes]) -> bytes:
    """In the order that DER wants: by the encodings themselves (X.690, 11.6)."""
    return tlv(SET, *sorted(parts))


def object_identifier(dotted: str) -> bytes:
    """From its arcs, the first of which is 0, 1 or 2."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return tlv(OID, *(_base128(arc) for arc in (first * 40 + second, *rest)))


def _base128(arc: int) -> bytes:
    digits = [arc & 0x7F]
    while arc := arc >> 7:
        digits.append(arc & 0x7F | _SHORT)
    return bytes(reversed(digits))


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
