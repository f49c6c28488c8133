"""What was asked of a person's phone, and what became of it.

``end`` refuses to change what has ended: a late confirmation finds nothing to do.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from document_system.models import Channel, Confirmation, CredentialFacts, FrozenVersion, Status

__all__ = [
    "add_registration",
    "advance",
    "attach_transaction",
    "begin_signature",
    "end_without_transaction",
    "find_by_key",
    "find_by_transaction",
    "find_confirmation",
    "latest_signature",
    "list_open",
    "list_unfetched",
    "mark_saved",
    "seen_before",
    "set_credential",
]

_OPEN = "status IN ('starting', 'pending')"


def _one(row: sqlite3.Row | None) -> Confirmation | None:
    return Confirmation.from_row(row) if row else None


def find_confirmation(db: sqlite3.Connection, id_: str) -> Confirmation | None:
    """By our own id."""
    return _one(db.execute("SELECT * FROM confirmations WHERE id = ?", (id_,)).fetchone())


def find_by_key(db: sqlite3.Connection, idempotency_key: str) -> Confirmation | None:
    """By the key under which the gateway was or will be called."""
    return _one(
        db.execute(
            "SELECT * FROM confirmations WHERE idempotency_key = ?", (idempotency_key,)
        ).fetchone()
    )


def find_by_transaction(db: sqlite3.Connection, transaction_id: str) -> Confirmation | None:
    """By the gateway's id."""
    return _one(
        db.execute(
            "SELECT * FROM confirmations WHERE transaction_id = ?", (transaction_id,)
        ).fetchone()
    )


def add_registration(
    db: sqlite3.Connection,
    id_: str,
    key: str,
    user_id: str,
    *,
    time_limit: int,
    channel: Channel,
    supersede: bool,
    now: datetime,
) -> Confirmation:
    """「申請」: the one with this key, made where it is new. The ID number is not kept."""
    db.execute(
        "INSERT INTO confirmations (id, kind, user_id, idempotency_key, time_limit, channel, "
        "supersede, status, created_at) VALUES (?, 'registration', ?, ?, ?, ?, ?, 'starting', ?) "
        "ON CONFLICT (idempotency_key) DO NOTHING",
        (id_, user_id, key, time_limit, channel, supersede, now.isoformat()),
    )
    return _certain(find_by_key(db, key))


def begin_signature(
    db: sqlite3.Connection,
    id_: str,
    frozen: FrozenVersion,
    user_id: str,
    *,
    time_limit: int,
    channel: Channel,
    supersede: bool,
    now: datetime,
) -> Confirmation:
    """「儲存並送出」: the open one over this version, or the next attempt.

    The key says document, frozen version and attempt. An attempt is used up when it has ended, so
    a double click finds the first one's row and the gateway is called with one key only.
    """
    row = db.execute(
        f"SELECT * FROM confirmations WHERE kind = 'signature' AND number = ? AND {_OPEN}",  # noqa: S608
        (frozen.number,),
    ).fetchone()
    if row is not None:
        return Confirmation.from_row(row)
    attempt = 1 + int(
        db.execute(
            "SELECT count(*) FROM confirmations WHERE kind = 'signature' AND number = ? "
            "AND version = ?",
            (frozen.number, frozen.version),
        ).fetchone()[0]
    )
    key = f"sign-{frozen.number}-v{frozen.version}-{attempt}-{frozen.sha256[:16]}"
    db.execute(
        "INSERT INTO confirmations (id, kind, user_id, idempotency_key, time_limit, channel, "
        "supersede, status, created_at, number, version, sha256) "
        "VALUES (?, 'signature', ?, ?, ?, ?, ?, 'starting', ?, ?, ?, ?)",
        (
            id_,
            user_id,
            key,
            time_limit,
            channel,
            supersede,
            now.isoformat(),
            frozen.number,
            frozen.version,
            frozen.sha256,
        ),
    )
    return _certain(find_by_key(db, key))


def _certain(found: Confirmation | None) -> Confirmation:
    if found is None:
        raise RuntimeError("a confirmation that was just written is not there")
    return found


