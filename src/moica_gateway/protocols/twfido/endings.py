"""What an answer means that is no success: wait, or an ending; never success.

A code without a checksum is believed for both, and recorded as ``unsigned``. A fault of the line or
a verification failure is a `Fault` that did not speak: the platform said nothing that counts.
"""

from __future__ import annotations

from moica_gateway.domain.models import Answer, Fault, Lapsed, Pending, Refused
from moica_gateway.errors import Problem, error, problem
from moica_gateway.ports import EgressError
from moica_gateway.protocols.twfido import codes
from moica_gateway.protocols.twfido.envelope import Envelope
from moica_gateway.protocols.twfido.wire import Interface

__all__ = ["ending", "fault", "need_checksum", "not_begun", "unreachable"]


def not_begun(envelope: Envelope, interface: Interface) -> Fault:
    """What a code means where nothing was begun that could be waited for."""
    row = codes.CODES.get(envelope.code)
    if row is not None and row.helps == "poll":
        # "Not finished yet" is no answer to a beginning: to us it is an unknown code.
        found = problem(
            "upstream_unknown_code",
            f"expected success or an ending, {interface.id} answered a code that belongs to "
            "polling; a new transaction may succeed",
            upstream_code=envelope.code,
        )
        return fault(found, spoke=True)
    return fault(_problem(envelope, interface), spoke=True)


def need_checksum(envelope: Envelope) -> None:
    """Success without one is none. Raises ``VerificationError`` ``checksum_missing``."""
    if envelope.idp_checksum is None:
        raise error(
            "checksum_missing",
            "expected idp_checksum in the result of error_code 0, came none; "
            "the answer is not accepted and not asked for again",
        )


def ending(envelope: Envelope, interface: Interface) -> Answer:
    """What a code means while polling: wait, or an ending. Never success."""
    row = codes.CODES.get(envelope.code)
    if row is not None and row.helps == "poll":
        return Pending()
    if envelope.code == codes.TICKET_LAPSED:
        return Lapsed(unsigned=envelope.idp_checksum is None)
    found = _problem(envelope, interface)
    if envelope.code == codes.CANCELLED_BY_HOLDER:
        return Refused(found)
    return fault(found, spoke=True)


def _problem(envelope: Envelope, interface: Interface) -> Problem:
    return codes.problem_of(
        envelope.code, interface=interface.id, unsigned=envelope.idp_checksum is None
    )


def unreachable(exc: EgressError) -> Problem:
    """No answer at all: "not yet" while polling."""
    return problem(
        "upstream_unreachable",
        f"expected an answer of the platform, came none ({exc.kind}); it is asked for again while "
        "there is time, and the operator looks at the line to the platform",
    )


def fault(found: Problem, *, spoke: bool = False) -> Fault:
    """With the patience that the platform asked for, where it did."""
    patience = found.extra.get("retry_after")
    return Fault(
        problem=found,
        spoke=spoke,
        retry_after=float(patience) if isinstance(patience, int | float) else None,
    )
