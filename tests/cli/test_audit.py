"""``audit verify``, ``export``, ``head``: what they say, and their exit status."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from moica_gateway.cli import main
from moica_gateway.stores import only_process
from moica_gateway.testing.pki import MemoryPki


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tenants, with an act each; nothing else is set up."""
    folder = tmp_path_factory.mktemp("audit")
    (folder / "root.pem").write_bytes(MemoryPki().root_pem)
    path = configured(folder)
    assert run(path, "init").exit_code == 0
    for tenant in ("t1", "t2"):
        assert run(path, "tenant", "add", tenant, "--name", "x").exit_code == 0
    assert run(path, "key", "add", "t1", "--name", "王小明", "--scope", "read").exit_code == 0
    return folder


@pytest.fixture
def config(tmp_path: Path, template: Path) -> Path:
    """A copy."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return configured(tmp_path)


def configured(folder: Path) -> Path:
    """The settings of that folder."""
    path = folder / "gateway.toml"
    path.write_text(
        f"""
environment = "simulator"
data_dir = "{folder / "data"}"
[upstream]
base_url = "http://127.0.0.1:1"
[trust]
anchors = ["{folder / "root.pem"}"]
"""
    )
    return path


def run(config: Path, *arguments: str, stdin: str = "") -> Result:
    """One command."""
    return CliRunner().invoke(main, ["--config", str(config), *arguments], input=stdin)


def sql(config: Path, statement: str) -> None:
    """As somebody with the file would."""
    with closing(sqlite3.connect(config.parent / "data" / "gateway.db")) as database:
        database.execute(statement)
        database.commit()


def test_what_a_command_has_written_is_sealed_when_it_ends(config: Path) -> None:
    """No gateway has to run for it."""
    result = run(config, "audit", "verify")
    assert result.exit_code == 0
    one, other = result.output.splitlines()
    assert one.startswith("t1: whole: positions 1 to 2, head of ")
    assert other.startswith("t2: whole: positions 1 to 1, head of ")
    assert run(config, "audit", "verify", "--tenant", "t2").output == f"{other}\n"


def test_verify_works_beside_a_serving_gateway_and_with_a_broken_set_up(config: Path) -> None:
    """It takes no lock of the one that serves, and asks neither anchors nor tenants."""
    (config.parent / "root.pem").unlink()
    sql(config, "UPDATE tenants SET name = 'y'")
    url = f"sqlite:///{config.parent / 'data' / 'gateway.db'}"
    with only_process(url, lambda: None):
        assert run(config, "audit", "verify").exit_code == 0
        assert run(config, "audit", "head").exit_code == 0
        assert run(config, "audit", "export").exit_code == 0


def test_what_was_meddled_with_is_told_with_its_place_and_status_1(config: Path) -> None:
    """In both languages, and the other tenant is still whole."""
    sql(config, "UPDATE audit_records SET actor = 'x' WHERE tenant = 't1' AND chain_position = 2")
    result = run(config, "audit", "verify")
    assert result.exit_code == 1
    finding, one, other = result.output.splitlines()
    assert finding.startswith("t1: edited 竄改 at position 2, record 3: ")
    assert one.startswith("t1: tampered: ")
    assert other.startswith("t2: whole: ")


def test_a_kept_head_shows_what_was_cut_off(config: Path) -> None:
    """From a file and from stdin; with an older one all is well."""
    newest = run(config, "audit", "head", "--tenant", "t1").output
    sql(config, "DELETE FROM audit_records WHERE tenant = 't1' AND chain_position = 2")
    sql(config, "DELETE FROM audit_heads WHERE tenant = 't1' AND position = 2")
    assert run(config, "audit", "verify").exit_code == 0
    result = run(config, "audit", "verify", "--head", "-", stdin=newest)
    assert result.exit_code == 1
    assert result.output.startswith("t1: truncated 截斷 at position 2: ")
    older = run(config, "audit", "head").output
    assert run(config, "audit", "verify", "--head", "-", stdin=older).exit_code == 0


def test_a_kept_head_of_a_tenant_that_is_gone_is_not_passed_over(config: Path) -> None:
    """Neither with --tenant nor without."""
    heads = run(config, "audit", "head").output
    sql(config, "DELETE FROM audit_records WHERE tenant = 't2'")
    sql(config, "DELETE FROM audit_heads WHERE tenant = 't2'")
    sql(config, "DELETE FROM tenants WHERE id = 't2'")
    result = run(config, "audit", "verify", "--head", "-", stdin=heads)
    assert result.exit_code == 1
    assert "t2: truncated" in result.output


def test_an_export_is_checked_without_a_gateway(config: Path, tmp_path: Path) -> None:
    """By a head or a public key, and never by what the file says of itself."""
    export = tmp_path / "audit.jsonl"
    export.write_text(run(config, "audit", "export").output, encoding="utf-8")
    assert "王小明" not in export.read_text(encoding="utf-8")
    heads = run(config, "audit", "head").output
    key = json.loads(heads.splitlines()[0])["public_key"]
    nowhere = tmp_path / "nowhere.toml"
    check = ("audit", "verify", "--file", str(export))
    for given in (("--head", "-"), ("--public-key", key)):
        result = run(nowhere, *check, *given, stdin=heads)
        assert (result.exit_code, len(result.output.splitlines())) == (0, 2)
    assert run(nowhere, *check).exit_code == 2
    assert run(nowhere, *check, "--public-key", key[:-2] + "00").exit_code == 1
    lines = export.read_text(encoding="utf-8").splitlines(keepends=True)
    export.write_text("".join(lines[1:]), encoding="utf-8")
    result = run(nowhere, *check, "--head", "-", stdin=heads)
    assert result.exit_code == 1
    assert "t1: deleted 刪除 at position 1: " in result.output


@pytest.mark.parametrize(
    "line",
    [
        "",
        "no JSON",
        "[]",
        "5",
        '{"type":"other"}',
        '{"type":"record"}',
        '{"type":"head"}',
        '{"type":"record","position":1,"hash":"00","record":{}}',
        '{"type":"unsealed","record":[]}',
        '{"type":"record","position":1e99,"hash":null,"record":{"tenant":"t1","x":1e400}}',
        '{"type":"link","tenant":"t1","position":true,"hash":"","digest":""}',
        "[" * 10_000,
        "\ud800",
    ],
)
def test_a_file_of_anything_is_a_finding(tmp_path: Path, line: str) -> None:
    """Never an exception, and never whole."""
    file = tmp_path / "hostile"
    file.write_bytes(line.encode(errors="surrogatepass") + b"\n")
    check = ("audit", "verify", "--file", str(file), "--public-key", "00" * 32)
    result = run(tmp_path / "nowhere.toml", *check)
    assert result.exit_code == 1
    assert "internal_error" not in result.output


def _changed(head: str) -> str:
    return json.dumps({**json.loads(head), "position": 1, "count": 1})


@pytest.mark.parametrize("what", ["changed", "empty", "no JSON", "another count", "a list"])
def test_what_is_no_head_is_refused(config: Path, what: str) -> None:
    """Status 2: the command line is wrong, nothing was checked."""
    head = run(config, "audit", "head", "--tenant", "t1").output
    given = {
        "changed": _changed(head),
        "empty": "",
        "no JSON": "head",
        "another count": json.dumps({**json.loads(head), "count": 9}),
        "a list": "[]",
    }[what]
    result = run(config, "audit", "verify", "--head", "-", stdin=given)
    assert result.exit_code == 2
    assert "--head" in result.output


def test_an_unknown_tenant_is_refused(config: Path) -> None:
    """Else a typing error would pass for a whole chain."""
    for command in ("verify", "head", "export"):
        result = run(config, "audit", command, "--tenant", "t9")
        assert result.exit_code == 1
        assert "not_found" in result.stderr


def test_a_head_by_another_key_is_not_printed(config: Path) -> None:
    """Somebody would keep it and believe it."""
    sql(config, "UPDATE audit_heads SET signature = randomblob(64) WHERE tenant = 't1'")
    result = run(config, "audit", "head", "--tenant", "t1")
    assert result.exit_code == 1
    assert "vault_tampered" in result.stderr


def test_a_public_key_goes_with_a_file(config: Path) -> None:
    """The database's own is known."""
    assert run(config, "audit", "verify", "--public-key", "00" * 32).exit_code == 2
