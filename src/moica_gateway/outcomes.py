"""How a transaction stands, from an answer or from an event, and whether it is the one expected."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from attrs import field, frozen

from moica_gateway.errors import GatewayError, Problem, error
from moica_gateway.wire import TransactionView

__all__ = [
    "AnyOutcome",
    "Cancelled",
    "Completed",
    "Expectation",
    "Expired",
    "Failed",
    "Outcome",
    "OutcomeDocument",
    "Pending",
    "Rejected",
]


class _Event(Protocol):
    @property
    def type(self) -> str: ...

    @property
    def data(self) -> Mapping[str, Any]: ...


@frozen(kw_only=True)
class OutcomeDocument:
    """A document as the gateway names it."""

    number: str
    version: str | None
    sha256: str
    status: str | None


@frozen(kw_only=True)
class Expectation:
    """What the receiver itself froze and asked for (security rule 11)."""

    transaction_id: str | None
    kind: str
    user_id: str
    number: str | None = None
    version: str | None = None
    sha256: str | None = None


@frozen(kw_only=True)
class Outcome:
    """One state of a transaction: one of the six classes below, by its ``status``."""

    transaction_id: str
    version: int
    kind: str
    status: str
    user_id: str
    documents: tuple[OutcomeDocument, ...]
    error: Problem | None = None
    expires_at: datetime | None = None
    metadata: Mapping[str, Any] = field(factory=dict)

    @property
    def ended(self) -> bool:
        """True once it cannot change any more."""
        return self.status != "pending"

    @classmethod
    def of_transaction(cls, view: TransactionView) -> AnyOutcome:
        """From an answer to our own question.

        Raises:
            UpstreamError: ``upstream_malformed`` for a status that v1 does not know.
        """
        return _of_status(view.status)(
            transaction_id=view.id,
            version=view.version,
            kind=view.kind,
            status=view.status,
            user_id=view.user_id or "",
            documents=tuple(
                OutcomeDocument(
                    number=d.number, version=d.version, sha256=d.sha256, status=d.status
                )
                for d in view.documents
            ),
            error=view.error,
            expires_at=view.expires_at,
            metadata=view.metadata,
        )

    @classmethod
    def of_event(cls, event: _Event) -> AnyOutcome:
        """From a verified event.

        Raises:
            UpstreamError: ``upstream_malformed`` when its data are no transaction's.
        """
        data = event.data
        try:
            problem = data.get("error")
            return _of_status(str(data["status"]))(
                transaction_id=str(data["transaction_id"]),
                version=int(data["version"]),
                kind=str(data["kind"]),
                status=str(data["status"]),
                user_id=str(data["user_id"]),
                documents=tuple(
                    OutcomeDocument(
                        number=str(d["number"]),
                        version=d.get("version"),
                        sha256=str(d["sha256"]),
                        status=d.get("status"),
                    )
                    for d in data["documents"]
                ),
                error=Problem.from_json(problem) if isinstance(problem, Mapping) else None,
                metadata=dict(data.get("metadata") or {}),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as e:
            raise error(
                "upstream_malformed", "expected the data of a transaction in the event"
            ) from e

    def assert_matches(self, expected: Expectation) -> None:
        """That this is about what was asked for, and nothing else.

        Raises:
            VerificationError: ``answer_invalid``, naming what differs. Action: change nothing, and
                tell an administrator.
        """
        _same("transaction", self.transaction_id, expected.transaction_id)
        _same("kind", self.kind, expected.kind)
        _same("user", self.user_id, expected.user_id)
        if expected.number is None:
            return
        if len(self.documents) != 1:
            raise _differs("number of documents")
        document = self.documents[0]
        _same("document number", document.number, expected.number)
        _same("document version", document.version, expected.version)
        digest = expected.sha256
        _same("document digest", document.sha256.lower(), digest and digest.lower())


@frozen(kw_only=True)
class Pending(Outcome):
    """Nobody has answered yet, and time is left."""


@frozen(kw_only=True)
class Completed(Outcome):
    """Signed, or registered: verified by the gateway, and stored."""


@frozen(kw_only=True)
class Rejected(Outcome):
    """The holder pressed 「取消」 in the app."""


@frozen(kw_only=True)
class Expired(Outcome):
    """Nobody confirmed in time."""


@frozen(kw_only=True)
class Cancelled(Outcome):
    """The document system took it back."""


@frozen(kw_only=True)
class Failed(Outcome):
    """``error`` says why, who can act, and what helps."""


AnyOutcome = Pending | Completed | Rejected | Expired | Cancelled | Failed
"""Closed: ``match`` it exhaustively."""

_CLASSES: Final[Mapping[str, type[AnyOutcome]]] = {
    "pending": Pending,
    "completed": Completed,
    "rejected": Rejected,
    "expired": Expired,
    "cancelled": Cancelled,
    "failed": Failed,
}


def _of_status(status: str) -> type[AnyOutcome]:
    found = _CLASSES.get(status)
    if found is None:
        raise error("upstream_malformed", "expected one of the six states of v1, came another")
    return found


def _same(what: str, came: str | None, expected: str | None) -> None:
    if came != expected:
        raise _differs(what)


def _differs(what: str) -> GatewayError:
    return error(
        "answer_invalid",
        f"expected the {what} that was asked for, came another; nothing is changed",
    )
