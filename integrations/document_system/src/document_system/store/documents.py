"""Documents, their routes, and the versions that were frozen for a signature."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from datetime import datetime

from document_system.models import Document, FrozenVersion, Signature, Step, User, time_or_none

__all__ = [
    "add_document",
    "add_signature",
    "edit_document",
    "find_document",
    "find_version",
    "freeze",
    "list_desk",
    "list_sent",
    "list_signatures",
    "mark_signed",
    "pass_on",
    "place_seal",
    "recall",
    "remove_seal",
    "signature_of",
]

_STATE_BY_ROLE = {"承辦": "承辦中", "會辦": "會辦中", "審核": "待核", "決行": "待決行"}


def add_document(db: sqlite3.Connection, document: Document) -> None:
    """A new document with its route; an existing number is left as it is."""
    made = db.execute(
        "INSERT INTO documents (number, subject, body, from_agency, state, received_at, due_at, "
        "position) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            document.number,
            document.subject,
            document.body,
            document.from_agency,
            document.state,
            document.received_at.isoformat(),
            document.due_at.isoformat(),
            document.position,
        ),
    )
    if made.rowcount:
        db.executemany(
            "INSERT INTO route (number, position, user_id, role, passed_at) VALUES (?, ?, ?, ?, ?)",
            [
                (
                    document.number,
                    step.position,
                    step.user.user_id,
                    step.role,
                    step.passed_at.isoformat() if step.passed_at else None,
                )
                for step in document.route
            ],
        )


def _route(db: sqlite3.Connection, number: str) -> tuple[Step, ...]:
    rows = db.execute(
        "SELECT route.*, users.name, users.title, users.unit FROM route JOIN users "
        "USING (user_id) WHERE number = ? ORDER BY position",
        (number,),
    )
    return tuple(
        Step(
            position=row["position"],
            user=User(
                user_id=row["user_id"], name=row["name"], title=row["title"], unit=row["unit"]
            ),
            role=row["role"],
            passed_at=time_or_none(row["passed_at"]),
        )
        for row in rows
    )


def _document(db: sqlite3.Connection, row: sqlite3.Row) -> Document:
    return Document(
        number=row["number"],
        subject=row["subject"],
        body=row["body"],
        from_agency=row["from_agency"],
        state=row["state"],
        received_at=datetime.fromisoformat(row["received_at"]),
        due_at=datetime.fromisoformat(row["due_at"]),
        position=row["position"],
        sealed=bool(row["sealed"]),
        signed_version=row["signed_version"],
        route=_route(db, row["number"]),
    )


def find_document(db: sqlite3.Connection, number: str) -> Document | None:
    """By 公文文號; whether the caller may see it is `Document.visible_to`'s to say."""
    row = db.execute("SELECT * FROM documents WHERE number = ?", (number,)).fetchone()
    return _document(db, row) if row else None


def list_desk(
    db: sqlite3.Connection,
    user_ids: Sequence[str],
    roles: Sequence[str],
    *,
    limit: int,
    offset: int,
) -> tuple[list[Document], int]:
    """What lies on these users' desks in one of these roles: a page of it, and how many in all."""
    where = (
        "FROM documents JOIN route USING (number, position) "
        f"WHERE route.user_id IN ({_marks(user_ids)}) AND route.role IN ({_marks(roles)})"
    )
    # Only question marks are put together here; every value is bound.
    count = db.execute(f"SELECT count(*) {where}", (*user_ids, *roles)).fetchone()[0]
    rows = db.execute(
        f"SELECT documents.* {where} ORDER BY received_at DESC, number LIMIT ? OFFSET ?",
        (*user_ids, *roles, limit, offset),
    ).fetchall()
    return [_document(db, row) for row in rows], count


def list_sent(
    db: sqlite3.Connection, user_id: str, *, limit: int, offset: int
) -> tuple[list[Document], int]:
    """What this user has begun and passed on: a page of it, and how many in all."""
    where = (
        "FROM documents JOIN route USING (number) "
        "WHERE route.user_id = ? AND route.position = 0 AND documents.position > 0"
    )
    count = db.execute(f"SELECT count(*) {where}", (user_id,)).fetchone()[0]
    rows = db.execute(
        f"SELECT documents.* {where} ORDER BY received_at DESC, number LIMIT ? OFFSET ?",
        (user_id, limit, offset),
    ).fetchall()
    return [_document(db, row) for row in rows], count


def _marks(values: Sequence[str]) -> str:
    return ",".join("?" * len(values))


def edit_document(db: sqlite3.Connection, number: str, subject: str, body: str) -> None:
    """The draft changes; what was frozen does not. The seal belongs to what was sealed."""
    db.execute(
        "UPDATE documents SET subject = ?, body = ?, sealed = 0 WHERE number = ?",
        (subject, body, number),
    )


