"""What a document system hears of a credential outside a transaction's own event."""

from __future__ import annotations

import json
from datetime import datetime

from moica_gateway.domain.models import Credential, OutboxMessage

__all__ = ["credential_event"]


def credential_event(
    credential: Credential, type_: str, now: datetime, message_id: str
) -> OutboxMessage:
    """No name, certificate or number: the document system knows its user."""
    body = {
        "type": type_,
        "timestamp": _rfc3339(now),
        "data": {
            "credential_id": credential.id,
            "user_id": credential.user_id,
            "status": credential.status.value,
            "not_after": _rfc3339(credential.not_after),
        },
    }
    return OutboxMessage(
        id=message_id,
        tenant=credential.tenant,
        type=type_,
        transaction_id=None,
        body=json.dumps(body, ensure_ascii=False).encode(),
        created_at=now,
        next_attempt_at=now,
    )


def _rfc3339(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
