"""代理: who may sign for whom, and until when. What has run out counts for nothing."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from document_system.models import Deputy, User
from document_system.store.users import find_user

__all__ = ["add_deputy", "end_deputy", "is_deputy", "list_deputies", "principals_of"]


def add_deputy(db: sqlite3.Connection, user_id: str, deputy_id: str, until: datetime) -> None:
    """Appoints, or changes the end of an appointment."""
    db.execute(
        "INSERT INTO deputies (user_id, deputy_id, until) VALUES (?, ?, ?) "
        "ON CONFLICT (user_id, deputy_id) DO UPDATE SET until = excluded.until",
        (user_id, deputy_id, until.isoformat()),
    )


def end_deputy(db: sqlite3.Connection, user_id: str, deputy_id: str) -> None:
    """From now on no more."""
    db.execute("DELETE FROM deputies WHERE user_id = ? AND deputy_id = ?", (user_id, deputy_id))


def _deputies(db: sqlite3.Connection, where: str, value: str) -> list[Deputy]:
    found = db.execute(f"SELECT * FROM deputies WHERE {where} = ? ORDER BY rowid", (value,))  # noqa: S608
    made: list[Deputy] = []
    for row in found.fetchall():
        user, deputy = find_user(db, row["user_id"]), find_user(db, row["deputy_id"])
        if user is not None and deputy is not None:
            until = datetime.fromisoformat(row["until"])
            made.append(Deputy(user=user, deputy=deputy, until=until))
    return made


def is_deputy(db: sqlite3.Connection, user_id: str, deputy_id: str, now: datetime) -> bool:
    """Whether ``deputy_id`` may sign for ``user_id`` now."""
    return any(
        one.deputy.user_id == deputy_id and one.until > now
        for one in _deputies(db, "user_id", user_id)
    )


def list_deputies(db: sqlite3.Connection, user_id: str) -> list[Deputy]:
    """Whom this user has appointed, also where it has run out."""
    return _deputies(db, "user_id", user_id)


def principals_of(db: sqlite3.Connection, deputy_id: str, now: datetime) -> list[User]:
    """For whom this user may sign now."""
    return [one.user for one in _deputies(db, "deputy_id", deputy_id) if one.until > now]
