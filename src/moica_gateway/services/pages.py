"""The window as a page without scripts: who may open it.

A one-time code leads into the page, because the document system can only give the browser an
address, and an address stands in histories and logs: it works once, within a minute. What the
browser holds then is a session of its own, for one transaction, told apart from a browser token
and good for nothing but these pages. Both are derived, not stored; that a code was used is written
before the page is shown.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from attrs import field, frozen

from moica_gateway.domain.lifecycle import MAX_LIFETIME
from moica_gateway.domain.models import IdempotencyRecord, Transaction
from moica_gateway.domain.values import TenantId, TransactionId
from moica_gateway.errors import GatewayError, error
from moica_gateway.ports import UnitOfWork
from moica_gateway.services.challenges import Challenges
from moica_gateway.services.commands import Caller
from moica_gateway.services.context import Context, load

__all__ = ["PageCode", "PageSession", "Pages"]

_CODE_LIVES: Final = timedelta(seconds=60)
_AFTERWARDS: Final = timedelta(minutes=10)
_CODE: Final = "page-code"
_SESSION: Final = "page-session"
_MOST: Final = 4000


@frozen(kw_only=True)
class PageCode:
    """What leads into a page, once."""

    code: str = field(repr=False)
    expires_at: datetime


@frozen(kw_only=True)
class PageSession:
    """Who looks at a page.

    Attributes:
        caller: As of a browser token: one transaction.
        token: What the browser holds.
        return_url: Where 「確定」 leads to at the end.
        frame_ancestors: Origins that may show the page in a frame.
    """

    caller: Caller
    token: str = field(repr=False)
    return_url: str | None
    frame_ancestors: tuple[str, ...]

    @property
    def transaction_id(self) -> TransactionId:
        """The only one it may see."""
        return TransactionId(self.caller.transaction_id or "")


class Pages:
    """See the module."""

    def __init__(self, context: Context, challenges: Challenges) -> None:
        self._context = context
        self._challenges = challenges

    async def code(
        self, caller: Caller, transaction_id: TransactionId, return_url: str | None
    ) -> PageCode:
        """A new one.

        Raises:
            RequestError: ``not_found``, or ``request_invalid`` for a ``return_url`` whose origin
                is not registered.
        """
        tenant, _ = await self._context.store.read(
            lambda uow: (uow.tenant(caller.tenant), load(uow, caller.tenant, transaction_id))
        )
        if tenant is None:
            raise error("not_found", "expected the id of a transaction of this tenant")
        self._challenges.check_return_url(return_url, tenant)
        expires_at = self._context.clock.now() + _CODE_LIVES
        subject = {
            "t": caller.tenant,
            "x": transaction_id,
            "e": int(expires_at.timestamp()),
            "n": self._context.random.token_bytes(16).hex(),
            "r": return_url,
        }
        return PageCode(code=self._sealed(_CODE, subject), expires_at=expires_at)

    async def open(self, code: str) -> PageSession:
        """Uses a code up.

        Raises:
            RequestError: ``page_code_invalid``, the same for every reason.
        """
        subject = self._opened(_CODE, code)
        now = self._context.clock.now()
        if subject is None or now.timestamp() >= subject["e"]:
            raise _invalid()
        tenant, transaction_id = TenantId(subject["t"]), TransactionId(subject["x"])

        def work(uow: UnitOfWork) -> Transaction:
            if uow.idempotency(tenant, "GET", "/pages", subject["n"]) is not None:
                raise _invalid()
            transaction = load(uow, tenant, transaction_id)
            uow.add_idempotency(
                IdempotencyRecord(
                    tenant=tenant,
                    method="GET",
                    path="/pages",
                    key=subject["n"],
                    body_mac=self._context.seals.mac(_CODE, code.encode()),
                    transaction_id=transaction_id,
                    created_at=now,
                )
            )
            return transaction

        try:
            transaction = await self._context.store.write(work)
        except GatewayError as e:
            raise _invalid() if e.code == "not_found" else e from e
        until = max(transaction.created_at + MAX_LIFETIME, now) + _AFTERWARDS
        token = self._sealed(
            _SESSION,
            {"t": tenant, "x": transaction_id, "e": int(until.timestamp()), "r": subject["r"]},
        )
        return await self.session(transaction_id, token)

    async def session(self, transaction_id: TransactionId, token: str) -> PageSession:
        """Of what the browser sent.

        Raises:
            RequestError: ``page_code_invalid``.
        """
        subject = self._opened(_SESSION, token)
        if (
            subject is None
            or subject["x"] != transaction_id
            or self._context.clock.now() >= datetime.fromtimestamp(subject["e"], UTC)
        ):
            raise _invalid()
        tenant = await self._context.store.read(lambda uow: uow.tenant(TenantId(subject["t"])))
        if tenant is None:
            raise _invalid()
        return PageSession(
            caller=Caller(tenant=tenant.id, actor="browser", transaction_id=transaction_id),
            token=token,
            return_url=subject["r"],
            frame_ancestors=tenant.policy.return_origins,
        )

    def form_token(self, session: PageSession) -> str:
        """Stands in the page's forms, so that no other site can send them."""
        return self._context.seals.mac("page-form", session.token.encode()).hex()

    def is_form_token(self, session: PageSession, came: str) -> bool:
        """Whether a form is one of ours."""
        expected = self.form_token(session)
        return came.isascii() and hmac.compare_digest(expected, came)

    def _sealed(self, purpose: str, subject: dict[str, Any]) -> str:
        raw = json.dumps(subject, separators=(",", ":"), sort_keys=True).encode()
        return f"{_b64(raw)}.{_b64(self._context.seals.mac(purpose, raw))}"

    def _opened(self, purpose: str, text: str) -> dict[str, Any] | None:
        if not text.isascii() or len(text) > _MOST:
            return None
        first, _, second = text.partition(".")
        try:
            raw, came = _unb64(first), _unb64(second)
        except (binascii.Error, ValueError):
            return None
        if not hmac.compare_digest(self._context.seals.mac(purpose, raw), came):
            return None
        # Ours: nobody else can make the MAC.
        return dict(json.loads(raw))


def _invalid() -> GatewayError:
    return error(
        "page_code_invalid",
        "expected a page that was opened within a minute, once, and whose transaction is not long "
        "over; the integrator asks for a new one (`POST /v1/transactions/{id}/pages`)",
    )


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _unb64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
