"""What the brakes remember: a row a person, where there is something, a count a tenant, one of all.

Windows begin anew in their row, so that the tables do not grow with time. The rows carry no MAC:
whoever can change them could as well delete them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import and_, bindparam, delete, insert, or_, select, update
from sqlalchemy.sql.dml import Insert, Update

from moica_gateway.domain.brakes import PersonBrake, RequestCount, RequestCounts
from moica_gateway.domain.values import PersonId, TenantId
from moica_gateway.ports import AllTenants
from moica_gateway.stores.session import Session
from moica_gateway.stores.tables import person_brakes, request_counts

__all__ = ["BrakeRows"]

_ALL: Final = "*"
"""No tenant's id."""

_OF_PERSON: Final = and_(
    person_brakes.c.tenant == bindparam("tenant_"),
    person_brakes.c.person_id == bindparam("person_"),
)
_PERSON: Final = select(person_brakes).where(_OF_PERSON)
_NEW_PERSON: Final[Insert] = insert(person_brakes)
_CHANGE_PERSON: Final[Update] = update(person_brakes).where(_OF_PERSON)
_FORGET_PERSON: Final = delete(person_brakes).where(_OF_PERSON)
_FORGET_OLD: Final = delete(person_brakes).where(
    person_brakes.c.started_at < bindparam("before_"),
    or_(
        person_brakes.c.missed_at.is_(None),
        person_brakes.c.missed_at < bindparam("before_"),
    ),
)
_COUNTS: Final = (
    select(request_counts)
    .where(request_counts.c.whose.in_([bindparam("tenant_"), bindparam("all_")]))
    .order_by(request_counts.c.whose)
)
_NEW_COUNT: Final[Insert] = insert(request_counts)
_CHANGE_COUNT: Final[Update] = update(request_counts).where(
    request_counts.c.whose == bindparam("whose_")
)


class BrakeRows(Session):
    """The part of a unit of work that holds the brakes."""

    def person_brake(self, tenant: TenantId, person_id: PersonId) -> PersonBrake | None:
        """See `moica_gateway.ports.UnitOfWork`."""
        row = self.first(_PERSON, {"tenant_": tenant, "person_": person_id})
        if row is None:
            return None
        return PersonBrake(
            count=RequestCount(started_at=row["started_at"], requests=row["requests"]),
            misses=row["misses"],
            missed_at=row["missed_at"],
        )

    def save_person_brake(
        self, tenant: TenantId, person_id: PersonId, brake: PersonBrake | None
    ) -> None:
        """See `moica_gateway.ports.UnitOfWork`."""
        where = {"tenant_": tenant, "person_": person_id}
        if brake is None:
            self.change(_FORGET_PERSON, where)
            return
        values: dict[str, Any] = {
            "started_at": brake.count.started_at,
            "requests": brake.count.requests,
            "misses": brake.misses,
            "missed_at": brake.missed_at,
        }
        if not self.change(_CHANGE_PERSON, {**values, **where}):
            self.change(_NEW_PERSON, {**values, "tenant": tenant, "person_id": person_id})

    def delete_person_brakes_before(
        self,
        tenant: AllTenants,  # noqa: ARG002 - says whose
        before: datetime,
    ) -> int:
        """See `moica_gateway.ports.UnitOfWork`."""
        return self.change(_FORGET_OLD, {"before_": before})

    def request_counts(self, tenant: TenantId) -> RequestCounts:
        """See `moica_gateway.ports.UnitOfWork`."""
        found = {
            row["whose"]: RequestCount(started_at=row["started_at"], requests=row["requests"])
            for row in self.all(_COUNTS, {"tenant_": tenant, "all_": _ALL})
        }
        return RequestCounts(tenant=found.get(tenant), gateway=found.get(_ALL))

    def save_request_counts(self, tenant: TenantId, counts: RequestCounts) -> None:
        """See `moica_gateway.ports.UnitOfWork`."""
        for whose, count in ((_ALL, counts.gateway), (tenant, counts.tenant)):
            if count is None:
                continue
            values = {"started_at": count.started_at, "requests": count.requests}
            if not self.change(_CHANGE_COUNT, {**values, "whose_": whose}):
                self.change(_NEW_COUNT, {**values, "whose": whose})
