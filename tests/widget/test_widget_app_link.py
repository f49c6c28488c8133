"""「使用本機 App 簽章」: on a phone's browser, by the user's own tap, and what coming back does."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

URL = "mobilemoica://moica.moi.gov.tw/w2a/verifySign?sp_ticket=a.b&rtn_url=&rtn_val="
PHONE = {"viewport": {"width": 390, "height": 800}, "is_mobile": True, "has_touch": True}
RETURN = "() => window.dispatchEvent(new Event('focus'))"
PERSISTED = "() => window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))"
VISIBLE = "() => document.dispatchEvent(new Event('visibilitychange'))"


@pytest.mark.parametrize("window", [PHONE], indirect=True, ids=["phone"])
async def test_a_phones_browser_is_offered_the_app(window: Any) -> None:
    """The button asks for a link; the link opens nothing by itself, and the focus is on it."""
    window.site.next = {"url": URL}
    button = window.button("使用本機 App 簽章")
    await button.tap()
    link = window.page.get_by_role("link", name="開啟「行動自然人憑證」App")
    await link.wait_for()
    assert await link.get_attribute("href") == URL
    assert window.site.asked == [{"channel": "app_link"}]
    assert not await window.seen("app-button")
    assert await window.focused() == "app-link"
    assert await window.overflow() == 0


async def test_a_desk_is_not_offered_the_app_unless_the_page_says_so(window: Any) -> None:
    """``app-link`` decides where it is set, at once."""
    assert not await window.seen("app-button")
    await window.attribute("app-link", "always")
    await window.part("app-button").wait_for()
    await window.attribute("app-link", "never")
    await window.part("app-button").wait_for(state="hidden")


@pytest.mark.parametrize("window", [PHONE], indirect=True, ids=["phone"])
async def test_never_holds_on_a_phone_too(window: Any) -> None:
    """A page that has no use for it."""
    await window.attribute("app-link", "never")
    await window.part("app-button").wait_for(state="hidden")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("/documents/1/signing/cnf_1", "{origin}/documents/1/signing/cnf_1"),
        ("https://oa.example/a?b=1#secret", "https://oa.example/a?b=1"),
        ("http://[", None),
        ("", None),
    ],
)
async def test_the_return_address_is_the_pages_own(
    window: Any, given: str, sent: str | None
) -> None:
    """A path is taken from this page's origin, a fragment is left out, nonsense is not sent."""
    await window.attribute("app-link", "always")
    await window.attribute("return-url", given)
    window.site.next = {"url": URL}
    await window.part("app-button").click()
    await window.part("app-link").wait_for()
    body: dict[str, str] = {"channel": "app_link"}
    if sent is not None:
        body["return_url"] = sent.format(origin=window.site.url.rstrip("/"))
    assert window.site.asked == [body]


async def test_without_a_registered_origin_the_link_is_asked_for_without_return(
    window: Any,
) -> None:
    """The user changes back by hand; the two requests bear different keys."""
    await window.attribute("app-link", "always")
    await window.attribute("return-url", "/here")
    refusal = window.site.problem(422, "request_invalid", "x", member="return_url")
    window.site.answers = [refusal]
    window.site.next = {"url": URL}
    await window.part("app-button").click()
    await window.part("app-link").wait_for()
    assert [sorted(body) for body in window.site.asked] == [["channel", "return_url"], ["channel"]]
    assert len(set(window.site.keys)) == 2


@pytest.mark.parametrize(
    "url",
    [
        "javascript:window.stolen=1",
        "https://evil.example/",
        "//evil.example/",
        "data:text/html,x",
        " mobilemoica://moica.moi.gov.tw/",
        "mobilemoica:javascript",
        None,
    ],
)
async def test_nothing_but_the_apps_own_scheme_becomes_a_link(window: Any, url: Any) -> None:
    """Whatever the gateway or somebody between says."""
    await window.attribute("app-link", "always")
    window.site.next = {} if url is None else {"url": url}
    await window.part("app-button").click()
    await window.page.wait_for_function("() => window.heard.length > 1")
    assert not await window.seen("app-link")
    assert await window.part("app-link").get_attribute("href") is None


