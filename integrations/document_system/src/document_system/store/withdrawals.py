"""Open signatures that were ended from here, and of which the gateway is still to be told."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from document_system.store.confirmations import end_item, open_signature

__all__ = ["list_withdrawals", "withdraw", "withdrawal_told"]


def withdraw(
    db: sqlite3.Connection, number: str, *, code: str, message: str, now: datetime
) -> bool:
    """Ends the open signature over this document here and now, whatever the phone says later.

    The gateway is still to be told (`list_withdrawals`). The other documents of a batch wait for
    what it says.

    Returns:
        Whether there was one.
    """
    current = open_signature(db, number)
    item = current.item(number) if current else None
    if current is None or item is None:
        return False
    end_item(db, current.id, item.position, "cancelled", code, message)
    if all(one.status in ("cancelled", "refused") for one in current.items if one is not item):
        db.execute(
            "UPDATE confirmations SET status = 'cancelled', error_code = ?, error_message = ?, "
            "ended_at = ?, browser_token = NULL WHERE id = ? AND status IN ('starting', 'pending')",
            (code, message, now.isoformat(), current.id),
        )
    db.execute(
        "INSERT INTO withdrawals (number, requested_at) VALUES (?, ?) "
        "ON CONFLICT (number) DO UPDATE SET requested_at = excluded.requested_at",
        (number, now.isoformat()),
    )
    return True


def list_withdrawals(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """The documents of which the gateway does not know yet that they were taken back, and when."""
    rows = db.execute("SELECT number, requested_at FROM withdrawals ORDER BY rowid")
    return [(row["number"], row["requested_at"]) for row in rows]


def withdrawal_told(db: sqlite3.Connection, number: str, requested_at: str) -> None:
    """The gateway knows; of one that was asked for meanwhile it does not."""
    db.execute(
        "DELETE FROM withdrawals WHERE number = ? AND requested_at = ?", (number, requested_at)
    )
