"""APP-API-01: the link that opens the app from a phone's browser.

What comes back on ``rtn_url`` is ``rtn_val`` and nothing else of value: a wake-up to poll, never a
result. Anyone who sees the address can send it again, so it is a token that leads nowhere.

That the two are base64url without padding, and that both are sent, empty, where there is nowhere
to return to, is our reading. Specification: ``protocol/moi-sp-api.md`` "App link, APP-API-01".
"""

from __future__ import annotations

import base64
from typing import Final
from urllib.parse import quote, urlencode

__all__ = ["app_link"]

_BASE: Final = "mobilemoica://moica.moi.gov.tw/w2a/verifySign"


def app_link(sp_ticket: str, return_url: str | None, wake_up: str) -> str:
    """The link for a mobile browser.

    Args:
        sp_ticket: The whole ticket.
        return_url: Where the app goes back to; already checked against the registered origins.
        wake_up: An opaque token that comes back; it says that polling may be worth while.
    """
    query = {
        "sp_ticket": sp_ticket,
        "rtn_url": _encode(return_url or ""),
        "rtn_val": _encode(wake_up if return_url else ""),
    }
    return f"{_BASE}?{urlencode(query, quote_via=quote, safe='')}"


def _encode(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode("utf-8", "replace")).rstrip(b"=").decode("ascii")
