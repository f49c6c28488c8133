"""What a row of the table is, and how it is written down for THREAT_MODEL.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Final

from attrs import field, frozen

from .hostile import Desk, Reply, Turn

__all__ = ["HEAD", "Case", "End", "Place", "Row", "cases", "written"]


class Place(Enum):
    """What the answer is about: kind of transaction, channel, and which answer is forged."""

    REGISTRATION_TICKET = "r-ticket"
    SIGNATURE_TICKET = "s-ticket"
    QR_TICKET = "q-ticket"
    REGISTRATION_RESULT = "r-result"
    SIGNATURE_RESULT = "s-result"
    BARE_RESULT = "b-result"

    @property
    def stage(self) -> str:
        """ATH-01 and ATH-03 make tickets, ATH-02 brings results."""
        return self.value.partition("-")[2]

    @property
    def registration(self) -> bool:
        """Else a signature of somebody who registered before."""
        return self.value.startswith("r")

    @property
    def format(self) -> str:
        """A bare signature has no certificate inside: only the judge compares it."""
        return "pkcs1" if self is Place.BARE_RESULT else "cades"

    @property
    def channel(self) -> str:
        """ATH-03 for push, ATH-01 for a code."""
        return "qr" if self is Place.QR_TICKET else "push"


class End(Enum):
    """What must follow."""

    FAILED = "the transaction fails"
    REJECTED = "it is rejected: a refusal is believed without a checksum"
    EXPIRED = "it expires: so is a lapse"
    ASKED_AGAIN = "a fault is recorded, and the honest answer completes it"
    WAITED = "nothing is recorded, and the honest answer completes it"
    ALARM = "it completes, and an alarm is raised"


@frozen(kw_only=True)
class Row:
    """One forgery.

    Attributes:
        name: For the table and the test's id.
        rule: Of the security rules; D for the deadlines' rules in the design.
        forge: Makes the answer.
        code: The transaction's ``error.code``; of an answer that is asked again for, the code that
            is recorded; of an alarm, its event.
        places: Where it bites.
        end: See `End`.
        who: ``who_can_act``.
        prepare: Done to the desk before the transaction begins.
        user_name: Given at a registration.
    """

    name: str
    rule: str
    forge: Callable[[Turn], Reply]
    code: str
    places: tuple[Place, ...]
    end: End = End.FAILED
    who: str = "operator"
    prepare: Callable[[Desk], None] = field(default=lambda _: None)
    user_name: str | None = None


@frozen
class Case:
    """A row in one of its places."""

    row: Row
    place: Place

    @property
    def id(self) -> str:
        """Of the test."""
        return f"{self.row.name} [{self.place.value}]"


def cases(rows: Iterable[Row]) -> list[Case]:
    """Every row in every place."""
    return [Case(row, place) for row in rows for place in row.places]


HEAD: Final = "| answer | where | rule | what follows |\n|---|---|---|---|"


def written(rows: Iterable[Row]) -> str:
    """The table, as it stands in THREAT_MODEL.md: what bites and ends alike shares a line."""
    lines: dict[str, list[str]] = {}
    for row in rows:
        places = ", ".join(place.value for place in row.places)
        lines.setdefault(f"{places} | {row.rule} | {_follows(row)} |", []).append(row.name)
    return "\n".join([HEAD, *(f"| {'; '.join(names)} | {rest}" for rest, names in lines.items())])


def _follows(row: Row) -> str:
    return {
        End.FAILED: f"`{row.code}`",
        End.REJECTED: f"`{row.code}`, recorded as unsigned",
        End.EXPIRED: f"`{row.code}`, recorded as unsigned",
        End.ASKED_AGAIN: f"asked again (`{row.code}`)",
        End.WAITED: "asked again",
        End.ALARM: f"counts, alarm `{row.code}`",
    }[row.end]
