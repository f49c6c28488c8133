"""``POST /v1/verifications`` of a running gateway, over what a simulated person has signed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from moica_gateway.client import GatewayClient
from moica_gateway.domain.models import Scope
from moica_gateway.errors import GatewayError
from moica_gateway.wire import DocumentRequest
from tests.formats.pdf_making import PLAIN
from tests.stage import TENANT, Stage, on_stage

ID_NUMBER = "A123456789"
CONTENT = "檢送本校資訊安全教育訓練實施計畫".encode()


async def signed(stage: Stage, client: GatewayClient, format_: str) -> bytes:
    """By a person who confirms everything."""
    await stage.simulator.add_person(ID_NUMBER, "王小明")
    device = await stage.simulator.bind_device(ID_NUMBER, "我的手機")
    await stage.simulator.set_behaviour(device.id, "confirm")
    begun = await client.begin_registration(user_id="u1", id_number=ID_NUMBER)
    assert (await client.wait(begun.id, seconds=20)).status == "completed"
    content = PLAIN if format_ == "pades" else CONTENT
    document = DocumentRequest(number="1153000165", content=content)
    begun = await client.begin_signature(user_id="u1", document=document, format=format_)
    ended = await client.wait(begun.id, seconds=40)
    assert ended.status == "completed", ended.error
    return (await client.artifact(ended.id)).data


async def test_a_detached_signature_is_verified_against_what_it_stands_for(tmp_path: Path) -> None:
    """By content and by digest; without them nothing is called good, with another content it fails.

    A key that may not read may not ask.
    """
    async with (
        on_stage(tmp_path) as stage,
        GatewayClient(base_url=stage.url, api_key=stage.api_key) as client,
    ):
        data = await signed(stage, client, "cades")
        found = await client.verify(data, content=CONTENT)
        assert found.verified
        assert found.format == "cades"
        (only,) = found.signatures
        assert only.subject_name is not None
        assert only.level == "B-B"
        assert only.certificate is not None
        by_digest = await client.verify(data, sha256=hashlib.sha256(CONTENT).hexdigest())
        assert by_digest.verified
        assert (await client.verify(data)).result == "incomplete"
        assert (await client.verify(data, content=CONTENT + b"!")).result == "failed"
        with pytest.raises(GatewayError) as caught:
            await client.verify(b"nothing signed")
        assert caught.value.code == "artifact_unreadable"
        blind = await stage.gateway.services.tenants.create_key(
            TENANT, "signs only", frozenset({Scope.SIGN}), test=True
        )
        async with GatewayClient(base_url=stage.url, api_key=blind) as other:
            with pytest.raises(GatewayError) as caught:
                await other.verify(data, content=CONTENT)
            assert caught.value.code == "forbidden"


async def test_a_signed_pdf_brings_its_own_content(tmp_path: Path) -> None:
    """Verified as it was fetched; one changed byte of the page and it is not."""
    async with (
        on_stage(tmp_path) as stage,
        GatewayClient(base_url=stage.url, api_key=stage.api_key) as client,
    ):
        data = await signed(stage, client, "pades")
        found = await client.verify(data)
        assert found.verified, found
        assert found.format == "pades"
        place = data.index(b"/MediaBox")
        changed = data[: place + 1] + b"N" + data[place + 2 :]
        assert (await client.verify(changed)).result == "failed"
