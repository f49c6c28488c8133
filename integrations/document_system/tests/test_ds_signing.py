"""Signing a document: flows.md 2 and 4, and what users expect besides."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from typing import Any

import pytest
from aiohttp import web

from document_system.web.keys import FOLLOW_UP

NUMBER = "1153000165"


async def ready(world: Any, user_id: str = "clerk01") -> Any:
    """A browser whose user has an enabled certificate."""
    browser = await world.browser(user_id)
    await browser.register(world.gateway, user_id)
    return browser


def rows(world: Any, query: str) -> list[tuple[Any, ...]]:
    """What the database holds, read from beside."""
    with sqlite3.connect(world.data / "document-system.sqlite3") as db:
        found = db.execute(query).fetchall()
    db.close()
    return found


async def test_the_whole_way_to_the_next_person(world: Any) -> None:
    """Seal, 「送出」, 「儲存並送出」, window, 「公文送出」, 「送出」: then the chief has it."""
    browser = await ready(world)
    page = await browser.get(f"/documents/{NUMBER}")
    page = await browser.post(f"/documents/{NUMBER}/seal", action="place")
    assert "取消蓋章" in page.words
    page = await browser.post(f"/documents/{NUMBER}/submit")
    assert page.path == f"/documents/{NUMBER}/route"
    assert "儲存並送出" in page.words
    assert "下一位： 科長 陳美玲" in page.words

    page = await browser.post(f"/documents/{NUMBER}/sign")
    txn = world.gateway.last()
    assert "行動自然人憑證簽章中" in page.words
    assert (page.data("status"), page.data("transaction")) == ("pending", txn["id"])
    assert f'<moica-transaction lang="zh-TW" base="/moica" transaction="{txn["id"]}"' in page.text
    assert "data-match-code>42<" in page.text
    _, body = world.gateway.created("signature")[0]
    content = rows(world, "SELECT content, sha256 FROM versions")[0]
    assert body["document"] == {
        "number": NUMBER,
        "version": "1",
        "media_type": "text/plain",
        "sha256": hashlib.sha256(content[0]).hexdigest(),
    }
    assert body["format"] == "cades"

    world.gateway.end("completed")
    page = await browser.get(page.path)
    assert page.path == f"/documents/{NUMBER}/send"
    assert (page.data("status"), page.data("transaction")) == ("completed", txn["id"])
    serial = next(iter(world.gateway.credentials.values()))["serial_number"]
    for words in ("公文送出", "王小明", serial, "115/04/30 09:00:00", "內政部憑證管理中心"):
        assert words in page.words

    page = await browser.post(f"/documents/{NUMBER}/send", position=page.value("position"))
    assert page.path == "/dashboard/main"
    assert f"公文 {NUMBER} 已送出至 科長 陳美玲。" in page.words
    assert NUMBER not in page.words.replace(f"公文 {NUMBER} 已送出", "")
    chief = await world.browser("chief01")
    assert NUMBER in (await chief.get("/dashboard/review")).words


async def test_what_was_signed_can_be_fetched(world: Any) -> None:
    """原文 is exactly the frozen bytes, the 簽章檔 exactly the gateway's artifact."""
    browser = await ready(world)
    page = await browser.send_for_signing(NUMBER)
    world.gateway.end("completed")
    await browser.get(page.path)
    base = f"/documents/{NUMBER}/versions/1"
    async with browser.client.get(f"{base}/content") as answer:
        content = await answer.read()
        assert answer.headers["Content-Disposition"].startswith("attachment")
    sent = world.gateway.created("signature")[0][1]["document"]["sha256"]
    assert hashlib.sha256(content).hexdigest() == sent
    assert "王小明" in content.decode()
    async with browser.client.get(f"{base}/signature.p7s") as answer:
        assert await answer.read() == b"0\x82signature of " + world.gateway.last()["id"].encode()
        assert answer.headers["Content-Type"] == "application/pkcs7-signature"


async def test_a_double_click_rings_the_phone_once(world: Any) -> None:
    """「儲存並送出」 pressed twice at once is one call under one key, and one window."""
    browser = await ready(world)
    await browser.get(f"/documents/{NUMBER}")
    page = await browser.post(f"/documents/{NUMBER}/seal", action="place")
    form = {"csrf_token": page.value("csrf_token")}

    async def press() -> str:
        async with browser.client.post(f"/documents/{NUMBER}/sign", data=form) as answer:
            return str(answer.url.path)

    windows = await asyncio.gather(*(press() for _ in range(4)))
    assert len(set(windows)) == 1
    assert len(world.gateway.created("signature")) == 1
    assert len(world.gateway.transactions) == 2  # the registration, and one signature


