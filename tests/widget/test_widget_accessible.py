"""WCAG 2.1 AA in every state: the widget and the page without scripts, by axe-core."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import moica_gateway.web
from moica_gateway.web.pages.view import PageView, trouble_page, window_page
from moica_gateway.wire import TransactionView
from tests.widget.states import STATES, view_of

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

CSS = (Path(moica_gateway.web.__path__[0]) / "pages" / "page.css").read_text(encoding="utf-8")
PIXEL = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="308" height="308"><path d="M0 0h9v9z"/></svg>'
)
WIDTHS = (320, 1280)
LOOKS = [(lang, scheme) for lang in ("zh-TW", "en") for scheme in ("light", "dark")]
AXE = """([context, options]) => axe.run(context || document, options).then((found) =>
  found.violations.map((v) => [v.id,
    v.nodes.map((n) => n.html.slice(0, 160) + n.failureSummary)]))"""


def axe_source() -> str:
    """The script, or a skip that says what is missing."""
    package = pytest.importorskip(
        "axe_playwright_python.base", reason="WCAG is NOT TESTED: no axe-playwright-python"
    )
    return str(package.AXE_SCRIPT)


async def faults(page: Any, context: str | None) -> list[Any]:
    """What axe-core finds against WCAG 2.1 A and AA and its own best practice."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(axe_source() + "; undefined")
    return list(await page.evaluate(AXE, [context, {"resultTypes": ["violations"]}]))


async def sideways(page: Any) -> int:
    """Pixels to be scrolled."""
    width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return int(await page.evaluate(width))


async def picture(page: Any, name: str) -> None:
    """Kept for the eye where a folder is named by ``MOICA_SCREENSHOTS``."""
    folder = os.environ.get("MOICA_SCREENSHOTS")
    if folder:
        path = Path(folder) / f"{name.replace(' ', '-')}.png"
        await page.screenshot(path=str(path), full_page=True)


@pytest.mark.parametrize(("lang", "scheme"), LOOKS)
async def test_the_widget_in_every_state(browser: Any, site: Any, lang: str, scheme: str) -> None:
    """No violation and nothing to scroll sideways, narrow and wide."""
    page = await browser.new_page(color_scheme=scheme, reduced_motion="reduce")
    found: dict[str, Any] = {}
    for name in STATES:
        site.view = view_of(name, 1)
        await page.goto(site.url)
        await page.evaluate(
            """([lang]) => { document.documentElement.lang = lang;
              const one = document.querySelector("moica-transaction");
              one.setAttribute("app-link", "always"); one.setAttribute("lang", lang); }""",
            [lang],
        )
        await page.wait_for_function(
            "() => document.querySelector('moica-transaction').value !== null"
        )
        if "qr" in name and "lapsed" not in name:
            await page.locator("moica-transaction svg").wait_for()
        if name == "app link":
            await page.locator('moica-transaction [part="copy-button"]').click()
            await page.locator('moica-transaction [part="copy-status"]:not(:empty)').wait_for()
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 700})
            if problems := await faults(page, "moica-transaction"):
                found[f"{name} {width}"] = problems
            if pixels := await sideways(page):
                found[f"{name} {width} sideways"] = pixels
            await picture(page, f"widget {lang} {scheme} {width} {name}")
    await page.close()
    assert found == {}


