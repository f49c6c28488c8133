"""Signing a document: flows.md 2 and 4, and what users expect besides."""

from __future__ import annotations

import asyncio
import hashlib
import re
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


async def test_an_open_transaction_elsewhere_can_be_continued(world: Any) -> None:
    """409 transaction_open leads to this user's own open window."""
    browser = await ready(world)
    dialog = await browser.apply("clerk01")
    page = await browser.send_for_signing(NUMBER)
    assert page.data("error") == "transaction_open"
    assert "您還有一筆作業等待手機確認" in page.words
    assert f'href="{dialog.path}">前往該筆作業<' in page.text
    assert "取消先前的簽章並重新開始" in page.words


async def test_an_open_transaction_elsewhere_is_superseded_after_a_question(world: Any) -> None:
    """Looking at the question cancels nothing; answering it starts anew, pressed twice or not."""
    browser = await ready(world)
    dialog = await browser.apply("clerk01")
    open_one = world.gateway.last()
    window = await browser.send_for_signing(NUMBER)
    page = await browser.get(f"{window.path}/restart")
    assert "「登記憑證」的申請正在等待手機確認。" in page.words
    assert open_one["status"] == "pending"
    form = {"csrf_token": page.value("csrf_token")}
    for _ in range(2):
        async with browser.client.post(f"{window.path}/restart", data=form) as answer:
            assert 'data-status="pending"' in await answer.text()
    assert open_one["status"] == "cancelled"
    assert [body.get("supersede") for _, body in world.gateway.created("signature")] == [None, True]
    assert (await browser.get(dialog.path)).data("status") == "cancelled"
    assert rows(world, "SELECT count(*) FROM versions") == [(1,)]


async def test_nothing_is_superseded_where_nothing_stood_in_the_way(world: Any) -> None:
    """The question's address alone cancels and starts nothing."""
    browser = await ready(world)
    window = await browser.send_for_signing(NUMBER)
    world.gateway.end("expired")
    await browser.get(window.path)
    assert (await browser.get(f"{window.path}/restart")).path == window.path
    await browser.get("/dashboard/main")
    assert (await browser.post(f"{window.path}/restart")).path == window.path
    assert len(world.gateway.created("signature")) == 1


async def test_an_open_transaction_of_somebody_else_is_not_shown(world: Any) -> None:
    """Whatever id stands in the 409: no link leads to another user's request."""
    other = await world.browser("clerk02")
    await other.apply("clerk02")
    foreign = world.gateway.last()
    browser = await ready(world)

    def refuse() -> web.Response:
        body = {"code": "transaction_open", "status": 409, "transaction_id": foreign["id"]}
        return web.json_response(body, status=409, content_type="application/problem+json")

    world.gateway.refuse_creation = refuse
    page = await browser.send_for_signing(NUMBER)
    for shown in (page, await browser.get(f"{page.path}/restart")):
        assert "前往該筆作業" not in shown.words
        assert other.page.path not in shown.text
    assert foreign["status"] == "pending"


async def test_while_push_is_paused_the_code_is_offered(world: Any) -> None:
    """The gateway's words, the time, and 「QR Code 模式登入」, which starts the same by QR once."""
    browser = await ready(world)
    zh = "暫停對您的手機推播。請改用「QR Code 模式登入」，或稍後再試。"
    world.gateway.refuse(429, "push_paused", zh, retry_after=600)
    page = await browser.send_for_signing(NUMBER)
    assert (page.data("status"), page.data("error")) == ("failed", "push_paused")
    assert f"{zh}（115/04/30 09:10:00 之後可再試）" in page.words
    assert "不會再發送推播" in page.words
    world.gateway.refuse_creation = None
    form = {"csrf_token": page.value("csrf_token")}
    for _ in range(2):
        async with browser.client.post(f"{page.path}/qr", data=form) as answer:
            text = await answer.text()
            assert 'data-status="pending"' in text
            assert "<moica-transaction" in text
    first, second = world.gateway.created("signature")
    assert (first[1].get("channel", "push"), second[1]["channel"]) == ("push", "qr")
    assert first[0] != second[0]
    assert first[1]["document"] == second[1]["document"]


