"""Revocation lists, in memory."""

from __future__ import annotations

from collections.abc import Sequence

from moica_gateway.domain.revocation_lists import ListHead
from moica_gateway.testing.memory_state import MemoryPart, need_aware

__all__ = ["MemoryLists"]


class MemoryLists(MemoryPart):
    """The part of the unit of work that holds revocation lists."""

    def revocation_lists(self) -> Sequence[ListHead]:
        """See the port."""
        lists = self.state.revocation_lists
        return tuple(lists[index][0] for index in sorted(lists))

    def revocation_list(self, issuer: str, scope: str) -> bytes | None:
        """See the port."""
        found = self.state.revocation_lists.get((issuer, scope))
        return found[1] if found else None

    def save_revocation_list(self, head: ListHead, body: bytes) -> bool:
        """See the port."""
        state = self.writable()
        need_aware(head.this_update, head.next_update)
        index = (head.issuer, head.scope)
        known = state.revocation_lists.get(index)
        if known is not None and head.older_than(known[0]):
            return False
        state.revocation_lists[index] = (head, body)
        return True

    def delete_revocation_list(self, issuer: str, scope: str) -> None:
        """See the port."""
        self.writable().revocation_lists.pop((issuer, scope), None)
