"""「QR Code 模式登入」: the code on the screen, its lapse, a new one, and what goes wrong."""

from __future__ import annotations

from typing import Any

import pytest

from moica_gateway.errors import CATALOGUE

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

SMALL = {"viewport": {"width": 320, "height": 700}}
WIDE = {"viewport": {"width": 1280, "height": 900}}
DARK = {**SMALL, "color_scheme": "dark"}
LIMIT = "重試次數或時間已達上限，請重新送出。"
NARROW = """() => { const box = document.createElement("div"); document.body.append(box);
  box.style.cssText = "margin: 0 20px; padding: 0 12px; border: 1px solid";
  box.append(document.querySelector("moica-transaction")); }"""


@pytest.mark.parametrize("window", [SMALL, WIDE, DARK], indirect=True, ids=["320", "1280", "dark"])
async def test_the_code_is_large_enough_and_is_read_from_the_screen(window: Any) -> None:
    """While push is open: 280 pixels or more besides the quiet zone, with the warning."""
    await window.button("QR Code 模式登入").click()
    assert (await window.read_code()).startswith("chl_2eyJ")
    image = window.part("qr").locator("svg")
    box = await image.bounding_box()
    modules = int((await image.get_attribute("viewBox")).split()[2])
    assert min(box["width"], box["height"]) * (modules - 8) / modules >= 280
    assert await window.text("qr-warning") == "※不可使用行動裝置內建的相機 App 直接掃"
    assert "【掃碼驗證】" in await window.text("qr-help")
    assert not await window.seen("qr-button")
    assert not await window.seen("new-qr-button")
    assert await window.overflow() == 0
    assert window.site.asked == [{"channel": "qr"}]
    assert await image.evaluate("s => s.querySelectorAll('script, [class]').length") == 0


async def test_the_code_keeps_its_size_where_the_page_leaves_it_less_room(window: Any) -> None:
    """Inside a box with margins at 320 pixels it stands out evenly, and nothing scrolls."""
    await window.button("QR Code 模式登入").click()
    await window.page.evaluate(NARROW)
    await window.part("qr").locator("svg").wait_for()
    box = await window.part("qr").bounding_box()
    assert box["width"] * 85 / 93 >= 280
    assert abs(box["x"] - (320 - box["x"] - box["width"])) <= 1
    assert await window.overflow() == 0
    assert (await window.read_code()).startswith("chl_2eyJ")


async def test_the_code_survives_moving_the_element(window: Any) -> None:
    """A document system may put the widget into a dialogue; the code is drawn again."""
    await window.button("QR Code 模式登入").click()
    await window.part("qr").locator("svg").wait_for()
    await window.page.evaluate(NARROW)
    await window.part("qr").locator("svg").wait_for()
    assert window.site.asked == [{"channel": "qr"}]


async def test_a_double_click_asks_once(window: Any) -> None:
    """Two codes would confuse, and use up one of the five challenges."""
    await window.button("QR Code 模式登入").dblclick()
    await window.part("qr").locator("svg").wait_for()
    assert window.site.asked == [{"channel": "qr"}]


async def test_a_code_about_to_lapse_is_replaced(window: Any) -> None:
    """With 15 s left the button is there; the new code takes the place of the old one."""
    window.site.next = window.site.challenge("chl_2", "qr", left=14)
    await window.button("QR Code 模式登入").click()
    assert (await window.read_code()).startswith("chl_2")
    assert await window.text("qr-status") == "QR Code 即將逾時。"
    window.site.next = {}
    await window.button("產生新的 QR Code").click()
    await window.part("new-qr-button").wait_for(state="hidden")
    assert (await window.read_code()).startswith("chl_3")
    assert await window.focused() == "qr-help"


async def test_a_code_with_time_left_offers_no_new_one(window: Any) -> None:
    """Until its last 15 s; then without anything being heard."""
    window.site.next = window.site.challenge("chl_2", "qr", left=17)
    await window.button("QR Code 模式登入").click()
    await window.part("qr").locator("svg").wait_for()
    assert not await window.seen("new-qr-button")
    await window.part("new-qr-button").wait_for()


async def test_a_lapsed_code_is_not_shown_and_a_new_one_is_offered(window: Any) -> None:
    """Whether its time is over or the gateway says so, while push still waits."""
    window.site.next = window.site.challenge("chl_2", "qr", left=1)
    await window.button("QR Code 模式登入").click()
    await window.part("qr").wait_for(state="hidden")
    assert await window.text("qr-status") == "QR Code 已逾時。"
    assert await window.seen("new-qr-button")
    assert not await window.seen("qr-button")
    assert "確認內容後按「確認」" in await window.text("status")
    push, code = window.site.view["challenges"]
    window.site.say(challenges=[push, code | {"status": "lapsed"}], match_code="77")
    await window.says("match-code", "77")
    assert await window.seen("new-qr-button")
    assert await window.part("qr").locator("svg").count() == 0


