"""What the holder signs when there is no document: statements of ours, domain-separated. Pure.

A caller's content that begins like one is refused (security rule 8), so that a signature over a
statement can never be obtained as one over a document.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from moica_gateway.errors import error

__all__ = ["STATEMENT_PREFIX", "authentication_statement", "registration_statement"]

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
    return _statement(
        "registration",
        "本人登記行動自然人憑證，供下列系統之公文簽章使用。",
        "I register my mobile citizen certificate for signing documents in this system.",
        (tenant, user_id, nonce_hex, hint),
        at,
    )


def authentication_statement(
    tenant: str, user_id: str, nonce_hex: str, hint: str, at: datetime
) -> bytes:
    """As `registration_statement`, for the challenge of an authentication. Its first line and its
    words are others, so that the one is never taken for the other."""
    return _statement(
        "authentication",
        "本人確認身分；此非公文簽章，亦非憑證登記。",
        "I confirm who I am. This signs no document and registers no certificate.",
        (tenant, user_id, nonce_hex, hint),
        at,
    )


def _statement(
    purpose: str, zh: str, en: str, values: tuple[str, str, str, str], at: datetime
) -> bytes:
    tenant, user_id, nonce_hex, hint = values
    if not all(value.isprintable() and value for value in values):
        raise error(
            "request_invalid",
            "expected tenant, user, nonce and hint as one line of printable characters each; the "
            "integrator sends a `user_id` without control characters",
            member="user_id",
        )
    return "\n".join(
        (
            f"{STATEMENT_PREFIX.decode('ascii')} v1: {purpose}",
            zh,
            en,
            f"tenant: {tenant}",
            f"user: {user_id}",
            f"nonce: {nonce_hex}",
            f"time: {at.astimezone(UTC).isoformat(timespec='seconds')}",
            f"hint: {hint}",
            "",
        )
    ).encode()