@pytest.mark.parametrize("come", [RETURN, PERSISTED, VISIBLE], ids=["focus", "pageshow", "visible"])
async def test_coming_back_asks_at_once(window: Any, come: str) -> None:
    """Where the stream says nothing more, the window hears of the end by asking."""
    window.site.whisper(status="completed")
    looks = window.site.looks
    await window.page.evaluate(come)
    assert await window.ended() == [["completed", "completed"], ["ended", "completed"]]
    assert window.site.looks >= looks + 1


async def test_coming_back_often_asks_once_a_second(window: Any) -> None:
    """Switching windows is no load on the gateway, and a page in the background asks nothing."""
    looks = window.site.looks
    await window.page.evaluate(
        f"() => {{ const come = {RETURN}; for (let i = 0; i < 20; i += 1) come(); }}"
    )
    await window.page.evaluate("fetch('/page.js')")
    assert window.site.looks <= looks + 1


async def test_what_the_app_leaves_on_the_address_is_not_shown(window: Any) -> None:
    """Neither believed nor repeated: the window waits as before."""
    await window.page.goto(window.site.url + "?rtn_val=completed&status=completed#completed")
    await window.says("countdown", "剩餘")
    assert "completed" not in await window.part("window").inner_html()
    assert await window.text("title") == "行動自然人憑證簽章中"
    await window.page.goto(window.site.url)
    await window.says("countdown", "剩餘")


async def test_a_link_that_lapsed_is_gone_and_can_be_asked_for_again(window: Any) -> None:
    """An old link would lead to a ticket that the platform takes no more."""
    await window.attribute("app-link", "always")
    window.site.next = window.site.challenge("chl_2", "app_link", left=1.5, url=URL)
    await window.part("app-button").click()
    await window.part("app-link").wait_for()
    await window.part("app-link").wait_for(state="hidden")
    assert await window.part("app-link").get_attribute("href") is None
    assert await window.seen("app-button")


async def test_the_link_goes_with_the_end(window: Any) -> None:
    """A finished request leaves no ticket in the page."""
    await window.attribute("app-link", "always")
    window.site.next = {"url": URL}
    await window.part("app-button").click()
    await window.part("app-link").wait_for()
    window.site.say(status="completed")
    await window.ended()
    assert "mobilemoica" not in await window.part("window").inner_html()


async def linked(window: Any) -> None:
    """The app's link is in the window."""
    await window.attribute("app-link", "always")
    window.site.next = {"url": URL}
    await window.part("app-button").click()
    await window.part("app-link").wait_for()


async def test_the_link_can_be_copied_where_it_cannot_open_the_app(window: Any) -> None:
    """Inside LINE or Facebook: the button stands beside every link, and says what to do next."""
    assert not await window.seen("copy-button")
    await linked(window)
    assert "LINE" in await window.text("copy-help")
    await window.page.evaluate(
        """() => Object.defineProperty(navigator, "clipboard", {
          value: { writeText: async (text) => { window.copied = text; } } })"""
    )
    await window.button("複製連結").click()
    await window.says("copy-status", "連結已複製，請貼到手機瀏覽器的網址列開啟。")
    assert await window.page.evaluate("window.copied") == URL
    assert not await window.seen("app-address")
    assert await window.overflow() == 0


@pytest.mark.parametrize("value", ["undefined", "{ writeText: async () => { throw 1; } }"])
async def test_without_a_clipboard_the_link_is_shown_and_selected(window: Any, value: str) -> None:
    """Without TLS there is none, and a browser may refuse; at the end nothing of it stays."""
    await linked(window)
    await window.page.evaluate(
        f"() => Object.defineProperty(navigator, 'clipboard', {{ value: {value} }})"
    )
    await window.button("複製連結").click()
    await window.says("copy-status", "請自行複製下方連結")
    field = window.page.get_by_role("textbox", name="App 連結")
    assert await field.input_value() == URL
    assert await field.evaluate("f => f.value.slice(f.selectionStart, f.selectionEnd)") == URL
    assert await window.focused() == "app-address"
    assert await window.overflow() == 0
    window.site.say(status="completed")
    await window.ended()
    assert await window.part("app-address").input_value() == ""
    assert await window.text("copy-status") == ""
