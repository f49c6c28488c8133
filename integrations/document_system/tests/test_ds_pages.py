"""Sign-in, CSRF, who sees what, escaping, and labels word for word."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from document_system.passwords import Passwords
from document_system.roc import roc_date, roc_time
from document_system.web.keys import SETTINGS
from document_system.web.paging import page_of
from document_system.web.security import safe_next

NUMBER = "1153000165"
COLUMNS = "序 公文文號 主旨 收創時間 來文機關 限辦日期 狀態 附件 來文附件 編輯"
POSTS = [
    "/sign-out",
    "/dashboard/main/batch",
    "/certificates/apply",
    "/certificates/save",
    f"/documents/{NUMBER}/edit",
    f"/documents/{NUMBER}/seal",
    f"/documents/{NUMBER}/submit",
    f"/documents/{NUMBER}/sign",
    f"/documents/{NUMBER}/send",
    f"/documents/{NUMBER}/recall",
    f"/documents/{NUMBER}/attachments",
    "/batches",
    "/batches/cnf_x/send",
    "/batches/cnf_x/cancel",
    "/deputies",
    "/deputies/clerk02/end",
]


async def test_the_dashboard_is_the_manuals(world: Any) -> None:
    """Tabs, columns, a row and the footer stand word for word."""
    browser = await world.browser("clerk01")
    page = await browser.get("/dashboard/main")
    for words in (
        "儀錶板",
        "主辦公文",
        "會辦公文",
        "待核公文",
        "第一頁",
        "上一頁",
        "下一頁",
        "最後一頁",
    ):
        assert words in page.words
    assert COLUMNS in page.words
    assert (
        "1 1153000165 檢送本校115學年度資訊安全教育訓練實施計畫1份，請查照。 "
        "115/04/29 14:58:11 無 115/05/07 創稿登記 無 無 設定" in page.words
    )
    assert "顯示第 1 至 1 項結果，共 1 項 已選擇 0 項" in page.words
    assert "1153000158" in (await browser.get("/dashboard/joint")).words
    chief = await world.browser("chief01")
    page = await chief.get("/dashboard/review")
    assert "1153000151" in page.words
    assert "待核" in page.words


async def test_the_certificate_page_is_the_manuals(world: Any) -> None:
    """List and dialog have the manual's labels word for word."""
    browser = await world.browser("clerk01")
    page = await browser.get("/certificates")
    for words in ("基本資料", "使用者憑證登記", "新增"):
        assert words in page.words
    assert "序 人員代碼 人員姓名 憑證類型 使用狀態 開始日期 結束日期 按下後啟用" in page.words
    page = await browser.get("/certificates/new")
    for words in (
        "登記憑證",
        "使用者姓名 *",
        "憑證類別 *",
        "臨時憑證",
        "自然人憑證",
        "行動自然人憑證",
        "身分證字號",
        "申請",
        "簽發機關 *",
        "憑證序號 *",
        "啟用日期",
        "終止日期",
        "儲存",
    ):
        assert words in page.words


async def test_a_wrong_password_opens_nothing(world: Any) -> None:
    """Wrong password and unknown user say the same; after five failures there is a pause."""
    browser = await world.browser()
    for user_id in ("clerk01", "nobody"):
        await browser.get("/sign-in")
        page = await browser.post("/sign-in", user_id=user_id, password="wrong", next="/")
        assert "帳號或密碼不正確" in page.words
    for _ in range(4):
        page = await browser.post("/sign-in", user_id="clerk01", password="wrong", next="/")
    page = await browser.post("/sign-in", user_id="clerk01", password="demo-115", next="/")
    assert "登入失敗次數過多" in page.words
    world.clock.pass_seconds(301)
    page = await browser.post("/sign-in", user_id="clerk01", password="demo-115", next="/")
    assert page.path == "/dashboard/main"


async def test_strangers_are_sent_to_the_sign_in_page(world: Any) -> None:
    """Without a session every page leads to 「登入」, and from there back."""
    browser = await world.browser()
    for path in ("/dashboard/main", "/certificates", f"/documents/{NUMBER}"):
        page = await browser.get(path)
        assert page.path.startswith("/sign-in?next=/")
    page = await browser.post(
        "/sign-in", user_id="clerk01", password="demo-115", next=page.value("next")
    )
    assert page.path == f"/documents/{NUMBER}"


