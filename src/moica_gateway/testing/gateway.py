"""A gateway for a vendor's unit tests: no network, no phone, no waiting, and the SDK's own client.

What is real: requests are parsed as the gateway parses them, answers read as the client reads them,
one credential a user, one open transaction a person, `Idempotency-Key`, problem documents, and
webhooks signed by Standard Webhooks. What is not: nobody is asked, nothing is verified, and an
artifact is a placeholder that no judge accepts; `verify` finds that one good and anything else bad.
For that there is the simulator.

    gateway = FakeGateway()
    gateway.registered("clerk01")
    gateway.will("rejected")
    async with gateway.client() as client:
        outcome = await client.sign(user_id="clerk01", document=document)
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from attrs import evolve, field, frozen
from standardwebhooks import Webhook

from moica_gateway.blocking import BlockingGatewayClient
from moica_gateway.client import GatewayClient, Reply
from moica_gateway.errors import CATALOGUE, GatewayError, Problem, error, problem
from moica_gateway.wire import (
    AuthenticationRequest,
    BatchRequest,
    Certificate,
    ChallengeRequest,
    ChallengeView,
    CheckView,
    CredentialView,
    DeviceStatusRequest,
    DeviceStatusView,
    DocumentRequest,
    DocumentView,
    EventView,
    PageView,
    RegistrationRequest,
    SignatureRequest,
    SignatureView,
    TransactionView,
    VerificationRequest,
    VerificationView,
    VerifiedSignatureView,
    format_time,
)

__all__ = ["Asked", "FakeGateway"]

_SECRET: Final = "whsec_" + base64.b64encode(b"a secret of tests only").decode()
_KEY: Final = "mgk_test_" + "0" * 43
_PLACEHOLDER: Final = b"a placeholder, no signature, of "
_ENDINGS: Final = {
    "rejected": "holder_refused",
    "expired": "expired",
    "cancelled": "cancelled",
    "failed": "upstream_unreachable",
}
_TICKET: Final = 20
_Request = RegistrationRequest | SignatureRequest | BatchRequest | AuthenticationRequest
_REQUESTS: Final[Mapping[str, tuple[str, Callable[[object], _Request]]]] = {
    "registrations": ("registration", RegistrationRequest.parse),
    "signatures": ("signature", SignatureRequest.parse),
    "signature-batches": ("signature", BatchRequest.parse),
    "authentications": ("authentication", AuthenticationRequest.parse),
}
_STATUSES: Final = ("pending", "completed", *_ENDINGS)


@frozen
class Asked:
    """One request, as it would have gone over the wire."""

    method: str
    path: str
    body: Any = field(repr=False)


class FakeGateway:
    """See the module.

    Args:
        now: The time that stands in answers and webhooks.
        webhook_secret: Under which `webhook` signs.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        webhook_secret: str = _SECRET,
    ) -> None:
        self.asked: list[Asked] = []
        """Every request, oldest first."""
        self.webhook_secret = webhook_secret
        self._now = now
        self._next: deque[tuple[str, str | None]] = deque()
        self._refusals: deque[str] = deque()
        self._transactions: dict[str, TransactionView] = {}
        self._planned: dict[str, tuple[str, str | None]] = {}
        self._credentials: dict[str, CredentialView] = {}
        self._keys: dict[tuple[str, str], tuple[Any, str]] = {}
        self._events: list[EventView] = []

    # -- what a test says ------------------------------------------------------------------------

    def client(self) -> GatewayClient:
        """The asynchronous client, answered from here."""
        return _FakeClient(self)

    def blocking_client(self) -> BlockingGatewayClient:
        """The blocking client, answered from here."""
        return _FakeBlockingClient(self)

    def will(self, status: str, code: str | None = None) -> None:
        """How the next transaction ends, once somebody looks; may be said several times ahead.

        Args:
            status: ``completed`` (what happens if nothing is said), ``rejected``, ``expired``,
                ``cancelled``, ``failed``, or ``pending`` for none until `end`.
            code: Of the catalogue, for what is not completed; there is one for each status.
        """
        self._next.append((_status(status), code and _code(code)))

    def will_refuse(self, code: str) -> None:
        """The next request that makes something is refused, e.g. with ``push_paused``."""
        self._refusals.append(_code(code))

    def end(
        self, transaction_id: str, status: str = "completed", code: str | None = None
    ) -> TransactionView:
        """Ends a pending transaction now; one that has ended comes back as it is."""
        found = self._found(transaction_id)
        if found.terminal or status == "pending":
            return found
        why: Problem | None = None
        if _status(status) != "completed":
            why = problem(_code(code or _ENDINGS[status]), "as the test has said")
        credential = None
        if status == "completed" and found.kind == "registration":
            credential = self.registered(found.user_id or "")
        signature = None
        signs = found.kind == "signature" or (found.kind == "authentication" and found.user_id)
        if status == "completed" and signs:
            signature = SignatureView(
                format="cades" if found.kind == "signature" else "pkcs1",
                level="B-B" if found.kind == "signature" else None,
                signed_at=self._now(),
                certificate=Certificate(der=b"a placeholder, no certificate"),
                report=(),
            )
        ended = evolve(
            found,
            version=found.version + 1,
            status=status,
            assurance=_assurance(found, status),
            error=why,
            credential=credential,
            signature=signature,
            documents=tuple(evolve(d, status=status) for d in found.documents),
            challenges=tuple(evolve(c, status="closed") for c in found.challenges),
        )
        self._transactions[ended.id] = ended
        type_ = f"{found.kind if status == 'completed' else 'transaction'}.{status}"
        self._events.append(self._event(ended, type_))
        return ended

    def registered(self, user_id: str, user_name: str | None = None) -> CredentialView:
        """Gives a user an enabled credential, as if registered before."""
        for other in self._credentials.values():
            if other.user_id == user_id and other.status == "enabled":
                self._credentials[other.id] = evolve(other, status="disabled")
        number = len(self._credentials) + 1
        made = CredentialView(
            id=f"crd_{number}",
            user_id=user_id,
            user_name=user_name,
            type="mobile_citizen_certificate",
            status="enabled",
            issuer_name="內政部憑證管理中心",
            serial_number=f"{number:032x}",
            not_before=self._now(),
            not_after=self._now() + timedelta(days=365),
            subject_name=user_name or user_id,
            id_number_masked="******6789",
            fingerprint_sha256=f"{number:064x}",
        )
        self._credentials[made.id] = made
        return made

    def webhook(self, transaction_id: str) -> tuple[dict[str, str], bytes]:
        """Headers and body of the event that told the end of a transaction, signed.

        Raises:
            RequestError: ``not_found`` while it has not ended.
        """
        for event in self._events:
            if event.data["transaction_id"] == transaction_id:
                body = json.dumps(evolve(event, id=None).to_json(), ensure_ascii=False)
                signature = Webhook(self.webhook_secret).sign(str(event.id), event.timestamp, body)
                headers = {
                    "webhook-id": str(event.id),
                    "webhook-timestamp": str(int(event.timestamp.timestamp())),
                    "webhook-signature": signature,
                    "Content-Type": "application/json",
                }
                return headers, body.encode()
        raise _not_found()

    # -- what the client is answered -------------------------------------------------------------

    def answer(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Reply:
        """One exchange."""
        self.asked.append(Asked(method, path, body))
        try:
            return self._answer(method, path, body, headers)
        except GatewayError as e:
            status = e.problem.status if e.problem.status >= 400 else 409
            return _reply(status, e.problem.to_json())

    def _answer(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Reply:
        parts = urlsplit(path)
        names = [unquote(name) for name in parts.path.split("/")[2:]]
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        match (method, names):
            case ("POST", [what]) if what in _REQUESTS:
                return self._make(what, body, headers.get("Idempotency-Key", ""))
            case ("POST", ["device-status"]):
                DeviceStatusRequest.parse(body)
                found = DeviceStatusView(bound=True, certificate_usable=True)
                return _reply(200, found.to_json())
            case ("POST", ["verifications"]):
                return _reply(200, _verified(VerificationRequest.parse(body)).to_json())
            case ("GET", ["transactions"]):
                return self._list(query)
            case ("POST", ["transactions", "cancel"]):
                return self._recall(body)
            case ("GET", ["transactions", one]):
                return _reply(200, self._looked_at(one).to_json())
            case ("POST", ["transactions", one, "cancel"]):
                return _reply(200, self.end(one, "cancelled").to_json())
            case ("POST", ["transactions", one, "challenges"]):
                return self._challenge(one, ChallengeRequest.parse(body))
            case ("POST", ["transactions", one, "browser-tokens"]):
                return _reply(200, {"browser_token": f"btk_{self._found(one).id}"})
            case ("POST", ["transactions", one, "pages"]):
                path = f"/pages/{self._found(one).id}-{len(self.asked)}"
                lapses = format_time(self._now() + timedelta(seconds=60))
                return _reply(201, {"path": path, "expires_at": lapses})
            case ("GET", ["transactions", one, "evidence"]):
                return self._evidence(one)
            case ("GET", ["transactions", one, "artifact"]):
                return self._artifact(one, query.get("document"))
            case ("GET", ["credentials"]):
                theirs = [
                    c.to_json()
                    for c in self._credentials.values()
                    if c.user_id == query.get("user_id")
                ]
                return _reply(200, PageView(items=tuple(theirs)).to_json())
            case ("POST", ["credentials", one, "enable" | "disable" as verb]):
                return self._switch(one, verb)
            case ("DELETE", ["credentials", one]):
                self._credentials.pop(one, None)
                return Reply(status=204, headers={}, body=b"")
            case ("DELETE", ["users", one]):
                self._credentials = {k: c for k, c in self._credentials.items() if c.user_id != one}
                return Reply(status=204, headers={}, body=b"")
            case ("GET", ["events"]):
                return self._feed(query.get("after", ""), int(query.get("limit", "50")))
        raise _not_found()

    def _make(self, what: str, body: Any, key: str) -> Reply:
        if self._refusals:
            raise error(self._refusals.popleft(), "as the test has said")
        known = self._keys.get((what, key))
        if known is not None:
            if known[0] != body:
                raise error("idempotency_mismatch", "expected the same body with the same key")
            return self._made(self._found(known[1]))
        kind, parse = _REQUESTS[what]
        request = parse(body)
        documents: tuple[DocumentRequest, ...] = ()
        if isinstance(request, SignatureRequest):
            documents = (request.document,)
        elif isinstance(request, BatchRequest):
            documents = request.documents
        if request.user_id is not None:
            if kind != "registration":
                self._enabled(request.user_id)
            self._one_open(request.user_id, supersede=request.supersede)
        lives = timedelta(seconds=request.time_limit or 60)
        made = TransactionView(
            id=f"txn_{len(self._transactions) + 1}",
            version=1,
            kind=kind,
            status="pending",
            created_at=self._now(),
            expires_at=self._now() + lives,
            match_code="42",
            documents=tuple(
                _document(d, number, len(documents)) for number, d in enumerate(documents, 1)
            ),
            tickets=max(1, -(-len(documents) // _TICKET)),
            challenges=(self._asked_by(request.channel, lives),),
            user_id=request.user_id,
            on_behalf_of=getattr(request, "on_behalf_of", None),
            previous=getattr(request, "previous", None),
            metadata=request.metadata,
        )
        self._transactions[made.id] = made
        self._planned[made.id] = self._next.popleft() if self._next else ("completed", None)
        self._keys[(what, key)] = (body, made.id)
        return self._made(made)

    def _made(self, view: TransactionView) -> Reply:
        return _reply(201, evolve(view, browser_token=f"btk_{view.id}").to_json())

    def _asked_by(self, channel: str, lives: timedelta) -> ChallengeView:
        return ChallengeView(
            id="chl_1",
            channel=channel,
            status="sent",
            expires_at=self._now() + lives,
            qr_payload="a ticket" if channel == "qr" else None,
            url="mobilemoica://moica.moi.gov.tw/a2a/verifySign" if channel == "app_link" else None,
        )

    def _enabled(self, user_id: str) -> None:
        if not any(
            c.user_id == user_id and c.status == "enabled" for c in self._credentials.values()
        ):
            raise error("credential_missing", "expected a user with an enabled credential")

    def _one_open(self, user_id: str, *, supersede: bool) -> None:
        for other in tuple(self._transactions.values()):
            if other.user_id == user_id and not other.terminal:
                if not supersede:
                    raise error(
                        "transaction_open",
                        "expected no open transaction of this person",
                        transaction_id=other.id,
                    )
                self.end(other.id, "cancelled")

    def _found(self, transaction_id: str) -> TransactionView:
        found = self._transactions.get(transaction_id)
        if found is None:
            raise _not_found()
        return found

    def _looked_at(self, transaction_id: str) -> TransactionView:
        planned = self._planned.get(transaction_id, ("pending", None))
        return self.end(transaction_id, *planned)

    def _list(self, query: Mapping[str, str]) -> Reply:
        def fits(view: TransactionView) -> bool:
            numbers = {d.number for d in view.documents}
            return (
                query.get("user_id", view.user_id) == view.user_id
                and query.get("status", view.status) == view.status
                and query.get("kind", view.kind) == view.kind
                and ("document_number" not in query or query["document_number"] in numbers)
            )

        found = [v.to_json() for v in reversed(self._transactions.values()) if fits(v)]
        return _reply(200, PageView(items=tuple(found)).to_json())

    def _recall(self, body: Any) -> Reply:
        number = body.get("document_number") if isinstance(body, Mapping) else None
        ended = [
            self.end(v.id, "cancelled").to_json()
            for v in tuple(self._transactions.values())
            if not v.terminal and number in {d.number for d in v.documents}
        ]
        return _reply(200, PageView(items=tuple(ended)).to_json())

    def _challenge(self, transaction_id: str, asked: ChallengeRequest) -> Reply:
        found = self._found(transaction_id)
        if found.terminal:
            raise error("transaction_closed", "expected a pending transaction")
        challenge = self._asked_by(asked.channel, timedelta(seconds=60))
        challenge = evolve(challenge, id=f"chl_{len(found.challenges) + 1}")
        found = evolve(found, version=found.version + 1, challenges=(*found.challenges, challenge))
        self._transactions[found.id] = found
        return _reply(201, found.to_json())

    def _artifact(self, transaction_id: str, document_id: str | None) -> Reply:
        found = self._found(transaction_id)
        if found.kind == "authentication" and found.user_id is None:
            raise error("artifact_none", "nothing was signed")
        names = [d.number for d in found.documents if document_id in (None, d.id)]
        if found.kind == "authentication" and document_id is None:
            names = ["authentication"]
        if not names:
            raise _not_found()
        if len(names) > 1:
            raise error("request_invalid", "`document`: expected an id, there are several")
        if found.status != "completed":
            raise error("not_acceptable_yet", "expected a completed transaction")
        body = _PLACEHOLDER + names[0].encode()
        headers = {"Content-Type": "application/pkcs7-signature"}
        return Reply(status=200, headers=headers, body=body)

    def _evidence(self, transaction_id: str) -> Reply:
        if self._found(transaction_id).status == "pending":
            raise error("not_acceptable_yet", "expected a transaction that has ended")
        body = b"a placeholder, no evidence"
        return Reply(status=200, headers={"Content-Type": "application/zip"}, body=body)

    def _switch(self, credential_id: str, verb: str) -> Reply:
        found = self._credentials.get(credential_id)
        if found is None:
            raise _not_found()
        if verb == "enable":
            for other in tuple(self._credentials.values()):
                if other.user_id == found.user_id:
                    self._credentials[other.id] = evolve(other, status="disabled")
        changed = evolve(found, status=f"{verb}d")
        self._credentials[found.id] = changed
        return _reply(200, changed.to_json())

    def _feed(self, after: str, limit: int) -> Reply:
        start = int(after) if after.isdigit() else 0
        items = self._events[start : start + limit]
        page = PageView(
            items=tuple(event.to_json() for event in items), next_cursor=str(start + len(items))
        )
        return _reply(200, page.to_json())

    def _event(self, ended: TransactionView, type_: str) -> EventView:
        data: dict[str, Any] = {
            "transaction_id": ended.id,
            "version": ended.version,
            "kind": ended.kind,
            "status": ended.status,
            "user_id": ended.user_id,
            "documents": [
                {
                    "id": d.id,
                    "number": d.number,
                    "version": d.version,
                    "sha256": d.sha256,
                    "status": d.status,
                }
                for d in ended.documents
            ],
            "metadata": dict(ended.metadata),
        }
        if ended.error is not None:
            data["error"] = ended.error.to_json()
        number = len(self._events) + 1
        return EventView(id=f"evt_{number}", type=type_, timestamp=self._now(), data=data)


class _FakeClient(GatewayClient):
    def __init__(self, gateway: FakeGateway) -> None:
        super().__init__("http://gateway.invalid", _KEY, sleep=_at_once)
        self._gateway = gateway

    async def _exchange(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        wait: float,
    ) -> Reply:
        sent = None if body is None else json.loads(json.dumps(body))
        return self._gateway.answer(method, path, sent, headers)


class _FakeBlockingClient(BlockingGatewayClient):
    def __init__(self, gateway: FakeGateway) -> None:
        super().__init__("http://gateway.invalid", _KEY)
        self._new = gateway.client
        self._client = gateway.client()


def _assurance(found: TransactionView, status: str) -> str | None:
    if found.kind != "authentication" or status != "completed":
        return None
    return "certificate" if found.user_id else "platform"


def _document(asked: DocumentRequest, number: int, count: int) -> DocumentView:
    return DocumentView(
        id=asked.id or f"doc_{number}",
        number=asked.number,
        sha256=asked.sha256 or hashlib.sha256(asked.content or b"").hexdigest(),
        version=asked.version,
        title=asked.title,
        media_type=asked.media_type,
        ticket=(number - 1) // _TICKET if count > _TICKET else 0,
    )


async def _at_once(_seconds: float) -> None:
    pass


def _reply(status: int, body: Mapping[str, Any]) -> Reply:
    return Reply(
        status=status,
        headers={"Content-Type": "application/json"},
        body=json.dumps(body, ensure_ascii=False).encode(),
    )


def _status(status: str) -> str:
    if status not in _STATUSES:
        raise ValueError(f"status: expected one of {', '.join(_STATUSES)}; {status!r} came")
    return status


def _code(code: str) -> str:
    if code not in CATALOGUE:
        raise ValueError(f"code: expected one of the catalogue of errors; {code!r} came")
    return code


def _not_found() -> GatewayError:
    return error("not_found", "expected what was made here before, came another")


def _verified(request: VerificationRequest) -> VerificationView:
    good = request.signature.startswith(_PLACEHOLDER)
    result = "verified" if good else "failed"
    check = CheckView(name="structure", passed=good, detail="by the rule of the double")
    found = VerifiedSignatureView(
        name="signer 1", result=result, covers="a placeholder", report=(check,)
    )
    return VerificationView(result=result, format=request.format or "cades", signatures=(found,))
