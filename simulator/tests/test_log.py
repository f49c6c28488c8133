"""Log lines: structured, and without anybody's data."""

import asyncio
import base64
import hashlib
import io
import json
from typing import Any

import pytest

from moica_simulator import KeyPool, PlatformError, Simulator
from moica_simulator.log import ALLOWED_FIELDS, make_logger


def test_what_is_not_allowed_is_withheld() -> None:
    """The name stays, the value does not."""
    written = io.StringIO()
    make_logger(written).info("something.happened", id_number="A123456789", interface="x")
    line = json.loads(written.getvalue())
    assert line["withheld"] == ["id_number"]
    assert "A123456789" not in written.getvalue()
    assert line["interface"] == "x"


def test_no_allowed_field_is_about_a_person() -> None:
    """The list itself names nothing that holds personal data or secrets."""
    suspicious = ("id_num", "name", "hint", "key", "cert", "ticket", "payload", "body", "exception")
    allowed = ALLOWED_FIELDS - {"sp_ticket_id"}
    assert not [field for field in allowed for word in suspicious if word in field]


async def test_a_debug_run_leaves_nothing_personal(
    keys: KeyPool, http: Any, relying_system: Any
) -> None:
    """ID numbers, plain hashes of them, names, hints, keys, certificates, tickets, codes."""
    written = io.StringIO()
    async with Simulator.start(fast=True, keys=keys, log_to=written, log_level="debug") as sim:
        system = relying_system(sim.url, http, b"a key of exactly thirty-two byte")
        await sim.add_service_provider(system.service_id, system.key_base64, "公文線上簽核系統")
        await sim.add_person("A123456789", "王小明")
        code = await sim.new_activation_code("A123456789")
        phone = await sim.add_device("小明的手機")
        async with http.post(
            f"{sim.url}/sim/v1/devices/{phone.id}/bind", json={"activation_code": code.code}
        ) as response:
            assert response.status == 200
        body, ticket_id = await system.push()
        await sim.confirm(phone.id, ticket_id)
        result = (await system.result(body, ticket_id))["result"]
        _, _, ticket = await system.qr(transaction_id="A123456789")
        await sim.scan(phone.id, ticket)
        await sim.set_behaviour(phone.id, "refuse")
        await system.push()
        await sim.settle()
        await system.call("requestAthOrSignPush", system.push_body(id_num="A123456788"))
        await sim.add_fault("SP-API-ATH-02", code="DB_CONN_ERR", id_number="A123456789")
        await system.result(body, ticket_id)
        for path in (
            "/sim/v1/people/A123456789",
            "/sim/v1/people/A123456789/devices",
            "/A123456789",
        ):
            async with http.get(sim.url + path):
                pass
        with pytest.raises(PlatformError):
            await sim.bind((await sim.add_device("平板")).id, "12345678")
        # A request line so broken that aiohttp would quote it in its own log.
        reader, writer = await asyncio.open_connection(
            sim.url.split("/")[2].split(":")[0], sim_port(sim)
        )
        writer.write(b"GET /sim/v1/people/A123456789 \x00 HTTP/9\r\n\r\n")
        assert await reader.read()
        writer.close()
    text = written.getvalue()
    lines = [json.loads(line) for line in text.splitlines()]
    assert {"simulator.started", "platform.answered", "http.answered", "fault.applied"} <= {
        line["event"] for line in lines
    }
    assert not [line for line in lines if "withheld" in line], "nothing had to be held back"
    secrets = {
        "A123456789",
        "A123456788",
        "王小明",
        "小明的手機",
        "1153000165",
        code.code,
        ticket,
        system.key_base64,
        result["cert"][:40],
        result["signed_response"][:40],
        result["hashed_id_num"],
    }
    for name in ("md5", "sha1", "sha256", "sha512"):
        digest = hashlib.new(name, b"A123456789")
        secrets |= {digest.hexdigest(), base64.b64encode(digest.digest()).decode()}
    assert not [secret for secret in secrets if secret in text]


def sim_port(sim: Simulator) -> int:
    return int(sim.url.rsplit(":", 1)[1])


async def test_a_defect_is_logged_without_its_words(
    keys: KeyPool, http: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception's text may hold anything: only its type is written, and 500 is answered."""

    def broken(*_: object) -> None:
        raise RuntimeError("A123456789 of 王小明")

    written = io.StringIO()
    async with Simulator.start(fast=True, keys=keys, log_to=written) as sim:
        monkeypatch.setattr(sim, "device", broken)
        async with http.get(f"{sim.url}/phone/x") as response:
            assert response.status == 500
            assert "A123456789" not in await response.text()
    assert '"error_type": "RuntimeError"' in written.getvalue()
    assert "A123456789" not in written.getvalue()
