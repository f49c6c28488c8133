"""No blind signing (security rule 8): content that is itself something to be signed is refused.

Whoever gets a bare signature over CMS attributes, a ``SignedInfo``, a ``DigestInfo`` or a statement
of ours could present it as a signature over something that the holder never saw.
"""

from __future__ import annotations

import re
from typing import Final

from asn1crypto import algos, cms

from moica_gateway.domain.statements import STATEMENT_PREFIX
from moica_gateway.errors import error

__all__ = ["refuse_blind"]

_SIGNED_INFO: Final = re.compile(rb"<\s*(?:[A-Za-z_][\w.-]*:)?SignedInfo[\s>/]")


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
    if _is_der(content, 0x31) and _parses(cms.CMSAttributes, content):
        return "CMS signed attributes"
    if _is_der(content, 0xA0) and _parses(cms.CMSAttributes, b"\x31" + content[1:]):
        return "CMS signed attributes"
    if _is_der(content, 0x30) and _parses(algos.DigestInfo, content):
        return "a DigestInfo"
    return None


def _as_ascii(content: bytes) -> bytes:
    """UTF-16 and UTF-32 without their zero bytes: enough to see an element's name."""
    return content.replace(b"\x00", b"")


def _is_der(content: bytes, tag: int) -> bool:
    return len(content) >= 2 and content[0] == tag


def _parses(spec: type[cms.CMSAttributes] | type[algos.DigestInfo], content: bytes) -> bool:
    # asn1crypto raises ValueError and TypeError on malformed input, KeyError on unknown choices,
    # and recurses on nesting; whatever it cannot read whole is not that thing.
    try:
        value = spec.load(content, strict=True).native
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return False
    return bool(value)
