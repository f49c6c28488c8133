"""The window without scripts: who may open it, what it shows, what its buttons do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, CookieJar

from moica_gateway.domain.models import Fault, Refused
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import TenantId
from moica_gateway.errors import problem
from moica_gateway.web.pages.words import WORDS
from tests.web.conftest import APPROVED, REGISTRATION, Api

WIDGET = (
    Path(__file__).parents[2] / "src" / "moica_gateway" / "web" / "widget" / "v1.js"
).read_text(encoding="utf-8")
OWN = {"close", "reload", "reloads", "still", "other", "trouble", "left"}


class Browser:
    """Of an employee: cookies, links, forms; no scripts."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.session = ClientSession(cookie_jar=CookieJar(unsafe=True))
        self.address = ""
        self.text = ""
        self.status = 0
        self.headers: Any = {}

    async def go(self, path: str, form: dict[str, str] | None = None, **more: Any) -> str:
        """Follows redirects as a browser does."""
        url = self.api.client.make_url(path)
        method = "GET" if form is None else "POST"
        async with self.session.request(method, url, data=form, **more) as reply:
            self.address, self.status = reply.url.path_qs, reply.status
            self.headers, self.text = reply.headers, await reply.text()
        return self.text

    async def press(self, channel: str, **changes: str) -> str:
        """A button of the form in the page."""
        assert f'name="channel" value="{channel}"' in self.text
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', self.text))
        where = self.address.partition("?")[0] + "challenges"
        return await self.go(where, {**hidden, "channel": channel, **changes})


@pytest.fixture
async def browser(api: Api) -> Any:
    """One browser; the tenant has a registered origin."""
    await api.services.tenants.create_tenant(
        TenantId("t1"), "t1", TenantPolicy(return_origins=("https://oa.test",))
    )
    made = Browser(api)
    yield made
    await made.session.close()


async def begun(api: Api, **body: Any) -> tuple[str, str]:
    """A registration, and the path of its page."""
    status, made, _ = await api.call("POST", "/v1/registrations", REGISTRATION)
    assert status == 201
    status, page, _ = await api.call("POST", f"/v1/transactions/{made['id']}/pages", body)
    assert status == 201
    return made["id"], page["path"]


async def ended(api: Api, answer: Any) -> None:
    """The platform says how it ended."""
    api.upstream.answer(f"ticket-{len(api.upstream.begun)}", answer)
    await api.clock.advance(4)
    await api.clock.settle()


async def test_a_code_opens_the_window_once(api: Api, browser: Browser) -> None:
    """Then the browser holds a cookie of this window alone, and the address leads nowhere."""
    transaction, path = await begun(api)
    text = await browser.go(path)
    assert browser.address == f"/pages/t/{transaction}/"
    assert "行動自然人憑證登記中" in text
    assert re.search(r'<b class="code">\d\d</b>', text)
    (cookie,) = browser.session.cookie_jar
    assert (cookie["path"], cookie["httponly"]) == (f"/pages/t/{transaction}", True) or cookie[
        "path"
    ] == f"/pages/t/{transaction}/"
    stranger = Browser(api)
    text = await stranger.go(path)
    assert (stranger.status, "已使用過或已逾時" in text) == (410, True)
    text = await stranger.go(f"/pages/t/{transaction}/")
    assert (stranger.status, "page_code_invalid" in text) == (410, True)
    await stranger.session.close()
    assert "行動自然人憑證登記中" in await browser.go(browser.address)


async def test_a_code_lapses_after_a_minute_and_the_window_after_the_transaction(
    api: Api, browser: Browser
) -> None:
    """An address in a history is worth nothing; a window left open says so, and no more."""
    transaction, path = await begun(api)
    _, again = await begun_page(api, transaction)
    await browser.go(again)
    await api.clock.advance(60)
    late = Browser(api)
    await late.go(path)
    assert late.status == 410
    await late.session.close()
    await browser.go(browser.address)
    assert browser.status == 200
    await api.clock.advance(1200)
    await browser.go(browser.address)
    assert browser.status == 410


async def begun_page(api: Api, transaction: str, **body: Any) -> tuple[str, str]:
    """A further page of the same transaction."""
    _, page, _ = await api.call("POST", f"/v1/transactions/{transaction}/pages", body)
    return transaction, page["path"]


