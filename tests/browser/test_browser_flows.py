"""Flows 1 to 4 of the manual, by clicking: register, sign by push, by QR code, nothing happens."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .desk import FAILED, SENDING, SIGNING, expect

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

ROC_DATE = re.compile(r"\d{3}/\d{2}/\d{2}")


async def test_a_certificate_is_registered_and_enabled(clerk: Any) -> None:
    """Flow 1: 「申請」, 「確認」 on the phone, the dialogue fills itself in, 「儲存」."""
    one = await clerk(registered=False)
    phone = await one.phone()
    await one.context.clear_cookies()
    await one.sign_in()
    await one.open_dialog()
    await one.shoot("register-empty")
    await one.apply()
    await expect(one.part("title")).to_have_text("行動自然人憑證登記中")
    await one.shoot("register-waiting")
    await expect(phone.notification).to_contain_text("登記行動自然人憑證")
    await phone.open_notification()
    await phone.confirm()
    await expect(one.page.get_by_text("註冊完成")).to_be_visible()
    for label, content in (
        ("簽發機關", "內政部憑證管理中心"),
        ("憑證序號", re.compile(r"[0-9A-F]{8,}", re.IGNORECASE)),
        ("啟用日期", ROC_DATE),
        ("終止日期", ROC_DATE),
    ):
        await expect(one.page.get_by_label(label)).to_have_value(content)
    await one.shoot("register-done")
    await one.button("儲存").click()
    row = one.page.get_by_role("row").filter(has_text="行動自然人憑證")
    await expect(row).to_contain_text("啟用")
    await expect(row).to_contain_text(one.person.user.name)
    await one.shoot("certificates")
    [credential] = await one.stage.client.credentials(one.person.user.user_id)
    assert credential.status == "enabled"
    assert one.stage.rings(one.person) == 1


async def test_a_document_is_signed_by_push_and_passed_on(clerk: Any, tmp_path: Path) -> None:
    """Flow 2: seal, route, window, phone, 「公文送出」; OpenSSL agrees with what was filed."""
    one = await clerk()
    phone = await one.phone()
    await one.send_for_signing()
    await expect(one.part("document-number")).to_have_text(one.number)
    await expect(one.part("qr-button")).to_have_text("QR Code 模式登入")
    await one.shoot("signing")
    await expect(phone.notification).to_contain_text(one.number)
    await phone.open_notification()
    await expect(phone.hint).to_contain_text(one.number)
    code = await one.part("match-code").inner_text()
    await expect(phone.hint).to_contain_text(code)
    await one.shoot("phone", phone.page)
    await phone.confirm()
    await expect(one.heading(SENDING)).to_be_visible()
    await expect(one.page.get_by_text("簽章檔 .p7s")).to_be_visible()
    await one.signed_but_here()
    await one.shoot("send")
    files = []
    for name in ("原文", "簽章檔 .p7s"):
        async with one.page.expect_download() as download:
            await one.page.get_by_role("link", name=name).click()
        files.append(tmp_path / f"file{len(files)}")
        await (await download.value).save_as(files[-1])
    await one.pass_on()
    await one.sent()
    assert (await one.stage.transaction_of(one.number)).status == "completed"
    assert one.stage.rings(one.person) == 2  # one to register, one to sign
    now = str(int(one.stage.simulator.clock.now().timestamp()))
    done = subprocess.run(
        ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-cades", "-attime", now,
         "-in", str(files[1]), "-content", str(files[0]), "-CAfile", str(one.stage.anchors)],
        capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert one.number.encode() in done.stdout


async def test_a_document_is_signed_by_the_code_on_the_screen(clerk: Any) -> None:
    """Flow 3: the code is read from a picture of the screen and handed to the phone."""
    one = await clerk()
    phone = await one.phone()
    await one.send_for_signing()
    content = await one.ask_for_code()
    await expect(one.part("qr-warning")).to_have_text("※不可使用行動裝置內建的相機 App 直接掃")
    box = await one.part("qr").locator("svg").bounding_box()
    assert min(box["width"], box["height"]) >= 280
    await one.shoot("signing-qr", whole=True)
    await phone.scan(content)
    await expect(phone.hint).to_contain_text(one.number)
    await one.shoot("phone-request", phone.page)
    await phone.confirm()
    await one.pass_on()
    await one.sent()
    transaction = await one.stage.transaction_of(one.number)
    assert (transaction.status, [c.channel for c in transaction.challenges]) == (
        "completed",
        ["push", "qr"],
    )
    assert {c.channel: c.status for c in transaction.challenges} == {
        "push": "closed",
        "qr": "approved",
    }


async def test_nothing_happens_for_sixty_seconds(clerk: Any) -> None:
    """Flow 4: 「憑證加簽失敗」, 「確定」; late is late, nothing is lost; 「送出」 again."""
    one = await clerk()
    phone = await one.phone()
    one.forgiven.append("409")  # what the phone hears from the platform, late
    await one.send_for_signing()
    await phone.open_notification()
    async with phone.deaf():
        one.stage.advance(61)
        window = await one.ended(FAILED)
        await expect(window).to_contain_text("60 秒內未於手機上確認")
        await one.shoot("expired")
        await phone.approve()
        await expect(phone.heading("已逾時，簽章未送出")).to_be_visible()
        await expect(phone.result).to_contain_text("您按下時已超過時限。")
        await one.shoot("phone-late", phone.page)
    await one.back_to_the_document()
    await one.not_sent()
    assert (await one.stage.transaction_of(one.number)).status == "expired"
    # 「送出」 again starts over.
    await one.button("送出").click()
    await one.button("儲存並送出").click()
    await expect(one.part("title")).to_have_text(SIGNING)
    await phone.button("完成").click()
    await phone.open_notification()
    await phone.confirm()
    await one.pass_on()
    await one.sent()
    assert one.stage.rings(one.person) == 3


async def test_chinese_is_drawn_with_a_chinese_font(clerk: Any) -> None:
    """No boxes: Chromium itself names the font of the title and of the app's screen."""
    one = await clerk()
    phone = await one.phone()
    await phone.unlock()
    await one.page.goto(f"{one.stage.desk_url}/")
    for page, selector in ((one.page, "h1"), (phone.page, "#holder-name")):
        session = await one.context.new_cdp_session(page)
        await session.send("DOM.enable")
        await session.send("CSS.enable")
        root = await session.send("DOM.getDocument")
        node = await session.send(
            "DOM.querySelector", {"nodeId": root["root"]["nodeId"], "selector": selector}
        )
        fonts = await session.send("CSS.getPlatformFontsForNode", {"nodeId": node["nodeId"]})
        assert fonts["fonts"], selector
        assert all("CJK" in font["familyName"] for font in fonts["fonts"]), fonts
