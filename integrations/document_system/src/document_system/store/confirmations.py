"""What was asked of a person's phone, and what became of it, document by document.

Nothing here changes what has ended: a late confirmation finds nothing to do.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from document_system.models import (
    Behalf,
    Channel,
    Confirmation,
    CredentialFacts,
    FrozenVersion,
    Item,
    ItemStatus,
    Status,
)

__all__ = [
    "add_registration",
    "advance",
    "attach_transaction",
    "begin_signature",
    "end_item",
    "end_without_transaction",
    "find_by_key",
    "find_by_transaction",
    "find_confirmation",
    "latest_signature",
    "list_open",
    "list_unfetched",
    "mark_saved",
    "open_signature",
    "seen_before",
    "set_credential",
]

_OPEN = "status IN ('starting', 'pending')"


def _of_row(db: sqlite3.Connection, row: sqlite3.Row) -> Confirmation:
    items = db.execute(
        "SELECT position, number, version, sha256, status, error_code, error_message FROM items "
        "WHERE confirmation_id = ? ORDER BY position",
        (row["id"],),
    )
    return Confirmation.from_row(row, tuple(Item(**dict(one)) for one in items))


def _one(db: sqlite3.Connection, row: sqlite3.Row | None) -> Confirmation | None:
    return _of_row(db, row) if row else None


def find_confirmation(db: sqlite3.Connection, id_: str) -> Confirmation | None:
    """By our own id."""
    return _one(db, db.execute("SELECT * FROM confirmations WHERE id = ?", (id_,)).fetchone())


def find_by_key(db: sqlite3.Connection, idempotency_key: str) -> Confirmation | None:
    """By the key under which the gateway was or will be called."""
    return _one(
        db,
        db.execute(
            "SELECT * FROM confirmations WHERE idempotency_key = ?", (idempotency_key,)
        ).fetchone(),
    )


def find_by_transaction(db: sqlite3.Connection, transaction_id: str) -> Confirmation | None:
    """By the gateway's id."""
    return _one(
        db,
        db.execute(
            "SELECT * FROM confirmations WHERE transaction_id = ?", (transaction_id,)
        ).fetchone(),
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
    frozen: Sequence[FrozenVersion],
    user_id: str,
    *,
    behalf: Behalf | None,
    time_limit: int,
    channel: Channel,
    supersede: bool,
    now: datetime,
) -> Confirmation:
    """「儲存並送出」: the next attempt over these versions, none of which is being signed.

    The key says documents, frozen versions and attempt. The row stands before the call, so a
    double click finds it (`open_signature`) and the gateway is called with one key only.
    """
    covered = "\n".join(f"{one.number} {one.version} {one.sha256}" for one in frozen)
    digest = hashlib.sha256(covered.encode()).hexdigest()[:24]
    start = f"sign-{len(frozen)}-{digest}-"
    attempt = 1 + int(
        db.execute(
            "SELECT count(*) FROM confirmations WHERE substr(idempotency_key, 1, ?) = ?",
            (len(start), start),
        ).fetchone()[0]
    )
    db.execute(
        "INSERT INTO confirmations (id, kind, user_id, idempotency_key, time_limit, channel, "
        "supersede, status, created_at, behalf_of, behalf_reason) "
        "VALUES (?, 'signature', ?, ?, ?, ?, ?, 'starting', ?, ?, ?)",
        (
            id_,
            user_id,
            f"{start}{attempt}",
            time_limit,
            channel,
            supersede,
            now.isoformat(),
            behalf.user.user_id if behalf else None,
            behalf.reason if behalf else None,
        ),
    )
    db.executemany(
        "INSERT INTO items (confirmation_id, position, number, version, sha256, status) "
        "VALUES (?, ?, ?, ?, ?, 'pending')",
        [(id_, at, one.number, one.version, one.sha256) for at, one in enumerate(frozen)],
    )
    return _certain(find_confirmation(db, id_))


