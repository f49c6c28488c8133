"""連續簽章: several documents, one confirmation, a result for each."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from typing import Any

import pytest

from document_system.web.keys import FOLLOW_UP

THREE = ["1153000151", "1153000152", "1153000153"]
REFUSED = "1153000150~1"


async def chief(world: Any) -> Any:
    """The reviewer, with a certificate."""
    browser = await world.browser("chief01")
    await browser.register(world.gateway, "chief01")
    return browser


def items(world: Any) -> list[tuple[Any, ...]]:
    """Number and outcome of everything that was ever sent, oldest first."""
    return world.rows(
        "SELECT number, items.status FROM items JOIN confirmations ON id = confirmation_id "
        "ORDER BY confirmations.rowid, position"
    )


def signed(world: Any) -> list[str]:
    """The documents on a desk that are signed."""
    found = world.rows("SELECT number FROM documents WHERE signed_version = 1 ORDER BY number")
    return [number for (number,) in found]


async def test_three_documents_with_one_confirmation(world: Any) -> None:
    """Chosen, listed, frozen, asked once, signed each, fetched each, sent all."""
    browser = await chief(world)
    page = await browser.get("/dashboard/review")
    assert "已選擇 0 項" in page.words
    page = await browser.post("/dashboard/review/batch", number=THREE)
    assert "連續簽章" in page.words
    assert "已選擇 3 項" in page.words
    for number in THREE:
        assert f'value="{number}" checked' in page.text
    page = await browser.post("/batches", number=THREE)
    assert "行動自然人憑證簽章中" in page.words
    assert page.data("status") == "pending"
    [(key, body)] = world.gateway.created("signature")
    assert key is not None
    assert [one["number"] for one in body["documents"]] == THREE
    assert [one["id"] for one in body["documents"]] == ["doc-1", "doc-2", "doc-3"]
    frozen = world.rows("SELECT sha256, content FROM versions ORDER BY number")
    assert [one["sha256"] for one in body["documents"]] == [row[0] for row in frozen]
    assert all(hashlib.sha256(content).hexdigest() == sha256 for sha256, content in frozen)
    assert "簽章中" in (await browser.get("/dashboard/review")).words
    world.gateway.end("completed")
    page = await browser.get(page.path)
    assert page.data("status") == "completed"
    assert "公文送出" in page.words
    assert page.words.count("已簽章") == 4  # each, and the sum
    assert page.words.count("簽章檔 .p7s") == 3
    assert signed(world) == THREE
    transaction = world.gateway.last()["id"].encode()
    assert world.rows("SELECT artifact FROM signatures ORDER BY number") == [
        (b"0\x82signature of doc-%d of %s" % (one, transaction),) for one in (1, 2, 3)
    ]
    page = await browser.post(f"{page.path}/send")
    assert "已送出 3 件" in page.words
    where = "SELECT position, sealed FROM documents WHERE number IN (?, ?, ?)"
    assert world.rows(where, *THREE) == [(2, 0)] * 3
    page = await browser.post(f"{page.path}/send")
    assert "沒有待送出的公文" in page.words
    assert world.rows(where, *THREE) == [(2, 0)] * 3


async def test_twenty_one_and_more_are_one_request(world: Any) -> None:
    """The gateway makes tickets of them; what a ticket has signed is recorded while it goes on."""
    browser = await chief(world)
    numbers = await world.lay("chief01", 25)
    page = await browser.get("/dashboard/review?rows=50")
    assert all(f'value="{one}"' in page.text for one in numbers)
    page = await browser.batch(*numbers)
    assert len(world.gateway.created("signature")) == 1
    world.gateway.sign(20)
    page = await browser.get(page.path)
    assert page.data("status") == "pending"
    assert signed(world) == numbers[:20]
    assert page.text.count('data-status="completed"') == 20
    world.gateway.end("completed")
    page = await browser.get(page.path)
    assert signed(world) == numbers
    assert world.rows("SELECT count(*) FROM signatures") == [(25,)]
    page = await browser.post(f"{page.path}/send")
    assert "已送出 25 件" in page.words


async def test_one_refused_beforehand_is_named_and_the_others_go_on(world: Any) -> None:
    """Which, why, and nobody's phone rang; the others are signed without it."""
    browser = await chief(world)
    page = await browser.batch(THREE[0], REFUSED, THREE[1])
    assert (page.data("status"), page.data("error")) == ("failed", "request_invalid")
    assert "憑證加簽失敗" in page.words
    assert "尚未通知手機" in page.words
    assert f'data-number="{REFUSED}" data-status="refused"' in page.text
    assert "公文文號含有手機畫面不能顯示的字元" in page.words
    assert page.text.count('data-status="refused"') == 1
    assert not [t for t in world.gateway.transactions.values() if t["kind"] == "signature"]
    assert "其餘 2 件重新簽章" in page.words
    # Chosen again along with the others it is pointed out, and not ticked.
    page = await browser.get(f"/batches/new?number={THREE[0]}&number={REFUSED}&number={THREE[1]}")
    assert "前次送出時未被接受" in page.words
    assert f'value="{REFUSED}">' in page.text
    assert "已選擇 2 項" in page.words
    page = await browser.post("/batches", number=[THREE[0], THREE[1]])
    world.gateway.end("completed")
    page = await browser.get(page.path)
    assert signed(world) == THREE[:2]
    assert items(world) == [
        (THREE[0], "failed"),
        (REFUSED, "refused"),
        (THREE[1], "failed"),
        (THREE[0], "completed"),
        (THREE[1], "completed"),
    ]


