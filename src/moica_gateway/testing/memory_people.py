"""Tenants, people and credentials in memory."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import datetime

from attrs import evolve

from moica_gateway.domain.models import (
    ApiKey,
    Credential,
    CredentialStatus,
    Person,
    Tenant,
    UserBinding,
    WebhookEndpoint,
)
from moica_gateway.domain.values import (
    CredentialId,
    IdNumber,
    PersonId,
    TenantId,
)
from moica_gateway.ports import AllTenants
from moica_gateway.testing.memory_state import (
    MemoryPart,
    conflict,
    in_order,
    need_aware,
    without_person,
)

__all__ = ["MemoryPeople"]


class MemoryPeople(MemoryPart):
    """The part of the unit of work that holds tenants, people and what is theirs."""

    def tenant(self, tenant: TenantId) -> Tenant | None:
        """See the port."""
        return self.state.tenants.get(tenant)

    def tenants(self) -> Sequence[Tenant]:
        """See the port."""
        return tuple(sorted(self.state.tenants.values(), key=lambda t: (t.created_at, t.id)))

    def save_tenant(self, tenant: Tenant) -> None:
        """See the port."""
        need_aware(tenant.created_at)
        self.writable().tenants[tenant.id] = tenant

    def api_key_by_hash(self, key_hash: bytes) -> ApiKey | None:
        """See the port."""
        keys = self.state.api_keys.values()
        return next((k for k in keys if hmac.compare_digest(k.key_hash, key_hash)), None)

    def api_keys(self, tenant: TenantId) -> Sequence[ApiKey]:
        """See the port."""
        return in_order(k for k in self.state.api_keys.values() if k.tenant == tenant)

    def save_api_key(self, key: ApiKey) -> None:
        """See the port."""
        state = self.writable(key.tenant)
        other = self.api_key_by_hash(key.key_hash)
        if other is not None and (other.tenant, other.id) != (key.tenant, key.id):
            raise conflict()
        state.api_keys[(key.tenant, key.id)] = key

    def webhook_endpoints(self, tenant: TenantId) -> Sequence[WebhookEndpoint]:
        """See the port."""
        return in_order(e for e in self.state.endpoints.values() if e.tenant == tenant)

    def save_webhook_endpoint(self, endpoint: WebhookEndpoint) -> None:
        """See the port."""
        state = self.writable(endpoint.tenant)
        state.endpoints[(endpoint.tenant, endpoint.id)] = endpoint

    # -- people, credentials -------------------------------------------------------------------

    def person(self, tenant: TenantId, person_id: PersonId) -> Person | None:
        """See the port."""
        return self.state.persons.get((tenant, person_id))

    def person_by_id_number(self, tenant: TenantId, id_number: IdNumber) -> Person | None:
        """See the port."""
        people = (p for p in self.state.persons.values() if p is not None)
        return next((p for p in people if p.tenant == tenant and p.id_number == id_number), None)

    def save_person(self, person: Person) -> None:
        """See the port."""
        state = self.writable(person.tenant)
        index = (person.tenant, person.id)
        if index in state.persons and state.persons[index] is None:
            raise RuntimeError("an erased person cannot come back; it takes a new id")
        other = self.person_by_id_number(person.tenant, person.id_number)
        if other is not None and other.id != person.id:
            raise conflict()
        state.persons[index] = person

    def unbound_persons(
        self,
        tenant: AllTenants,
        before: datetime,
        *,
        limit: int,
    ) -> Sequence[tuple[TenantId, PersonId]]:
        """See the port."""
        state = self.state
        kept = {
            *((b.tenant, b.person_id) for b in state.bindings.values()),
            *((c.tenant, c.person_id) for c in state.credentials.values()),
            *(
                (t.tenant, t.person_id)
                for t in state.transactions.values()
                if t.ended_at is None or t.ended_at >= before
            ),
        }
        found = (
            (p.tenant, p.id)
            for p in state.persons.values()
            if p is not None and p.created_at < before
        )
        return tuple(each for each in found if each not in kept)[:limit]

    def erase_person(self, tenant: TenantId, person_id: PersonId) -> None:
        """See the port."""
        state = self.writable()
        if (tenant, person_id) not in state.persons:
            return
        state.persons[(tenant, person_id)] = None
        for index, transaction in list(state.transactions.items()):
            if (transaction.tenant, transaction.person_id) == (tenant, person_id):
                state.transactions[index] = without_person(transaction)
        for index, credential in list(state.credentials.items()):
            if (credential.tenant, credential.person_id) == (tenant, person_id):
                state.credentials[index] = _credential_without_person(credential)

    def user_binding(self, tenant: TenantId, user_id: str) -> UserBinding | None:
        """See the port."""
        return self.state.bindings.get((tenant, user_id))

    def bindings_of_person(self, tenant: TenantId, person_id: PersonId) -> Sequence[UserBinding]:
        """See the port."""
        found = (
            b
            for b in self.state.bindings.values()
            if (b.tenant, b.person_id) == (tenant, person_id)
        )
        return tuple(sorted(found, key=lambda b: b.user_id))

    def save_user_binding(self, binding: UserBinding) -> None:
        """See the port."""
        state = self.writable(binding.tenant)
        if (binding.tenant, binding.person_id) not in state.persons:
            raise conflict()
        stored = state.bindings.setdefault((binding.tenant, binding.user_id), binding)
        if stored.person_id != binding.person_id:
            raise RuntimeError("that user is bound to another person; unbind first")

    def delete_user_binding(self, tenant: TenantId, user_id: str) -> None:
        """See the port."""
        self.writable().bindings.pop((tenant, user_id), None)

    def credential(self, tenant: TenantId, credential_id: CredentialId) -> Credential | None:
        """See the port."""
        return self.state.credentials.get((tenant, credential_id))

    def credentials(self, tenant: TenantId, user_id: str) -> Sequence[Credential]:
        """See the port."""
        return in_order(
            c for c in self.state.credentials.values() if (c.tenant, c.user_id) == (tenant, user_id)
        )

    def enabled_credential(self, tenant: TenantId, user_id: str) -> Credential | None:
        """See the port."""
        found = (c for c in self.credentials(tenant, user_id) if _enabled(c))
        return next(found, None)

    def credential_by_fingerprint(
        self, tenant: TenantId, user_id: str, fingerprint_sha256: str
    ) -> Credential | None:
        """See the port."""
        found = (
            c
            for c in self.credentials(tenant, user_id)
            if c.fingerprint_sha256 == fingerprint_sha256
        )
        return next(found, None)

    def save_credential(self, credential: Credential) -> None:
        """See the port."""
        state = self.writable(credential.tenant)
        index = (credential.tenant, credential.id)
        need_aware(credential.created_at, credential.not_before, credential.not_after)
        if state.persons.get((credential.tenant, credential.person_id)) is None:
            if index not in state.credentials:
                raise RuntimeError("a new credential needs a person that exists and is not erased")
            credential = _credential_without_person(credential)
        for other in self.credentials(credential.tenant, credential.user_id):
            same = other.fingerprint_sha256 == credential.fingerprint_sha256
            if other.id != credential.id and (same or (_enabled(other) and _enabled(credential))):
                raise conflict()
        state.credentials[index] = credential

    def delete_credential(self, tenant: TenantId, credential_id: CredentialId) -> None:
        """See the port."""
        self.writable().credentials.pop((tenant, credential_id), None)


def _enabled(credential: Credential) -> bool:
    return credential.status is CredentialStatus.ENABLED


def _credential_without_person(credential: Credential) -> Credential:
    return evolve(
        credential,
        certificate=b"",
        chain=(),
        subject_name="",
        id_number_masked="",
        user_name=None,
    )
