"""``pkcs7``: the CMS that the phone makes, through a running gateway, judged by OpenSSL."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from moica_gateway.client import GatewayClient
from moica_gateway.errors import GatewayError
from moica_gateway.wire import DocumentRequest
from tests.stage import on_stage

ID_NUMBER = "A123456789"
CONTENT = "檢送本校資訊安全教育訓練實施計畫".encode()


async def test_the_phones_cms_is_verified_kept_and_accepted_by_openssl(tmp_path: Path) -> None:
    """As it came; also in the evidence; too large a document is refused before anybody is asked."""
    async with (
        on_stage(tmp_path) as stage,
        GatewayClient(base_url=stage.url, api_key=stage.api_key) as client,
    ):
        await stage.simulator.add_person(ID_NUMBER, "王小明")
        device = await stage.simulator.bind_device(ID_NUMBER, "我的手機")
        await stage.simulator.set_behaviour(device.id, "confirm")
        begun = await client.begin_registration(user_id="u1", id_number=ID_NUMBER)
        assert (await client.wait(begun.id, seconds=20)).status == "completed"
        document = DocumentRequest(number="1153000165", content=CONTENT)
        begun = await client.begin_signature(user_id="u1", document=document, format="pkcs7")
        ended = await client.wait(begun.id, seconds=20)
        assert ended.status == "completed", ended.error
        artifact = await client.artifact(ended.id)
        assert artifact.media_type == "application/pkcs7-mime"
        assert (await client.verify(artifact.data, content=CONTENT)).verified
        assert (await client.verify(artifact.data, content=b"other")).result == "failed"
        both = await client.begin_batch(
            user_id="u1",
            documents=[document, DocumentRequest(number="1153000166", content=b"second")],
            format="pkcs7",
        )
        assert (await client.wait(both.id, seconds=20)).status == "completed"
        large = DocumentRequest(number="1153000167", content=bytes(769))
        with pytest.raises(GatewayError) as caught:
            await client.begin_signature(user_id="u1", document=large, format="pkcs7")
        assert caught.value.code == "document_too_large"
        anchors = stage.simulator.anchors_pem
    (tmp_path / "signed.p7m").write_bytes(artifact.data)
    (tmp_path / "anchors.pem").write_text(anchors)
    (tmp_path / "content").write_bytes(CONTENT)
    asked = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "signed.p7m"]
    asked += ["-content", "content", "-CAfile", "anchors.pem", "-out", "out"]

    def judged() -> bool:
        done = subprocess.run(asked, cwd=tmp_path, capture_output=True, check=False)
        return done.returncode == 0

    assert await asyncio.to_thread(judged)
    assert (tmp_path / "out").read_bytes() == CONTENT
    (tmp_path / "content").write_bytes(b"other")
    assert not await asyncio.to_thread(judged)
