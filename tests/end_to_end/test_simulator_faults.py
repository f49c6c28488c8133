"""Every fault of the line and of sealed envelopes, through the running gateway to its one outcome.

A slow drip is not here: it would hold the tests for the time limit of an exchange
(`tests/egress` has it). Late answers and wrong clocks are in `test_simulator_time.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from attrs import frozen

from moica_gateway import DocumentRequest, GatewayClient
from moica_simulator.alterations import Alteration
from moica_simulator.faults import Drop, Line, Tamper
from tests.stage import Stage, on_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

PUSH, RESULT = "SP-API-ATH-03", "SP-API-ATH-02"
GOOD = ("completed", None)

# While polling, what cannot be read is "not yet": the next poll decides. While beginning, the phone
# may have rung: the start is not known, or was answered by something that is no platform.
LINE = {
    Line.RESET: "start_unknown",
    Line.TRUNCATED: "upstream_malformed",
    Line.EMPTY: "upstream_malformed",
    Line.HTML: "upstream_malformed",
    Line.NOT_AN_OBJECT: "upstream_malformed",
    Line.NOT_TEXT: "upstream_malformed",
    Line.GZIP_BOMB: "upstream_malformed",
    Line.REDIRECT: "upstream_malformed",
    Line.DUPLICATE: None,
}
# By part, where the platform lies (the checksum is made anew) and where the line does.
TAMPERED = {
    Tamper.IDP_CHECKSUM: ("checksum_invalid", "checksum_invalid"),
    Tamper.SIGNED_RESPONSE: ("signature_invalid", "checksum_mismatch"),
    Tamper.CERT: ("certificate_untrusted", "certificate_untrusted"),
    Tamper.HASHED_ID_NUM: ("hashed_id_num_mismatch", "checksum_mismatch"),
}
BEGINNING: tuple[tuple[dict[str, Any], str | None], ...] = (
    ({"http_status": 400}, "upstream_malformed"),
    ({"http_status": 429}, "upstream_unavailable"),
    ({"http_status": 503}, "upstream_unavailable"),
    ({"drop": "answer"}, "start_unknown"),
    ({"drop": "request"}, "start_unknown"),
    ({"latency_s": 0.2}, None),
    ({"tamper": "idp_checksum"}, "checksum_invalid"),
    ({"tamper": "sp_ticket"}, "ticket_malformed"),
    ({"tamper": "sp_ticket", "reseal": False}, "checksum_mismatch"),
)
# By alteration: what becomes of it while beginning, and of a result.
ENVELOPE = {
    Alteration.CODE_AS_NUMBER: (None, None),
    Alteration.CODE_WITH_TAIL: ("answer_invalid", "answer_invalid"),
    Alteration.MISSING_FIELD: ("answer_incomplete", "answer_incomplete"),
    Alteration.MISSING_CHECKSUM: ("checksum_missing", "checksum_missing"),
    Alteration.EXTRA_FIELD: (None, None),
    Alteration.CHECKSUM_ECHOED: ("checksum_reflected", "checksum_reflected"),
    Alteration.CHECKSUM_OF_ANOTHER: ("checksum_mismatch", "checksum_mismatch"),
    Alteration.EARLIER_ANSWER: ("checksum_mismatch", "checksum_mismatch"),
    Alteration.SWAPPED_CERTIFICATE: (..., "signature_invalid"),
    Alteration.TRUNCATED_SIGNATURE: (..., "checksum_mismatch"),
}
BATCH = {
    Alteration.SIGNATURES_REORDERED: "upstream_tampered",
    Alteration.SIGNATURE_MISSING: "answer_invalid",
    Alteration.SIGNATURE_DOUBLED: "answer_invalid",
    Alteration.TRUNCATED_SIGNATURE: "signature_malformed",
}


@frozen
class Scene:
    """A user who may sign, and a phone that confirms by itself."""

    stage: Stage
    client: GatewayClient

    async def sign(self, fault: dict[str, Any], interface: str) -> tuple[str, str | None]:
        """One signature under one fault: status and code. The fault was met."""
        await self.stage.simulator.add_fault(interface, **fault)
        document = DocumentRequest(number="1", sha256="0" * 64)
        outcome = await self.client.sign(user_id="u1", document=document, supersede=True)
        return self.came(outcome.status, outcome.error.code if outcome.error else None)

    async def sign_batch(self, alter: str) -> tuple[str, str | None]:
        """The same of three documents, with one confirmation."""
        await self.stage.simulator.add_fault(RESULT, alter=alter)
        documents = [DocumentRequest(number=str(n), sha256=f"{n:064x}") for n in range(1, 4)]
        outcome = await self.client.sign_batch(user_id="u1", documents=documents, supersede=True)
        assert {document.status for document in outcome.documents} == {outcome.status}
        return self.came(outcome.status, outcome.error.code if outcome.error else None)

    def came(self, status: str, code: str | None) -> tuple[str, str | None]:
        """After which there is no fault any more."""
        (fault,) = self.stage.simulator.faults.all()
        assert fault.applied == 1
        self.stage.simulator.faults.clear()
        return status, code


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """Two people, so that there is another's certificate; one signature before. For all tests:
    each fault is gone when it was met."""
    async with (
        on_stage(tmp_path_factory.mktemp("faults")) as stage,
        GatewayClient(stage.url, stage.api_key) as client,
    ):
        await stage.simulator.add_person("B123456780", "李大同")
        await stage.simulator.bind_device("B123456780")
        await stage.simulator.add_person("A123456789", "王小明")
        phone = await stage.simulator.bind_device("A123456789")
        await stage.simulator.set_behaviour(phone.id, "confirm")
        await client.register(user_id="u1", id_number="A123456789")
        document = DocumentRequest(number="1", sha256="0" * 64)
        await client.sign(user_id="u1", document=document)
        yield Scene(stage, client)


async def test_what_the_line_does_to_a_result_is_asked_for_again(scene: Scene) -> None:
    """Nothing is lost: the next poll brings the signature."""
    for line in LINE:
        assert await scene.sign({"line": line.value}, RESULT) == GOOD, line


async def test_what_the_line_does_to_a_beginning_is_never_sent_again_by_itself(
    scene: Scene,
) -> None:
    """The transaction fails with a code of its own; the phone rang once."""
    before = len(scene.stage.simulator.requests.where(interface=PUSH))
    for line, code in LINE.items():
        expected = ("failed", code) if code else GOOD
        assert await scene.sign({"line": line.value}, PUSH) == expected, line
    asked = scene.stage.simulator.requests.where(interface=PUSH)
    assert len(asked) == before + len(LINE)


async def test_whatever_befalls_a_poll_is_asked_for_again(scene: Scene) -> None:
    """Statuses, answers and requests that are lost, a pause: the next poll brings the signature."""
    for fault in (
        *({"http_status": status} for status in (400, 404, 429, 500, 503)),
        *({"drop": drop} for drop in Drop),
        {"latency_s": 0.2},
    ):
        assert await scene.sign(fault, RESULT) == GOOD, fault


async def test_whatever_befalls_a_beginning_ends_it_or_passes(scene: Scene) -> None:
    """A platform that says no is heard; where the phone may have rung, nobody asks again."""
    for fault, code in BEGINNING:
        expected = ("failed", code) if code else GOOD
        assert await scene.sign(fault, PUSH) == expected, fault


async def test_a_part_of_a_result_that_is_wrong_completes_nothing(scene: Scene) -> None:
    """Under a checksum that covers it, and under one that does not."""
    for part, codes in TAMPERED.items():
        for reseal, code in zip((True, False), codes, strict=True):
            fault = {"tamper": part.value, "reseal": reseal}
            assert await scene.sign(fault, RESULT) == ("failed", code), fault
    assert set(TAMPERED) == set(Tamper) - {Tamper.SP_TICKET}


async def test_what_is_done_to_an_envelope_is_found_or_harmless(scene: Scene) -> None:
    """Each alteration has its code, while beginning and of a result; the harmless ones pass."""
    for alter, (begin, result) in ENVELOPE.items():
        if begin is not ...:
            expected = GOOD if begin is None else ("failed", begin)
            assert await scene.sign({"alter": alter.value}, PUSH) == expected, alter
        expected = GOOD if result is None else ("failed", result)
        assert await scene.sign({"alter": alter.value}, RESULT) == expected, alter


async def test_each_signature_of_a_batch_is_held_to_its_own_document(scene: Scene) -> None:
    """No checksum covers them: another order, number or a cut one is found by the signatures."""
    for alter, code in BATCH.items():
        assert await scene.sign_batch(alter.value) == ("failed", code), alter


async def test_every_fault_of_the_simulator_is_here() -> None:
    """A new one comes with its outcome. A bare code is every client's daily bread elsewhere."""
    assert set(LINE) == set(Line) - {Line.DRIP, Line.LATE}
    assert set(ENVELOPE) | set(BATCH) == set(Alteration) - {Alteration.CODE_BARE}
