"""The history of what relying systems asked and were answered: for tests to assert on.

It shows payloads in full, with ID numbers and documents: it is a test tool's memory, kept in the
process only, and never logged. It holds the newest entries up to a limit.
"""

from collections import OrderedDict, deque
from datetime import datetime
from typing import Any

import attrs

from moica_simulator.assumptions import POLL_INTERVAL_ASKED_FOR

__all__ = ["History", "RecordedRequest", "RecordedRequests"]


@attrs.frozen
class RecordedRequest:
    """One request and its answer.

    Attributes:
        number: Counts up from 1.
        at: When it arrived.
        interface: E.g. `SP-API-ATH-02`.
        body: The JSON that came, or None if it was none.
        payload: The joined fields that `sp_checksum` has to cover, if it came that far.
        payload_sha256: Its hash, lower-case hex: what the checksum encrypts.
        checksum_verified: Whether `sp_checksum` was right; None if it was not reached.
        early: A poll of the same ticket came less than 4 s before.
        http_status: What was answered; None if the connection was dropped.
        answer: The JSON that was answered.
        faults: The ids of the faults that altered the answer.
        harms: What they did, in their order, e.g. `line=reset`.
        sp_service_id: Whose request it was, as far as it said so.
        id_number: About whom, as far as that could be told.
        sp_ticket_id: About which ticket, once one was made or found.
    """

    number: int
    at: datetime
    interface: str
    body: Any = attrs.field(repr=False)
    payload: str | None = attrs.field(repr=False)
    payload_sha256: str | None
    checksum_verified: bool | None
    early: bool
    http_status: int | None
    answer: Any = attrs.field(repr=False)
    faults: tuple[str, ...] = ()
    harms: tuple[str, ...] = ()
    sp_service_id: str | None = None
    id_number: str | None = attrs.field(default=None, repr=False)
    sp_ticket_id: str | None = None

    @property
    def error_code(self) -> str | None:
        """`error_code` of the answer as text, or None if there was no envelope."""
        if isinstance(self.answer, dict) and "error_code" in self.answer:
            return str(self.answer["error_code"])
        return None


class RecordedRequests(tuple[RecordedRequest, ...]):
    """Requests with their answers, in the order in which they were answered."""

    __slots__ = ()

    def where(
        self,
        *,
        interface: str | None = None,
        sp_service_id: str | None = None,
        id_number: str | None = None,
        sp_ticket_id: str | None = None,
        since: datetime | None = None,
        code: str | None = None,
        harmed: bool | None = None,
    ) -> "RecordedRequests":
        """Returns those that are as every argument given says.

        Args:
            interface: E.g. `SP-API-ATH-02`.
            sp_service_id: Of this system.
            id_number: About this person.
            sp_ticket_id: About this ticket.
            since: Arrived at this moment of the simulated clock, or later; aware.
            code: The `error_code` answered, bare or prefixed.
            harmed: Whether a fault altered the answer.
        """
        wanted = {
            "interface": interface,
            "sp_service_id": sp_service_id,
            "id_number": id_number,
            "sp_ticket_id": sp_ticket_id,
        }
        named = {name: value for name, value in wanted.items() if value is not None}
        return RecordedRequests(
            each
            for each in self
            if all(getattr(each, name) == value for name, value in named.items())
            and (since is None or each.at >= since)
            and (code is None or each.error_code in (code, f"{each.interface}-{code}"))
            and (harmed is None or bool(each.faults) is harmed)
        )


class History:
    """Keeps the newest requests.

    Args:
        limit: How many.
    """

    def __init__(self, limit: int) -> None:
        self._entries: deque[RecordedRequest] = deque(maxlen=limit)
        self._last_poll: OrderedDict[str, datetime] = OrderedDict()
        self._limit = limit
        self._number = 0

    def next_number(self) -> int:
        """Returns the number for a request that has just arrived."""
        self._number += 1
        return self._number

    def add(self, entry: RecordedRequest) -> None:
        """Keeps an entry."""
        self._entries.append(entry)

    def all(self) -> RecordedRequests:
        """Returns what is kept."""
        return RecordedRequests(self._entries)

    def is_early_poll(self, sp_ticket_id: str, now: datetime, *, refused: bool = False) -> bool:
        """Notes a poll, and says whether it follows the one before too closely.

        Args:
            sp_ticket_id: Of which ticket.
            now: When it came.
            refused: Whether one that is too early is refused, and does not count as the one before.
        """
        before = self._last_poll.pop(sp_ticket_id, None)
        early = before is not None and now - before < POLL_INTERVAL_ASKED_FOR
        self._last_poll[sp_ticket_id] = before if before and early and refused else now
        if len(self._last_poll) > self._limit:
            self._last_poll.popitem(last=False)
        return early