@pytest.mark.parametrize(("lang", "scheme"), LOOKS)
async def test_the_page_without_scripts_in_every_state(
    browser: Any, lang: str, scheme: str
) -> None:
    """The same of the whole page, its trouble included."""

    async def answer(route: Any) -> None:
        path = route.request.url.partition("//")[2].partition("/")[2]
        if path.endswith("page.css"):
            await route.fulfill(body=CSS, content_type="text/css")
        elif "qr.png" in path:
            await route.fulfill(body=PIXEL, content_type="image/svg+xml")
        else:
            await route.fulfill(body=shown, content_type="text/html; charset=utf-8")

    page = await browser.new_page(color_scheme=scheme)
    await page.route("**/*", answer)
    found: dict[str, Any] = {}
    for name in [*STATES, "trouble"]:
        if name == "trouble":
            shown = trouble_page(lang, "請重新整理", "page_gone")
        else:
            view = TransactionView.from_json(json.loads(json.dumps(view_of(name, 1))))
            shown = window_page(
                PageView(
                    transaction=view,
                    now=datetime.now(UTC),
                    language=lang,
                    renews=False,
                    form_token="f",
                    key="k",
                    return_url="https://oa.test/" if name != "expired" else None,
                )
            )
        await page.goto(f"http://pages.test/pages/t/{name.replace(' ', '-')}/")
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 700})
            if problems := await faults(page, None):
                found[f"{name} {width}"] = problems
            if pixels := await sideways(page):
                found[f"{name} {width} sideways"] = pixels
            await picture(page, f"page {lang} {scheme} {width} {name}")
    await page.close()
    assert found == {}


async def test_what_a_screen_reader_is_told(window: Any) -> None:
    """Names, roles and order; live regions speak, the countdown does not every second."""
    await window.button("QR Code 模式登入").click()
    await window.part("qr").locator("svg").wait_for()
    session = await window.page.context.new_cdp_session(window.page)
    tree = (await session.send("Accessibility.getFullAXTree"))["nodes"]
    told = [
        (one["role"]["value"], one.get("name", {}).get("value", ""))
        for one in tree
        if not one.get("ignored")
    ]
    expected = [
        ("region", "行動自然人憑證簽章中"),
        ("heading", "行動自然人憑證簽章中"),
        ("status", ""),
        ("timer", ""),
        ("image", "QR Code，供「行動自然人憑證」App 掃描"),
    ]
    assert ("StaticText", "公文文號") in told
    assert ("StaticText", "42") in told
    at = [told.index(one) for one in expected]
    assert at == sorted(at)
    live = {
        one["role"]["value"]: next(
            (p["value"]["value"] for p in one["properties"] if p["name"] == "live"), "off"
        )
        for one in tree
        if not one.get("ignored") and one["role"]["value"] in ("status", "timer")
    }
    assert live == {"status": "polite", "timer": "off"}
    window.site.say(status="rejected")
    await window.ended()
    assert await window.focused() == "title"


async def test_keys_alone_reach_everything_in_order(window: Any) -> None:
    """Tab goes through what can be pressed, as it is seen; Enter presses; the end is read first."""
    await window.attribute("app-link", "always")
    window.site.next = {"url": "mobilemoica://moica.moi.gov.tw/w2a/verifySign?sp_ticket=a.b"}
    await window.part("app-button").wait_for()
    await window.page.keyboard.press("Tab")
    assert await window.focused() == "app-button"
    await window.page.keyboard.press("Enter")
    await window.part("app-link").wait_for()
    assert await window.focused() == "app-link"
    await window.page.keyboard.press("Tab")
    assert await window.focused() == "qr-button"
    await window.page.keyboard.press("Tab")
    assert await window.focused() == "copy-button"
    window.site.say(status="completed")
    await window.ended()
    assert await window.focused() == "title"
    await window.page.keyboard.press("Tab")
    assert await window.focused() == "ok-button"
    await window.page.keyboard.press("Enter")
    assert (await window.heard())[-1] == ["closed", "completed"]


@pytest.mark.parametrize("window", [{"reduced_motion": "reduce"}], indirect=True, ids=["reduced"])
async def test_nothing_moves_where_the_user_wants_no_motion(window: Any) -> None:
    """No transition and no animation on anything in the window."""
    moving = await window.page.evaluate(
        """() => [...document.querySelector("moica-transaction").shadowRoot.querySelectorAll("*")]
          .filter((e) => { const s = getComputedStyle(e);
            return s.animationName !== "none" || !/^0s(, 0s)*$/.test(s.transitionDuration); })
          .map((e) => e.outerHTML)"""
    )
    assert moving == []
