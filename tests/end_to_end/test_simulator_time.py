"""Faults of time, and a platform whose clock is not the gateway's: each to its one outcome."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from attrs import frozen

from moica_gateway import DocumentRequest, GatewayClient
from moica_gateway.settings import BrakeSettings
from moica_simulator import Device, PlatformError
from tests.stage import Stage, on_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

PUSH, RESULT = "SP-API-ATH-03", "SP-API-ATH-02"
WANG, LEE = "A123456789", "B123456780"
GOOD = ("completed", None)
HOUR = 3600.0


@frozen
class Scene:
    """Two users who may sign, Wang (``u1``) and Lee (``u2``), each with a phone that confirms."""

    stage: Stage
    client: GatewayClient
    wang: Device
    lee: Device

    async def sign(self, user: str = "u1") -> tuple[str, str | None]:
        """One signature: status and code."""
        document = DocumentRequest(number="1", sha256="0" * 64)
        outcome = await self.client.sign(user_id=user, document=document, supersede=True)
        return outcome.status, outcome.error.code if outcome.error else None

    def applied(self) -> list[int]:
        """How often each fault was met; there is none afterwards."""
        counted = [fault.applied for fault in self.stage.simulator.faults.all()]
        self.stage.simulator.faults.clear()
        return counted


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """Both registered."""
    many = BrakeSettings(push_misses=10)
    async with (
        on_stage(tmp_path_factory.mktemp("time"), brakes=many) as stage,
        GatewayClient(stage.url, stage.api_key) as client,
    ):
        phones = []
        for user, id_number, name in (("u1", WANG, "王小明"), ("u2", LEE, "李大同")):
            await stage.simulator.add_person(id_number, name)
            phone = await stage.simulator.bind_device(id_number)
            phones.append(await stage.simulator.set_behaviour(phone.id, "confirm"))
            outcome = await client.register(user_id=user, id_number=id_number)
            assert outcome.status == "completed", outcome.error
        yield Scene(stage, client, *phones)


@pytest_asyncio.fixture(loop_scope="module")
async def scene(both: Scene) -> AsyncIterator[Scene]:
    """The same for each test: phones that confirm, no fault, the machine's time."""
    for phone in (both.wang, both.lee):
        await both.stage.simulator.set_behaviour(phone.id, "confirm")
    yield both
    both.stage.simulator.faults.clear()
    both.stage.simulator.clock.reset()


async def test_what_a_ticket_says_of_its_end_is_never_the_deadline(scene: Scene) -> None:
    """An hour early, an hour late, by the text alone or by the machine that made it: signed."""
    for skew in ({"ticket_skew_s": -HOUR}, {"ticket_skew_s": HOUR}, {"clock_skew_s": HOUR}):
        await scene.stage.simulator.add_fault(PUSH, **skew)
        assert await scene.sign() == GOOD, skew
        assert scene.applied() == [1]


async def test_a_ticket_that_lapses_as_it_is_made_is_expired(scene: Scene) -> None:
    """By a machine an hour behind; asked by one just as far behind, it is only not finished."""
    await scene.stage.simulator.add_fault(PUSH, clock_skew_s=-HOUR)
    await scene.stage.simulator.add_fault(RESULT, clock_skew_s=-HOUR, times=2)
    assert (await scene.sign())[0] == "expired"
    assert scene.applied() == [1, 2]
    assert await scene.sign() == GOOD


async def test_a_ticket_said_too_early_to_have_lapsed_stays_expired(scene: Scene) -> None:
    """The holder confirms afterwards: what has ended has one outcome, and nothing is signed."""
    simulator, client = scene.stage.simulator, scene.client
    await simulator.set_behaviour(scene.wang.id, "manual")
    await simulator.add_fault(RESULT, clock_skew_s=HOUR)
    document = DocumentRequest(number="1", sha256="0" * 64)
    begun = await client.begin_signature(user_id="u1", document=document)
    ended = await client.wait(begun.id, seconds=20)
    assert ended.status == "expired"
    request = await simulator.wait_for_request(scene.wang.id)
    view = await simulator.confirm(scene.wang.id, request.sp_ticket_id)
    assert view.status == "confirmed"
    assert (await client.transaction(begun.id)).status == "expired"
    (document_seen,) = (await client.transaction(begun.id)).documents
    assert document_seen.status != "completed"


async def test_an_answer_that_comes_twice_is_taken_once(scene: Scene) -> None:
    """While beginning and of a result; the phone rings once for each, and nobody else hears it."""
    simulator = scene.stage.simulator
    before = len(simulator.requests.where(interface=PUSH))
    for interface in (PUSH, RESULT):
        await simulator.add_fault(interface, line="duplicate", times=None)
        for user in ("u1", "u2", "u1"):
            assert await scene.sign(user) == GOOD
        assert min(scene.applied()) >= 3
    assert len(simulator.requests.where(interface=PUSH)) == before + 6
    # A refusal has no checksum: heard by another transaction, it would end it.
    await simulator.set_behaviour(scene.wang.id, "refuse")
    await simulator.add_fault(RESULT, line="duplicate", id_number=WANG, times=None)
    for _ in range(2):
        assert (await scene.sign("u1"))[0] == "rejected"
        assert await scene.sign("u2") == GOOD