@pytest.mark.parametrize(
    "extra",
    [
        {"document_index": 7},
        {"document_index": "1"},
        {},
        {"document_index": 0, "document_id": "doc-9"},
    ],
    ids=repr,
)
async def test_a_refusal_that_names_no_document_of_ours_blames_none(
    world: Any, extra: dict[str, Any]
) -> None:
    """A place that is none, or that does not fit the id: all are unsigned, none is accused."""
    browser = await chief(world)
    world.gateway.refuse(422, "document_too_large", "公文太大。", **extra)
    page = await browser.batch(*THREE)
    assert page.data("status") == "failed"
    assert {status for _, status in items(world)} == {"failed"}
    assert "公文太大。" in page.words


@pytest.mark.parametrize(
    ("status", "title", "words"),
    [
        ("expired", "憑證加簽失敗", "60 秒內未於手機上確認"),
        ("rejected", "已拒絕簽章", "您已於「行動自然人憑證」App 上取消"),
        ("failed", "憑證加簽失敗", "平臺暫時無法服務"),
        ("cancelled", "已取消簽章", "即使稍後才於手機上確認"),
    ],
)
@pytest.mark.parametrize("told_by", ["webhook", "look"])
async def test_each_ending_says_what_is_signed_and_starts_again_for_the_rest(
    world: Any, status: str, title: str, words: str, told_by: str
) -> None:
    """With two of four signed before: those may be sent, the others begun again, alone."""
    browser = await chief(world)
    numbers = await world.lay("chief01", 4)
    window = await browser.batch(*numbers)
    world.gateway.sign(2)
    world.gateway.end(status, code="upstream_unreachable", zh="平臺暫時無法服務")
    if told_by == "webhook":
        assert await world.webhook(world.gateway.event()) == 204
    page = await browser.get(window.path)
    assert page.data("status") == status
    assert f'tabindex="-1">{title}</h1>' in page.text
    assert words in page.words
    assert "已簽章 2 件，未簽章 2 件" in page.words
    assert signed(world) == numbers[:2]
    assert items(world) == [(n, "completed") for n in numbers[:2]] + [
        (n, status) for n in numbers[2:]
    ]
    assert world.rows("SELECT count(*) FROM signatures") == [(2,)]
    assert "確定" in page.words
    again = f"/batches/new?number={numbers[2]}&amp;number={numbers[3]}"
    assert f'href="{again}">其餘 2 件重新簽章' in page.text
    page = await browser.get(again.replace("&amp;", "&"))
    page = await browser.post("/batches", number=numbers[2:])
    assert page.data("status") == "pending"
    assert [d["number"] for d in world.gateway.last()["documents"]] == numbers[2:]
    page = await browser.get(window.path)
    assert "重新簽章" not in page.words, "they are being signed"
    page = await browser.post(f"{window.path}/send")
    assert "已送出 2 件" in page.words


