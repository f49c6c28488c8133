"""【使用者憑證登記】: from 「新增」 to 「啟用」."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from document_system.web.keys import FOLLOW_UP

ENDINGS = [
    ("rejected", "您已於手機上取消，未完成註冊。"),
    ("expired", "逾時未於手機確認，未完成註冊。"),
    ("failed", "註冊失敗。"),
    ("cancelled", "已取消申請。"),
]


async def test_the_dialog_fills_itself_in_and_saving_enables(world: Any) -> None:
    """After the phone's confirmation issuer, serial and ROC dates stand there; 「儲存」 enables."""
    browser = await world.browser("clerk01")
    page = await browser.apply("clerk01")
    assert page.data("status") == "pending"
    assert page.data("transaction") == world.gateway.last()["id"]
    assert "註冊完成" not in page.words
    key, body = world.gateway.created("registration")[0]
    assert key
    assert body["enable"] is False
    assert body["user_name"] == "王小明"
    assert body["time_limit"] == 60

    world.gateway.end("completed")
    page = await browser.get(page.path)
    assert page.data("status") == "completed"
    assert "註冊完成" in page.words
    serial = next(iter(world.gateway.credentials.values()))["serial_number"]
    for value in ("內政部憑證管理中心", serial, "115/04/24", "116/04/24"):
        assert f'value="{value}"' in page.text

    page = await browser.post(f"{page.path}/save")
    assert page.path == "/certificates"
    assert "憑證已儲存並啟用。" in page.words
    assert "clerk01 王小明 行動自然人憑證" in page.words
    assert "啟用 115/04/24 116/04/24" in page.words
    assert next(iter(world.gateway.credentials.values()))["status"] == "enabled"


async def test_the_id_number_is_kept_nowhere(world: Any) -> None:
    """Neither page, database nor address holds the ID number after 「申請」."""
    browser = await world.browser("clerk01")
    page = await browser.apply("clerk01")
    assert world.gateway.created("registration")[0][1]["id_number"] == "A123456789"
    assert "A123456789" not in page.text + page.path
    for file in world.data.iterdir():
        assert b"A123456789" not in file.read_bytes()


async def test_pressing_twice_rings_the_phone_once(world: Any) -> None:
    """The same form sent twice is one transaction under one key."""
    browser = await world.browser("clerk01")
    form = await browser.get("/certificates/new")
    fields = {
        "nonce": form.value("nonce"),
        "user_id": "clerk01",
        "type": "mobile",
        "id_number": "A123456789",
    }
    first = await browser.post("/certificates/apply", **fields)
    second = await browser.post("/certificates/apply", **fields)
    assert first.path == second.path
    assert len(world.gateway.transactions) == 1
    assert len(world.gateway.created("registration")) == 1


@pytest.mark.parametrize(("status", "words"), ENDINGS)
async def test_each_ending_is_said_in_its_own_words(world: Any, status: str, words: str) -> None:
    """Refusal, lapse, failure and cancelling differ, and the form is there to start over."""
    browser = await world.browser("clerk01")
    page = await browser.apply("clerk01")
    if status == "cancelled":
        page = await browser.post(f"{page.path}/cancel")
    else:
        world.gateway.end(status)
        page = await browser.get(page.path)
    assert page.data("status") == status
    assert words in page.words
    assert 'name="id_number"' in page.text


async def test_an_invalid_id_number_is_said_as_the_gateway_says_it(world: Any) -> None:
    """4xx means that nothing exists; the gateway's word for the user is shown."""
    zh = "身分證字號（或統一證號）格式不正確，請重新輸入。"
    world.gateway.refuse(422, "id_number_invalid", zh)
    browser = await world.browser("clerk01")
    page = await browser.apply("clerk01")
    assert page.data("status") == "failed"
    assert page.data("error") == "id_number_invalid"
    assert zh in page.words


async def test_a_lost_answer_is_asked_for_under_the_same_key(world: Any) -> None:
    """When the line breaks after the gateway has made it, the same form finds the same one."""
    world.gateway.lose_answers = 4
    browser = await world.browser("clerk01")
    page = await browser.apply("clerk01")
    assert "再按一次「申請」" in page.words
    page = await browser.post(
        "/certificates/apply",
        nonce=page.value("nonce"),
        user_id="clerk01",
        type="mobile",
        id_number="A123456789",
    )
    assert page.data("transaction") == world.gateway.last()["id"]
    assert len(world.gateway.transactions) == 1


