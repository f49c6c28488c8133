"""ATH-02: what becomes of a ticket, as the relying system sees it."""

import hashlib
from typing import Any

import pytest

from moica_simulator import Clock, Device, PlatformError, Simulator, TicketStatus


async def test_a_pending_ticket_is_not_finished(system: Any, phone: Device) -> None:
    """Before the holder decides the answer is prefixed, and carries no result."""
    body, ticket_id = await system.push()
    answer = await system.result(body, ticket_id)
    assert answer["error_code"] == "SP-API-ATH-02-SPTKTID_TXNLOG_NF"
    assert "result" not in answer


async def test_a_confirmed_ticket_gives_signature_and_certificate(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """SIGN: hashed_id_num, signed_response, cert, and a checksum over the first two."""
    body, ticket_id = await system.push()
    view = await sim.confirm(phone.id, ticket_id)
    assert view.status is TicketStatus.CONFIRMED
    answer = await system.result(body, ticket_id)
    assert (answer["error_code"], answer["error_message"]) == ("0", "SUCCESS")
    result = answer["result"]
    assert set(result) == {"hashed_id_num", "signed_response", "cert", "idp_checksum"}
    payload = f"{body['transaction_id']}0{result['hashed_id_num']}{result['signed_response']}"
    assert system.unseal(result["idp_checksum"]) == hashlib.sha256(payload.encode()).hexdigest()


async def test_a_bare_authentication_gives_no_certificate(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """ATH yields hashed_id_num only, and its checksum counts the signature as empty."""
    body, ticket_id = await system.push(op_code="ATH", sign_info=...)
    await sim.confirm(phone.id, ticket_id)
    result = (await system.result(body, ticket_id))["result"]
    assert set(result) == {"hashed_id_num", "idp_checksum"}
    payload = f"{body['transaction_id']}0{result['hashed_id_num']}"
    assert system.unseal(result["idp_checksum"]) == hashlib.sha256(payload.encode()).hexdigest()


async def test_a_result_stays_the_same(
    sim: Simulator, system: Any, phone: Device, clock: Clock
) -> None:
    """Every poll gives the same result, also after the ticket has lapsed."""
    body, ticket_id = await system.push()
    await sim.confirm(phone.id, ticket_id)
    first = (await system.result(body, ticket_id))["result"]
    clock.advance(3600)
    second = (await system.result(body, ticket_id))["result"]
    assert first.pop("idp_checksum") != second.pop("idp_checksum")
    assert first == second


async def test_a_refused_ticket_says_so(sim: Simulator, system: Any, phone: Device) -> None:
    """「取消」 is APP_USER_CANCEL, and stays it after the ticket has lapsed."""
    body, ticket_id = await system.push()
    assert (await sim.refuse(phone.id, ticket_id)).status is TicketStatus.REFUSED
    assert await system.result_code(body, ticket_id) == "APP_USER_CANCEL"
    sim.clock.advance(3600)
    assert await system.result_code(body, ticket_id) == "APP_USER_CANCEL"


@pytest.mark.parametrize(("limit", "seconds"), [(30, 30), ("45", 45), (None, 60), (600, 600)])
async def test_a_ticket_lapses_when_its_time_is_over(
    limit: Any, seconds: int, sim: Simulator, system: Any, phone: Device, clock: Clock
) -> None:
    """One moment before it is pending, at the moment it has lapsed, for system and phone."""
    body, ticket_id = await system.push(time_limit=limit)
    clock.advance(seconds - 0.001)
    assert await system.result_code(body, ticket_id) == "SPTKTID_TXNLOG_NF"
    clock.advance(0.001)
    assert await system.result_code(body, ticket_id) == "SPTKT_OVD"
    with pytest.raises(PlatformError) as caught:
        await sim.confirm(phone.id, ticket_id)
    assert caught.value.code == "SPTKT_OVD"
    assert (await sim.inbox(phone.id))[0].status is TicketStatus.LAPSED
    assert await system.result_code(body, ticket_id) == "SPTKT_OVD"


@pytest.mark.parametrize("first", ["confirm", "refuse"])
@pytest.mark.parametrize("second", ["confirm", "refuse"])
async def test_a_ticket_is_decided_once(
    first: str, second: str, sim: Simulator, system: Any, phone: Device
) -> None:
    """Who decides twice is told that the ticket was used; the first decision stands."""
    body, ticket_id = await system.push()
    await getattr(sim, first)(phone.id, ticket_id)
    before = await system.result_code(body, ticket_id)
    with pytest.raises(PlatformError) as caught:
        await getattr(sim, second)(phone.id, ticket_id)
    assert caught.value.code == "SPTKTID_SPTKT_RDM"
    assert await system.result_code(body, ticket_id) == before


async def test_the_second_of_two_devices_comes_too_late(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """Both ring; what the first decides is the result."""
    tablet = await sim.bind_device("A123456789", "平板")
    body, ticket_id = await system.push()
    await sim.refuse(tablet.id, ticket_id)
    with pytest.raises(PlatformError) as caught:
        await sim.confirm(phone.id, ticket_id)
    assert caught.value.code == "SPTKTID_SPTKT_RDM"
    assert await system.result_code(body, ticket_id) == "APP_USER_CANCEL"


async def test_a_result_belongs_to_who_asked(
    sim: Simulator, system: Any, phone: Device, http: Any, relying_system: Any
) -> None:
    """Another transaction_id, another system, or an invented ticket finds nothing."""
    body, ticket_id = await system.push()
    await sim.confirm(phone.id, ticket_id)
    assert await system.result_code(body, "nothing") == "SPTKTID_SPTKT_NF"
    other_transaction = {**body, "transaction_id": "another"}
    assert await system.result_code(other_transaction, ticket_id) == "SPTKTID_SPTKT_NF"
    stranger = relying_system(sim.url, http, b"another key of thirty-two bytes.")
    stranger.service_id = "20261123090000000002"
    await sim.add_service_provider(stranger.service_id, stranger.key_base64, "別的系統")
    assert await stranger.result_code(body, ticket_id) == "SPTKTID_SPTKT_NF"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"transaction_id": ""}, "PM_INV_NF"),
        ({"sp_ticket_id": ""}, "PM_INV_NF"),
        ({"sp_ticket_id": None}, "PM_INV_NF"),
        ({"sp_service_id": "nobody"}, "SPSVCID_NF"),
        ({"sp_ticket_id": "unknown"}, "SPTKTID_SPTKT_NF"),
    ],
)
async def test_each_rule_of_a_poll_answers_its_code(
    changes: dict[str, Any], code: str, system: Any
) -> None:
    """Fields of ATH-02."""
    body = {
        "transaction_id": "t",
        "sp_service_id": system.service_id,
        "sp_ticket_id": "unknown",
        **changes,
    }
    answer = await system.call("getAthOrSignResult", body)
    assert answer["error_code"] == f"SP-API-ATH-02-{code}"


