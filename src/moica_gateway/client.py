"""The asynchronous client of the HTTP API v1.

Every call that makes something carries an ``Idempotency-Key`` (made here, or given), so a broken
line or a busy gateway is tried again without ringing a phone twice. Nothing foreign escapes:
whatever goes wrong is a `GatewayError`. aiohttp is imported at the first call.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NotRequired, Required, Self, TypedDict, Unpack
from urllib.parse import quote, urlsplit

from attrs import field, frozen

from moica_gateway.errors import GatewayError, Problem, error, error_of
from moica_gateway.outcomes import AnyOutcome, Outcome
from moica_gateway.wire import (
    AuthenticationRequest,
    BatchRequest,
    ChallengeRequest,
    CredentialView,
    DeviceStatusRequest,
    DeviceStatusView,
    DocumentRequest,
    EventView,
    OnBehalfOf,
    PageRequest,
    PageView,
    RegistrationRequest,
    SignatureRequest,
    TransactionView,
    VerificationRequest,
    VerificationView,
)

if TYPE_CHECKING:
    import aiohttp

__all__ = [
    "Artifact",
    "Authenticating",
    "BatchSigning",
    "GatewayClient",
    "Registering",
    "Reply",
    "Signing",
]

_ATTEMPTS: Final = 4
_FIRST_RETRY: Final = 0.25
_LONGEST_WAIT: Final = 30.0
_LEAST_PAUSE: Final = 0.5
_MAX_BODY: Final = 64 * 1_048_576
_LONGEST_LIFE: Final = 660.0
_TRY_AGAIN: Final = frozenset({502, 503, 504})


@frozen(kw_only=True)
class Artifact:
    """The signed thing, as its format says: a CMS, a PDF, or a bare signature."""

    data: bytes = field(repr=False)
    media_type: str


class _Asking(TypedDict, total=False):
    channel: str
    device_name: str | None
    time_limit: int | None
    supersede: bool
    metadata: Mapping[str, str] | None
    idempotency_key: str | None


class Registering(_Asking):
    """The arguments of `GatewayClient.begin_registration`."""

    user_id: Required[str]
    id_number: Required[str]
    user_name: NotRequired[str | None]
    enable: NotRequired[bool]


class Authenticating(_Asking):
    """The arguments of `GatewayClient.begin_authentication`: one of both."""

    user_id: NotRequired[str | None]
    id_number: NotRequired[str | None]


class BatchSigning(_Asking):
    """The arguments of `GatewayClient.begin_batch`."""

    user_id: Required[str]
    documents: Required[Sequence[DocumentRequest]]
    format: NotRequired[str | None]
    level: NotRequired[str | None]
    on_behalf_of: NotRequired[OnBehalfOf | None]


class Signing(_Asking):
    """The arguments of `GatewayClient.begin_signature`."""

    user_id: Required[str]
    document: Required[DocumentRequest]
    format: NotRequired[str | None]
    level: NotRequired[str | None]
    on_behalf_of: NotRequired[OnBehalfOf | None]
    previous: NotRequired[str | None]


@frozen(kw_only=True)
class Reply:
    """One answer of the gateway, read."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class GatewayClient:
    """``async with GatewayClient("https://gateway.example", "mgk_live_…") as client:``.

    Args:
        base_url: Of the gateway.
        api_key: ``mgk_live_…`` or ``mgk_test_…``.
        session: An aiohttp session of the caller's; it is never closed here.
        ca_file: PEM of a private authority, besides the system's.
        timeout: Seconds for one exchange; waits add theirs.
        sleep: For tests.

    Raises:
        ConfigurationError: for an address that is no http(s) URL, or an empty key.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        session: aiohttp.ClientSession | None = None,
        ca_file: str | None = None,
        timeout: float = 20.0,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.query:
            raise error("configuration_invalid", "`base_url`: expected an http(s) address")
        if not api_key or not api_key.isascii() or any(c.isspace() for c in api_key):
            raise error("configuration_invalid", "`api_key`: expected `mgk_live_…` or `mgk_test_…`")
        self._base = base_url.rstrip("/")
        self._key = api_key
        self._session = session
        self._owned: aiohttp.ClientSession | None = None
        self._ca_file = ca_file
        self._timeout = timeout
        self._sleep = sleep

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the session that was made here."""
        if self._owned is not None:
            await self._owned.close()
            self._owned = None

    # -- making ------------------------------------------------------------------------------

    async def begin_registration(
        self,
        *,
        user_id: str,
        id_number: str,
        user_name: str | None = None,
        channel: str = "push",
        device_name: str | None = None,
        time_limit: int | None = None,
        enable: bool = True,
        supersede: bool = False,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> TransactionView:
        """The phone rings. Go on with `outcome`, or show the widget."""
        request = RegistrationRequest(
            user_id=user_id,
            id_number=id_number,
            user_name=user_name,
            channel=channel,
            device_name=device_name,
            time_limit=time_limit,
            enable=enable,
            supersede=supersede,
            metadata=metadata or {},
        )
        return await self._make("/v1/registrations", request.to_json(), idempotency_key)

    async def begin_signature(
        self,
        *,
        user_id: str,
        document: DocumentRequest,
        format: str | None = None,
        level: str | None = None,
        channel: str = "push",
        device_name: str | None = None,
        time_limit: int | None = None,
        on_behalf_of: OnBehalfOf | None = None,
        previous: str | None = None,
        supersede: bool = False,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> TransactionView:
        """The phone rings. Go on with `outcome`, or show the widget. With ``previous`` (the id of
        a completed transaction of a format that takes several signatures) what that one signed is
        signed once more; the document then needs its number alone."""
        request = SignatureRequest(
            user_id=user_id,
            document=document,
            format=format,
            level=level,
            channel=channel,
            device_name=device_name,
            time_limit=time_limit,
            on_behalf_of=on_behalf_of,
            previous=previous,
            supersede=supersede,
            metadata=metadata or {},
        )
        return await self._make("/v1/signatures", request.to_json(), idempotency_key)

    async def begin_batch(
        self,
        *,
        user_id: str,
        documents: Sequence[DocumentRequest],
        format: str | None = None,
        level: str | None = None,
        channel: str = "push",
        device_name: str | None = None,
        time_limit: int | None = None,
        on_behalf_of: OnBehalfOf | None = None,
        supersede: bool = False,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> TransactionView:
        """A signature over several documents: the phone rings, and rings again for every further
        20. Go on with `outcome`; ``documents`` of what it gives have each its ``status``, and
        `artifact` fetches those of ``signed_documents``, also where the rest ended otherwise.

        Args:
            user_id: Of a user with an enabled credential.
            documents: In the order in which they are asked for.
            format: One for all.
            level: One for all.
            channel: Of the first request; the next is made on the one that was answered.
            device_name: With one document only.
            time_limit: Seconds, for each request anew.
            on_behalf_of: 代理.
            supersede: Cancel the person's open transaction.
            metadata: The document system's own.
            idempotency_key: Of the caller's; else one is made.
        """
        request = BatchRequest(
            user_id=user_id,
            documents=tuple(documents),
            format=format,
            level=level,
            channel=channel,
            device_name=device_name,
            time_limit=time_limit,
            on_behalf_of=on_behalf_of,
            supersede=supersede,
            metadata=metadata or {},
        )
        return await self._make("/v1/signature-batches", request.to_json(), idempotency_key)

    async def begin_authentication(
        self,
        *,
        user_id: str | None = None,
        id_number: str | None = None,
        channel: str = "push",
        device_name: str | None = None,
        time_limit: int | None = None,
        supersede: bool = False,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> TransactionView:
        """Confirm who is there: exactly one of ``user_id`` (signs a challenge) and ``id_number``
        (the platform's bare word, scope ``identity:query``). Go on with `outcome`; the
        transaction's ``assurance`` says which it was."""
        request = AuthenticationRequest(
            user_id=user_id,
            id_number=id_number,
            channel=channel,
            device_name=device_name,
            time_limit=time_limit,
            supersede=supersede,
            metadata=metadata or {},
        )
        return await self._make("/v1/authentications", request.to_json(), idempotency_key)

    async def register(
        self, *, seconds: float | None = None, **asked: Unpack[Registering]
    ) -> AnyOutcome:
        """`begin_registration` and `outcome` under one deadline.

        Args:
            seconds: For all of it; None for as long as the transaction lives.
            **asked: Those of `begin_registration`.
        """
        start = asyncio.get_running_loop().time()
        return await self._outcome(await self.begin_registration(**asked), start, seconds)

    async def sign(self, *, seconds: float | None = None, **asked: Unpack[Signing]) -> AnyOutcome:
        """`begin_signature` and `outcome` under one deadline.

        Args:
            seconds: For all of it; None for as long as the transaction lives.
            **asked: Those of `begin_signature`.
        """
        start = asyncio.get_running_loop().time()
        return await self._outcome(await self.begin_signature(**asked), start, seconds)

    async def sign_batch(
        self, *, seconds: float | None = None, **asked: Unpack[BatchSigning]
    ) -> AnyOutcome:
        """`begin_batch` and `outcome` under one deadline.

        Args:
            seconds: For all of it; None for as long as the transaction lives.
            **asked: Those of `begin_batch`.
        """
        start = asyncio.get_running_loop().time()
        return await self._outcome(await self.begin_batch(**asked), start, seconds)

    async def authenticate(
        self, *, seconds: float | None = None, **asked: Unpack[Authenticating]
    ) -> AnyOutcome:
        """`begin_authentication` and `outcome` under one deadline.

        Args:
            seconds: For all of it; None for as long as the transaction lives.
            **asked: Those of `begin_authentication`.
        """
        start = asyncio.get_running_loop().time()
        return await self._outcome(await self.begin_authentication(**asked), start, seconds)

    async def outcome(
        self, transaction: TransactionView | str, *, seconds: float | None = None
    ) -> AnyOutcome:
        """How it ends; `Pending` where the seconds are over before, then nothing is lost: the
        transaction goes on, and a webhook or a later call tells.

        Args:
            transaction: What was begun, or its id.
            seconds: To wait; None for as long as the transaction lives.
        """
        start = asyncio.get_running_loop().time()
        if isinstance(transaction, str):
            transaction = await self.transaction(transaction)
        return await self._outcome(transaction, start, seconds)

    async def _outcome(
        self, begun: TransactionView, start: float, seconds: float | None
    ) -> AnyOutcome:
        if not begun.terminal:
            passed = asyncio.get_running_loop().time() - start
            life = _LONGEST_LIFE * (begun.tickets or 1)
            left = life if seconds is None else max(0.0, seconds - passed)
            begun = await self.wait(begun.id, seconds=left)
        return Outcome.of_transaction(begun)

    async def device_status(
        self, *, user_id: str | None = None, id_number: str | None = None
    ) -> DeviceStatusView:
        """Whether a phone is bound and its certificate usable; exactly one of both is given
        (``id_number``: scope ``identity:query``). Nothing rings."""
        request = DeviceStatusRequest(user_id=user_id, id_number=id_number)
        reply = await self._call("POST", "/v1/device-status", body=request.to_json())
        return DeviceStatusView.from_json(_json(reply))

    async def verify(
        self,
        signature: bytes,
        *,
        content: bytes | None = None,
        sha256: str | None = None,
        certificate: bytes | None = None,
        format: str | None = None,
    ) -> VerificationView:
        """What holds of a signed file, ours or not, as of now; nothing of it is kept.

        Args:
            signature: The file as it was fetched (``.p7s``, PDF), or a bare value.
            content: What a detached signature stands for; or only its ``sha256``, hexadecimal.
            sha256: See ``content``.
            certificate: DER of the signer's, for a bare value (``format="pkcs1"``).
            format: Left out, it is recognised.
        """
        request = VerificationRequest(
            signature=signature,
            format=format,
            content=content,
            sha256=sha256,
            certificate=certificate,
        )
        reply = await self._call("POST", "/v1/verifications", body=request.to_json())
        return VerificationView.from_json(_json(reply))

    async def _make(self, path: str, body: Mapping[str, Any], key: str | None) -> TransactionView:
        reply = await self._call(
            "POST", path, body=body, headers={"Idempotency-Key": key or str(uuid.uuid4())}
        )
        return TransactionView.from_json(_json(reply))

    # -- looking -----------------------------------------------------------------------------

    async def transaction(self, transaction_id: str) -> TransactionView:
        """As it is now."""
        return TransactionView.from_json(
            _json(await self._call("GET", _transaction(transaction_id)))
        )

    async def wait(
        self, transaction_id: str, *, since: int | None = None, seconds: float = _LONGEST_LIFE
    ) -> TransactionView:
        """Until it has ended, or its version is higher than ``since``, or the seconds are over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            left = max(0, min(int(_LONGEST_WAIT), int(end - loop.time())))
            query = f"?wait={left}" + (f"&since={since}" if since is not None else "")
            path = _transaction(transaction_id) + query
            asked = loop.time()
            view = TransactionView.from_json(_json(await self._call("GET", path, wait=left)))
            higher = since is not None and view.version > since
            if view.terminal or higher or end - loop.time() < 1:
                return view
            if loop.time() - asked < _LEAST_PAUSE:
                await self._sleep(_LEAST_PAUSE)  # a gateway that does not wait is not hammered

    async def transactions(
        self,
        *,
        user_id: str | None = None,
        document_number: str | None = None,
        status: str | None = None,
        kind: str | None = None,
    ) -> AsyncIterator[TransactionView]:
        """All that fit, newest first, page by page."""
        wanted = {
            "user_id": user_id,
            "document_number": document_number,
            "status": status,
            "kind": kind,
        }
        cursor: str | None = None
        while True:
            query = _query({**wanted, "cursor": cursor})
            page = PageView.from_json(_json(await self._call("GET", f"/v1/transactions{query}")))
            for item in page.items:
                yield TransactionView.from_json(item)
            cursor = page.next_cursor
            if cursor is None:
                return

    async def artifact(self, transaction_id: str, document_id: str | None = None) -> Artifact:
        """The signed thing; ``document_id`` where the transaction has several documents."""
        query = _query({"document": document_id})
        reply = await self._call("GET", f"{_transaction(transaction_id)}/artifact{query}")
        media_type = reply.headers.get("Content-Type", "").partition(";")[0].strip()
        if not reply.body or media_type in ("", "text/html"):
            raise _not_ours()
        return Artifact(data=reply.body, media_type=media_type)

    async def evidence(self, transaction_id: str) -> Artifact:
        """A ZIP with all that is needed to check it years later, of any ended transaction."""
        reply = await self._call("GET", f"{_transaction(transaction_id)}/evidence")
        media_type = reply.headers.get("Content-Type", "").partition(";")[0].strip()
        if not reply.body or media_type != "application/zip":
            raise _not_ours()
        return Artifact(data=reply.body, media_type=media_type)

    async def events(self, after: str = "", limit: int = 50) -> tuple[list[EventView], str]:
        """The feed: events after a cursor, and the cursor to go on from."""
        query = _query({"after": after or None, "limit": str(limit)})
        page = PageView.from_json(_json(await self._call("GET", f"/v1/events{query}")))
        return [EventView.from_json(item) for item in page.items], page.next_cursor or after

    # -- changing ----------------------------------------------------------------------------

    async def add_challenge(
        self, transaction_id: str, channel: str, return_url: str | None = None
    ) -> TransactionView:
        """A further way to reach the phone: ``qr``, ``push``, ``app_link``."""
        request = ChallengeRequest(channel=channel, return_url=return_url)
        reply = await self._call(
            "POST",
            f"{_transaction(transaction_id)}/challenges",
            body=request.to_json(),
            headers={"Idempotency-Key": str(uuid.uuid4())},
        )
        return TransactionView.from_json(_json(reply))

    async def cancel(self, transaction_id: str) -> TransactionView:
        """Take it back; what has ended already comes back as it ended."""
        reply = await self._call("POST", f"{_transaction(transaction_id)}/cancel")
        return TransactionView.from_json(_json(reply))

    async def cancel_document(self, document_number: str) -> list[TransactionView]:
        """Recall: every pending transaction over that document."""
        reply = await self._call(
            "POST", "/v1/transactions/cancel", body={"document_number": document_number}
        )
        page = PageView.from_json(_json(reply))
        return [TransactionView.from_json(item) for item in page.items]

    async def browser_token(self, transaction_id: str) -> str:
        """``btk_…`` for the widget."""
        reply = await self._call("POST", f"{_transaction(transaction_id)}/browser-tokens")
        token = _json(reply).get("browser_token")
        if not isinstance(token, str) or not token:
            raise _not_ours()
        return token

    async def page(self, transaction_id: str, return_url: str | None = None) -> str:
        """The address of the window without scripts: to be opened once, within a minute.

        Args:
            transaction_id: Of a transaction.
            return_url: Where 「確定」 leads to at the end; of a registered origin.
        """
        reply = await self._call(
            "POST",
            f"{_transaction(transaction_id)}/pages",
            body=PageRequest(return_url=return_url).to_json(),
        )
        path = _json(reply).get("path")
        if not isinstance(path, str) or not path.startswith("/pages/"):
            raise _not_ours()
        return self._base + path

    async def credentials(self, user_id: str) -> list[CredentialView]:
        """A user's, oldest first."""
        reply = await self._call("GET", f"/v1/credentials{_query({'user_id': user_id})}")
        return [CredentialView.from_json(item) for item in PageView.from_json(_json(reply)).items]

    async def enable_credential(self, credential_id: str) -> CredentialView:
        """Enable one; the user's others are disabled."""
        return await self._credential(credential_id, "enable")

    async def disable_credential(self, credential_id: str) -> CredentialView:
        """It signs no more."""
        return await self._credential(credential_id, "disable")

    async def delete_credential(self, credential_id: str) -> None:
        """Forget it."""
        await self._call("DELETE", f"/v1/credentials/{quote(credential_id, safe='')}")

    async def delete_user(self, user_id: str) -> None:
        """Leaving (離職) and erasure."""
        await self._call("DELETE", f"/v1/users/{quote(user_id, safe='')}")

    async def _credential(self, credential_id: str, verb: str) -> CredentialView:
        path = f"/v1/credentials/{quote(credential_id, safe='')}/{verb}"
        return CredentialView.from_json(_json(await self._call("POST", path)))

    # -- the line ------------------------------------------------------------------------------

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        wait: float = 0.0,
    ) -> Reply:
        attempt = 0
        while True:
            attempt += 1
            failure: GatewayError
            delay = _FIRST_RETRY * 2.0**attempt * random.random()  # noqa: S311 - jitter
            try:
                reply = await self._exchange(method, path, body, headers or {}, wait)
            except GatewayError as e:
                if e.code != "upstream_unreachable":
                    raise
                failure = e
            else:
                if reply.status < 300:
                    return reply
                if reply.status < 400:
                    raise _not_ours()  # a proxy's log-in page; the API never redirects
                failure = _failure(reply)
                if reply.status not in _TRY_AGAIN and failure.code != "idempotency_running":
                    raise failure
                delay = max(delay, _retry_after(reply))
            if attempt >= _ATTEMPTS or delay > _LONGEST_WAIT:
                raise failure
            await self._sleep(delay)

    async def _exchange(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        wait: float,
    ) -> Reply:
        import aiohttp

        session = self._open(aiohttp)
        try:
            data = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        except (TypeError, ValueError) as e:
            raise error("request_invalid", "expected values that fit into JSON") from e
        sent = {"Authorization": f"Bearer {self._key}", "Accept": "application/json", **headers}
        if data is not None:
            sent["Content-Type"] = "application/json"
        try:
            async with session.request(
                method,
                self._base + path,
                data=data,
                headers=sent,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._timeout + wait),
                ssl=await self._tls(),
            ) as response:
                raw = await response.content.read(_MAX_BODY + 1)
                while not response.content.at_eof() and len(raw) <= _MAX_BODY:
                    raw += await response.content.read(_MAX_BODY + 1 - len(raw))
                if len(raw) > _MAX_BODY:
                    raise error("upstream_malformed", "expected an answer of at most 64 MiB")
                return Reply(status=response.status, headers=response.headers.copy(), body=raw)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as e:
            raise error(
                "upstream_unreachable",
                f"expected an answer from the gateway at {self._base}, none came "
                f"({type(e).__name__}); the operator checks that it runs and can be reached",
            ) from e

    def _open(self, library: Any) -> aiohttp.ClientSession:
        if self._session is not None:
            if self._session.closed:
                raise error("configuration_invalid", "`session`: expected an open session")
            return self._session
        if self._owned is None or self._owned.closed:
            self._owned = library.ClientSession(trust_env=False)
        return self._owned

    async def _tls(self) -> ssl.SSLContext | bool:
        if self._ca_file is None:
            return True
        try:
            return await asyncio.to_thread(ssl.create_default_context, cafile=self._ca_file)
        except (OSError, ssl.SSLError) as e:
            raise error("configuration_invalid", "`ca_file`: expected a readable PEM file") from e


def _transaction(transaction_id: str) -> str:
    return f"/v1/transactions/{quote(transaction_id, safe='')}"


def _query(values: Mapping[str, str | None]) -> str:
    parts = [f"{name}={quote(str(value), safe='')}" for name, value in values.items() if value]
    return "?" + "&".join(parts) if parts else ""


def _json(reply: Reply) -> Mapping[str, Any]:
    try:
        value = json.loads(reply.body, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as e:
        raise _not_ours() from e
    if not isinstance(value, Mapping):
        raise _not_ours()
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("no number of JSON")
    return value


def _not_ours() -> GatewayError:
    return error(
        "upstream_malformed",
        "expected a JSON object from the gateway, came something else; check that `base_url` is a "
        "moica-gateway and not a proxy's page",
    )


def _failure(reply: Reply) -> GatewayError:
    try:
        body = _json(reply)
    except GatewayError as e:
        return error(
            "upstream_unavailable" if reply.status >= 500 else "upstream_malformed",
            f"expected a problem document, came HTTP status {reply.status} with something else",
        ).with_traceback(e.__traceback__)
    return error_of(Problem.from_json(body))


def _retry_after(reply: Reply) -> float:
    text = reply.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0
