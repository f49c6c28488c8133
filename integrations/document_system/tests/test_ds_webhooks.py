"""``security.md`` 11: what may come to ``POST /webhooks/moica``, and what it changes."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook

from document_system.web.keys import FOLLOW_UP

NUMBER = "1153000165"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"document system webhook secret!!").decode()


async def signing(world: Any) -> Any:
    """A browser whose document waits for the phone."""
    browser = await world.browser("clerk01")
    await browser.register(world.gateway, "clerk01")
    await browser.send_for_signing(NUMBER)
    return browser


def stands(world: Any) -> list[tuple[Any, ...]]:
    """What a webhook could change."""
    with sqlite3.connect(world.data / "document-system.sqlite3") as db:
        found = db.execute(
            "SELECT confirmations.status, gateway_version, confirmations.error_code, "
            "signed_version FROM confirmations LEFT JOIN items ON confirmation_id = id "
            "LEFT JOIN documents USING (number) ORDER BY confirmations.rowid"
        ).fetchall()
    db.close()
    return found


async def test_a_webhook_completes_without_anybody_looking(world: Any) -> None:
    """The document is signed, and the artifact is fetched by the server by itself."""
    await signing(world)
    world.gateway.end("completed")
    assert await world.webhook(world.gateway.event()) == 204
    assert stands(world)[-1] == ("completed", 2, None, 1)
    await world.app[FOLLOW_UP].once()
    with sqlite3.connect(world.data / "document-system.sqlite3") as db:
        assert db.execute("SELECT count(*) FROM signatures").fetchone() == (1,)
    db.close()


async def test_a_forged_webhook_changes_nothing(world: Any) -> None:
    """Another secret, a changed body: 400, and everything stands as it stood."""
    await signing(world)
    world.gateway.end("completed")
    event = world.gateway.event()
    before = stands(world)
    other = "whsec_" + base64.b64encode(b"the secret of somebody else!!!!!").decode()
    assert await world.webhook(event, secret=other) == 400
    assert await world.webhook(event, tamper=lambda body: body.replace("clerk01", "clerk02")) == 400
    async with (await world.browser()).client.post(
        "/webhooks/moica", data=json.dumps(event)
    ) as answer:
        assert answer.status == 400
    assert stands(world) == before


async def test_a_replayed_webhook_changes_nothing(world: Any) -> None:
    """The same webhook-id is dropped, whatever it bears the second time."""
    await signing(world)
    world.gateway.end("rejected")
    event = world.gateway.event()
    assert await world.webhook(event, id_="evt_1") == 204
    before = stands(world)
    assert before[-1][0] == "rejected"
    assert await world.webhook(event, id_="evt_1") == 204
    event["data"]["version"] = 9
    event["data"]["status"] = "completed"
    assert await world.webhook(event, id_="evt_1") == 204
    assert stands(world) == before


async def test_a_seen_id_is_dropped_even_where_its_body_would_count(world: Any) -> None:
    """An id that came with another event of ours is not believed again for a pending one."""
    await signing(world)
    assert await world.webhook(world.gateway.event(), id_="evt_2") == 204
    world.gateway.end("completed")
    before = stands(world)
    assert await world.webhook(world.gateway.event(), id_="evt_2") == 204
    assert stands(world) == before


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"transaction_id": "txn_of_somebody_else"}, "a foreign transaction"),
        ({"user_id": "clerk02"}, "another user"),
        ({"kind": "registration"}, "another kind"),
        ({"version": 0}, "an older version"),
        ({"version": 1}, "the version that is known"),
        ({"documents": []}, "no document"),
    ],
)
async def test_what_does_not_fit_changes_nothing(
    world: Any, changed: dict[str, Any], why: str
) -> None:
    """Authentic, but older, foreign, or about something else: received, and nothing changes."""
    await signing(world)
    world.gateway.end("completed")
    before = stands(world)
    assert await world.webhook(world.gateway.event(**changed)) == 204
    assert stands(world) == before, why


@pytest.mark.parametrize(
    ("member", "value"),
    [("number", "1153000999"), ("version", "2"), ("sha256", "0" * 64)],
)
async def test_another_document_than_the_frozen_one_changes_nothing(
    world: Any, member: str, value: str
) -> None:
    """Number, version and digest must be those that were frozen."""
    await signing(world)
    world.gateway.end("completed")
    event = world.gateway.event()
    event["data"]["documents"][0][member] = value
    before = stands(world)
    assert await world.webhook(event) == 204
    assert stands(world) == before


async def test_a_look_that_does_not_fit_changes_nothing_and_is_said(world: Any) -> None:
    """The same function guards the answer to our own question; the window says stop."""
    browser = await signing(world)
    world.gateway.end("completed")
    world.gateway.last()["documents"][0]["sha256"] = "0" * 64
    before = stands(world)
    page = await browser.get(browser.page.path)
    assert "簽章閘道的回覆與送出的公文不符" in page.words
    assert page.data("status") == "pending"
    assert stands(world) == before


async def test_reordered_webhooks_end_as_the_first_terminal_one(world: Any) -> None:
    """A newer event first, then an older one: the older changes nothing."""
    await signing(world)
    older = world.gateway.event()
    older["data"]["version"] = 2
    world.gateway.last()["version"] = 2
    world.gateway.end("completed")
    assert await world.webhook(world.gateway.event()) == 204
    before = stands(world)
    assert before[-1][0] == "completed"
    assert await world.webhook(older) == 204
    assert stands(world) == before


async def test_a_webhook_that_overtakes_the_answer_is_sent_again(world: Any) -> None:
    """Before the transaction's id is known it is 503 and not remembered; then it counts."""
    browser = await signing(world)
    await browser.post(f"{browser.page.path}/cancel")
    world.gateway.down = True
    await browser.get(f"/documents/{NUMBER}")
    page = await browser.post(f"/documents/{NUMBER}/sign")
    assert page.data("transaction") == ""
    world.gateway.down = False
    id_ = page.path.rpartition("/")[2]
    with sqlite3.connect(world.data / "document-system.sqlite3") as db:
        (expected,) = db.execute(
            "SELECT idempotency_key FROM confirmations WHERE id = ?", (id_,)
        ).fetchone()
    db.close()
    assert expected
    event = world.gateway.event(transaction_id="txn_not_known_yet", metadata={"confirmation": id_})
    assert await world.webhook(event, id_="evt_3") == 503
    page = await browser.get(page.path)
    assert page.data("status") == "pending"
    world.gateway.end("completed")
    assert await world.webhook(world.gateway.event(), id_="evt_3") == 204
    assert stands(world)[-1][0] == "completed"


