"""The pages: nothing from people runs, everything is ours, and a phone does what a phone does."""

import html
import re
from pathlib import Path
from typing import Any

import pytest

import moica_simulator
from moica_simulator import Clock, Device, KeyPool, Simulator

STATIC = Path(moica_simulator.__file__).parent / "web" / "static"
HOSTILE = "<script>alert('1')</script>\"&'"
CHROMIUM = Path("/usr/bin/chromium")


async def get(http: Any, url: str) -> tuple[Any, str]:
    async with http.get(url) as response:
        return response, await response.text()


async def test_a_phones_name_is_escaped(sim: Simulator, http: Any) -> None:
    """The only datum in the HTML: in title, heading, 版本資訊 and nowhere else."""
    device = await sim.add_device(HOSTILE)
    response, text = await get(http, f"{sim.url}/phone/{device.id}")
    assert response.status == 200
    assert HOSTILE not in text
    assert text.count(html.escape(HOSTILE, quote=True)) == 3
    assert "<script>" not in text


@pytest.mark.parametrize("path", ["/", "/phone/{id}", "/phones", "/platform"])
async def test_a_page_is_loud_and_self_contained(path: str, sim: Simulator, http: Any) -> None:
    """The banner, a strict policy, no inline script or style, no foreign address."""
    device = await sim.add_device("手機")
    response, text = await get(http, sim.url + path.format(id=device.id))
    assert "模擬器，不得用於正式環境" in text
    assert "NOT FOR PRODUCTION" in text
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self'")
    assert "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert not re.search(r"\son\w+=|<style|style=|javascript:|https?://|<script(?! type)", text)
    assert '<html lang="zh-Hant-TW">' in text


async def test_the_first_screen_speaks_as_the_app_does(sim: Simulator, http: Any) -> None:
    """The words of the manual."""
    device = await sim.add_device("手機")
    _, text = await get(http, f"{sim.url}/phone/{device.id}")
    for words in (
        *("註冊個人裝置", "註冊個人行動裝置，立刻享受暢行無阻的政府網路服務！"),
        *("請選擇下列註冊綁定方式：", "掃描註冊啟用碼 QR Code", "NFC 靠卡註冊綁定", "版本資訊"),
        *("掃碼驗證", "確認", "取消", "完成"),
    ):
        assert words in text


async def test_an_unknown_phone_has_no_page(sim: Simulator, http: Any) -> None:
    """404, and nothing of what was asked for is written into a page."""
    response, text = await get(http, f"{sim.url}/phone/%3Cscript%3E")
    assert response.status == 404
    assert response.content_type == "application/json"
    assert "device_unknown" in text


@pytest.mark.parametrize("name", ["nothing.js", "..%2F..%2Fcli.py", "%2Fetc%2Fpasswd"])
async def test_only_our_own_files_are_served(name: str, sim: Simulator, http: Any) -> None:
    """Nothing outside the list."""
    response, _ = await get(http, f"{sim.url}/static/{name}")
    assert response.status == 404


@pytest.mark.parametrize("name", sorted(each.name for each in STATIC.glob("*.js")))
def test_scripts_write_text_only(name: str) -> None:
    """No way for markup out of data, and no foreign address."""
    text = (STATIC / name).read_text("utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|https?:", text)


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium")
async def test_a_phone_works_in_a_browser(
    sim: Simulator, system: Any, clock: Clock, keys: KeyPool
) -> None:
    """Bound by a typed code, rung, shown the hint as text, confirmed, done; then a scan refused."""
    playwright = pytest.importorskip("playwright.async_api")
    await sim.add_person("A123456789", "王小明")
    code = await sim.new_activation_code("A123456789")
    device = await sim.add_device(HOSTILE)
    async with playwright.async_playwright() as started:
        browser = await started.chromium.launch(
            executable_path=str(CHROMIUM), chromium_sandbox=False
        )
        page = await browser.new_page(viewport={"width": 420, "height": 900})
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "console", lambda line: problems.append(line.text) if line.type == "error" else None
        )
        page.on("dialog", lambda dialog: problems.append(dialog.message))
        await page.goto(f"{sim.url}/phone/{device.id}")
        await page.get_by_role("button", name="解鎖").click()
        await page.get_by_role("button", name="掃描註冊啟用碼 QR Code").click()
        await page.get_by_label("註冊啟用碼").fill(code.code)
        await page.get_by_role("button", name="註冊", exact=True).click()
        await page.get_by_text("王小明，您好").wait_for()
        await page.get_by_text("有效期間 115/04/24 至 116/04/24").wait_for()
        body, ticket_id = await system.push(hint="<img src=x onerror=alert(1)>公文文號：1153000165")
        await page.locator("#notification").click()
        await page.get_by_role("heading", name="簽章確認").wait_for()
        assert "<img" in await page.locator("#request-hint").inner_text()
        # The page counts real seconds of its own between two looks at the simulator.
        assert 50 <= int(await page.locator("#remaining").inner_text()) <= 60
        await page.get_by_role("button", name="確認").click()
        await page.get_by_role("button", name="按壓指紋感應器").click()
        await page.get_by_role("heading", name="驗證成功").wait_for()
        await page.get_by_role("button", name="完成").click()
        assert await system.result_code(body, ticket_id) == "0"
        body, ticket_id, ticket = await system.qr(hint="公文文號：1153000166")
        await page.get_by_role("button", name="掃碼驗證").click()
        await page.get_by_label("QR Code 內容").fill(ticket)
        await page.get_by_role("button", name="送出").click()
        await page.get_by_text("1153000166").first.wait_for()
        await page.get_by_role("button", name="取消").click()
        await page.get_by_role("heading", name="您已取消").wait_for()
        assert await system.result_code(body, ticket_id) == "APP_USER_CANCEL"
        await browser.close()
    assert problems == []


async def test_both_pages_know_the_device(sim: Simulator, phone: Device, http: Any) -> None:
    """The phone's page carries the id that its script asks about."""
    _, text = await get(http, f"{sim.url}/phone/{phone.id}")
    assert f'data-device="{phone.id}"' in text