async def test_a_late_answer_of_a_beginning_is_never_taken_for_the_next_ones(
    scene: Scene,
) -> None:
    """Its own transaction does not know whether the phone rang; the next one finds the ticket of
    another transaction under the checksum."""
    await scene.stage.simulator.add_fault(PUSH, line="late")
    assert await scene.sign() == ("failed", "start_unknown")
    assert await scene.sign() == ("failed", "checksum_mismatch")
    assert await scene.sign() == GOOD
    assert scene.applied() == [1]


async def test_a_late_result_is_taken_by_its_own_transaction_or_by_none(scene: Scene) -> None:
    """Polled again, it arrives; heard by another transaction, it ends that one."""
    simulator, client = scene.stage.simulator, scene.client
    await simulator.add_fault(RESULT, line="late")
    assert await scene.sign() == GOOD
    assert scene.applied() == [1]
    # The other half takes a second process of the same system, whose answer the first one hears.
    await simulator.set_behaviour(scene.wang.id, "manual")
    document = DocumentRequest(number="1", sha256="0" * 64)
    begun = await client.begin_signature(user_id="u1", document=document)
    request = await simulator.wait_for_request(scene.wang.id)
    await simulator.confirm(scene.wang.id, request.sp_ticket_id)
    assert (await client.wait(begun.id, seconds=20)).status == "completed"
    (polled,) = simulator.requests.where(sp_ticket_id=request.sp_ticket_id, code="0")[-1:]
    await simulator.add_fault(RESULT, line="late", id_number=WANG)
    await client_of_nobody(scene, dict(polled.body))
    assert scene.stage.simulator.faults.all()[0].applied == 1
    assert await scene.sign("u2") == ("failed", "checksum_mismatch")
    assert await scene.sign("u2") == GOOD


async def client_of_nobody(scene: Scene, body: dict[str, object]) -> None:
    """A poll of the same system whose answer is held up, as of a second gateway process."""
    url = f"{scene.stage.simulator.url}/moise/sp/getAthOrSignResult"
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.post(url, json=body)


@pytest.mark.parametrize(
    ("hours", "expected"),
    [(-6, GOOD), (-25, ("failed", "revocation_unknown")), (1, ("failed", "revocation_unknown"))],
)
async def test_a_frozen_platform_is_believed_while_its_lists_are_of_the_gateways_time(
    hours: int, expected: tuple[str, str | None], tmp_path: Path
) -> None:
    """A list of six hours ago holds; one of a day ago is stale, one of an hour on is of the
    future, and the responder says no more than the list."""
    async with on_stage(tmp_path) as stage, GatewayClient(stage.url, stage.api_key) as client:
        simulator = stage.simulator
        simulator.clock.freeze()
        moved = simulator.clock.now() + timedelta(hours=hours)
        simulator.clock.set(min(moved, simulator.clock.now()))
        await simulator.add_person(WANG, "王小明")
        phone = await simulator.bind_device(WANG)
        await simulator.set_behaviour(phone.id, "confirm")
        simulator.clock.set(moved)
        outcome = await client.register(user_id="u1", id_number=WANG)
        assert (outcome.status, outcome.error.code if outcome.error else None) == expected


async def test_a_phone_is_late_by_the_platforms_clock_alone(scene: Scene) -> None:
    """Advanced past the ticket's end, the platform says so, and the gateway has it from there."""
    simulator, client = scene.stage.simulator, scene.client
    await simulator.set_behaviour(scene.wang.id, "manual")
    document = DocumentRequest(number="1", sha256="0" * 64)
    begun = await client.begin_signature(user_id="u1", document=document)
    request = await simulator.wait_for_request(scene.wang.id)
    simulator.clock.freeze()
    simulator.clock.advance(601)
    with pytest.raises(PlatformError, match="SPTKT_OVD"):
        await simulator.confirm(scene.wang.id, request.sp_ticket_id)
    assert (await client.wait(begun.id, seconds=20)).status == "expired"


async def test_a_certificate_of_a_clock_that_is_ahead_is_not_yet_valid(scene: Scene) -> None:
    """Four minutes are enough: what the CA issues then begins in the gateway's future. The same
    person's certificate of before is as good as ever."""
    simulator = scene.stage.simulator
    simulator.clock.freeze()
    simulator.clock.advance(240)
    assert await scene.sign() == GOOD
    await simulator.renew(scene.wang.id)
    outcome = await scene.client.register(user_id="u1", id_number=WANG, supersede=True)
    assert outcome.error is not None
    assert (outcome.status, outcome.error.code) == ("failed", "certificate_not_yet_valid")
