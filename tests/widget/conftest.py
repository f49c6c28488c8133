"""A page under ``default-src 'self'``, and a gateway that says what a test wants."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import zxingcpp
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image

import moica_gateway.web
from moica_gateway.web.api.qr import qr_svg

WIDGET = Path(moica_gateway.web.__path__[0]) / "widget" / "v1.js"
TOKEN = "btk_secret.of-the-browser"
TICKET = "eyJ0cmFuc2FjdGlvbl9pZCI6IjQxNTcwYzAyLTUyMjYtNGQyZSJ9" * 13 + ".c2hhMjU2"
"""As long as a real one: version 17, 85 modules."""
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

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def code_of(payload: str) -> str:
    """The gateway's picture, and in it what a foreign one could bring."""
    return (
        qr_svg(payload)
        .decode()
        .replace("<path ", "<script>window.stolen = 1</script><path ", 1)
        .replace('fill="#000"', 'fill="#000" class="stolen"')
    )


class Site:
    """A document system's page and a gateway that says what a test wants."""

    def __init__(self) -> None:
        now = datetime.now(UTC)
        self.url = ""
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
        self.keys: list[str | None] = []
        self.answers: list[Callable[[], web.Response]] = []
        """What the next askings get instead of a challenge."""
        self.next: dict[str, Any] = {}
        """Members of the challenges that are made from now on."""
        self.broken_pictures = 0
        self.pictures = 0
        self.looks = 0
        self.carried: list[dict[str, str]] = []
        """Forms that came to the Ministry's site, which is this origin, too."""

    @staticmethod
    def challenge(name: str, channel: str, *, left: float = 300, **more: Any) -> dict[str, Any]:
        """A way to the phone that is open."""
        until = (datetime.now(UTC) + timedelta(seconds=left)).isoformat()
        return {"id": name, "channel": channel, "status": "sent", "expires_at": until, **more}

    @staticmethod
    def problem(status: int, code: str, zh: str, **more: Any) -> Callable[[], web.Response]:
        """A refusal as the gateway writes it."""
        headers = {"Retry-After": str(more["retry_after"])} if "retry_after" in more else {}
        body = {"code": code, "status": status, "user_message": {"zh-TW": zh, "en": code}, **more}
        return lambda: web.json_response(body, status=status, headers=headers)

    def say(self, **changes: Any) -> None:
        """The next version."""
        self.view = {**self.view, "version": self.view["version"] + 1, **changes}
        for listener in self.listeners:
            listener.put_nowait(self.view)

    def whisper(self, **changes: Any) -> None:
        """The next version, which no stream tells: only who asks hears of it."""
        self.view = {**self.view, "version": self.view["version"] + 1, **changes}

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
        app.router.add_get("/icon.svg", self._text(code_of("icon"), "image/svg+xml"))
        script = WIDGET.read_text(encoding="utf-8")
        app.router.add_get("/moica/widget/v1.js", self._text(script, "text/javascript"))
        app.router.add_get(one, self._look)
        app.router.add_get(f"{one}/qr.svg", self._picture)
        app.router.add_post(f"{one}/challenges", self._ask)
        app.router.add_get(f"{one}/events", self._events)
        app.router.add_post("/fidoRedirect/web", self._carry)
        return app

    @staticmethod
    def _text(text: str, kind: str) -> Handler:
        policy = {"Content-Security-Policy": "default-src 'self'"} if kind == "text/html" else {}

        async def answer(_request: web.Request) -> web.StreamResponse:
            return web.Response(text=text, content_type=kind, headers=policy)

        return answer

    async def _look(self, _request: web.Request) -> web.Response:
        self.looks += 1
        return web.json_response(self.view)

    async def _picture(self, _request: web.Request) -> web.Response:
        self.pictures += 1
        if self.broken_pictures:
            self.broken_pictures -= 1
            return web.Response(text="<html>maintenance</html>", content_type="text/html")
        last = [c for c in self.view["challenges"] if c["channel"] == "qr"][-1]
        return web.Response(text=code_of(last["id"] + TICKET), content_type="image/svg+xml")

    async def _carry(self, request: web.Request) -> web.Response:
        self.carried.append({name: str(value) for name, value in (await request.post()).items()})
        return web.Response(text="內政部")

    async def _ask(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        self.keys.append(request.headers.get("Idempotency-Key"))
        if self.answers:
            return self.answers.pop(0)()
        known = self.view["challenges"]
        name = f"chl_{len(known) + 1}"
        made = self.challenge(name, self.asked[-1]["channel"]) | self.next
        self.say(challenges=[*known, made])
        return web.json_response(self.view, status=201)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        last = int(request.headers.get("Last-Event-ID", "0"))
        if self.view["status"] != "pending" and last >= self.view["version"]:
            return web.Response(status=204)
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(b": hello\n\n")
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        if last < self.view["version"]:
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


class Window:
    """The widget in a browser's page."""

    def __init__(self, page: Any, site: Site) -> None:
        self.page, self.site = page, site

    def part(self, name: str) -> Any:
        """A part of the widget; Playwright looks into open shadow roots."""
        return self.page.locator(f'moica-transaction [part="{name}"]')

    def button(self, name: str) -> Any:
        """By what stands on it."""
        return self.page.get_by_role("button", name=name)

    async def text(self, name: str) -> str:
        """What a part says."""
        return str(await self.part(name).inner_text())

    async def says(self, name: str, words: str) -> None:
        """Waits until the part says that."""
        await self.part(name).filter(has_text=words).wait_for()

    async def seen(self, name: str) -> bool:
        """Whether the part is visible."""
        return bool(await self.part(name).is_visible())

    async def attribute(self, name: str, value: str) -> None:
        """Sets one of the element's."""
        await self.page.evaluate(
            """([name, value]) =>
              document.querySelector("moica-transaction").setAttribute(name, value)""",
            [name, value],
        )

    async def focused(self) -> str | None:
        """The part that has the focus."""
        found = await self.page.evaluate(
            "document.querySelector('moica-transaction').shadowRoot.activeElement?.part.value"
        )
        return None if found is None else str(found)

    async def overflow(self) -> int:
        """Pixels that would have to be scrolled sideways."""
        width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(await self.page.evaluate(width))

    async def heard(self) -> list[Any]:
        """The events but ``moica-changed``."""
        return [one for one in await self.page.evaluate("window.heard") if one[0] != "changed"]

    async def ended(self) -> list[Any]:
        """Waits for the end; what was heard."""
        await self.part("ok-button").wait_for()
        return await self.heard()

    async def read_code(self) -> str:
        """What a camera before the screen would read."""
        await self.part("qr").locator("svg").wait_for()
        await self.part("qr").scroll_into_view_if_needed()
        picture = Image.open(io.BytesIO(await self.page.screenshot()))
        [found] = zxingcpp.read_barcodes(picture.convert("L"))
        return str(found.text)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
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


@pytest_asyncio.fixture(loop_scope="session")
async def site() -> AsyncIterator[Site]:
    """Listening on a free port."""
    made = Site()
    async with TestServer(made.app(), shutdown_timeout=0.1) as server:
        made.url = str(server.make_url("/"))
        yield made
        made.cut()


@pytest_asyncio.fixture(loop_scope="session")
async def window(browser: Any, site: Site, request: pytest.FixtureRequest) -> AsyncIterator[Window]:
    """The page, 320 wide; at the end no error, no violation, and no token in any address.

    A test that sets the fixture's parameter gets a browser of those options.
    """
    options = {"viewport": {"width": 320, "height": 700}, **getattr(request, "param", {})}
    opened = await browser.new_page(**options)
    opened.set_default_timeout(10_000)
    problems: list[str] = []
    requested: list[str] = []
    opened.on("pageerror", lambda e: problems.append(str(e)))
    opened.on(
        "console", lambda m: problems.append(m.text) if m.type in ("error", "warning") else None
    )
    opened.on("request", lambda r: requested.append(r.url))
    await opened.goto(site.url)
    made = Window(opened, site)
    await made.says("countdown", "剩餘")
    yield made
    assert await opened.evaluate("window.violations") == []
    assert await opened.evaluate("window.stolen") is None
    expected = ("ERR_INCOMPLETE_CHUNKED", "status of 4", "status of 5", "ERR_FAILED")
    assert [text for text in problems if not any(one in text for one in expected)] == []
    assert not [u for u in [*site.urls, *requested, opened.url] if "btk_" in u]
    assert all(u.startswith(site.url) for u in requested)
    assert site.tokens == {f"Bearer {TOKEN}"}
    assert opened.url == site.url
    await opened.close()
