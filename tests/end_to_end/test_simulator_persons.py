"""The simulator's ready-made persons, each through the running gateway to its one outcome."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from moica_gateway import Completed, GatewayClient
from moica_simulator.testpersons import TEST_PERSONS
from tests.stage import Stage, on_stage

COMPLETED = "completed"


@frozen
class Expected:
    """How a registration by push begins or ends: a status, and the code where it failed."""

    status: str
    code: str | None = None
    who_can_act: str | None = None


OUTCOMES = {
    "confirms at once": Expected(COMPLETED),
    "refuses at once": Expected("rejected", "holder_refused", "holder"),
    "ignores every request": Expected("pending"),
    "confirms when the ticket has lapsed": Expected("pending"),
    "confirms twice": Expected(COMPLETED),
    "waits for the phone's page": Expected("pending"),
    "push fails (PS_FCM_NOT_FOUND), confirms a code": Expected("pending"),
    "airplane mode: nothing arrives": Expected("pending"),
    "two phones: 我的手機 waits, 公務手機 confirms": Expected(COMPLETED),
    "confirms; the certificate runs out in ten days": Expected(COMPLETED),
    "confirms with a certificate that ran out yesterday": Expected(
        "failed", "certificate_expired", "holder"
    ),
    "confirms with a revoked certificate": Expected("failed", "certificate_revoked", "holder"),
    "confirms with a suspended certificate": Expected("failed", "certificate_revoked", "holder"),
    "confirms with a renewed certificate": Expected(COMPLETED),
    "confirms with a certificate of other last four characters": Expected(
        "failed", "certificate_person_mismatch", "operator"
    ),
    "confirms with a certificate without policy": Expected(
        "failed", "certificate_policy", "operator"
    ),
    "confirms with an encipherment certificate": Expected(
        "failed", "certificate_usage", "operator"
    ),
    "a foreign resident; confirms at once": Expected(COMPLETED),
    "the same with the older form of number": Expected(COMPLETED),
    "never bound a phone": Expected("failed", "device_not_bound", "holder"),
    "has unbound the phone": Expected("failed", "device_not_bound", "holder"),
}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Gateway, simulator, and the persons."""
    async with on_stage(tmp_path) as made:
        await made.simulator.add_test_persons()
        yield made


async def test_each_person_leads_to_the_outcome_that_the_list_promises(stage: Stage) -> None:
    """All at once, as a test-suite would: what ends, ends so; what waits is pending still."""
    assert set(OUTCOMES) == {each.outcome for each in TEST_PERSONS}

    async with GatewayClient(stage.url, stage.api_key) as client:

        async def register(number: int, id_number: str, waits: bool) -> Any:
            return await client.register(
                user_id=f"u{number}", id_number=id_number, seconds=1 if waits else 30
            )

        outcomes = await asyncio.gather(
            *(
                register(number, each.id_number, OUTCOMES[each.outcome].status == "pending")
                for number, each in enumerate(TEST_PERSONS)
            )
        )
    for person, outcome in zip(TEST_PERSONS, outcomes, strict=True):
        expected = OUTCOMES[person.outcome]
        error = outcome.error
        came = Expected(
            outcome.status, error.code if error else None, error.who_can_act if error else None
        )
        assert came == expected, person.outcome


async def test_the_person_whom_push_cannot_reach_registers_by_code(stage: Stage) -> None:
    """The transaction stays open, says that a code helps, and the code is confirmed."""
    person = next(each for each in TEST_PERSONS if "PS_FCM_NOT_FOUND" in each.outcome)
    phones = stage.simulator.state.phone.handsets.of(person.id_number)
    async with GatewayClient(stage.url, stage.api_key) as client:
        begun = await client.begin_registration(user_id="u1", id_number=person.id_number)
        (failed,) = begun.challenges
        assert failed.error is not None
        assert (failed.status, failed.error.what_helps) == ("failed", "qr")
        assert failed.error.upstream_code == "PS_FCM_NOT_FOUND"
        shown = await client.add_challenge(begun.id, "qr")
        payload = shown.challenges[-1].qr_payload
        assert payload is not None
        await stage.simulator.scan(phones[0].device_id, payload)
        assert type(await client.outcome(begun, seconds=30)) is Completed
