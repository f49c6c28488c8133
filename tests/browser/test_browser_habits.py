"""What people do to pages: reload, a second tab, a double click, the back button, keys only."""

from __future__ import annotations

from typing import Any

import pytest

from .desk import FAILED, SENDING, SIGNING, expect
from .stage import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

WINDOW_LINK = "回到「行動自然人憑證簽章中」"


async def test_the_window_survives_a_reload(clerk: Any) -> None:
    """The same request goes on, with its code on the screen; no second ring, no second code."""
    one = await clerk()
    phone = await one.phone()
    await one.send_for_signing()
    before = await one.ask_for_code()
    match_code = await one.part("match-code").inner_text()
    await one.page.reload()
    await expect(one.part("match-code")).to_have_text(match_code)
    assert await one.read_code() == before
    await phone.open_notification()
    await phone.confirm()
    await one.pass_on()
    assert (one.stage.rings(one.person), one.stage.codes(one.person)) == (2, 1)


async def test_two_tabs_are_one_request(clerk: Any) -> None:
    """The second tab is led to the same window; both end; the document is passed on once."""
    one = await clerk()
    phone = await one.phone()
    await one.send_for_signing()
    second = await one.tab()
    await one.open_document(second)
    await expect(second.get_by_text("公文簽章中")).to_be_visible()
    await second.get_by_role("link", name=WINDOW_LINK).click()
    await expect(one.part("title", second)).to_have_text(SIGNING)
    assert second.url == one.page.url
    await phone.open_notification()
    await phone.confirm()
    for page in (one.page, second):
        await page.bring_to_front()
        await expect(one.heading(SENDING, page)).to_be_visible()
        await expect(one.button("送出", page)).to_be_enabled()
    await one.pass_on()
    await one.button("送出", second).click()
    await expect(second.get_by_text("已送出至")).to_be_visible()
    await one.sent()
    assert one.stage.rings(one.person) == 2


async def test_two_tabs_that_both_send_ring_once(clerk: Any) -> None:
    """「儲存並送出」 in a tab that was left open leads to the window that is open already."""
    one = await clerk()
    phone = await one.phone()
    await one.open_document()
    await one.to_the_route()
    second = await one.tab()
    await second.goto(one.page.url)
    await one.button("儲存並送出").click()
    await expect(one.part("title")).to_have_text(SIGNING)
    await one.button("儲存並送出", second).click()
    await expect(one.part("title", second)).to_have_text(SIGNING)
    assert second.url == one.page.url
    await phone.open_notification()
    await phone.confirm()
    await one.pass_on()
    assert one.stage.rings(one.person) == 2


async def test_a_second_document_waits_for_the_first(clerk: Any) -> None:
    """The window says that a request is open, leads to it, and can cancel it to go on."""
    one = await clerk()
    phone = await one.phone()
    await one.send_for_signing()
    window = one.page.url
    further = await one.stage.further_document(one.person)
    await one.page.goto(f"{one.stage.desk_url}/documents/{further}")
    await one.to_the_route()
    await one.button("儲存並送出").click()
    ended = await one.ended(FAILED)
    await expect(ended).to_contain_text("您還有一筆作業等待手機確認，請先完成或取消。")
    await one.shoot("second-document")
    await ended.get_by_role("link", name="前往該筆作業").click()
    await expect(one.part("title")).to_have_text(SIGNING)
    assert one.page.url == window
    await one.page.go_back()
    await one.page.get_by_role("link", name="取消先前的簽章並重新開始").click()
    await one.shoot("restart")
    assert (await one.stage.transaction_of(one.number)).status == "pending"
    await one.button("取消先前的簽章並重新開始").click()
    await expect(one.part("title")).to_have_text(SIGNING)
    assert (await one.stage.transaction_of(one.number)).status == "cancelled"
    await expect(phone.notification).to_contain_text(further)
    await phone.open_notification()
    await expect(phone.hint).to_contain_text(further)
    await phone.confirm()
    await expect(one.heading(SENDING)).to_be_visible()
    await one.not_sent()


async def test_a_double_click_rings_once_and_passes_on_once(clerk: Any) -> None:
    """On 「申請」, 「儲存並送出」 and 「送出」 alike."""
    one = await clerk(registered=False)
    phone = await one.phone()
    await one.open_dialog()
    await one.page.get_by_label("行動自然人憑證").check()
    await one.page.get_by_label("身分證字號").fill(one.person.id_number)
    await one.button("申請").dblclick()
    await expect(one.part("countdown")).to_be_visible()
    await phone.open_notification()
    await phone.confirm()
    await expect(one.page.get_by_text("註冊完成")).to_be_visible()
    await one.button("儲存").dblclick()
    await expect(one.page.get_by_text("憑證已儲存並啟用。")).to_be_visible()
    assert one.stage.rings(one.person) == 1
    await one.open_document()
    await one.to_the_route()
    await one.button("儲存並送出").dblclick()
    await expect(one.part("title")).to_have_text(SIGNING)
    await phone.open_notification()
    await phone.confirm()
    await expect(one.heading(SENDING)).to_be_visible()
    await expect(one.button("送出")).to_be_enabled()
    await one.button("送出").dblclick()
    await expect(one.page.get_by_text("已送出至")).to_be_visible()
    await one.sent()
    assert one.stage.rings(one.person) == 2


