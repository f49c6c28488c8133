"""What the holder signs when there is no document: statements of ours, domain-separated. Pure.

A caller's content that begins like one is refused (security rule 8), so that a signature over a
statement can never be obtained as one over a document.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from moica_gateway.errors import error

__all__ = ["STATEMENT_PREFIX", "registration_statement"]

STATEMENT_PREFIX: Final = b"moica-gateway statement"


def registration_statement(
    tenant: str, user_id: str, nonce_hex: str, hint: str, at: datetime
) -> bytes:
    """UTF-8, one fact a line; at most 768 bytes with ids of 100 ASCII characters and any hint.

    Args:
        tenant: Whose document system.
        user_id: Its user.
        nonce_hex: Fresh, 16 bytes or more, so that no two statements are alike.
        hint: As the holder sees it.
        at: Aware.

    Raises:
        RequestError: ``request_invalid`` for a value that is not one printable line: it could
            say something in the next line that nobody meant.
    """
    values = (tenant, user_id, nonce_hex, hint)
    if not all(value.isprintable() and value for value in values):
        raise error(
            "request_invalid",
            "expected tenant, user, nonce and hint as one line of printable characters each; the "
            "integrator sends a `user_id` without control characters",
            member="user_id",
        )
    return "\n".join(
        (
            f"{STATEMENT_PREFIX.decode('ascii')} v1: registration",
            "本人登記行動自然人憑證，供下列系統之公文簽章使用。",
            "I register my mobile citizen certificate for signing documents in this system.",
            f"tenant: {tenant}",
            f"user: {user_id}",
            f"nonce: {nonce_hex}",
            f"time: {at.astimezone(UTC).isoformat(timespec='seconds')}",
            f"hint: {hint}",
            "",
        )
    ).encode()
