"""How a transaction stands, from an answer or from an event, and whether it is the one expected."""

from __future__ import annotations

from collections import Counter
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
    "ExpectedDocument",
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
    id: str | None = field(default=None, eq=False)
    """For `GatewayClient.artifact`, where a transaction has several documents; the gateway's own
    where the caller gave none."""


def _lower(text: str) -> str:
    return text.lower()


@frozen(kw_only=True)
class ExpectedDocument:
    """One frozen version that was asked for."""

    number: str
    version: str | None
    sha256: str = field(converter=_lower)


@frozen(kw_only=True)
class Expectation:
    """What the receiver itself froze and asked for (security rule 11).

    Attributes:
        number: Of the only document, with its ``version`` and ``sha256``.
        documents: All of them, in any order, instead of those three: what a batch has.
    """

    transaction_id: str | None
    kind: str
    user_id: str
    number: str | None = None
    version: str | None = None
    sha256: str | None = None
    documents: tuple[ExpectedDocument, ...] = ()


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

    @property
    def signed_documents(self) -> tuple[OutcomeDocument, ...]:
        """Those that are signed, also where the others were not: a batch may end partly."""
        return tuple(d for d in self.documents if d.status == "completed")

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
                    number=d.number,
                    version=d.version,
                    sha256=d.sha256,
                    status=d.status,
                    id=d.id,
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
                        id=d.get("id"),
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
        _same_documents(self.documents, expected)
        completed = self.kind == "signature" and self.status == "completed"
        if completed and len(self.signed_documents) != len(self.documents):
            raise _differs("status of every document")


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


def _same_documents(came: tuple[OutcomeDocument, ...], expected: Expectation) -> None:
    wanted = [(d.number, d.version, d.sha256) for d in expected.documents]
    if expected.number is not None:
        if wanted:
            raise error(
                "configuration_invalid", "expected either `number` or `documents`, came both"
            )
        digest = expected.sha256
        wanted = [(expected.number, expected.version, digest.lower() if digest else "")]
    if not wanted:
        if expected.kind == "signature":
            raise _differs("number of documents")
        return
    if len(came) != len(wanted):
        raise _differs("number of documents")
    found = [(d.number, d.version, d.sha256.lower()) for d in came]
    for what, parts in (("number", 1), ("version", 2), ("digest", 3)):
        if Counter(d[:parts] for d in found) != Counter(d[:parts] for d in wanted):
            raise _differs(f"document {what}")


def _same(what: str, came: str | None, expected: str | None) -> None:
    if came != expected:
        raise _differs(what)


def _differs(what: str) -> GatewayError:
    return error(
        "answer_invalid",
        f"expected the {what} that was asked for, came another; nothing is changed",
    )
