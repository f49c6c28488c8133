"""The tour of the flows, through the document system's own pages and a simulated phone.

A person of its own for each ending. Every step says in one line what was verified; a step that did
not end as it should ends the tour with status 1.
"""

from __future__ import annotations

import subprocess
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from moica_demo.errors import DemoError
from moica_demo.http import call
from moica_demo.pages import Browser, Page
from moica_demo.programs import PEOPLE, Running

__all__ = ["play"]

_PASSWORD = "demo-115"  # noqa: S105 - the demo's, shown on its sign-in page
_TAIPEI = timezone(timedelta(hours=8))
_ID_NUMBERS = {user: id_number for user, _, id_number in PEOPLE}
_WITHIN = 20.0
_AFTER_LIMIT = 45.0


@dataclass
class _Actor:
    """A user at the desk with a phone in the hand."""

    demo: Running
    user: str

    def __post_init__(self) -> None:
        self.browser = Browser(self.demo.settings.document_system_url)
        page = self.browser.get("/sign-in")
        page = self.browser.submit(
            page, page.form("/sign-in"), user_id=self.user, password=_PASSWORD
        )
        page.needs("主辦公文")

    def _phone(self, tail: str, body: object = None) -> dict[str, object]:
        base = f"{self.demo.settings.simulator_url}/sim/v1/devices/{self.demo.phones[self.user]}"
        answer: dict[str, object] = call("GET" if body is None else "POST", base + tail, body)
        return answer

    def notification(self) -> dict[str, str]:
        """The request that has arrived on the phone."""
        end = time.monotonic() + _WITHIN
        while time.monotonic() < end:
            items = self._phone("/inbox")["items"]
            if isinstance(items, list):
                for item in items:
                    if item["status"] == "pending":
                        return dict(item)
            time.sleep(0.2)
        raise DemoError(f"{self.user}: no notification reached the phone")

    def press(self, verb: str) -> str:
        """確認 or 取消 on the phone; returns the hint that it showed."""
        request = self.notification()
        self._phone(f"/requests/{request['sp_ticket_id']}/{verb}", {})
        return request["hint"]

    def scan_code(self, page: Page) -> str:
        """「QR Code 模式登入」, and the picture before the phone's camera; returns the
        hint that it shows."""
        widget = page.widget
        base = urllib.parse.urljoin(page.url, f"{widget.get('base', '')}/v1/transactions/")
        transaction, token = base + widget.get("transaction", ""), widget.get("token")
        call("POST", f"{transaction}/challenges", {"channel": "qr"}, token=token)
        picture = call("GET", f"{transaction}/qr.png", token=token)
        request = call(
            "POST",
            f"{self.demo.settings.simulator_url}/sim/v1/devices/{self.demo.phones[self.user]}/scan",
            picture,
            content_type="image/png",
        )
        self._phone(f"/requests/{request['sp_ticket_id']}/confirm", {})
        return str(request["hint"])

    def until(self, page: Page, wanted: str, within: float = _WITHIN) -> Page:
        """Look at the same page again until it says how it ended."""
        end = time.monotonic() + within
        while True:
            status = page.state.get("data-status", "")
            if status == wanted:
                return page
            if status not in ("pending", "starting", "") or time.monotonic() > end:
                raise DemoError(f"{page.url}: expected {wanted}, it is {status or 'unknown'}")
            time.sleep(0.3)
            page = self.browser.get(page.url)

    def register(self) -> tuple[str, str, str, str]:
        """【使用者憑證登記】 to 「儲存」: issuer, serial, first and last day as shown."""
        page = self.browser.get("/certificates/new")
        page = self.browser.submit(
            page,
            page.form("/certificates/apply"),
            type="mobile",
            id_number=_ID_NUMBERS[self.user],
        )
        hint = self.press("confirm")
        if "登記行動自然人憑證" not in hint:
            raise DemoError(f"the phone showed {hint!r}")
        page = self.until(page, "completed")
        page.needs("註冊完成")
        end = time.monotonic() + _WITHIN
        while not page.inputs.get("serial") and time.monotonic() < end:
            time.sleep(0.3)
            page = self.browser.get(page.url)
        shown = tuple(
            page.inputs.get(n, "") for n in ("issuer", "serial", "not_before", "not_after")
        )
        if not all(shown):
            raise DemoError(f"{page.url}: the dialog did not fill itself in")
        listed = self.browser.submit(page, page.form("/save"))
        listed.needs("行動自然人憑證", "啟用")
        return shown[0], shown[1], shown[2], shown[3]

    def begin_signing(self, number: str) -> Page:
        """蓋章, 送出, 儲存並送出: the window 「行動自然人憑證簽章中」."""
        page = self.browser.get(f"/documents/{number}")
        page = self.browser.submit(page, page.form("/seal"))
        page = self.browser.submit(page, page.form("/submit"))
        page = self.browser.submit(page, page.form("/sign"))
        page.needs("行動自然人憑證簽章中")
        return page