async def test_one_windows_cookie_opens_no_other(api: Api, browser: Browser) -> None:
    """Neither another transaction's window nor the API."""
    transaction, path = await begun(api)
    await browser.go(path)
    (cookie,) = browser.session.cookie_jar
    other = {**REGISTRATION, "user_id": "u2", "id_number": "B223456782"}
    _, made, _ = await api.call("POST", "/v1/registrations", other)
    name = f"moica-page-{made['id']}"
    await browser.go(f"/pages/t/{made['id']}/", headers={"Cookie": f"{name}={cookie.value}"})
    assert browser.status == 410
    status, _, _ = await api.call("GET", f"/v1/transactions/{transaction}", token=cookie.value)
    assert status == 401
    for forged in ("", ".", "a.b", cookie.value[:-2], "é", "e30." + cookie.value[-43:]):
        sent = {"Cookie": f"moica-page-{transaction}={forged}"}
        fresh = Browser(api)
        await fresh.go(f"/pages/t/{transaction}/", headers=sent)
        assert fresh.status == 410, forged
        await fresh.session.close()


async def test_who_may_ask_for_a_page(api: Api, browser: Browser) -> None:
    """A key that may ring phones; not one that reads, not another tenant's, not a browser token."""
    transaction, _ = await begun(api)
    path = f"/v1/transactions/{transaction}/pages"
    for token, expected in ((api.reader, 403), (api.foreign, 404), (None, 201)):
        assert (await api.call("POST", path, {}, token=token))[0] == expected
    _, made, _ = await api.call("POST", f"/v1/transactions/{transaction}/browser-tokens")
    assert (await api.call("POST", path, {}, token=made["browser_token"]))[0] == 403
    for body in ({"return_url": "https://evil.test/"}, {"more": 1}, {"return_url": 5}):
        assert (await api.call("POST", path, body))[0] == 422


async def test_the_code_is_shown_as_a_picture_once_it_is_asked_for(
    api: Api, browser: Browser
) -> None:
    """「QR Code 模式登入」: a button, and the same pressed twice is one challenge."""
    transaction, path = await begun(api)
    await browser.go(path)
    assert "<img" not in browser.text
    form = browser.text
    text = await browser.press("qr")
    assert (browser.status, browser.address) == (200, f"/pages/t/{transaction}/?lang=zh-TW")
    assert "※不可使用行動裝置內建的相機 App 直接掃" in text
    found = re.search(r'<img src="(qr\.png\?c=[^"]+)"', text)
    assert found is not None
    browser.address, browser.text = f"/pages/t/{transaction}/", form
    await browser.press("qr")
    _, view, _ = await api.call("GET", f"/v1/transactions/{transaction}")
    assert [c["channel"] for c in view["challenges"]] == ["push", "qr"]
    url = api.client.make_url(f"/pages/t/{transaction}/{found[1]}")
    async with browser.session.get(url) as reply:
        assert (reply.content_type, reply.headers["Cache-Control"]) == ("image/png", "no-store")
        assert (await reply.read()).startswith(b"\x89PNG")
    assert 'name="channel" value="qr"' not in text


async def test_a_form_from_elsewhere_changes_nothing(api: Api, browser: Browser) -> None:
    """Another site can send the cookie, not what stands in the page; nor an unknown button."""
    transaction, path = await begun(api)
    await browser.go(path)
    page, address = browser.text, browser.address
    for changes, status in (
        ({"token": "0" * 64}, 403),
        ({"token": "é"}, 403),
        ({"key": ""}, 422),
        ({"key": "é"}, 422),
    ):
        browser.text, browser.address = page, address
        await browser.press("qr", **changes)
        assert browser.status == status
    browser.text = page.replace('value="app_link"', 'value="redirect"')
    browser.address = address
    await browser.press("redirect")
    assert browser.status == 422
    _, view, _ = await api.call("GET", f"/v1/transactions/{transaction}")
    assert len(view["challenges"]) == 1


