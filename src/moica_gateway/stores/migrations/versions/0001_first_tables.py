"""The first tables. No way down: whoever goes back restores a backup.

Written out and frozen, deliberately not made from `moica_gateway.stores.tables`: that module
follows the program, a version never changes once it was released.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _json() -> sa.types.TypeEngine[Any]:
    return sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def _counter() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """To 0001."""
    op.create_table(
        "store_probe",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_store_probe")),
    )
    op.create_table(
        "tenants",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("policy", _json(), nullable=False),
        sa.Column("sp_service_id", sa.String(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenants")),
    )
    op.create_table(
        "api_keys",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", _json(), nullable=False),
        sa.Column("test", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_api_keys_tenants")),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_keys_key_hash")),
    )
    op.create_table(
        "audit_records",
        sa.Column("sequence", _counter(), autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("transaction_id", sa.String(), nullable=True),
        sa.Column("data", _json(), nullable=False),
        sa.Column("chain_position", _counter(), nullable=True),
        sa.Column("chain_hash", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_audit_records_tenants")),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit_records")),
        sa.UniqueConstraint(
            "tenant", "chain_position", name=op.f("uq_audit_records_tenant_chain_position")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_audit_records_tenant_sequence"),
        "audit_records",
        ["tenant", "sequence"],
        unique=False,
    )
    op.create_index(
        op.f("ix_audit_records_tenant_transaction_id_sequence"),
        "audit_records",
        ["tenant", "transaction_id", "sequence"],
        unique=False,
    )
    op.create_table(
        "blobs",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_blobs_tenants")),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_blobs")),
    )
    op.create_table(
        "idempotency_records",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("body_mac", sa.LargeBinary(), nullable=False),
        sa.Column("transaction_id", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant"], ["tenants.id"], name=op.f("fk_idempotency_records_tenants")
        ),
        sa.PrimaryKeyConstraint(
            "tenant", "method", "path", "key", name=op.f("pk_idempotency_records")
        ),
    )
    op.create_index(
        op.f("ix_idempotency_records_created_at"),
        "idempotency_records",
        ["created_at"],
        unique=False,
    )
    op.create_table(
        "outbox_messages",
        sa.Column("sequence", _counter(), autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("transaction_id", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("parked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant"], ["tenants.id"], name=op.f("fk_outbox_messages_tenants")
        ),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_outbox_messages")),
        sa.UniqueConstraint("tenant", "id", name=op.f("uq_outbox_messages_tenant_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_outbox_messages_due",
        "outbox_messages",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("delivered_at IS NULL AND parked_at IS NULL"),
        postgresql_where=sa.text("delivered_at IS NULL AND parked_at IS NULL"),
    )
    op.create_index(
        op.f("ix_outbox_messages_tenant_sequence"),
        "outbox_messages",
        ["tenant", "sequence"],
        unique=False,
    )
    op.create_index(
        "ix_outbox_messages_waiting",
        "outbox_messages",
        ["tenant", "transaction_id", "sequence"],
        unique=False,
        sqlite_where=sa.text("delivered_at IS NULL AND parked_at IS NULL"),
        postgresql_where=sa.text("delivered_at IS NULL AND parked_at IS NULL"),
    )
    op.create_table(
        "persons",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("lookup_hash", sa.LargeBinary(), nullable=True),
        sa.Column("id_number", sa.LargeBinary(), nullable=True),
        sa.Column("hashed_id_num", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_persons_tenants")),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_persons")),
        sa.UniqueConstraint("tenant", "lookup_hash", name=op.f("uq_persons_tenant_lookup_hash")),
    )
    op.create_table(
        "tenant_keys",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        sa.Column("master_key_id", sa.String(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_tenant_keys_tenants")),
        sa.PrimaryKeyConstraint("tenant", "key_id", name=op.f("pk_tenant_keys")),
    )
    op.create_table(
        "webhook_endpoints",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("ca_file", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant"], ["tenants.id"], name=op.f("fk_webhook_endpoints_tenants")
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_webhook_endpoints")),
    )
    op.create_table(
        "credentials",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("issuer_name", sa.String(), nullable=False),
        sa.Column("serial_number", sa.String(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("not_after", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fingerprint_sha256", sa.String(), nullable=False),
        sa.Column("public_key_sha256", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("personal", sa.LargeBinary(), nullable=True),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "person_id"],
            ["persons.tenant", "persons.id"],
            name=op.f("fk_credentials_persons"),
        ),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_credentials_tenants")),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_credentials")),
    )
    op.create_index(
        op.f("ix_credentials_tenant_person_id"),
        "credentials",
        ["tenant", "person_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_credentials_tenant_user_id_created_at"),
        "credentials",
        ["tenant", "user_id", "created_at"],
        unique=False,
    )
    op.create_index(
        "uq_credentials_enabled",
        "credentials",
        ["tenant", "user_id"],
        unique=True,
        sqlite_where=sa.text("status = 'enabled'"),
        postgresql_where=sa.text("status = 'enabled'"),
    )
    op.create_index(
        "uq_credentials_fingerprint",
        "credentials",
        ["tenant", "user_id", "fingerprint_sha256"],
        unique=True,
    )
    op.create_table(
        "person_keys",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        sa.Column("master_key_id", sa.String(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "person_id"],
            ["persons.tenant", "persons.id"],
            name=op.f("fk_person_keys_persons"),
        ),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_person_keys_tenants")),
        sa.PrimaryKeyConstraint("tenant", "person_id", name=op.f("pk_person_keys")),
    )
    op.create_table(
        "transactions",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("watch_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("credential_id", sa.String(), nullable=True),
        sa.Column("match_code", sa.String(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("level", sa.String(), nullable=True),
        sa.Column("time_limit", sa.Integer(), nullable=False),
        sa.Column("enable", sa.Boolean(), nullable=False),
        sa.Column("partial", sa.Boolean(), nullable=False),
        sa.Column("policy", _json(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("personal", sa.LargeBinary(), nullable=True),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "person_id"],
            ["persons.tenant", "persons.id"],
            name=op.f("fk_transactions_persons"),
        ),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_transactions_tenants")),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_transactions")),
    )
    op.create_index(
        op.f("ix_transactions_tenant_created_at_id"),
        "transactions",
        ["tenant", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_transactions_tenant_person_id"),
        "transactions",
        ["tenant", "person_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_transactions_tenant_user_id_created_at_id"),
        "transactions",
        ["tenant", "user_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_transactions_watch_until"), "transactions", ["watch_until"], unique=False
    )
    op.create_index(
        "uq_transactions_pending",
        "transactions",
        ["tenant", "person_id"],
        unique=True,
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_table(
        "user_bindings",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("bound_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "person_id"],
            ["persons.tenant", "persons.id"],
            name=op.f("fk_user_bindings_persons"),
        ),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_user_bindings_tenants")),
        sa.PrimaryKeyConstraint("tenant", "user_id", name=op.f("pk_user_bindings")),
    )
    op.create_index(
        op.f("ix_user_bindings_tenant_person_id"),
        "user_bindings",
        ["tenant", "person_id"],
        unique=False,
    )
    op.create_table(
        "challenges",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("transaction_id", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("upstream_transaction_id", sa.String(), nullable=False),
        sa.Column("time_limit", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sp_key_id", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("personal", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant", "transaction_id"],
            ["transactions.tenant", "transactions.id"],
            name=op.f("fk_challenges_transactions"),
        ),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_challenges_tenants")),
        sa.PrimaryKeyConstraint("tenant", "transaction_id", "id", name=op.f("pk_challenges")),
    )
    op.create_index(
        op.f("ix_challenges_tenant_upstream_transaction_id"),
        "challenges",
        ["tenant", "upstream_transaction_id"],
        unique=True,
    )
    op.create_table(
        "documents",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("transaction_id", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=True),
        sa.Column("media_type", sa.String(), nullable=True),
        sa.Column("content", sa.String(), nullable=True),
        sa.Column("prepared", sa.String(), nullable=True),
        sa.Column("artifact", sa.String(), nullable=True),
        sa.Column("artifact_media_type", sa.String(), nullable=True),
        sa.Column("status", sa.String(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant", "transaction_id"],
            ["transactions.tenant", "transactions.id"],
            name=op.f("fk_documents_transactions"),
        ),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_documents_tenants")),
        sa.PrimaryKeyConstraint("tenant", "transaction_id", "id", name=op.f("pk_documents")),
    )
    op.create_index(
        op.f("ix_documents_tenant_number"), "documents", ["tenant", "number"], unique=False
    )
