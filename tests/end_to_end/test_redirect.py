"""The redirect (WEB-01) from the transaction's form to the callback, as a browser walks it."""

from __future__ import annotations

import asyncio
import hashlib
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from moica_gateway.client import GatewayClient
from moica_gateway.wire import DocumentRequest, TransactionView
from tests.stage import Stage, on_stage

ID_NUMBER = "A123456789"
STRANGER = "B223456782"
CONTENT = "檢送本校資訊安全教育訓練實施計畫".encode()


async def people(stage: Stage, behaviour: str = "confirm") -> None:
    """Two with a phone each."""
    for number, name in ((ID_NUMBER, "王小明"), (STRANGER, "陳小華")):
        await stage.simulator.add_person(number, name)
        device = await stage.simulator.bind_device(number, "我的手機")
        await stage.simulator.set_behaviour(device.id, behaviour)


async def walk(stage: Stage, view: TransactionView, id_number: str = ID_NUMBER) -> str:
    """Posts the transaction's form, types the ID number, and reads the page behind the end."""
    (challenge,) = view.challenges
    assert challenge.form is not None
    action: Any = challenge.form["action"]
    async with ClientSession() as browser:
        async with browser.post(action, data=challenge.form["fields"]) as answer:
            page = await answer.text()
            assert answer.status == 200, page
        found = re.search(r'action="([^"]+)"', page)
        assert found is not None
        url = f"{stage.simulator.url}{found[1]}"
        async with browser.post(url, data={"id_num": id_number}) as answer:
            assert answer.status == 200
        await asyncio.wait_for(stage.simulator.settle(), 20)
        async with browser.get(url) as answer:
            return await answer.text()


async def test_register_sign_and_authenticate_by_redirect(tmp_path: Path) -> None:
    """Each completes by its callback alone, and OpenSSL accepts the signature."""
    async with on_stage(tmp_path) as stage, GatewayClient(stage.url, stage.api_key) as client:
        await people(stage)
        begun = await client.begin_registration(
            user_id="u1", id_number=ID_NUMBER, user_name="王小明", channel="redirect"
        )
        assert "已完成確認" in await walk(stage, begun)
        ended = await client.wait(begun.id, seconds=20)
        assert ended.status == "completed", ended.error
        digest = hashlib.sha256(CONTENT).hexdigest()
        begun = await client.begin_signature(
            user_id="u1",
            document=DocumentRequest(number="1153000165", sha256=digest),
            channel="redirect",
        )
        await walk(stage, begun)
        ended = await client.wait(begun.id, seconds=20)
        assert ended.status == "completed", ended.error
        (tmp_path / "s.p7s").write_bytes((await client.artifact(begun.id)).data)
        (tmp_path / "c").write_bytes(CONTENT)
        (tmp_path / "anchors.pem").write_text(stage.simulator.anchors_pem)
        verify = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-cades"]
        verify += ["-in", "s.p7s", "-content", "c", "-CAfile", "anchors.pem"]
        done = await asyncio.to_thread(
            subprocess.run, verify, cwd=tmp_path, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        begun = await client.begin_authentication(user_id="u1", channel="redirect")
        await walk(stage, begun)
        ended = await client.wait(begun.id, seconds=20)
        assert (ended.status, ended.assurance) == ("completed", "certificate"), ended.error
        begun = await client.begin_authentication(id_number=STRANGER, channel="redirect")
        await walk(stage, begun, STRANGER)
        ended = await client.wait(begun.id, seconds=20)
        assert (ended.status, ended.assurance) == ("completed", "platform"), ended.error
        asked = {each.interface for each in stage.simulator.requests}
        assert asked == {"SP-API-WEB-01"}


async def test_a_refusal_is_brought_back(tmp_path: Path) -> None:
    """The error callback carries a checksum that the gateway believes."""
    async with on_stage(tmp_path) as stage, GatewayClient(stage.url, stage.api_key) as client:
        await people(stage, "refuse")
        begun = await client.begin_authentication(id_number=ID_NUMBER, channel="redirect")
        assert "您已取消" in await walk(stage, begun)
        assert (await client.wait(begun.id, seconds=20)).status == "rejected"


async def test_another_persons_id_number_ends_it(tmp_path: Path) -> None:
    """Authentic, and of somebody else: id_number_mismatch, and no credential."""
    async with on_stage(tmp_path) as stage, GatewayClient(stage.url, stage.api_key) as client:
        await people(stage)
        begun = await client.begin_registration(
            user_id="u1", id_number=ID_NUMBER, channel="redirect"
        )
        await walk(stage, begun, STRANGER)
        ended = await client.wait(begun.id, seconds=20)
        assert ended.status == "failed"
        assert ended.error is not None
        assert ended.error.code == "id_number_mismatch"
        assert await client.credentials("u1") == []


@pytest.mark.parametrize(
    "fault",
    [
        {"tamper": "idp_checksum"},
        {"tamper": "signed_response"},
        {"tamper": "signed_response", "reseal": False},
        {"tamper": "cert"},
    ],
    ids=["checksum", "signature", "wire", "cert"],
)
async def test_a_tampered_callback_completes_nothing(tmp_path: Path, fault: dict[str, Any]) -> None:
    """Whether the wire or the platform lies, no credential is made."""
    async with on_stage(tmp_path) as stage, GatewayClient(stage.url, stage.api_key) as client:
        await people(stage)
        await stage.simulator.add_fault("SP-API-WEB-01", **fault)
        begun = await client.begin_registration(
            user_id="u1", id_number=ID_NUMBER, channel="redirect"
        )
        await walk(stage, begun)
        called = stage.simulator.requests[-1]
        assert len(called.faults) == 1
        assert called.http_status is not None
        assert (await client.transaction(begun.id)).status != "completed"
        assert await client.credentials("u1") == []


async def test_a_lost_answer_brings_the_callback_twice_and_it_counts_once(tmp_path: Path) -> None:
    """The repetition is answered, and makes no second event."""
    async with on_stage(tmp_path) as stage, GatewayClient(stage.url, stage.api_key) as client:
        await people(stage)
        await stage.simulator.add_fault("SP-API-WEB-01", drop="answer")
        begun = await client.begin_authentication(id_number=ID_NUMBER, channel="redirect")
        await walk(stage, begun)
        stage.simulator.clock.advance(1)
        await asyncio.wait_for(stage.simulator.settle(), 20)
        called = [each for each in stage.simulator.requests if each.body is None]
        assert [each.http_status for each in called] == [called[0].http_status] * 2
        assert (await client.wait(begun.id, seconds=20)).status == "completed"
        events, _ = await client.events()
        assert [each.type for each in events] == ["authentication.completed"]
