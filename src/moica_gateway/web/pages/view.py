"""One transaction as an HTML page. Pure: what the user may do is told by plain links and forms.

Old browsers read it: no script, no grid, one style sheet. Everything that came from elsewhere is
escaped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from html import escape
from typing import Final

from attrs import frozen

from moica_gateway.web.pages.words import WORDS
from moica_gateway.wire import ChallengeView, TransactionView

__all__ = ["RENEWAL", "PageView", "trouble_page", "window_page"]

RENEWAL: Final = 3
"""Seconds between two renewals of a page that waits."""
_APP: Final = "mobilemoica://"


@frozen(kw_only=True)
class PageView:
    """What a page is made of.

    Attributes:
        transaction: As a browser may see it.
        now: For what is left.
        language: ``zh-TW`` or ``en``.
        renews: Whether the page renews itself while it waits.
        form_token: For its forms.
        key: An ``Idempotency-Key`` for whatever is pressed on this page.
        return_url: Where 「確定」 leads to at the end.
        refusal: Why what was pressed before was not done.
    """

    transaction: TransactionView
    now: datetime
    language: str
    renews: bool
    form_token: str
    key: str
    return_url: str | None = None
    refusal: str = ""


def window_page(page: PageView) -> str:
    """The window, waiting or ended."""
    words = WORDS[page.language]
    body = _ended(page, words) if page.transaction.terminal else _pending(page, words)
    renewal = not page.transaction.terminal and page.renews
    refresh = f'<meta http-equiv="refresh" content="{RENEWAL};url={_self(page)}">'
    return _document(page.language, words, body, refresh if renewal else "")


def trouble_page(language: str, message: str, code: str) -> str:
    """What cannot be shown, and why."""
    words = WORDS[language]
    body = (
        f'<h1>{words["trouble"]}</h1><p class="reason">{escape(message)}</p>'
        f'<p class="small">{words["code"]} {escape(code)}</p>'
    )
    return _document(language, words, f'<div class="window bad">{body}</div>', "")


def _document(language: str, words: Mapping[str, str], body: str, head: str) -> str:
    title = words["signature"]
    return (
        f'<!DOCTYPE html><html lang="{"zh-Hant-TW" if language == "zh-TW" else "en"}"><head>'
        '<meta charset="utf-8"><meta http-equiv="X-UA-Compatible" content="IE=edge">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{title}</title><link rel="stylesheet" href="/pages/page.css">{head}</head>'
        f'<body><div role="main">{body}</div></body></html>'
    )


def _self(page: PageView, **changes: str) -> str:
    asked = {"lang": page.language, **({} if page.renews else {"still": "1"}), **changes}
    return f"?{'&amp;'.join(f'{name}={value}' for name, value in asked.items() if value)}"


def _left(page: PageView, until: datetime) -> int:
    return math.ceil((until - page.now).total_seconds())


def _open(page: PageView, channel: str) -> ChallengeView | None:
    found = [c for c in page.transaction.challenges if (c.channel, c.status) == (channel, "sent")]
    return found[-1] if found and _left(page, found[-1].expires_at) > 0 else None


def _pending(page: PageView, words: Mapping[str, str]) -> str:
    view = page.transaction
    code, link, push = (_open(page, channel) for channel in ("qr", "app_link", "push"))
    link = link if link is not None and (link.url or "").startswith(_APP) else None
    starting = any(c.status == "starting" for c in view.challenges)
    last = view.challenges[-1] if view.challenges else None
    failed = last.error if last is not None and last.status == "failed" else None
    lapsed = code is None and any(
        c.channel == "qr" and c.status in ("sent", "lapsed") for c in view.challenges
    )
    if link is not None:
        said = words["sentLink"]
    elif code is not None:
        said = words["sentQr"]
    elif push is not None:
        said = words["sent"]
    elif failed is not None and not starting:
        said = words["useQr"] if failed.what_helps == "qr" else ""
    else:
        said = words["starting"] if starting else words["wait"]
    reason = page.refusal or (failed.user_message.get(page.language, "") if failed else "")
    left = _left(page, view.expires_at)
    parts = [
        f"<h1>{words.get(view.kind, words['signature'])}</h1>",
        f"<p>{said}</p>" if said else "",
        f'<p class="reason">{escape(reason)}</p>' if reason else "",
        _facts(page, words),
        f"<p>{words['matchHelp']}</p>",
        f'<p class="left">{words["left"].format(n=left) if left > 0 else words["wait"]}</p>',
    ]
    if code is not None:
        parts.append(
            f"<p>{words['qrHelp']}</p>"
            f'<p class="qr"><img src="qr.png?c={escape(code.id or "")}" alt="{words["qrAlt"]}"></p>'
            f'<p class="reason">{words["qrWarn"]}</p>'
        )
    if lapsed:
        parts.append(f"<p>{words['qrLapsed']}</p>")
    if link is not None:
        parts.append(
            f'<p><a class="button first" href="{escape(link.url or "")}">{words["openApp"]}</a></p>'
            f'<p class="small">{words["copyHelp"]}</p><p><label>{words["appAddress"]} '
            f'<input class="address" readonly value="{escape(link.url or "")}"></label></p>'
        )
    buttons = []
    if code is None:
        buttons.append(_button("qr", words["newQr" if lapsed else "qr"]))
    if link is None:
        buttons.append(_button("app_link", words["app"]))
    parts.append(
        f'<form method="post" action="challenges">{"".join(buttons)}{_hidden(page)}</form>'
    )
    renewing = (
        f'{words["reloads"].format(n=RENEWAL)} <a href="{_self(page, still="1")}">{words["still"]}'
        "</a> · "
        if page.renews
        else ""
    )
    other = "en" if page.language == "zh-TW" else "zh-TW"
    parts.append(
        f'<p class="small">{renewing}<a href="{_self(page)}">{words["reload"]}</a> · '
        f'<a href="{_self(page, lang=other)}" lang="{other}">{words["other"]}</a></p>'
    )
    return f'<div class="window">{"".join(parts)}</div>'


def _ended(page: PageView, words: Mapping[str, str]) -> str:
    view = page.transaction
    good = view.status == "completed"
    title = words.get(view.status) or words[f"{view.kind}{'Done' if good else 'Bad'}"]
    parts = [f"<h1>{title}</h1>"]
    if view.error is not None:
        shown = view.error.user_message.get(page.language) or words["failedWhy"]
        parts.append(f"<p>{escape(shown)}</p>")
    parts.append(_facts(page, words))
    helps = view.error.what_helps if view.error is not None else ""
    if not good and page.return_url is not None and helps not in ("fix", "fail"):
        parts.append(f"<p>{words['bind' if helps == 'bind' else 'again']}</p>")
    if view.status == "failed" and view.error is not None:
        reference = view.error.upstream_code or view.error.code
        parts.append(f'<p class="small">{words["code"]} {escape(reference)}</p>')
    parts.append(
        f'<p><a class="button first" href="{escape(page.return_url)}">{words["ok"]}</a></p>'
        if page.return_url is not None
        else f"<p>{words['close']}</p>"
    )
    return f'<div class="window {"good" if good else "bad"}">{"".join(parts)}</div>'


def _facts(page: PageView, words: Mapping[str, str]) -> str:
    view = page.transaction
    numbers = "、".join(escape(d.number) for d in view.documents)
    rows = [(words["number"], f"<b>{numbers}</b>")] if numbers else []
    if not view.terminal:
        rows.append((words["match"], f'<b class="code">{escape(view.match_code)}</b>'))
    cells = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows)
    return f"<table>{cells}</table>" if cells else ""


def _button(channel: str, text: str) -> str:
    return f'<button type="submit" name="channel" value="{channel}">{text}</button> '


def _hidden(page: PageView) -> str:
    values = {"token": page.form_token, "key": page.key, "lang": page.language}
    if not page.renews:
        values["still"] = "1"
    return "".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">'
        for name, value in values.items()
    )
