"""Users, sessions and the notices that survive a redirect."""

from __future__ import annotations

import hashlib
import sqlite3
from datetime import datetime

from document_system.models import Notice, User

__all__ = [
    "add_notice",
    "add_session",
    "add_user",
    "end_session",
    "find_user",
    "has_users",
    "list_users",
    "password_hash_of",
    "session_user",
    "take_notices",
]


def _token_hash(token: str) -> str:
    # A stolen database file opens no session.
    return hashlib.sha256(token.encode()).hexdigest()


def _user(row: sqlite3.Row) -> User:
    return User(user_id=row["user_id"], name=row["name"], title=row["title"], unit=row["unit"])


def has_users(db: sqlite3.Connection) -> bool:
    """Whether anybody can sign in at all."""
    return db.execute("SELECT 1 FROM users LIMIT 1").fetchone() is not None


def add_user(db: sqlite3.Connection, user: User, password_hash: str) -> None:
    """A new user; an existing one is left as it is."""
    db.execute(
        "INSERT INTO users (user_id, name, title, unit, password_hash) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        (user.user_id, user.name, user.title, user.unit, password_hash),
    )


def find_user(db: sqlite3.Connection, user_id: str) -> User | None:
    """By id."""
    row = db.execute("SELECT * FROM users WHERE user_id = ?", (user_id,)).fetchone()
    return _user(row) if row else None


def list_users(db: sqlite3.Connection) -> list[User]:
    """All, in the order in which they were made."""
    return [_user(row) for row in db.execute("SELECT * FROM users ORDER BY rowid")]


def password_hash_of(db: sqlite3.Connection, user_id: str) -> str | None:
    """For `Passwords.verify`."""
    row = db.execute("SELECT password_hash FROM users WHERE user_id = ?", (user_id,)).fetchone()
    return str(row["password_hash"]) if row else None


def add_session(
    db: sqlite3.Connection, token: str, user_id: str, now: datetime, expires_at: datetime
) -> None:
    """A new session; those that have run out are swept."""
    db.execute("DELETE FROM sessions WHERE expires_at <= ?", (now.isoformat(),))
    db.execute(
        "INSERT INTO sessions (token_hash, user_id, expires_at) VALUES (?, ?, ?)",
        (_token_hash(token), user_id, expires_at.isoformat()),
    )


def session_user(db: sqlite3.Connection, token: str, now: datetime) -> User | None:
    """Whose session it is, while it lasts."""
    row = db.execute(
        "SELECT users.* FROM sessions JOIN users USING (user_id) "
        "WHERE token_hash = ? AND expires_at > ?",
        (_token_hash(token), now.isoformat()),
    ).fetchone()
    return _user(row) if row else None


def end_session(db: sqlite3.Connection, token: str) -> None:
    """Signing out."""
    db.execute("DELETE FROM sessions WHERE token_hash = ?", (_token_hash(token),))


def add_notice(db: sqlite3.Connection, token: str, notice: Notice) -> None:
    """A word for the next page of this session."""
    db.execute(
        "INSERT INTO notices (token_hash, kind, text) "
        "SELECT token_hash, ?, ? FROM sessions WHERE token_hash = ?",
        (notice.kind, notice.text, _token_hash(token)),
    )


def take_notices(db: sqlite3.Connection, token: str) -> list[Notice]:
    """Reads and removes them: each is shown once."""
    rows = db.execute(
        "DELETE FROM notices WHERE token_hash = ? RETURNING kind, text", (_token_hash(token),)
    ).fetchall()
    return [Notice(kind=row["kind"], text=row["text"]) for row in rows]
