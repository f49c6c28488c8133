"""The command: settings, secrets, start, busy port, stop, and a second start."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from document_system import cli
from document_system.app import create_app
from document_system.database import Database
from document_system.errors import SetupError
from document_system.passwords import Passwords
from document_system.seed import USERS
from document_system.settings import Settings, read_secret
from document_system.store import confirmations
from document_system.store.documents import list_signatures
from document_system.web.keys import ASKING, DESK, SETTINGS

SCHEMA_2 = Path(__file__).with_name("schema_v2.sql")

SECRETS = {
    "DOCUMENT_SYSTEM_API_KEY": "mgk_test_x",
    "DOCUMENT_SYSTEM_WEBHOOK_SECRET": "whsec_ZG9jdW1lbnQgc3lzdGVtIHdlYmhvb2sgc2VjcmV0ISE=",
}


@pytest.mark.parametrize(
    ("arguments", "environ", "words"),
    [
        ([], {"DOCUMENT_SYSTEM_API_KEY": ""}, "DOCUMENT_SYSTEM_API_KEY"),
        ([], {"DOCUMENT_SYSTEM_WEBHOOK_SECRET": ""}, "DOCUMENT_SYSTEM_WEBHOOK_SECRET"),
        ([], {"DOCUMENT_SYSTEM_WEBHOOK_SECRET": "whsec_*"}, "DOCUMENT_SYSTEM_WEBHOOK_SECRET"),
        ([], {"DOCUMENT_SYSTEM_PORT": "many"}, "DOCUMENT_SYSTEM_PORT"),
        (["--port", "65536"], {}, "--port"),
        (["--sign-time-limit", "29"], {}, "--sign-time-limit"),
        (["--gateway-url", "gateway"], {}, "--gateway-url"),
        (["--api-key-file", "/nonexistent"], {}, "--api-key-file"),
        (["--data", "/dev/null/x"], {}, "--data"),
    ],
)
def test_a_wrong_setting_is_named(
    arguments: list[str],
    environ: dict[str, str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line that names the setting, exit status 2, no traceback."""
    for name, value in {"DOCUMENT_SYSTEM_PORT": "0", **SECRETS, **environ}.items():
        monkeypatch.setenv(name, value)
    status = cli.main(["serve", "--data", str(tmp_path), *arguments])
    said = capsys.readouterr().err
    assert status == 2
    assert words in said
    assert len(said.splitlines()) == 1
    assert "mgk_test_x" not in said


