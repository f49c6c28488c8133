"""抽回, and a new version, while a signature is open; several signers one after another."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from document_system.web.keys import FOLLOW_UP

NUMBER = "1153000165"
"""Of clerk01, then chief01, then secretary01."""


async def sign(world: Any, browser: Any, number: str = NUMBER) -> Any:
    """Signed and passed on; the page 「公文送出」 as it was."""
    page = await browser.send_for_signing(number)
    world.gateway.end("completed")
    page = await browser.get(page.path)
    await browser.post(f"/documents/{number}/send", position=page.value("position"))
    return page


async def with_the_chief(world: Any) -> tuple[Any, Any, Any]:
    """The author, the chief, and the chief's window while the phone rings."""
    author = await world.browser("clerk01")
    await author.register(world.gateway, "clerk01")
    await sign(world, author)
    chief = await world.browser("chief01")
    await chief.register(world.gateway, "chief01")
    window = await chief.send_for_signing(NUMBER)
    assert window.data("status") == "pending"
    return author, chief, window


async def test_the_author_recalls_while_a_signature_is_open(world: Any) -> None:
    """The gateway cancels by document number; the window says so; late is late."""
    author, chief, window = await with_the_chief(world)
    page = await author.get("/dashboard/sent")
    assert NUMBER in page.words
    page = await author.get(f"/documents/{NUMBER}")
    assert "公文在 科長 陳美玲 手上，正在簽章" in page.words
    page = await author.post(f"/documents/{NUMBER}/recall")
    assert "公文已抽回" in page.words
    asked = [(at, body) for method, at, _, body in world.gateway.calls if method == "POST"][-1]
    assert asked == ("/v1/transactions/cancel", {"document_number": NUMBER})
    assert world.gateway.last()["status"] == "cancelled"
    page = await chief.get(window.path)
    assert (page.data("status"), page.data("error")) == ("cancelled", "recalled")
    assert "已取消簽章" in page.words
    assert "公文已由承辦人抽回" in page.words
    assert (await chief.get(f"/documents/{NUMBER}")).status == 404, "no longer on that desk"
    # The phone confirms all the same.
    txn = world.gateway.last()
    txn["documents"][0]["status"], txn["status"], txn["version"] = "completed", "completed", 9
    assert await world.webhook(world.gateway.event()) == 204
    assert (await chief.get(window.path)).data("status") == "cancelled"
    assert world.rows(
        "SELECT position, state, sealed, signed_version FROM documents WHERE number = ?", NUMBER
    ) == [(0, "已抽回", 0, None)]
    assert world.rows("SELECT version FROM signatures") == [(1,)]
    # The author signs anew, over what was signed before.
    page = await author.send_for_signing(NUMBER)
    assert world.gateway.created("signature")[-1][1]["document"]["version"] == "3"


async def test_a_recall_counts_at_once_while_the_gateway_is_away(world: Any) -> None:
    """Here it is cancelled; the gateway is told by the follow-up, and before anything new."""
    author, chief, window = await with_the_chief(world)
    await author.get(f"/documents/{NUMBER}")
    world.gateway.down = True
    page = await author.post(f"/documents/{NUMBER}/recall")
    assert "公文已抽回" in page.words
    page = await chief.get(window.path)
    assert "公文已由承辦人抽回" in page.words
    page = await author.send_for_signing(NUMBER)
    assert "尚未能通知簽章閘道取消，請稍後再試" in page.words
    world.gateway.down = False
    assert world.gateway.last()["status"] == "pending"
    await world.app[FOLLOW_UP].once()
    assert world.gateway.last()["status"] == "cancelled"
    assert world.rows("SELECT count(*) FROM withdrawals") == [(0,)]
    page = await author.send_for_signing(NUMBER)
    assert page.data("status") == "pending"
    await world.app[FOLLOW_UP].once()
    assert world.gateway.last()["status"] == "pending", "the new one is not cancelled"


