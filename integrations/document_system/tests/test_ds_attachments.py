"""附件: what is signed names them by digest, and what was changed since is seen."""

from __future__ import annotations

import hashlib
import sqlite3
from datetime import UTC, datetime
from typing import Any

import pytest

from document_system.models import Attachment, Document, Signature, Step, User
from document_system.paper import attachments_of, check, content_of

NUMBER = "1153000165"
PLAN = "一、訓練對象為全校教職員工。\n".encode()
USER = User(user_id="u", name="王小明", title="承辦人", unit="教務處")


async def clerk(world: Any) -> Any:
    """With a certificate."""
    browser = await world.browser("clerk01")
    await browser.register(world.gateway, "clerk01")
    return browser


async def add(browser: Any, name: str, content: bytes, number: str = NUMBER) -> Any:
    """「加入附件」."""
    await browser.get(f"/documents/{number}/edit")
    return await browser.upload(f"/documents/{number}/attachments", name, content)


async def sign(world: Any, browser: Any, number: str = NUMBER) -> None:
    """To the stored signature."""
    page = await browser.send_for_signing(number)
    world.gateway.end("completed")
    await browser.get(page.path)


def an_attachment(**changed: Any) -> Attachment:
    """The plan."""
    made: dict[str, Any] = {
        "id": "att_1",
        "number": NUMBER,
        "kind": "own",
        "name": "計畫.txt",
        "media_type": "text/plain",
        "sha256": hashlib.sha256(PLAN).hexdigest(),
        "content": PLAN,
        "removed_at": None,
    }
    return Attachment(**{**made, **changed})


def a_document(**changed: Any) -> Document:
    """With one signer."""
    at = datetime(2026, 4, 30, tzinfo=UTC)
    made: dict[str, Any] = {
        "number": NUMBER,
        "subject": "主旨",
        "body": "內容",
        "from_agency": "無",
        "state": "創稿登記",
        "received_at": at,
        "due_at": at,
        "position": 0,
        "sealed": True,
        "signed_version": None,
        "route": (Step(position=0, user=USER, role="承辦", passed_at=None),),
    }
    return Document(**{**made, **changed})


def test_the_signed_text_names_each_attachment_and_can_be_read_back() -> None:
    """Kind, name, type, size and SHA-256 of the bytes, whatever a column says."""
    lying = an_attachment(sha256="0" * 64)
    incoming = an_attachment(kind="incoming", name="來文　附件 1：a.pdf", content=b"x")
    content = content_of(a_document(), USER, (), (lying, incoming))
    own, came = attachments_of(content)
    assert own.sha256 == hashlib.sha256(PLAN).hexdigest()
    assert (own.kind, own.name, own.media_type, own.size) == (
        "own",
        "計畫.txt",
        "text/plain",
        len(PLAN),
    )
    assert (came.kind, came.name, came.size) == ("incoming", "來文　附件 1：a.pdf", 1)


@pytest.mark.parametrize("where", ["subject", "body", "from_agency"])
def test_nobody_writes_an_attachment_into_the_text(where: str) -> None:
    """A line of the user's that looks like ours is not read as ours."""
    fake = f"附件 1：假.txt　text/plain　1 位元組\nSHA-256：{'0' * 64}"
    text = fake if where == "body" else fake.replace("\n", " ")
    content = content_of(a_document(**{where: text}), USER, (), ())
    assert attachments_of(content) == ()


def test_a_change_of_an_attachment_changes_what_is_signed() -> None:
    """So the signature over the text covers the attachment."""
    first = content_of(a_document(), USER, (), (an_attachment(),))
    second = content_of(a_document(), USER, (), (an_attachment(content=PLAN + b" "),))
    assert first != second


def test_what_is_signed_covers_the_signatures_before() -> None:
    """By version, signer and the digest of the signature file."""
    before = Signature(
        number=NUMBER,
        version=1,
        confirmation_id="c",
        user_id="u",
        signer_name="王小明",
        issuer_name="i",
        serial_number="s",
        signed_at=datetime(2026, 4, 30, tzinfo=UTC),
        artifact=b"a signature",
        behalf_of=None,
        behalf_name=None,
        behalf_reason=None,
    )
    content = content_of(a_document(), USER, (before,)).decode()
    assert f"簽章檔 SHA-256 {hashlib.sha256(b'a signature').hexdigest()}" in content


