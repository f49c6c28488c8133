"""The brakes: what is remembered of a person, and the counts of requests. Nothing else changes.

They begin empty: who refused before this version is not asked back for it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To 0002."""
    op.create_table(
        "person_brakes",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("misses", sa.Integer(), nullable=False),
        sa.Column("missed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant", "person_id"],
            ["persons.tenant", "persons.id"],
            name=op.f("fk_person_brakes_persons"),
        ),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_person_brakes_tenants")),
        sa.PrimaryKeyConstraint("tenant", "person_id", name=op.f("pk_person_brakes")),
    )
    op.create_table(
        "request_counts",
        sa.Column("whose", sa.String(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("whose", name=op.f("pk_request_counts")),
    )
