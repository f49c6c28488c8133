"""Whoever can write to the database, and has no key: each change is found, with its place."""

# Statements are made of this file's own words, for a database of its own.
# ruff: noqa: S608

from __future__ import annotations

from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moica_gateway.domain.audit import AuditHead
from moica_gateway.domain.audit_check import Kind
from tests.audit.conftest import BATCHES, OURS, SEALED, THEIRS, UNSEALED, World, check_file
from tests.audit.forging import ROW, chain_anew, found, places, sequence


async def test_what_nobody_touched_is_whole(world: World) -> None:
    """Both chains, from the database and from an export, with an older and the newest head."""
    older = await world.head()
    await world.grow(4)
    newest = await world.head()
    assert newest.position == SEALED + UNSEALED + 4
    for heads in ((), (older,), (older, newest)):
        report = await world.verify(heads)
        assert (report.findings, report.sealed, report.last) == (
            (),
            newest.position,
        ) * 1 + (newest.position,)
        assert report.head == newest
    assert (await world.verify(tenant=THEIRS)).findings == ()
    ((whose, report),) = check_file(await world.export(), [older, newest])
    assert (whose, report.findings, report.last) == (OURS, (), newest.position)
    assert world.alarms == []


async def test_records_that_wait_for_their_seal_are_counted(world: World) -> None:
    """They are no finding, in the database and in an export."""
    report = await world.verify()
    assert (report.findings, report.unsealed, report.last) == ((), UNSEALED, SEALED)
    ((_, report),) = check_file(await world.export(), [await world.head()])
    assert (report.findings, report.unsealed, report.last) == ((), UNSEALED, SEALED)


# -- edited ----------------------------------------------------------------------------------------

OTHER: Final[dict[str, tuple[Any, ...]]] = {
    "at": ("2031-01-01 00:00:00.000000", "yesterday", 5, None),
    "action": ("transaction.other", "", 5, b"x"),
    "actor": ("cli", b"\xff"),
    "transaction_id": ("txn_9", None, 5),
    "data": ("{}", '{"n": 1.5}', '{"n": 99999999999999999999}', "no JSON", "[]", None, "null"),
    "chain_hash": (b"?" * 32, b"", "text", None),
    "mac": (b"?" * 32, b"", None, "text"),
    "chain_position": (None, "text", 2.5, 1000, -3),
    "tenant": ("nobody",),
    "sequence": (999, -5),
}


@pytest.mark.parametrize("position", [1, 6, SEALED])
@pytest.mark.parametrize(
    ("column", "value"), [(c, v) for c, values in OTHER.items() for v in values]
)
async def test_an_edited_column_is_found_at_its_record(
    world: World, column: str, value: Any, position: int
) -> None:
    """Whatever column, whatever is put in, in the first record, in the middle, in the last."""
    number = sequence(world, position)
    world.sql("PRAGMA ignore_check_constraints = ON")
    loose = "NOT NULL" if value is None and column in ("at", "action", "actor", "data") else ""
    if loose:
        # A NULL does not fit; an empty text is as unreadable.
        value = ""
    ((before,),) = world.sql(f"SELECT {column} FROM audit_records WHERE sequence = ?", number)
    if before == value:
        value = "txn_8"
    world.sql(f"UPDATE audit_records SET {column} = ? WHERE sequence = ?", value, number)
    report = await world.verify()
    assert places(report, position), report.findings
    assert len(report.findings) <= 2
    if column not in ("chain_position", "tenant", "sequence"):
        lost = column == "chain_hash" and position == SEALED and value is None
        assert report.findings[0].place == f"record {number}" or lost
        assert (Kind.EDITED, position, position) in found(report) or lost


async def test_an_edited_record_with_its_hash_made_anew_is_found_at_its_place(
    world: World,
) -> None:
    """By the MAC; in an export, which has none, at the next one or by the head."""
    for position in (1, 6, SEALED - 1):
        world.sql(f"UPDATE audit_records SET action = 'x' WHERE {ROW.format(position)}")
    ((head,),) = [[await world.head()]]
    chain = await world.verify()
    assert found(chain) == [(Kind.EDITED, p, p) for p in (1, 6, SEALED - 1)]
    chain_anew(world)
    report = await world.verify()
    for position in (1, 6, SEALED - 1):
        assert (Kind.EDITED, position, position) in found(report)
    ((_, exported),) = check_file(await world.export(), [head])
    assert found(exported) == [(Kind.REPLACED, 1, SEALED)]


# -- deleted, inserted, reordered ------------------------------------------------------------------


@pytest.mark.parametrize("position", [1, 2, 6, 7, SEALED - 1])
async def test_a_deleted_record_is_found_at_its_position(world: World, position: int) -> None:
    """The first, one that ended a batch, one in the middle; in an export as well."""
    head = await world.head()
    world.sql(f"DELETE FROM audit_records WHERE {ROW.format(position)}")
    assert found(await world.verify()) == [(Kind.DELETED, position, position)]
    ((_, exported),) = check_file(await world.export(), [head])
    assert found(exported) == [(Kind.DELETED, position, position)]


