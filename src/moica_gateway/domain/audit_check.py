"""Walking a chain of audit records and saying where it was meddled with. Pure.

One walk, record by record, from a database or a file. It believes two things only: a signed head
says which hash stood at its position, and (in a database) a record's MAC says that the gateway
wrote it. From hashes alone an edited record whose own hash was made anew shows at the next one,
which does not follow from it: a finding says so. Deliberately not here: where records and heads
come from, and whether a head's signature is right.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from attrs import evolve, field, frozen

from moica_gateway.domain.audit import GENESIS, AuditHead, canonical_time, link

__all__ = ["ChainCheck", "Finding", "Kind", "Report"]

_MOST: Final = 1000
"""Findings that are kept; a chain that was replaced needs few, one of a hostile file might not."""
_OUT_OF_PLACE: Final = "expected one record at each position, in order, came another"


class Kind(StrEnum):
    """What was done."""

    EDITED = "edited"
    DELETED = "deleted"
    INSERTED = "inserted"
    REORDERED = "reordered"
    TRUNCATED = "truncated"
    REPLACED = "replaced"
    UNSIGNED = "unsigned"


@frozen(kw_only=True)
class Finding:
    """One place.

    Attributes:
        kind: What was done there.
        first: Position in the chain; None for what has none.
        last: Of several positions, the last one.
        place: Where it stands: ``record 17`` of the database, ``line 12`` of a file, or nothing.
        words: In English, what was expected and what is there.
    """

    kind: Kind
    first: int | None
    last: int | None
    place: str
    words: str


@frozen(kw_only=True)
class Report:
    """What a walk has found.

    Attributes:
        first: Position at which the walk began; 1, but for a part of a chain.
        last: Of the newest sealed record.
        sealed: Sealed records and links that were seen.
        withheld: Of these, those of which only the digest was there.
        unsealed: Records that wait for their seal.
        head: The newest head with a right signature.
        findings: None where the chain is whole.
    """

    first: int
    last: int
    sealed: int
    withheld: int
    unsealed: int
    head: AuditHead | None
    findings: tuple[Finding, ...] = field(default=())


@frozen
class _Record:
    place: str
    position: int | None
    hash: bytes | None
    digest: bytes | None
    authentic: bool
    withheld: bool


class ChainCheck:
    """Feed it in the order of the source: records, and each head once its position was fed.

    Args:
        after: Position before the first record.
        previous: The hash at that position.
    """

    def __init__(self, after: int = 0, previous: bytes = GENESIS) -> None:
        self._first = after + 1
        self._expected = after + 1
        self._previous: bytes | None = previous
        self._made: bytes | None = None
        self._forged = False
        self._gaps: list[tuple[int, int]] = []
        self._waiting: list[_Record] = []
        self._strays: dict[int, _Record] = {}
        self._pending: _Record | None = None
        self._pending_heads: list[AuditHead] = []
        self._agreed = after
        self._head: AuditHead | None = None
        self._ahead: AuditHead | None = None
        self._sealed = self._withheld = self._unsealed = self._uncounted = 0
        self._findings: list[Finding] = []

    @property
    def position(self) -> int:
        """Of the newest record that stood in its place."""
        return self._expected - 1

    # -- what is fed ---------------------------------------------------------------------------

    def record(
        self,
        place: str,
        position: int | None,
        hash_: bytes | None,
        digest: bytes | None,
        *,
        authentic: bool = True,
        withheld: bool = False,
    ) -> None:
        """The next one of the source.

        Args:
            place: For findings.
            position: As it says; None, with ``hash_``, where it is not sealed.
            hash_: As it says.
            digest: Of what it says; None where that cannot be read.
            authentic: Whether its MAC is right, where there is one.
            withheld: Only its digest is there.
        """
        self._go_on(position)
        self._pending = _Record(place, position, hash_, digest, authentic, withheld)

    def head(self, head: AuditHead) -> None:
        """A head with a right signature."""
        if self._pending is None or head.position <= self.position:
            self._headed(head)
        else:
            self._pending_heads.append(head)

    def _headed(self, head: AuditHead) -> None:
        if self._head is None or head.position >= self._head.position:
            self._head = head
        if head.position > self.position:
            if self._ahead is None or head.position > self._ahead.position:
                self._ahead = head
        elif head.position == self.position:
            if self._previous != head.hash:
                self._disagreed(head)
            self._agreed = head.position

    def unsigned_head(self, position: int | None, place: str) -> None:
        """One whose signature is not right."""
        self._find(
            Kind.UNSIGNED,
            position,
            place,
            "expected a head signed by this gateway's key, came another signature",
        )

    def finish(self) -> Report:
        """When the source has ended."""
        self._go_on(None)
        while self._expected in self._strays:
            self._skip_to(self._expected + 1)
        for stray in self._strays.values():
            self._find(Kind.INSERTED, stray.position, stray.place, _OUT_OF_PLACE)
        for record in self._waiting:
            self._unsealed += 1
            if not record.authentic:
                words = "its MAC is not the gateway's: it was inserted, or edited"
                self._find(Kind.INSERTED, None, record.place, words)
        for first, last in self._gaps:
            self._find(
                Kind.DELETED,
                first,
                "",
                "expected records there, came none; what is next to them follows from them and "
                "cannot be checked by hashes",
                last,
            )
        last = self.position
        newest = self._head.position if self._head else self._first - 1
        if self._ahead is not None and self._ahead.position > last:
            when = canonical_time(self._ahead.at)
            self._find(
                Kind.TRUNCATED,
                last + 1,
                "",
                f"the head of {when} counts {self._ahead.position} records, there are {last}",
                self._ahead.position,
            )
        if newest < last:
            self._find(Kind.UNSIGNED, newest + 1, "", "no signed head covers them", last)
        findings = sorted(self._findings, key=lambda f: (f.first is None, f.first or 0))
        if self._uncounted:
            findings.append(
                Finding(
                    kind=Kind.EDITED,
                    first=None,
                    last=None,
                    place="",
                    words=f"and {self._uncounted} more",
                )
            )
        return Report(
            first=self._first,
            last=last,
            sealed=self._sealed,
            withheld=self._withheld,
            unsealed=self._unsealed,
            head=self._head,
            findings=tuple(findings),
        )

    # -- inside --------------------------------------------------------------------------------

    def _go_on(self, following: int | None) -> None:
        """Take the record that was held back until the next one's position was known."""
        record, self._pending = self._pending, None
        heads, self._pending_heads = self._pending_heads, []
        if record is not None:
            self._take(record, following)
        for head in heads:
            self._headed(head)

    def _take(self, record: _Record, following: int | None) -> None:
        position = record.position
        if position is None:
            whole = record.hash is None and record.digest is not None
            self._waiting.append(evolve(record, authentic=record.authentic and whole))
            return
        self._sealed += 1
        self._withheld += record.withheld
        if position == self._expected:
            self._in_place(record)
        elif record.hash is not None and record.hash == self._following(record.digest):
            words = f"expected position {self._expected}, which its hash has, came {position}"
            self._find(Kind.EDITED, self._expected, record.place, words)
            self._in_place(evolve(record, position=self._expected))
        elif position < self._expected:
            self._too_late(record, position)
        elif following == self._expected and position not in self._strays:
            self._strays[position] = record
        else:
            self._skip_to(position)
            self._in_place(record)

    def _in_place(self, record: _Record) -> None:
        if record.authentic:
            self._not_sealed_before()
        made = self._compare(record, alone=False)
        self._previous, self._made = record.hash, made
        self._expected += 1

    def _skip_to(self, position: int) -> None:
        """What is missing in between has come before, or lost its seal, or is gone."""
        for stray in sorted(p for p in self._strays if self._expected <= p < position):
            if stray > self._expected:
                self._gap(stray)
            record = self._strays.pop(stray)
            self._find(Kind.REORDERED, stray, record.place, "expected in its order, came before")
            self._in_place(record)
        if position > self._expected:
            self._gap(position)

    def _gap(self, position: int) -> None:
        if len(self._waiting) == position - self._expected:
            for at, record in enumerate(self._waiting, self._expected):
                words = "expected a sealed record, came one that has lost its place in the chain"
                self._find(Kind.EDITED, at, record.place, words)
            self._waiting.clear()
        else:
            self._gaps.append((self._expected, position - 1))
        self._previous = self._made = None
        self._expected = position

    def _too_late(self, record: _Record, position: int) -> None:
        for index, (first, last) in enumerate(self._gaps):
            if first <= position <= last:
                rest = ((first, position - 1), (position + 1, last))
                self._gaps[index : index + 1] = [gap for gap in rest if gap[0] <= gap[1]]
                self._find(
                    Kind.REORDERED, position, record.place, "expected in its order, came later"
                )
                self._compare(record, alone=True)
                return
        self._find(Kind.INSERTED, position, record.place, _OUT_OF_PLACE)

    def _not_sealed_before(self) -> None:
        words = "it stands before a sealed record and is not sealed itself"
        for record in self._waiting:
            self._find(Kind.INSERTED, self._expected, record.place, words)
        self._waiting.clear()

    def _following(self, digest: bytes | None) -> bytes | None:
        if digest is None or self._previous is None:
            return None
        return link(self._previous, digest)

    def _compare(self, record: _Record, *, alone: bool) -> bytes | None:
        """Returns the hash that it should bear, where that is known and it bears another."""
        forged, self._forged = self._forged, not record.authentic
        if record.digest is None or record.hash is None:
            self._find(Kind.EDITED, record.position, record.place, "it cannot be read")
            return None
        if not record.authentic:
            words = "expected it as the gateway wrote it, its MAC is another"
            self._find(Kind.EDITED, record.position, record.place, words)
            return None
        # A forged record may bear a hash of the forger's.
        if alone or self._previous is None or forged:
            return None
        made = link(self._previous, record.digest)
        if record.hash == made:
            return None
        if self._made is not None and record.hash == link(self._made, record.digest):
            return None
        self._find(
            Kind.EDITED,
            record.position,
            record.place,
            "it does not follow from the record before it: it was changed, its hash was, or the "
            "one before it together with its hash",
        )
        return made

    def _disagreed(self, head: AuditHead) -> None:
        first, last = self._agreed + 1, head.position
        if any(
            f.first is not None and first <= f.first <= last and f.kind is not Kind.UNSIGNED
            for f in self._findings
        ):
            return
        if any(gap[0] <= last and first <= gap[1] for gap in self._gaps):
            return
        before = self._findings[-1] if self._findings else None
        if before is not None and before.kind is Kind.REPLACED and before.last == self._agreed:
            self._findings[-1] = evolve(before, last=last)
            return
        self._find(
            Kind.REPLACED,
            first,
            "",
            "they follow from one another and do not lead to the hash that the signed head of "
            f"{canonical_time(head.at)} names",
            last,
        )

    def _find(
        self, kind: Kind, first: int | None, place: str, words: str, last: int | None = None
    ) -> None:
        if len(self._findings) >= _MOST:
            self._uncounted += 1
            return
        self._findings.append(
            Finding(
                kind=kind,
                first=first,
                last=first if last is None else last,
                place=place,
                words=words,
            )
        )
