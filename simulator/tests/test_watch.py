"""Behind the platform: its tickets, requests newest first, and why a checksum was wrong."""

import base64
from typing import Any

import pytest

from moica_simulator import Clock, Device, Simulator
from moica_simulator.records import UserProfile
from moica_simulator.state import State

OTHER_ID = "20261123090000000002"
OTHER_KEY = bytes(32)


@pytest.fixture
def watch(sim: Simulator, http: Any) -> Any:
    """Asks the control API; returns status and answer."""

    async def ask(path: str) -> tuple[int, Any]:
        async with http.get(f"{sim.url}/sim/v1{path}") as response:
            return response.status, await response.json()

    return ask


async def numbers(watch: Any, query: str) -> tuple[list[int], str | None]:
    """Of the requests that a query lists."""
    status, page = await watch(f"/requests?{query}")
    assert status == 200, page
    return [each["number"] for each in page["items"]], page["next_cursor"]


async def test_requests_are_paged_newest_first(system: Any, phone: Device, watch: Any) -> None:
    """Each page goes on where the last one ended, and none comes twice."""
    for _ in range(5):
        await system.push()
    assert await numbers(watch, "order=newest&limit=2") == ([5, 4], "4")
    assert await numbers(watch, "order=newest&limit=2&cursor=4") == ([3, 2], "2")
    assert await numbers(watch, "order=newest&limit=2&cursor=2") == ([1], None)
    assert await numbers(watch, "limit=2&cursor=2") == ([3, 4], "4")


async def test_requests_are_filtered(system: Any, phone: Device, watch: Any) -> None:
    """By interface, system and checksum, alone and together."""
    await system.push()
    await system.post("requestAthOrSignPush", system.push_body(sp_checksum="00" * 92))
    await system.post("getSpTicket", {**system.ticket_body(), "sp_service_id": "nobody"})
    assert (await numbers(watch, "interface=SP-API-ATH-01"))[0] == [3]
    assert (await numbers(watch, f"sp_service_id={system.service_id}"))[0] == [1, 2]
    assert (await numbers(watch, "checksum=right"))[0] == [1]
    assert (await numbers(watch, "checksum=wrong&order=newest"))[0] == [2]
    assert (await numbers(watch, "checksum=unchecked&interface=SP-API-ATH-03"))[0] == []


async def test_requests_are_filtered_by_person_ticket_and_time(
    sim: Simulator, system: Any, phone: Device, other_phone: Device, watch: Any, clock: Clock
) -> None:
    """A poll is about its ticket's person; in-process `where` picks the same ones."""
    wang, lee = phone.id_number, other_phone.id_number
    body, ticket_id = await system.push()
    clock.advance(10)
    other, other_id = await system.push(id_num=lee)
    await sim.add_fault("SP-API-ATH-02", http_status=503)
    await system.post("getAthOrSignResult", {"sp_ticket_id": other_id})
    clock.advance(10)
    since = clock.now()
    await system.result(body, ticket_id)
    await system.result(other, other_id)
    for words, found, query in (
        ({"id_number": wang}, [1, 4], f"id_number={wang}"),
        ({"id_number": lee}, [2, 3, 5], f"id_number={lee}"),
        ({"sp_ticket_id": ticket_id}, [1, 4], f"sp_ticket_id={ticket_id}"),
        ({"sp_ticket_id": other_id}, [2, 3, 5], f"sp_ticket_id={other_id}"),
        ({"since": since}, [4, 5], "since=2026-04-24T12:00:20%2B08:00"),
        (
            {"since": since, "id_number": lee, "interface": "SP-API-ATH-02"},
            [5],
            f"since=2026-04-24T04:00:20Z&id_number={lee}&interface=SP-API-ATH-02",
        ),
        ({"id_number": "nobody"}, [], "id_number=nobody"),
    ):
        assert [each.number for each in sim.requests.where(**words)] == found, words
        assert (await numbers(watch, query))[0] == found, query
    pending = sim.requests.where(code="SPTKTID_TXNLOG_NF")
    assert [each.number for each in pending] == [4, 5]
    assert pending == sim.requests.where(code="SP-API-ATH-02-SPTKTID_TXNLOG_NF")
    (harmed,) = sim.requests.where(harmed=True)
    assert (harmed.number, harmed.harms) == (3, ("http_status=503",))
    assert len(sim.requests.where(sp_service_id=system.service_id, harmed=False)) == 4


