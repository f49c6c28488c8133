"""The column types of every table: instants in UTC, JSON, counters. Portable between engines.

Deliberately no type that encrypts by itself: a sealed value is bound to its row, and a column type
does not know the row (`moica_gateway.stores.vault`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import JSON, BigInteger, DateTime, Integer
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

__all__ = ["NOT_STORABLE", "UtcDateTime", "counter", "in_utc", "json_document"]


NOT_STORABLE: Final = "a value cannot be stored; expected aware datetimes and plain JSON types"


def in_utc(value: datetime) -> datetime:
    """The same instant in UTC. Raises ``ValueError`` for a naive datetime."""
    if value.tzinfo is None or value.utcoffset() is None:
        raise ValueError(NOT_STORABLE)
    return value.astimezone(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware instant, stored in UTC with microseconds, read back aware.

    Raises:
        ValueError: for a naive datetime. Guessing its zone would shift a deadline by eight hours.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy's signature
    ) -> datetime | None:
        """Into UTC; SQLite then keeps the digits and drops the zone."""
        return None if value is None else in_utc(value)

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy's signature
    ) -> datetime | None:
        """Aware again."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def json_document() -> TypeEngine[Any]:
    """JSON in clear; ``jsonb`` on PostgreSQL. Python's None is SQL's NULL."""
    return JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def counter() -> TypeEngine[int]:
    """A 64-bit counter; SQLite counts by itself only in a column declared ``INTEGER``."""
    return BigInteger().with_variant(Integer(), "sqlite")
