"""No blind signing (security rule 8): content that is itself something to be signed is refused.

Whoever gets a bare signature over CMS attributes, a ``SignedInfo``, a ``DigestInfo`` or a statement
of ours could present it as a signature over something that the holder never saw.

Looked at is how content begins, not whether a library can read all of it: whoever wants to get past
puts something unreadable into a corner that a verifier skips. So lengths need not even be right.
Other things that some protocol signs (a certificate request, a JWS) are not recognised.
"""

from __future__ import annotations

import re
from typing import Final

from moica_gateway.domain.statements import STATEMENT_PREFIX
from moica_gateway.errors import error

__all__ = ["refuse_blind"]

# Any prefix: an XML name may have ideographs in it.
_SIGNED_INFO: Final = re.compile(rb"<\s*(?:[^\s<>/:]*:)?SignedInfo(?:[\s>/]|$)")
_SPACE: Final = b"\xef\xbb\xbf\xff\xfe \t\r\n\x0b\x0c"
_SEQUENCE: Final = 0x30
_SET: Final = 0x31
_IMPLICIT_0: Final = 0xA0
_OID: Final = 0x06


def refuse_blind(content: bytes) -> None:
    """Raises ``RequestError`` ``blind_signing_refused``."""
    what = _what_it_is(content)
    if what is not None:
        raise error(
            "blind_signing_refused",
            f"expected a document's own content, came {what}; the integrator sends the document "
            "and lets the gateway make what is signed",
        )


def _what_it_is(content: bytes) -> str | None:
    plain = _as_ascii(content)
    if plain.lstrip(_SPACE).lower().startswith(STATEMENT_PREFIX):
        return "a statement of the gateway"
    if _SIGNED_INFO.search(plain):
        return "an XML SignedInfo"
    tags = _opening_tags(content, 3)
    if tags in ((_SET, _SEQUENCE, _OID), (_IMPLICIT_0, _SEQUENCE, _OID)):
        return "CMS signed attributes"
    if tags == (_SEQUENCE, _SEQUENCE, _OID):
        # Also attributes that were given the tag of a SEQUENCE OF.
        return "a DigestInfo"
    return None


def _as_ascii(content: bytes) -> bytes:
    """UTF-16 and UTF-32 without their zero bytes: enough to see an element's name."""
    return content.replace(b"\x00", b"")


def _opening_tags(content: bytes, count: int) -> tuple[int, ...]:
    """Tags of the outermost ASN.1 element, its first child, that one's first child, …"""
    tags: list[int] = []
    place = 0
    while len(tags) < count and place + 1 < len(content):
        tags.append(content[place])
        length = content[place + 1]
        # The long form says in how many bytes the length follows; 0x80 is the indefinite form.
        place += 2 + (length & 0x7F if length & 0x80 else 0)
    return tuple(tags)
