"""Sealed values open only where they were put; rows that decide carry a MAC (security.md 15)."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import LargeBinary

from moica_gateway.domain.values import Secret, TenantId
from moica_gateway.errors import GatewayError, VerificationError
from moica_gateway.stores import people, rows, tables, tenants
from moica_gateway.stores.seals import unambiguous
from moica_gateway.stores.vault import Place, Vault
from moica_gateway.testing.random import SeededRandom

Load = Callable[[], Awaitable[None]]

SEALED = [
    ("tenants", "sealed"),
    ("tenant_keys", "wrapped"),
    ("webhook_endpoints", "sealed"),
    ("persons", "id_number"),
    ("persons", "hashed_id_num"),
    ("person_keys", "wrapped"),
    ("credentials", "personal"),
    ("transactions", "sealed"),
    ("transactions", "personal"),
    ("documents", "sealed"),
    ("challenges", "sealed"),
    ("challenges", "personal"),
    ("blobs", "sealed"),
    ("outbox_messages", "sealed"),
]
NOT_SEALED = {
    ("api_keys", "key_hash"),
    ("persons", "lookup_hash"),
    ("tenant_keys", "key_id"),
    ("person_keys", "key_id"),
    ("idempotency_records", "body_mac"),
    ("audit_records", "chain_hash"),
    ("audit_heads", "hash"),
    ("audit_heads", "public_key"),
    ("audit_heads", "signature"),
    ("identity_queries", "subject_hash"),
    ("revocation_lists", "body"),
}
MACS = {
    "tenants": tenants.TENANT_MAC,
    "api_keys": tenants.API_KEY_MAC,
    "webhook_endpoints": tenants.ENDPOINT_MAC,
    "user_bindings": people.BINDING_MAC,
    "credentials": people.CREDENTIAL_MAC,
    "transactions": rows.TRANSACTION_MAC,
}
OTHER: dict[str, Any] = {
    "policy": '{"time_limit_default":60,"time_limit_max":600}',
    "scopes": '["admin"]',
    "test": 1,
    "enabled": 0,
    "enable": 0,
    "partial": 1,
    "version": 9,
    "time_limit": 599,
    "key_hash": b"?" * 32,
    "kind": "registration",
    "type": "passkey",
    "status": {"credentials": "enabled", "transactions": "rejected"},
    "tenant": "theirs",
    "person_id": "per_1",
    "user_id": "mallory",
}
"""What an insider would write instead; other columns get another instant or another text."""


@contextmanager
def database(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        yield connection


async def refused(load: Load) -> None:
    with pytest.raises(VerificationError) as raised:
        await load()
    assert raised.value.code == "vault_tampered"


def test_every_binary_column_is_accounted_for() -> None:
    """A new binary column is either sealed and tested here, or named as not personal."""
    found = {
        (table.name, column.name)
        for table in tables.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, LargeBinary) and column.name != "mac"
    }
    assert found == set(SEALED) | NOT_SEALED


@pytest.mark.parametrize(("table", "column"), SEALED)
async def test_swapped_sealed_values_do_not_open(
    filled: Path, load_all: Load, table: str, column: str
) -> None:
    """Of any two rows, of one person, of two, of two tenants, the values cannot be exchanged."""
    query = f"SELECT rowid, {column} FROM {table} WHERE {column} IS NOT NULL"  # noqa: S608
    update = f"UPDATE {table} SET {column} = ? WHERE rowid = ?"  # noqa: S608
    with database(filled) as connection:
        stored = connection.execute(query).fetchall()
    assert len(stored) >= 2
    for (a, of_a), (b, of_b) in itertools.islice(itertools.combinations(stored, 2), 4):
        with database(filled) as connection:
            connection.executemany(update, [(of_b, a), (of_a, b)])
        await refused(load_all)
        with database(filled) as connection:
            connection.executemany(update, [(of_a, a), (of_b, b)])
    await load_all()


@pytest.mark.parametrize(
    ("table", "one", "other"),
    [
        ("persons", "id_number", "hashed_id_num"),
        ("transactions", "sealed", "personal"),
        ("challenges", "sealed", "personal"),
    ],
)
async def test_swapped_columns_do_not_open(
    filled: Path, load_all: Load, table: str, one: str, other: str
) -> None:
    """Two sealed values of one row cannot change places."""
    with database(filled) as connection:
        connection.execute(f"UPDATE {table} SET {one} = {other}, {other} = {one}")  # noqa: S608
    await refused(load_all)


@pytest.mark.parametrize("what", ["flip", "cut", "empty", "text", "header"])
@pytest.mark.parametrize(("table", "column"), SEALED)
async def test_damaged_sealed_values_do_not_open(
    filled: Path, load_all: Load, table: str, column: str, what: str
) -> None:
    """A flipped bit, a cut value, no value, a text and another header are refused."""
    with database(filled) as connection:
        (value,) = connection.execute(
            f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL"  # noqa: S608
        ).fetchone()
        damaged = {
            "flip": value[:-1] + bytes([value[-1] ^ 1]),
            "cut": value[:20],
            "empty": b"",
            "text": "text",
            "header": b"\x02" + value[1:],
        }[what]
        connection.execute(
            f"UPDATE {table} SET {column} = ? WHERE {column} = ?",  # noqa: S608
            (damaged, value),
        )
    await refused(load_all)


@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table, names in MACS.items() for column in names]
)
async def test_changed_deciding_columns_are_refused(
    filled: Path, load_all: Load, table: str, column: str
) -> None:
    """Whatever an insider changes in the clear columns of a row that decides, loading refuses."""
    with database(filled) as connection:
        rowid, value = connection.execute(
            f"SELECT rowid, {column} FROM {table} ORDER BY rowid LIMIT 1"  # noqa: S608
        ).fetchone()
        other = OTHER.get(column, "mallory")
        if isinstance(other, dict):
            other = other[table]
        if column.endswith("_at") or column in ("not_before", "not_after"):
            other = "2031-01-01 00:00:00.000000"
        if column == "tenant":
            # Every key is free for it: only the MAC stands in the way.
            connection.execute(f"DELETE FROM {table} WHERE tenant = 'theirs'")  # noqa: S608
        if (table, column) == ("tenants", "id"):
            other = "nobody"
        assert other != value
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (other, rowid))  # noqa: S608
    await refused(load_all)


@pytest.mark.parametrize("table", MACS)
@pytest.mark.parametrize("mac", [b"", b"\x00" * 32, "text", "other row's"])
async def test_changed_macs_are_refused(
    filled: Path, load_all: Load, table: str, mac: bytes | str
) -> None:
    """A MAC that is missing, wrong, of another type or of another row is refused."""
    with database(filled) as connection:
        first, second = connection.execute(f"SELECT rowid, mac FROM {table} LIMIT 2")  # noqa: S608
        new = second[1] if mac == "other row's" else mac
        connection.execute(f"UPDATE {table} SET mac = ? WHERE rowid = ?", (new, first[0]))  # noqa: S608
    await refused(load_all)


async def test_swapped_lookup_hashes_are_refused(filled: Path, opened: Any, make: Any) -> None:
    """An insider cannot make one ID number answer for another person."""
    with database(filled) as connection:
        first, second = connection.execute(
            "SELECT id, lookup_hash FROM persons WHERE tenant = 'ours' ORDER BY id"
        )
        for person, value in ((first[0], b"-"), (second[0], first[1]), (first[0], second[1])):
            connection.execute(
                "UPDATE persons SET lookup_hash = ? WHERE tenant = 'ours' AND id = ?",
                (value, person),
            )
    async with opened() as store:
        with pytest.raises(VerificationError):
            await store.read(lambda u: u.person_by_id_number(make.ours, make.id_number(0)))


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("challenges", "channel", "pigeon"),
        ("challenges", "created_at", "yesterday"),
        ("challenges", "expires_at", 5),
        ("documents", "status", "signed"),
        ("outbox_messages", "created_at", "soon"),
    ],
)
async def test_unreadable_rows_are_refused(
    filled: Path, load_all: Load, table: str, column: str, value: Any
) -> None:
    """A clear column without MAC that holds nonsense is our error too, not a foreign one."""
    with database(filled) as connection:
        connection.execute(f"UPDATE {table} SET {column} = ?", (value,))  # noqa: S608
    await refused(load_all)


async def test_errors_quote_nothing(filled: Path, load_all: Load) -> None:
    """The error names the row and the column, and nothing of what is in them."""
    with database(filled) as connection:
        connection.execute("UPDATE persons SET id_number = hashed_id_num")
    with pytest.raises(GatewayError) as raised:
        await load_all()
    assert "per_0" in str(raised.value)
    assert "id_number" in str(raised.value)
    assert raised.value.__cause__ is None


@given(st.lists(st.binary(max_size=6), max_size=4), st.lists(st.binary(max_size=6), max_size=4))
def test_joined_parts_are_unambiguous(one: list[bytes], other: list[bytes]) -> None:
    """Two lists of parts give the same bytes only when they are the same list."""
    assert (unambiguous(*one) == unambiguous(*other)) == (one == other)


@pytest.mark.parametrize(
    "place",
    [
        Place("t2", "table", ("row",), "column"),
        Place("t", "table2", ("row",), "column"),
        Place("t", "table", ("row2",), "column"),
        Place("t", "table", ("row", ""), "column"),
        Place("t", "table", (), "column"),
        Place("t", "table", ("row",), "column2"),
        Place("tt", "able", ("row",), "column"),
        Place("t", "table", ("columnrow",), ""),
    ],
)
def test_each_part_of_the_place_counts(place: Place) -> None:
    """A value opens in its place and in no other, under its key and no other of the same id."""
    vault = Vault(Secret(b"m" * 32), SeededRandom())
    key, wrapped = vault.new_key(TenantId("t"), "tenant_keys", ())
    sealed = vault.seal(key, Place("t", "table", ("row",), "column"), b"value")
    same = vault.unwrap(TenantId("t"), "tenant_keys", (), key.id, wrapped)
    assert vault.open(same, Place("t", "table", ("row",), "column"), sealed) == b"value"
    with pytest.raises(VerificationError):
        vault.open(key, place, sealed)


def test_equal_values_are_sealed_differently() -> None:
    """Who reads the database cannot tell that two people have the same name."""
    vault = Vault(Secret(b"m" * 32), SeededRandom())
    key, _ = vault.new_key(TenantId("t"), "tenant_keys", ())
    place = Place("t", "table", ("row",), "column")
    assert vault.seal(key, place, b"value") != vault.seal(key, place, b"value")
