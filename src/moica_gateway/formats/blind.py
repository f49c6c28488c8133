"""No blind signing (security rule 8): content that is itself something to be signed is refused.

Whoever gets a bare signature over CMS attributes, a ``SignedInfo``, a ``DigestInfo`` or a statement
of ours could present it as a signature over something that the holder never saw.
"""

from __future__ import annotations

import re
from typing import Final

from asn1crypto import core

from moica_gateway.domain.statements import STATEMENT_PREFIX
from moica_gateway.errors import error

__all__ = ["refuse_blind"]

# Whatever name stands in front of the colon, in Chinese or in UTF-16.
_SIGNED_INFO: Final = re.compile(rb"[<:]SignedInfo[\s>/]")


# Only the outermost shape counts: whoever checks such a thing skips values of attributes that it
# does not look at, so a malformed value must not make a set of attributes harmless here.


class _Attribute(core.Sequence):  # type: ignore[misc]  # asn1crypto ships no types
    _fields = [("type", core.ObjectIdentifier), ("values", core.SetOf, {"spec": core.Any})]  # noqa: RUF012 - the library's way to declare


class _Attributes(core.SetOf):  # type: ignore[misc]  # asn1crypto ships no types
    _child_spec = _Attribute


class _Algorithm(core.Sequence):  # type: ignore[misc]  # asn1crypto ships no types
    _fields = [  # noqa: RUF012 - the library's way to declare
        ("algorithm", core.ObjectIdentifier),
        ("parameters", core.Any, {"optional": True}),
    ]


class _DigestInfo(core.Sequence):  # type: ignore[misc]  # asn1crypto ships no types
    _fields = [("digest_algorithm", _Algorithm), ("digest", core.OctetString)]  # noqa: RUF012 - the library's way to declare


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
    if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(STATEMENT_PREFIX):
        return "a statement of the gateway"
    if _SIGNED_INFO.search(_as_ascii(content)):
        return "an XML SignedInfo"
    if content[:1] in (b"\x31", b"\xa0") and _are_attributes(b"\x31" + content[1:]):
        return "CMS signed attributes"
    if content[:1] == b"\x30" and _is_digest_info(content):
        return "a DigestInfo"
    return None


def _as_ascii(content: bytes) -> bytes:
    """UTF-16 and UTF-32 without their zero bytes: enough to see an element's name."""
    return content.replace(b"\x00", b"")


# asn1crypto raises ValueError and TypeError on malformed input, and recurses on nesting; what it
# cannot read is not that thing.
_UNREADABLE: Final = (ValueError, TypeError, KeyError, RecursionError, OverflowError)


def _are_attributes(content: bytes) -> bool:
    try:
        attributes = list(_Attributes.load(content, strict=True))
        # `len` reads the set of values; even an empty one makes an attribute.
        return bool(attributes) and all(
            a["type"].dotted and len(a["values"]) >= 0 for a in attributes
        )
    except _UNREADABLE:
        return False


def _is_digest_info(content: bytes) -> bool:
    try:
        info = _DigestInfo.load(content, strict=True)
        return bool(info["digest_algorithm"]["algorithm"].dotted and info["digest"].native)
    except _UNREADABLE:
        return False
