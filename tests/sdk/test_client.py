"""The asynchronous client against a gateway that misbehaves."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from aiohttp import ClientSession, web

from moica_gateway.client import GatewayClient
from moica_gateway.errors import GatewayError, UpstreamError, problem
from moica_gateway.outcomes import Cancelled, Completed, Expired, Failed, Pending, Rejected
from moica_gateway.wire import DocumentRequest

DOCUMENT = DocumentRequest(number="1", sha256="0" * 64)


class Naps:
    """Counts instead of sleeping."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


@pytest.fixture
def naps() -> Naps:
    """Every pause the client would have made."""
    return Naps()


def client_of(scripted: Any, naps: Naps, **options: Any) -> GatewayClient:
    """With pauses counted."""
    return GatewayClient(scripted.url, scripted.KEY, sleep=naps, **options)


def trouble(scripted: Any, name: str) -> None:
    """Script one misbehaviour by its name."""
    if name == "reset":
        scripted.then_reset()
    elif name == "html":
        scripted.then_raw(b"<html>", 502)
    elif name == "running":
        scripted.then_json(problem("idempotency_running", "x").to_json(), 409)
    else:
        scripted.then_json(problem("storage_unavailable", "x").to_json(), int(name))


@pytest.mark.parametrize("name", ["503", "502", "504", "html", "running", "reset"])
@pytest.mark.parametrize("given", [None, "order-7"])
async def test_a_creation_is_tried_again_under_the_same_key(
    scripted: Any, naps: Naps, name: str, given: str | None
) -> None:
    """Body and Idempotency-Key are the same both times, so no phone rings twice."""
    trouble(scripted, name)
    scripted.then_json(scripted.transaction(), 201)
    async with client_of(scripted, naps) as client:
        await client.begin_signature(user_id="u1", document=DOCUMENT, idempotency_key=given)
    assert len(scripted.requests) == 2
    assert len({(h["Idempotency-Key"], body) for _, _, h, body in scripted.requests}) == 1
    assert given in (None, scripted.requests[0][2]["Idempotency-Key"])
    assert len(naps.taken) == 1


async def test_two_creations_have_two_keys(scripted: Any, naps: Naps) -> None:
    """A key that is made here is made anew for each call."""
    scripted.then_json(scripted.transaction(), 201)
    async with client_of(scripted, naps) as client:
        await client.begin_registration(user_id="u1", id_number="A123456789")
        await client.begin_registration(user_id="u1", id_number="A123456789")
    assert len({h["Idempotency-Key"] for _, _, h, _ in scripted.requests}) == 2


@pytest.mark.parametrize(
    "code", ["request_invalid", "unauthenticated", "forbidden", "not_found", "credential_missing"]
)
async def test_no_4xx_is_tried_again(scripted: Any, naps: Naps, code: str) -> None:
    """It is raised at once with the code of the problem document."""
    made = problem(code, "x")
    assert 400 <= made.status < 500
    scripted.then_json(made.to_json(), made.status)
    async with client_of(scripted, naps) as client:
        with pytest.raises(GatewayError) as raised:
            await client.begin_signature(user_id="u1", document=DOCUMENT)
    assert (raised.value.code, len(scripted.requests), naps.taken) == (code, 1, [])


async def test_trying_ends_after_four_times(scripted: Any, naps: Naps) -> None:
    """What the gateway said last is raised."""
    trouble(scripted, "503")
    async with client_of(scripted, naps) as client:
        with pytest.raises(GatewayError) as raised:
            await client.transaction("txn_1")
    assert (raised.value.code, len(scripted.requests)) == ("storage_unavailable", 4)
    assert len(naps.taken) == 3


