"""`sp_ticket`: what a relying system gets, and what the QR code holds.

`base64url(JSON) "." base64url(SHA-256(first part))`, both without padding (moi-sp-api.md,
"sp_ticket"). The second part is a digest, not a MAC: it shows damage, and proves no sender.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from moica_simulator.errors import PlatformError

__all__ = ["decode", "encode"]


_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def encode(payload: Mapping[str, Any]) -> str:
    """Writes a ticket."""
    first = _base64url(_COMPACT.encode(payload).encode())
    return f"{first}.{_digest(first)}"


def decode(ticket: str) -> dict[str, Any]:
    """Reads a ticket as the app does with a scanned one.

    Raises:
        PlatformError: `SPTKT_PLD_FT_ERR` if it is no ticket, `SPTKT_DIG_FT_ERR` if its digest is
            not that of its first part.
    """
    first, dot, digest = ticket.partition(".")
    if not (first and dot and digest and ticket.isascii()):
        raise PlatformError(
            "SPTKT_PLD_FT_ERR", "a ticket is two base64url parts with a dot between"
        )
    if not hmac.compare_digest(digest, _digest(first)):
        raise PlatformError("SPTKT_DIG_FT_ERR", "the second part is not the digest of the first")
    try:
        text = base64.b64decode(first + "=" * (-len(first) % 4), altchars=b"-_", validate=True)
        payload = json.loads(text)
    except (binascii.Error, ValueError, RecursionError) as error:
        raise PlatformError("SPTKT_PLD_FT_ERR", "the first part holds no JSON") from error
    if not isinstance(payload, dict) or not isinstance(payload.get("sp_ticket_id"), str):
        raise PlatformError("SPTKT_PLD_FT_ERR", "the payload has no sp_ticket_id")
    return payload


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _digest(first: str) -> str:
    return _base64url(hashlib.sha256(first.encode("ascii")).digest())
