"""代理: who is appointed may sign for another, with a reason; nobody else may."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from document_system.models import User
from document_system.roc import TAIPEI
from document_system.store import deputies
from document_system.web.keys import DESK

NUMBER = "1153000151"
"""On the desk of chief01."""


async def deputy_of_chief(world: Any, user: str = "clerk05") -> Any:
    """Appointed by the chief on the page, with a certificate of their own."""
    chief = await world.browser("chief01")
    await chief.get("/deputies")
    page = await chief.post("/deputies", deputy=user, until="2026-05-10")
    assert "為代理人" in page.words
    browser = await world.browser(user)
    await browser.register(world.gateway, user)
    return browser


async def to_the_route(browser: Any, number: str = NUMBER) -> Any:
    """蓋章 and 「送出」."""
    await browser.get(f"/documents/{number}")
    await browser.post(f"/documents/{number}/seal", action="place")
    return await browser.post(f"/documents/{number}/submit")


async def test_a_deputy_signs_for_the_holder(world: Any) -> None:
    """In the list, on the page, in what is signed, in what the gateway is told, on record."""
    browser = await deputy_of_chief(world)
    page = await browser.get("/dashboard/review")
    assert f"{NUMBER} 檢陳本校校園安全會議紀錄1份，請核示。" in page.words
    assert "代理 科長 陳美玲" in page.words
    page = await browser.get(f"/documents/{NUMBER}")
    assert "您以代理人身分辦理 科長 陳美玲 的公文" in page.words
    page = await to_the_route(browser)
    assert "代理事由" in page.words
    page = await browser.post(f"/documents/{NUMBER}/sign", reason="  科長\n公假 ")
    assert page.data("status") == "pending"
    _, body = world.gateway.created("signature")[-1]
    assert body["user_id"] == "clerk05"
    assert body["on_behalf_of"] == {"user_id": "chief01", "reason": "科長 公假"}
    [(content,)] = world.rows("SELECT content FROM versions")
    signed = content.decode()
    assert "加簽人員：審核 資訊處網路組 承辦人 吳俊傑\n代理：代 教務處 科長 陳美玲\n" in signed
    assert "代理事由：科長 公假\n" in signed
    world.gateway.end("completed")
    page = await browser.get(page.path)
    assert "吳俊傑（代 科長 陳美玲，科長 公假）" in page.words
    page = await browser.post(f"/documents/{NUMBER}/send", position="1")
    assert "已送出至 主任秘書 林志成" in page.words
    chief = await world.browser("chief01")
    page = await chief.get(f"/documents/{NUMBER}")
    assert "代 科長 陳美玲（科長 公假）" in page.words
    assert world.rows("SELECT user_id, behalf_of, behalf_reason FROM signatures") == [
        ("clerk05", "chief01", "科長 公假")
    ]


@pytest.mark.parametrize("reason", ["", "   ", "x" * 101])
async def test_without_a_reason_nothing_is_asked(world: Any, reason: str) -> None:
    """It is said what is missing; nothing is frozen."""
    browser = await deputy_of_chief(world)
    await to_the_route(browser)
    page = await browser.post(f"/documents/{NUMBER}/sign", reason=reason)
    assert "請填寫「代理事由」" in page.words
    assert not world.gateway.created("signature")
    assert world.rows("SELECT count(*) FROM versions") == [(0,)]


async def test_who_is_no_deputy_is_refused(world: Any) -> None:
    """The document is unknown to them, in a batch too; nothing is asked."""
    browser = await world.browser("clerk04")
    await browser.register(world.gateway, "clerk04")
    await browser.get("/dashboard/main")
    page = await browser.post(f"/documents/{NUMBER}/sign", reason="公假")
    assert page.status == 404
    await browser.get("/dashboard/main")
    page = await browser.post("/batches", number=[NUMBER, "1153000168"], reason="公假")
    assert "您也不是承辦人員的代理人" in page.words
    assert not world.gateway.created("signature")


async def test_what_has_run_out_or_is_ended_counts_for_nothing(world: Any) -> None:
    """Between the page and the press, the appointment ends: refused."""
    browser = await deputy_of_chief(world)
    await to_the_route(browser)
    chief = await world.browser("chief01")
    await chief.get("/deputies")
    await chief.post("/deputies/clerk05/end")
    page = await browser.post(f"/documents/{NUMBER}/sign", reason="公假")
    assert page.status == 404
    await chief.post("/deputies", deputy="clerk05", until="2026-04-30")
    assert (await browser.get(f"/documents/{NUMBER}")).status == 200
    world.clock.pass_seconds(16 * 3600)
    browser = await world.browser("clerk05")
    assert (await browser.get(f"/documents/{NUMBER}")).status == 404
    chief = await world.browser("chief01")
    assert "已到期" in (await chief.get("/deputies")).words
    assert not world.gateway.created("signature")


@pytest.mark.parametrize(
    ("deputy", "until", "words"),
    [
        ("chief01", "2026-05-10", "請選擇「代理人」"),
        ("nobody", "2026-05-10", "請選擇「代理人」"),
        ("clerk05", "", "請填寫「代理至」的日期"),
        ("clerk05", "2026-04-29", "須為今日以後"),
        ("clerk05", "2099-01-01", "至多一年"),
    ],
)
async def test_an_appointment_that_makes_no_sense_is_refused(
    world: Any, deputy: str, until: str, words: str
) -> None:
    """Oneself, nobody, no date, yesterday, for ever."""
    chief = await world.browser("chief01")
    await chief.get("/deputies")
    page = await chief.post("/deputies", deputy=deputy, until=until)
    assert words in page.words
    assert "尚未設定代理人" in page.words


async def test_a_batch_is_for_one_person(world: Any) -> None:
    """Chosen together, those of another desk are set aside; pressed together, refused."""
    chief = await world.browser("chief01")  # deputy of secretary01 in the demo
    await chief.register(world.gateway, "chief01")
    [foreign] = await world.lay("secretary01", 1, then="secretary01")
    page = await chief.get(f"/batches/new?number={NUMBER}&number=1153000152&number={foreign}")
    assert "已選擇 2 項" in page.words
    assert "屬於 主任秘書 林志成 的公文" in page.words
    page = await chief.post("/batches", number=[NUMBER, foreign], reason="公假")
    assert "一次只能辦理同一位人員的公文" in page.words
    page = await chief.get(f"/batches/new?number={foreign}")
    assert "您將代 主任秘書 林志成 簽章" in page.words
    assert not world.gateway.created("signature")


async def test_a_deputy_signs_several_for_the_holder(world: Any) -> None:
    """One reason for all of them."""
    browser = await deputy_of_chief(world)
    page = await browser.batch(NUMBER, "1153000152", reason="公假")
    _, body = world.gateway.created("signature")[-1]
    assert body["on_behalf_of"] == {"user_id": "chief01", "reason": "公假"}
    world.gateway.end("completed")
    page = await browser.get(page.path)
    assert page.data("status") == "completed"
    page = await browser.post(f"{page.path}/send")
    assert "已送出 2 件" in page.words


async def test_a_repeat_by_code_keeps_the_reason(world: Any) -> None:
    """「QR Code 模式登入」 after a pause asks for the same, on behalf of the same."""
    browser = await deputy_of_chief(world)
    await to_the_route(browser)
    world.gateway.refuse(429, "push_paused", "暫停推播。")
    page = await browser.post(f"/documents/{NUMBER}/sign", reason="公假")
    world.gateway.refuse_creation = None
    await browser.post(f"{page.path}/qr")
    _, body = world.gateway.created("signature")[-1]
    assert body["on_behalf_of"] == {"user_id": "chief01", "reason": "公假"}


async def test_an_appointment_can_be_made_longer(world: Any) -> None:
    """The same two again change the end; the list stays one line."""
    until = datetime(2026, 5, 10, tzinfo=TAIPEI)
    database = world.app[DESK].database

    def twice(db: Any) -> list[Any]:
        deputies.add_deputy(db, "chief01", "clerk05", until)
        deputies.add_deputy(db, "chief01", "clerk05", until + timedelta(days=1))
        return deputies.list_deputies(db, "chief01")

    [one] = await database.run(twice)
    assert isinstance(one.deputy, User)
    assert one.until == until + timedelta(days=1)
