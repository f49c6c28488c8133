"""Durable state: tables, unit of work, migrations, vault, seals. On SQLite or PostgreSQL."""

from __future__ import annotations

from moica_gateway.stores.database import only_process
from moica_gateway.stores.schema import migrate, schema_version
from moica_gateway.stores.seals import DerivedSeals, signed_by
from moica_gateway.stores.store import SqlStore, open_store

__all__ = [
    "DerivedSeals",
    "SqlStore",
    "migrate",
    "only_process",
    "open_store",
    "schema_version",
    "signed_by",
]
