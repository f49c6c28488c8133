"""The audit record's chain: a MAC a row, for as long as it is not sealed, and the signed heads.

Rows that are there get their MAC here, under the master key that whoever migrates hands in: a row
without one is never the gateway's, from this version on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import sqlalchemy as sa
from alembic import context, op

from moica_gateway.stores.column_types import UtcDateTime, counter, json_document

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_PAGE: Final = 500


def upgrade() -> None:
    """To 0005."""
    op.add_column("audit_records", sa.Column("mac", sa.LargeBinary()))
    op.create_table(
        "audit_heads",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("position", counter(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_audit_heads_tenants")),
        sa.PrimaryKeyConstraint("tenant", "position", name=op.f("pk_audit_heads")),
    )
    _authenticate(context.config.attributes.get("audit_mac"))


def _authenticate(mac_of: Callable[[dict[str, Any]], bytes] | None) -> None:
    records = sa.table(
        "audit_records",
        sa.column("sequence", counter()),
        sa.column("tenant", sa.String()),
        sa.column("at", UtcDateTime()),
        sa.column("action", sa.String()),
        sa.column("actor", sa.String()),
        sa.column("transaction_id", sa.String()),
        sa.column("data", json_document()),
        sa.column("mac", sa.LargeBinary()),
    )
    connection = op.get_bind()
    last = 0
    while True:
        page = (
            connection.execute(
                sa.select(records)
                .where(records.c.sequence > last)
                .order_by(records.c.sequence)
                .limit(_PAGE)
            )
            .mappings()
            .all()
        )
        if not page:
            return
        if mac_of is None:
            raise LookupError("there are audit records, and no key for their MAC")
        for row in page:
            last = row["sequence"]
            connection.execute(
                sa.update(records).where(records.c.sequence == last).values(mac=mac_of(dict(row)))
            )