@pytest.mark.parametrize(("said", "tries"), [("7", 4), ("3600", 1), ("9" * 400, 1), ("soon", 4)])
async def test_retry_after_is_kept_and_a_long_one_is_not_waited_for(
    scripted: Any, naps: Naps, said: str, tries: int
) -> None:
    """A pause is at least as long as asked for; half a minute is the most."""
    body = problem("storage_unavailable", "x").to_json()
    scripted.then_json(body, 503, **{"Retry-After": said})
    async with client_of(scripted, naps) as client:
        with pytest.raises(GatewayError):
            await client.transaction("txn_1")
    assert len(scripted.requests) == tries
    assert all(7 <= nap <= 30 for nap in naps.taken if said == "7")


async def test_a_further_challenge_is_tried_again_with_the_same_key(
    scripted: Any, naps: Naps
) -> None:
    """So no phone rings twice."""
    trouble(scripted, "503")
    async with client_of(scripted, naps) as client:
        with pytest.raises(GatewayError):
            await client.add_challenge("txn_1", "push")
    keys = {headers["Idempotency-Key"] for _, _, headers, _ in scripted.requests}
    assert (len(scripted.requests), len(keys)) == (4, 1)


FOREIGN = {
    "html": (b"<html>hello</html>", 200, "upstream_malformed"),
    "list": (b"[]", 200, "upstream_malformed"),
    "empty": (b"", 200, "upstream_malformed"),
    "cut JSON": (b'{"id": ', 200, "upstream_malformed"),
    "no UTF-8": (b"\xff", 200, "upstream_malformed"),
    "deep": (b"[" * 100_000, 200, "upstream_malformed"),
    "infinite version": (b'{"id": "x", "version": 1e999}', 200, "upstream_malformed"),
    "no transaction": (b'{"id": "x"}', 200, "upstream_malformed"),
    "redirect": (b"", 302, "upstream_malformed"),
    "redirect with JSON": (b"{}", 307, "upstream_malformed"),
    "foreign 404": (b"gone", 404, "upstream_malformed"),
    "foreign 500": (b"broken", 500, "upstream_unavailable"),
}


@pytest.mark.parametrize("name", FOREIGN)
async def test_no_foreign_answer_escapes(scripted: Any, naps: Naps, name: str) -> None:
    """Whatever stands in the body, a GatewayError with a stable code comes."""
    body, status, code = FOREIGN[name]
    location = {"Location": f"{scripted.url}/evil"} if status in (302, 307) else {}
    scripted.then_raw(body, status, **location)
    async with client_of(scripted, naps) as client:
        with pytest.raises(GatewayError) as raised:
            await client.transaction("txn_1")
    assert raised.value.code == code
    assert len(scripted.requests) == 1, "neither followed nor tried again"


async def test_a_redirect_is_no_success_of_calls_without_a_body(scripted: Any, naps: Naps) -> None:
    """Deleting a user and fetching an artifact fail when a proxy asks to log in."""
    scripted.then_raw(b"<html>log in</html>", 302, Location="/login")
    async with client_of(scripted, naps) as client:
        for call in (client.delete_user("u1"), client.artifact("txn_1")):
            with pytest.raises(GatewayError) as raised:
                await call
            assert raised.value.code == "upstream_malformed"
    assert {path for _, path, _, _ in scripted.requests} == {
        "/v1/users/u1",
        "/v1/transactions/txn_1/artifact",
    }


async def test_a_page_is_no_artifact_and_nothing_is_no_token(scripted: Any, naps: Naps) -> None:
    """A proxy's 200 page and an answer without `browser_token` are errors."""
    scripted.then_raw(b"<html>", 200, **{"Content-Type": "text/html; charset=utf-8"})
    scripted.then_json({})
    async with client_of(scripted, naps) as client:
        with pytest.raises(GatewayError):
            await client.artifact("txn_1")
        with pytest.raises(GatewayError):
            await client.browser_token("txn_1")