async def test_what_is_not_possible_is_said_in_the_window(api: Api, browser: Browser) -> None:
    """The sixth challenge is none; the phone's request still stands in the page."""
    transaction, path = await begun(api)
    await browser.go(path)
    for _ in range(4):
        await api.call("POST", f"/v1/transactions/{transaction}/challenges", {"channel": "push"})
    text = await browser.press("qr")
    assert browser.status == 409
    assert "無法再次嘗試" in text or 'class="reason"' in text
    assert "驗證碼" in text


@pytest.mark.parametrize(
    ("answer", "class_", "said"),
    [
        (APPROVED, "good", "註冊完成"),
        (Refused(problem("holder_refused", "x")), "bad", "您已在手機上取消"),
        (
            Fault(problem=problem("certificate_revoked", "x"), spoke=True),
            "bad",
            "憑證註冊失敗",
        ),
    ],
)
async def test_the_end_stays_and_says_what_to_do(
    api: Api, browser: Browser, answer: Any, class_: str, said: str
) -> None:
    """No renewal any more, no button, 「確定」 leads back to the document system."""
    _, path = await begun(api, return_url="https://oa.test/doc/1?a=1&b=2")
    await browser.go(path)
    assert '<meta http-equiv="refresh" content="3' in browser.text
    await ended(api, answer)
    text = await browser.go(browser.address)
    assert f'class="window {class_}"' in text
    assert f"<h1>{said}</h1>" in text
    assert 'http-equiv="refresh"' not in text
    assert "<form" not in text
    assert '<a class="button first" href="https://oa.test/doc/1?a=1&amp;b=2">確定</a>' in text


async def test_without_an_address_to_go_back_to_the_window_says_close_it(
    api: Api, browser: Browser
) -> None:
    """The user closes it; and nobody's time is over: what lapsed says so."""
    _, path = await begun(api)
    await browser.go(path)
    await api.clock.advance(75)
    await api.clock.settle()
    text = await browser.go(browser.address)
    assert "<h1>憑證註冊失敗</h1>" in text
    assert "請關閉此視窗，回到公文系統。" in text


async def test_the_page_speaks_english_and_stands_still_where_asked(
    api: Api, browser: Browser
) -> None:
    """Both stay through a button."""
    _, path = await begun(api)
    await browser.go(path)
    text = await browser.go(browser.address + "?lang=en&still=1")
    assert "Registering your mobile certificate" in text
    assert 'http-equiv="refresh"' not in text
    text = await browser.press("qr")
    assert browser.address.endswith("?lang=en&still=1")
    assert "Scan with 【掃碼驗證】 inside the app" in text


async def test_the_page_may_be_framed_by_registered_origins_only_and_runs_nothing(
    api: Api, browser: Browser
) -> None:
    """No script, no foreign host; errors may be framed by nobody else."""
    _, path = await begun(api)
    text = await browser.go(path)
    policy = browser.headers["Content-Security-Policy"]
    assert policy.endswith("frame-ancestors 'self' https://oa.test")
    assert "default-src 'none'" in policy
    assert "script" not in text.lower().replace("description", "")
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text)
    await browser.go("/pages/nonsense")
    assert browser.headers["Content-Security-Policy"].endswith("frame-ancestors 'self'")
    async with browser.session.get(api.client.make_url("/pages/page.css")) as reply:
        assert (reply.status, reply.content_type) == (200, "text/css")
        assert "url(" not in await reply.text()


async def test_what_came_from_elsewhere_is_text(api: Api, browser: Browser) -> None:
    """Neither a language nor a message of an error becomes markup."""
    _, path = await begun(api)
    await browser.go(path)
    text = await browser.go(browser.address + '?lang="><b>&still="><i>')
    assert "<i>" not in text
    assert '"><b>' not in text


def test_the_page_and_the_widget_say_the_same_words() -> None:
    """Each word of the page that the widget has, too, is the widget's."""
    both = re.findall(r"^    (\w+): (\"(?:[^\"\\]|\\.)*\"),$", WIDGET, re.M)
    spoken: dict[str, list[str]] = {}
    for name, text in both:
        spoken.setdefault(name, []).append(json.loads(text))
    assert set(WORDS["en"]) == set(WORDS["zh-TW"])
    assert set(WORDS["en"]) - OWN <= set(spoken)
    for number, language in enumerate(("zh-TW", "en")):
        for name, text in WORDS[language].items():
            if name not in OWN:
                assert spoken[name][number] == text, (language, name)