async def test_too_many_requests_are_said_with_the_time(world: Any) -> None:
    """rate_limited: when to try again, and no button that would not help."""
    browser = await ready(world)
    zh = "短時間內的要求次數過多，請稍候再試。"
    world.gateway.refuse(429, "rate_limited", zh, retry_after=42)
    page = await browser.send_for_signing(NUMBER)
    assert f"{zh}（115/04/30 09:00:42 之後可再試）" in page.words
    assert "QR Code 模式登入" not in page.words
    assert "公文內容均已保留，公文未送出。" in page.words
    world.gateway.refuse_creation = None
    await browser.get(f"/documents/{NUMBER}")
    page = await browser.post(f"/documents/{NUMBER}/sign")
    assert page.data("status") == "pending"


@pytest.mark.parametrize("wait", [0, -5, 1e12, "60", None])
async def test_a_nonsensical_waiting_time_is_left_out(world: Any, wait: Any) -> None:
    """Only the gateway's words stand there."""
    browser = await ready(world)
    world.gateway.refuse(429, "rate_limited", "請稍候。", retry_after=wait)
    page = await browser.send_for_signing(NUMBER)
    assert "請稍候。" in page.words
    assert "之後可再試" not in page.words


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("device_not_bound", "註冊個人裝置"),
        ("wrong_device", "本人已綁定的手機"),
        ("push_unavailable", "按「QR Code 模式登入」即可改用 QR Code 簽章。"),
        ("signature_invalid", "請將錯誤代碼 signature_invalid 告知系統管理者。"),
    ],
)
async def test_each_failure_says_what_to_do(world: Any, code: str, advice: str) -> None:
    """Besides the gateway's words; the document stays where it was."""
    browser = await ready(world)
    page = await browser.send_for_signing(NUMBER)
    world.gateway.end("failed", code=code, zh="閘道的說明。")
    page = await browser.get(page.path)
    assert "閘道的說明。" in page.words
    assert advice in page.words
    assert "公文未送出" in page.words


async def test_two_tabs_and_the_back_button_lead_to_one_request(world: Any) -> None:
    """「儲存並送出」 pressed again on a page from before shows the same window; one phone rings."""
    browser = await ready(world)
    await browser.get(f"/documents/{NUMBER}")
    await browser.post(f"/documents/{NUMBER}/seal", action="place")
    route = await browser.get(f"/documents/{NUMBER}/route")
    form = {"csrf_token": route.value("csrf_token")}
    windows = set()
    for _ in range(3):
        async with browser.client.post(f"/documents/{NUMBER}/sign", data=form) as answer:
            windows.add(answer.url.path)
    again = await browser.get(f"/documents/{NUMBER}")
    assert "送出" not in re.findall(r"<button[^>]*>([^<]*)", again.text)
    assert windows.pop() in again.text
    assert not windows
    assert len(world.gateway.created("signature")) == 1


async def test_after_the_end_a_page_from_before_starts_nothing_signed(world: Any) -> None:
    """The back button after 「公文送出」: 「儲存並送出」 says so, and asks nobody."""
    browser = await ready(world)
    page = await browser.send_for_signing(NUMBER)
    form = {"csrf_token": page.value("csrf_token")}
    world.gateway.end("completed")
    await browser.get(page.path)
    async with browser.client.post(f"/documents/{NUMBER}/sign", data=form) as answer:
        assert "公文已完成加簽" in await answer.text()
    assert len(world.gateway.created("signature")) == 1


async def test_the_app_comes_back_to_the_window(world: Any) -> None:
    """The widget gets the page's own path; what the app leaves on the address is not shown."""
    browser = await ready(world)
    page = await browser.send_for_signing(NUMBER)
    assert f' return-url="{page.path}"></moica-transaction>' in page.text
    assert "btk_" not in page.path
    back = await browser.get(f"{page.path}?rtn_val=d2FrZS0x&status=completed")
    assert (back.data("status"), back.data("transaction")) == ("pending", page.data("transaction"))
    assert "d2FrZS0x" not in back.text
    assert len(world.gateway.created("signature")) == 1
    world.gateway.end("completed")
    back = await browser.get(f"{page.path}?rtn_val=d2FrZS0x")
    assert back.path == f"/documents/{NUMBER}/send"


async def test_other_users_cannot_start_anything_from_a_window(world: Any) -> None:
    """Its 「QR Code 模式登入」 and restart answer 404 to anybody else."""
    owner = await ready(world)
    page = await owner.send_for_signing(NUMBER)
    other = await world.browser("clerk02")
    assert (await other.get(f"{page.path}/restart")).status == 404
    for action in ("qr", "restart"):
        await other.get("/dashboard/main")
        assert (await other.post(f"{page.path}/{action}")).status == 404
    assert len(world.gateway.created("signature")) == 1


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