def test_the_three_states_of_an_attachment() -> None:
    """There as signed; taken off but kept; nothing kept that fits."""
    content = content_of(a_document(), USER, (), (an_attachment(),))
    [covered] = attachments_of(content)
    removed = an_attachment(removed_at=datetime(2026, 5, 1, tzinfo=UTC))
    changed = an_attachment(id="att_2", content=b"another")
    assert check(covered, [an_attachment()]) == ("same", an_attachment())
    assert check(covered, [removed, changed]) == ("replaced", removed)
    assert check(covered, [changed]) == ("changed", None)
    assert check(covered, [an_attachment(name="b.txt")]) == ("changed", None)
    assert check(covered, [an_attachment(kind="incoming")]) == ("changed", None)


async def test_attachments_stand_in_the_columns_and_on_the_page(world: Any) -> None:
    """「附件」 and 「來文附件」 count them; the page says what a signature covers."""
    chief = await world.browser("chief01")
    page = await chief.get("/dashboard/review")
    assert "待核 1 件 1 件 設定" in page.words
    page = await chief.get("/documents/1153000152")
    assert "附件： 契約草案.txt" in page.words
    assert "來文附件： 教育部來函.txt" in page.words
    assert "簽章涵蓋每個附件的名稱、類型、大小與 SHA-256" in page.words
    async with chief.client.get("/documents/1153000152/attachments/att_demo1") as answer:
        assert answer.headers["Content-Disposition"].startswith("attachment; ")
        assert "維護範圍" in (await answer.read()).decode()
    other = await world.browser("clerk01")
    assert (await other.get("/documents/1153000152/attachments/att_demo1")).status == 404
    assert (await chief.get("/documents/1153000151/attachments/att_demo1")).status == 404


async def test_an_attachment_is_signed_over_and_a_replacement_is_seen(world: Any) -> None:
    """「與簽章時相符」, then another file of that name: 「附件已變更」; the signed one is kept."""
    browser = await clerk(world)
    page = await add(browser, "C:\\文件\\計畫.txt", PLAN)
    assert "已加入附件「計畫.txt」" in page.words
    await sign(world, browser)
    page = await browser.get(f"/documents/{NUMBER}")
    assert "與簽章時相符" in page.words
    assert hashlib.sha256(PLAN).hexdigest() in page.words
    [(content,)] = world.rows("SELECT content FROM versions")
    assert f"SHA-256：{hashlib.sha256(PLAN).hexdigest()}".encode() in content
    await browser.post(f"/documents/{NUMBER}/send", position="0")
    chief = await world.browser("chief01")
    page = await chief.get(f"/documents/{NUMBER}/edit")
    [(id_,)] = world.rows("SELECT id FROM attachments WHERE number = ?", NUMBER)
    page = await chief.post(f"/documents/{NUMBER}/attachments/{id_}/remove")
    assert "已移除附件" in page.words
    page = await add(chief, "計畫.txt", b"another plan")
    page = await chief.get(f"/documents/{NUMBER}")
    assert 'data-state="replaced"' in page.text
    assert "附件已變更" in page.words
    assert "與簽章時相符" not in page.words
    async with chief.client.get(f"/documents/{NUMBER}/attachments/{id_}") as answer:
        assert await answer.read() == PLAN


