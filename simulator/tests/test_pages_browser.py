"""The pages in Chromium: a phone like a phone, several beside each other, and the platform's."""

import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from moica_simulator import Clock, Device, Simulator

CHROMIUM = Path("/usr/bin/chromium")
SENSOR = "按壓指紋感應器"
AXE = """() => axe.run(document, { resultTypes: ["violations"] }).then((found) =>
  found.violations.map((v) => [v.id,
    v.nodes.map((n) => n.html.slice(0, 160) + n.failureSummary)]))"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium"),
]


@pytest.fixture
async def open_page() -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """Opens pages in one browser; at the end none of them may have complained."""
    api = pytest.importorskip("playwright.async_api")
    problems: list[str] = []
    async with api.async_playwright() as started:
        browser = await started.chromium.launch(
            executable_path=str(CHROMIUM), chromium_sandbox=False
        )

        async def made(url: str, **options: Any) -> Any:
            size = {"width": options.pop("width", 1280), "height": 900}
            page = await browser.new_page(viewport=size, **options)
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on(
                "console",
                lambda line: (
                    problems.append(line.text)
                    # A refusal is told of by the browser, too; the page has to tell of it itself.
                    if line.type == "error" and not re.search("status of 4", line.text)
                    else None
                ),
            )
            await page.goto(url)
            return page

        yield made
        await browser.close()
    assert problems == []


def button(page: Any, name: str) -> Any:
    """By its whole name."""
    return page.get_by_role("button", name=name, exact=True)


async def test_a_request_goes_from_the_lock_screen_and_back_to_it(
    sim: Simulator, system: Any, phone: Device, open_page: Any
) -> None:
    """Notification, request with its time, a finger that fails twice, success, 「完成」."""
    page = await open_page(f"{sim.url}/phone/{phone.id}", width=400)
    await button(page, "解鎖").wait_for()
    assert re.fullmatch(r"\d\d:\d\d", await page.locator("#clock").inner_text())
    assert not await page.locator("#app").is_visible()
    await sim.set_state(phone.id, fingerprint_failures=2)
    body, ticket_id = await system.push(hint="公文文號：1153000165")
    await page.locator("#lock #notification").click()
    await page.get_by_role("heading", name="簽章確認").wait_for()
    assert "公文線上簽核系統" in await page.locator("#request-sp").inner_text()
    assert 0.8 <= await page.locator("#left").evaluate("e => e.value") <= 1
    await button(page, "確認").click()
    assert await system.result_code(body, ticket_id) == "SPTKTID_TXNLOG_NF"
    await page.get_by_role("dialog", name="驗證指紋").wait_for()
    assert await button(page, SENSOR).evaluate("e => e === document.activeElement")
    await page.keyboard.press("Escape")
    await button(page, "確認").click()
    for _ in range(2):
        await (
            page.locator("#sheet-words", has_text="請將手指")
            .or_(page.locator("#sheet-words", has_text="請再試一次"))
            .wait_for()
        )
        before = sim.device(phone.id).fingerprint_failures
        await button(page, SENSOR).click()
        await page.get_by_text("指紋不符，請再試一次。").wait_for()
        await page.wait_for_function("() => !document.getElementById('sensor').disabled")
        assert sim.device(phone.id).fingerprint_failures == before - 1
    assert await system.result_code(body, ticket_id) == "SPTKTID_TXNLOG_NF"
    await button(page, SENSOR).click()
    await page.get_by_role("heading", name="驗證成功").wait_for()
    assert await system.result_code(body, ticket_id) == "0"
    await button(page, "完成").click()
    await button(page, "解鎖").wait_for()
    assert not await page.locator("#notification").is_visible()


async def test_one_that_is_opened_in_the_app_ends_in_the_app(
    sim: Simulator, system: Any, phone: Device, open_page: Any
) -> None:
    """The banner drops in above; 「取消」 and 「完成」 lead back to the app's home."""
    page = await open_page(f"{sim.url}/phone/{phone.id}", width=400)
    await button(page, "解鎖").click()
    await page.get_by_role("heading", name="王小明，您好").wait_for()
    body, ticket_id = await system.push()
    await page.locator("#app #notification").click()
    await button(page, "取消").click()
    await page.get_by_role("heading", name="您已取消").wait_for()
    await button(page, "完成").click()
    await page.get_by_role("heading", name="王小明，您好").wait_for()
    await page.locator("#recent", has_text="已取消").wait_for()
    assert await system.result_code(body, ticket_id) == "APP_USER_CANCEL"
    await button(page, "鎖定螢幕").click()
    await button(page, "解鎖").wait_for()