async def test_a_registration_whose_answer_never_came_is_given_up(world: Any) -> None:
    """The ID number is not kept, so it cannot be asked for again: it ends, and says so."""
    world.gateway.down = True
    browser = await world.browser("clerk01")
    page = await browser.apply("clerk01")
    assert "再按一次「申請」" in page.words
    with sqlite3.connect(world.data / "document-system.sqlite3") as db:
        (id_,) = db.execute("SELECT id FROM confirmations").fetchone()
    db.close()
    for seconds, status in ((0, "pending"), (91, "failed")):
        world.clock.pass_seconds(seconds)
        await world.app[FOLLOW_UP].once()
        page = await browser.get(f"/certificates/registrations/{id_}")
        assert page.data("status") == status
    assert page.data("error") == "start_unknown"
    assert "無法確認是否已通知手機" in page.words


async def test_an_open_transaction_can_be_continued_or_superseded(world: Any) -> None:
    """409 transaction_open leads to the open one; with the box ticked 「申請」 takes its place."""
    browser = await world.browser("clerk01")
    window = await browser.apply("clerk01")
    first = world.gateway.last()
    page = await browser.apply("clerk01")
    assert page.data("error") == "transaction_open"
    assert f'href="{window.path}">前往該筆作業<' in page.text
    assert "勾選「取消先前的作業並重新開始」" in page.words
    fields = {"nonce": page.value("nonce"), "user_id": "clerk01", "type": "mobile"}
    page = await browser.post("/certificates/apply", **fields, id_number="A123456789")
    assert page.data("error") == "transaction_open", "without the tick nothing is cancelled"
    assert first["status"] == "pending"
    fields["nonce"] = page.value("nonce")
    page = await browser.post(
        "/certificates/apply", **fields, id_number="A123456789", supersede="yes"
    )
    assert page.data("status") == "pending"
    assert first["status"] == "cancelled"
    page = await browser.get(window.path)
    assert page.data("status") == "cancelled"


FAILURES = [
    ("name_mismatch", "姓名與憑證上的姓名不符，請洽系統管理者。", "本系統登記的姓名是「王小明」"),
    ("device_not_bound", "您尚未綁定行動自然人憑證的手機。", "註冊個人裝置"),
    ("wrong_device", "這支手機不屬於這次簽章的當事人。", "本人已綁定的手機"),
    ("certificate_untrusted", "收到的簽章未通過驗證。", "請將錯誤代碼 certificate_untrusted 告知"),
    ("upstream_unreachable", "平臺暫時無法服務，請稍後再試。", "請確認後重新按「申請」。"),
]


@pytest.mark.parametrize(("code", "zh", "advice"), FAILURES, ids=[f[0] for f in FAILURES])
async def test_each_failure_says_what_to_do(world: Any, code: str, zh: str, advice: str) -> None:
    """The gateway's words and ours stand in the dialog, and the form is there."""
    browser = await world.browser("clerk01")
    page = await browser.apply("clerk01")
    world.gateway.end("failed", code=code, zh=zh)
    page = await browser.get(page.path)
    assert page.data("error") == code
    assert "註冊失敗。" in page.words
    assert zh in page.words
    assert advice in page.words
    assert 'name="id_number"' in page.text


async def test_somebody_elses_id_number_is_refused_with_what_to_do(world: Any) -> None:
    """409 user_bound_to_other_id: nothing exists, and only an administrator can help."""
    zh = "此帳號或身分證字號已與其他資料登記，請洽系統管理者。"
    world.gateway.refuse(409, "user_bound_to_other_id", zh)
    browser = await world.browser("clerk01")
    page = await browser.apply("clerk01")
    assert page.data("error") == "user_bound_to_other_id"
    assert zh in page.words
    assert "須由系統管理者查明後才能申請" in page.words
    assert "請確認後重新按「申請」。" not in page.words
    assert not world.gateway.transactions


