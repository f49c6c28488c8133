"""A `Prepared` as one blob: four bytes of length, the message, the format's state."""

from __future__ import annotations

from typing import Final

from moica_gateway.domain.models import Prepared
from moica_gateway.domain.values import Tbs
from moica_gateway.errors import error

__all__ = ["prepared_from_blob", "prepared_to_blob"]

_LENGTH: Final = 4


def prepared_to_blob(prepared: Prepared) -> bytes:
    """For the store."""
    message = prepared.message.message
    return len(message).to_bytes(_LENGTH, "big") + message + prepared.state


def prepared_from_blob(blob: bytes) -> Prepared:
    """The reverse. Raises ``VerificationError`` ``vault_tampered`` when it is none of ours."""
    end = _LENGTH + int.from_bytes(blob[:_LENGTH], "big")
    if len(blob) < end or end == _LENGTH:
        raise error("vault_tampered", "expected a prepared message, the blob is cut short")
    return Prepared(message=Tbs(message=blob[_LENGTH:end]), state=blob[end:])
