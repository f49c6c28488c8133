"""A clerk in front of the document system: what they see and press, word for word."""

from __future__ import annotations

import io
import re
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from document_system.store.users import add_session
from document_system.web import keys
from document_system.web.security import COOKIE

from .phone import PhonePage, code_on
from .stage import PASSWORD, Person, Stage

api: Any = pytest.importorskip(
    "playwright.async_api", reason="the flows are NOT WALKED: playwright is not installed"
)
expect = api.expect

SIGNING = "行動自然人憑證簽章中"
FAILED = "憑證加簽失敗"
SENDING = "公文送出"


@define(kw_only=True)
class Clerk:
    """Somebody with a browser: the document system in one tab, the phone in another."""

    stage: Stage
    person: Person
    context: Any
    page: Any
    album: Path
    complaints: list[str] = field(factory=list)
    forgiven: list[str] = field(factory=list)
    """Patterns of console messages that a test provokes on purpose."""

    # -- where one is

    @property
    def number(self) -> str:
        """Of the document on the desk."""
        return self.person.number

    def part(self, name: str, page: Any = None) -> Any:
        """A part of the window of the widget."""
        return (page or self.page).locator(f'moica-transaction [part="{name}"]')

    def button(self, name: str, page: Any = None) -> Any:
        """By its whole name."""
        return (page or self.page).get_by_role("button", name=name, exact=True)

    def heading(self, name: str, page: Any = None) -> Any:
        """The title of a page, a window or a dialogue."""
        return (page or self.page).get_by_role("heading", name=name, exact=True)

    async def shoot(self, name: str, page: Any = None, *, whole: bool = False) -> Any:
        """A picture, kept in the album, of what is on the screen now."""
        from PIL import Image

        shot = page or self.page
        # A tab behind another is drawn once a second only.
        await shot.bring_to_front()
        await shot.wait_for_load_state("load")
        await shot.evaluate("document.fonts.ready.then(() => true)")
        data = await shot.screenshot(
            path=self.album / f"{name}.png", full_page=whole, animations="disabled"
        )
        return Image.open(io.BytesIO(data))

    # -- what one does

    async def sign_in(self) -> None:
        """登入."""
        await self.page.goto(f"{self.stage.desk_url}/")
        await self.page.get_by_label("帳號").fill(self.person.user.user_id)
        await self.page.get_by_label("密碼").fill(PASSWORD)
        await self.button("登入").click()
        await expect(self.heading("儀錶板")).to_be_visible()

    async def come_signed_in(self) -> None:
        """With a session that was begun before."""
        token = secrets.token_urlsafe(32)
        desk = self.stage.desk[keys.DESK]
        now = desk.clock()
        await desk.database.run(
            add_session, token, self.person.user.user_id, now, now + timedelta(hours=1)
        )
        await self.context.add_cookies(
            [{"name": COOKIE, "value": token, "url": self.stage.desk_url, "httpOnly": True}]
        )

    async def phone(self) -> PhonePage:
        """The phone's page in a further tab."""
        page = await self.context.new_page()
        await page.goto(f"{self.stage.simulator.url}/phone/{self.person.device}")
        phone = PhonePage(page=page)
        await expect(phone.button("解鎖")).to_be_visible()
        return phone

    async def open_dialog(self) -> None:
        """【基本資料】→【使用者憑證登記】→「新增」."""
        if not self.page.url.startswith(self.stage.desk_url):
            await self.page.goto(f"{self.stage.desk_url}/")
        await self.page.get_by_text("基本資料", exact=True).first.click()
        await self.page.get_by_role("link", name="使用者憑證登記").click()
        await expect(self.heading("使用者憑證登記")).to_be_visible()
        await self.page.get_by_role("link", name="新增").click()
        await expect(self.page.get_by_role("dialog", name="登記憑證")).to_be_visible()

    async def apply(self, id_number: str = "") -> None:
        """「行動自然人憑證」, 「身分證字號」, 「申請」."""
        await self.page.get_by_label("行動自然人憑證").check()
        await self.page.get_by_label("身分證字號").fill(id_number or self.person.id_number)
        await self.button("申請").click()

    async def tab(self) -> Any:
        """A further tab of the same browser, so of the same session."""
        page = await self.context.new_page()
        await page.goto(f"{self.stage.desk_url}/")
        await expect(self.heading("儀錶板", page)).to_be_visible()
        return page

    async def open_document(self, page: Any = None) -> None:
        """Dashboard 【主辦公文】, then the subject."""
        page = page or self.page
        await page.goto(f"{self.stage.desk_url}/dashboard/main")
        row = page.get_by_role("row").filter(has_text=self.number)
        await row.get_by_role("link").first.click()
        await expect(page.get_by_text(f"公文文號 {self.number}")).to_be_visible()

    async def to_the_route(self) -> None:
        """蓋章 and 「送出」: the route to check."""
        await self.button("蓋章").click()
        await expect(self.button("取消蓋章")).to_be_visible()
        await self.button("送出").click()
        await expect(self.heading("送出前請檢查流程")).to_be_visible()

    async def send_for_signing(self) -> None:
        """From the dashboard to the window 「行動自然人憑證簽章中」, while the phone rings."""
        await self.open_document()
        await self.to_the_route()
        await self.button("儲存並送出").click()
        await expect(self.part("title")).to_have_text(SIGNING)
        await expect(self.part("countdown")).to_have_text(re.compile(r"剩餘 \d+ 秒"))

    async def ask_for_code(self, page: Any = None) -> str:
        """「QR Code 模式登入」; the code, read from the screen."""
        await self.part("qr-button", page).click()
        return await self.read_code(page)

    async def read_code(self, page: Any = None) -> str:
        """What a phone held before the screen would read."""
        drawn = self.part("qr", page).locator("svg")
        await expect(drawn).to_be_visible()
        await (page or self.page).bring_to_front()
        await drawn.scroll_into_view_if_needed()
        return code_on(await self.shoot(f"{self.number}-code", page))

    async def pass_on(self) -> None:
        """「公文送出」 and 「送出」 there."""
        await expect(self.heading(SENDING)).to_be_visible()
        await expect(self.page.get_by_text("內政部憑證管理中心")).to_be_visible()
        await self.button("送出").click()
        await expect(self.page.get_by_text("已送出至")).to_be_visible()

    async def ended(self, title: str) -> Any:
        """The window that says how it ended."""
        window = self.page.get_by_role("alertdialog", name=title)
        await expect(window).to_be_visible()
        return window

    async def back_to_the_document(self) -> None:
        """「確定」, and nothing is lost: the seal is there, 「送出」 is offered again."""
        await self.page.get_by_role("link", name="確定").click()
        await expect(self.page.get_by_text(f"公文文號 {self.number}")).to_be_visible()
        await expect(self.button("取消蓋章")).to_be_visible()
        await expect(self.button("送出")).to_be_visible()

    # -- what stands behind the pages

    async def not_sent(self) -> None:
        """The document is still here, sealed, unsigned."""
        document = await self.stage.document(self.number)
        assert (document.position, document.sealed, document.signed_version) == (0, True, None)

    async def signed_but_here(self) -> None:
        """Signed, and still here: only 「送出」 passes it on."""
        document = await self.stage.document(self.number)
        assert (document.position, document.signed_version) == (0, 1)

    async def sent(self) -> None:
        """The document is with the next person."""
        document = await self.stage.document(self.number)
        assert document.position == 1