async def test_several_deleted_records_are_one_finding(world: World) -> None:
    """From the first to the last of them."""
    world.sql("DELETE FROM audit_records WHERE tenant = 'ours' AND chain_position BETWEEN 4 AND 8")
    assert found(await world.verify()) == [(Kind.DELETED, 4, 8)]


@pytest.mark.parametrize("position", [1, 6, SEALED])
async def test_a_deleted_record_whose_gap_was_closed_is_found(world: World, position: int) -> None:
    """All positions and hashes behind it made anew: the signed heads name others."""
    head = await world.head()
    world.sql(f"DELETE FROM audit_records WHERE {ROW.format(position)}")
    chain_anew(world)
    report = await world.verify()
    assert any(f.first is not None and f.first <= position for f in report.findings)
    assert (Kind.TRUNCATED, SEALED, SEALED) in found(report)
    ((_, exported),) = check_file(await world.export(), [head])
    assert (Kind.TRUNCATED, SEALED, SEALED) in found(exported)


INSERT: Final = (
    "INSERT INTO audit_records (sequence, tenant, at, action, actor, data, chain_position,"
    " chain_hash, mac) VALUES (?, 'ours', '2026-04-24 06:00:00.000000', 'x', 'cli', '{}', ?, ?, ?)"
)


@pytest.mark.parametrize("mac", [None, b"m" * 32])
@pytest.mark.parametrize("number", [-7, 0, 999])
async def test_an_inserted_record_is_found(world: World, number: int, mac: bytes | None) -> None:
    """Not sealed, before all others or behind them."""
    world.sql(INSERT, number, None, None, mac)
    report = await world.verify()
    assert [(f.kind, f.place) for f in report.findings] == [(Kind.INSERTED, f"record {number}")]


async def test_a_record_inserted_behind_the_last_one_and_chained_is_found(world: World) -> None:
    """Its hash is right; no head covers it, and its MAC is none."""
    world.sql("DELETE FROM audit_records WHERE tenant = 'ours' AND chain_position IS NULL")
    world.sql(INSERT, 999, SEALED + 1, b"?" * 32, None)
    chain_anew(world)
    report = await world.verify()
    assert found(report) == [
        (Kind.EDITED, SEALED + 1, SEALED + 1),
        (Kind.UNSIGNED, SEALED + 1, SEALED + 1),
    ]


async def test_a_record_inserted_in_the_middle_is_found(world: World) -> None:
    """With everything behind it moved on and made anew."""
    head = await world.head()
    # Room for it: the sequences behind move, too, which their MACs cover.
    world.sql("UPDATE audit_records SET sequence = sequence + 1000 WHERE chain_position >= 6")
    world.sql(INSERT, 500, None, b"?" * 32, None)
    chain_anew(world)
    report = await world.verify()
    assert (Kind.EDITED, 6, 6) in found(report)
    ((_, exported),) = check_file(await world.export(), [head])
    assert exported.findings
    assert exported.findings[0].first in (2, 6)


@pytest.mark.parametrize(("one", "other"), [(1, 2), (3, 4), (2, 9), (12, SEALED)])
@pytest.mark.parametrize(
    "columns",
    [
        ("chain_position", "chain_hash"),
        ("chain_position",),
        ("sequence",),
        ("at", "action", "actor", "transaction_id", "data", "mac"),
        ("at", "action", "actor", "transaction_id", "data", "mac", "chain_hash"),
    ],
)
async def test_swapped_records_are_found_at_both_places(
    world: World, columns: tuple[str, ...], one: int, other: int
) -> None:
    """Their places in the chain, their numbers, or what is in them."""
    numbers = sequence(world, one), sequence(world, other)
    rows = [
        world.sql(f"SELECT {', '.join(columns)} FROM audit_records WHERE sequence = ?", n)[0]
        for n in numbers
    ]
    if "chain_position" in columns:
        world.sql(
            "UPDATE audit_records SET chain_position = NULL WHERE sequence IN (?, ?)", *numbers
        )
    if columns == ("sequence",):
        for before, after in ((numbers[0], -1), (numbers[1], numbers[0]), (-1, numbers[1])):
            world.sql("UPDATE audit_records SET sequence = ? WHERE sequence = ?", after, before)
    else:
        sets = ", ".join(f"{column} = ?" for column in columns)
        for number, values in zip(numbers, reversed(rows), strict=True):
            world.sql(f"UPDATE audit_records SET {sets} WHERE sequence = ?", *values, number)
    report = await world.verify()
    kinds = {f.kind for f in report.findings}
    moved = columns in (("sequence",), ("chain_position", "chain_hash"))
    assert Kind.REORDERED in kinds if moved else kinds == {Kind.EDITED}
    if moved:
        assert places(report, one) or places(report, other)
    else:
        assert places(report, one)
        assert places(report, other)


# -- truncated, replaced, unsigned -----------------------------------------------------------------