def _registered(demo: Running, user: str) -> _Actor:
    actor = _Actor(demo, user)
    actor.register()
    return actor


def _register(demo: Running) -> str:
    issuer, serial, first, last = _Actor(demo, "clerk01").register()
    today = datetime.now(_TAIPEI)
    expected = f"{today.year - 1911}/{today.month:02d}/{today.day:02d}"
    if issuer != "內政部憑證管理中心" or first != expected:
        raise DemoError(f"expected 內政部憑證管理中心 from {expected}, came {issuer} from {first}")
    return f"簽發機關 {issuer}, 憑證序號 {serial}, 啟用日期 {first}, 終止日期 {last}"


def _sign(demo: Running) -> str:
    actor = _Actor(demo, "clerk01")
    page = actor.begin_signing("1153000165")
    hint = actor.press("confirm")
    if "1153000165" not in hint:
        raise DemoError(f"the phone did not show the document number: {hint!r}")
    page = actor.until(page, "completed")
    page.needs("公文送出")
    base = "/documents/1153000165/versions/1"
    end = time.monotonic() + _WITHIN
    while True:
        send = actor.browser.get("/documents/1153000165/send")
        if "簽章檔" in send.text or time.monotonic() > end:
            break
        time.sleep(0.3)
    content = actor.browser.download(f"{base}/content")
    signature = actor.browser.download(f"{base}/signature.p7s")
    words = _openssl(demo, content, signature)
    actor.browser.submit(send, send.form("/send"))
    chief = _Actor(demo, "chief01").browser.get("/dashboard/review")
    chief.needs("1153000165")
    return f"「{hint}」; {words}; passed on to 陳美玲"


_BATCH = ["1153000151", "1153000152", "1153000153"]
_REFUSED = "1153000150~1"


def _sign_batch(demo: Running) -> str:
    actor = _registered(demo, "chief01")
    page = _choose(actor, [_REFUSED, *_BATCH])
    actor.until(page, "failed").needs("公文文號含有手機畫面不能顯示的字元", "其餘 3 件重新簽章")
    page = _choose(actor, _BATCH)
    hint = actor.press("confirm")
    if "等 3 件" not in hint:
        raise DemoError(f"the phone did not say how many documents: {hint!r}")
    page = actor.until(page, "completed")
    end = time.monotonic() + _WITHIN
    while page.text.count("簽章檔 .p7s") < len(_BATCH) and time.monotonic() < end:
        time.sleep(0.3)
        page = actor.browser.get(page.url)
    for number in _BATCH:
        base = f"/documents/{number}/versions/1"
        content = actor.browser.download(f"{base}/content")
        _openssl(demo, content, actor.browser.download(f"{base}/signature.p7s"))
    actor.browser.submit(page, page.form("/send")).needs("已送出 3 件")
    return (
        f"{_REFUSED} refused beforehand; 「{hint}」, confirmed once, three signatures that "
        "OpenSSL accepts, all passed on"
    )


