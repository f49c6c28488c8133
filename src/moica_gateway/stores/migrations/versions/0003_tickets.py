"""Which ticket of a batch covers a document, and which one a challenge asks for. Nothing else
changes: what was there had one ticket, the first.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To 0003."""
    for table in ("documents", "challenges"):
        op.add_column(
            table,
            sa.Column("ticket", sa.Integer(), nullable=False, server_default=sa.text("0")),
        )
