"""Faults on demand: what the platform's answers are made to look like.

A fault names an interface and exactly one kind of harm. It is used up by answers that it has
really altered: a fault on `signed_response` waits for an answer that has one. Faults are kept in
memory and are gone after a restart.
"""

import base64
import enum
import math
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

import attrs

from moica_simulator.alterations import Alteration
from moica_simulator.codes import catalogue, message_for
from moica_simulator.errors import SimulatorError
from moica_simulator.platform.reply import SUCCESS, Reply, refusal
from moica_simulator.platform.wire import Interface
from moica_simulator.randomness import Randomness

__all__ = [
    "Drop",
    "Fault",
    "FaultBox",
    "FaultSource",
    "LateAnswer",
    "Line",
    "Tamper",
    "apply_code",
    "flip_hex",
    "possible_tampers",
    "tampered",
]


class Drop(enum.StrEnum):
    """When the connection is closed without an answer."""

    ANSWER = "answer"
    """After the request was acted on: a ticket exists, the phone may have rung."""
    REQUEST = "request"
    """Before: the platform never saw it."""


class Tamper(enum.StrEnum):
    """Which part of a successful answer is made wrong."""

    IDP_CHECKSUM = "idp_checksum"
    SIGNED_RESPONSE = "signed_response"
    CERT = "cert"
    HASHED_ID_NUM = "hashed_id_num"
    SP_TICKET = "sp_ticket"


class Line(enum.StrEnum):
    """What the line does to an answer; the platform has acted by then.

    `duplicate` sends it twice, the second time unasked. `late` closes the connection, and brings
    the answer to the next request of the same system at the same interface, whose own is lost.
    """

    RESET = "reset"
    TRUNCATED = "truncated"
    EMPTY = "empty"
    HTML = "html"
    NOT_AN_OBJECT = "not_an_object"
    NOT_TEXT = "not_text"
    DRIP = "drip"
    DUPLICATE = "duplicate"
    LATE = "late"
    GZIP_BOMB = "gzip_bomb"
    REDIRECT = "redirect"


_HARMS = (
    *("code", "http_status", "latency_s", "drop", "tamper", "alter", "line"),
    *("clock_skew_s", "ticket_skew_s"),
)
_LONGEST_SKEW_S = 366 * 86_400
_MOST_LATE = 100


