"""Which ID numbers a tenant asked about on one day, in memory."""

from __future__ import annotations

from datetime import date

from moica_gateway.domain.values import IdNumber, TenantId
from moica_gateway.ports import AllTenants
from moica_gateway.testing.memory_state import MemoryPart

__all__ = ["MemoryIdentity"]


class MemoryIdentity(MemoryPart):
    """The part of the unit of work that counts identity queries."""

    def identity_queries(self, tenant: TenantId, day: date) -> int:
        """See the port."""
        return sum((t, d) == (tenant, day.isoformat()) for t, d, _ in self.state.identity_queries)

    def add_identity_query(self, tenant: TenantId, day: date, id_number: IdNumber) -> bool:
        """See the port."""
        state = self.writable(tenant)
        index = (tenant, day.isoformat(), id_number.reveal())
        if index in state.identity_queries:
            return False
        state.identity_queries[index] = True
        return True

    def delete_identity_queries_before(self, tenant: AllTenants, day: date) -> int:
        """See the port."""
        state = self.writable()
        old = [index for index in state.identity_queries if index[1] < day.isoformat()]
        for index in old:
            del state.identity_queries[index]
        return len(old)