async def test_a_reload_changes_nothing(world: Any) -> None:
    """The window survives a reload and the back button: no new call, the same transaction."""
    browser = await ready(world)
    page = await browser.send_for_signing(NUMBER)
    first = page.data("transaction")
    for _ in range(3):
        page = await browser.get(page.path)
        assert page.data("transaction") == first
    assert "簽章中" in (await browser.get("/dashboard/main")).words
    page = await browser.get(f"/documents/{NUMBER}")
    assert "回到「行動自然人憑證簽章中」" in page.words
    page = await browser.get(f"/documents/{NUMBER}/route")
    assert "公文簽章中" in page.words
    assert len(world.gateway.created("signature")) == 1


async def test_nothing_happens_for_sixty_seconds(world: Any) -> None:
    """「憑證加簽失敗」, 「確定」, nothing lost, and 「送出」 starts over with a new key."""
    browser = await ready(world)
    page = await browser.send_for_signing(NUMBER)
    world.gateway.end("expired", code="expired", zh="逾時未確認，請重新送出。")
    page = await browser.get(page.path)
    assert page.data("status") == "expired"
    assert "憑證加簽失敗" in page.words
    assert f'href="/documents/{NUMBER}" autofocus>確定<' in page.text
    page = await browser.get(f"/documents/{NUMBER}")
    assert "檢送本校115學年度資訊安全教育訓練實施計畫1份，請查照。" in page.words
    assert "取消蓋章" in page.words
    await browser.post(f"/documents/{NUMBER}/submit")
    page = await browser.post(f"/documents/{NUMBER}/sign")
    assert page.data("status") == "pending"
    (first_key, first), (second_key, second) = world.gateway.created("signature")
    assert first_key != second_key
    assert first["document"] == second["document"]
    assert rows(world, "SELECT count(*) FROM versions") == [(1,)]


@pytest.mark.parametrize(
    ("status", "title", "words"),
    [
        ("rejected", "已拒絕簽章", "您已於「行動自然人憑證」App 上取消"),
        ("failed", "憑證加簽失敗", "手機尚未綁定行動自然人憑證"),
        ("cancelled", "已取消簽章", "本次簽章已取消"),
    ],
)
async def test_each_ending_is_said_in_its_own_words(
    world: Any, status: str, title: str, words: str
) -> None:
    """A refusal is shown as a refusal, a failure with its reason, a cancelled one as cancelled."""
    browser = await ready(world)
    page = await browser.send_for_signing(NUMBER)
    if status == "cancelled":
        assert "取消簽章" in page.words
        page = await browser.post(f"{page.path}/cancel")
        assert world.gateway.last()["status"] == "cancelled"
    else:
        world.gateway.end(status, code="device_not_bound", zh="手機尚未綁定行動自然人憑證")
        page = await browser.get(page.path)
    assert page.data("status") == status
    assert f'<h1 id="window-title">{title}</h1>' in page.text
    assert words in page.words
    assert "公文未" in page.words
    assert "簽章完成" not in page.words


async def test_a_late_confirmation_never_sends_the_document(world: Any) -> None:
    """After the lapse was recorded, neither a webhook nor a look that says completed counts."""
    browser = await ready(world)
    page = await browser.send_for_signing(NUMBER)
    world.gateway.end("expired")
    await browser.get(page.path)
    world.gateway.end("completed")
    assert await world.webhook(world.gateway.event()) == 204
    page = await browser.get(page.path)
    assert page.data("status") == "expired"
    page = await browser.get(f"/documents/{NUMBER}/send")
    assert page.path == f"/documents/{NUMBER}"
    page = await browser.post(f"/documents/{NUMBER}/send", position="0")
    assert "公文尚未完成加簽，無法送出。" in page.words
    assert rows(world, "SELECT count(*) FROM signatures") == [(0,)]


