"""Identity queries: the distinct ID numbers of a tenant's day, by keyed hash. Nothing else changes.

They begin empty: what was asked before this version was asked by nobody.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To 0004."""
    op.create_table(
        "identity_queries",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("subject_hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant"], ["tenants.id"], name=op.f("fk_identity_queries_tenants")
        ),
        sa.PrimaryKeyConstraint("tenant", "day", "subject_hash", name=op.f("pk_identity_queries")),
    )
