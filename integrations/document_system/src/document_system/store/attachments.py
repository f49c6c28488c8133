"""Files of documents. A file is never changed: it is taken off, and another one takes its place."""

from __future__ import annotations

import hashlib
import sqlite3
from datetime import datetime
from typing import Literal

from document_system.models import Attachment, time_or_none

__all__ = ["add_attachment", "count_attachments", "list_attachments", "remove_attachment"]


def add_attachment(
    db: sqlite3.Connection,
    id_: str,
    number: str,
    *,
    kind: Literal["own", "incoming"],
    name: str,
    media_type: str,
    content: bytes,
    now: datetime,
) -> None:
    """A further file of that document."""
    db.execute(
        "INSERT INTO attachments (id, number, kind, name, media_type, sha256, content, added_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            id_,
            number,
            kind,
            name,
            media_type,
            hashlib.sha256(content).hexdigest(),
            content,
            now.isoformat(),
        ),
    )


def remove_attachment(db: sqlite3.Connection, number: str, id_: str, now: datetime) -> bool:
    """Takes one of the document's own off; it stays to be fetched by whoever signed over it."""
    changed = db.execute(
        "UPDATE attachments SET removed_at = ? WHERE id = ? AND number = ? AND kind = 'own' "
        "AND removed_at IS NULL",
        (now.isoformat(), id_, number),
    )
    return changed.rowcount == 1


def list_attachments(
    db: sqlite3.Connection, number: str, *, removed: bool = False
) -> list[Attachment]:
    """In the order in which they were added; with ``removed`` those that were taken off too."""
    rows = db.execute(
        "SELECT * FROM attachments WHERE number = ? AND (? OR removed_at IS NULL) ORDER BY rowid",
        (number, removed),
    )
    return [
        Attachment(
            id=row["id"],
            number=row["number"],
            kind=row["kind"],
            name=row["name"],
            media_type=row["media_type"],
            sha256=row["sha256"],
            content=row["content"],
            removed_at=time_or_none(row["removed_at"]),
        )
        for row in rows
    ]


def count_attachments(db: sqlite3.Connection, number: str) -> tuple[int, int]:
    """How many of its own, and how many came with it."""
    row = db.execute(
        "SELECT total(kind = 'own') AS own, total(kind = 'incoming') AS incoming "
        "FROM attachments WHERE number = ? AND removed_at IS NULL",
        (number,),
    ).fetchone()
    return int(row["own"]), int(row["incoming"])
