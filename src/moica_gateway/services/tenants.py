"""Who may call: tenants, API keys, browser tokens, service providers, webhook endpoints."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import asdict, evolve

from moica_gateway.domain.models import (
    ApiKey,
    AuditRecord,
    Scope,
    ServiceProvider,
    SpKey,
    Tenant,
    Transaction,
    WebhookEndpoint,
)
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import Secret, TenantId, TransactionId
from moica_gateway.errors import GatewayError, error
from moica_gateway.ports import UnitOfWork
from moica_gateway.services.commands import Caller
from moica_gateway.services.context import Context

__all__ = ["Tenants"]

_LIVE: Final = "mgk_live_"
_TEST: Final = "mgk_test_"
_BROWSER: Final = "btk_"
_KEY_LENGTH: Final = 43


def _unauthenticated() -> GatewayError:
    return error(
        "unauthenticated",
        "expected `Authorization: Bearer` with a valid API key or browser token, came none, an "
        "unknown or a revoked one; the integrator gets one from the gateway's administrator",
    )


class Tenants:
    """Keys are stored as keyed hashes; browser tokens are derived and stored nowhere."""

    def __init__(self, context: Context) -> None:
        self._context = context

    # -- authentication --------------------------------------------------------------------

    async def authenticate(self, bearer: str) -> Caller:
        """From what stands behind ``Bearer``.

        Raises:
            RequestError: ``unauthenticated``, the same for every reason.
        """
        if bearer.startswith(_BROWSER):
            return self._browser(bearer)
        if not bearer.startswith((_LIVE, _TEST)) or len(bearer) > 200 or not bearer.isascii():
            raise _unauthenticated()
        key_hash = self._key_hash(bearer)
        key = await self._context.store.read(lambda uow: uow.api_key_by_hash(key_hash))
        if (
            key is None
            or key.revoked_at is not None
            or not hmac.compare_digest(key.key_hash, key_hash)
        ):
            raise _unauthenticated()
        if key.test and self._context.environment != "simulator":
            raise _unauthenticated()
        return Caller(tenant=key.tenant, actor=f"key:{key.id}", scopes=key.scopes)

    def browser_token(self, transaction: Transaction) -> str:
        """``btk_…``: for this transaction only; the same whenever it is asked for."""
        subject = f"{transaction.tenant}\n{transaction.id}".encode()
        return f"{_BROWSER}{_b64(subject)}.{_b64(self._context.seals.mac('browser', subject))}"

    def _browser(self, bearer: str) -> Caller:
        if len(bearer) > 400:
            raise _unauthenticated()
        try:
            first, _, second = bearer[len(_BROWSER) :].partition(".")
            subject, came = _unb64(first), _unb64(second)
            if not hmac.compare_digest(self._context.seals.mac("browser", subject), came):
                raise _unauthenticated()
            tenant, _, transaction_id = subject.decode().partition("\n")
        except (binascii.Error, ValueError) as e:
            raise _unauthenticated() from e
        return Caller(
            tenant=TenantId(tenant),
            actor="browser",
            transaction_id=TransactionId(transaction_id),
        )

    def body_mac(self, body: bytes) -> bytes:
        """A keyed MAC of a request's body, for idempotency; the body itself is not kept."""
        return self._context.seals.mac("idempotency", body)

    def _key_hash(self, clear: str) -> bytes:
        return self._context.seals.mac("api-key", clear.encode())

    # -- administration ----------------------------------------------------------------------

    async def create_tenant(self, tenant: TenantId, name: str, policy: TenantPolicy) -> Tenant:
        """New, or the same again; another name or policy replaces the old one."""

        def work(uow: UnitOfWork) -> Tenant:
            known = uow.tenant(tenant)
            made = (
                evolve(known, name=name, policy=policy)
                if known
                else Tenant(
                    id=tenant, name=name, policy=policy, created_at=self._context.clock.now()
                )
            )
            if made != known:
                uow.save_tenant(made)
                self._audit(uow, tenant, "tenant.saved", **_changes(known, made))
            return made

        return await self._context.store.write(work)

    async def set_service_provider(
        self, tenant: TenantId, sp_service_id: str, key: Secret, key_id: str
    ) -> Tenant:
        """The current key; the one before stays as the previous until the next rotation."""

        def work(uow: UnitOfWork) -> Tenant:
            known = self._known(uow, tenant)
            current = SpKey(id=key_id, key=key, current=True)
            before = known.service_provider
            previous = (
                tuple(evolve(k, current=False) for k in before.keys if k.current and k.id != key_id)
                if before
                else ()
            )
            if before and any(k == current for k in before.keys):
                previous = tuple(k for k in before.keys if not k.current)
            made = evolve(
                known,
                service_provider=ServiceProvider(
                    sp_service_id=sp_service_id, keys=(current, *previous)
                ),
            )
            if made != known:
                uow.save_tenant(made)
                self._audit(
                    uow,
                    tenant,
                    "tenant.service_provider",
                    sp_service_id=sp_service_id,
                    keys=[k.id for k in (current, *previous)],
                )
            return made

        return await self._context.store.write(work)

    async def create_key(
        self, tenant: TenantId, name: str, scopes: frozenset[Scope], *, test: bool
    ) -> str:
        """The clear key, shown this once."""
        clear = (_TEST if test else _LIVE) + _b64(self._context.random.token_bytes(32))
        await self.import_key(tenant, name, scopes, clear)
        return clear

    async def import_key(
        self, tenant: TenantId, name: str, scopes: frozenset[Scope], clear: str
    ) -> None:
        """A given clear key; the same again changes its name and scopes.

        Raises:
            ConfigurationError: when it has not the form of a key, or is a test key outside the
                simulator environment.
        """
        prefix = _TEST if clear.startswith(_TEST) else _LIVE
        if not clear.startswith(prefix) or len(clear) < len(prefix) + _KEY_LENGTH:
            raise error(
                "configuration_invalid",
                f"expected a key `{_LIVE}` or `{_TEST}` and {_KEY_LENGTH} characters",
            )
        if prefix == _TEST and self._context.environment != "simulator":
            raise error(
                "configuration_invalid",
                "expected a live key: test keys work only with `environment = simulator`",
            )
        key_hash = self._key_hash(clear)

        def work(uow: UnitOfWork) -> None:
            self._known(uow, tenant)
            known = uow.api_key_by_hash(key_hash)
            if known is not None and (known.tenant != tenant or known.revoked_at is not None):
                raise error(
                    "configuration_invalid",
                    "expected a new key, or one of this tenant that is not revoked",
                )
            made = ApiKey(
                id=known.id if known else self._context.new_id("key"),
                tenant=tenant,
                name=name,
                key_hash=key_hash,
                scopes=scopes,
                test=prefix == _TEST,
                created_at=known.created_at if known else self._context.clock.now(),
            )
            if made != known:
                uow.save_api_key(made)
                self._audit(
                    uow, tenant, "key.saved", key=made.id, scopes=sorted(scopes), test=made.test
                )

        await self._context.store.write(work)

    async def revoke_key(self, tenant: TenantId, key_id: str) -> None:
        """From now on it authenticates nobody; one that is revoked stays so. Raises
        ``RequestError`` ``not_found``."""

        def work(uow: UnitOfWork) -> None:
            for key in uow.api_keys(tenant):
                if key.id == key_id:
                    if key.revoked_at is None:
                        uow.save_api_key(evolve(key, revoked_at=self._context.clock.now()))
                        self._audit(uow, tenant, "key.revoked", key=key_id)
                    return
            raise error("not_found", "expected the id of a key of this tenant, came another")

        await self._context.store.write(work)

    async def add_webhook(
        self, tenant: TenantId, url: str, secret: str | None, ca_file: str | None
    ) -> tuple[WebhookEndpoint, str]:
        """The endpoint and its ``whsec_…`` secret; the same address again replaces its secret.

        Raises:
            ConfigurationError: for an address that is no http(s) URL, or a malformed secret.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise error(
                "configuration_invalid", "expected an http(s) address without user information"
            )
        clear = secret or "whsec_" + base64.b64encode(self._context.random.token_bytes(32)).decode(
            "ascii"
        )
        try:
            raw = base64.b64decode(clear.removeprefix("whsec_"), validate=True)
        except (binascii.Error, ValueError) as e:
            raise error("configuration_invalid", "expected `whsec_` and standard base64") from e
        if not 24 <= len(raw) <= 64:
            raise error("configuration_invalid", "expected a secret of 24 to 64 bytes")

        def work(uow: UnitOfWork) -> WebhookEndpoint:
            self._known(uow, tenant)
            known = next((e for e in uow.webhook_endpoints(tenant) if e.url == url), None)
            endpoint = WebhookEndpoint(
                id=known.id if known else self._context.new_id("whk"),
                tenant=tenant,
                url=url,
                secrets=(Secret(clear.encode()),),
                created_at=known.created_at if known else self._context.clock.now(),
                ca_file=ca_file,
            )
            if endpoint != known:
                uow.save_webhook_endpoint(endpoint)
                self._audit(
                    uow,
                    tenant,
                    "webhook.saved",
                    endpoint=endpoint.id,
                    secret_changed=known is None or known.secrets != endpoint.secrets,
                )
            return endpoint

        return await self._context.store.write(work), clear

    async def list_tenants(self) -> tuple[Tenant, ...]:
        """All."""
        return tuple(await self._context.store.read(lambda uow: uow.tenants()))

    async def list_keys(self, tenant: TenantId) -> tuple[ApiKey, ...]:
        """Of a tenant, revoked ones too."""
        return tuple(await self._context.store.read(lambda uow: uow.api_keys(tenant)))

    async def list_webhooks(self, tenant: TenantId) -> tuple[WebhookEndpoint, ...]:
        """Of a tenant, disabled ones too."""
        return tuple(await self._context.store.read(lambda uow: uow.webhook_endpoints(tenant)))

    def _known(self, uow: UnitOfWork, tenant: TenantId) -> Tenant:
        known = uow.tenant(tenant)
        if known is None:
            raise error(
                "configuration_invalid",
                "expected the id of a tenant that exists; add it with `moica-gateway tenant add`",
            )
        return known

    def _audit(self, uow: UnitOfWork, tenant: TenantId, action: str, **data: Any) -> None:
        uow.audit(
            tenant,
            AuditRecord(at=self._context.clock.now(), action=action, actor="cli", data=data),
        )


def _changes(known: Tenant | None, made: Tenant) -> dict[str, Any]:
    """For the audit record: which members became what; the name is left out."""
    before, after = (asdict(known.policy) if known else {}), asdict(made.policy)
    policy = {name: value for name, value in after.items() if before.get(name) != value}
    return {"new": known is None, "named": known is None or known.name != made.name} | (
        {"policy": policy} if policy else {}
    )


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _unb64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