async def test_while_push_is_paused_the_code_is_offered(world: Any) -> None:
    """In the gateway's words with the time; the same form by QR code rings no phone."""
    zh = "暫停對您的手機推播。請改用「QR Code 模式登入」，或稍後再試。"
    world.gateway.refuse(429, "push_paused", zh, retry_after=599.2)
    browser = await world.browser("clerk01")
    page = await browser.apply("clerk01")
    assert page.data("error") == "push_paused"
    assert f"{zh}（115/04/30 09:10:00 之後可再試）" in page.words
    assert '<button name="channel" value="qr">QR Code 模式登入</button>' in page.text
    world.gateway.refuse_creation = None
    page = await browser.post(
        "/certificates/apply",
        nonce=page.value("nonce"),
        user_id="clerk01",
        type="mobile",
        id_number="A123456789",
        channel="qr",
    )
    assert page.data("status") == "pending"
    assert world.gateway.created("registration")[-1][1]["channel"] == "qr"
    page = await browser.get("/certificates/new")
    assert 'value="qr"' not in page.text


async def test_the_app_comes_back_to_the_dialog(world: Any) -> None:
    """The widget gets the page's own path; what the app leaves on the address is not shown."""
    browser = await world.browser("clerk01")
    page = await browser.apply("clerk01")
    assert f' return-url="{page.path}"></moica-transaction>' in page.text
    back = await browser.get(f"{page.path}?rtn_val=d2FrZS0x")
    assert back.data("transaction") == page.data("transaction")
    assert "d2FrZS0x" not in back.text
    assert len(world.gateway.created("registration")) == 1


async def test_one_certificate_is_enabled_at_a_time(world: Any) -> None:
    """「按下後啟用」 enables another, here and at the gateway, and disables the first."""
    browser = await world.browser("clerk01")
    await browser.register(world.gateway, "clerk01")
    page = await browser.register(world.gateway, "clerk01")
    older, newer = world.gateway.credentials.values()
    assert (older["status"], newer["status"]) == ("disabled", "enabled")
    action = page.text.split('action="/certificates/crt_')[1].split('"')[0]
    page = await browser.post(f"/certificates/crt_{action}")
    assert "憑證已啟用。" in page.words
    assert (older["status"], newer["status"]) == ("enabled", "disabled")
    assert page.words.count("使用中") == 1


@pytest.mark.parametrize("kind", ["temporary", "card"])
@pytest.mark.parametrize("action", ["apply", "save"])
async def test_other_kinds_of_certificate_are_honestly_not_offered(
    world: Any, kind: str, action: str
) -> None:
    """自然人憑證 and 臨時憑證 say that this demo does not do them yet; nothing is asked."""
    browser = await world.browser("clerk01")
    page = await browser.get("/certificates/new")
    page = await browser.post(
        f"/certificates/{action}", nonce=page.value("nonce"), user_id="clerk01", type=kind
    )
    assert "本示範系統尚未提供" in page.words
    assert not world.gateway.transactions


async def test_nobody_registers_for_somebody_else(world: Any) -> None:
    """A form that names another user is refused; nothing is asked."""
    browser = await world.browser("clerk01")
    page = await browser.apply("chief01")
    assert "請選擇「使用者姓名」。" in page.words
    assert not world.gateway.transactions


async def test_another_users_registration_is_unknown(world: Any) -> None:
    """Its page, 「儲存」 and 「取消申請」 answer 404 to anybody else."""
    owner = await world.browser("clerk01")
    page = await owner.apply("clerk01")
    other = await world.browser("clerk02")
    assert (await other.get(page.path)).status == 404
    for action in ("save", "cancel"):
        await other.get("/certificates/new")
        assert (await other.post(f"{page.path}/{action}")).status == 404
    assert world.gateway.last()["status"] == "pending"


async def test_saving_before_completion_stores_nothing(world: Any) -> None:
    """「儲存」 needs a completed registration."""
    browser = await world.browser("clerk01")
    page = await browser.apply("clerk01")
    page = await browser.post(f"{page.path}/save")
    assert "註冊尚未完成，無法儲存。" in page.words
    assert "尚未登記憑證" in (await browser.get("/certificates")).words


async def test_saving_while_the_gateway_is_down_stores_nothing(world: Any) -> None:
    """「儲存」 that the gateway did not take leaves nothing half done, and works later."""
    browser = await world.browser("clerk01")
    page = await browser.apply("clerk01")
    world.gateway.end("completed")
    page = await browser.get(page.path)
    world.gateway.down = True
    page = await browser.post(f"{page.path}/save")
    assert "憑證尚未儲存" in page.words
    world.gateway.down = False
    page = await browser.get(page.path)
    page = await browser.post(f"{page.path}/save")
    assert "憑證已儲存並啟用。" in page.words
