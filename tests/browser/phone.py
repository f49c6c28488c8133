"""The simulated phone's page, as its holder uses it, and what its camera would read."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import zxingcpp
from attrs import define

api: Any = pytest.importorskip(
    "playwright.async_api", reason="the flows are NOT WALKED: playwright is not installed"
)
expect = api.expect


def code_on(picture: Any) -> str:
    """The one QR code on a picture.

    Raises:
        AssertionError: when there is none, or more than one.
    """
    found = [one.text for one in zxingcpp.read_barcodes(picture) if "QR" in str(one.format)]
    assert len(found) == 1, f"expected one QR code on the screen, found {len(found)}"
    return found[0]


@define(kw_only=True)
class PhonePage:
    """One phone in one tab."""

    page: Any

    def heading(self, name: str) -> Any:
        """The title of the app's screen."""
        return self.page.get_by_role("heading", name=name, exact=True)

    def button(self, name: str) -> Any:
        """By its whole name."""
        return self.page.get_by_role("button", name=name, exact=True)

    @property
    def hint(self) -> Any:
        """What the app says that one is about to sign."""
        return self.page.locator("#request-hint")

    @property
    def notification(self) -> Any:
        """What drops in from above."""
        return self.page.locator("#notification")

    @property
    def problem(self) -> Any:
        """What the app complains about."""
        return self.page.locator("#problem")

    @property
    def result(self) -> Any:
        """What the app says at the end."""
        return self.page.locator("#result-detail")

    @contextlib.asynccontextmanager
    async def deaf(self) -> AsyncIterator[None]:
        """Meanwhile it hears nothing by itself, as with a poor line: what is shown is old."""
        heard = asyncio.Event()

        async def wait(route: Any) -> None:
            await heard.wait()
            await route.continue_()

        await self.page.route("**/inbox?*", wait)
        try:
            yield
        finally:
            heard.set()

    def expect_pictures_without_code(self, clerk: Any) -> None:
        """Each of them is a 422, which the browser's console tells of."""
        clerk.forgiven.append("422")

    async def unlock(self) -> None:
        """From the lock screen into the app; nothing where it is open already."""
        await self.page.bring_to_front()
        if await self.button("解鎖").is_visible():
            await self.button("解鎖").click()
        await expect(self.button("鎖定螢幕")).to_be_visible()

    async def open_notification(self) -> None:
        """Taps the notification, on the lock screen or in the app."""
        await self.page.bring_to_front()
        await self.notification.click()
        await expect(self.button("確認")).to_be_visible()

    async def scan(self, content: str) -> None:
        """【掃碼驗證】, and what the camera would have read, pasted."""
        await self.unlock()
        await self.button("掃碼驗證").click()
        await self.page.locator("#screen-scan textarea").fill(content)
        await self.page.locator("#screen-scan").get_by_role("button", name="送出").click()

    async def approve(self) -> None:
        """「確認」, and the finger that it asks for."""
        await self.button("確認").click()
        await self.button("按壓指紋感應器").click()

    async def confirm(self) -> None:
        """「確認」, the finger, and 「完成」."""
        await self.approve()
        await expect(self.heading("驗證成功")).to_be_visible()
        await self.button("完成").click()

    async def refuse(self) -> None:
        """「取消」."""
        await self.button("取消").click()
        await expect(self.heading("您已取消")).to_be_visible()

    async def bind(self, code: str, name: str) -> None:
        """「掃描註冊啟用碼 QR Code」, with the code typed."""
        await self.unlock()
        await self.button("掃描註冊啟用碼 QR Code").click()
        await self.page.get_by_label("註冊啟用碼").fill(code)
        await self.button("註冊").click()
        await expect(self.heading(f"{name}，您好")).to_be_visible()
