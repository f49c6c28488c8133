"""An answer of the platform before it is written, and its writing.

A reply keeps the fields apart from their checksum, so that a fault can alter a field and have the
answer sealed anew (a platform that lies), or keep the old seal (a wire that lies).
"""

from collections.abc import Mapping
from typing import Any

import attrs

from moica_simulator.assumptions import ERROR_ANSWERS_CARRY_CHECKSUM, wire_error_code
from moica_simulator.checksum import AesKey, seal
from moica_simulator.codes import message_for
from moica_simulator.platform.wire import IDP_ORDER, Interface
from moica_simulator.randomness import Randomness

__all__ = ["SUCCESS", "Reply", "refusal", "write"]

SUCCESS = "0"


@attrs.frozen
class Reply:
    """One answer. `code` is `0` or a bare error code; `key` is the asking system's."""

    interface: Interface
    code: str | int
    message: str
    transaction_id: str = ""
    result: Mapping[str, str | list[str]] | None = attrs.field(default=None, repr=False)
    key: AesKey | None = None
    seal_error: bool = ERROR_ANSWERS_CARRY_CHECKSUM
    """Whether an answer without a result is given a checksum all the same."""

    def idp_payload(self) -> str:
        """Joins the fields that `idp_checksum` covers."""
        fields = {
            **(self.result or {}),
            "transaction_id": self.transaction_id,
            "error_code": str(self.code),
        }
        return "".join(str(fields.get(name, "")) for name in IDP_ORDER[self.interface])

    def sealed(self, randomness: Randomness) -> str:
        """Returns the reply's `idp_checksum`, under a random IV."""
        if self.key is None:
            raise ValueError("only an answer to a known system can be sealed")
        return seal(self.idp_payload(), self.key, randomness.token(12))


def refusal(
    interface: Interface,
    code: str,
    explanation: str = "",
    *,
    transaction_id: str = "",
    key: AesKey | None = None,
    seal_error: bool = ERROR_ANSWERS_CARRY_CHECKSUM,
) -> Reply:
    """Makes the reply for a business error, its code as it goes over the wire."""
    message = message_for(code)
    return Reply(
        interface,
        wire_error_code(interface, code),
        f"{message} ({explanation})" if explanation else message,
        transaction_id=transaction_id,
        key=key,
        seal_error=seal_error,
    )


def write(reply: Reply, randomness: Randomness, *, checksum: str | None = None) -> dict[str, Any]:
    """Writes the envelope.

    Args:
        reply: What to answer.
        randomness: For the checksum's IV.
        checksum: An `idp_checksum` to send instead of the right one.
    """
    envelope: dict[str, Any] = {"error_code": reply.code, "error_message": reply.message}
    if reply.result is not None:
        envelope["result"] = {
            **reply.result,
            "idp_checksum": checksum or reply.sealed(randomness),
        }
    elif reply.seal_error and reply.key is not None:
        envelope["result"] = {"idp_checksum": checksum or reply.sealed(randomness)}
    return envelope