@pytest.mark.parametrize(
    "path",
    [
        "/requests?since=noon",
        "/requests?since=2026-04-24T04:00:00",
        "/requests?order=up",
        "/requests?checksum=x",
        "/requests?interface=x",
        "/tickets?status=x",
    ],
)
async def test_a_filter_that_is_none_is_refused(path: str, watch: Any) -> None:
    """An empty list would be taken for an answer."""
    status, answer = await watch(path)
    assert (status, answer["error"]) == (400, "parameter_invalid")
    assert ": expected " in answer["detail"]


async def test_a_wrong_checksum_is_explained(system: Any, phone: Device, watch: Any) -> None:
    """Fields, payload and hash as they should be, what came, and the mistake by its name."""
    body = system.push_body()
    covered = ("transaction_id", "sp_service_id", "id_num", "op_code", "hint")
    payload = "".join(body[name] for name in covered) + body["sign_info"]["sign_data"]
    _, answer = await system.post(
        "requestAthOrSignPush", {**body, "sp_checksum": system.seal(f"{payload}\n")}
    )
    assert answer["error_code"].endswith("INV_SP_CHECKSUM")
    status, found = await watch("/requests/1/explanation")
    assert status == 200
    assert found["answer"] is None  # an error answer has no checksum
    told = found["request"]
    assert told["right"] is False
    assert told["payload"] == payload
    assert [each["name"] for each in told["fields"]][3:5] == ["device_user_def_desc", "op_code"]
    assert told["fields"][3]["value"] is None
    assert told["payload_sha256"] != told["inside"] == system.unseal(told["sent"])
    # A line break behind everything, or behind `sign_data`, which comes last: either is true.
    (other,), (mistake,) = told["diagnoses"]
    assert (other["name"], mistake["name"]) == ("sign_data_other_base64", "text_behind")
    assert "換行" in mistake["zh"]
    assert "line break" in mistake["en"]
    assert system.key_base64 not in str(found)


async def test_a_right_exchange_is_shown_open_on_both_sides(
    system: Any, phone: Device, watch: Any
) -> None:
    """The answer's checksum covers the `transaction_id` that was sent."""
    body, _ = await system.push()
    _, found = await watch("/requests/1/explanation")
    for side in ("request", "answer"):
        assert found[side]["right"] is True
        assert found[side]["inside"] == found[side]["payload_sha256"]
        assert found[side]["payload"].startswith(body["transaction_id"])
        assert found[side]["diagnoses"] == []


async def test_anothers_key_and_anothers_checksum_are_known_here(
    sim: Simulator, system: Any, phone: Device, watch: Any
) -> None:
    """The simulator knows every system and the requests before."""
    await sim.add_service_provider(OTHER_ID, base64.b64encode(OTHER_KEY).decode(), "戶政系統")
    first, _ = await system.push()
    body = system.push_body()
    sealed = system.signed("requestAthOrSignPush", first)["sp_checksum"]
    await system.post("requestAthOrSignPush", {**body, "sp_checksum": sealed})
    _, found = await watch("/requests/2/explanation")
    ((mistake,),) = found["request"]["diagnoses"]
    assert mistake["name"] == "checksum_of_another_request"
    assert "第 1 筆" in mistake["zh"]
    system.key, own = OTHER_KEY, system.key
    await system.post("requestAthOrSignPush", system.signed("requestAthOrSignPush", body))
    system.key = own
    _, found = await watch("/requests/3/explanation")
    ((mistake,),) = found["request"]["diagnoses"]
    assert mistake["name"] == "key_of_another"
    assert "戶政系統" in mistake["zh"]