async def test_a_tail_that_was_cut_off_is_found_by_the_heads(world: World) -> None:
    """By the gateway's own; and where those were cut off, too, by one that was kept elsewhere."""
    newest = await world.head()
    cut = sum(BATCHES[:3])
    world.sql(
        "DELETE FROM audit_records WHERE tenant = 'ours' AND (chain_position > ? OR"
        " chain_position IS NULL)",
        cut,
    )
    expected = [(Kind.TRUNCATED, cut + 1, SEALED)]
    assert found(await world.verify()) == expected
    world.sql("DELETE FROM audit_heads WHERE tenant = 'ours' AND position > ?", cut)
    assert found(await world.verify()) == []
    assert found(await world.verify([newest])) == expected
    lines = await world.export()
    ((_, exported),) = check_file(lines, [newest])
    assert found(exported) == expected
    older = await world.head()
    assert older.position == cut
    ((_, exported),) = check_file(lines, [older])
    assert found(exported) == []


async def test_everything_that_was_cut_off_is_found_by_a_kept_head(world: World) -> None:
    """Not one record and no head is left."""
    newest = await world.head()
    world.sql("DELETE FROM audit_records WHERE tenant = 'ours'")
    assert found(await world.verify()) == [(Kind.TRUNCATED, 1, SEALED)]
    world.sql("DELETE FROM audit_heads WHERE tenant = 'ours'")
    assert found(await world.verify([newest])) == [(Kind.TRUNCATED, 1, SEALED)]
    ((_, exported),) = check_file([], [newest])
    assert found(exported) == [(Kind.TRUNCATED, 1, SEALED)]


async def test_a_chain_replaced_as_a_whole_is_found(world: World) -> None:
    """Every record other, every hash right, the heads signed by a key of the forger's."""
    older = await world.head()
    world.sql("UPDATE audit_records SET actor = 'nobody' WHERE tenant = 'ours'")
    chain_anew(world)
    report = await world.verify()
    assert [p for p in range(1, SEALED + 1) if not places(report, p)] == []
    forger = Ed25519PrivateKey.generate()
    public = forger.public_key().public_bytes_raw()
    for position, hash_ in world.sql(
        "SELECT chain_position, chain_hash FROM audit_records WHERE tenant = 'ours'"
        " AND chain_position IN (SELECT position FROM audit_heads WHERE tenant = 'ours')"
    ):
        made = AuditHead(tenant=OURS, position=position, hash=hash_, at=older.at, public_key=public)
        world.sql(
            "UPDATE audit_heads SET hash = ?, at = ?, public_key = ?, signature = ?"
            " WHERE tenant = 'ours' AND position = ?",
            hash_,
            older.at.strftime("%Y-%m-%d %H:%M:%S.%f"),
            public,
            forger.sign(made.signed_bytes),
            position,
        )
    lines = await world.export()
    ((_, exported),) = check_file(lines, [older])
    assert (Kind.REPLACED, 1, SEALED) in found(exported)
    assert {f.kind for f in exported.findings} == {Kind.REPLACED, Kind.UNSIGNED}
    # Only who believes the forger's key believes the forgery.
    ((_, believed),) = check_file(lines, [], [public])
    assert found(believed) == []
    assert Kind.UNSIGNED in {f.kind for f in (await world.verify()).findings}


# -- anything --------------------------------------------------------------------------------------


@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=st.data())
async def test_any_tampering_is_found(world: World, data: st.DataObject) -> None:
    """Random statements on random sealed records, hashes made anew or not."""
    world.restore()
    untouched = await sealed_lines(world)
    newest = await world.head()
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(1, SEALED))
        other = data.draw(st.integers(1, SEALED).filter(lambda n, p=position: n != p))
        where = ROW.format(position)
        match data.draw(st.sampled_from(["edit", "delete", "insert", "swap", "cut"])):
            case "edit":
                column = data.draw(st.sampled_from(["action", "actor", "transaction_id"]))
                text = data.draw(st.text("abc", min_size=3, max_size=5))
                world.sql(f"UPDATE audit_records SET {column} = ? WHERE {where}", text)
            case "delete":
                world.sql(f"DELETE FROM audit_records WHERE {where}")
            case "insert":
                ((number,),) = world.sql("SELECT max(sequence) + 1 FROM audit_records")
                world.sql(INSERT, number, None, None, None)
            case "swap":
                rows = world.sql(
                    "SELECT sequence, action, data FROM audit_records WHERE tenant = 'ours' AND"
                    " chain_position IN (?, ?)",
                    position,
                    other,
                )
                if len(rows) == 2:
                    for (_, action, content), (number, *_) in (rows, rows[::-1]):
                        world.sql(
                            "UPDATE audit_records SET action = ?, data = ? WHERE sequence = ?",
                            action,
                            content,
                            number,
                        )
            case "cut":
                world.sql(
                    "DELETE FROM audit_records WHERE tenant = 'ours' AND chain_position >= ?",
                    position,
                )
    if data.draw(st.booleans()):
        chain_anew(world)
    assert (await world.verify([newest])).findings
    sealed = await sealed_lines(world)
    if sealed != untouched:
        ((_, exported),) = check_file(sealed, [newest])
        assert exported.findings


async def sealed_lines(world: World) -> list[str]:
    """Of an export, what the chain covers."""
    return [line for line in await world.export() if '"type":"unsealed"' not in line]