async def test_a_timeout_is_a_gateway_error(scripted: Any, naps: Naps) -> None:
    """A gateway that never answers is `upstream_unreachable`, after all tries."""
    release = asyncio.Event()

    async def silent(_request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    scripted.then(silent)
    async with client_of(scripted, naps, timeout=0.05) as client:
        with pytest.raises(GatewayError) as raised:
            await client.transaction("txn_1")
    release.set()
    assert raised.value.code == "upstream_unreachable"
    assert scripted.KEY not in str(raised.value)


async def test_nobody_listening_is_a_gateway_error(scripted: Any, naps: Naps) -> None:
    """A refused connection is tried again and then `upstream_unreachable`."""
    client = client_of(scripted, naps)
    await scripted.server.close()
    async with client:
        with pytest.raises(GatewayError) as raised:
            await client.transaction("txn_1")
    assert (raised.value.code, len(naps.taken)) == ("upstream_unreachable", 3)


async def test_a_wrong_setup_is_told_at_once(scripted: Any, naps: Naps) -> None:
    """A missing authority file, a closed session and odd metadata are no reason to try again."""
    closed = ClientSession()
    await closed.close()
    async with client_of(scripted, naps, ca_file="/nowhere.pem") as client:
        with pytest.raises(GatewayError, match="configuration_invalid"):
            await client.transaction("txn_1")
    async with client_of(scripted, naps, session=closed) as client:
        with pytest.raises(GatewayError, match="configuration_invalid"):
            await client.transaction("txn_1")
    odd: Any = {"a": object()}
    async with client_of(scripted, naps) as client:
        with pytest.raises(GatewayError, match="request_invalid"):
            await client.begin_signature(user_id="u1", document=DOCUMENT, metadata=odd)
    assert (naps.taken, scripted.requests) == ([], [])


@pytest.mark.parametrize(
    ("url", "key"),
    [("ftp://x", "k"), ("x", "k"), ("http://", "k"), ("http://x?q=1", "k")]
    + [("http://x", key) for key in ("", "a b", "a\n", "金鑰")],
)
def test_a_client_that_cannot_work_is_not_made(url: str, key: str) -> None:
    """Address and key are looked at before anything is sent."""
    with pytest.raises(GatewayError, match="configuration_invalid"):
        GatewayClient(url, key)


async def test_a_session_handed_in_is_not_closed(scripted: Any, naps: Naps) -> None:
    """It is the caller's; one made here is closed and made anew at need."""
    scripted.then_json(scripted.transaction())
    async with ClientSession() as session:
        async with client_of(scripted, naps, session=session) as client:
            await client.transaction("txn_1")
        assert not session.closed
    client = client_of(scripted, naps)
    for _ in range(2):
        await client.transaction("txn_1")
        await client.close()
        await client.close()


async def test_waiting_goes_on_until_the_end(scripted: Any, naps: Naps) -> None:
    """It long-polls again while pending, and a gateway that does not wait is not hammered."""
    scripted.then_json(scripted.transaction())
    scripted.then_json(scripted.transaction(version=3))
    scripted.then_json(scripted.transaction(version=4, status="rejected"))
    async with client_of(scripted, naps) as client:
        assert (await client.wait("txn_1", seconds=100)).status == "rejected"
    assert [path for _, path, _, _ in scripted.requests] == ["/v1/transactions/txn_1?wait=30"] * 3
    assert naps.taken == [0.5, 0.5]


async def test_waiting_for_a_higher_version_ends_with_it(scripted: Any, naps: Naps) -> None:
    """``since`` is sent along; a pending one of a higher version is enough."""
    scripted.then_json(scripted.transaction(version=2))
    scripted.then_json(scripted.transaction(version=3))
    async with client_of(scripted, naps) as client:
        assert (await client.wait("txn_1", since=2)).version == 3
    assert all(path.endswith("&since=2") for _, path, _, _ in scripted.requests)


async def test_waiting_ends_with_the_seconds(scripted: Any, naps: Naps) -> None:
    """What is still pending then comes back as it is."""
    scripted.then_json(scripted.transaction())
    async with client_of(scripted, naps) as client:
        assert not (await client.wait("txn_1", seconds=0)).terminal
    assert len(scripted.requests) == 1


async def test_all_pages_are_walked(scripted: Any, naps: Naps) -> None:
    """The cursor is handed back as it came."""
    scripted.then_json({"items": [scripted.transaction(id="txn_a")], "next_cursor": "a b&c"})
    scripted.then_json({"items": [scripted.transaction(id="txn_b")], "next_cursor": None})
    async with client_of(scripted, naps) as client:
        found = [view.id async for view in client.transactions(user_id="u/1")]
    assert found == ["txn_a", "txn_b"]
    assert [path for _, path, _, _ in scripted.requests] == [
        "/v1/transactions?user_id=u/1",
        "/v1/transactions?user_id=u/1&cursor=a%20b%26c",
    ]


async def test_ids_cannot_leave_their_place_in_the_path(scripted: Any, naps: Naps) -> None:
    """A slash or question mark in an id is escaped, the key stays in its header."""
    scripted.then_json(scripted.transaction())
    async with client_of(scripted, naps) as client:
        await client.transaction("../users?x")
    _, path, headers, _ = scripted.requests[0]
    assert re.fullmatch(r"/v1/transactions/\.\.%2Fusers%3Fx", path)
    assert headers["Authorization"] == f"Bearer {scripted.KEY}"


async def test_signing_waits_for_the_end_and_says_it_as_one_of_six(
    scripted: Any, naps: Naps
) -> None:
    """One call from asking to the outcome; each state has a class of its own."""
    pending = scripted.transaction()
    for status, class_ in (
        ("completed", Completed),
        ("rejected", Rejected),
        ("expired", Expired),
        ("cancelled", Cancelled),
        ("failed", Failed),
    ):
        ended = scripted.transaction(status=status, version=3)
        scripted.answers.clear()
        scripted.then_json(pending, 201)
        scripted.then_json(pending)
        scripted.then_json(ended)
        async with GatewayClient(scripted.url, scripted.KEY, sleep=naps) as client:
            outcome = await client.sign(user_id="u1", document=DOCUMENT)
        assert type(outcome) is class_
        assert (outcome.status, outcome.version, outcome.ended) == (status, 3, True)


async def test_a_registration_that_ended_at_once_is_not_asked_for_again(scripted: Any) -> None:
    """The answer to the creation is enough."""
    failed = scripted.transaction(kind="registration", status="failed", documents=[])
    scripted.then_json(failed, 201)
    async with GatewayClient(scripted.url, scripted.KEY) as client:
        outcome = await client.register(user_id="u1", id_number="A123456789")
    assert type(outcome) is Failed
    assert len(scripted.requests) == 1


async def test_a_deadline_of_the_callers_own_leaves_the_transaction_as_it_is(
    scripted: Any,
) -> None:
    """Creation and waiting share it; what is pending then is `Pending`, and can be asked for."""
    scripted.then_json(scripted.transaction(), 201)
    scripted.then_json(scripted.transaction())
    async with GatewayClient(scripted.url, scripted.KEY) as client:
        outcome = await client.sign(user_id="u1", document=DOCUMENT, seconds=0.5)
        assert type(outcome) is Pending
        asked = [path for _, path, _, _ in scripted.requests]
        assert asked == ["/v1/signatures", "/v1/transactions/txn_1?wait=0"]
        scripted.then_json(scripted.transaction(status="completed"))
        assert type(await client.outcome(outcome.transaction_id)) is Completed


async def test_a_state_that_v1_does_not_know_is_an_error(scripted: Any) -> None:
    """And no outcome that a `match` would miss."""
    scripted.then_json(scripted.transaction(status="halfway"))
    async with GatewayClient(scripted.url, scripted.KEY) as client:
        with pytest.raises(UpstreamError) as raised:
            await client.outcome("txn_1")
    assert raised.value.code == "upstream_malformed"