@pytest.mark.parametrize(
    ("alter", "expected"),
    [
        ("checksum_echoed", "checksum_echoed"),
        ("checksum_of_another", "checksum_of_another_answer"),
    ],
)
async def test_an_altered_answer_says_which_checksum_it_bears(
    alter: str, expected: str, sim: Simulator, system: Any, phone: Device, http: Any, watch: Any
) -> None:
    """Ours sent back, or that of an answer before."""
    await system.push()
    fault = {"interface": "SP-API-ATH-03", "alter": alter}
    async with http.post(f"{sim.url}/sim/v1/faults", json=fault) as response:
        assert response.status == 201
    await system.post(
        "requestAthOrSignPush", system.signed("requestAthOrSignPush", system.push_body())
    )
    _, found = await watch("/requests/2/explanation")
    assert found["request"]["right"] is True
    assert found["answer"]["right"] is False
    assert [each["name"] for each in found["answer"]["diagnoses"][0]] == [expected]


async def test_what_cannot_be_explained_says_so(system: Any, watch: Any) -> None:
    """No key is known for a stranger, and a number that is not kept is 404."""
    await system.post("getSpTicket", {**system.ticket_body(), "sp_service_id": "nobody"})
    _, found = await watch("/requests/1/explanation")
    assert (found["request"], found["answer"]) == (None, None)
    for number in ("2", "x", "%3Cscript%3E"):
        status, answer = await watch(f"/requests/{number}/explanation")
        assert (status, answer["error"]) == (404, "request_unknown")


async def test_tickets_are_listed_with_their_person_masked(
    sim: Simulator, clock: Clock, system: Any, phone: Device, watch: Any
) -> None:
    """Status, times and code; newest first; nobody's whole name or ID number."""
    body, first = await system.push()
    await sim.refuse(phone.id, first)
    _, second = await system.push(hint="公文文號：1153000166")
    clock.advance(61)
    _, third = await system.push()
    status, page = await watch("/tickets?order=newest&limit=2")
    assert status == 200
    assert [(each["sp_ticket_id"], each["status"]) for each in page["items"]] == [
        (third, "pending"),
        (second, "lapsed"),
    ]
    _, page = await watch(f"/tickets?order=newest&limit=2&cursor={page['next_cursor']}")
    (shown,) = page["items"]
    assert page["next_cursor"] is None
    assert (shown["sp_ticket_id"], shown["status"]) == (first, "refused")
    assert shown["person"] == {"name": "王○明", "id_number": "A123****89"}
    assert shown["transaction_id"] == body["transaction_id"]
    assert (shown["sp_name"], shown["device_id"]) == ("公文線上簽核系統", phone.id)
    assert shown["ended_at"] == "2026-04-24T04:00:00.000Z"
    assert body["id_num"] not in str(page)
    _, page = await watch("/tickets?status=lapsed")
    assert [each["sp_ticket_id"] for each in page["items"]] == [second]
    assert (await watch("/tickets?sp_service_id=nobody"))[1]["items"] == []


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_table_is_walked_in_pieces(newest_first: bool) -> None:
    """More than are read at a time; every one once, in either order, from any position."""
    state = State()
    for number in range(450):
        state.platform.users.put(UserProfile(f"A{number:09}"))
    walked = list(state.platform.users.walk(after=0, newest_first=newest_first))
    ids = [each.id_number for _, each in walked]
    assert sorted(ids, reverse=newest_first) == ids
    assert len(set(ids)) == 450
    rest = state.platform.users.walk(after=walked[-2][0], newest_first=newest_first)
    assert list(rest) == walked[-1:]
    state.close()
