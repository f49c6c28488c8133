"""The command: serving, its errors, the control API from a shell, and explain."""

import asyncio
import json
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from moica_simulator import Device, Simulator
from moica_simulator.cli import main

VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text("utf-8"))
VECTOR = VECTORS["checksums"][0]


def run(*arguments: str, **env: str) -> Result:
    return CliRunner().invoke(main, list(arguments), env=env, catch_exceptions=False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_serve_says_ready_and_stops_cleanly(number: signal.Signals) -> None:
    """One line on standard output that says what it is not; status 0 on a signal."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "moica_simulator", "serve", "--fast", "--port", "0"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": ":".join(sys.path), "PYTHONUTF8": "1"},
    )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        assert line.startswith("moica-simulator ready on http://127.0.0.1:")
        assert "NOT FOR PRODUCTION" in line
        assert "不得用於正式環境" in line
        process.send_signal(number)
        rest, log = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, rest) == (0, b"")
    events = [json.loads(each)["event"] for each in log.decode().splitlines()]
    assert events == ["simulator.started", "simulator.stopping"]
    assert "NOT FOR PRODUCTION" in log.decode()


def test_a_busy_port_is_named_with_its_setting() -> None:
    """The port, and both ways to choose another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        by_option = run("serve", "--fast", "--port", str(port))
        by_environment = run("serve", "--fast", SIMULATOR_PORT=str(port))
    for result in (by_option, by_environment):
        assert result.exit_code == 1
        assert f"port {port}" in result.output
        assert "--port" in result.output
        assert "SIMULATOR_PORT" in result.output


def test_an_impossible_address_is_named() -> None:
    """An address that is not this machine's."""
    result = run("serve", "--fast", "--host", "192.0.2.1", "--port", "0")
    assert result.exit_code == 1
    assert "192.0.2.1" in result.output


async def test_the_control_api_is_there_from_a_shell(sim: Simulator) -> None:
    """A person, a phone, a fault, the clock: each prints the API's JSON."""

    async def shell(*arguments: str) -> Any:
        result = await asyncio.to_thread(run, *arguments, SIMULATOR_URL=sim.url)
        assert result.exit_code == 0, result.output
        return json.loads(result.output) if result.output else None

    assert (await shell("person", "add", "A123456789", "王小明"))["name"] == "王小明"
    assert len((await shell("person", "list"))["items"]) == 1
    code = (await shell("person", "code", "A123456789"))["code"]
    loose = await shell("phone", "add", "平板", "--platform", "iOS")
    assert (await shell("phone", "bind", loose["id"], code))["bound"]
    bound = await shell("phone", "add", "手機", "--id-number", "A123456789")
    assert len((await shell("phone", "list"))["items"]) == 2
    assert (await shell("phone", "inbox", bound["id"]))["items"] == []
    behaviour = await shell("phone", "behaviour", bound["id"], "confirm", "--delay-s", "3")
    assert behaviour == {"on_request": "confirm", "delay_s": 3.0}
    state = await shell("phone", "state", bound["id"], "--push", "unregistered")
    assert state["state"]["push"] == "unregistered"
    renewed = await shell("phone", "renew", bound["id"])
    assert renewed["certificate"]["serial"] != bound["certificate"]["serial"]
    assert not (await shell("phone", "unbind", loose["id"]))["bound"]
    fault = await shell("fault", "add", "SP-API-ATH-02", "--code", "DB_CONN_ERR", "--times", "0")
    assert (fault["code"], fault["times"], fault["reseal"]) == ("DB_CONN_ERR", None, True)
    wire = await shell("fault", "add", "SP-API-ATH-02", "--tamper", "cert", "--no-reseal")
    assert (wire["tamper"], wire["reseal"]) == ("cert", False)
    assert len((await shell("fault", "list"))["items"]) == 2
    assert await shell("fault", "clear") is None
    assert (await shell("person", "deregister", "A123456789"))["name"] == "王小明"
    assert len((await shell("test-persons"))["items"]) > 20
    assert (await shell("clock", "advance", "60"))["advanced_s"] == 60
    assert (await shell("clock", "run"))["frozen"] is False
    assert (await shell("clock", "freeze"))["frozen"] is True
    moved = await shell("clock", "set", "2026-04-24T12:00:00+08:00")
    assert moved["now"] == "2026-04-24T04:00:00.000Z"
    assert (await shell("clock", "reset"))["advanced_s"] == 0
    assert (await shell("clock", "show"))["advanced_s"] == 0


async def test_a_request_is_decided_from_a_shell(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """Scan, confirm, refuse."""

    async def shell(*arguments: str) -> Any:
        result = await asyncio.to_thread(run, *arguments, SIMULATOR_URL=sim.url)
        assert result.exit_code == 0, result.output
        return json.loads(result.output)

    _, ticket_id, ticket = await system.qr()
    assert (await shell("phone", "scan", phone.id, ticket))["status"] == "pending"
    assert (await shell("phone", "confirm", phone.id, ticket_id))["status"] == "confirmed"
    _, ticket_id = await system.push()
    assert (await shell("phone", "refuse", phone.id, ticket_id))["status"] == "refused"
    listed = await shell("requests", "list", "--sp-ticket-id", ticket_id)
    assert [each["interface"] for each in listed["items"]] == ["SP-API-ATH-03"]
    late = await shell("requests", "list", "--since", "2026-04-24T12:00:01+08:00")
    assert late["items"] == []
    assert len((await shell("requests", "list", "--order", "newest"))["items"]) == 2


async def test_errors_reach_the_shell(sim: Simulator) -> None:
    """The API's own words, and a word on who is not there."""
    refused = await asyncio.to_thread(run, "person", "add", "A1", "x", SIMULATOR_URL=sim.url)
    assert refused.exit_code == 1
    assert "id_number_invalid" in refused.output
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    nobody = await asyncio.to_thread(run, "person", "list", "--url", f"http://127.0.0.1:{free}")
    assert nobody.exit_code == 1
    assert "moica-simulator serve" in nobody.output


def body_of(vector: dict[str, Any], **changes: Any) -> str:
    """Makes a request body of a vector."""
    fields = {key: value for key, value in vector["fields"].items() if value is not None}
    sign_data = fields.pop("sign_data", None)
    body = {**fields, "sign_info": {"sign_data": sign_data}, "sp_checksum": vector["checksum"]}
    return json.dumps({**body, **changes}, ensure_ascii=False)


def explain(body: str, interface: str = "SP-API-ATH-01") -> Result:
    result = CliRunner().invoke(
        main, ["explain", interface], input=body, env={"SP_AES_KEY": VECTORS["aes_key_base64"]}
    )
    assert VECTORS["aes_key_base64"] not in result.output
    return result


@pytest.mark.parametrize("interface", ["SP-API-ATH-01", "getSpTicket"])
def test_explain_shows_what_a_checksum_covers(interface: str) -> None:
    """Order, payload, hash, and that the one sent is right."""
    result = explain(body_of(VECTOR), interface)
    assert result.exit_code == 0
    assert f"payload: {VECTOR['payload']}\n" in result.output
    assert f"sha256: {VECTOR['sha256_hex']}\n" in result.output
    assert "verdict: right" in result.output
    assert VECTOR["checksum"] in result.output


def seal_text(text: bytes) -> str:
    """Seals any text with the vectors' key."""
    import base64

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = base64.b64decode(VECTORS["aes_key_base64"])
    return (bytes(12) + AESGCM(key).encrypt(bytes(12), text, None)).hex()


def test_explain_names_the_usual_mistakes() -> None:
    """Raw hash, left-out field, JSON order, another key, nothing at all."""
    import hashlib

    payload = VECTOR["payload"].encode()
    raw = seal_text(hashlib.sha256(payload).digest())
    without_hint = VECTOR["payload"].replace(VECTOR["fields"]["hint"], "").encode()
    left_out = seal_text(hashlib.sha256(without_hint).hexdigest().encode())
    other = seal_text(hashlib.sha256(b"other").hexdigest().encode())
    cases = {
        raw: "characters",  # shorter than a checksum
        left_out: "hint was left out",
        other: "another payload",
        "00" * 92: "another AES key",
        "": "missing",
    }
    for checksum, expected in cases.items():
        result = explain(body_of(VECTOR, sp_checksum=checksum))
        assert result.exit_code == 1
        assert expected in result.output
    push = VECTORS["checksums"][3]
    in_json_order = "".join(
        push["fields"][name]
        for name in ("transaction_id", "sp_service_id", "id_num", "op_code", "hint")
    )
    in_json_order += push["fields"]["device_user_def_desc"] + push["fields"]["sign_data"]
    body = json.loads(body_of(push))
    body["device_user_def_desc"] = body.pop("device_user_def_desc")  # moved to the end
    body["sp_checksum"] = seal_text(hashlib.sha256(in_json_order.encode()).hexdigest().encode())
    result = explain(json.dumps(body), "SP-API-ATH-03")
    assert "not where it stands in the JSON body" in result.output
    assert "不是它在 JSON 中的位置" in result.output
    body["transaction_id"] = body.pop("transaction_id")
    names = ["sign_data" if name == "sign_info" else name for name in body]
    wrong = "".join(push["fields"][name] for name in names if name in push["order"])
    body["sp_checksum"] = seal_text(hashlib.sha256(wrong.encode()).hexdigest().encode())
    result = explain(json.dumps(body), "SP-API-ATH-03")
    assert "order of the JSON body" in result.output


@pytest.mark.parametrize(
    ("interface", "body"),
    [("SP-API-ATH-99", "{}"), ("SP-API-ATH-01", "["), ("SP-API-ATH-01", "[]")],
)
def test_explain_refuses_what_it_cannot_read(interface: str, body: str) -> None:
    """In a sentence, not a traceback."""
    result = explain(body, interface)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")


@pytest.mark.parametrize("interface", ["SP-API-ATH-04", "SP-API-LF-01", "SP-API-WEB-01"])
@pytest.mark.parametrize("as_form", [False, True])
def test_explain_knows_batches_device_status_and_the_redirect(
    interface: str, as_form: bool
) -> None:
    """Each by its vector, right as sent and wrong with a field left out; a redirect as a form."""
    from urllib.parse import urlencode

    name = interface.removeprefix("SP-API-") + " sp_checksum"
    (vector,) = [each for each in VECTORS["checksums"] if each["name"].startswith(name)]
    fields = {key: value for key, value in vector["fields"].items() if value is not None}
    for left_out, verdict in ((None, "verdict: right"), ("transaction_id", "verdict: wrong")):
        body = {key: value for key, value in fields.items() if key != left_out}
        body["sp_checksum"] = vector["checksum"]
        written = urlencode(body) if as_form else json.dumps(body)
        result = explain(written, interface)
        if as_form and interface != "SP-API-WEB-01":
            assert result.output.startswith("Error: ")
            continue
        assert verdict in result.output
        assert (f"payload: {vector['payload']}\n" in result.output) is (left_out is None)
