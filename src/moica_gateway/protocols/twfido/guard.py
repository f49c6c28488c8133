"""May this checksum be believed? The steps, in their order, each a sentence of ``security.md``.

1. It is 184 lower-case hexadecimal characters and opens under the current or the previous key.
2. It is none that we sent. One key serves both directions, so one that we sent opens as well. The
   texts are compared, and what they cover: every poll of a ticket covers the same payload under a
   new IV, so the checksum of any earlier poll, also one before a restart, is known by its payload.
3. It covers our own ``transaction_id`` and the fields as they came, in the protocol's order.
4. Its IV is not zero and was not seen before with another checksum, nor used by us; else an alarm.
   The alarm is a refusal only where the checksum is the only evidence (`Guard.verify`'s
   ``only_evidence``: bare ATH, WEB-01). A signature over our bytes speaks for itself.

**A repeated answer.** A confirmed ticket gives the same result at every poll, and the platform may
send the very same checksum again. The same checksum for the same payload says nothing new: it
raises no alarm. Another checksum under a seen IV does, because it gives the key's authentication
away.

The memory of IVs is bounded and of this process: an alarm is a sign for the operator, not a lock.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from moica_gateway.domain.models import ServiceProvider
from moica_gateway.errors import GatewayError, error
from moica_gateway.protocols.twfido.checksum import Revealed, reveal

__all__ = ["IV_REPEATED", "IV_ZERO", "Alarm", "Guard"]

Alarm = Callable[[str, Mapping[str, str]], None]
"""Told an event name and its fields; must not raise."""

IV_REPEATED: Final = "security.upstream_iv_repeated"
IV_ZERO: Final = "security.upstream_iv_zero"
_SPOILT: Final = b""


class Guard:
    """Verifies ``idp_checksum``; remembers the IVs that came.

    Args:
        alarm: Told of zero and repeated IVs.
        memory: How many IVs are remembered; the oldest are forgotten first.
    """

    def __init__(self, alarm: Alarm, *, memory: int = 16_384) -> None:
        self._alarm = alarm
        self._memory = memory
        self._seen: OrderedDict[tuple[str, str, bytes], bytes] = OrderedDict()

    def verify(
        self,
        unverified_checksum: str,
        *,
        payloads: Sequence[str],
        service_provider: ServiceProvider,
        sent_checksums: Sequence[str],
        interface: str,
        transaction_id: str,
        only_evidence: bool,
    ) -> None:
        """Return only if the checksum speaks for one of the payloads.

        Args:
            unverified_checksum: As it came.
            payloads: The readings of the answer that count as the same; usually one.
            service_provider: Whose keys count, current and previous.
            sent_checksums: All that we sent for this ticket, the one of this very call included.
            interface: For the alarm.
            transaction_id: Ours to the platform; for the alarm.
            only_evidence: Nothing else proves what the answer says.

        Raises:
            VerificationError: ``checksum_invalid``, ``checksum_mismatch``,
                ``checksum_reflected``.
            ConfigurationError: ``configuration_invalid`` for a key that is none.
        """
        if any(_same(unverified_checksum, sent) for sent in sent_checksums):
            raise _reflected()
        found = reveal(service_provider.keys, unverified_checksum)
        ours = _reveal_all(service_provider, sent_checksums)
        if any(found.covers_same_as(sent) for sent in ours):
            raise _reflected()
        # Every payload is compared, whichever fits: no early exit to be timed.
        if not sum(found.covers(payload) for payload in payloads):
            raise error(
                "checksum_mismatch",
                "expected a checksum over our transaction_id and the fields of this answer, came "
                "one under our key over something else: another answer's, or fields were changed "
                "on the way; the answer is not accepted and not asked for again, and the operator "
                "looks at the line to the platform",
            )
        event = self._suspicion(found, unverified_checksum, service_provider, ours)
        if event is None:
            return
        self._alarm(
            event,
            {
                "interface": interface,
                "sp_service_id": service_provider.sp_service_id,
                "sp_key_id": found.key.id,
                "transaction_id": transaction_id,
            },
        )
        if only_evidence:
            raise error(
                "checksum_invalid",
                "expected a fresh IV in a checksum that is the only evidence, came a zero or "
                "repeated one; the answer is not accepted",
            )

    def _suspicion(
        self,
        found: Revealed,
        checksum: str,
        service_provider: ServiceProvider,
        ours: Sequence[Revealed],
    ) -> str | None:
        place = (service_provider.sp_service_id, found.key.id, found.iv)
        fingerprint = hashlib.sha256(checksum.encode()).digest()
        before = self._seen.get(place)
        repeated = before is not None and before != fingerprint
        # Two under one IV: from then on both are suspicious each time, whichever was the forger's.
        self._seen[place] = _SPOILT if repeated else fingerprint
        self._seen.move_to_end(place)
        while len(self._seen) > self._memory:
            self._seen.popitem(last=False)
        if not any(found.iv):
            return IV_ZERO
        if repeated:
            return IV_REPEATED
        if any(sent.iv == found.iv for sent in ours):
            return IV_REPEATED
        return None


def _reveal_all(provider: ServiceProvider, checksums: Sequence[str]) -> list[Revealed]:
    revealed = []
    for checksum in checksums:
        try:
            revealed.append(reveal(provider.keys, checksum))
        except GatewayError:
            continue  # sent under a key that was retired since: nothing opens under it any more
    return revealed


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))


def _reflected() -> GatewayError:
    return error(
        "checksum_reflected",
        "expected a checksum of the platform, came one that we sent ourselves; "
        "the answer is not accepted and not asked for again",
    )
