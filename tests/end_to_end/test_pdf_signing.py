"""PDFs through the whole gateway: two signers, a seal, a hostile file, a worker process."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from attrs import evolve

from moica_gateway.client import GatewayClient
from moica_gateway.domain.readings import GivenContent
from moica_gateway.errors import GatewayError
from moica_gateway.formats.pades import PadesReader
from moica_gateway.outcomes import Completed
from moica_gateway.settings import FormatSettings
from moica_gateway.wire import DocumentRequest, SealRequest
from tests.formats.pdf_making import PLAIN, make, qpdf_accepts, value_holds, with_field
from tests.stage import Stage, on_stage

PEOPLE = {"u1": ("A123456789", "王小明"), "u2": ("B223456782", "陳大文")}


async def _registered(stage: Stage, client: GatewayClient) -> None:
    for user, (id_number, name) in PEOPLE.items():
        await stage.simulator.add_person(id_number, name)
        device = await stage.simulator.bind_device(id_number, "我的手機")
        await stage.simulator.set_behaviour(device.id, "confirm")
        done = await client.register(user_id=user, id_number=id_number, seconds=20)
        assert isinstance(done, Completed), done


def _worker_processes() -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                parent = (folder / "stat").read_text().rsplit(")", 1)[1].split()[1]
            except OSError:
                continue
            if b"moica_gateway.formats.worker" in words and int(parent) == os.getpid():
                found.append(int(folder.name))
    return found


async def test_two_people_sign_one_pdf(tmp_path: Path) -> None:
    """The second signature is appended to the first one's file; both hold, both are seen; a hostile
    file is refused before a phone rings; nothing is left running."""
    form = with_field(
        with_field(PLAIN, "Clerk", (60, 100, 260, 180)), "Chief", (300, 100, 500, 180)
    )
    async with on_stage(tmp_path) as stage, GatewayClient(stage.url, stage.api_key) as client:
        assert not _worker_processes()
        await _registered(stage, client)
        assert not _worker_processes()
        seal = SealRequest(field="Clerk")
        first = await client.sign(
            user_id="u1",
            document=DocumentRequest(number="1153000165", content=form, seal=seal),
            format="pades",
            seconds=30,
        )
        assert isinstance(first, Completed), first
        second = await client.sign(
            user_id="u2",
            document=DocumentRequest(number="1153000165", seal=SealRequest(field="Chief")),
            format="pades",
            previous=first.transaction_id,
            seconds=30,
        )
        assert isinstance(second, Completed), second
        view = await client.transaction(second.transaction_id)
        assert view.previous == first.transaction_id
        one = await client.artifact(first.transaction_id)
        both = await client.artifact(second.transaction_id)
        assert both.media_type == "application/pdf"
        with pytest.raises(GatewayError) as caught:
            await client.begin_signature(
                user_id="u1",
                document=DocumentRequest(
                    number="2", content=make(objects=[{"S": "/Launch", "F": "cmd.exe"}])
                ),
                format="pades",
            )
        assert caught.value.code == "document_refused"
        assert caught.value.problem.extra["reason"] == "launch"
        assert _worker_processes()
    assert not _worker_processes()
    assert both.data.startswith(one.data)
    found = PadesReader().read(both.data, GivenContent())
    assert [(f.name, f.problems) for f in found] == [("Clerk", ()), ("Chief", ())]
    assert all(value_holds(f) and f.content_matches for f in found)
    assert len({f.certificate for f in found}) == 2
    assert qpdf_accepts(tmp_path, both.data)


async def test_a_font_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    """The setting is named."""
    missing = FormatSettings(seal_font=str(tmp_path / "none.otf"))
    with pytest.raises(GatewayError) as caught:
        async with on_stage(tmp_path, formats=missing):
            await asyncio.sleep(0)
    assert caught.value.code == "configuration_invalid"
    assert "formats.seal_font" in caught.value.problem.detail
    assert evolve(missing, seal_font="").seal_font == ""
