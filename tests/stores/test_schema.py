"""Migrations make exactly the tables of the program, and a newer database is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from moica_gateway import stores
from moica_gateway.domain.values import Secret
from moica_gateway.errors import ConfigurationError
from moica_gateway.stores import migrate, open_store, schema_version
from moica_gateway.stores.tables import metadata
from moica_gateway.testing.random import SeededRandom


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(stores.__file__).parent / "migrations"))
    return ScriptDirectory.from_config(config)


def tables_of(database: sqlite3.Connection) -> dict[str, str]:
    rows = database.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    kept = {name: " ".join(sql.split()) for name, sql in rows if name != "alembic_version"}
    kept.pop("sqlite_sequence", None)
    return kept


def columns_of(database: sqlite3.Connection) -> dict[str, list[str]]:
    names = [name for (name,) in database.execute("SELECT name FROM sqlite_master")]
    return {
        name: [row[1] for row in database.execute(f"PRAGMA table_info({name})")]
        for name in names
        if not name.startswith(("sqlite_", "alembic_"))
    }


def columns_of_version(version: str) -> dict[str, list[str]]:
    """As Alembic makes them up to there."""
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(Path(stores.__file__).parent / "migrations"))
        command.upgrade(config, version)
        driver = connection.connection.dbapi_connection
        assert isinstance(driver, sqlite3.Connection)
        found = columns_of(driver)
    engine.dispose()
    return found


def test_migrated_database_equals_the_metadata(url: str) -> None:
    """Alembic finds no difference between a migrated database and the program's tables."""
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_migrated_database_equals_the_metadata_word_for_word(url: str) -> None:
    """The same statements, partial indices and foreign keys included, come from both."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as migrated:
        found = tables_of(migrated)
    with closing(sqlite3.connect(":memory:")) as expected:
        for table in metadata.sorted_tables:
            expected.execute(str(CreateTable(table).compile(dialect=sqlite.dialect())))
            for index in table.indexes:
                expected.execute(str(CreateIndex(index).compile(dialect=sqlite.dialect())))
        assert {k: sorted(v) for k, v in found.items()} == {
            k: sorted(v) for k, v in tables_of(expected).items()
        }


def test_tables_are_postgresqls_too() -> None:
    """Every table and index compiles for PostgreSQL, with its types and partial indices."""
    dialect = postgresql.dialect()
    made = "\n".join(
        str(CreateTable(table).compile(dialect=dialect)) for table in metadata.sorted_tables
    )
    assert "TIMESTAMP WITH TIME ZONE" in made
    assert "JSONB" in made
    assert "BYTEA" in made
    assert "sequence BIGSERIAL" in made
    partial = [
        str(CreateIndex(index).compile(dialect=dialect))
        for table in metadata.sorted_tables
        for index in table.indexes
        if index.dialect_options["postgresql"]["where"] is not None
    ]
    assert len(partial) == 4
    assert all("WHERE" in statement for statement in partial)


def test_schema_version_is_the_newest_migration() -> None:
    """The version that the program expects is the head of the migrations, and there is one."""
    assert scripts().get_heads() == [schema_version]


def test_migrating_again_changes_nothing(url: str) -> None:
    """A second `migrate` leaves the file's tables as they are."""
    file = url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file)) as database:
        before = tables_of(database)
    migrate(url)
    with closing(sqlite3.connect(file)) as database:
        assert tables_of(database) == before


async def test_a_newer_database_is_refused(url: str, opened: Any) -> None:
    """Neither `migrate` nor `open` touches a database of a newer program, and both say why."""
    file = url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    with pytest.raises(ConfigurationError) as raised:
        migrate(url)
    assert raised.value.code == "configuration_invalid"
    assert "9999" in raised.value.problem.detail
    with pytest.raises(ConfigurationError) as raised:
        async with opened():
            pass
    assert "newer program" in raised.value.problem.detail


async def test_an_unmigrated_database_is_refused(tmp_path: Path, clock: Any) -> None:
    """An empty or missing file is not opened; the message says to migrate."""
    file = tmp_path / "empty.db"
    store = open_store(
        f"sqlite:///{file}", master_key=Secret(b"k" * 32), clock=clock, random=SeededRandom()
    )
    for _ in range(2):
        with pytest.raises(ConfigurationError) as raised:
            await store.open()
        assert raised.value.code == "configuration_invalid"
        assert "migrate" in raised.value.problem.detail
        file.touch()


async def test_another_master_key_is_refused(opened: Any, make: Any) -> None:
    """A database is opened only with the key that it was made with."""
    async with opened() as store:
        await store.write(lambda u: u.save_tenant(make.tenant()))
    with pytest.raises(ConfigurationError) as raised:
        async with opened(Secret(b"?" * 32)):
            pass
    assert raised.value.code == "configuration_invalid"
    assert "master key" in raised.value.problem.detail


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_master_key_of_another_length_is_refused(url: str, clock: Any, length: int) -> None:
    """A master key is 32 bytes."""
    with pytest.raises(ConfigurationError) as raised:
        open_store(url, master_key=Secret(b"k" * length), clock=clock, random=SeededRandom())
    assert raised.value.code == "configuration_invalid"


