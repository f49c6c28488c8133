"""Alembic's environment: runs the versions on the connection that `migrate` hands in.

For ``alembic revision --autogenerate`` hand in a connection to a migrated database the same way.
"""

from __future__ import annotations

from alembic import context

from moica_gateway.stores.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