@pytest.mark.parametrize("kind", ["webhook.test", "credential.expiring", "something.new"])
async def test_other_kinds_of_event_are_received(world: Any, kind: str) -> None:
    """A kind that is not about a transaction is answered 2xx, so that it is not sent again."""
    event = {"type": kind, "timestamp": "2026-04-30T01:00:00.000Z", "data": {}}
    assert await world.webhook(event) == 204


async def test_a_huge_body_is_refused(world: Any) -> None:
    """More than 256 KiB is read no further; an event of a thousand documents has less."""
    event = {
        "type": "webhook.test",
        "timestamp": "2026-04-30T01:00:00Z",
        "data": {"x": "x" * 299_999},
    }
    assert await world.webhook(event) == 413


# -- the table: what is not the gateway's is 400, what is but does not fit is received; either way
#    everything stands as it stood, and no id is remembered of what was not the gateway's


OTHER = "whsec_" + base64.b64encode(b"the secret of somebody else!!!!!").decode()


def signed(body: bytes, *, secret: str = WEBHOOK_SECRET, age: float = 0) -> dict[str, str]:
    """The headers that the gateway would send, so many seconds ago."""
    at = datetime.now(UTC) - timedelta(seconds=age)
    return {
        "Content-Type": "application/json",
        "webhook-id": "evt_forged",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(
            "evt_forged", at, body.decode("utf-8", "replace")
        ),
    }