def test_it_serves_until_told_to_stop(tmp_path: Path) -> None:
    """A ready line with the real port, an answer, a clean end on SIGTERM; a busy port is named."""
    command = [sys.executable, "-m", "document_system", "serve", "--demo", "--data", str(tmp_path)]
    environ = {**os.environ, **SECRETS, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with subprocess.Popen(
        [*command, "--port", "0"], stdout=subprocess.PIPE, env=environ, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"document-system: ready on http://127\.0\.0\.1:(\d+)\n", line)
        assert found
        port = int(found[1])
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
            assert b"200 OK" in connection.recv(4096)
        second = subprocess.run(
            [*command, "--port", str(port)],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert second.returncode == 2
        assert f"port {port} on 127.0.0.1 is busy" in second.stderr
        assert "DOCUMENT_SYSTEM_PORT" in second.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    with sqlite3.connect(tmp_path / "document-system.sqlite3") as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()


async def test_a_second_start_goes_on_where_the_first_stopped(world: Any) -> None:
    """Seeding leaves what is there alone, and an open window is found again."""
    browser = await world.browser("clerk01")
    await browser.register(world.gateway, "clerk01")
    page = await browser.send_for_signing("1153000165")
    settings: Settings = world.app[SETTINGS]
    again = create_app(settings, clock=world.clock, passwords=Passwords(n=16))
    runner = web.AppRunner(again)
    await runner.setup()
    try:
        id_ = page.path.rpartition("/")[2]
        found = await again[ASKING].find(id_, USERS[0])
        assert found is not None
        assert found.transaction_id == world.gateway.last()["id"]
        assert again[DESK] is not world.app[DESK]
    finally:
        await runner.cleanup()


def test_a_secret_comes_from_its_file_first(tmp_path: Path) -> None:
    """A named file wins over the environment; an empty one is an error that shows nothing."""
    file = tmp_path / "key"
    file.write_text("mgk_test_from_file\n")
    environ = {"X": "mgk_test_from_environment"}
    assert read_secret(environ, "X", file, "--x") == "mgk_test_from_file"
    assert read_secret(environ, "X", None, "--x") == "mgk_test_from_environment"
    file.write_text("\n")
    with pytest.raises(SetupError, match="none is set"):
        read_secret(environ, "X", file, "--x")


async def test_a_database_of_the_first_version_goes_on(tmp_path: Path) -> None:
    """What waited for a phone then is taken up with the body that it had; a second start too."""
    schema = SCHEMA_2.read_text(encoding="utf-8")
    first = "\n".join(
        line for line in schema.splitlines() if not line.startswith(("  channel ", "  supersede "))
    )
    path = tmp_path / "document-system.sqlite3"
    with sqlite3.connect(path) as db:
        db.executescript(f"{first}\nPRAGMA user_version = 1;")
        db.execute("INSERT INTO users VALUES ('u', 'n', 't', 'o', 'h')")
        db.execute(
            "INSERT INTO confirmations (id, kind, user_id, idempotency_key, time_limit, status, "
            "created_at) VALUES ('c', 'signature', 'u', 'k', 60, 'starting', '2026-04-30')"
        )
    db.close()
    for _ in range(2):
        database = Database(path)
        await database.open()
        found = await database.run(confirmations.find_confirmation, "c")
        await database.close()
        assert found is not None
        assert (found.channel, found.supersede, found.open) == ("push", False, True)


async def test_a_database_of_the_second_version_keeps_what_was_signed(tmp_path: Path) -> None:
    """Signed and open signatures, registrations, order, triggers; and it may hold batches now."""
    path = tmp_path / "document-system.sqlite3"
    with sqlite3.connect(path) as db:
        db.executescript(f"{SCHEMA_2.read_text(encoding='utf-8')}\nPRAGMA user_version = 2;")
        db.execute("INSERT INTO users VALUES ('u', 'n', 't', 'o', 'h')")
        for number in ("1", "2"):
            db.execute(
                "INSERT INTO documents (number, subject, body, from_agency, state, received_at, "
                "due_at) VALUES (?, 's', 'b', 'f', 's', '2026-04-30', '2026-04-30')",
                (number,),
            )
            db.execute(
                "INSERT INTO versions VALUES (?, 1, x'61', 'aa', 'text/plain', '2026-04-30', 'u')",
                (number,),
            )
        for id_, kind, status, number in (
            ("z", "signature", "expired", "1"),
            ("b", "registration", "completed", None),
            ("c", "signature", "completed", "1"),
            ("a", "signature", "pending", "2"),
        ):
            db.execute(
                "INSERT INTO confirmations (id, kind, user_id, idempotency_key, time_limit, "
                "status, created_at, ended_at, number, version, sha256, transaction_id) "
                "VALUES (?, ?, 'u', ?, 60, ?, '2026-04-30', '2026-04-30', ?, ?, ?, ?)",
                (id_, kind, id_, status, number, 1 if number else None, number and "aa", id_),
            )
        db.execute(
            "INSERT INTO signatures VALUES ('1', 1, 'c', 'u', 'n', 'i', 's', '2026-04-30', x'01')"
        )
    db.close()
    database = Database(path)
    await database.open()
    one = await database.run(confirmations.find_confirmation, "c")
    waiting = await database.run(confirmations.open_signature, "2")
    latest = await database.run(confirmations.latest_signature, "1")
    [signature] = await database.run(list_signatures, "1")
    await database.close()
    assert one is not None
    assert waiting is not None
    assert latest is not None
    assert (one.single and one.single.status, waiting.id, latest.id) == ("completed", "a", "c")
    assert (signature.artifact, signature.behalf_of) == (b"\x01", None)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA foreign_keys = ON")
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        assert db.execute("PRAGMA user_version").fetchone() == (3,)
        with pytest.raises(sqlite3.IntegrityError, match="never changed"):
            db.execute("UPDATE signatures SET artifact = x'00'")
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            db.execute("INSERT INTO items VALUES ('c', 1, '2', 1, 'aa', 'pending', NULL, NULL)")
    db.close()


async def test_an_upgraded_database_has_the_tables_of_a_new_one(tmp_path: Path) -> None:
    """Name by name, column by column, index by index."""

    async def shape(folder: Path) -> list[tuple[str, ...]]:
        database = Database(folder / "document-system.sqlite3")
        await database.open()

        def read(db: sqlite3.Connection) -> list[tuple[str, ...]]:
            names = [
                row["name"] for row in db.execute("SELECT name FROM sqlite_schema ORDER BY name")
            ]
            columns = [
                (table, *map(str, tuple(column)[1:]))
                for table in names
                for column in db.execute(f"PRAGMA table_info({table})")
            ]
            keys = [
                (table, *map(str, tuple(key)))
                for table in names
                for key in db.execute(f"PRAGMA foreign_key_list({table})")
            ]
            return [*((name,) for name in names), *columns, *keys]

        found = await database.run(read)
        await database.close()
        return found

    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    with sqlite3.connect(old / "document-system.sqlite3") as db:
        db.executescript(f"{SCHEMA_2.read_text(encoding='utf-8')}\nPRAGMA user_version = 2;")
    db.close()
    assert await shape(old) == await shape(new)


async def test_a_database_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    """Refused with the two versions named."""
    path = tmp_path / "document-system.sqlite3"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(SetupError, match="schema 99"):
        await Database(path).open()