async def test_the_window_can_cancel_and_nothing_is_sent(world: Any) -> None:
    """「取消簽章」, and a late confirmation changes nothing."""
    browser = await chief(world)
    page = await browser.batch(*THREE)
    page = await browser.post(f"{page.path}/cancel")
    assert page.data("status") == "cancelled"
    txn = world.gateway.last()
    txn["status"], txn["version"] = "completed", 9
    for document in txn["documents"]:
        document["status"] = "completed"
    assert await world.webhook(world.gateway.event()) == 204
    page = await browser.get(page.path)
    assert page.data("status") == "cancelled"
    assert signed(world) == []
    page = await browser.post(f"{page.path}/send")
    assert "沒有待送出的公文" in page.words


async def test_a_double_click_rings_the_phone_once(world: Any) -> None:
    """「儲存並送出」 pressed at once several times is one call under one key, and one window."""
    browser = await chief(world)
    await browser.get("/dashboard/review")
    form = [("csrf_token", browser.page.value("csrf_token")), *(("number", n) for n in THREE)]

    async def press() -> str:
        async with browser.client.post("/batches", data=form) as answer:
            return str(answer.url.path)

    windows = await asyncio.gather(*(press() for _ in range(4)))
    assert len(set(windows)) == 1
    assert len(world.gateway.created("signature")) == 1


async def test_all_are_frozen_or_none(world: Any) -> None:
    """One that cannot be signed: no version is frozen, no seal placed, nobody is asked."""
    browser = await chief(world)
    await browser.batch(THREE[2])
    world.gateway.end("completed")
    await browser.get(browser.page.path)
    before = world.rows("SELECT number, version FROM versions")
    await browser.get("/dashboard/review")
    page = await browser.post("/batches", number=THREE)
    assert f"公文 {THREE[2]}：公文已完成加簽" in page.words
    assert world.rows("SELECT number, version FROM versions") == before
    assert world.rows("SELECT sealed FROM documents WHERE number IN (?, ?)", *THREE[:2]) == [
        (0,),
        (0,),
    ]
    assert len(world.gateway.created("signature")) == 1


async def test_one_chosen_goes_the_way_of_one(world: Any) -> None:
    """The window of a single document, and the gateway's way for one."""
    browser = await chief(world)
    page = await browser.batch(THREE[0])
    assert page.path.startswith(f"/documents/{THREE[0]}/signing/")
    assert "document" in world.gateway.created("signature")[0][1]


async def test_what_cannot_be_signed_is_said_with_its_reason(world: Any) -> None:
    """Without a certificate, foreign, nothing chosen: said, and nothing is asked."""
    browser = await world.browser("chief01")
    await browser.get("/dashboard/review")
    page = await browser.post("/dashboard/review/batch")
    assert "請先勾選公文。" in page.words
    page = await browser.post("/dashboard/review/batch", number=[THREE[0], "1153000165", "x"])
    assert "請先至【使用者憑證登記】完成登記" in page.words
    assert "1153000165" not in page.words, "somebody else's is as unknown as none"
    page = await browser.post("/batches", number=["1153000165", THREE[0]])
    assert "公文目前不在您手上" in page.words
    page = await browser.post("/batches", number=[THREE[0], THREE[0]])
    assert not world.gateway.transactions


async def test_another_users_batch_is_unknown(world: Any) -> None:
    """Looking, cancelling, restarting, sending: 404 for everybody else."""
    browser = await chief(world)
    window = (await browser.batch(*THREE)).path
    other = await world.browser("clerk01")
    for tail in ("", "/restart"):
        assert (await other.get(f"{window}{tail}")).status == 404
    for tail in ("/cancel", "/send", "/qr", "/restart"):
        await other.get("/dashboard/main")
        assert (await other.post(f"{window}{tail}")).status == 404
    assert world.gateway.last()["status"] == "pending"


async def test_a_lost_answer_is_found_again_by_the_window(world: Any) -> None:
    """The same key and the same body; one transaction."""
    browser = await chief(world)
    world.gateway.lose_answers = 4
    page = await browser.batch(*THREE)
    assert page.path.startswith("/batches/")
    page = await browser.get(page.path)
    assert page.data("status") == "pending"
    assert page.data("transaction") == world.gateway.last()["id"]
    assert len({key for key, _ in world.gateway.created("signature")}) == 1
    assert sum(t["kind"] == "signature" for t in world.gateway.transactions.values()) == 1


