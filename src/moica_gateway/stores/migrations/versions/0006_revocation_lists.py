"""Revocation lists that were believed once, so that no number goes back over a restart.

They begin empty: what is needed is fetched again, or imported.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To 0006."""
    op.create_table(
        "revocation_lists",
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("this_update", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_update", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "scope", name=op.f("pk_revocation_lists")),
    )