async def test_a_file_changed_behind_the_program_is_seen_and_not_signed(world: Any) -> None:
    """The database itself refuses; where somebody gets round that, the digests tell."""
    browser = await clerk(world)
    await add(browser, "計畫.txt", PLAN)
    await sign(world, browser)
    path = world.data / "document-system.sqlite3"
    with sqlite3.connect(path) as db:
        for statement in ("UPDATE attachments SET content = x'00'", "DELETE FROM attachments"):
            with pytest.raises(sqlite3.IntegrityError, match="an attachment is never"):
                db.execute(statement)
        db.execute("DROP TRIGGER attachments_stay")
        db.execute("UPDATE attachments SET content = ? WHERE number = ?", (PLAN + b"!", NUMBER))
    db.close()
    page = await browser.get(f"/documents/{NUMBER}")
    assert 'data-state="changed"' in page.text
    assert "保存的檔案與簽章時不符" in page.words
    await browser.post(f"/documents/{NUMBER}/send", position="0")
    chief = await world.browser("chief01")
    await chief.register(world.gateway, "chief01")
    page = await chief.send_for_signing(NUMBER)
    assert "附件已變更：「計畫.txt」與加入時不符" in page.words
    assert len(world.gateway.created("signature")) == 1
    page = await chief.get(f"/batches/new?number={NUMBER}")
    assert "附件已變更：「計畫.txt」與加入時不符" in page.words


async def test_the_seal_comes_off_with_a_changed_attachment(world: Any) -> None:
    """It belongs to what was sealed; while the phone is asked, files stay as they are."""
    browser = await clerk(world)
    await browser.get(f"/documents/{NUMBER}")
    await browser.post(f"/documents/{NUMBER}/seal", action="place")
    await add(browser, "計畫.txt", PLAN)
    assert "取消蓋章" not in (await browser.get(f"/documents/{NUMBER}")).words
    await browser.send_for_signing(NUMBER)
    [(id_,)] = world.rows("SELECT id FROM attachments WHERE number = ?", NUMBER)
    page = await browser.post(f"/documents/{NUMBER}/attachments/{id_}/remove")
    assert "公文簽章中" in page.words
    page = await add(browser, "b.txt", b"b")
    assert world.rows("SELECT count(*) FROM attachments WHERE number = ?", NUMBER) == [(1,)]
    assert world.rows("SELECT removed_at FROM attachments WHERE number = ?", NUMBER) == [(None,)]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"", "檔案須有內容"),
        ("a.txt", b"x" * (2 * 1024 * 1024 + 1), "至多 2 MB"),
        ("x" * 101, b"x", "檔名為必填"),
    ],
    ids=["empty", "large", "long name"],
)
async def test_a_file_that_does_not_fit_is_refused_with_the_reason(
    world: Any, name: str, content: bytes, words: str
) -> None:
    """Nothing is stored."""
    browser = await world.browser("clerk01")
    page = await add(browser, name, content)
    assert words in page.words
    assert world.rows("SELECT count(*) FROM attachments WHERE number = ?", NUMBER) == [(0,)]


async def test_a_name_cannot_break_the_line_that_is_signed(world: Any) -> None:
    """Control characters are replaced; the same name twice is refused."""
    browser = await world.browser("clerk01")
    await add(browser, "a\u2028附件 2：b.txt", b"x")
    assert world.rows("SELECT name FROM attachments WHERE number = ?", NUMBER) == [
        ("a_附件 2：b.txt",)
    ]
    page = await add(browser, "a\u2028附件 2：b.txt", b"y")
    assert "已有同名的附件" in page.words


async def test_a_form_without_a_file_in_it_stays_small(world: Any) -> None:
    """Only the form that brings a file may be large, and only for who is signed in."""
    browser = await world.browser("clerk01")
    page = await browser.get(f"/documents/{NUMBER}/edit")
    form = {"csrf_token": page.value("csrf_token"), "subject": "a", "body": "x" * 600_000}
    async with browser.client.post(f"/documents/{NUMBER}/edit", data=form) as answer:
        assert answer.status == 413


async def test_a_form_that_is_far_too_large_is_refused_as_a_whole(world: Any) -> None:
    """413, and nothing is stored."""
    browser = await world.browser("clerk01")
    page = await add(browser, "a.bin", b"x" * (4 * 1024 * 1024))
    assert page.status == 413
    assert "資料過大" in page.words
    assert world.rows("SELECT count(*) FROM attachments WHERE number = ?", NUMBER) == [(0,)]