async def test_only_the_author_recalls_and_only_what_is_under_way(world: Any) -> None:
    """The next in the route, a stranger, and the author of what was never sent: refused."""
    author = await world.browser("clerk01")
    await author.register(world.gateway, "clerk01")
    await author.get(f"/documents/{NUMBER}")
    page = await author.post(f"/documents/{NUMBER}/recall")
    assert "只有承辦人能抽回" in page.words
    await sign(world, author)
    chief = await world.browser("chief01")
    page = await chief.get(f"/documents/{NUMBER}")
    assert "抽回" not in page.words
    page = await chief.post(f"/documents/{NUMBER}/recall")
    assert "只有承辦人能抽回" in page.words
    stranger = await world.browser("clerk02")
    await stranger.get("/dashboard/main")
    assert (await stranger.post(f"/documents/{NUMBER}/recall")).status == 404
    assert world.rows("SELECT position FROM documents WHERE number = ?", NUMBER) == [(1,)]


async def test_one_of_a_batch_is_recalled(world: Any) -> None:
    """Its window says which, and why the others are cancelled; those may be begun again."""
    chief = await world.browser("chief01")
    await chief.register(world.gateway, "chief01")
    numbers = await world.lay("chief01", 3)
    window = await chief.batch(*numbers)
    author = await world.browser("clerk03")
    await author.get(f"/documents/{numbers[1]}")
    await author.post(f"/documents/{numbers[1]}/recall")
    page = await chief.get(window.path)
    assert page.data("status") == "cancelled"
    assert "公文已由承辦人抽回" in page.words
    assert page.words.count("同一批有公文抽回或修改") == 2
    assert f"/batches/new?number={numbers[0]}&amp;number={numbers[2]}" in page.text


async def test_what_is_recalled_from_a_batch_stays_recalled_when_the_batch_completes(
    world: Any,
) -> None:
    """The phone was quicker than the gateway's cancelling: the others are signed, this is not."""
    chief = await world.browser("chief01")
    await chief.register(world.gateway, "chief01")
    numbers = await world.lay("chief01", 3)
    window = await chief.batch(*numbers)
    author = await world.browser("clerk03")
    await author.get(f"/documents/{numbers[1]}")
    world.gateway.down = True
    await author.post(f"/documents/{numbers[1]}/recall")
    world.gateway.down = False
    world.gateway.end("completed")
    assert await world.webhook(world.gateway.event()) == 204
    page = await chief.get(window.path)
    for number, status in zip(numbers, ("completed", "cancelled", "completed"), strict=True):
        assert f'data-number="{number}" data-status="{status}"' in page.text
    assert world.rows("SELECT number FROM signatures ORDER BY number") == [
        (numbers[0],),
        (numbers[2],),
    ]
    where = "SELECT position, signed_version FROM documents WHERE number = ?"
    assert world.rows(where, numbers[1]) == [(0, None)]


async def test_a_new_version_while_a_signature_is_open(world: Any) -> None:
    """The clerk is told before and after; the old one is cancelled, its late outcome nothing."""
    browser = await world.browser("clerk01")
    await browser.register(world.gateway, "clerk01")
    window = await browser.send_for_signing(NUMBER)
    page = await browser.get(f"/documents/{NUMBER}/edit")
    assert "按「儲存」即取消先前送出的簽章（版本 1）" in page.words
    page = await browser.post(
        f"/documents/{NUMBER}/edit", subject="新的主旨", body="新的內容", withdraw="yes"
    )
    assert "先前送出的簽章已取消；請重新「蓋章」後送出" in page.words
    assert world.gateway.last()["status"] == "cancelled"
    page = await browser.get(window.path)
    assert (page.data("status"), page.data("error")) == ("cancelled", "new_version")
    assert "公文內容已修改，先前送出簽章的版本已取消" in page.words
    old = world.gateway.last()
    page = await browser.send_for_signing(NUMBER)
    assert world.gateway.last()["documents"][0]["version"] == "2"
    old["documents"][0]["status"], old["status"], old["version"] = "completed", "completed", 9
    assert await world.webhook(world.gateway.event(old)) == 204
    # Nor does it count for the new one, whose transaction it is made to bear.
    forged = world.gateway.event(old, transaction_id=world.gateway.last()["id"])
    assert await world.webhook(forged) == 204
    assert (await browser.get(page.path)).data("status") == "pending"
    assert world.rows("SELECT signed_version FROM documents WHERE number = ?", NUMBER) == [(None,)]


