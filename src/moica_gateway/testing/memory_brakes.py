"""What the brakes remember, in memory."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from moica_gateway.domain.brakes import PersonBrake, RequestCounts
from moica_gateway.domain.values import PersonId, TenantId
from moica_gateway.ports import AllTenants
from moica_gateway.testing.memory_state import MemoryPart, conflict, need_aware

__all__ = ["MemoryBrakes"]

_ALL: Final = "*"


class MemoryBrakes(MemoryPart):
    """The part of the unit of work that holds the brakes."""

    def person_brake(self, tenant: TenantId, person_id: PersonId) -> PersonBrake | None:
        """See the port."""
        return self.state.person_brakes.get((tenant, person_id))

    def save_person_brake(
        self, tenant: TenantId, person_id: PersonId, brake: PersonBrake | None
    ) -> None:
        """See the port."""
        state = self.writable()
        if brake is None:
            state.person_brakes.pop((tenant, person_id), None)
            return
        if (tenant, person_id) not in state.persons:
            raise conflict()
        need_aware(brake.count.started_at, brake.missed_at)
        state.person_brakes[(tenant, person_id)] = brake

    def delete_person_brakes_before(self, tenant: AllTenants, before: datetime) -> int:
        """See the port."""
        state = self.writable()
        old = [
            index
            for index, brake in state.person_brakes.items()
            if brake.count.started_at < before
            and (brake.missed_at is None or brake.missed_at < before)
        ]
        for index in old:
            del state.person_brakes[index]
        return len(old)

    def request_counts(self, tenant: TenantId) -> RequestCounts:
        """See the port."""
        counts = self.state.request_counts
        return RequestCounts(tenant=counts.get(tenant), gateway=counts.get(_ALL))

    def save_request_counts(self, tenant: TenantId, counts: RequestCounts) -> None:
        """See the port."""
        state = self.writable()
        for whose, count in ((_ALL, counts.gateway), (tenant, counts.tenant)):
            if count is not None:
                need_aware(count.started_at)
                state.request_counts[whose] = count
