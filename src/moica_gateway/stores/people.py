"""People, whose ID number is whose, and their credentials.

A person has a data key of its own. Erasing destroys that key and the look-up hash; the row itself
stays, so that what points at it (transactions, the audit record) keeps its meaning. Of a credential
of an erased person ``certificate``, ``chain``, ``subject_name`` and ``id_number_masked`` come back
empty and ``user_name`` None.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from attrs import frozen
from sqlalchemy import (
    BindParameter,
    String,
    and_,
    bindparam,
    delete,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from moica_gateway.domain.models import (
    Credential,
    CredentialStatus,
    CredentialType,
    Person,
    UserBinding,
)
from moica_gateway.domain.values import CredentialId, IdNumber, PersonId, TenantId
from moica_gateway.errors import RequestError
from moica_gateway.ports import AllTenants
from moica_gateway.stores.codec import from_bytes, to_bytes
from moica_gateway.stores.runner import Stored
from moica_gateway.stores.session import Session, readable
from moica_gateway.stores.tables import (
    credentials,
    person_keys,
    persons,
    transactions,
    user_bindings,
)
from moica_gateway.stores.vault import DataKey, Place, tampered

__all__ = ["BINDING_MAC", "CREDENTIAL_MAC", "PeopleRows"]

BINDING_MAC: Final = ("tenant", "user_id", "person_id", "bound_at")
CREDENTIAL_MAC: Final = (
    "tenant",
    "id",
    "user_id",
    "person_id",
    "type",
    "status",
    "issuer_name",
    "serial_number",
    "not_before",
    "not_after",
    "fingerprint_sha256",
    "public_key_sha256",
    "created_at",
    "updated_at",
)
_LOOKUP_PURPOSE: Final = "persons.id_number"

_OF_TENANT: Final[BindParameter[str]] = bindparam("tenant_")
_JOINED_KEY: Final = (
    person_keys.c.key_id.label("person_key_id"),
    person_keys.c.wrapped.label("person_key_wrapped"),
)
_PERSON: Final = select(persons, *_JOINED_KEY).select_from(
    persons.join(
        person_keys,
        and_(person_keys.c.tenant == persons.c.tenant, person_keys.c.person_id == persons.c.id),
    )
)
_PERSON_BY_ID: Final = _PERSON.where(
    persons.c.tenant == _OF_TENANT, persons.c.id == bindparam("id_")
)
_PERSON_BY_HASH: Final = _PERSON.where(
    persons.c.tenant == _OF_TENANT, persons.c.lookup_hash == bindparam("hash_")
)
_PERSON_EXISTS: Final = select(persons.c.id).where(
    persons.c.tenant == _OF_TENANT, persons.c.id == bindparam("id_")
)
_NEW_PERSON: Final = insert(persons)
_CHANGE_PERSON: Final = update(persons).where(
    persons.c.tenant == _OF_TENANT, persons.c.id == bindparam("id_")
)
_NEW_PERSON_KEY: Final = insert(person_keys)
_DROP_PERSON_KEY: Final = delete(person_keys).where(
    person_keys.c.tenant == _OF_TENANT, person_keys.c.person_id == bindparam("id_")
)

_UNBOUND: Final = (
    select(persons.c.tenant, persons.c.id)
    .where(
        persons.c.lookup_hash.is_not(None),
        persons.c.created_at < bindparam("before_"),
        *(
            ~select(table.c.tenant)
            .where(table.c.tenant == persons.c.tenant, table.c.person_id == persons.c.id)
            .exists()
            for table in (user_bindings, credentials)
        ),
        ~select(transactions.c.id)
        .where(
            transactions.c.tenant == persons.c.tenant,
            transactions.c.person_id == persons.c.id,
            or_(transactions.c.ended_at.is_(None), transactions.c.ended_at >= bindparam("before_")),
        )
        .exists(),
    )
    .order_by(persons.c.tenant, persons.c.id)
    .limit(bindparam("limit_"))
)

_BINDING: Final = select(user_bindings).where(
    user_bindings.c.tenant == _OF_TENANT, user_bindings.c.user_id == bindparam("user_")
)
_BINDINGS_OF: Final = (
    select(user_bindings)
    .where(user_bindings.c.tenant == _OF_TENANT, user_bindings.c.person_id == bindparam("person_"))
    .order_by(user_bindings.c.user_id)
)
_NEW_BINDING: Final = insert(user_bindings)
_DROP_BINDING: Final = delete(user_bindings).where(
    user_bindings.c.tenant == _OF_TENANT, user_bindings.c.user_id == bindparam("user_")
)

_CREDENTIAL: Final = (
    select(credentials, *_JOINED_KEY)
    .select_from(
        credentials.outerjoin(
            person_keys,
            and_(
                person_keys.c.tenant == credentials.c.tenant,
                person_keys.c.person_id == credentials.c.person_id,
            ),
        )
    )
    .where(credentials.c.tenant == _OF_TENANT)
)
_CREDENTIAL_BY_ID: Final = _CREDENTIAL.where(credentials.c.id == bindparam("id_"))
_CREDENTIALS_OF: Final = _CREDENTIAL.where(credentials.c.user_id == bindparam("user_")).order_by(
    credentials.c.created_at, credentials.c.id
)
_ENABLED_OF: Final = _CREDENTIAL.where(
    credentials.c.user_id == bindparam("user_"),
    credentials.c.status == literal_column(f"'{CredentialStatus.ENABLED.value}'", String),
)
_BY_FINGERPRINT: Final = _CREDENTIAL.where(
    credentials.c.user_id == bindparam("user_"),
    credentials.c.fingerprint_sha256 == bindparam("fingerprint_"),
)
_NEW_CREDENTIAL: Final = insert(credentials)
_CHANGE_CREDENTIAL: Final = update(credentials).where(
    credentials.c.tenant == _OF_TENANT, credentials.c.id == bindparam("id_")
)
_DROP_CREDENTIAL: Final = delete(credentials).where(
    credentials.c.tenant == _OF_TENANT, credentials.c.id == bindparam("id_")
)


@frozen(kw_only=True)
class _CredentialPersonal:
    certificate: bytes = b""
    chain: tuple[bytes, ...] = ()
    subject_name: str = ""
    id_number_masked: str = ""
    user_name: str | None = None


class PeopleRows(Session):
    """The part of a unit of work that holds people, bindings and credentials."""

    def person(self, tenant: TenantId, person_id: PersonId) -> Person | None:
        """See `moica_gateway.ports.UnitOfWork`."""
        row = self.first(_PERSON_BY_ID, {"tenant_": tenant, "id_": person_id})
        return None if row is None else self._person(row)

    def person_by_id_number(self, tenant: TenantId, id_number: IdNumber) -> Person | None:
        """See `moica_gateway.ports.UnitOfWork`."""
        row = self.first(
            _PERSON_BY_HASH, {"tenant_": tenant, "hash_": self._lookup_hash(tenant, id_number)}
        )
        return None if row is None else self._person(row)

    def save_person(self, person: Person) -> None:
        """See `moica_gateway.ports.UnitOfWork`."""
        where = {"tenant_": person.tenant, "id_": person.id}
        key = self.person_key(person.tenant, person.id)
        if key is None:
            if self.first(_PERSON_EXISTS, where) is not None:
                raise RuntimeError("an erased person cannot come back; it takes a new id")
            self.change(
                _NEW_PERSON,
                {"tenant": person.tenant, "id": person.id, "created_at": person.created_at},
            )
            key = self._new_person_key(person)
        hashed = person.hashed_id_num
        self.change(
            _CHANGE_PERSON,
            {
                **where,
                "lookup_hash": self._lookup_hash(person.tenant, person.id_number),
                "id_number": self._seal(key, person, "id_number", person.id_number.reveal()),
                "hashed_id_num": None
                if hashed is None
                else self._seal(key, person, "hashed_id_num", hashed),
                "created_at": person.created_at,
            },
        )

    def unbound_persons(
        self,
        tenant: AllTenants,  # noqa: ARG002 - says whose
        before: datetime,
        *,
        limit: int,
    ) -> Sequence[tuple[TenantId, PersonId]]:
        """See `moica_gateway.ports.UnitOfWork`."""
        rows = self.all(_UNBOUND, {"before_": before, "limit_": limit})
        return tuple((row["tenant"], row["id"]) for row in rows)

    def erase_person(self, tenant: TenantId, person_id: PersonId) -> None:
        """See `moica_gateway.ports.UnitOfWork`."""
        where = {"tenant_": tenant, "id_": person_id}
        self.change(_DROP_PERSON_KEY, where)
        self.change(
            _CHANGE_PERSON,
            {
                **where,
                "lookup_hash": None,
                "id_number": None,
                "hashed_id_num": None,
                "erased_at": self.clock.now(),
            },
        )
        self.keep_person_key(tenant, person_id, None)
        self.erased = True

    def _new_person_key(self, person: Person) -> DataKey:
        key, wrapped = self.vault.new_key(person.tenant, "person_keys", (person.id,))
        self.change(
            _NEW_PERSON_KEY,
            {
                "tenant": person.tenant,
                "person_id": person.id,
                "key_id": key.id,
                "master_key_id": self.vault.master_key_id,
                "wrapped": wrapped,
            },
        )
        self.keep_person_key(person.tenant, person.id, key)
        return key

    def _lookup_hash(self, tenant: TenantId, id_number: IdNumber) -> bytes:
        return self.seals.lookup_hash(tenant, _LOOKUP_PURPOSE, id_number.reveal())

    def _seal(self, key: DataKey, person: Person, column: str, value: str) -> bytes:
        place = Place(person.tenant, "persons", (person.id,), column)
        return self.vault.seal(key, place, value.encode())

    def _person(self, row: Stored) -> Person:
        tenant, person_id = TenantId(row["tenant"]), PersonId(row["id"])
        key = self.meet_person_key(
            tenant, person_id, row["person_key_id"], row["person_key_wrapped"]
        )
        if key is None:
            raise tampered("persons", (person_id,), "its key is missing")
        opened: dict[str, str | None] = {"hashed_id_num": None}
        with readable("persons", person_id):
            for column in ("id_number", "hashed_id_num"):
                if column == "id_number" or row[column] is not None:
                    place = Place(tenant, "persons", (person_id,), column)
                    opened[column] = self.vault.open(key, place, row[column]).decode()
        try:
            id_number = IdNumber.parse(opened["id_number"] or "")
        except RequestError:
            raise tampered("persons", (person_id,), "its ID number cannot be read") from None
        # Without this a swapped look-up hash would answer for another person.
        expected = self._lookup_hash(tenant, id_number)
        if not hmac.compare_digest(expected, row["lookup_hash"] or b""):
            raise tampered("persons", (person_id,), "its look-up hash is another's")
        return Person(
            id=person_id,
            tenant=tenant,
            id_number=id_number,
            created_at=row["created_at"],
            hashed_id_num=opened["hashed_id_num"],
        )

    # -- bindings ------------------------------------------------------------------------------

    def user_binding(self, tenant: TenantId, user_id: str) -> UserBinding | None:
        """See `moica_gateway.ports.UnitOfWork`."""
        row = self.first(_BINDING, {"tenant_": tenant, "user_": user_id})
        return None if row is None else self._binding(row)

    def bindings_of_person(self, tenant: TenantId, person_id: PersonId) -> Sequence[UserBinding]:
        """See `moica_gateway.ports.UnitOfWork`."""
        rows = self.all(_BINDINGS_OF, {"tenant_": tenant, "person_": person_id})
        return tuple(self._binding(row) for row in rows)

    def save_user_binding(self, binding: UserBinding) -> None:
        """See `moica_gateway.ports.UnitOfWork`. The same person again changes nothing; another
        person for that user raises ``RuntimeError``."""
        stored = self.user_binding(binding.tenant, binding.user_id)
        if stored is not None:
            if stored.person_id != binding.person_id:
                raise RuntimeError("that user is bound to another person; unbind first")
            return
        values: dict[str, Any] = {
            "tenant": binding.tenant,
            "user_id": binding.user_id,
            "person_id": binding.person_id,
            "bound_at": binding.bound_at,
        }
        values["mac"] = self.vault.row_mac("user_bindings", BINDING_MAC, values)
        self.change(_NEW_BINDING, values)

    def delete_user_binding(self, tenant: TenantId, user_id: str) -> None:
        """See `moica_gateway.ports.UnitOfWork`."""
        self.change(_DROP_BINDING, {"tenant_": tenant, "user_": user_id})

    def _binding(self, row: Stored) -> UserBinding:
        self.vault.check_row("user_bindings", BINDING_MAC, row, (row["user_id"],))
        return UserBinding(
            tenant=TenantId(row["tenant"]),
            user_id=row["user_id"],
            person_id=PersonId(row["person_id"]),
            bound_at=row["bound_at"],
        )

    # -- credentials ---------------------------------------------------------------------------

    def credential(self, tenant: TenantId, credential_id: CredentialId) -> Credential | None:
        """See `moica_gateway.ports.UnitOfWork`."""
        row = self.first(_CREDENTIAL_BY_ID, {"tenant_": tenant, "id_": credential_id})
        return None if row is None else self._credential(row)

    def credentials(self, tenant: TenantId, user_id: str) -> Sequence[Credential]:
        """See `moica_gateway.ports.UnitOfWork`."""
        rows = self.all(_CREDENTIALS_OF, {"tenant_": tenant, "user_": user_id})
        return tuple(self._credential(row) for row in rows)

    def enabled_credential(self, tenant: TenantId, user_id: str) -> Credential | None:
        """See `moica_gateway.ports.UnitOfWork`."""
        row = self.first(_ENABLED_OF, {"tenant_": tenant, "user_": user_id})
        return None if row is None else self._credential(row)

    def credential_by_fingerprint(
        self, tenant: TenantId, user_id: str, fingerprint_sha256: str
    ) -> Credential | None:
        """See `moica_gateway.ports.UnitOfWork`."""
        row = self.first(
            _BY_FINGERPRINT,
            {"tenant_": tenant, "user_": user_id, "fingerprint_": fingerprint_sha256},
        )
        return None if row is None else self._credential(row)

    def save_credential(self, credential: Credential) -> None:
        """See `moica_gateway.ports.UnitOfWork`. Disable the old one before enabling another: two
        enabled ones of a user break a constraint (``RuntimeError``) at once."""
        tenant = credential.tenant
        where = {"tenant_": tenant, "id_": credential.id}
        key = self.person_key(tenant, credential.person_id)
        values: dict[str, Any] = {
            "tenant": tenant,
            "id": credential.id,
            "user_id": credential.user_id,
            "person_id": credential.person_id,
            "type": credential.type.value,
            "status": credential.status.value,
            "issuer_name": credential.issuer_name,
            "serial_number": credential.serial_number,
            "not_before": credential.not_before,
            "not_after": credential.not_after,
            "fingerprint_sha256": credential.fingerprint_sha256,
            "public_key_sha256": credential.public_key_sha256,
            "created_at": credential.created_at,
            "updated_at": credential.updated_at,
            "personal": None,
        }
        if key is not None:
            personal = _CredentialPersonal(
                certificate=credential.certificate,
                chain=credential.chain,
                subject_name=credential.subject_name,
                id_number_masked=credential.id_number_masked,
                user_name=credential.user_name,
            )
            place = Place(tenant, "credentials", (credential.id,), "personal")
            values["personal"] = self.vault.seal(key, place, to_bytes(personal))
        values["mac"] = self.vault.row_mac("credentials", CREDENTIAL_MAC, values)
        if not self.change(_CHANGE_CREDENTIAL, {**values, **where}):
            if key is None:
                raise RuntimeError("a new credential needs a person that exists and is not erased")
            self.change(_NEW_CREDENTIAL, values)

    def delete_credential(self, tenant: TenantId, credential_id: CredentialId) -> None:
        """See `moica_gateway.ports.UnitOfWork`."""
        self.change(_DROP_CREDENTIAL, {"tenant_": tenant, "id_": credential_id})

    def _credential(self, row: Stored) -> Credential:
        tenant, id = TenantId(row["tenant"]), (row["id"],)
        self.vault.check_row("credentials", CREDENTIAL_MAC, row, id)
        key = self.meet_person_key(
            tenant, row["person_id"], row["person_key_id"], row["person_key_wrapped"]
        )
        with readable("credentials", *id):
            personal = _CredentialPersonal()
            if key is not None:
                place = Place(tenant, "credentials", id, "personal")
                personal = from_bytes(
                    _CredentialPersonal, self.vault.open(key, place, row["personal"])
                )
            return Credential(
                id=CredentialId(row["id"]),
                tenant=tenant,
                user_id=row["user_id"],
                user_name=personal.user_name,
                person_id=PersonId(row["person_id"]),
                type=CredentialType(row["type"]),
                status=CredentialStatus(row["status"]),
                certificate=personal.certificate,
                chain=personal.chain,
                issuer_name=row["issuer_name"],
                serial_number=row["serial_number"],
                not_before=row["not_before"],
                not_after=row["not_after"],
                subject_name=personal.subject_name,
                id_number_masked=personal.id_number_masked,
                fingerprint_sha256=row["fingerprint_sha256"],
                public_key_sha256=row["public_key_sha256"],
                created_at=row["created_at"],
                updated_at=row["updated_at"],
            )
