"""The little of DER (X.690) that signed attributes and ``SignedData`` need, written at once.

asn1crypto builds a tree of objects for it, which costs more than everything else in a signature;
that these bytes are the ones that it makes is tested. Reading is left to libraries.
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
