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


async def test_a_database_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    """Refused with the two versions named."""
    path = tmp_path / "document-system.sqlite3"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(SetupError, match="schema 99"):
        await Database(path).open()
