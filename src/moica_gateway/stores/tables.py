"""The tables, as they are on every engine. ``migrations/`` makes them; a test compares the two.

Every key starts with the tenant, and foreign keys carry it along: a row cannot belong to, point at
or be found by another tenant. (`request_counts` holds one number of all tenants, too.) Columns
named ``sealed`` or ``personal`` hold ciphertext of the vault, the first under the tenant's data
key, the second under the person's, whose loss erases it.
What stands in clear is there because a look-up, a constraint or a scheduler needs it.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    text,
)

from moica_gateway.stores.column_types import UtcDateTime, counter, json_document

__all__ = [
    "api_keys",
    "audit_heads",
    "audit_records",
    "blobs",
    "challenges",
    "credentials",
    "documents",
    "idempotency_records",
    "identity_queries",
    "metadata",
    "outbox_messages",
    "person_brakes",
    "person_keys",
    "persons",
    "request_counts",
    "revocation_lists",
    "store_probe",
    "tenant_keys",
    "tenants",
    "transactions",
    "user_bindings",
    "webhook_endpoints",
]

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _tenant() -> Column[str]:
    return Column("tenant", String, ForeignKey("tenants.id"), nullable=False)


def _person_reference() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["tenant", "person_id"], ["persons.tenant", "persons.id"])


# -- tenants and keys --------------------------------------------------------------------------

tenants: Final = Table(
    "tenants",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("policy", json_document(), nullable=False),
    Column("sp_service_id", String),
    Column("sealed", LargeBinary),  # the service provider's AES keys
    Column("mac", LargeBinary, nullable=False),
)

tenant_keys: Final = Table(
    "tenant_keys",
    metadata,
    _tenant(),
    Column("key_id", LargeBinary, nullable=False),
    Column("master_key_id", String, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant", "key_id"),
)

api_keys: Final = Table(
    "api_keys",
    metadata,
    _tenant(),
    Column("id", String, nullable=False),
    Column("name", String, nullable=False),
    Column("key_hash", LargeBinary, nullable=False, unique=True),
    Column("scopes", json_document(), nullable=False),
    Column("test", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
    Column("mac", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant", "id"),
)

webhook_endpoints: Final = Table(
    "webhook_endpoints",
    metadata,
    _tenant(),
    Column("id", String, nullable=False),
    Column("url", String, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("ca_file", String),
    Column("created_at", UtcDateTime, nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # its secrets
    Column("mac", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant", "id"),
)

# -- people and credentials --------------------------------------------------------------------

persons: Final = Table(
    "persons",
    metadata,
    _tenant(),
    Column("id", String, nullable=False),
    Column("lookup_hash", LargeBinary),  # keyed; NULL once erased
    Column("id_number", LargeBinary),  # sealed under the person's key
    Column("hashed_id_num", LargeBinary),  # sealed under the person's key
    Column("created_at", UtcDateTime, nullable=False),
    Column("erased_at", UtcDateTime),
    PrimaryKeyConstraint("tenant", "id"),
    UniqueConstraint("tenant", "lookup_hash"),
)

person_keys: Final = Table(
    "person_keys",
    metadata,
    _tenant(),
    Column("person_id", String, nullable=False),
    Column("key_id", LargeBinary, nullable=False),
    Column("master_key_id", String, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant", "person_id"),
    _person_reference(),
)

user_bindings: Final = Table(
    "user_bindings",
    metadata,
    _tenant(),
    Column("user_id", String, nullable=False),
    Column("person_id", String, nullable=False),
    Column("bound_at", UtcDateTime, nullable=False),
    Column("mac", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant", "user_id"),
    _person_reference(),
    Index(None, "tenant", "person_id"),
)

credentials: Final = Table(
    "credentials",
    metadata,
    _tenant(),
    Column("id", String, nullable=False),
    Column("user_id", String, nullable=False),
    Column("person_id", String, nullable=False),
    Column("type", String, nullable=False),
    Column("status", String, nullable=False),
    Column("issuer_name", String, nullable=False),
    Column("serial_number", String, nullable=False),
    Column("not_before", UtcDateTime, nullable=False),
    Column("not_after", UtcDateTime, nullable=False),
    Column("fingerprint_sha256", String, nullable=False),
    Column("public_key_sha256", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("personal", LargeBinary),  # certificate, chain, names, masked ID number
    Column("mac", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant", "id"),
    _person_reference(),
    Index(None, "tenant", "person_id"),
    Index(None, "tenant", "user_id", "created_at"),
    Index("uq_credentials_fingerprint", "tenant", "user_id", "fingerprint_sha256", unique=True),
    Index(
        "uq_credentials_enabled",
        "tenant",
        "user_id",
        unique=True,
        sqlite_where=text("status = 'enabled'"),
        postgresql_where=text("status = 'enabled'"),
    ),
)

# -- transactions ------------------------------------------------------------------------------

transactions: Final = Table(
    "transactions",
    metadata,
    _tenant(),
    Column("id", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("kind", String, nullable=False),
    Column("status", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("watch_until", UtcDateTime),  # when its last ticket lapses
    Column("user_id", String, nullable=False),
    Column("person_id", String, nullable=False),
    Column("credential_id", String),
    Column("match_code", String, nullable=False),
    Column("format", String, nullable=False),
    Column("level", String),
    Column("time_limit", Integer, nullable=False),
    Column("enable", Boolean, nullable=False),
    Column("partial", Boolean, nullable=False),
    Column("policy", json_document(), nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # metadata, representation, report, error
    Column("personal", LargeBinary),  # hint, names, certificate
    Column("mac", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant", "id"),
    _person_reference(),
    Index(None, "tenant", "created_at", "id"),
    Index(None, "tenant", "user_id", "created_at", "id"),
    Index(None, "tenant", "person_id"),
    Index(None, "watch_until"),
    Index(
        "uq_transactions_pending",
        "tenant",
        "person_id",
        unique=True,
        sqlite_where=text("status = 'pending'"),
        postgresql_where=text("status = 'pending'"),
    ),
)

_of_transaction: Final = (["tenant", "transaction_id"], ["transactions.tenant", "transactions.id"])

documents: Final = Table(
    "documents",
    metadata,
    _tenant(),
    Column("transaction_id", String, nullable=False),
    Column("id", String, nullable=False),
    Column("position", Integer, nullable=False),
    Column("number", String, nullable=False),
    Column("sha256", String, nullable=False),
    Column("version", String),
    Column("media_type", String),
    Column("content", String),
    Column("prepared", String),
    Column("artifact", String),
    Column("artifact_media_type", String),
    Column("status", String),
    Column("ticket", Integer, nullable=False, server_default=text("0")),
    Column("sealed", LargeBinary),  # the title
    PrimaryKeyConstraint("tenant", "transaction_id", "id"),
    ForeignKeyConstraint(*_of_transaction),
    Index(None, "tenant", "number"),
)

challenges: Final = Table(
    "challenges",
    metadata,
    _tenant(),
    Column("transaction_id", String, nullable=False),
    Column("id", String, nullable=False),
    Column("position", Integer, nullable=False),
    Column("channel", String, nullable=False),
    Column("status", String, nullable=False),
    Column("upstream_transaction_id", String, nullable=False),
    Column("time_limit", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("sp_key_id", String, nullable=False),
    Column("ticket", Integer, nullable=False, server_default=text("0")),
    Column("sealed", LargeBinary),  # the problem
    Column("personal", LargeBinary),  # handle and return address
    PrimaryKeyConstraint("tenant", "transaction_id", "id"),
    ForeignKeyConstraint(*_of_transaction),
    Index(None, "tenant", "upstream_transaction_id", unique=True),
)

blobs: Final = Table(
    "blobs",
    metadata,
    _tenant(),
    Column("id", String, nullable=False),
    Column("size", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant", "id"),
)

# -- brakes ------------------------------------------------------------------------------------

# No index for housekeeping: who approves has no row, so that the few that there are may be walked
# through once an hour, rather than an index be kept with every request.
person_brakes: Final = Table(
    "person_brakes",
    metadata,
    _tenant(),
    Column("person_id", String, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),  # of the window of its requests
    Column("requests", Integer, nullable=False),
    Column("misses", Integer, nullable=False),
    Column("missed_at", UtcDateTime),
    PrimaryKeyConstraint("tenant", "person_id"),
    _person_reference(),
)

request_counts: Final = Table(
    "request_counts",
    metadata,
    Column("whose", String, primary_key=True),  # a tenant's id, or `*` for all together
    Column("started_at", UtcDateTime, nullable=False),
    Column("requests", Integer, nullable=False),
)

# -- identity queries --------------------------------------------------------------------------

identity_queries: Final = Table(
    "identity_queries",
    metadata,
    _tenant(),
    Column("day", String, nullable=False),  # UTC, ISO 8601
    Column("subject_hash", LargeBinary, nullable=False),  # keyed, of ID number and day
    PrimaryKeyConstraint("tenant", "day", "subject_hash"),
)

# -- revocation lists --------------------------------------------------------------------------

revocation_lists: Final = Table(
    "revocation_lists",
    metadata,
    Column("issuer", String, nullable=False),  # SHA-256 of its certificate, hexadecimal
    Column("scope", String, nullable=False),  # an address, or a complete list
    Column("number", String, nullable=False),  # decimal: up to 160 bits
    Column("this_update", UtcDateTime, nullable=False),
    Column("next_update", UtcDateTime, nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("issuer", "scope"),
)

# -- records -----------------------------------------------------------------------------------

idempotency_records: Final = Table(
    "idempotency_records",
    metadata,
    _tenant(),
    Column("method", String, nullable=False),
    Column("path", String, nullable=False),
    Column("key", String, nullable=False),
    Column("body_mac", LargeBinary, nullable=False),
    Column("transaction_id", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant", "method", "path", "key"),
    Index(None, "created_at"),
)

# Sequences are given out in the order of commits, and the sealer relies on that: no record may
# appear later with a lower one than a sealed record's. SQLite has one writer. On PostgreSQL the
# sealer will have to stop below the lowest sequence still in flight.
audit_records: Final = Table(
    "audit_records",
    metadata,
    Column("sequence", counter(), primary_key=True, autoincrement=True),
    _tenant(),
    Column("at", UtcDateTime, nullable=False),
    Column("action", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("transaction_id", String),
    Column("data", json_document(), nullable=False),
    Column("chain_position", counter()),  # set by the sealer, once
    Column("chain_hash", LargeBinary),
    Column("mac", LargeBinary),  # NULL is never the gateway's
    Index(None, "tenant", "transaction_id", "sequence"),
    Index(None, "tenant", "sequence"),
    UniqueConstraint("tenant", "chain_position"),
    sqlite_autoincrement=True,
)

audit_heads: Final = Table(
    "audit_heads",
    metadata,
    _tenant(),
    Column("position", counter(), nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant", "position"),
)

# On PostgreSQL a sequence is taken before the commit, so that a reader may see 8 before 7: the
# feed will have to stop at the lowest sequence still in flight. SQLite has one writer.
outbox_messages: Final = Table(
    "outbox_messages",
    metadata,
    Column("sequence", counter(), primary_key=True, autoincrement=True),
    _tenant(),
    Column("id", String, nullable=False),
    Column("type", String, nullable=False),
    Column("transaction_id", String),
    Column("created_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("next_attempt_at", UtcDateTime),
    Column("delivered_at", UtcDateTime),
    Column("parked_at", UtcDateTime),
    Column("last_error", String),
    Column("sealed", LargeBinary, nullable=False),  # the body
    UniqueConstraint("tenant", "id"),
    Index(None, "tenant", "sequence"),
    Index(
        "ix_outbox_messages_due",
        "due_at",
        sqlite_where=text("delivered_at IS NULL AND parked_at IS NULL"),
        postgresql_where=text("delivered_at IS NULL AND parked_at IS NULL"),
    ),
    Index(
        "ix_outbox_messages_waiting",
        "tenant",
        "transaction_id",
        "sequence",
        sqlite_where=text("delivered_at IS NULL AND parked_at IS NULL"),
        postgresql_where=text("delivered_at IS NULL AND parked_at IS NULL"),
    ),
    sqlite_autoincrement=True,
)

store_probe: Final = Table(
    "store_probe",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
)
