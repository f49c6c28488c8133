"""How long tickets are kept: the newest up to a limit, and older ones until nobody needs them.

Without this a load test would fill the memory. Beyond the limit a ticket goes once its end was
told to the relying system, or its time is over, together with its used transaction_id and what is
in the phones; asked for again it is `SPTKTID_SPTKT_NF`. A ticket that can still be decided, or
whose callback is still to be delivered, stays in any case. How long the real platform keeps
tickets is not known.
"""

from collections.abc import Callable, Collection

from moica_simulator import assumptions
from moica_simulator.clock import Clock
from moica_simulator.records import Ticket
from moica_simulator.state import PlatformRecords, UsedTransaction

__all__ = ["Retention"]


class Retention:
    """Drops old tickets.

    Args:
        records: The platform's tables.
        clock: For lapsing.
        limit: How many tickets are kept whatever became of them.
        forget: Called with the `sp_ticket_id` of those that go, within the same commit.
    """

    def __init__(
        self,
        records: PlatformRecords,
        *,
        clock: Clock,
        limit: int,
        forget: Callable[[Collection[str]], None],
    ) -> None:
        self._records = records
        self._clock = clock
        self._limit = limit
        self._forget = forget
        self._told: set[str] = set()
        # Looking through them costs as much as there are: not at every ticket.
        self._step = max(1, limit // 10)
        self._due = limit + self._step

    def told(self, sp_ticket_id: str) -> None:
        """Notes that a relying system was told how a ticket ended."""
        self._told.add(sp_ticket_id)

    def make_room(self) -> None:
        """Drops what is beyond the limit and needed no more, if it is time to look."""
        count = len(self._records.tickets)
        if count < self._due:
            return
        tickets = list(self._records.tickets.all())[: count - self._limit]
        gone = [each for each in tickets if self._needed_no_more(each)]
        with self._records.transaction():
            for each in gone:
                self._records.tickets.drop(each.sp_ticket_id)
                used = UsedTransaction(each.sp_service_id, each.transaction_id)
                self._records.transactions.drop(used.key)
                for redirect in self._records.redirects.of(each.sp_ticket_id):
                    self._records.redirects.drop(redirect.redirect_id)
            ids = frozenset(each.sp_ticket_id for each in gone)
            self._forget(ids)
        self._told -= ids
        self._due = len(self._records.tickets) + self._step

    def _needed_no_more(self, ticket: Ticket) -> bool:
        redirects = self._records.redirects.of(ticket.sp_ticket_id)
        if redirects:
            most = len(assumptions.CALLBACK_RETRIES)
            return all(each.delivered or each.attempts > most for each in redirects)
        return ticket.sp_ticket_id in self._told or self._clock.now() >= ticket.expires_at
