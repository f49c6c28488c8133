"""「前往內政部網站驗證」: the form is posted at the user's press, into a window of its own."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

FIELDS = {
    "transaction_id": "41570c02",
    "op_code": "SIGN",
    "hint": "公文文號：1 驗證碼：42",
    "submit": "x",
}


def by_redirect(window: Any, action: str | None = None, **more: Any) -> None:
    form = {"action": action or f"{window.site.url}fidoRedirect/web", "fields": FIELDS}
    window.site.say(challenges=[window.site.challenge("chl_1", "redirect", form=form, **more)])


async def test_the_form_goes_out_at_a_press_and_this_window_stays(window: Any) -> None:
    """All fields as they are; the new window cannot reach this one, which shows the result."""
    by_redirect(window)
    button = window.button("前往內政部網站驗證")
    await button.wait_for()
    assert "前往內政部網站驗證" in await window.text("status")
    assert window.site.carried == []
    async with window.page.context.expect_page() as opened:
        await button.click()
    popup = await opened.value
    await popup.get_by_text("內政部").wait_for()
    assert window.site.carried == [FIELDS]
    assert await popup.evaluate("window.opener") is None
    await popup.close()
    window.site.say(status="completed", challenges=[])
    assert await window.ended()
    assert not await window.seen("site-button")


async def test_pressed_again_the_same_form_goes_out_again(window: Any) -> None:
    """Whoever closed the site's window may go there once more."""
    by_redirect(window)
    for _ in range(2):
        async with window.page.context.expect_page() as opened:
            await window.button("前往內政部網站驗證").click()
        popup = await opened.value
        await popup.get_by_text("內政部").wait_for()
        await popup.close()
    assert window.site.carried == [FIELDS, FIELDS]
    assert (
        await window.page.evaluate(
            "document.querySelector('moica-transaction').shadowRoot.querySelector('form')"
        )
        is None
    )


async def test_what_has_lapsed_or_is_no_address_is_not_offered(window: Any) -> None:
    """No button after the time limit, and none for a script in place of an address."""
    by_redirect(window, "javascript:window.stolen=1")
    await window.part("match-code").wait_for()
    await window.says("status", "時間已到")
    assert not await window.seen("site-button")
    by_redirect(window)
    await window.part("site-button").wait_for()
    by_redirect(window, left=-1)
    await window.part("site-button").wait_for(state="hidden")