@pytest.mark.parametrize(
    "url",
    [
        "mysql://user:hunter2@db/gateway",
        "postgresql://user:hunter2@db/",
        "postgresql://user:hunter2@db/gateway?options=-cfsync%3Doff",
        "sqlite+aiosqlite:///x.db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///x.db?mode=ro",
        "",
        "gateway.db",
        "sqlite:///x.db:\x00//",
        "http://[",
    ],
)
def test_other_urls_are_refused(url: str, clock: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """Another engine, no file, or no URL: the operator is told what is expected, no password."""
    monkeypatch.chdir(tmp_path)
    for call in (
        migrate,
        lambda u: open_store(u, master_key=Secret(b"k" * 32), clock=clock, random=SeededRandom()),
    ):
        with pytest.raises(ConfigurationError) as raised:
            call(url)
        assert raised.value.code == "configuration_invalid"
        assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("what", ["directory missing", "a directory", "no database"])
def test_an_unusable_file_is_a_configuration_error(tmp_path: Path, what: str) -> None:
    """A path that cannot be a database is reported as ours, not as the driver's error."""
    path = tmp_path / "x"
    if what == "directory missing":
        path = path / "gateway.db"
    elif what == "a directory":
        path.mkdir()
    else:
        path.write_bytes(b"this is no database, whatever its name says" * 40)
    with pytest.raises(ConfigurationError) as raised:
        migrate(f"sqlite:///{path}")
    assert raised.value.code == "storage_unavailable"


_TICKETS_AWAY = (
    "ALTER TABLE documents DROP COLUMN ticket; ALTER TABLE challenges DROP COLUMN ticket;"
)
_BRAKES_AWAY = "DROP TABLE person_brakes; DROP TABLE request_counts;"
_CHAIN_AWAY = "DROP TABLE audit_heads; ALTER TABLE audit_records DROP COLUMN mac;"
_LISTS_AWAY = "DROP TABLE revocation_lists;"
_QUERIES_AWAY = _LISTS_AWAY + "DROP TABLE identity_queries;"


@pytest.mark.parametrize(
    ("version", "away"),
    [
        ("0001", _CHAIN_AWAY + _QUERIES_AWAY + _TICKETS_AWAY + _BRAKES_AWAY),
        ("0002", _CHAIN_AWAY + _QUERIES_AWAY + _TICKETS_AWAY),
        ("0003", _CHAIN_AWAY + _QUERIES_AWAY),
        ("0004", _CHAIN_AWAY + _LISTS_AWAY),
        ("0005", _LISTS_AWAY),
    ],
)
async def test_a_filled_database_of_a_version_before_goes_forward_and_keeps_everything(
    tmp_path: Path, clock: Any, make: Any, version: str, away: str
) -> None:
    """With rows in it: each reads as before, and what came later works on its people."""
    file = tmp_path / "old.db"
    url = f"sqlite:///{file}"
    migrate(url)
    key = Secret(bytes(range(32)))

    def fill(unit: Any) -> None:
        unit.save_tenant(make.tenant())
        unit.save_person(make.person())
        unit.save_credential(make.credential())
        unit.add_transaction(make.transaction())
        for n in range(3):
            unit.audit(make.ours, make.audit(f"a{n}"))

    async with open_store(url, master_key=key, clock=clock, random=SeededRandom()) as store:
        await store.write(fill)
    with closing(sqlite3.connect(file)) as database:
        # What came later is taken away again: the tables are that version's, with their rows.
        database.executescript(away)
        database.execute("UPDATE alembic_version SET version_num = ?", (version,))
        database.commit()
        assert columns_of(database) == columns_of_version(version)
    with pytest.raises(ConfigurationError, match=version):
        await open_store(url, master_key=key, clock=clock, random=SeededRandom()).open()
    if version < "0005":  # from then on each record has its MAC
        with pytest.raises(ConfigurationError, match="master key"):
            migrate(url)
    migrate(url, key)
    async with open_store(url, master_key=key, clock=clock, random=SeededRandom(2)) as store:
        entries = await store.read(lambda u: u.audit_entries(make.ours, 0, 9))
        assert [(e.record, e.authentic) for e in entries] == [
            (make.audit(f"a{n}"), True) for n in range(3)
        ]
        transaction = make.transaction()
        assert await store.read(lambda u: u.transaction(make.ours, transaction.id)) == transaction
        person = make.person()
        assert await store.read(lambda u: u.person(make.ours, person.id)) == person
        assert await store.read(lambda u: u.person_brake(make.ours, person.id)) is None
        await store.write(lambda u: u.save_person_brake(make.ours, person.id, make.brake()))
        assert await store.read(lambda u: u.person_brake(make.ours, person.id)) == make.brake()
