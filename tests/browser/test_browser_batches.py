"""Several documents under one confirmation, deputies, recall, new versions, three signers."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.widget.test_widget_accessible import faults, sideways

from .conftest import SCREENSHOTS
from .desk import FAILED, SENDING, SIGNING, expect

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def looked_at(one: Any, name: str, page: Any = None) -> None:
    """Pictures for a person, wide, narrow and dark; axe-core finds nothing, nothing sticks out."""
    page = page or one.page
    looks = [(1280, "light"), (320, "dark")]
    if os.environ.get(SCREENSHOTS):
        looks += [(320, "light"), (1280, "dark")]
    for width, scheme in looks:
        await page.set_viewport_size({"width": width, "height": 800})
        # A button takes a moment to change its colour, which axe-core would measure halfway.
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        if os.environ.get(SCREENSHOTS):
            await one.shoot(f"{name}-{width}-{scheme}", page, whole=True)
        assert await faults(page, None) == [], (name, width, scheme)
        assert await sideways(page) == 0, (name, width, scheme)
    await page.set_viewport_size({"width": 1280, "height": 800})
    await page.emulate_media(color_scheme="light", reduced_motion="no-preference")


async def choose(one: Any, tab: str, *numbers: str, rows: int = 10) -> None:
    """The boxes on the dashboard, and 「連續簽章」."""
    await one.page.goto(f"{one.stage.desk_url}/dashboard/{tab}?rows={rows}")
    for count, number in enumerate(numbers, 1):
        await one.page.get_by_label(f"選擇公文 {number}", exact=True).check()
        await expect(one.page.locator(".selected")).to_have_text(f"已選擇 {count} 項")
    await one.button("連續簽章").click()
    await expect(one.heading("連續簽章")).to_be_visible()
    await expect(one.page.locator(".selected")).to_have_text(re.compile(r"已選擇 \d+ 項"))


async def results(one: Any) -> dict[str, str]:
    """By document."""
    found = one.page.locator(".results li")
    return {
        await found.nth(n).get_attribute("data-number"): await found.nth(n).get_attribute(
            "data-status"
        )
        for n in range(await found.count())
    }


def verified(one: Any, content: Path, signature: Path) -> None:
    """OpenSSL agrees."""
    now = str(int(one.stage.simulator.clock.now().timestamp()))
    done = subprocess.run(
        ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-cades", "-attime", now,
         "-in", str(signature), "-content", str(content), "-CAfile", str(one.stage.anchors)],
        capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


async def downloaded(one: Any, link: Any, path: Path) -> Path:
    """What a link leads to."""
    async with one.page.expect_download() as download:
        await link.click()
    await (await download.value).save_as(path)
    return path


async def test_three_documents_are_signed_with_one_confirmation(clerk: Any, tmp_path: Path) -> None:
    """Chosen, listed, 「確認」 once; a result and a signature for each, sent with one button."""
    one = await clerk()
    phone = await one.phone()
    numbers = [one.number, *await one.stage.lay(one.person, one.person, count=2)]
    await choose(one, "main", *numbers)
    await looked_at(one, "batch-list")
    await one.page.goto(f"{one.stage.desk_url}/dashboard/main")
    await looked_at(one, "batch-dashboard")
    await choose(one, "main", *numbers)
    await one.button("儲存並送出").click()
    await expect(one.part("title")).to_have_text(SIGNING)
    await expect(one.part("document-number")).to_contain_text("等 3 件")
    await looked_at(one, "batch-signing")
    await phone.open_notification()
    await expect(phone.hint).to_contain_text("等 3 件")
    await one.shoot("batch-phone", phone.page)
    await phone.confirm()
    await one.page.bring_to_front()
    await expect(one.heading(SENDING)).to_be_visible()
    await expect(one.page.get_by_text("簽章檔 .p7s")).to_have_count(3)
    assert await results(one) == dict.fromkeys(numbers, "completed")
    await looked_at(one, "batch-completed")
    for number in numbers:
        row = one.page.locator(f'.results li[data-number="{number}"]')
        content = await downloaded(one, row.get_by_text("原文"), tmp_path / f"{number}.txt")
        signature = await downloaded(
            one, row.get_by_text("簽章檔 .p7s"), tmp_path / f"{number}.p7s"
        )
        assert number.encode() in content.read_bytes()
        verified(one, content, signature)
    await one.button("送出").click()
    await expect(one.page.get_by_text("已送出 3 件")).to_be_visible()
    for number in numbers:
        assert (await one.stage.document(number)).position == 1
    # One to register, one for all three.
    assert (one.stage.rings(one.person), one.stage.bulk_rings(one.person)) == (1, 1)


async def test_twenty_one_documents_one_refused_one_lapsed(clerk: Any) -> None:
    """One is refused beforehand, which and why; twenty-one go on in two tickets; the second
    lapses: what is signed stays, and the rest starts again."""
    one = await clerk()
    phone = await one.phone()
    [bad] = await one.stage.lay(one.person, one.person, suffix="~1")
    numbers = {one.number, *await one.stage.lay(one.person, one.person, count=20)}
    begun = one.stage.begun
    await one.page.goto(f"{one.stage.desk_url}/dashboard/main?rows=50")
    await one.page.get_by_label("全選").check()
    await expect(one.page.locator(".selected")).to_have_text("已選擇 22 項")
    await one.button("連續簽章").click()
    await one.button("儲存並送出").click()
    window = await one.ended(FAILED)
    await expect(window).to_contain_text("尚未通知手機")
    refused = one.page.locator(f'.results li[data-number="{bad}"]')
    await expect(refused).to_contain_text("公文文號含有手機畫面不能顯示的字元")
    await one.shoot("batch-refused", whole=True)
    assert one.stage.begun == begun
    await one.page.get_by_role("link", name="其餘 21 件重新簽章").click()
    await expect(one.page.locator(".selected")).to_have_text("已選擇 21 項")
    await one.button("儲存並送出").click()
    await expect(one.part("document-number")).to_contain_text("等 21 件")
    await phone.open_notification()
    await phone.confirm()
    await phone.open_notification()
    await one.page.reload()
    seen = await results(one)
    assert set(seen) == numbers
    assert sorted(seen.values()) == ["completed"] * 20 + ["pending"]
    # One to register and one for the last; one for twenty.
    assert (one.stage.rings(one.person), one.stage.bulk_rings(one.person)) == (2, 1)
    one.stage.advance(61)
    window = await one.ended(FAILED)
    await expect(window).to_contain_text("已簽章 20 件，未簽章 1 件")
    await expect(one.page.get_by_text("簽章檔 .p7s")).to_have_count(20)
    await looked_at(one, "batch-partial")
    await one.button("送出已簽章的 20 件").click()
    await expect(one.page.get_by_text("已送出 20 件")).to_be_visible()
    await one.page.get_by_role("link", name="其餘 1 件重新簽章").click()
    await one.button("儲存並送出").click()
    await expect(one.part("title")).to_have_text(SIGNING)
    [last] = [number for number, status in seen.items() if status == "pending"]
    await expect(one.part("document-number")).to_have_text(last)


async def test_a_deputy_signs_for_the_holder(clerk: Any) -> None:
    """Appointed on the page, named in list, window and record; the reason is required."""
    one, other = await clerk(name="陳美玲"), await clerk(name="吳俊傑")
    phone = await other.phone()
    await one.page.goto(f"{one.stage.desk_url}/deputies")
    await one.page.locator("#deputy").select_option(other.person.user.user_id)
    tomorrow = one.stage.simulator.clock.now().date().replace(day=28).isoformat()
    await one.page.get_by_label("代理至").fill(tomorrow)
    await one.button("新增").click()
    await expect(one.page.get_by_text("為代理人")).to_be_visible()
    await looked_at(one, "deputies")
    await other.page.goto(f"{one.stage.desk_url}/dashboard/main")
    row = other.page.get_by_role("row").filter(has_text=one.number)
    await expect(row).to_contain_text("代理 承辦人 陳美玲")
    await row.get_by_role("link").first.click()
    await other.to_the_route()
    await looked_at(other, "deputy-route")
    await other.page.get_by_label("代理事由").fill("公假")
    await other.button("儲存並送出").click()
    await phone.open_notification()
    await expect(phone.hint).to_contain_text(one.number)
    await phone.confirm()
    await other.page.bring_to_front()
    await expect(other.page.get_by_text("吳俊傑（代 承辦人 陳美玲，公假）")).to_be_visible()
    await other.pass_on()
    await one.page.goto(f"{one.stage.desk_url}/documents/{one.number}")
    await expect(one.page.get_by_text("代 承辦人 陳美玲（公假）")).to_be_visible()
    await looked_at(one, "deputy-record")


async def test_recalled_while_the_phone_rings(clerk: Any) -> None:
    """The author presses 「抽回」; the window of who was signing ends by itself; late is late."""
    author, chief = await clerk(), await clerk(name="陳美玲")
    phone = await chief.phone()
    [number] = await author.stage.lay(author.person, chief.person, position=1)
    await choose(chief, "review", number)
    await chief.button("儲存並送出").click()
    await expect(chief.part("title")).to_have_text(SIGNING)
    await phone.open_notification()
    await author.page.goto(f"{author.stage.desk_url}/dashboard/sent")
    await looked_at(author, "sent")
    await author.page.get_by_role("row").filter(has_text=number).get_by_role("link").click()
    await expect(author.page.get_by_text("正在簽章")).to_be_visible()
    await author.button("抽回").click()
    await expect(author.page.get_by_text("公文已抽回")).to_be_visible()
    window = await chief.ended("已取消簽章")
    await expect(window).to_contain_text("公文已由承辦人抽回")
    await looked_at(chief, "recalled")
    await phone.page.bring_to_front()
    await phone.confirm()
    await chief.stage.late_answer(number)
    await chief.page.bring_to_front()
    await chief.page.reload()
    await chief.ended("已取消簽章")
    await chief.page.get_by_role("link", name="確定").click()
    await expect(chief.heading("儀錶板")).to_be_visible()
    document = await chief.stage.document(number)
    assert (document.position, document.signed_version) == (0, None)


async def test_a_new_version_while_the_phone_rings(clerk: Any) -> None:
    """Told before and after; the window of the old version says why it ended."""
    one = await clerk()
    phone = await one.phone()
    await one.send_for_signing()
    await phone.open_notification()
    tab = await one.tab()
    await tab.goto(f"{one.stage.desk_url}/documents/{one.number}")
    await tab.get_by_role("link", name="修改內容並取消這次簽章").click()
    await expect(tab.get_by_text("按「儲存」即取消先前送出的簽章（版本 1）")).to_be_visible()
    await looked_at(one, "edit-while-open", tab)
    await tab.get_by_label("說明").fill("新的內容")
    await tab.get_by_role("button", name="儲存", exact=True).click()
    await expect(tab.get_by_text("先前送出的簽章已取消")).to_be_visible()
    window = await one.ended("已取消簽章")
    await expect(window).to_contain_text("公文內容已修改，先前送出簽章的版本已取消")
    await phone.page.bring_to_front()
    await phone.confirm()
    await one.stage.late_answer(one.number)
    await one.page.bring_to_front()
    await one.page.get_by_role("link", name="確定").click()
    await one.to_the_route()
    await one.button("儲存並送出").click()
    await expect(one.part("title")).to_have_text(SIGNING)
    await phone.page.bring_to_front()
    await phone.button("完成").click() if await phone.button("完成").is_visible() else None
    await phone.open_notification()
    await phone.confirm()
    await one.page.bring_to_front()
    await expect(one.page.get_by_text("簽章檔 .p7s")).to_be_visible()
    assert (await one.stage.document(one.number)).signed_version == 2


async def test_three_sign_one_after_another_with_an_attachment(clerk: Any, tmp_path: Path) -> None:
    """Each over what was signed before; all are listed; a changed attachment is seen."""
    names = ("王小明", "陳美玲", "林志成")
    signers = [await clerk(name=name) for name in names]
    author, chief, _ = signers
    [number] = await author.stage.lay(*(one.person for one in signers))
    plan = tmp_path / "實施計畫.txt"
    plan.write_text("第一版\n", encoding="utf-8")
    await author.page.goto(f"{author.stage.desk_url}/documents/{number}/edit")
    await author.page.get_by_label("檔案").set_input_files(plan)
    await author.button("加入附件").click()
    await expect(author.page.get_by_text("已加入附件")).to_be_visible()
    await looked_at(author, "edit-attachment")
    for one in signers:
        phone = await one.phone()
        await one.page.goto(f"{one.stage.desk_url}/documents/{number}")
        if one is chief:
            await one.page.get_by_role("link", name="編輯", exact=True).click()
            await one.button("移除 實施計畫.txt").click()
            await expect(one.page.get_by_text("已移除附件")).to_be_visible()
            await one.page.goto(f"{one.stage.desk_url}/documents/{number}")
            await expect(one.page.get_by_text("附件已變更")).to_be_visible()
        await one.to_the_route()
        await one.button("儲存並送出").click()
        await phone.open_notification()
        await phone.confirm()
        await one.page.bring_to_front()
        await expect(one.page.get_by_text("簽章檔 .p7s")).to_be_visible()
        await one.button("送出").click()
        await expect(one.page.get_by_text(f"公文 {number} 已")).to_be_visible()
    await author.page.goto(f"{author.stage.desk_url}/documents/{number}")
    await looked_at(author, "three-signers")
    shown = author.page.locator(".signature")
    await expect(shown).to_have_count(3)
    for at, name in enumerate(names):
        await expect(shown.nth(at)).to_contain_text(f"{name}　版本 {at + 1}")
        content = await downloaded(
            author, shown.nth(at).get_by_text("原文"), tmp_path / f"{at}.txt"
        )
        signature = await downloaded(
            author, shown.nth(at).get_by_text("簽章檔 .p7s"), tmp_path / f"{at}.p7s"
        )
        verified(author, content, signature)
    await expect(shown.nth(0)).to_contain_text("附件已變更")


async def test_without_scripts_the_style_sheet_counts(clerk: Any) -> None:
    """「已選擇 n 項」 follows the boxes, and 「連續簽章」 is a plain form."""
    one = await clerk(context={"java_script_enabled": False})
    [second] = await one.stage.lay(one.person, one.person)
    await one.page.goto(f"{one.stage.desk_url}/dashboard/main")
    session = await one.context.new_cdp_session(one.page)

    async def counted() -> str:
        """As a screen reader has it: what a style sheet writes is in no text of the page."""
        nodes = (await session.send("Accessibility.getFullAXTree"))["nodes"]
        by_id = {one["nodeId"]: one for one in nodes}

        def text(node: Any) -> str:
            own = node.get("name", {}).get("value", "")
            return own if node["role"]["value"] == "StaticText" else inside(node)

        def inside(node: Any) -> str:
            return "".join(text(by_id[id_]) for id_ in node["childIds"] if id_ in by_id)

        [whole] = [
            inside(one)
            for one in nodes
            if "已選擇" in inside(one) and one["role"]["value"] in ("paragraph", "generic")
        ][-1:]
        return str(whole).replace(" ", "")

    assert "已選擇0項" in await counted()
    for number in (one.number, second):
        await one.page.get_by_label(f"選擇公文 {number}", exact=True).check()
    assert "已選擇2項" in await counted()
    await one.shoot("no-script-chosen")
    await one.button("連續簽章").click()
    await expect(one.heading("連續簽章")).to_be_visible()
    assert "已選擇2項" in await counted()