@attrs.frozen
class Fault:
    """One fault.

    Attributes:
        fault_id: For removing it.
        interface: Which interface's answers it alters.
        code: Answer this error code instead: a known one is prefixed as the platform does, any
            other text or number goes over the wire as it is. Nothing is acted on.
        http_status: Answer this status, 400 to 599, with a body in Spring Boot's shape. Nothing
            is acted on.
        latency_s: Act at once, answer after so many seconds of real time.
        drop: Close the connection without an answer.
        tamper: Make a part of a successful answer wrong.
        reseal: With `tamper`: whether `idp_checksum` is made anew, so that it verifies over the
            wrong part (the platform lies), or left (the wire lies).
        alter: Change the envelope after it was sealed.
        line: Let the line harm the answer.
        clock_skew_s: Answer by a machine of the platform whose clock is so many seconds ahead
            (negative: behind): a ticket is made then, or has lapsed by then.
        ticket_skew_s: Write an `expiration_time` into the ticket that is so much later (negative:
            earlier) than when the platform has it lapse.
        id_number: For requests about this person only.
        sp_service_id: For requests of this system only.
        device_id: For requests that this phone was asked by, or has decided, only.
        rate: How likely each fitting answer is altered, above 0 and up to 1; drawn from the
            simulator's randomness, so that a seed repeats it. None is always.
        times: How many answers to alter; None for all until it is removed.
        applied: How many it has altered.
    """

    fault_id: str
    interface: Interface
    code: str | int | None = None
    http_status: int | None = None
    latency_s: float | None = None
    drop: Drop | None = None
    tamper: Tamper | None = None
    reseal: bool = True
    alter: Alteration | None = None
    line: Line | None = None
    clock_skew_s: float | None = None
    ticket_skew_s: float | None = None
    id_number: str | None = attrs.field(default=None, repr=False)
    sp_service_id: str | None = None
    device_id: str | None = None
    rate: float | None = None
    times: int | None = 1
    applied: int = 0
    drawn: bool = False
    """Whether a profile has drawn it, for one answer; nobody set it, and none removes it."""

    def __attrs_post_init__(self) -> None:
        if len(self._harms()) != 1:
            raise _invalid(f"exactly one of {', '.join(_HARMS)}")
        if self.rate is not None and not 0 < self.rate <= 1:
            raise _invalid(f"rate above 0 and up to 1; {self.rate} came")
        skew = self.clock_skew_s if self.clock_skew_s is not None else self.ticket_skew_s
        if self.interface is Interface.REDIRECT and (self.alter or self.line or skew):
            raise _invalid("code, http_status, latency_s, drop or tamper for SP-API-WEB-01")
        if skew is not None and not 0 < abs(skew) <= _LONGEST_SKEW_S:
            raise _invalid(f"a skew of up to {_LONGEST_SKEW_S} s either way, not 0; {skew} came")
        if self.ticket_skew_s is not None and self.interface not in _TICKET_INTERFACES:
            raise _invalid(f"ticket_skew_s for {', '.join(_TICKET_INTERFACES)}")
        if self.times is not None and self.times < 1:
            raise _invalid(f"times of 1 or more, or null for always; {self.times} came")
        if self.http_status is not None and not 400 <= self.http_status <= 599:
            raise _invalid(f"http_status from 400 to 599; {self.http_status} came")
        if self.latency_s is not None and not (
            math.isfinite(self.latency_s) and 0 < self.latency_s <= 3600
        ):
            raise _invalid(f"latency_s above 0 and up to 3600; {self.latency_s} came")
        if self.code in (SUCCESS, 0, ""):
            raise _invalid("an error code; 0 means success and is made by really succeeding")
        possible = possible_tampers(self.interface)
        if self.tamper is not None and self.tamper not in possible:
            raise _invalid(f"tamper of {self.interface} one of {', '.join(sorted(possible))}")

    @property
    def harm(self) -> str:
        """What it does, e.g. `line=reset`."""
        ((name, value),) = self._harms().items()
        return f"{name}={value}"

    def _harms(self) -> dict[str, object]:
        given = {name: getattr(self, name) for name in _HARMS}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def exhausted(self) -> bool:
        """Whether it has altered as many answers as it should."""
        return self.times is not None and self.applied >= self.times


@attrs.frozen
class LateAnswer:
    """An answer that was kept back, and the fault that did so."""

    fault: Fault
    envelope: Mapping[str, Any] = attrs.field(repr=False)


class FaultSource(Protocol):
    """Draws what is to befall a request, for a profile."""

    def draw(self, interface: Interface) -> Fault | None:
        """Returns one fault for one request, or None."""


class FaultBox:
    """The faults that are set, oldest first, and the answers that are late because of them.

    Args:
        randomness: For faults with a rate.
    """

    def __init__(self, randomness: Randomness) -> None:
        self._randomness = randomness
        self._faults: dict[str, Fault] = {}
        self.chaos: FaultSource | None = None
        self._late: dict[tuple[Interface, str | None], deque[LateAnswer]] = {}

    def add(self, fault: Fault) -> Fault:
        """Sets a fault."""
        self._faults[fault.fault_id] = fault
        return fault

    def all(self) -> list[Fault]:
        """Returns every fault, also used-up ones, with how often each was applied."""
        return list(self._faults.values())

    def remove(self, fault_id: str) -> None:
        """Removes a fault.

        Raises:
            SimulatorError: If there is none of that id.
        """
        if self._faults.pop(fault_id, None) is None:
            raise SimulatorError(
                "fault_unknown",
                f"no fault has the id {fault_id!r}; GET /sim/v1/faults lists them",
                status=404,
            )

    def clear(self) -> None:
        """Removes every fault, and whatever answers are late."""
        self._faults.clear()
        self._late.clear()

    def matching(
        self,
        interface: Interface,
        id_number: str | None,
        sp_service_id: str | None = None,
        devices: frozenset[str] = frozenset(),
    ) -> list[Fault]:
        """Returns the faults that want to alter an answer, oldest first.

        Args:
            interface: Which was asked.
            id_number: About whom.
            sp_service_id: By whom.
            devices: The phones that were asked, or the one that has decided.
        """
        return [
            fault
            for fault in self._faults.values()
            if fault.interface is interface
            and not fault.exhausted
            and fault.id_number in (None, id_number)
            and fault.sp_service_id in (None, sp_service_id)
            and (fault.device_id is None or fault.device_id in devices)
        ]

    def draw(self, interface: Interface) -> list[Fault]:
        """Returns what the profile draws for a request, to be asked for once for each."""
        drawn = self.chaos.draw(interface) if self.chaos else None
        return [] if drawn is None else [drawn]

    def count(self, fault: Fault) -> bool:
        """Notes that a fault is being applied; False if it was used up meanwhile, or the dice say
        not this time."""
        if fault.drawn:
            return True
        kept = self._faults.get(fault.fault_id)
        if kept is None or kept.exhausted:
            return False
        if kept.rate is not None and self._drawn() >= kept.rate:
            return False
        self._faults[fault.fault_id] = attrs.evolve(kept, applied=kept.applied + 1)
        return True

    def hold(self, late: LateAnswer, sp_service_id: str | None) -> None:
        """Keeps an answer back until the same system asks at the same interface again."""
        key = (late.fault.interface, sp_service_id)
        self._late.setdefault(key, deque(maxlen=_MOST_LATE)).append(late)

    def take_late(self, interface: Interface, sp_service_id: str | None) -> LateAnswer | None:
        """Returns the oldest answer that was kept back, once, or None."""
        waiting = self._late.get((interface, sp_service_id))
        return waiting.popleft() if waiting else None

    def _drawn(self) -> float:
        """From 0 to below 1."""
        return int.from_bytes(self._randomness.token(6)) / (1 << 48)


