"""Tenants with their service provider, API keys and webhook endpoints.

Their rows decide who may call, what may be asked and where results go: each carries a MAC, which
is checked at every load (security.md 15).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import frozen
from sqlalchemy import bindparam, insert, select, update

from moica_gateway.domain.models import (
    ApiKey,
    Scope,
    ServiceProvider,
    SpKey,
    Tenant,
    WebhookEndpoint,
)
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import Secret, TenantId
from moica_gateway.stores.codec import as_json, from_bytes, from_json, to_bytes
from moica_gateway.stores.runner import Stored
from moica_gateway.stores.session import Session, readable
from moica_gateway.stores.tables import api_keys, tenant_keys, tenants, webhook_endpoints

__all__ = ["API_KEY_MAC", "ENDPOINT_MAC", "TENANT_MAC", "TenantRows"]

TENANT_MAC: Final = ("id", "name", "created_at", "policy", "sp_service_id")
API_KEY_MAC: Final = (
    "tenant",
    "id",
    "name",
    "key_hash",
    "scopes",
    "test",
    "created_at",
    "revoked_at",
)
ENDPOINT_MAC: Final = ("tenant", "id", "url", "enabled", "ca_file", "created_at")

_TENANTS: Final = select(tenants).order_by(tenants.c.created_at, tenants.c.id)
_TENANT: Final = select(tenants).where(tenants.c.id == bindparam("id_"))
_NEW_TENANT: Final = insert(tenants)
_CHANGE_TENANT: Final = update(tenants).where(tenants.c.id == bindparam("id_"))
_HAS_KEY: Final = select(tenant_keys.c.key_id).where(tenant_keys.c.tenant == bindparam("tenant_"))

_API_KEY_BY_HASH: Final = select(api_keys).where(api_keys.c.key_hash == bindparam("hash_"))
_API_KEYS: Final = (
    select(api_keys)
    .where(api_keys.c.tenant == bindparam("tenant_"))
    .order_by(api_keys.c.created_at, api_keys.c.id)
)
_NEW_API_KEY: Final = insert(api_keys)
_CHANGE_API_KEY: Final = update(api_keys).where(
    api_keys.c.tenant == bindparam("tenant_"), api_keys.c.id == bindparam("id_")
)

_ENDPOINTS: Final = (
    select(webhook_endpoints)
    .where(webhook_endpoints.c.tenant == bindparam("tenant_"))
    .order_by(webhook_endpoints.c.created_at, webhook_endpoints.c.id)
)
_NEW_ENDPOINT: Final = insert(webhook_endpoints)
_CHANGE_ENDPOINT: Final = update(webhook_endpoints).where(
    webhook_endpoints.c.tenant == bindparam("tenant_"), webhook_endpoints.c.id == bindparam("id_")
)


@frozen
class _SpKeys:
    keys: tuple[SpKey, ...]


@frozen
class _Secrets:
    secrets: tuple[Secret, ...]


class TenantRows(Session):
    """The part of a unit of work that holds tenants and what belongs to their set-up."""

    def tenant(self, tenant: TenantId) -> Tenant | None:
        """See `moica_gateway.ports.UnitOfWork`."""
        row = self.first(_TENANT, {"id_": tenant})
        return None if row is None else self._tenant(row)

    def tenants(self) -> Sequence[Tenant]:
        """See `moica_gateway.ports.UnitOfWork`."""
        return tuple(self._tenant(row) for row in self.all(_TENANTS, {}))

    def save_tenant(self, tenant: Tenant) -> None:
        """See `moica_gateway.ports.UnitOfWork`. A new tenant gets a data key of its own."""
        provider = tenant.service_provider
        values: dict[str, Any] = {
            "id": tenant.id,
            "name": tenant.name,
            "created_at": tenant.created_at,
            "policy": as_json(tenant.policy),
            "sp_service_id": provider.sp_service_id if provider else None,
            "sealed": None,
        }
        values["mac"] = self.vault.row_mac("tenants", TENANT_MAC, values)
        if self.first(_TENANT, {"id_": tenant.id}) is None:
            self.change(_NEW_TENANT, values)
            self.new_tenant_key(tenant.id)
        if provider:
            values["sealed"] = self.seal_for_tenant(
                tenant.id, "tenants", (), to_bytes(_SpKeys(provider.keys))
            )
        self.change(_CHANGE_TENANT, {**values, "id_": tenant.id})

    def _tenant(self, row: Stored) -> Tenant:
        self.vault.check_row("tenants", TENANT_MAC, row, (row["id"],))
        with readable("tenants", row["id"]):
            provider = None
            if row["sp_service_id"] is not None:
                opened = self.open_for_tenant(row["id"], "tenants", (), row["sealed"])
                provider = ServiceProvider(
                    sp_service_id=row["sp_service_id"], keys=from_bytes(_SpKeys, opened).keys
                )
            return Tenant(
                id=TenantId(row["id"]),
                name=row["name"],
                created_at=row["created_at"],
                policy=from_json(TenantPolicy, row["policy"]),
                service_provider=provider,
            )

    # -- API keys ------------------------------------------------------------------------------

    def api_key_by_hash(self, key_hash: bytes) -> ApiKey | None:
        """See `moica_gateway.ports.UnitOfWork`."""
        row = self.first(_API_KEY_BY_HASH, {"hash_": key_hash})
        return None if row is None else self._api_key(row)

    def api_keys(self, tenant: TenantId) -> Sequence[ApiKey]:
        """See `moica_gateway.ports.UnitOfWork`."""
        return tuple(self._api_key(row) for row in self.all(_API_KEYS, {"tenant_": tenant}))

    def save_api_key(self, key: ApiKey) -> None:
        """See `moica_gateway.ports.UnitOfWork`."""
        values: dict[str, Any] = {
            "tenant": key.tenant,
            "id": key.id,
            "name": key.name,
            "key_hash": key.key_hash,
            "scopes": sorted(scope.value for scope in key.scopes),
            "test": key.test,
            "created_at": key.created_at,
            "revoked_at": key.revoked_at,
        }
        values["mac"] = self.vault.row_mac("api_keys", API_KEY_MAC, values)
        where = {"tenant_": key.tenant, "id_": key.id}
        if not self.change(_CHANGE_API_KEY, {**values, **where}):
            self.change(_NEW_API_KEY, values)

    def _api_key(self, row: Stored) -> ApiKey:
        self.vault.check_row("api_keys", API_KEY_MAC, row, (row["id"],))
        with readable("api_keys", row["id"]):
            return ApiKey(
                id=row["id"],
                tenant=TenantId(row["tenant"]),
                name=row["name"],
                key_hash=row["key_hash"],
                scopes=frozenset(Scope(scope) for scope in row["scopes"]),
                test=row["test"],
                created_at=row["created_at"],
                revoked_at=row["revoked_at"],
            )

    # -- webhook endpoints ---------------------------------------------------------------------

    def webhook_endpoints(self, tenant: TenantId) -> Sequence[WebhookEndpoint]:
        """See `moica_gateway.ports.UnitOfWork`."""
        return tuple(self._endpoint(row) for row in self.all(_ENDPOINTS, {"tenant_": tenant}))

    def save_webhook_endpoint(self, endpoint: WebhookEndpoint) -> None:
        """See `moica_gateway.ports.UnitOfWork`."""
        values: dict[str, Any] = {
            "tenant": endpoint.tenant,
            "id": endpoint.id,
            "url": endpoint.url,
            "enabled": endpoint.enabled,
            "ca_file": endpoint.ca_file,
            "created_at": endpoint.created_at,
            "sealed": self.seal_for_tenant(
                endpoint.tenant,
                "webhook_endpoints",
                (endpoint.id,),
                to_bytes(_Secrets(endpoint.secrets)),
            ),
        }
        values["mac"] = self.vault.row_mac("webhook_endpoints", ENDPOINT_MAC, values)
        where: Mapping[str, Any] = {"tenant_": endpoint.tenant, "id_": endpoint.id}
        if not self.change(_CHANGE_ENDPOINT, {**values, **where}):
            self.change(_NEW_ENDPOINT, values)

    def _endpoint(self, row: Stored) -> WebhookEndpoint:
        id = (row["id"],)
        self.vault.check_row("webhook_endpoints", ENDPOINT_MAC, row, id)
        with readable("webhook_endpoints", *id):
            opened = self.open_for_tenant(row["tenant"], "webhook_endpoints", id, row["sealed"])
            return WebhookEndpoint(
                id=row["id"],
                tenant=TenantId(row["tenant"]),
                url=row["url"],
                secrets=from_bytes(_Secrets, opened).secrets,
                created_at=row["created_at"],
                enabled=row["enabled"],
                ca_file=row["ca_file"],
            )
