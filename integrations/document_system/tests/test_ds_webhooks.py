"""``security.md`` 11: what may come to ``POST /webhooks/moica``, and what it changes."""

from __future__ import annotations

import base64
import json
import sqlite3
from typing import Any

import pytest

from document_system.web.keys import FOLLOW_UP

NUMBER = "1153000165"


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
            "SELECT status, gateway_version, error_code, signed_version FROM confirmations "
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
    """More than 64 KiB is read no further."""
    event = {
        "type": "webhook.test",
        "timestamp": "2026-04-30T01:00:00Z",
        "data": {"x": "x" * 99999},
    }
    assert await world.webhook(event) == 413