async def test_a_request_that_lapses_under_the_finger_says_so(
    sim: Simulator, clock: Clock, system: Any, phone: Device, open_page: Any
) -> None:
    """The sheet does not stay open over a request that has ended."""
    page = await open_page(f"{sim.url}/phone/{phone.id}", width=400)
    await system.push()
    await page.locator("#notification").click()
    await button(page, "確認").click()
    clock.advance(61)
    await page.get_by_role("heading", name="已逾時，簽章未送出").wait_for()
    assert not await page.get_by_role("dialog").is_visible()
    await button(page, "完成").click()


async def test_a_phone_is_bound_by_the_citizen_card(sim: Simulator, open_page: Any) -> None:
    """「NFC 靠卡註冊綁定」: card and PIN; a wrong PIN is said, and the right one binds."""
    await sim.add_person("A123456789", "王小明")
    phone = await sim.add_device("新手機")
    page = await open_page(f"{sim.url}/phone/{phone.id}", width=400)
    await button(page, "解鎖").click()
    await button(page, "NFC 靠卡註冊綁定").click()
    card = sim.person("A123456789").card_number
    await page.get_by_label("靠近手機的卡片").select_option(card)
    await page.get_by_label("PIN 碼").fill("654321")
    await button(page, "靠卡").click()
    await page.get_by_role("alert").get_by_text("PIN 碼不正確").wait_for()
    await page.get_by_label("PIN 碼").fill("123456")
    await button(page, "靠卡").click()
    await page.get_by_role("heading", name="王小明，您好").wait_for()
    assert sim.device(phone.id).id_number == "A123456789"


async def test_a_locked_sensor_is_unlocked_by_the_phones_code(
    sim: Simulator, system: Any, phone: Device, open_page: Any
) -> None:
    """Five fingers in a row lock it; it is out of use until then, and works again afterwards."""
    page = await open_page(f"{sim.url}/phone/{phone.id}", width=400)
    body, ticket_id = await system.push()
    await page.locator("#notification").click()
    await button(page, "確認").click()
    await sim.set_state(phone.id, fingerprint_failures=5)
    for left in (4, 3, 2, 1, 0):
        await button(page, SENSOR).click()
        words = "指紋不符，請再試一次。" if left else "失敗太多次，指紋感應器已鎖定。"
        await page.get_by_text(words).wait_for()
        await page.wait_for_function(
            "locked => document.getElementById('sensor').disabled === locked", arg=not left
        )
    await page.keyboard.press("Escape")
    await button(page, "確認").click()
    await page.get_by_text("指紋感應器已鎖定。").wait_for()
    assert await button(page, SENSOR).is_disabled()
    await button(page, "輸入裝置密碼解除鎖定").click()
    await page.get_by_text("已解除鎖定。").wait_for()
    await button(page, SENSOR).click()
    await page.get_by_role("heading", name="驗證成功").wait_for()
    assert await system.result_code(body, ticket_id) == "0"


async def test_a_phone_is_unbound_in_the_app(sim: Simulator, phone: Device, open_page: Any) -> None:
    """「取消綁定」 asks once more; 「版本資訊」 says what phone this is; then it can be bound."""
    await sim.set_state(phone.id, network="airplane")
    page = await open_page(f"{sim.url}/phone/{phone.id}", width=400)
    await button(page, "解鎖").click()
    await page.locator("#signal", has_text="飛航").wait_for()
    await button(page, "版本資訊").click()
    assert "Android" in await page.locator("#screen-about").inner_text()
    await button(page, "返回").click()
    await button(page, "取消綁定").click()
    assert sim.device(phone.id).bound
    await button(page, "確定取消綁定").click()
    await page.get_by_role("heading", name="註冊個人裝置").wait_for()
    assert not sim.device(phone.id).bound