def apply_code(interface: Interface, code: str | int) -> Reply:
    """Makes the reply of a `code` fault."""
    if isinstance(code, str) and code in catalogue():
        return refusal(interface, code)
    return Reply(interface, code, message_for(str(code)))


def tampered(reply: Reply, tamper: Tamper) -> Reply | None:
    """Returns the reply with one part made wrong, or None if it has no such part.

    `idp_checksum` is no part of a `Reply`: for it the reply comes back as it is.
    """
    if reply.result is None:
        return None
    if tamper is Tamper.IDP_CHECKSUM:
        return reply
    value = reply.result.get(tamper.value)
    if not isinstance(value, str):
        return None
    return attrs.evolve(reply, result={**reply.result, tamper.value: _wrong(tamper, value)})


def _wrong(tamper: Tamper, value: str) -> str:
    match tamper:
        case Tamper.SIGNED_RESPONSE | Tamper.CERT:
            # The last bytes of either are signature: it parses, and does not verify.
            raw = bytearray(base64.b64decode(value))
            raw[-2] ^= 0x01
            return base64.b64encode(raw).decode()
        case Tamper.SP_TICKET:
            return value[:-2] + ("AA" if value[-2:] != "AA" else "BA")
        case _:
            return flip_hex(value)


def flip_hex(value: str) -> str:
    """Returns hexadecimal text with another last digit."""
    return value[:-1] + ("0" if value[-1] != "0" else "1")


def _invalid(expected: str) -> SimulatorError:
    return SimulatorError("fault_invalid", f"a fault: expected {expected}")


def possible_tampers(interface: Interface) -> frozenset[Tamper]:
    """Returns the parts of an interface's answers that can be made wrong."""
    return _POSSIBLE[interface]


_TICKET_INTERFACES = (Interface.GET_SP_TICKET, Interface.REQUEST_PUSH, Interface.BATCH_SIGN)
_TICKET_PARTS = frozenset({Tamper.IDP_CHECKSUM, Tamper.SP_TICKET})
_POSSIBLE: dict[Interface, frozenset[Tamper]] = {
    Interface.GET_SP_TICKET: _TICKET_PARTS,
    Interface.GET_RESULT: frozenset(Tamper) - {Tamper.SP_TICKET},
    Interface.REQUEST_PUSH: _TICKET_PARTS,
    Interface.BATCH_SIGN: _TICKET_PARTS,
    Interface.DEVICE_STATUS: frozenset({Tamper.IDP_CHECKSUM}),
    # Its callback, which is what can be tampered with there.
    Interface.REDIRECT: frozenset({Tamper.IDP_CHECKSUM, Tamper.SIGNED_RESPONSE, Tamper.CERT}),
}
