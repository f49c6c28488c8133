"""What somebody does who can write to the database and has no key; and how findings are read."""

# Statements are made of this file's own words, for a database of its own.
# ruff: noqa: S608

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from moica_gateway.domain.audit_check import Kind, Report
from tests.audit.conftest import World

Found = list[tuple[Kind, int | None, int | None]]
ROW: Final = "tenant = 'ours' AND chain_position = {}"


def found(report: Report) -> Found:
    """What, and where."""
    return [(f.kind, f.first, f.last) for f in report.findings]


def places(report: Report, position: int) -> bool:
    """Whether something is said of that position."""
    return any(
        f.first is not None and f.last is not None and f.first <= position <= f.last
        for f in report.findings
    )


def sequence(world: World, position: int) -> int:
    """Of the record at that position."""
    where = ROW.format(position)
    ((number,),) = world.sql(f"SELECT sequence FROM audit_records WHERE {where}")
    return int(number)


def hash_of(previous: bytes, members: dict[str, Any]) -> bytes:
    """By the reference page, not by the program."""
    text = json.dumps(members, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    digest = hashlib.sha256(b"moica-audit-record/1\n" + text.encode()).digest()
    return hashlib.sha256(b"moica-audit-link/1\n" + previous + digest).digest()


def chain_anew(world: World, first: int = 1) -> None:
    """All that needs no key: positions and hashes of every sealed record, from there on."""
    rows = world.sql(
        "SELECT sequence, at, action, actor, transaction_id, data FROM audit_records"
        " WHERE tenant = 'ours' AND chain_hash IS NOT NULL ORDER BY sequence"
    )
    world.sql("UPDATE audit_records SET chain_position = NULL WHERE tenant = 'ours'")
    previous = bytes(32)
    for position, (number, at, action, actor, transaction_id, data) in enumerate(rows, 1):
        if position >= first:
            members = {
                "v": 1,
                "tenant": "ours",
                "sequence": number,
                "at": at.replace(" ", "T") + "Z",
                "action": action,
                "actor": actor,
                "transaction_id": transaction_id,
                "data": json.loads(data),
            }
            made = hash_of(previous, members)
        else:
            ((made,),) = world.sql(
                "SELECT chain_hash FROM audit_records WHERE sequence = ?", number
            )
        world.sql(
            "UPDATE audit_records SET chain_position = ?, chain_hash = ? WHERE sequence = ?",
            position,
            made,
            number,
        )
        previous = made
