"""What all parts of a unit of work share: running statements, finding keys, sealing.

One session is one piece of work on one connection, in one thread. It begins and commits nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Select, bindparam, insert, select
from sqlalchemy.sql.dml import UpdateBase

from moica_gateway.domain.values import PersonId, TenantId
from moica_gateway.ports import Clock, Seals
from moica_gateway.stores.audit_macs import AuditMacs
from moica_gateway.stores.cursors import Cursors
from moica_gateway.stores.runner import Runner, Stored, Values
from moica_gateway.stores.tables import person_keys, tenant_keys
from moica_gateway.stores.vault import DataKey, Place, Vault, tampered

__all__ = ["KeyRing", "Session", "readable"]


_TENANT_KEY: Final = (
    select(tenant_keys)
    .where(tenant_keys.c.tenant == bindparam("tenant_"))
    .order_by(tenant_keys.c.created_at.desc(), tenant_keys.c.key_id)
    .limit(1)
)
_PERSON_KEY: Final = select(person_keys).where(
    person_keys.c.tenant == bindparam("tenant_"), person_keys.c.person_id == bindparam("person_")
)
_NEW_TENANT_KEY: Final = insert(tenant_keys)


class KeyRing:
    """The tenants' unwrapped data keys that are known to be committed; never a person's.

    A person's key is read anew in every unit of work, so that an erasure holds at once.
    """

    def __init__(self) -> None:
        self._keys: dict[TenantId, DataKey] = {}

    def get(self, tenant: TenantId) -> DataKey | None:
        """The key, if it was seen committed."""
        return self._keys.get(tenant)

    def learn(self, keys: Mapping[TenantId, DataKey]) -> None:
        """Only after the commit: a key of a transaction that was undone never existed."""
        self._keys.update(keys)


class Session:
    """A runner with the keys that one piece of work has met."""

    def __init__(
        self,
        runner: Runner,
        *,
        vault: Vault,
        seals: Seals,
        audit_macs: AuditMacs,
        clock: Clock,
        key_ring: KeyRing,
        writing: bool,
    ) -> None:
        self.runner = runner
        self.vault = vault
        self.seals = seals
        self.audit_macs = audit_macs
        self.audited: set[TenantId] = set()
        self.clock = clock
        self.cursors = Cursors(seals)
        self.met_keys: dict[TenantId, DataKey] = {}
        self.erased = False
        self._key_ring = key_ring
        self._person_keys: dict[tuple[TenantId, PersonId], DataKey | None] = {}
        self._writing = writing

    # -- statements ----------------------------------------------------------------------------

    def all(self, statement: Select[Any], values: Values) -> list[Stored]:
        """All rows of a fixed statement."""
        return self.runner.rows(statement, values)

    def first(self, statement: Select[Any], values: Values) -> Stored | None:
        """The first row of a fixed statement, or None."""
        rows = self.runner.rows(statement, values)
        return rows[0] if rows else None

    def change(self, statement: UpdateBase, values: Values) -> int:
        """Run a fixed INSERT, UPDATE or DELETE; how many rows it met.

        Raises:
            RuntimeError: inside ``Store.read``, or for a row that breaks a constraint.
            ValueError: for a value that cannot be stored, such as a naive datetime.
        """
        if not self._writing:
            raise RuntimeError("a unit of work of Store.read must not write")
        return self.runner.change(statement, values)

    def change_all(self, statement: UpdateBase, many: Sequence[Values]) -> int:
        """`change` once for each; how many rows they met together."""
        if not self._writing:
            raise RuntimeError("a unit of work of Store.read must not write")
        return self.runner.change_all(statement, many)

    # -- keys ----------------------------------------------------------------------------------

    def tenant_key(self, tenant: TenantId) -> DataKey:
        """The tenant's data key. Raises ``RuntimeError`` for an unknown tenant."""
        key = self._key_ring.get(tenant) or self.met_keys.get(tenant)
        if key is None:
            row = self.first(_TENANT_KEY, {"tenant_": tenant})
            if row is None:
                raise RuntimeError("the tenant does not exist; save_tenant comes first")
            key = self.vault.unwrap(tenant, "tenant_keys", (), row["key_id"], row["wrapped"])
            self.met_keys[tenant] = key
        return key

    def new_tenant_key(self, tenant: TenantId) -> DataKey:
        """Make and store a tenant's first data key."""
        key, wrapped = self.vault.new_key(tenant, "tenant_keys", ())
        self.change(
            _NEW_TENANT_KEY,
            {
                "tenant": tenant,
                "key_id": key.id,
                "master_key_id": self.vault.master_key_id,
                "wrapped": wrapped,
                "created_at": self.clock.now(),
            },
        )
        self.met_keys[tenant] = key
        return key

    def person_key(self, tenant: TenantId, person_id: PersonId) -> DataKey | None:
        """The person's data key; None when there is no such person or the person was erased."""
        index = (tenant, person_id)
        if index not in self._person_keys:
            row = self.first(_PERSON_KEY, {"tenant_": tenant, "person_": person_id})
            self._person_keys[index] = None if row is None else self._unwrap_person(row)
        return self._person_keys[index]

    def meet_person_key(
        self, tenant: TenantId, person_id: PersonId, key_id: bytes | None, wrapped: bytes | None
    ) -> DataKey | None:
        """As `person_key`, from a row that was joined to the person's key."""
        index = (tenant, person_id)
        if index not in self._person_keys:
            if key_id is None or wrapped is None:
                self._person_keys[index] = None
            else:
                self._person_keys[index] = self.vault.unwrap(
                    tenant, "person_keys", (person_id,), key_id, wrapped
                )
        return self._person_keys[index]

    def keep_person_key(self, tenant: TenantId, person_id: PersonId, key: DataKey | None) -> None:
        """A key that was just made, or destroyed."""
        self._person_keys[(tenant, person_id)] = key

    def _unwrap_person(self, row: Stored) -> DataKey:
        return self.vault.unwrap(
            row["tenant"], "person_keys", (row["person_id"],), row["key_id"], row["wrapped"]
        )

    def committed(self) -> None:
        """What was read or written is durable: the tenants' keys may be kept in memory."""
        self._key_ring.learn(self.met_keys)

    # -- sealed values -------------------------------------------------------------------------

    def seal_for_tenant(
        self, tenant: TenantId, table: str, row: tuple[str, ...], data: bytes
    ) -> bytes:
        """For the column ``sealed`` of that row."""
        return self.vault.seal(self.tenant_key(tenant), Place(tenant, table, row, "sealed"), data)

    def open_for_tenant(
        self, tenant: TenantId, table: str, row: tuple[str, ...], sealed: bytes
    ) -> bytes:
        """The reverse. Raises ``VerificationError`` ``vault_tampered``."""
        return self.vault.open(self.tenant_key(tenant), Place(tenant, table, row, "sealed"), sealed)


@contextmanager
def readable(table: str, *row: str) -> Iterator[None]:
    """Turns what a malformed row raises while it is decoded into ``vault_tampered``."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError):
        raise tampered(table, row, "it cannot be read") from None
