"""Every state of the signing window, as the gateway tells it; for the widget and the page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["STATES", "view_of"]

LINK = "mobilemoica://moica.moi.gov.tw/w2a/verifySign?sp_ticket=" + "a.b" * 200
BROKEN = {
    "code": "upstream_unavailable",
    "title": "The platform does not answer",
    "status": 503,
    "detail": "x",
    "user_message": {"zh-TW": "平台暫時無法服務，請稍後再試。", "en": "The platform is down."},
}
UNBOUND = {
    **BROKEN,
    "code": "device_not_bound",
    "user_message": {"zh-TW": "此裝置尚未綁定。", "en": "This phone is not bound."},
    "what_helps": "bind",
}
BY_CODE = {
    **BROKEN,
    "code": "push_failed",
    "user_message": {"zh-TW": "無法推播至手機。", "en": "The phone cannot be reached."},
    "what_helps": "qr",
}
FORM = {"action": "https://fido.moi.gov.tw/fidoRedirect/web", "fields": {"a": "1"}}


def _batch(signed: int, other: str | None = None) -> list[dict[str, Any]]:
    return [
        {
            "id": f"d{n}",
            "number": f"11530001{n:02d}",
            "sha256": "0" * 64,
            "status": "completed" if n < signed else other or "pending",
            "ticket": n // 20,
        }
        for n in range(25)
    ]


def _way(channel: str, status: str = "sent", left: float = 200, **more: Any) -> dict[str, Any]:
    return {"id": f"chl_{channel}", "channel": channel, "status": status, "left": left, **more}


STATES: Mapping[str, Mapping[str, Any]] = {
    "starting": {"challenges": [_way("push", "starting")]},
    "push": {"challenges": [_way("push")]},
    "registration": {"kind": "registration", "documents": [], "challenges": [_way("push")]},
    "authentication": {"kind": "authentication", "documents": [], "challenges": [_way("push")]},
    "qr": {"challenges": [_way("push"), _way("qr")]},
    "qr about to lapse": {"challenges": [_way("qr", left=14)]},
    "qr lapsed": {"challenges": [_way("qr", "lapsed", left=-5)]},
    "app link": {"challenges": [_way("push"), _way("app_link", url=LINK)]},
    "redirect": {"challenges": [_way("redirect", form=FORM)]},
    "push failed": {"challenges": [_way("push", "failed", error=BY_CODE)]},
    "time is up": {"left": -3, "challenges": [_way("push", "lapsed", left=-3)]},
    "batch": {"documents": _batch(0), "tickets": 2, "challenges": [_way("push")]},
    "completed": {"status": "completed"},
    "rejected": {"status": "rejected"},
    "expired": {"status": "expired"},
    "cancelled": {"status": "cancelled"},
    "failed": {"status": "failed", "error": BROKEN},
    "not bound": {"status": "failed", "error": UNBOUND},
    "registration failed": {
        "kind": "registration",
        "documents": [],
        "status": "failed",
        "error": BROKEN,
    },
    "batch stopped": {
        "documents": _batch(20, "rejected"),
        "status": "rejected",
        "tickets": 2,
        "ticket": 1,
        "partial": True,
    },
}


def view_of(name: str, version: int) -> dict[str, Any]:
    """The transaction in that state, as of now."""
    now = datetime.now(UTC)
    state = {"left": 240, "challenges": [], **STATES[name]}
    challenges = [
        {
            **{key: value for key, value in one.items() if key != "left"},
            "expires_at": (now + timedelta(seconds=one["left"])).isoformat(),
        }
        for one in state.pop("challenges")
    ]
    return {
        "id": "txn_1",
        "version": version,
        "kind": "signature",
        "status": "pending",
        "created_at": (now - timedelta(seconds=5)).isoformat(),
        "expires_at": (now + timedelta(seconds=state.pop("left"))).isoformat(),
        "documents": [{"id": "doc_1", "number": "1153000165", "sha256": "0" * 64}],
        "match_code": "42",
        "challenges": challenges,
        **state,
    }
