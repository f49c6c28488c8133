"""The command line: setting up from nothing, and what it says when something is wrong."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from moica_gateway.cli import main
from moica_gateway.testing.pki import MemoryPki

KEY = "mgk_test_" + "k" * 43


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Of the simulator environment, with an anchor."""
    (tmp_path / "root.pem").write_bytes(MemoryPki().root_pem)
    path = tmp_path / "gateway.toml"
    path.write_text(
        f"""
environment = "simulator"
port = 0
data_dir = "{tmp_path / "data"}"
log_level = "ERROR"
[upstream]
base_url = "http://127.0.0.1:1"
[trust]
anchors = ["{tmp_path / "root.pem"}"]
"""
    )
    return path


def run(config: Path, *arguments: str, stdin: str = "") -> Result:
    """One command."""
    return CliRunner().invoke(main, ["--config", str(config), *arguments], input=stdin)


def test_from_nothing_to_a_tenant_that_can_sign(config: Path) -> None:
    """init, tenant, service provider, key, webhook; each is harmless again; check says ok."""
    aes_key = base64.b64encode(b"a" * 32).decode()
    provider = ["tenant", "service-provider", "t1", "--sp-service-id", "1", "--aes-key-file", "-"]
    for _ in range(2):
        assert run(config, "init").exit_code == 0
        assert run(config, "tenant", "add", "t1", "--name", "示範").exit_code == 0
        assert run(config, *provider, stdin=aes_key).exit_code == 0
        added = run(config, "key", "add", "t1", "--name", "k", "--key-file", "-", stdin=KEY)
        assert added.exit_code == 0
        assert KEY not in added.output
        assert run(config, "webhook", "add", "t1", "http://127.0.0.1:1/hook").exit_code == 0
    assert len(run(config, "key", "list", "t1").output.splitlines()) == 1
    assert len(run(config, "webhook", "list", "t1").output.splitlines()) == 1
    checked = run(config, "check")
    assert checked.exit_code == 0
    assert "failed" not in checked.output
    mode = (config.parent / "data" / "master.key").stat().st_mode
    assert mode & 0o777 == 0o600


def test_a_new_key_is_printed_this_once(config: Path) -> None:
    """And never again."""
    run(config, "init")
    run(config, "tenant", "add", "t1", "--name", "x")
    made = run(config, "key", "add", "t1", "--name", "k", "--scope", "read").output.strip()
    assert made.startswith("mgk_live_")
    assert made not in run(config, "key", "list", "t1").output


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (("tenant", "add", "t1", "--name", "x"), "", "moica-gateway init"),
        (("serve",), "", "moica-gateway init"),
    ],
)
def test_a_missing_set_up_says_what_to_do(
    config: Path, arguments: tuple[str, ...], stdin: str, said: str
) -> None:
    """One clear sentence, in both languages, status 2, no traceback."""
    result = run(config, *arguments, stdin=stdin)
    assert result.exit_code == 2
    assert said in result.output
    assert "系統管理者" in result.output
    assert "Traceback" not in result.output


def test_a_malformed_aes_key_is_refused_without_being_shown(config: Path) -> None:
    """Nothing of it is printed."""
    run(config, "init")
    run(config, "tenant", "add", "t1", "--name", "x")
    provider = ["tenant", "service-provider", "t1", "--sp-service-id", "1", "--aes-key-file", "-"]
    result = run(config, *provider, stdin="bm90IGEga2V5")
    assert result.exit_code == 2
    assert "bm90IGEga2V5" not in result.output