async def test_phones_stand_beside_each_other(
    sim: Simulator, system: Any, phone: Device, other_phone: Device, open_page: Any
) -> None:
    """Each is live by itself: one rings, and the other does not."""
    third = await sim.add_device("第三支")
    page = await open_page(f"{sim.url}/phones?device={phone.id}&device={other_phone.id}")
    first = page.frame_locator(f'iframe[src="/phone/{phone.id}"]')
    second = page.frame_locator(f'iframe[src="/phone/{other_phone.id}"]')
    for frame in (first, second):
        await frame.get_by_role("button", name="解鎖").wait_for()
        assert not await frame.locator(".warning").is_visible()
    assert await page.locator("iframe").count() == 2
    body, ticket_id = await system.push()
    await first.locator("#notification").click()
    await first.get_by_role("button", name="確認").click()
    await first.get_by_role("button", name=SENSOR).click()
    await first.get_by_role("heading", name="驗證成功").wait_for()
    assert await system.result_code(body, ticket_id) == "0"
    assert not await second.locator("#notification").is_visible()
    await page.get_by_label("第三支").check()
    await page.locator(f'iframe[src="/phone/{third.id}"]').wait_for()
    # The one that was there goes on where it was.
    assert await first.get_by_role("heading", name="驗證成功").is_visible()
    assert page.url.count("device=") == 3


async def test_as_many_phones_as_fit_are_shown(sim: Simulator, open_page: Any) -> None:
    """Without a choice, at any width; the others are there to be ticked."""
    for number in range(4):
        await sim.add_device(f"手機{number}")
    page = await open_page(f"{sim.url}/phones")
    for width, fit in ((1300, 3), (400, 1), (900, 2)):
        await page.set_viewport_size({"width": width, "height": 900})
        await page.get_by_text(f"顯示 {fit} 支，另有 {4 - fit} 支").wait_for()
        assert await page.locator("iframe").count() == fit
        assert await page.get_by_role("checkbox").count() == 4
    await page.get_by_label("手機3").check()
    await page.get_by_text("顯示 3 支，另有 1 支").wait_for()
    assert await page.locator("iframe").count() == 3


async def test_the_platform_says_why_a_checksum_was_wrong(
    sim: Simulator, system: Any, phone: Device, open_page: Any
) -> None:
    """A new request comes in by itself; opened it names the mistake, and stays open."""
    page = await open_page(f"{sim.url}/platform")
    await page.get_by_text("還沒有符合的要求。").wait_for()
    body = system.push_body(hint="<img src=x onerror=alert(1)>")
    first, second = body["transaction_id"], body["sp_service_id"]
    rest = body["id_num"] + body["op_code"] + body["hint"] + body["sign_info"]["sign_data"]
    await system.post(
        "requestAthOrSignPush", {**body, "sp_checksum": system.seal(second + first + rest)}
    )
    await page.locator("summary", has_text="檢查碼錯誤").click()
    verdict = page.locator(".verdict.bad")
    await verdict.get_by_text("順序不對").wait_for()
    assert "transaction_id" in await verdict.inner_text()
    shown = await page.locator(".side").first.inner_text()
    assert f"{first}{second}{rest}" in shown
    assert "<img src=x" in shown
    await system.push()
    await page.locator("summary", has_text="#2").wait_for()
    assert await verdict.is_visible()
    assert await page.locator("#tickets tbody tr").count() == 1
    assert "王○明" in await page.locator("#tickets").inner_text()
    assert "王小明" not in await page.content()
    assert system.key_base64 not in await page.content()


async def test_the_platforms_list_is_filtered_and_turned(
    sim: Simulator, system: Any, phone: Device, open_page: Any
) -> None:
    """By interface, system and checksum; older ones on the next page."""
    for _ in range(22):
        await system.push()
    await system.post("requestAthOrSignPush", system.push_body(sp_checksum="00" * 92))
    await system.post("checkDeviceStatus", {"sp_service_id": "nobody"})
    page = await open_page(f"{sim.url}/platform")
    await page.get_by_text("第 24 至 5 筆，新的在前").wait_for()
    turn = page.locator("section", has=page.locator("#exchanges"))
    await turn.get_by_role("button", name="較舊").click()
    await page.get_by_text("第 4 至 1 筆，新的在前").wait_for()
    await turn.get_by_role("button", name="較新").click()
    await page.get_by_text("第 24 至 5 筆").wait_for()
    for label, value, place in (
        ("checksum", "wrong", "第 23 至 23 筆"),
        ("checksum", "", "第 24 至 5 筆"),
        ("interface", "SP-API-LF-01", "第 24 至 24 筆"),
        ("interface", "", "第 24 至 5 筆"),
        ("sp", system.service_id, "第 23 至 4 筆"),
    ):
        await page.locator(f"#{label}").select_option(value)
        await page.get_by_text(place).wait_for()


