"""【使用者憑證登記】: a user can hold several certificates, at most one is enabled."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from document_system.models import Certificate, CredentialFacts

__all__ = [
    "enable_certificate",
    "enabled_certificate",
    "find_certificate",
    "list_certificates",
    "save_certificate",
]


def _certificate(row: sqlite3.Row) -> Certificate:
    return Certificate(
        id=row["id"],
        user_id=row["user_id"],
        credential_id=row["credential_id"],
        issuer_name=row["issuer_name"],
        serial_number=row["serial_number"],
        fingerprint=row["fingerprint"],
        not_before=datetime.fromisoformat(row["not_before"]),
        not_after=datetime.fromisoformat(row["not_after"]),
        enabled=bool(row["enabled"]),
    )


def list_certificates(db: sqlite3.Connection, user_id: str) -> list[Certificate]:
    """Newest first."""
    rows = db.execute(
        "SELECT * FROM certificates WHERE user_id = ? ORDER BY created_at DESC, rowid DESC",
        (user_id,),
    )
    return [_certificate(row) for row in rows]


def find_certificate(db: sqlite3.Connection, user_id: str, id_: str) -> Certificate | None:
    """One of this user's; another's answers as an unknown one."""
    row = db.execute(
        "SELECT * FROM certificates WHERE id = ? AND user_id = ?", (id_, user_id)
    ).fetchone()
    return _certificate(row) if row else None


def enabled_certificate(db: sqlite3.Connection, user_id: str) -> Certificate | None:
    """The one that is used for signing."""
    row = db.execute(
        "SELECT * FROM certificates WHERE user_id = ? AND enabled = 1", (user_id,)
    ).fetchone()
    return _certificate(row) if row else None


def enable_certificate(db: sqlite3.Connection, user_id: str, id_: str) -> None:
    """Enables this one and disables the others, as the gateway does."""
    db.execute("UPDATE certificates SET enabled = 0 WHERE user_id = ?", (user_id,))
    db.execute("UPDATE certificates SET enabled = 1 WHERE user_id = ? AND id = ?", (user_id, id_))


def save_certificate(
    db: sqlite3.Connection, id_: str, user_id: str, facts: CredentialFacts, now: datetime
) -> None:
    """「儲存」: stores and enables it. The same certificate registered again stays one row."""
    db.execute(
        "INSERT INTO certificates (id, user_id, credential_id, issuer_name, serial_number, "
        "fingerprint, not_before, not_after, enabled, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?) ON CONFLICT (credential_id) DO UPDATE SET "
        "issuer_name = excluded.issuer_name, serial_number = excluded.serial_number, "
        "fingerprint = excluded.fingerprint, not_before = excluded.not_before, "
        "not_after = excluded.not_after WHERE user_id = excluded.user_id",
        (
            id_,
            user_id,
            facts.credential_id,
            facts.issuer_name,
            facts.serial_number,
            facts.fingerprint,
            facts.not_before.isoformat(),
            facts.not_after.isoformat(),
            now.isoformat(),
        ),
    )
    row = db.execute(
        "SELECT id FROM certificates WHERE user_id = ? AND credential_id = ?",
        (user_id, facts.credential_id),
    ).fetchone()
    if row is not None:
        enable_certificate(db, user_id, row["id"])