async def test_while_push_is_paused_the_code_is_offered(world: Any) -> None:
    """「QR Code 模式登入」 begins the same documents by QR code."""
    browser = await chief(world)
    world.gateway.refuse(429, "push_paused", "暫停推播。", retry_after=600)
    page = await browser.batch(*THREE)
    assert page.data("error") == "push_paused"
    world.gateway.refuse_creation = None
    page = await browser.post(f"{page.path}/qr")
    assert page.data("status") == "pending"
    _, body = world.gateway.created("signature")[-1]
    assert (body["channel"], [d["number"] for d in body["documents"]]) == ("qr", THREE)


async def test_an_open_transaction_elsewhere_is_superseded_after_a_question(world: Any) -> None:
    """The other one is named; afterwards it is cancelled, and this batch is asked for."""
    browser = await chief(world)
    numbers = await world.lay("chief01", 2)
    first = await browser.batch(*numbers)
    page = await browser.batch(*THREE)
    assert page.data("error") == "transaction_open"
    assert f'href="{first.path}">前往該筆作業' in page.text
    page = await browser.get(f"{page.path}/restart")
    assert f"公文 {numbers[0]} 等 2 件 的簽章正在等待手機確認" in page.words
    window = page.path.removesuffix("/restart")
    page = await browser.post(f"{window}/restart")
    assert page.data("status") == "pending"
    assert (await browser.get(first.path)).data("status") == "cancelled"


def documents_of(event: dict[str, Any]) -> Any:
    """Of an event."""
    return event["data"]["documents"]


@pytest.mark.parametrize(
    "change",
    [
        lambda event: documents_of(event).pop(),
        lambda event: documents_of(event).append(dict(documents_of(event)[0])),
        lambda event: documents_of(event)[2].update(number="1153000999"),
        lambda event: documents_of(event)[2].update(version="2"),
        lambda event: documents_of(event)[2].update(sha256="0" * 64),
        lambda event: documents_of(event)[2].update(sha256=documents_of(event)[1]["sha256"]),
        lambda event: documents_of(event)[2].update(status="expired"),
        lambda event: event["data"].update(user_id="clerk01"),
    ],
    ids=["one missing", "one more", "number", "version", "digest", "another's digest", "status",
         "user"],
)  # fmt: skip
async def test_a_set_that_was_not_asked_for_changes_nothing(world: Any, change: Any) -> None:
    """One of three differs: not even the other two are recorded, and the id stays seen."""
    await (await chief(world)).batch(*THREE)
    world.gateway.end("completed")
    event = world.gateway.event()
    change(event)
    assert await world.webhook(event, id_="evt_1") == 204
    assert items(world) == [(n, "pending") for n in THREE]
    assert signed(world) == []
    assert world.rows("SELECT count(*) FROM seen_webhooks") == [(1,)]


async def test_a_partial_result_and_the_dropped_id_are_one_transaction(world: Any) -> None:
    """If the last write fails, no document is signed and the webhook may come again."""
    await (await chief(world)).batch(*THREE)
    world.gateway.sign(1)
    world.gateway.end("expired")
    with sqlite3.connect(world.data / "document-system.sqlite3") as db:
        db.execute(
            "CREATE TRIGGER full BEFORE UPDATE OF signed_version ON documents "
            "BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    db.close()
    assert await world.webhook(world.gateway.event(), id_="evt_1") == 500
    assert items(world) == [(n, "pending") for n in THREE]
    assert world.rows("SELECT count(*) FROM seen_webhooks") == [(0,)]
    with sqlite3.connect(world.data / "document-system.sqlite3") as db:
        db.execute("DROP TRIGGER full")
    db.close()
    assert await world.webhook(world.gateway.event(), id_="evt_1") == 204
    assert items(world) == [(THREE[0], "completed"), (THREE[1], "expired"), (THREE[2], "expired")]


async def test_follow_up_finds_and_fetches_a_batch_that_no_webhook_told(world: Any) -> None:
    """Also the artifacts of one that ended partly."""
    await (await chief(world)).batch(*THREE)
    world.gateway.sign(2)
    world.gateway.end("expired")
    world.clock.pass_seconds(61)
    await world.app[FOLLOW_UP].once()
    assert world.rows("SELECT number FROM signatures ORDER BY number") == [
        (THREE[0],),
        (THREE[1],),
    ]
