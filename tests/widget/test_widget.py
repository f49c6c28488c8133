"""The signing window in a real browser: waiting, each end, and a page that is moved about."""

from __future__ import annotations

import time
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

MESSAGE = {"zh-TW": "憑證已廢止，請重新申請", "en": "revoked"}
MOVE = """() => { const d = document.createElement("div"); document.body.append(d);
  d.append(document.querySelector("moica-transaction")); }"""


async def test_pending_shows_what_the_holder_compares(window: Any) -> None:
    """Countdown, match code and number are there, no QR code, and nothing scrolls sideways."""
    assert await window.text("title") == "行動自然人憑證簽章中"
    assert await window.text("match-code") == "42"
    assert await window.text("document-number") == "1153000165"
    left = int((await window.text("countdown")).split()[1])
    assert 290 < left <= 300
    for part in ("qr", "ok-button", "app-button", "app-link", "new-qr-button"):
        assert not await window.seen(part), part
    assert await window.overflow() == 0
    assert await window.page.evaluate("window.heard") == [["changed", "pending"]]


ENDS = [
    ("completed", None, "簽章完成", "", ""),
    ("rejected", None, "您已在手機上取消", "", "重新開始"),
    ("expired", None, "憑證加簽失敗", "逾時未在手機上確認。", "重新開始"),
    (
        "failed",
        {"code": "x", "user_message": MESSAGE},
        "憑證加簽失敗",
        MESSAGE["zh-TW"],
        "重新開始",
    ),
    ("cancelled", None, "作業已取消", "", "重新開始"),
]


@pytest.mark.parametrize(
    ("status", "error", "title", "message", "advice"), ENDS, ids=[e[0] for e in ENDS]
)
async def test_each_end_is_shown_and_told_once(
    window: Any, status: str, error: Any, title: str, message: str, advice: str
) -> None:
    """Title, message, advice and 「確定」 are there; `moica-ended` is fired once."""
    window.site.say(status=status, **({"error": error} if error else {}))
    assert await window.ended() == [[status, status], ["ended", status]]
    assert await window.text("title") == title
    assert await window.text("status") == message
    assert advice in await window.text("advice")
    assert await window.text("document-number") == "1153000165"
    for part in ("countdown", "match-code", "qr-button"):
        assert not await window.seen(part)
    assert await window.focused() == "title"
    assert await window.overflow() == 0
    await window.button("確定").click()
    heard = [name for name, _ in await window.page.evaluate("window.heard")]
    assert (heard.count("ended"), heard[-1]) == (1, "closed")


@pytest.mark.parametrize(
    ("kind", "waits", "done", "bad"),
    [
        ("registration", "行動自然人憑證登記中", "註冊完成", "憑證註冊失敗"),
        ("authentication", "行動自然人憑證驗證中", "驗證完成", "驗證失敗"),
    ],
)
@pytest.mark.parametrize("status", ["completed", "failed"])
async def test_other_kinds_have_titles_of_their_own(
    window: Any, kind: str, waits: str, done: str, bad: str, status: str
) -> None:
    """A registration is not called a signature, neither in the middle nor at the end."""
    window.site.say(kind=kind)
    await window.says("title", waits)
    window.site.say(status=status)
    await window.ended()
    assert await window.text("title") == (done if status == "completed" else bad)


FAILURES = [
    ("wrong_device", "DEVID_SPTKT_MISMATCH", "fix", "這支手機不屬於這次簽章的當事人", ""),
    ("device_not_bound", "IDNUM_USERPROF_NF", "bind", "您尚未綁定", "註冊個人裝置"),
    ("upstream_unreachable", None, "retry", "平臺暫時無法服務", "重新開始"),
    ("start_unknown", None, "restart", "無法確認是否已通知手機", "重新開始"),
    ("name_mismatch", None, "fix", "姓名與憑證上的姓名不符", ""),
    ("signature_invalid", None, "fail", "收到的簽章未通過驗證", ""),
]


@pytest.mark.parametrize(
    ("code", "upstream", "helps", "zh", "advice"), FAILURES, ids=[f[0] for f in FAILURES]
)
async def test_a_failure_says_what_happened_and_what_to_do(
    window: Any, code: str, upstream: str | None, helps: str, zh: str, advice: str
) -> None:
    """The gateway's words, advice that fits what helps, and a code for whoever is asked."""
    error = {"code": code, "what_helps": helps, "user_message": {"zh-TW": zh, "en": "In English"}}
    window.site.say(
        status="failed", error=error | ({"upstream_code": upstream} if upstream else {})
    )
    await window.ended()
    assert await window.text("status") == zh
    shown = await window.text("advice")
    assert (advice in shown) if advice else shown == ""
    assert await window.text("reference") == f"代碼 {upstream or code}"
    await window.attribute("lang", "en")
    await window.says("status", "In English")
    assert await window.text("title") == "Signing failed"
    assert await window.text("ok-button") == "OK"