async def test_signing_out_ends_the_session_on_the_server(world: Any) -> None:
    """The old cookie opens nothing any more, and neither does one that has run out."""
    browser = await world.browser("clerk01")
    async with browser.client.get("/dashboard/main") as answer:
        cookie = answer.request_info.headers["Cookie"]
    await browser.get("/dashboard/main")
    await browser.post("/sign-out")
    stranger = await world.browser()
    async with stranger.client.get("/dashboard/main", headers={"Cookie": cookie}) as answer:
        assert answer.url.path == "/sign-in"
    again = await world.browser("clerk01")
    world.clock.pass_seconds(11 * 3600)
    assert (await again.get("/dashboard/main")).path.startswith("/sign-in")


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(world: Any) -> None:
    """HttpOnly and SameSite=Lax; a new value after signing in; only its hash is stored."""
    browser = await world.browser()
    async with browser.client.get("/sign-in") as answer:
        before = answer.cookies["document_system_session"]
    assert before["httponly"]
    assert before["samesite"] == "Lax"
    await browser.sign_in("clerk01")
    async with browser.client.get("/dashboard/main") as answer:
        after = answer.request_info.headers["Cookie"].partition("=")[2]
    assert after != before.value
    for file in world.data.iterdir():
        assert after.encode() not in file.read_bytes()


@pytest.mark.parametrize("path", POSTS)
async def test_a_form_without_its_token_is_refused(world: Any, path: str) -> None:
    """No token, another session's token, another site: 403, nothing asked or changed."""
    browser = await world.browser("clerk01")
    page = await browser.get("/dashboard/main")
    good = page.value("csrf_token")
    other = (await (await world.browser("clerk02")).get("/dashboard/main")).value("csrf_token")
    for fields, headers in (
        ({}, {}),
        ({"csrf_token": other}, {}),
        ({"csrf_token": good}, {"Sec-Fetch-Site": "cross-site"}),
    ):
        async with browser.client.post(path, data=fields, headers=headers) as answer:
            assert answer.status == 403
            assert "表單已失效" in await answer.text()
    assert not world.gateway.transactions
    assert (await browser.get("/dashboard/main")).path == "/dashboard/main"


async def test_signing_in_needs_the_token_too(world: Any) -> None:
    """Nobody is signed in by somebody else's form."""
    browser = await world.browser()
    async with browser.client.post(
        "/sign-in", data={"user_id": "clerk01", "password": "demo-115"}
    ) as answer:
        assert answer.status == 403


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/edit",
        "/route",
        "/send",
        "/versions/1/content",
        "/versions/1/signature.p7s",
        "/signing/cnf_x",
    ],
)
async def test_other_users_documents_are_unknown(world: Any, path: str) -> None:
    """Not on one's route, or not there yet: 404, as for one that does not exist."""
    for user_id in ("clerk02", "chief01"):
        browser = await world.browser(user_id)
        page = await browser.get(f"/documents/{NUMBER}{path}")
        assert page.status == 404
        assert page.words == (await browser.get(f"/documents/9999999999{path}")).words


async def test_other_users_documents_take_no_form(world: Any) -> None:
    """Neither seal nor 「儲存並送出」 nor cancel works on another's document."""
    owner = await world.browser("clerk01")
    await owner.register(world.gateway, "clerk01")
    window = (await owner.send_for_signing(NUMBER)).path
    other = await world.browser("clerk02")
    for path in ("/edit", "/seal", "/submit", "/sign", "/send"):
        await other.get("/dashboard/main")
        assert (await other.post(f"/documents/{NUMBER}{path}")).status == 404
    await other.get("/dashboard/main")
    assert (await other.post(f"{window}/cancel")).status == 404
    assert world.gateway.last()["status"] == "pending"


async def test_markup_in_a_subject_is_text(world: Any) -> None:
    """A subject and text with markup are escaped on every page that shows them."""
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    browser = await world.browser("clerk01")
    await browser.register(world.gateway, "clerk01")
    await browser.get(f"/documents/{NUMBER}/edit")
    await browser.post(f"/documents/{NUMBER}/edit", subject=evil, body=f"{evil}\n{{{{ 7*7 }}}}")
    window = await browser.send_for_signing(NUMBER)
    pages = [
        window,
        await browser.get("/dashboard/main"),
        await browser.get(f"/documents/{NUMBER}"),
    ]
    world.gateway.end("completed")
    pages.append(await browser.get(window.path))
    for page in pages:
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
        assert "<script>alert(1)</script>" in re.sub(r"&lt;", "<", page.text).replace("&gt;", ">")
        assert "{{ 7*7 }}" in page.text or "7*7" not in page.text


