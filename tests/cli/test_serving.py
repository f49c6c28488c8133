"""``serve`` as a program: ready, stopped, and a busy port told before anything is done."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from moica_gateway.testing.pki import MemoryPki

PROGRAM = [sys.executable, "-c", "from moica_gateway.cli import main; main()"]
WITHIN = 30.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With settings, a key and a database."""
    (tmp_path / "root.pem").write_bytes(MemoryPki().root_pem)
    (tmp_path / "gateway.toml").write_text(
        f"""
environment = "simulator"
port = 0
data_dir = "{tmp_path / "data"}"
[upstream]
base_url = "http://127.0.0.1:1"
[trust]
anchors = ["{tmp_path / "root.pem"}"]
"""
    )
    subprocess.run(
        [*PROGRAM, "init", "--config", str(tmp_path / "gateway.toml")], check=True, timeout=WITHIN
    )
    return tmp_path


def start(folder: Path, **settings: str) -> subprocess.Popen[str]:
    """With further settings from the environment."""
    inherited = {n: v for n, v in os.environ.items() if not n.startswith("MOICA_GATEWAY_")}
    added = {f"MOICA_GATEWAY_{name}": value for name, value in settings.items()}
    return subprocess.Popen(
        [*PROGRAM, "serve", "--config", str(folder / "gateway.toml")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**inherited, **added},
    )


@contextmanager
def served(folder: Path, **settings: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Until it is ready; with its ready line."""
    process = start(folder, **settings)
    try:
        assert process.stderr is not None
        for text in process.stderr:
            line = json.loads(text)
            if line["event"] == "gateway.ready":
                break
        else:
            pytest.fail("it ended before it was ready")
        yield process, line
    finally:
        process.kill()
        process.communicate(timeout=WITHIN)


@pytest.fixture
def busy_port() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def status_of(port: int, path: str) -> int:
    """Of a GET."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=WITHIN) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as e:
        with e:
            return e.code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_when_it_is_ready_and_stops_cleanly(folder: Path, number: int) -> None:
    """With the port that the system chose; status 0, no traceback."""
    with served(folder) as (process, line):
        assert line["environment"] == "simulator"
        assert status_of(line["port"], "/readyz") == 200
        assert status_of(line["port"], "/metrics") == 200
        process.send_signal(number)
        _, rest = process.communicate(timeout=WITHIN)
        assert process.returncode == 0
        assert "Traceback" not in rest


@pytest.mark.parametrize("setting", ["PORT", "METRICS_LISTEN"])
def test_a_busy_port_is_one_clear_line_before_anything_is_taken_up(
    folder: Path, busy_port: int, setting: str
) -> None:
    """It names port and setting; the data of whoever runs there is not touched."""
    data = folder / "data"
    before = {p.name: p.stat().st_mtime_ns for p in data.iterdir()}
    value = str(busy_port) if setting == "PORT" else f"127.0.0.1:{busy_port}"
    process = start(folder, **{setting: value})
    out, err = process.communicate(timeout=WITHIN)
    assert process.returncode == 2
    assert out == ""
    (line,) = err.splitlines()
    assert f"port {busy_port} on 127.0.0.1 is busy" in line
    assert f"MOICA_GATEWAY_{setting}" in line
    assert {p.name: p.stat().st_mtime_ns for p in data.iterdir()} == before


def test_two_do_not_serve_one_database(folder: Path) -> None:
    """Also on another port; the next one is let in when the first was killed."""
    with served(folder) as (first, _):
        second = start(folder)
        _, err = second.communicate(timeout=WITHIN)
        assert second.returncode == 2
        assert "another process that serves it" in err.splitlines()[-1]
        assert first.poll() is None
    with served(folder) as (_, line):
        assert status_of(line["port"], "/readyz") == 200


def test_an_address_that_is_not_this_machines_is_named(folder: Path) -> None:
    """TEST-NET-1 belongs to nobody; and so does a name that cannot be one."""
    for host in ("192.0.2.1", "a..b"):
        process = start(folder, HOST=host)
        _, err = process.communicate(timeout=WITHIN)
        assert process.returncode == 2
        assert len(err.splitlines()) == 1


def test_metrics_may_listen_by_themselves(folder: Path) -> None:
    """Then the API's address does not serve them, and theirs nothing else."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    with served(folder, METRICS_LISTEN=f"127.0.0.1:{port}") as (_, line):
        assert status_of(port, "/metrics") == 200
        assert status_of(port, "/healthz") == 404
        assert status_of(line["port"], "/metrics") == 404
        assert status_of(line["port"], "/healthz") == 200


def test_every_relaxation_is_logged_at_start(folder: Path) -> None:
    """``startup.relaxed``, with its name."""
    process = start(folder, TRUST__REVOCATION="crl_if_available")
    assert process.stderr is not None
    names = []
    for text in process.stderr:
        line = json.loads(text)
        if line["event"] == "startup.relaxed":
            names.append(line["name"])
        if line["event"] == "gateway.ready":
            break
    process.terminate()
    process.communicate(timeout=WITHIN)
    assert names == ["environment=simulator", "trust.revocation=crl_if_available"]
