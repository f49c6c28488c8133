"""What the holder signs when there is no document: statements of ours, domain-separated.

A caller's content that begins like one is refused (security rule 8), so that a signature over a
statement can never be obtained as one over a document.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

__all__ = ["STATEMENT_PREFIX", "registration_statement"]

STATEMENT_PREFIX: Final = b"moica-gateway statement"


def registration_statement(
    tenant: str, user_id: str, nonce_hex: str, hint: str, at: datetime
) -> bytes:
    """UTF-8, at most 768 bytes: tenant and user ids have at most 100 characters, the hint 80."""
    return "\n".join(
        (
            STATEMENT_PREFIX.decode("ascii") + " v1: registration",
            "本人登記行動自然人憑證，供下列系統之公文簽章使用。",
            f"tenant: {tenant}",
            f"user: {user_id}",
            f"nonce: {nonce_hex}",
            f"time: {at.isoformat(timespec='seconds')}",
            f"hint: {hint}",
            "",
        )
    ).encode()