def place_seal(db: sqlite3.Connection, number: str) -> None:
    """「蓋章」."""
    db.execute("UPDATE documents SET sealed = 1 WHERE number = ?", (number,))


def remove_seal(db: sqlite3.Connection, number: str) -> None:
    """Takes the seal off again."""
    db.execute("UPDATE documents SET sealed = 0 WHERE number = ?", (number,))


def freeze(
    db: sqlite3.Connection,
    number: str,
    content: bytes,
    media_type: str,
    user_id: str,
    now: datetime,
) -> FrozenVersion:
    """The frozen version with exactly this content: the one that is there, or a new one.

    Starting over after 逾時 with nothing changed signs the same version again.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    row = db.execute(
        "SELECT version FROM versions WHERE number = ? AND sha256 = ?", (number, sha256)
    ).fetchone()
    if row is None:
        last = db.execute(
            "SELECT coalesce(max(version), 0) FROM versions WHERE number = ?", (number,)
        ).fetchone()[0]
        db.execute(
            "INSERT INTO versions (number, version, content, sha256, media_type, frozen_at, "
            "frozen_by) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (number, last + 1, content, sha256, media_type, now.isoformat(), user_id),
        )
        version = last + 1
    else:
        version = row["version"]
    found = find_version(db, number, version)
    if found is None:
        raise RuntimeError("a version that was just frozen is not there")
    return found


def find_version(db: sqlite3.Connection, number: str, version: int) -> FrozenVersion | None:
    """With its bytes."""
    row = db.execute(
        "SELECT * FROM versions WHERE number = ? AND version = ?", (number, version)
    ).fetchone()
    if row is None:
        return None
    return FrozenVersion(
        number=row["number"],
        version=row["version"],
        content=row["content"],
        sha256=row["sha256"],
        media_type=row["media_type"],
        frozen_at=datetime.fromisoformat(row["frozen_at"]),
        frozen_by=row["frozen_by"],
    )


def mark_signed(db: sqlite3.Connection, number: str, version: int, user_id: str) -> None:
    """The holder has signed this version; a document that has left that desk is not touched."""
    db.execute(
        "UPDATE documents SET signed_version = ? WHERE number = ? AND EXISTS (SELECT 1 FROM route "
        "WHERE route.number = documents.number AND route.position = documents.position "
        "AND route.user_id = ?)",
        (version, number, user_id),
    )


def pass_on(db: sqlite3.Connection, document: Document, now: datetime) -> Step | None:
    """「公文送出」: to the next person in the route, who is returned; nobody after the last."""
    following = document.next_step
    db.execute(
        "UPDATE route SET passed_at = ? WHERE number = ? AND position = ?",
        (now.isoformat(), document.number, document.position),
    )
    db.execute(
        "UPDATE documents SET position = position + 1, state = ?, sealed = 0, "
        "signed_version = NULL WHERE number = ? AND position = ?",
        (
            _STATE_BY_ROLE[following.role] if following else "已決行",
            document.number,
            document.position,
        ),
    )
    return following


def recall(db: sqlite3.Connection, document: Document) -> None:
    """「抽回」: back to who began it, to be sealed and signed anew; signatures stay on record."""
    db.execute(
        "UPDATE documents SET position = 0, state = '已抽回', sealed = 0, signed_version = NULL "
        "WHERE number = ? AND position = ?",
        (document.number, document.position),
    )
    db.execute("UPDATE route SET passed_at = NULL WHERE number = ?", (document.number,))


def _signature(row: sqlite3.Row) -> Signature:
    return Signature(**{**dict(row), "signed_at": datetime.fromisoformat(row["signed_at"])})


def add_signature(db: sqlite3.Connection, signature: Signature) -> None:
    """Stores what was fetched; the second of two that fetched at once changes nothing."""
    db.execute(
        "INSERT INTO signatures (number, version, confirmation_id, user_id, signer_name, "
        "issuer_name, serial_number, signed_at, artifact, behalf_of, behalf_name, behalf_reason) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        (
            signature.number,
            signature.version,
            signature.confirmation_id,
            signature.user_id,
            signature.signer_name,
            signature.issuer_name,
            signature.serial_number,
            signature.signed_at.isoformat(),
            signature.artifact,
            signature.behalf_of,
            signature.behalf_name,
            signature.behalf_reason,
        ),
    )


def signature_of(db: sqlite3.Connection, number: str, version: int) -> Signature | None:
    """The signature over this version, once it is fetched."""
    row = db.execute(
        "SELECT * FROM signatures WHERE number = ? AND version = ?", (number, version)
    ).fetchone()
    return _signature(row) if row else None


def list_signatures(db: sqlite3.Connection, number: str) -> list[Signature]:
    """All of one document, oldest first."""
    rows = db.execute("SELECT * FROM signatures WHERE number = ? ORDER BY version", (number,))
    return [_signature(row) for row in rows]
