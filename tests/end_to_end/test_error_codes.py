"""Every code of the platform, through simulator and gateway, ends as ``docs/error-codes.md`` says.

The document's table is what is promised; it is held against the gateway's own table first, and
then, code by code, against what a running gateway makes of it while a ticket is asked for and while
it is polled.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from moica_gateway.client import GatewayClient
from moica_gateway.protocols.twfido.codes import CANCELLED_BY_HOLDER, CODES, TICKET_LAPSED, CodeRow
from moica_gateway.settings import BrakeSettings
from moica_gateway.wire import DocumentRequest
from tests.stage import on_stage

DOCUMENT = Path(__file__).parents[2] / "docs" / "error-codes.md"
ID_NUMBERS = ("A123456789", "B123456780", "C123456781", "D123456782")
DIGEST = hashlib.sha256(b"x").hexdigest()


def while_beginning(row: CodeRow) -> str:
    """What the rules of states and deadlines make of it."""
    if row.helps == "poll":  # no answer to such a request
        return "failed, unknown there"
    return "pending, by QR code" if row.helps == "qr" else "failed"


def while_polling(row: CodeRow) -> str:
    """The same of a poll's answer."""
    if row.code == CANCELLED_BY_HOLDER:
        return "rejected"
    if row.code == TICKET_LAPSED:
        return "expired"
    return "asked again" if row.helps in ("poll", "retry") else "failed"


def line(row: CodeRow) -> str:
    """Of the document's table."""
    cells = (
        f"`{row.code}`",
        str(row.number or ""),
        row.who_can_act,
        row.helps,
        f"`{row.ours}`",
        while_beginning(row),
        while_polling(row),
        row.zh,
    )
    return f"| {' | '.join(cells)} |"


@frozen
class Promise:
    """A row of the document."""

    code: str
    who: str
    helps: str
    ours: str
    beginning: str
    polling: str
    zh: str


def promises() -> dict[str, Promise]:
    """By code."""
    found = {}
    for text in DOCUMENT.read_text().splitlines():
        cells = [cell.strip().strip("`") for cell in text.strip("|").split(" | ")]
        if len(cells) == 8 and re.fullmatch("[A-Z0-9_]+", cells[0]):
            found[cells[0]] = Promise(cells[0], *cells[2:])
    return found


def test_the_document_holds_every_code_as_the_gateway_has_it() -> None:
    """Line by line; a code more or less, or another word, fails."""
    text = DOCUMENT.read_text()
    lines = [each for each in text.splitlines() if each.startswith("| `")]
    assert lines == [line(row) for row in CODES.values()]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Any]:
    """By code and moment: how a signature ended."""
    return asyncio.run(_play(tmp_path_factory.mktemp("stage")))


async def _play(folder: Path) -> dict[Any, Any]:
    brakes = BrakeSettings(push_misses=10, person_requests=10_000)
    found: dict[Any, Any] = {}
    async with on_stage(folder, brakes=brakes) as stage:
        waiting = iter([(code, moment) for code in CODES for moment in ("beginning", "polling")])
        async with GatewayClient(stage.url, stage.api_key) as client:

            async def one_person(id_number: str) -> None:
                await stage.simulator.add_person(id_number, "王小明")
                phone = await stage.simulator.bind_device(id_number, "我的手機")
                await stage.simulator.set_behaviour(phone.id, "confirm")
                user = f"user-{id_number[0]}"
                begun = await client.begin_registration(user_id=user, id_number=id_number)
                assert (await client.wait(begun.id, seconds=20)).status == "completed"
                for code, moment in waiting:
                    interface = "SP-API-ATH-03" if moment == "beginning" else "SP-API-ATH-02"
                    await stage.simulator.add_fault(interface, code=code, id_number=id_number)
                    begun = await client.begin_signature(
                        user_id=user,
                        document=DocumentRequest(number="1153000165", sha256=DIGEST),
                        supersede=True,
                    )
                    end = begun
                    if moment == "polling" or begun.terminal:
                        end = await client.wait(begun.id, seconds=20)
                    found[code, moment] = end

            await asyncio.gather(*(one_person(each) for each in ID_NUMBERS))
    return found


@pytest.mark.parametrize("code", promises())
def test_while_a_ticket_is_asked_for_it_ends_as_promised(ended: dict[Any, Any], code: str) -> None:
    """Status, our code, the platform's, who can act, what helps, and the words in zh-TW."""
    promise, found = promises()[code], ended[code, "beginning"]
    pending = promise.beginning == "pending, by QR code"
    assert found.status == ("pending" if pending else "failed")
    problem = found.challenges[0].error if pending else found.error
    assert problem is not None
    if promise.beginning == "failed, unknown there":
        assert (problem.code, problem.upstream_code) == ("upstream_unknown_code", code)
        return
    assert (problem.code, problem.upstream_code) == (promise.ours, code)
    assert (problem.who_can_act, problem.what_helps) == (promise.who, promise.helps)
    assert problem.user_message["zh-TW"] == promise.zh


@pytest.mark.parametrize("code", promises())
def test_while_a_ticket_is_polled_it_ends_as_promised(ended: dict[Any, Any], code: str) -> None:
    """Asked again means that the confirmation that follows completes it."""
    promise, found = promises()[code], ended[code, "polling"]
    if promise.polling == "asked again":
        assert found.status == "completed"
        return
    assert found.status == promise.polling
    assert found.error is not None
    assert found.error.user_message["zh-TW"]
    if promise.polling == "failed":
        assert (found.error.code, found.error.upstream_code) == (promise.ours, code)
        assert (found.error.who_can_act, found.error.what_helps) == (promise.who, promise.helps)
        assert found.error.user_message["zh-TW"] == promise.zh