async def test_the_back_button_leads_into_no_second_request(clerk: Any) -> None:
    """Back to the route: the page says that it is being signed, and leads to the same window."""
    one = await clerk()
    phone = await one.phone()
    await one.send_for_signing()
    window = one.page.url
    await one.page.go_back()
    await expect(one.page.get_by_text("公文簽章中").first).to_be_visible()
    await one.shoot("back-from-the-window")
    await one.page.get_by_role("link", name=WINDOW_LINK).click()
    await expect(one.part("title")).to_have_text(SIGNING)
    assert one.page.url == window
    await phone.open_notification()
    await phone.confirm()
    await one.pass_on()
    await one.page.go_back()
    await one.shoot("back-after-sending")
    await one.sent()
    assert one.stage.rings(one.person) == 2


async def test_a_signature_with_keys_only(clerk: Any) -> None:
    """From signing in to passing on without a pointer; every stop on the way is seen."""
    one = await clerk()
    page = one.page
    await page.goto(f"{one.stage.desk_url}/")
    await one.button("登出").click()
    await expect(one.heading("登入")).to_be_visible()
    await expect(page.get_by_label("帳號")).to_be_focused()
    await page.keyboard.type(one.person.user.user_id)
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(one.heading("儀錶板")).to_be_visible()
    subject = page.get_by_role("row").filter(has_text=one.number).get_by_role("link").first
    await press(page, subject)
    await press(page, one.button("蓋章"))
    await expect(one.button("取消蓋章")).to_be_visible()
    await press(page, one.button("送出"))
    await press(page, one.button("儲存並送出"))
    await expect(one.part("title")).to_have_text(SIGNING)
    await press(page, one.part("qr-button"))
    await expect(one.part("qr").locator("svg")).to_be_visible()
    phone = await one.phone()
    await expect(phone.notification).to_be_visible()
    await press(phone.page, phone.notification)
    await press(phone.page, phone.button("確認"))
    await press(phone.page, phone.button("按壓指紋感應器"))
    await expect(phone.heading("驗證成功")).to_be_focused()
    await press(phone.page, phone.button("完成"))
    await page.bring_to_front()
    await expect(one.heading(SENDING)).to_be_visible()
    await expect(one.button("送出")).to_be_enabled()
    await press(page, one.button("送出"))
    await expect(page.get_by_text("已送出至")).to_be_visible()
    await one.sent()


async def press(page: Any, target: Any) -> None:
    """Tab until it is there, see that it is marked, Enter."""
    await page.bring_to_front()
    await expect(target).to_be_visible()
    for _ in range(40):
        if await target.evaluate("e => e === e.getRootNode().activeElement"):
            break
        await page.keyboard.press("Tab")
    await expect(target).to_be_focused()
    outline = await target.evaluate("e => getComputedStyle(e).outlineStyle")
    assert outline != "none", await target.inner_text()
    await page.keyboard.press("Enter")


async def test_the_window_on_a_small_screen(clerk: Any) -> None:
    """At 320 pixels nothing scrolls sideways, and the code is read and stays in its window."""
    one = await clerk(width=320, height=700)
    await one.send_for_signing()
    await one.shoot("signing-320", whole=True)
    content = await one.ask_for_code()
    assert len(content) > 100
    await one.shoot("signing-320-qr", whole=True)
    await inside(one.part("qr"), one.page.locator("section.window"))
    assert await sideways(one.page) == 0
    await one.button("取消簽章").click()
    await one.ended("已取消簽章")


async def test_the_dialogue_on_a_small_screen(clerk: Any) -> None:
    """The same where a certificate is registered, whose dialogue lies over the page."""
    one = await clerk(width=320, height=700, registered=False)
    phone = await one.phone()
    await one.open_dialog()
    await one.apply()
    await expect(one.part("countdown")).to_be_visible()
    content = await one.ask_for_code()
    await one.shoot("register-320-qr")
    await inside(one.part("qr"), one.page.get_by_role("dialog"))
    assert await sideways(one.page) == 0
    await phone.scan(content)
    await phone.confirm()
    await one.page.bring_to_front()
    await expect(one.page.get_by_text("註冊完成")).to_be_visible()
    [credential] = await one.stage.client.credentials(one.person.user.user_id)
    assert credential.status == "disabled"  # until 「儲存」


async def inside(inner: Any, outer: Any) -> None:
    """No part of it sticks out to a side."""
    small, large = await inner.bounding_box(), await outer.bounding_box()
    assert large["x"] <= small["x"]
    assert small["x"] + small["width"] <= large["x"] + large["width"]


async def sideways(page: Any) -> int:
    """Pixels that would have to be scrolled."""
    width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return int(await page.evaluate(width))