def without(name: str) -> Callable[[bytes], tuple[bytes, dict[str, str]]]:
    """Everything but one header."""
    return lambda body: (body, {n: v for n, v in signed(body).items() if n != name})


def changed(name: str, value: str) -> Callable[[bytes], tuple[bytes, dict[str, str]]]:
    """Rightly signed, then one header changed."""
    return lambda body: (body, {**signed(body), name: value})


FORGED: list[tuple[str, int, Callable[[bytes], tuple[bytes, dict[str, str]]]]] = [
    ("another secret", 400, lambda b: (b, signed(b, secret=OTHER))),
    ("a body changed after signing", 400, lambda b: (b + b" ", signed(b))),
    ("another user than was signed", 400, lambda b: (b.replace(b"k01", b"k02"), signed(b))),
    ("no signature", 400, without("webhook-signature")),
    ("no id", 400, without("webhook-id")),
    ("no time", 400, without("webhook-timestamp")),
    ("an empty signature", 400, changed("webhook-signature", "")),
    ("a signature of another version", 400, changed("webhook-signature", "v2,AAAA")),
    ("a signature that is no base64", 400, changed("webhook-signature", "v1,!!!!")),
    ("another id than was signed", 400, changed("webhook-id", "evt_other")),
    ("a time that is no number", 400, changed("webhook-timestamp", "now")),
    ("another time than was signed", 400, changed("webhook-timestamp", "1")),
    ("six minutes old", 400, lambda b: (b, signed(b, age=360))),
    ("six minutes ahead", 400, lambda b: (b, signed(b, age=-360))),
    ("no JSON", 400, lambda _b: (b"completed", signed(b"completed"))),
    ("not UTF-8", 400, lambda _b: (b"\xff\xfe", signed(b"\xff\xfe"))),
    ("empty", 400, lambda _b: (b"", signed(b""))),
    ("JSON of another shape", 400, lambda _b: (b"[]", signed(b"[]"))),
    ("deep", 400, lambda _b: (b"[" * 20_000, signed(b"[" * 20_000))),
    ("huge and unsigned", 413, lambda b: (b + b" " * 270_000, {})),
    ("without any header", 400, lambda b: (b, {})),
]


@pytest.mark.parametrize(("status", "forge"), [f[1:] for f in FORGED], ids=[f[0] for f in FORGED])
async def test_what_is_not_the_gateways_changes_nothing(
    world: Any, status: int, forge: Callable[[bytes], tuple[bytes, dict[str, str]]]
) -> None:
    """Refused, nothing remembered: the true event with the same id still counts afterwards."""
    await signing(world)
    world.gateway.end("completed")
    event = world.gateway.event()
    before = stands(world)
    body, headers = forge(json.dumps(event).encode())
    async with (await world.browser()).client.post(
        "/webhooks/moica", data=body, headers=headers
    ) as answer:
        assert answer.status == status
        assert answer.headers["Cache-Control"] == "no-store"
    assert stands(world) == before
    assert await world.webhook(event, id_="evt_forged") == 204
    assert stands(world)[-1][0] == "completed"


BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("a version below zero", {"version": -1}),
    ("a version that is no number", {"version": "two"}),
    ("a status that nobody knows", {"status": "signed"}),
    ("a status that is no text", {"status": 1}),
    ("no transaction", {"transaction_id": None}),
    ("documents that are no list", {"documents": {"number": NUMBER}}),
    ("a document that is none", {"documents": ["1153000165"]}),
    ("no user", {"user_id": None}),
]