@pytest.mark.parametrize("code", ["challenge_limit", "idempotency_running", "rate_limited"])
async def test_a_refusal_is_said_kindly(window: Any, code: str) -> None:
    """In the gateway's words; where no further challenge is possible, the button goes away."""
    entry = CATALOGUE.get(code) or CATALOGUE["challenge_too_soon"]
    window.site.answers = [window.site.problem(entry.status, code, entry.zh)]
    await window.button("QR Code 模式登入").click()
    await window.says("reason", entry.zh)
    assert await window.seen("qr-button") == (code != "challenge_limit")
    assert await window.seen("countdown")
    if code != "challenge_limit":
        await window.button("QR Code 模式登入").click()
        await window.part("qr").locator("svg").wait_for()
        assert await window.text("reason") == ""


async def test_after_the_fifth_challenge_the_button_for_a_new_code_goes(window: Any) -> None:
    """The code that is open stays."""
    window.site.next = window.site.challenge("chl_2", "qr", left=12)
    await window.button("QR Code 模式登入").click()
    window.site.answers = [window.site.problem(409, "challenge_limit", LIMIT)]
    await window.button("產生新的 QR Code").click()
    await window.says("reason", LIMIT)
    assert not await window.seen("new-qr-button")
    assert await window.seen("qr")


async def test_a_refusal_with_a_time_waits_for_it(window: Any) -> None:
    """Pressing before ``Retry-After`` is over asks nothing."""
    refusal = window.site.problem(429, "rate_limited", "請稍候再試。", retry_after=2)
    window.site.answers = [refusal]
    await window.button("QR Code 模式登入").click()
    await window.says("reason", "請稍候再試。")
    button = window.part("qr-button")
    assert await button.get_attribute("aria-disabled") == "true"
    await button.click(force=True)
    assert len(window.site.asked) == 1
    await window.page.locator('[part="qr-button"][aria-disabled="false"]').wait_for()
    await button.click()
    await window.part("qr").locator("svg").wait_for()


async def test_a_cut_while_asking_is_asked_again_as_the_same_request(window: Any) -> None:
    """The window says so; the second press bears the same key, a third after it another."""
    await window.page.route("**/challenges", lambda route: route.abort(), times=1)
    keys: list[str] = []
    window.page.on(
        "request",
        lambda r: keys.append(r.headers["idempotency-key"]) if "challenges" in r.url else None,
    )
    await window.button("QR Code 模式登入").click()
    await window.says("reason", "連線中斷，請再按一次。")
    window.site.next = window.site.challenge("chl_2", "qr", left=10)
    await window.button("QR Code 模式登入").click()
    await window.button("產生新的 QR Code").click()
    await window.page.wait_for_function("() => true")
    await window.says("qr-status", "QR Code 即將逾時。")
    assert len(keys) == 3
    assert keys[0] == keys[1] != keys[2]
    assert window.site.keys == keys[1:]


async def test_a_picture_that_cannot_be_fetched_is_fetched_again(window: Any) -> None:
    """The window says so meanwhile; no event of the gateway is needed."""
    window.site.broken_pictures = 2
    await window.button("QR Code 模式登入").click()
    await window.says("qr-status", "暫時無法取得 QR Code，正在重新嘗試…")
    assert (await window.read_code()).startswith("chl_2")
    assert await window.text("qr-status") == ""
    assert window.site.pictures == 3
    assert window.site.asked == [{"channel": "qr"}]


async def test_push_that_does_not_reach_the_phone_makes_the_code_the_way(window: Any) -> None:
    """The reason is said, the button stands out, and the code follows."""
    zh = "推播無法送達您的手機，請先開啟「行動自然人憑證」App 一次，或改用 QR Code。"
    why = {"code": "push_unavailable", "what_helps": "qr", "user_message": {"zh-TW": zh, "en": "x"}}
    [push] = window.site.view["challenges"]
    window.site.say(challenges=[push | {"status": "failed", "error": why}])
    await window.says("reason", zh)
    assert await window.text("status") == "請按「QR Code 模式登入」。"
    assert "first" in await window.part("qr-button").get_attribute("class")
    await window.button("QR Code 模式登入").click()
    await window.part("qr").locator("svg").wait_for()
    assert await window.text("reason") == ""
    assert "掃描下方的 QR Code" in await window.text("status")


async def test_a_code_that_could_not_be_made_says_why(window: Any) -> None:
    """The platform is away while push still waits: the reason, and the button again."""
    zh = "行動自然人憑證平臺暫時無法服務，請稍後再試。"
    why = {"code": "upstream_unreachable", "what_helps": "retry", "user_message": {"zh-TW": zh}}
    window.site.next = {"status": "failed", "error": why}
    await window.button("QR Code 模式登入").click()
    await window.says("reason", zh)
    assert await window.seen("qr-button")
    assert "確認內容後按「確認」" in await window.text("status")


async def test_the_keyboard_is_enough(window: Any) -> None:
    """Tab reaches the button, Enter asks, and the focus goes on to the code, then to the end."""
    await window.page.keyboard.press("Tab")
    assert await window.focused() == "qr-button"
    await window.page.keyboard.press("Enter")
    await window.part("qr").locator("svg").wait_for()
    assert await window.focused() == "qr-help"
    window.site.say(status="rejected")
    await window.ended()
    assert await window.focused() == "title"
    await window.page.keyboard.press("Tab")
    assert await window.focused() == "ok-button"
    await window.page.keyboard.press("Enter")
    assert (await window.heard())[-1][0] == "closed"
    assert not await window.seen("qr")
