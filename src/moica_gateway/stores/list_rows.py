"""Revocation lists that were believed once: a row for each issuer and scope, the newest.

They belong to no tenant and hold nothing secret: they are public, and their issuer's signature is
checked again by whoever reads them. So they are neither sealed nor given a MAC, which could not
keep anybody who can write here from putting an older row with its older MAC back either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import and_, bindparam, delete, insert, select, update
from sqlalchemy.sql.dml import Insert, Update

from moica_gateway.domain.revocation_lists import ListHead
from moica_gateway.stores.runner import Stored
from moica_gateway.stores.session import Session, readable
from moica_gateway.stores.tables import revocation_lists

__all__ = ["ListRows"]

_list = revocation_lists.c
_IS: Final = and_(_list.issuer == bindparam("issuer_"), _list.scope == bindparam("scope_"))
_HEAD: Final = (_list.issuer, _list.scope, _list.number, _list.this_update, _list.next_update)
_HEADS: Final = select(*_HEAD).order_by(_list.issuer, _list.scope)
_ONE: Final = select(*_HEAD).where(_IS).with_for_update()
_BODY: Final = select(_list.body).where(_IS)
_NEW: Final[Insert] = insert(revocation_lists)
_CHANGE: Final[Update] = update(revocation_lists).where(_IS)
_FORGET: Final = delete(revocation_lists).where(_IS)


class ListRows(Session):
    """The part of a unit of work that holds revocation lists."""

    def revocation_lists(self) -> Sequence[ListHead]:
        """See `moica_gateway.ports.UnitOfWork`."""
        return tuple(_head(row) for row in self.all(_HEADS, {}))

    def revocation_list(self, issuer: str, scope: str) -> bytes | None:
        """See `moica_gateway.ports.UnitOfWork`."""
        row = self.first(_BODY, {"issuer_": issuer, "scope_": scope})
        return None if row is None else bytes(row["body"])

    def save_revocation_list(self, head: ListHead, body: bytes) -> bool:
        """See `moica_gateway.ports.UnitOfWork`."""
        where = {"issuer_": head.issuer, "scope_": head.scope}
        row = self.first(_ONE, where)
        if row is not None and head.older_than(_head(row)):
            return False
        values: dict[str, Any] = {
            "number": str(head.number),
            "this_update": head.this_update,
            "next_update": head.next_update,
            "body": body,
        }
        if row is None:
            self.change(_NEW, {**values, "issuer": head.issuer, "scope": head.scope})
        else:
            self.change(_CHANGE, {**values, **where})
        return True

    def delete_revocation_list(self, issuer: str, scope: str) -> None:
        """See `moica_gateway.ports.UnitOfWork`."""
        self.change(_FORGET, {"issuer_": issuer, "scope_": scope})


def _head(row: Stored) -> ListHead:
    with readable("revocation_lists", row["issuer"]):
        return ListHead(
            issuer=row["issuer"],
            scope=row["scope"],
            number=int(row["number"]),
            this_update=row["this_update"],
            next_update=row["next_update"],
        )