@pytest.mark.parametrize("changes", [b[1] for b in BROKEN], ids=[b[0] for b in BROKEN])
async def test_what_is_signed_but_broken_changes_nothing(
    world: Any, changes: dict[str, Any]
) -> None:
    """A defect of the sender's ends in no 500 and in no outcome."""
    await signing(world)
    world.gateway.end("completed")
    before = stands(world)
    status = await world.webhook(world.gateway.event(**changes))
    assert status in (204, 400)
    assert stands(world) == before


async def test_a_transaction_of_another_request_of_the_same_user_changes_nothing(
    world: Any,
) -> None:
    """Its end is recorded where it belongs, and not for the document that waits."""
    browser = await signing(world)
    first = world.gateway.last()
    await browser.post(f"{browser.page.path}/cancel")
    await browser.get(f"/documents/{NUMBER}")
    await browser.post(f"/documents/{NUMBER}/sign")
    first["status"], first["version"] = "completed", 9
    assert await world.webhook(world.gateway.event(first)) == 204
    assert [row[0] for row in stands(world)] == ["completed", "cancelled", "pending"]
    assert stands(world)[-1][3] is None


async def test_a_transaction_of_another_tenant_is_none_of_ours(world: Any) -> None:
    """Rightly signed with our secret, but of a transaction that we did not ask for."""
    await signing(world)
    before = stands(world)
    event = world.gateway.event(
        transaction_id="txn_of_another_tenant",
        status="completed",
        version=2,
        metadata={"confirmation": "cnf_of_another_tenant"},
    )
    assert await world.webhook(event) == 204
    assert stands(world) == before


async def test_a_doubled_event_with_another_id_changes_nothing_twice(world: Any) -> None:
    """The same version again, whatever its id: one signature, one outcome."""
    await signing(world)
    world.gateway.end("completed")
    event = world.gateway.event()
    for number in range(3):
        assert await world.webhook(event, id_=f"evt_{number}") == 204
    assert stands(world)[-1] == ("completed", 2, None, 1)
    await world.app[FOLLOW_UP].once()
    await world.app[FOLLOW_UP].once()
    with sqlite3.connect(world.data / "document-system.sqlite3") as db:
        assert db.execute("SELECT count(*) FROM signatures").fetchone() == (1,)
    db.close()


@pytest.mark.parametrize("first", ["expired", "rejected", "cancelled", "failed"])
async def test_nothing_is_completed_after_another_end(world: Any, first: str) -> None:
    """A newer version that says completed does not send the document after all."""
    await signing(world)
    world.gateway.end(first)
    assert await world.webhook(world.gateway.event()) == 204
    before = stands(world)
    assert before[-1][0] == first
    world.gateway.end("completed")
    assert await world.webhook(world.gateway.event()) == 204
    assert stands(world) == before


async def test_an_end_that_the_gateway_does_not_confirm_brings_no_signature(world: Any) -> None:
    """An event says completed, the gateway itself says pending: nothing can be passed on."""
    browser = await signing(world)
    event = world.gateway.event(status="completed", version=2)
    event["type"] = "signature.completed"
    event["data"]["documents"][0]["status"] = "completed"
    assert await world.webhook(event) == 204
    await world.app[FOLLOW_UP].once()
    with sqlite3.connect(world.data / "document-system.sqlite3") as db:
        assert db.execute("SELECT count(*) FROM signatures").fetchone() == (0,)
    db.close()
    page = await browser.get(f"/documents/{NUMBER}/send")
    assert "正在取回簽章檔" in page.words
    page = await browser.post(f"/documents/{NUMBER}/send", position="0")
    assert "正在取回簽章檔，請稍候再送出。" in page.words


@pytest.mark.parametrize("first", ["completed", "rejected"])
async def test_two_events_at_once_are_one_outcome(world: Any, first: str) -> None:
    """Whichever is first; the database decides, not the order of arrival at the socket."""
    await signing(world)
    world.gateway.end(first)
    events = [world.gateway.event() for _ in range(4)]
    assert await asyncio.gather(*(world.webhook(e, id_="evt_same") for e in events)) == [204] * 4
    assert stands(world)[-1][:2] == (first, 2)