def _choose(actor: _Actor, numbers: list[str]) -> Page:
    """連續簽章: the boxes on the dashboard, the list, 儲存並送出."""
    page = actor.browser.get("/dashboard/review")
    page = actor.browser.submit(page, page.form("/review/batch"), number=numbers)
    page.needs("連續簽章")
    return actor.browser.submit(page, page.form("/batches"), number=numbers)


def _openssl(demo: Running, content: bytes, signature: bytes) -> str:
    folder = demo.settings.directory
    (folder / "content").write_bytes(content)
    (folder / "signature.p7s").write_bytes(signature)
    verify = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-cades"]
    verify += ["-in", str(folder / "signature.p7s"), "-CAfile", str(demo.anchors)]
    good = _run([*verify, "-content", str(folder / "content")])
    (folder / "tampered").write_bytes(content + b" ")
    bad = _run([*verify, "-content", str(folder / "tampered")])
    if good.returncode != 0 or bad.returncode == 0:
        raise DemoError(f"openssl: {good.stderr.decode(errors='replace')}")
    return "OpenSSL: CAdES Verification successful, and refused for changed content"


def _run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, capture_output=True, check=False)


def _sign_by_code(demo: Running) -> str:
    actor = _registered(demo, "clerk05")
    page = actor.begin_signing("1153000169")
    hint = actor.scan_code(page)
    if "1153000169" not in hint:
        raise DemoError(f"the phone did not show the document number: {hint!r}")
    actor.until(page, "completed").needs("公文送出")
    return f"「{hint}」, from the picture in the window while the push was open"


def _expire(demo: Running) -> str:
    actor = _registered(demo, "clerk02")
    page = actor.begin_signing("1153000166")
    actor.notification()
    began = time.monotonic()
    page = actor.until(page, "expired", _AFTER_LIMIT)
    page.needs("憑證加簽失敗", "確定")
    actor.browser.get("/documents/1153000166").form("/submit")
    return (
        f"「憑證加簽失敗」 after {time.monotonic() - began:.0f} s, nothing of the document is lost"
    )


def _refuse(demo: Running) -> str:
    actor = _registered(demo, "clerk03")
    page = actor.begin_signing("1153000167")
    began = time.monotonic()
    actor.press("refuse")
    actor.until(page, "rejected")
    return f"refused on the phone, said as a refusal after {time.monotonic() - began:.1f} s"


def _cancel(demo: Running) -> str:
    actor = _registered(demo, "clerk04")
    page = actor.begin_signing("1153000168")
    actor.notification()
    page = actor.browser.submit(page, page.form("/cancel"))
    actor.until(page, "cancelled")
    try:
        actor.press("confirm")
    except DemoError:
        late = "the phone's request was gone"
    else:
        time.sleep(2.5)
        late = "a late confirmation changed nothing"
    actor.until(actor.browser.get(page.url), "cancelled")
    return f"cancelled in the document system, {late}"


_STEPS: tuple[tuple[str, Callable[[Running], str]], ...] = (
    ("register 登記憑證", _register),
    ("sign 1153000165 by push", _sign),
    ("sign 1153000169 by QR code", _sign_by_code),
    ("sign three documents with one confirmation 連續簽章", _sign_batch),
    ("nobody answers 逾時", _expire),
    ("refused 拒絕", _refuse),
    ("cancelled 取消", _cancel),
)


def play(demo: Running) -> int:
    """One line a step; 0 only if each ended as it should."""
    started = time.monotonic()
    for number, (name, step) in enumerate(_STEPS, start=1):
        try:
            said = step(demo)
        except DemoError as e:
            print(f"{number}. {name}: FAILED: {e}", flush=True)
            _show_logs(demo.settings.directory)
            return 1
        print(f"{number}. {name}: ok: {said}", flush=True)
    print(f"tour: {len(_STEPS)} steps ended as they should in {time.monotonic() - started:.0f} s")
    return 0


def _show_logs(directory: Path) -> None:
    for log in sorted(directory.glob("*/*.log")):
        lines = log.read_text(errors="replace").splitlines()[-5:]
        print("\n".join([f"--- {log.stem}", *lines]), flush=True)
