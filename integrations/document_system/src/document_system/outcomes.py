"""What the gateway says, recorded once, in one database transaction (``security.md`` 11).

A webhook and an answer to our own question come through the same function. It believes nothing
that does not fit what was frozen and asked for, and never changes what has ended. It calls nobody:
whether the sender is the gateway was settled before (signature of the webhook, or TLS and key of
our own call).
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from document_system.models import Confirmation, Status
from document_system.roc import roc_time
from document_system.store import confirmations, documents
from moica_gateway.errors import Problem, VerificationError
from moica_gateway.outcomes import Expectation, ExpectedDocument, Outcome

_STATUSES: Final[Mapping[str, Status]] = {
    "pending": "pending",
    "completed": "completed",
    "rejected": "rejected",
    "expired": "expired",
    "failed": "failed",
    "cancelled": "cancelled",
}
_MEMBERS: Final[Mapping[str, str]] = {
    "number": "公文文號含有手機畫面不能顯示的字元，或超過 50 字，無法以此文號簽章；"
    "請洽系統管理者更正文號。",
    "documents": "一次選擇的公文超過簽章閘道的上限，請減少件數後再試。",
}
"""What a clerk can do about a member that the gateway refuses; its own word speaks to us."""

_LONGEST_WAIT: Final = 86_400
"""Seconds. What is said to take longer is no waiting time."""

__all__ = ["Applied", "NotYet", "apply_outcome", "message_of"]


class Applied(Enum):
    """What became of an outcome."""

    RECORDED = "recorded"
    SEEN = "seen"
    """This webhook-id was here before."""
    FOREIGN = "foreign"
    """No request of ours has this transaction."""
    OLDER = "older"
    """Not newer than what is recorded, or the request has ended."""
    MISMATCH = "mismatch"
    """Our transaction, but another person, document, version, digest or an unknown status."""


class NotYet(Exception):
    """The outcome overtook the answer that would have told us its transaction.

    Action: answer the webhook with 503, so that it is sent again.
    """


def message_of(problem: Problem, now: datetime | None = None) -> str:
    """The word for the user. What only an administrator can correct is said as such.

    Args:
        problem: The gateway's.
        now: Where given, and the problem says how long to wait, the time is said as well.
    """
    member = str(problem.extra.get("member") or "").rpartition("]")[2].rpartition(".")[2]
    if problem.code == "request_invalid" and member in _MEMBERS:
        return _MEMBERS[member]
    if problem.code in ("unauthenticated", "forbidden"):
        # The catalogue's word speaks of the caller's sign-in; here the caller is this server.
        return "公文系統與簽章閘道之間的設定有誤，請通知系統管理者。"
    text = problem.user_message.get("zh-TW") or "作業失敗，請稍後再試。"
    wait = problem.extra.get("retry_after")
    if now is None or not isinstance(wait, int | float) or not 0 < wait <= _LONGEST_WAIT:
        return text
    return f"{text}（{roc_time(now + timedelta(seconds=math.ceil(wait)))} 之後可再試）"


def apply_outcome(
    db: sqlite3.Connection, outcome: Outcome, *, webhook_id: str | None, now: datetime
) -> Applied:
    """Records an authentic outcome, inside the caller's transaction.

    Args:
        db: Inside a transaction.
        outcome: As the SDK parsed it.
        webhook_id: Of a webhook; None where we asked.
        now: When it came.

    Raises:
        NotYet: Nothing was recorded, not the webhook-id either.
    """
    if webhook_id is not None and confirmations.seen_before(db, webhook_id, now):
        return Applied.SEEN
    ours = confirmations.find_by_transaction(db, outcome.transaction_id)
    if ours is None:
        expected = confirmations.find_confirmation(db, outcome.metadata.get("confirmation", ""))
        if expected is not None and expected.status == "starting":
            raise NotYet
        return Applied.FOREIGN
    if not ours.open or outcome.version <= ours.gateway_version:
        return Applied.OLDER
    try:
        outcome.assert_matches(_expectation(ours))
    except VerificationError:
        return Applied.MISMATCH
    status = _STATUSES.get(outcome.status)
    if status is None:
        return Applied.MISMATCH
    waiting = {(one.number, str(one.version)): one for one in ours.items if one.status == "pending"}
    signed = [
        waiting[which]
        for one in outcome.signed_documents
        if (which := (one.number, one.version or "")) in waiting
    ]
    recorded = confirmations.advance(
        db,
        ours.id,
        status=status,
        gateway_version=outcome.version,
        error_code=outcome.error.code if outcome.error else None,
        error_message=message_of(outcome.error) if outcome.error else None,
        expires_at=outcome.expires_at,
        signed=signed,
        now=now,
    )
    if not recorded:
        return Applied.OLDER
    for one in signed:
        documents.mark_signed(db, one.number, one.version, ours.holder)
    return Applied.RECORDED


def _expectation(ours: Confirmation) -> Expectation:
    return Expectation(
        transaction_id=ours.transaction_id,
        kind=ours.kind,
        user_id=ours.user_id,
        documents=tuple(
            ExpectedDocument(number=one.number, version=str(one.version), sha256=one.sha256)
            for one in ours.items
        ),
    )