async def test_words_of_the_gateway_are_text(window: Any) -> None:
    """Markup in a message or number is shown as it is written."""
    evil = '<img src=x onerror="window.stolen = 1">'
    window.site.say(
        status="failed",
        documents=[{"id": "d", "number": evil}],
        error={"code": evil, "user_message": {"zh-TW": evil, "en": evil}},
    )
    await window.ended()
    for part in ("status", "document-number"):
        assert await window.text(part) == evil
    count = "s => s.querySelectorAll('img').length"
    assert await window.part("window").evaluate(count) == 0


async def test_a_cut_stream_is_taken_up_again(window: Any) -> None:
    """The window says so meanwhile; what ended is heard after coming back, once."""
    window.site.cut()
    window.site.whisper(status="completed")
    assert await window.ended() == [["completed", "completed"], ["ended", "completed"]]
    assert await window.text("connection") == ""


async def test_moving_the_element_tells_nothing_twice(window: Any) -> None:
    """Put into a dialogue while it waits, and again after the end."""
    await window.page.evaluate(MOVE)
    window.site.say(match_code="43")
    await window.says("match-code", "43")
    window.site.say(status="completed")
    await window.ended()
    streams = [url for url in window.site.urls if url.endswith("/events")]
    for _ in range(2):
        await window.page.evaluate(MOVE)
        assert await window.text("title") == "簽章完成"
    await window.page.evaluate("fetch('/page.js')")  # whatever was asked before has arrived now
    assert len(streams) == sum(url.endswith("/events") for url in window.site.urls)
    assert await window.page.evaluate("window.heard") == [
        ["changed", "pending"],
        ["changed", "pending"],
        ["changed", "completed"],
        ["completed", "completed"],
        ["ended", "completed"],
    ]


async def test_attributes_may_be_set_after_it_was_put_into_the_page(window: Any) -> None:
    """An element made by a framework begins once transaction and token are there, once."""
    before = sum(url.endswith("/events") for url in window.site.urls)
    await window.page.evaluate(
        """() => {
          const old = document.querySelector("moica-transaction");
          old.remove();
          const made = document.createElement("moica-transaction");
          document.body.append(made);
          for (const name of ["token", "transaction", "base"]) {
            made.setAttribute(name, old.getAttribute(name));
          }
        }"""
    )
    await window.says("match-code", "42")
    assert sum(url.endswith("/events") for url in window.site.urls) == before + 1


async def test_another_transaction_starts_from_nothing(window: Any) -> None:
    """An element that is used again shows nothing of the one before."""
    window.site.say(status="completed")
    await window.ended()
    window.site.whisper(id="txn_2")
    await window.attribute("transaction", "txn_2")
    await window.says("connection", "無法讀取這筆作業")
    assert await window.text("document-number") == ""
    assert not await window.seen("ok-button")


@pytest.mark.parametrize("hours", [-3, 0.02, 5])
async def test_a_wrong_clock_of_the_user_changes_no_deadline(window: Any, hours: float) -> None:
    """The server's clock counts: the countdown is the same hours behind or a minute ahead."""
    await window.page.clock.install(time=time.time() + hours * 3600)
    await window.page.reload()
    await window.says("countdown", "剩餘")
    left = int((await window.text("countdown")).split()[1])
    assert 285 < left <= 301


async def test_the_countdown_is_read_out_twice_and_not_every_second(window: Any) -> None:
    """At 30 and 10 seconds, and when the time is up; the number that is seen is no live region."""
    await window.page.clock.install()
    await window.page.reload()
    await window.says("countdown", "剩餘")
    await window.page.evaluate(
        """() => {
          window.spoken = [];
          const root = document.querySelector("moica-transaction").shadowRoot;
          for (const one of root.querySelectorAll("[role=status], [aria-live]")) {
            new MutationObserver(() => window.spoken.push(one.textContent)).observe(
              one, { childList: true, characterData: true, subtree: true });
          } }"""
    )
    for _ in range(62):
        await window.page.clock.run_for(5000)
    spoken = await window.page.evaluate("window.spoken")
    told = [text for text in spoken if text.startswith(("剩餘", "時間"))]
    assert [t for t in told if t.startswith("剩餘")] == ["剩餘 30 秒", "剩餘 10 秒"]
    assert len(told) <= 4
