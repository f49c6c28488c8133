"""``moica-gateway explain``: what it says, what it masks, and where it takes the key from."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from moica_gateway.cli import main
from moica_gateway.domain.models import SpKey
from moica_gateway.domain.values import Secret
from moica_gateway.protocols.twfido.checksum import make_checksum
from moica_gateway.testing.pki import MemoryPki
from moica_gateway.testing.random import SeededRandom

RAW = hashlib.sha256(b"of a test").digest()
AES_KEY = base64.b64encode(RAW).decode()
SP = SpKey(id="k", key=Secret(RAW), current=True)
BODY: dict[str, Any] = {
    "transaction_id": "7d0f7a52-1f0e-4c1d-9a83-30a1c0ffee00",
    "sp_service_id": "20261123090000000001",
    "id_num": "A123456789",
    "op_code": "ATH",
    "hint": "A123456789 的公文",
}
PAYLOAD = "".join(str(value) for value in BODY.values())
DIGEST = hashlib.sha256(PAYLOAD.encode()).hexdigest()


def sealed(payload: str) -> str:
    """A right checksum over any payload."""
    return make_checksum(SP.key, payload, SeededRandom(1))


def run(*arguments: str, body: Any, environ: dict[str, str] | None = None) -> Result:
    """The command, the body on stdin."""
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    environ = {"SP_AES_KEY": AES_KEY} if environ is None else environ
    result = CliRunner(env={"SP_AES_KEY": None, **environ}).invoke(
        main, ["explain", *arguments], input=text
    )
    assert AES_KEY not in result.output
    assert RAW.hex() not in result.output
    return result


@pytest.mark.parametrize("name", ["SP-API-ATH-03", "ATH-03", "requestAthOrSignPush"])
def test_a_right_checksum(name: str) -> None:
    """Order, fields, payload, hash, IV and verdict; with personal data only if asked for."""
    body = {**BODY, "sp_checksum": sealed(PAYLOAD)}
    result = run(name, "--show-personal-data", body=body)
    assert result.exit_code == 0, result.output
    for line in (
        "欄位順序 order: transaction_id, sp_service_id, id_num, device_user_def_desc, op_code, ",
        "  device_user_def_desc: （空字串 empty）",
        f"串接內容 payload: {PAYLOAD}\n",
        f"SHA-256: {DIGEST}\n",
        f"涵蓋的雜湊值 covers: {DIGEST}\n",
        "判定 verdict: 正確 right",
        f"184 個字元 characters, IV {body['sp_checksum'][:24]}",
    ):
        assert line in result.output


@pytest.mark.parametrize("payload", [PAYLOAD, f"{PAYLOAD}\n", PAYLOAD[::-1]])
def test_nothing_leads_to_the_person_without_being_asked_for(payload: str) -> None:
    """Neither the ID number nor a hash from which it can be found; the verdict is the same."""
    body = {**BODY, "sp_checksum": sealed(payload)}
    result = run("ATH-03", body=body)
    assert result.exit_code == (0 if payload == PAYLOAD else 1)
    assert "A123456789" not in result.output
    assert "A1******89" in result.output
    for text in (PAYLOAD, payload):
        assert hashlib.sha256(text.encode()).hexdigest() not in result.output
    assert "--show-personal-data" in result.output


def test_a_malformed_id_number_and_a_result_are_masked_too() -> None:
    """What is in the field of an ID number is one to us; `hashed_id_num` is personal as well."""
    result = run("ATH-03", body={**BODY, "id_num": "a12345678", "hint": "字號A123456789"})
    assert "a12345678" not in result.output
    assert "A123456789" not in result.output
    hashed = "b194" * 16
    answer = {"error_code": "0", "result": {"hashed_id_num": hashed, "idp_checksum": "00" * 92}}
    result = run("ATH-02", "--answer", "--transaction-id", "t", body=answer)
    assert hashed not in result.output
    assert "b194…（64 個字元 characters）" in result.output


def test_a_poll_has_nothing_to_mask() -> None:
    """No person in it, so that its hash is shown."""
    body = {"transaction_id": "t", "sp_service_id": "s", "sp_ticket_id": "i"}
    result = run("getAthOrSignResult", body={**body, "sp_checksum": sealed("tsi")})
    assert hashlib.sha256(b"tsi").hexdigest() in result.output


def test_a_slip_is_named_in_both_languages() -> None:
    """And the command ends with 1."""
    result = run("ATH-03", body={**BODY, "sp_checksum": sealed(f"{PAYLOAD}\n")})
    assert result.exit_code == 1
    assert "判定 verdict: 錯誤 wrong" in result.output
    assert "echo 少了 -n" in result.output
    assert "stands behind the payload" in result.output


def test_what_is_only_suspected_is_said_so() -> None:
    """And an all-zero IV is pointed at."""
    result = run("ATH-03", body={**BODY, "sp_checksum": "00" * 92})
    assert result.exit_code == 1
    assert "推測 perhaps" in result.output
    assert "全為零" in result.output


def test_an_answer_is_explained_with_our_transaction() -> None:
    """From a file."""
    answer = {
        "error_code": "SP-API-ATH-02-SPTKT_OVD",
        "result": {"idp_checksum": sealed("oursSPTKT_OVD")},
    }
    result = run("ATH-02", "--answer", "--transaction-id", "ours", body=answer)
    assert (result.exit_code, "idp_checksum" in result.output) == (0, True), result.output
    result = run("ATH-02", "--answer", "--transaction-id", "other", body=answer)
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "environ", "expected", "status"),
    [
        (("ATH-03",), {}, "SP_AES_KEY", 2),
        (("ATH-03", "--aes-key-env", "MINE"), {}, "MINE", 2),
        (("ATH-03",), {"SP_AES_KEY": "c2hvcnQ="}, "AES key", 2),
        (("ATH-03", "--answer"), None, "--transaction-id", 2),
        (("ATH-03", "--transaction-id", "t"), None, "--answer", 2),
        (("ATH-03", "--tenant", "t1", "--aes-key-env", "MINE"), None, "one of", 2),
        (("ATH-99",), None, "SP-API-ATH-01", 2),
    ],
)
def test_wrong_use_is_told(
    arguments: tuple[str, ...], environ: dict[str, str] | None, expected: str, status: int
) -> None:
    """With what is expected, and no traceback."""
    result = run(*arguments, body=BODY, environ=environ)
    assert result.exit_code == status
    assert expected in result.output
    assert "Traceback" not in result.output


def test_a_body_that_cannot_be_read_ends_with_1() -> None:
    """One line, nothing of it repeated."""
    result = run("ATH-03", body="A123456789")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert "A123456789" not in result.output


def test_what_would_move_the_terminal_is_written_out() -> None:
    """A body comes from anywhere."""
    body = {**BODY, "hint": "\x1b[2J\u202e"}
    result = run("ATH-03", "--show-personal-data", body=body)
    assert "\x1b" not in result.output
    assert "\u202e" not in result.output
    assert "\\x1b[2J\\u202e" in result.output


def test_a_tenants_stored_key_is_taken(tmp_path: Path) -> None:
    """Without any key in the environment."""
    (tmp_path / "root.pem").write_bytes(MemoryPki().root_pem)
    config = tmp_path / "gateway.toml"
    config.write_text(
        f'environment = "simulator"\ndata_dir = "{tmp_path / "data"}"\n'
        f'[upstream]\nbase_url = "http://127.0.0.1:1"\n'
        f'[trust]\nanchors = ["{tmp_path / "root.pem"}"]\n'
    )
    runner = CliRunner(env={"SP_AES_KEY": None, "KEY": AES_KEY})

    def command(*arguments: str, body: str = "") -> Result:
        return runner.invoke(main, ["--config", str(config), *arguments], input=body)

    for line in (
        "init",
        "tenant add t1 --name x",
        "tenant service-provider t1 --sp-service-id 1 --aes-key-env KEY",
    ):
        assert command(*line.split()).exit_code == 0
    body = json.dumps({**BODY, "sp_checksum": sealed(PAYLOAD)})
    found = command("explain", "ATH-03", "--tenant", "t1", body=body)
    assert (found.exit_code, "正確 right" in found.output) == (0, True), found.output
    missing = command("explain", "ATH-03", "--tenant", "t2", body=body)
    assert (missing.exit_code, "tenant list" in missing.output) == (2, True)