async def test_a_person_is_opaque_and_stable(
    sim: Simulator, system: Any, phone: Device, http: Any, relying_system: Any
) -> None:
    """hashed_id_num is the same in ticket and results of one system, and another's is another."""
    other = relying_system(sim.url, http, b"another key of thirty-two bytes.")
    other.service_id = "20261123090000000002"
    await sim.add_service_provider(other.service_id, other.key_base64, "別的系統")
    hashes = []
    for asking in (system, system, other):
        body, ticket_id = await asking.push()
        await sim.confirm(phone.id, ticket_id)
        hashes.append((await asking.result(body, ticket_id))["result"]["hashed_id_num"])
    assert hashes[0] == hashes[1] != hashes[2]
    plain = {
        hashlib.new(name, text.encode()).hexdigest()
        for name in ("md5", "sha1", "sha256")
        for text in ("A123456789", "a123456789")
    }
    assert not plain & set(hashes)


async def test_early_polls_are_answered_and_recorded(
    sim: Simulator, system: Any, phone: Device, clock: Clock
) -> None:
    """Less than four seconds after the last poll of that ticket is early."""
    body, ticket_id = await system.push()
    for pause in (0, 3.9, 4, 1):
        clock.advance(pause)
        assert await system.result_code(body, ticket_id) == "SPTKTID_TXNLOG_NF"
    polls = [each for each in sim.requests if each.interface == "SP-API-ATH-02"]
    assert [each.early for each in polls] == [False, True, False, True]
