"""The widget in a real browser, on a page whose policy is ``default-src 'self'`` alone."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

import moica_gateway.web

pytestmark = pytest.mark.browser

WIDGET = Path(moica_gateway.web.__path__[0]) / "widget" / "v1.js"
TOKEN = "btk_secret.of-the-browser"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PAGE = f"""<!doctype html><html lang="zh-TW"><meta charset="utf-8"><title>公文系統</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="/icon.svg">
<script src="/page.js"></script><script type="module" src="/moica/widget/v1.js"></script>
<body><moica-transaction base="/moica" transaction="txn_1" token="{TOKEN}"></moica-transaction>
</body></html>"""
PAGE_JS = """window.heard = []; window.violations = [];
for (const name of ["changed", "ended", "completed", "rejected", "expired", "failed", "cancelled",
                    "closed"]) {
  document.addEventListener(`moica-${name}`, (e) => window.heard.push(
    [name, e.detail ? e.detail.status : null]));
}
document.addEventListener("securitypolicyviolation",
  (e) => window.violations.push(e.violatedDirective + " " + e.blockedURI));"""
SIZE = 45
QR = (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}">'
    f'<script>window.stolen = 1</script><path fill="#fff" d="M0 0h{SIZE}v{SIZE}H0z"/>'
    '<path fill="#000" class="stolen" d="M4 4h7v7h-7z"/></svg>'
)
MESSAGE = {"zh-TW": "憑證已廢止，請重新申請", "en": "revoked"}


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Site:
    """A document system's page and a gateway that says what a test wants."""

    def __init__(self) -> None:
        now = datetime.now(UTC)
        self.view: dict[str, Any] = {
            "id": "txn_1",
            "version": 1,
            "kind": "signature",
            "status": "pending",
            "created_at": now.isoformat(),
            "expires_at": (now + timedelta(seconds=300)).isoformat(),
            "documents": [{"id": "doc_1", "number": "1153000165", "sha256": "00"}],
            "match_code": "42",
            "challenges": [self.challenge("chl_1", "push")],
        }
        self.listeners: list[asyncio.Queue[dict[str, Any] | None]] = []
        self.urls: list[str] = []
        self.tokens: set[str] = set()
        self.asked: list[Any] = []

    @staticmethod
    def challenge(name: str, channel: str) -> dict[str, Any]:
        """A way to the phone that is open."""
        return {"id": name, "channel": channel, "status": "sent", "expires_at": "2026-01-01T00:00Z"}

    def say(self, **changes: Any) -> None:
        """The next version."""
        self.view = {**self.view, "version": self.view["version"] + 1, **changes}
        for listener in self.listeners:
            listener.put_nowait(self.view)

    def cut(self) -> None:
        """Every stream ends without a word."""
        for listener in self.listeners:
            listener.put_nowait(None)

    def app(self) -> web.Application:
        """Page and gateway on one origin, as with the relay."""

        @web.middleware
        async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
            self.urls.append(str(request.url))
            if "/v1/transactions/" in request.path:
                self.tokens.add(request.headers.get("Authorization", ""))
            return await handler(request)

        app = web.Application(middlewares=[note])
        one = "/moica/v1/transactions/txn_1"
        app.router.add_get("/", self._text(PAGE, "text/html"))
        app.router.add_get("/page.js", self._text(PAGE_JS, "text/javascript"))
        app.router.add_get("/icon.svg", self._text(QR, "image/svg+xml"))
        app.router.add_get(
            "/moica/widget/v1.js",
            self._text(WIDGET.read_text(encoding="utf-8"), "text/javascript"),
        )
        app.router.add_get(f"{one}/qr.svg", self._text(QR, "image/svg+xml"))
        app.router.add_post(f"{one}/challenges", self._ask)
        app.router.add_get(f"{one}/events", self._events)
        return app

    @staticmethod
    def _text(text: str, kind: str) -> Handler:
        policy = {"Content-Security-Policy": "default-src 'self'"} if kind == "text/html" else {}

        async def answer(_request: web.Request) -> web.StreamResponse:
            return web.Response(text=text, content_type=kind, headers=policy)

        return answer

    async def _ask(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        more = [*self.view["challenges"], self.challenge("chl_2", "qr")]
        self.say(challenges=more)
        return web.json_response(self.view, status=201)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        queue.put_nowait(self.view)
        self.listeners.append(queue)
        try:
            while (view := await queue.get()) is not None:
                event = f": ping\n\nid: {view['version']}\ndata: {json.dumps(view)}\n\n"
                for half in (event[:40], event[40:]):
                    await answer.write(half.encode())
                if view["status"] != "pending":
                    break
        finally:
            self.listeners.remove(queue)
        return answer


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    """Chromium, or a skip that says what is missing."""
    playwright = pytest.importorskip(
        "playwright.async_api", reason="the widget is NOT TESTED: playwright is not installed"
    )
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("the widget is NOT TESTED: no program `chromium` in PATH")
    async with playwright.async_playwright() as started:
        launched = await started.chromium.launch(
            executable_path=program, chromium_sandbox=False, args=FLAGS
        )
        yield launched
        await launched.close()


@pytest.fixture
async def site() -> AsyncIterator[tuple[Site, str]]:
    """Listening on a free port."""
    made = Site()
    async with TestServer(made.app(), shutdown_timeout=0.1) as server:
        yield made, str(server.make_url("/"))
        made.cut()


@pytest.fixture
async def page(browser: Any, site: tuple[Site, str]) -> AsyncIterator[Any]:
    """The page; at the end no error, no violation, and no token in any address."""
    made, url = site
    opened = await browser.new_page(viewport={"width": 320, "height": 700})
    opened.set_default_timeout(10_000)
    problems: list[str] = []
    requested: list[str] = []
    opened.on("pageerror", lambda e: problems.append(str(e)))
    opened.on(
        "console", lambda m: problems.append(m.text) if m.type in ("error", "warning") else None
    )
    opened.on("request", lambda r: requested.append(r.url))
    await opened.goto(url)
    await part(opened, "countdown").filter(has_text="剩餘").wait_for()
    yield opened
    assert await opened.evaluate("window.violations") == []
    assert await opened.evaluate("window.stolen") is None
    assert [text for text in problems if "ERR_INCOMPLETE_CHUNKED" not in text] == []
    assert not [u for u in [*made.urls, *requested, opened.url] if "btk_" in u]
    assert all(u.startswith(url) for u in requested)
    assert made.tokens == {f"Bearer {TOKEN}"}
    await opened.close()


def part(page: Any, name: str) -> Any:
    """A part of the widget; Playwright looks into open shadow roots."""
    return page.locator(f'moica-transaction [part="{name}"]')


async def overflow(page: Any) -> int:
    """Pixels that would have to be scrolled sideways."""
    width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return int(await page.evaluate(width))


async def ended(page: Any) -> list[Any]:
    """Waits for the end; what was heard but ``moica-changed``."""
    await part(page, "ok-button").wait_for()
    return [one for one in await page.evaluate("window.heard") if one[0] != "changed"]


async def test_pending_shows_what_the_holder_compares(page: Any) -> None:
    """Countdown, match code and number are there, no QR code, and nothing scrolls sideways."""
    assert await part(page, "title").inner_text() == "行動自然人憑證簽章中"
    assert await part(page, "match-code").inner_text() == "42"
    assert await part(page, "document-number").inner_text() == "1153000165"
    left = int((await part(page, "countdown").inner_text()).split()[1])
    assert 240 < left <= 300
    assert not await part(page, "qr").is_visible()
    assert not await part(page, "ok-button").is_visible()
    assert await overflow(page) == 0
    assert await page.evaluate("window.heard") == [["changed", "pending"]]


async def test_the_qr_code_is_large_enough_even_on_a_small_screen(
    page: Any, site: tuple[Site, str]
) -> None:
    """The button asks once; the code is 280 CSS pixels wide at 320, with its warning."""
    await page.get_by_role("button", name="QR Code 模式登入").click()
    image = part(page, "qr").locator("svg")
    await image.wait_for()
    box = await image.bounding_box()
    assert min(box["width"], box["height"]) >= 280
    assert "不可使用行動裝置內建的相機" in await part(page, "qr-warning").inner_text()
    assert not await part(page, "qr-button").is_visible()
    assert await overflow(page) == 0
    assert site[0].asked == [{"channel": "qr"}]
    assert await image.evaluate("s => s.querySelectorAll('script, [class]').length") == 0


async def test_the_qr_code_survives_moving_the_element(page: Any, site: tuple[Site, str]) -> None:
    """A document system may put the widget into a dialogue; the code is drawn again."""
    await page.get_by_role("button", name="QR Code 模式登入").click()
    await part(page, "qr").locator("svg").wait_for()
    await page.evaluate(
        "() => { const d = document.createElement('div'); document.body.append(d);"
        " d.append(document.querySelector('moica-transaction')); }"
    )
    await part(page, "qr").locator("svg").wait_for()
    assert site[0].asked == [{"channel": "qr"}]


ENDS = [
    ("completed", None, "簽章完成", ""),
    ("rejected", None, "您已在手機上取消", ""),
    ("expired", None, "憑證加簽失敗", ""),
    ("failed", {"code": "x", "user_message": MESSAGE}, "憑證加簽失敗", MESSAGE["zh-TW"]),
    ("cancelled", None, "作業已取消", ""),
]


@pytest.mark.parametrize(("status", "error", "title", "message"), ENDS, ids=[e[0] for e in ENDS])
async def test_each_end_is_shown_and_told_once(
    page: Any, site: tuple[Site, str], status: str, error: Any, title: str, message: str
) -> None:
    """Title, message and 「確定」 are there; `moica-ended` is fired once and takes the focus."""
    site[0].say(status=status, **({"error": error} if error else {}))
    assert await ended(page) == [[status, status], ["ended", status]]
    assert await part(page, "title").inner_text() == title
    assert await part(page, "status").inner_text() == message
    assert not await part(page, "countdown").is_visible()
    assert await page.evaluate(
        "document.querySelector('moica-transaction').shadowRoot.activeElement.part.value"
    ) == ("title")
    assert await overflow(page) == 0
    await page.get_by_role("button", name="確定").click()
    heard = [name for name, _ in await page.evaluate("window.heard")]
    assert (heard.count("ended"), heard[-1]) == (1, "closed")


async def test_a_cut_stream_is_taken_up_again(page: Any, site: tuple[Site, str]) -> None:
    """What ended meanwhile is heard after coming back, once."""
    site[0].cut()
    site[0].say(status="completed")
    assert await ended(page) == [["completed", "completed"], ["ended", "completed"]]


async def test_attributes_may_be_set_after_it_was_put_into_the_page(page: Any) -> None:
    """An element made by a framework begins once transaction and token are there."""
    await page.evaluate(
        """(token) => {
          document.querySelector("moica-transaction").remove();
          const made = document.createElement("moica-transaction");
          document.body.append(made);
          made.setAttribute("base", "/moica");
          made.setAttribute("transaction", "txn_1");
          made.setAttribute("token", token);
        }""",
        TOKEN,
    )
    await part(page, "match-code").filter(has_text="42").wait_for()
