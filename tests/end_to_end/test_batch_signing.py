"""Batches against the simulated platform and phone; OpenSSL verifies each artifact."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
from pathlib import Path

import pytest

from moica_gateway.client import GatewayClient
from moica_gateway.wire import DocumentRequest, TransactionView
from tests.stage import Stage, on_stage

ID_NUMBER = "A123456789"


def content(number: int) -> bytes:
    """What document number n says."""
    return f"第 {number} 件".encode()


def documents(count: int) -> list[DocumentRequest]:
    """So many, each its own."""
    return [
        DocumentRequest(number=f"{1153000000 + n}", sha256=hashlib.sha256(content(n)).hexdigest())
        for n in range(count)
    ]


async def registered(stage: Stage, client: GatewayClient) -> str:
    """The phone of a registered user."""
    await stage.simulator.add_person(ID_NUMBER, "王小明")
    device = await stage.simulator.bind_device(ID_NUMBER, "我的手機")
    await stage.simulator.set_behaviour(device.id, "confirm")
    begun = await client.begin_registration(user_id="u1", id_number=ID_NUMBER)
    assert (await client.wait(begun.id, seconds=20)).status == "completed"
    return device.id


async def verified(
    client: GatewayClient, view: TransactionView, folder: Path, anchors: str
) -> list[int]:
    """The numbers of the documents whose artifacts OpenSSL accepts over their own content."""
    (folder / "anchors.pem").write_text(anchors)
    accepted = []
    for place, document in enumerate(view.documents):
        if document not in view.signed_documents:
            continue
        artifact = await client.artifact(view.id, document.id)
        (folder / f"{place}.p7s").write_bytes(artifact.data)
        (folder / f"{place}.txt").write_bytes(content(place))
        verify = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-cades"]
        verify += ["-in", f"{place}.p7s", "-content", f"{place}.txt", "-CAfile", "anchors.pem"]
        done = await asyncio.to_thread(
            subprocess.run, verify, cwd=folder, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        accepted.append(place)
    return accepted


@pytest.mark.parametrize("count", [1, 2, 20, 21, 45])
async def test_a_batch_of_any_size_is_signed_whole(tmp_path: Path, count: int) -> None:
    """One confirmation for each 20; every artifact verifies over its own document."""
    async with on_stage(tmp_path) as stage, GatewayClient(stage.url, stage.api_key) as client:
        await registered(stage, client)
        begun = await client.begin_batch(user_id="u1", documents=documents(count))
        assert begun.tickets == -(-count // 20)
        ended = await client.wait(begun.id, seconds=60)
        assert (ended.status, ended.partial) == ("completed", False), ended.error
        accepted = await verified(client, ended, tmp_path, stage.simulator.anchors_pem)
        assert accepted == list(range(count))
        pushed = [r for r in stage.simulator.requests if r.interface == "SP-API-ATH-04"]
        sizes = [len(r.body["sign_info"]["sign_data_set"]) for r in pushed]
        left = count % 20
        assert sizes == [20] * (count // 20) + ([left] if left > 1 else [])


async def test_refused_at_the_second_ticket_the_first_20_stay_signed(tmp_path: Path) -> None:
    """Rejected and partial; the artifacts of the first ticket verify, the others are none."""
    async with on_stage(tmp_path) as stage, GatewayClient(stage.url, stage.api_key) as client:
        device = await registered(stage, client)
        await stage.simulator.set_behaviour(device, "manual")
        begun = await client.begin_batch(user_id="u1", documents=documents(45))
        async with asyncio.timeout(30):
            first = await stage.simulator.wait_for_request(device)
            await stage.simulator.confirm(device, first.sp_ticket_id)
            second = await stage.simulator.wait_for_request(device)
            await stage.simulator.refuse(device, second.sp_ticket_id)
        ended = await client.wait(begun.id, seconds=30)
        assert (ended.status, ended.partial) == ("rejected", True)
        accepted = await verified(client, ended, tmp_path, stage.simulator.anchors_pem)
        assert accepted == list(range(20))