async def test_every_page_is_accessible(
    sim: Simulator, system: Any, phone: Device, open_page: Any
) -> None:
    """axe-core finds nothing in any state, light and dark; nothing is to be scrolled sideways."""
    base = pytest.importorskip("axe_playwright_python.base")
    unbound = await sim.add_device("新手機")
    wrong = system.push_body(hint="公文文號：1153000165", sp_checksum="00" * 92)
    await system.post("requestAthOrSignPush", wrong)
    await system.push(hint="公文文號：1153000165")
    page = await open_page(f"{sim.url}/phone/{phone.id}", reduced_motion="reduce")
    found: dict[str, Any] = {}

    async def look(name: str) -> None:
        if not await page.evaluate("'axe' in window"):
            await page.evaluate(str(base.AXE_SCRIPT) + "; undefined")
        for scheme, width in (("light", 360), ("dark", 1280)):
            await page.emulate_media(color_scheme=scheme)
            await page.set_viewport_size({"width": width, "height": 900})
            if problems := await page.evaluate(AXE):
                found[f"{name} {scheme}"] = problems
            wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            if pixels := await page.evaluate(wide):
                found[f"{name} {width} sideways"] = pixels
            if folder := os.environ.get("MOICA_SCREENSHOTS"):
                path = Path(folder) / f"simulator-{scheme}-{width}-{name}.png"
                await page.screenshot(path=str(path), full_page=True)

    await page.locator("#notification").wait_for()
    await look("lock")
    await page.locator("#notification").click()
    await look("request")
    await button(page, "確認").click()
    await look("finger")
    await sim.set_state(phone.id, fingerprint_failures=1)
    await button(page, SENSOR).click()
    await page.get_by_text("請再試一次").wait_for()
    await look("finger-wrong")
    await button(page, SENSOR).click()
    await page.get_by_role("heading", name="驗證成功").wait_for()
    await look("result")
    await button(page, "完成").click()
    await button(page, "解鎖").click()
    await look("home")
    for screen in ("掃碼驗證", "取消綁定", "版本資訊"):
        await button(page, screen).click()
        await look(screen)
        await button(page, "返回").click()
    await page.goto(f"{sim.url}/phone/{unbound.id}")
    await button(page, "解鎖").click()
    await button(page, "NFC 靠卡註冊綁定").wait_for()
    await look("welcome")
    for screen in ("掃描註冊啟用碼 QR Code", "NFC 靠卡註冊綁定"):
        await button(page, screen).click()
        await look(screen)
        await button(page, "返回").click()
    await page.goto(f"{sim.url}/platform")
    for number in ("#1", "#2"):
        await page.locator("summary", has_text=number).click()
    await page.locator(".side").nth(2).wait_for()
    await look("platform")
    await page.goto(f"{sim.url}/phones")
    await page.locator("iframe").first.wait_for()
    await look("phones")
    await page.goto(sim.url)
    await page.get_by_text("核發註冊啟用碼").first.wait_for()
    await look("index")
    assert found == {}


async def test_a_phone_scans_the_activation_code_that_the_desk_has_issued(
    sim: Simulator, open_page: Any
) -> None:
    """The picture on the first page, handed to the phone's page: bound, and greeted by name."""
    await sim.add_person("A123456789", "王小明")
    fresh = await sim.add_device("新手機")
    desk = await open_page(sim.url)
    await desk.get_by_text("核發註冊啟用碼").click()
    shown = desk.get_by_role("img", name="的 QR Code")
    await shown.wait_for()
    picture = await shown.screenshot()
    page = await open_page(f"{sim.url}/phone/{fresh.id}", width=420)
    await button(page, "解鎖").click()
    await button(page, "掃描註冊啟用碼 QR Code").click()
    upload = page.get_by_label("上傳 QR Code")
    await upload.set_input_files({"name": "x.png", "mimeType": "image/png", "buffer": b"none"})
    await page.get_by_role("alert").wait_for()
    assert "picture_unreadable" in await page.get_by_role("alert").inner_text()
    await upload.set_input_files({"name": "c.png", "mimeType": "image/png", "buffer": picture})
    await page.get_by_text("王小明，您好").wait_for()
    assert await page.get_by_role("alert").count() == 0