async def test_cancelling_what_was_just_confirmed_keeps_the_confirmation(world: Any) -> None:
    """「取消簽章」 a moment too late shows that it is signed, not that it is cancelled."""
    browser = await ready(world)
    page = await browser.send_for_signing(NUMBER)
    world.gateway.end("completed")
    page = await browser.post(f"{page.path}/cancel")
    assert page.path == f"/documents/{NUMBER}/send"
    assert page.data("status") == "completed"


async def test_the_frozen_version_is_kept(world: Any) -> None:
    """Editing after a lapse makes a second version; the first one's bytes cannot be changed."""
    browser = await ready(world)
    page = await browser.send_for_signing(NUMBER)
    before = rows(world, "SELECT content FROM versions WHERE version = 1")
    page = await browser.post(f"{page.path}/cancel")
    page = await browser.get(f"/documents/{NUMBER}/edit")
    page = await browser.post(f"/documents/{NUMBER}/edit", subject="改過的主旨", body="改過")
    assert "取消蓋章" not in page.words, "the seal belongs to what was sealed"
    page = await browser.send_for_signing(NUMBER)
    assert rows(world, "SELECT content FROM versions WHERE version = 1") == before
    assert world.gateway.created("signature")[1][1]["document"]["version"] == "2"
    with sqlite3.connect(world.data / "document-system.sqlite3") as db:
        for statement in ("UPDATE versions SET content = x''", "DELETE FROM versions"):
            with pytest.raises(sqlite3.IntegrityError, match="frozen version"):
                db.execute(statement)
    db.close()


@pytest.mark.parametrize("action", ["edit", "seal"])
async def test_a_document_that_is_being_signed_is_not_changed(world: Any, action: str) -> None:
    """While the phone is asked and after it has confirmed, the draft stands still."""
    browser = await ready(world)
    window = await browser.send_for_signing(NUMBER)
    for _ in range(2):
        before = rows(world, "SELECT subject, sealed FROM documents ORDER BY number")
        page = await browser.get(window.path)
        page = await browser.post(
            f"/documents/{NUMBER}/{action}", subject="別的", body="", action="remove"
        )
        assert 'class="notice error"' in page.text
        assert rows(world, "SELECT subject, sealed FROM documents ORDER BY number") == before
        if world.gateway.last()["status"] == "pending":
            world.gateway.end("completed")


async def test_without_a_certificate_the_way_to_one_is_shown(world: Any) -> None:
    """「送出」 without a registered certificate links to 使用者憑證登記, and asks nobody."""
    browser = await world.browser("clerk01")
    page = await browser.get(f"/documents/{NUMBER}")
    assert 'href="/certificates">使用者憑證登記</a>完成登記' in page.text
    await browser.post(f"/documents/{NUMBER}/seal", action="place")
    page = await browser.post(f"/documents/{NUMBER}/submit")
    assert "請先至【使用者憑證登記】完成登記" in page.words
    page = await browser.post(f"/documents/{NUMBER}/sign")
    assert not world.gateway.transactions


async def test_without_the_seal_nothing_is_sent(world: Any) -> None:
    """「送出」 wants the seal first."""
    browser = await ready(world)
    await browser.get(f"/documents/{NUMBER}")
    page = await browser.post(f"/documents/{NUMBER}/submit")
    assert "請先於右側「蓋章」" in page.words
    await browser.post(f"/documents/{NUMBER}/sign")
    assert not world.gateway.created("signature")


async def test_an_open_transaction_elsewhere_is_said_and_can_be_cancelled(world: Any) -> None:
    """409 transaction_open links to the open one, offers to cancel it, and then it goes on."""
    browser = await ready(world)
    await browser.apply("clerk01")
    open_one = world.gateway.last()
    page = await browser.send_for_signing(NUMBER)
    assert page.data("error") == "transaction_open"
    assert "您還有一筆作業等待手機確認" in page.words
    assert "前往該筆作業" in page.words
    page = await browser.post(f"{page.path}/cancel-other")
    assert "已取消前一筆作業，請重新按「送出」。" in page.words
    assert open_one["status"] == "cancelled"
    page = await browser.send_for_signing(NUMBER)
    assert page.data("status") == "pending"