def attach_transaction(
    db: sqlite3.Connection,
    id_: str,
    *,
    transaction_id: str,
    browser_token: str | None,
    match_code: str,
    expires_at: datetime,
) -> None:
    """The gateway has made it; its status is recorded apart, by `advance`."""
    db.execute(
        f"UPDATE confirmations SET transaction_id = ?, browser_token = ?, match_code = ?, "  # noqa: S608
        f"expires_at = ?, status = 'pending' WHERE id = ? AND transaction_id IS NULL AND {_OPEN}",
        (transaction_id, browser_token, match_code, expires_at.isoformat(), id_),
    )


def end_without_transaction(
    db: sqlite3.Connection,
    id_: str,
    *,
    status: Status,
    code: str,
    message: str,
    open_transaction: str | None,
    now: datetime,
) -> None:
    """The gateway said that nothing exists (4xx), or the user gave up before it answered."""
    db.execute(
        f"UPDATE confirmations SET status = ?, error_code = ?, error_message = ?, "  # noqa: S608
        f"open_transaction = ?, ended_at = ? WHERE id = ? AND transaction_id IS NULL AND {_OPEN}",
        (status, code, message, open_transaction, now.isoformat(), id_),
    )


def advance(
    db: sqlite3.Connection,
    id_: str,
    *,
    status: Status,
    gateway_version: int,
    error_code: str | None,
    error_message: str | None,
    expires_at: datetime | None,
    now: datetime,
) -> bool:
    """Records a newer version of the gateway's transaction; False when nothing changed.

    The token is dropped with the end: nobody needs it any more.
    """
    ended = None if status == "pending" else now.isoformat()
    changed = db.execute(
        "UPDATE confirmations SET status = ?, gateway_version = ?, error_code = ?, "
        "error_message = ?, expires_at = coalesce(?, expires_at), ended_at = ?, "
        "browser_token = CASE WHEN ? IS NULL THEN browser_token END "
        "WHERE id = ? AND status = 'pending' AND gateway_version < ?",
        (
            status,
            gateway_version,
            error_code,
            error_message,
            expires_at.isoformat() if expires_at else None,
            ended,
            ended,
            id_,
            gateway_version,
        ),
    )
    return changed.rowcount == 1


def set_credential(db: sqlite3.Connection, id_: str, facts: CredentialFacts) -> None:
    """What a completed registration brought."""
    db.execute(
        "UPDATE confirmations SET credential = ? WHERE id = ? AND kind = 'registration' "
        "AND status = 'completed' AND credential IS NULL",
        (facts.to_json(), id_),
    )


def mark_saved(db: sqlite3.Connection, id_: str, now: datetime) -> None:
    """「儲存」 was pressed."""
    db.execute(
        "UPDATE confirmations SET saved_at = coalesce(saved_at, ?) WHERE id = ?",
        (now.isoformat(), id_),
    )


def latest_signature(db: sqlite3.Connection, number: str) -> Confirmation | None:
    """The last attempt to sign this document."""
    return _one(
        db.execute(
            "SELECT * FROM confirmations WHERE kind = 'signature' AND number = ? "
            "ORDER BY rowid DESC LIMIT 1",
            (number,),
        ).fetchone()
    )


def list_open(db: sqlite3.Connection) -> list[Confirmation]:
    """All that wait for a phone."""
    rows = db.execute(f"SELECT * FROM confirmations WHERE {_OPEN} ORDER BY rowid")  # noqa: S608
    return [Confirmation.from_row(row) for row in rows]


def list_unfetched(db: sqlite3.Connection, since: datetime) -> list[Confirmation]:
    """Completed since then, but what came of it is not fetched yet."""
    rows = db.execute(
        "SELECT * FROM confirmations WHERE status = 'completed' AND ended_at > ? AND ("
        "(kind = 'registration' AND credential IS NULL) OR (kind = 'signature' AND NOT EXISTS "
        "(SELECT 1 FROM signatures WHERE confirmation_id = confirmations.id))) ORDER BY rowid",
        (since.isoformat(),),
    )
    return [Confirmation.from_row(row) for row in rows]


def seen_before(db: sqlite3.Connection, webhook_id: str, now: datetime) -> bool:
    """Whether this webhook was here already; remembers it in the same transaction.

    The gateway repeats for three days; ids are kept for thirty.
    """
    db.execute(
        "DELETE FROM seen_webhooks WHERE seen_at < ?", ((now - timedelta(days=30)).isoformat(),)
    )
    made = db.execute(
        "INSERT INTO seen_webhooks (webhook_id, seen_at) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (webhook_id, now.isoformat()),
    )
    return made.rowcount == 0