def open_signature(db: sqlite3.Connection, number: str) -> Confirmation | None:
    """The one that waits for a phone over this document; there is at most one."""
    return _one(
        db,
        db.execute(
            "SELECT confirmations.* FROM confirmations JOIN items ON confirmation_id = id "
            "WHERE items.number = ? AND items.status = 'pending'",
            (number,),
        ).fetchone(),
    )


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
    refused: Item | None = None,
    now: datetime,
) -> None:
    """The gateway said that nothing exists (4xx), or the user gave up before it answered.

    Args:
        db: Inside a transaction.
        id_: Ours.
        status: How it ends.
        code: Why.
        message: The same in words.
        open_transaction: What stood in the way.
        refused: The one document that the gateway objected to; the others were not asked for.
        now: The end.
    """
    ended = db.execute(
        f"UPDATE confirmations SET status = ?, error_code = ?, error_message = ?, "  # noqa: S608
        f"open_transaction = ?, ended_at = ? WHERE id = ? AND transaction_id IS NULL AND {_OPEN}",
        (status, code, message, open_transaction, now.isoformat(), id_),
    )
    if not ended.rowcount:
        return
    if refused is not None:
        end_item(db, id_, refused.position, "refused", code, message)
        _end_items(db, id_, status, "not_asked", None)
    else:
        _end_items(db, id_, status, code, message)


def _end_items(
    db: sqlite3.Connection, id_: str, status: Status, code: str | None, message: str | None
) -> None:
    db.execute(
        "UPDATE items SET status = ?, error_code = ?, error_message = ? "
        "WHERE confirmation_id = ? AND status = 'pending'",
        (status, code, message, id_),
    )


def end_item(
    db: sqlite3.Connection,
    id_: str,
    position: int,
    status: ItemStatus,
    code: str | None = None,
    message: str | None = None,
) -> bool:
    """One document's outcome; False where it has one already."""
    changed = db.execute(
        "UPDATE items SET status = ?, error_code = ?, error_message = ? "
        "WHERE confirmation_id = ? AND position = ? AND status = 'pending'",
        (status, code, message, id_, position),
    )
    return changed.rowcount == 1


def advance(
    db: sqlite3.Connection,
    id_: str,
    *,
    status: Status,
    gateway_version: int,
    error_code: str | None,
    error_message: str | None,
    expires_at: datetime | None,
    signed: Sequence[Item] = (),
    now: datetime,
) -> bool:
    """Records a newer version of the gateway's transaction; False when nothing changed.

    The documents in ``signed`` are signed, whatever becomes of the others. With the end those that
    have no outcome yet end the same way, and the token is dropped: nobody needs it any more.
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
    if changed.rowcount != 1:
        return False
    for one in signed:
        end_item(db, id_, one.position, "completed")
    if ended is not None:
        _end_items(db, id_, status, error_code, error_message)
    return True


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
        db,
        db.execute(
            "SELECT confirmations.* FROM confirmations JOIN items ON confirmation_id = id "
            "WHERE number = ? ORDER BY confirmations.rowid DESC LIMIT 1",
            (number,),
        ).fetchone(),
    )


def list_open(db: sqlite3.Connection) -> list[Confirmation]:
    """All that wait for a phone."""
    rows = db.execute(f"SELECT * FROM confirmations WHERE {_OPEN} ORDER BY rowid")  # noqa: S608
    return [_of_row(db, row) for row in rows.fetchall()]


def list_unfetched(db: sqlite3.Connection, since: datetime) -> list[Confirmation]:
    """Ended since then with something signed or registered that is not fetched yet."""
    rows = db.execute(
        "SELECT * FROM confirmations WHERE ended_at > ? AND ("
        "(kind = 'registration' AND status = 'completed' AND credential IS NULL) OR EXISTS ("
        "SELECT 1 FROM items LEFT JOIN signatures USING (confirmation_id, number, version) "
        "WHERE items.confirmation_id = confirmations.id AND items.status = 'completed' "
        "AND signatures.artifact IS NULL)) ORDER BY rowid",
        (since.isoformat(),),
    )
    return [_of_row(db, row) for row in rows.fetchall()]


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