async def test_an_open_transaction_of_somebody_else_is_not_cancelled(world: Any) -> None:
    """Whatever id stands in the 409: only the user's own transaction is cancelled."""
    other = await world.browser("clerk02")
    await other.apply("clerk02")
    foreign = world.gateway.last()
    browser = await ready(world)

    def refuse() -> web.Response:
        body = {"code": "transaction_open", "status": 409, "transaction_id": foreign["id"]}
        return web.json_response(body, status=409, content_type="application/problem+json")

    world.gateway.refuse_creation = refuse
    page = await browser.send_for_signing(NUMBER)
    page = await browser.post(f"{page.path}/cancel-other")
    assert "無法取消這筆作業。" in page.words
    assert foreign["status"] == "pending"


async def test_a_lost_answer_is_found_again_by_the_window(world: Any) -> None:
    """When the line breaks after the gateway has made it, a reload finds it under the same key."""
    browser = await ready(world)
    world.gateway.lose_answers = 4
    page = await browser.send_for_signing(NUMBER)
    assert (page.data("status"), page.data("transaction")) == (
        "pending",
        world.gateway.last()["id"],
    )
    keys = {key for key, _ in world.gateway.created("signature")}
    assert len(keys) == 1
    assert len(world.gateway.transactions) == 2


async def test_the_window_says_when_the_gateway_cannot_be_asked(world: Any) -> None:
    """The gateway being away loses nothing: the window waits, and goes on when it is back."""
    browser = await ready(world)
    page = await browser.send_for_signing(NUMBER)
    world.gateway.down = True
    page = await browser.get(page.path)
    assert "暫時無法確認狀態" in page.words
    assert page.data("status") == "pending"
    world.gateway.down = False
    world.gateway.end("completed")
    page = await browser.get(page.path)
    assert page.data("status") == "completed"


async def test_pressing_send_twice_passes_it_on_once(world: Any) -> None:
    """The second 「送出」 on 「公文送出」 says the same, and the document moves one step."""
    browser = await ready(world)
    page = await browser.send_for_signing(NUMBER)
    world.gateway.end("completed")
    page = await browser.get(page.path)
    form = {"csrf_token": page.value("csrf_token"), "position": page.value("position")}
    for _ in range(2):
        async with browser.client.post(f"/documents/{NUMBER}/send", data=form) as answer:
            assert "已送出至 科長 陳美玲。" in await answer.text()
    query = f"SELECT position, state FROM documents WHERE number = '{NUMBER}'"  # noqa: S608
    assert rows(world, query) == [(1, "待核")]


async def test_the_next_in_the_route_signs_what_was_signed_before(world: Any) -> None:
    """The chief's version names the clerk's signature; the last one ends the route."""
    for user_id in ("clerk01", "chief01", "secretary01"):
        browser = await world.browser(user_id)
        await browser.register(world.gateway, user_id)
        page = await browser.send_for_signing(NUMBER)
        world.gateway.end("completed")
        page = await browser.get(page.path)
        page = await browser.post(f"/documents/{NUMBER}/send", position=page.value("position"))
    assert f"公文 {NUMBER} 已完成簽核流程。" in page.words
    contents = rows(world, "SELECT content FROM versions ORDER BY version")
    assert len(contents) == 3
    assert "前手簽章：版本 1　王小明" in contents[1][0].decode()
    page = await browser.get(f"/documents/{NUMBER}")
    assert page.text.count("簽章檔 .p7s") == 3


async def test_a_signature_with_an_unregistered_certificate_is_not_stored(world: Any) -> None:
    """Completed with a certificate that nobody registered here: it cannot be passed on."""
    browser = await ready(world)
    page = await browser.send_for_signing(NUMBER)
    world.gateway.end("completed")
    world.gateway.last()["signature"]["certificate"] = "AAAA"
    page = await browser.get(page.path)
    assert "正在取回簽章檔" in page.words
    page = await browser.post(f"/documents/{NUMBER}/send", position="0")
    assert "正在取回簽章檔，請稍候再送出。" in page.words


async def test_follow_up_finds_what_no_webhook_told(world: Any) -> None:
    """With every webhook lost and no window open, the lapse and the signature are still found."""
    browser = await ready(world)
    page = await browser.send_for_signing(NUMBER)
    world.gateway.end("completed")
    world.clock.pass_seconds(61)
    await world.app[FOLLOW_UP].once()
    assert rows(world, "SELECT count(*) FROM signatures") == [(1,)]
    world.gateway.down = True
    page = await browser.get(f"/documents/{NUMBER}/send")
    assert page.data("status") == "completed"