async def test_one_of_a_batch_is_changed_and_the_batch_completes_all_the_same(world: Any) -> None:
    """Still on the same desk, but what was signed is the old version: it does not count."""
    chief = await world.browser("chief01")
    await chief.register(world.gateway, "chief01")
    numbers = await world.lay("chief01", 3)
    window = await chief.batch(*numbers)
    await chief.get(f"/documents/{numbers[1]}/edit")
    world.gateway.down = True
    page = await chief.post(
        f"/documents/{numbers[1]}/edit", subject="新的主旨", body="", withdraw="yes"
    )
    assert "先前送出的簽章已取消" in page.words
    world.gateway.down = False
    world.gateway.end("completed")
    assert await world.webhook(world.gateway.event()) == 204
    where = "SELECT signed_version FROM documents WHERE number IN (?, ?, ?) ORDER BY number"
    assert world.rows(where, *numbers) == [(1,), (None,), (1,)]
    page = await chief.get(window.path)
    assert "請回到公文，重新「蓋章」後送出新的版本。" in page.words
    page = await chief.post(f"{window.path}/send")
    assert "已送出 2 件" in page.words


async def test_nobody_elses_signature_is_cancelled_by_editing(world: Any) -> None:
    """A deputy signs; the holder's form with the same words changes nothing."""
    chief = await world.browser("chief01")
    await chief.get("/deputies")
    await chief.post("/deputies", deputy="clerk05", until="2026-05-10")
    deputy = await world.browser("clerk05")
    await deputy.register(world.gateway, "clerk05")
    page = await deputy.batch("1153000151", "1153000152", reason="公假")
    page = await chief.post("/documents/1153000151/edit", subject="x", body="", withdraw="yes")
    assert "公文簽章中，請先完成或取消簽章。" in page.words
    assert world.gateway.last()["status"] == "pending"


@pytest.mark.parametrize("lost", [0, 4])
async def test_what_is_taken_back_while_the_gateway_makes_it_rings_no_longer(
    world: Any, lost: int
) -> None:
    """The answer of the creation was lost: recalling still finds the transaction by its number."""
    chief = await world.browser("chief01")
    await chief.register(world.gateway, "chief01")
    [number] = await world.lay("chief01", 1)
    await chief.get(f"/documents/{number}")
    await chief.post(f"/documents/{number}/seal", action="place")
    world.gateway.lose_answers = lost
    await chief.post(f"/documents/{number}/sign")
    author = await world.browser("clerk03")
    await author.get(f"/documents/{number}")
    await author.post(f"/documents/{number}/recall")
    assert world.gateway.last()["status"] == "cancelled"
    assert world.rows("SELECT status FROM confirmations ORDER BY rowid DESC LIMIT 1") == [
        ("cancelled",)
    ]


async def test_three_sign_one_after_another(world: Any) -> None:
    """Each a version of their own over the signatures before; all are listed and fetched."""
    signers = [("clerk01", "王小明"), ("chief01", "陳美玲"), ("secretary01", "林志成")]
    page = None
    for user, _ in signers:
        browser = await world.browser(user)
        await browser.register(world.gateway, user)
        world.clock.pass_seconds(60)
        page = await sign(world, browser)
    assert page is not None
    author = await world.browser("clerk01")
    page = await author.get(f"/documents/{NUMBER}")
    for version, (_, name) in enumerate(signers, 1):
        assert f"{name} 版本 {version} 簽章時間 115/04/30 09:0{version}:00" in page.words
        for kind in ("content", "signature.p7s"):
            path = f"/documents/{NUMBER}/versions/{version}/{kind}"
            assert f'href="{path}"' in page.text
            assert (await author.get(path)).status == 200
    stored = world.rows(
        "SELECT content, artifact FROM versions JOIN signatures USING (number, version) "
        "ORDER BY version"
    )
    for later in (1, 2):
        for earlier in range(later):
            digest = hashlib.sha256(stored[earlier][1]).hexdigest()
            assert f"簽章檔 SHA-256 {digest}".encode() in stored[later][0]
    assert "已決行" in (await author.get("/dashboard/sent")).words
    await author.get(f"/documents/{NUMBER}")
    page = await author.post(f"/documents/{NUMBER}/recall")
    assert "只有承辦人能抽回" in page.words, "nothing is recalled once it is through"
