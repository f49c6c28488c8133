"""How a good input becomes a hostile one. Seeded: the same seed makes the same inputs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

__all__ = ["mutated"]

_TOKENS: Final = (
    *(b"\x00", b"\xff", b"\x80", b"\x7f", b"\x30\x80", b"\x84\xff\xff\xff\xff", b"\x00\x00"),
    *(b"{", b"}", b"[" * 40, b'"', b":", b",", b"null", b"1e400", b"-0", b"NaN", b"\\ud800"),
    *(b"<<", b">>", b" obj\n", b"endobj", b"stream\r\n", b" 0 R", b"xref\n", b"%%EOF", b"/Prev 0"),
    *(b"/ByteRange [0 0 0 0]", b"/Contents <", b"/Filter /FlateDecode", b"/Length 999999999"),
    *(b"PK\x01\x02", b"PK\x05\x06", "測".encode(), b"\xf0\x9f", b".", b"=", b"%00", b"&", b"\r\n"),
)
_LARGEST: Final = 200_000


def mutated(chance: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds, with one to eight things done to it."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        _once(chance, data, seeds)
    return bytes(data[:_LARGEST])


def _once(chance: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    if not data:
        data += chance.choice(_TOKENS)
        return
    place = chance.randrange(len(data))
    end = min(len(data), place + chance.choice((1, 2, 4, 16, 64, 1024)))
    match chance.randrange(8):
        case 0:
            data[place] ^= 1 << chance.randrange(8)
        case 1:
            data[place] = chance.randrange(256)
        case 2:
            del data[place:end]
        case 3:
            data[place:place] = chance.choice(_TOKENS)
        case 4:
            data[place:end] = chance.choice(_TOKENS)
        case 5:
            # A length, most often, where the formats are of ASN.1.
            data[place] = (data[place] + chance.choice((-1, 1, 2, -2))) % 256
        case 6:
            other = chance.choice(seeds)
            start = chance.randrange(len(other) or 1)
            data[place:end] = other[start : start + (end - place)]
        case _:
            del data[place : place + 1 if chance.random() < 0.8 else len(data)]
