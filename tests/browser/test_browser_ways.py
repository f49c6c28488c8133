"""Other ways from the screen to the phone: the camera, a picture, and the app link."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from .camera import FakeCamera
from .desk import SENDING, expect
from .phone import PhonePage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_the_camera_reads_the_code_from_the_screen(clerk: Any, camera: FakeCamera) -> None:
    """「開啟相機」 sees the desk at first; held before the screen, it opens the request."""
    one = await clerk(context={"permissions": ["camera"]})
    phone = await one.phone()
    phone.expect_pictures_without_code(one)
    await one.send_for_signing()
    await one.ask_for_code()
    picture = await one.shoot(f"{one.number}-before-the-camera")
    box = await one.part("qr").locator("svg").bounding_box()
    camera.looks_at_nothing()
    await phone.unlock()
    await phone.button("掃碼驗證").click()
    await phone.button("開啟相機").click()
    await expect(phone.page.locator("#camera-status")).to_have_text("請將 QR Code 對準鏡頭。")
    await one.shoot("phone-camera", phone.page)
    camera.looks_at(picture, box)
    await expect(phone.hint).to_contain_text(one.number)
    await expect(phone.page.locator("#camera")).to_be_hidden()
    await phone.confirm()
    await one.page.bring_to_front()
    await one.pass_on()
    await one.sent()


async def test_a_picture_of_the_screen_can_be_uploaded(clerk: Any, tmp_path: Path) -> None:
    """「上傳圖片」 reads the code from a screenshot; one without a code is said to have none."""
    one = await clerk()
    phone = await one.phone()
    phone.expect_pictures_without_code(one)
    await one.send_for_signing()
    (await one.shoot("without")).save(tmp_path / "without.png")
    await one.ask_for_code()
    (await one.shoot("with", whole=True)).save(tmp_path / "with.png")
    await phone.unlock()
    await phone.button("掃碼驗證").click()
    upload = phone.page.get_by_label("上傳圖片")
    await upload.set_input_files(tmp_path / "without.png")
    await expect(phone.problem).to_contain_text("QR Code")
    await one.shoot("phone-no-code", phone.page)
    # The push that waits as well must not hide what the app says.
    await expect(phone.notification).to_be_visible()
    above = await phone.notification.bounding_box()
    below = await phone.problem.bounding_box()
    assert above["y"] + above["height"] <= below["y"]
    await upload.set_input_files(tmp_path / "with.png")
    await expect(phone.hint).to_contain_text(one.number)
    await phone.confirm()
    await one.page.bring_to_front()
    await one.pass_on()
    await one.sent()


async def test_a_phones_browser_opens_the_app_and_comes_back(clerk: Any) -> None:
    """The app link opens the request in the app, and 「返回原網頁」 leads to 「公文送出」."""
    one = await clerk(width=412, height=840, context={"is_mobile": True, "has_touch": True})
    await one.send_for_signing()
    await one.button("使用本機 App 簽章").tap()
    await expect(one.part("app-link")).to_have_text("開啟「行動自然人憑證」App")
    await one.shoot("signing-app-link", whole=True)
    link = await one.part("app-link").get_attribute("href")
    assert link.startswith("mobilemoica://moica.moi.gov.tw/w2a/verifySign?")
    # The system would hand the link to the app; the simulated app is a page in a further tab.
    app = PhonePage(page=await one.context.new_page())
    address = f"{one.stage.simulator.url}/phone/{one.person.device}"
    await app.page.goto(f"{address}#link={quote(link, safe='')}")
    await expect(app.hint).to_contain_text(one.number)
    assert app.page.url == address  # a ticket stays in no history
    await app.approve()
    await expect(app.heading("驗證成功")).to_be_visible()
    await one.shoot("phone-return", app.page)
    await app.page.get_by_role("link", name="返回原網頁").click()
    await expect(one.heading(SENDING, app.page)).to_be_visible()
    assert "rtn_val" not in app.page.url
    assert one.stage.codes(one.person) == 1
    transaction = await one.stage.transaction_of(one.number)
    assert {c.channel: c.status for c in transaction.challenges} == {
        "push": "closed",
        "app_link": "approved",
    }