async def test_every_answer_bears_the_security_headers(world: Any) -> None:
    """CSP without any inline allowance, nosniff, no-store; on pages, redirects and errors."""
    browser = await world.browser("clerk01")
    for path in ("/dashboard/main", "/nowhere", "/static/style.css", "/healthz", "/"):
        async with browser.client.get(path, allow_redirects=False) as answer:
            csp = answer.headers["Content-Security-Policy"]
            assert csp.startswith("default-src 'self';")
            assert "unsafe" not in csp
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            if not path.startswith("/static"):
                assert answer.headers["Cache-Control"] == "no-store"


async def test_no_page_has_inline_script_or_style(world: Any) -> None:
    """Nothing on a page would need what the CSP refuses."""
    browser = await world.browser("clerk01")
    await browser.register(world.gateway, "clerk01")
    window = await browser.send_for_signing(NUMBER)
    for path in (window.path, "/dashboard/main", "/certificates/new", f"/documents/{NUMBER}"):
        text = (await browser.get(path)).text
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", text)


async def test_the_window_goes_without_scripts(world: Any) -> None:
    """Where scripts are off it refreshes itself and has a link to do so."""
    browser = await world.browser("clerk01")
    await browser.register(world.gateway, "clerk01")
    page = await browser.send_for_signing(NUMBER)
    assert '<noscript><meta http-equiv="refresh" content="3"></noscript>' in page.text
    assert "重新整理" in page.words


async def test_health_and_readiness(world: Any) -> None:
    """Both answer without a session."""
    browser = await world.browser()
    for path in ("/healthz", "/readyz"):
        page = await browser.get(path)
        assert (page.status, page.text) == (200, '{"status": "ok"}')


async def test_the_api_key_and_webhook_secret_are_shown_nowhere(world: Any) -> None:
    """Neither settings' text nor database holds them."""
    browser = await world.browser("clerk01")
    await browser.register(world.gateway, "clerk01")
    assert "mgk_" not in repr(world.app[SETTINGS])
    assert "whsec_" not in repr(world.app[SETTINGS])
    for file in world.data.iterdir():
        assert b"mgk_test" not in file.read_bytes()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("/documents/1?x=1", "/documents/1?x=1"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\r\nSet-Cookie: x=1", "/"),
        ("", "/"),
    ],
)
def test_signing_in_leads_nowhere_else(wanted: str, expected: str) -> None:
    """``next`` is a path of our own, or the desk."""
    assert safe_next(wanted) == expected


@pytest.mark.parametrize(
    ("wanted", "count", "first", "last"),
    [
        ("1", 0, 0, 0),
        ("1", 1, 1, 1),
        ("2", 23, 11, 20),
        ("99", 23, 21, 23),
        ("-1", 23, 1, 10),
        ("x", 5, 1, 5),
        ("²", 5, 1, 5),
    ],
)
def test_pages_of_a_list(wanted: str, count: int, first: int, last: int) -> None:
    """Whatever is asked for, a page that exists is shown."""
    shown = page_of(wanted, count, 10)
    assert (shown.first_row, shown.last_row) == (first, last)


def test_roc_dates() -> None:
    """Taipei's day counts, not UTC's."""
    assert roc_date(datetime(2026, 4, 23, 16, 0, tzinfo=UTC)) == "115/04/24"
    assert roc_time(datetime(2026, 4, 29, 6, 58, 11, tzinfo=UTC)) == "115/04/29 14:58:11"


@pytest.mark.parametrize("broken", ["", "scrypt$x", "scrypt$16$8$1$!!$!!", "plain"])
def test_passwords(broken: str) -> None:
    """The right one fits, another does not, a broken or missing hash fits nothing."""
    passwords = Passwords(n=16)
    hashed = passwords.hash("對的密碼")
    assert passwords.verify("對的密碼", hashed)
    assert not passwords.verify("錯的密碼", hashed)
    assert not passwords.verify("對的密碼", broken)
    assert not passwords.verify("對的密碼", None)
    assert hashed != passwords.hash("對的密碼")
