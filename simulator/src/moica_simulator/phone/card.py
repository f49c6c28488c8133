"""Citizen cards (自然人憑證 IC 卡), which holders hold to their phones for NFC binding and NFCSIGN.

A card is made, and its certificate issued, when it is first used; it stays the same from then on.
It has a PIN, counts wrong ones, and locks. What a card and the app say to each other is not
simulated, and for NFCSIGN the holder is taken to know the PIN.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor

import attrs

from moica_simulator.assumptions import CARD_PIN, CARD_PIN_ATTEMPTS
from moica_simulator.errors import SimulatorError
from moica_simulator.phone.signing_key import SigningKey, certificate_request
from moica_simulator.records import Card, CardLock
from moica_simulator.state import PhoneRecords

__all__ = ["CardCase"]


class CardCase:
    """Everybody's cards.

    Args:
        records: The cards made so far, and their PINs.
        new_key: Makes a signing key; called off the event loop.
        executor: Where RSA work is done.
        certify: Has the CA certify a request (PKCS#10, DER) for an ID number; gives DER.
        holder_of: Gives the ID number that belongs to a card number, or None.
    """

    def __init__(
        self,
        records: PhoneRecords,
        *,
        new_key: Callable[[], SigningKey],
        executor: Executor,
        certify: Callable[[str, bytes], Awaitable[bytes]],
        holder_of: Callable[[str], str | None],
    ) -> None:
        self._cards = records.cards
        self._locks = records.card_locks
        self._new_key = new_key
        self._executor = executor
        self._certify = certify
        self._holder_of = holder_of
        self._making = asyncio.Lock()

    async def card_of(self, id_number: str) -> Card:
        """Returns a person's card, made on first use, if it is not locked.

        Raises:
            SimulatorError: `person_unknown`, `card_locked`.
        """
        if self.locked(id_number):
            raise _locked()
        async with self._making:
            found = self._cards.get(id_number)
            if found is not None:
                return found
            key, request = await asyncio.get_running_loop().run_in_executor(
                self._executor, self._make_key
            )
            certificate = await self._certify(id_number, request)
            return self._cards.put(Card(id_number, key, certificate))

    async def open(self, card_number: str, pin: str) -> Card:
        """Enters a card's PIN and returns the card.

        Raises:
            SimulatorError: `card_unknown`, `card_pin_wrong` (which is counted), `card_locked`
                from the last wrong PIN allowed on, until `unlock`.
        """
        id_number = self._holder_of(card_number)
        if id_number is None:
            raise SimulatorError(
                "card_unknown",
                "card_number: no citizen card has this number; GET /sim/v1/people/{id_number} "
                "shows a person's",
                status=404,
            )
        lock = self._lock_of(id_number)
        if lock.locked:
            raise _locked()
        if pin != lock.pin:
            wrong = self._locks.put(attrs.evolve(lock, wrong_pins=lock.wrong_pins + 1))
            if wrong.locked:
                raise _locked()
            left = CARD_PIN_ATTEMPTS - wrong.wrong_pins
            raise SimulatorError(
                "card_pin_wrong",
                f"pin: this is not the card's; {left} more and it locks. A card has the PIN that "
                "POST /sim/v1/people set, or the default",
                status=409,
            )
        self._locks.put(attrs.evolve(lock, wrong_pins=0))
        return await self.card_of(id_number)

    def set_pin(self, id_number: str, pin: str) -> None:
        """Gives a person's card another PIN; a locked card stays locked.

        Raises:
            SimulatorError: `pin_invalid`.
        """
        if not (pin.isascii() and pin.isdigit() and 6 <= len(pin) <= 8):
            raise SimulatorError("pin_invalid", "pin: expected 6 to 8 digits")
        self._locks.put(attrs.evolve(self._lock_of(id_number), pin=pin))

    def locked(self, id_number: str) -> bool:
        """Says whether a person's card is locked."""
        return self._lock_of(id_number).locked

    def unlock(self, id_number: str) -> None:
        """Ends the lock of a person's card (鎖卡解碼), and forgets its wrong PINs."""
        self._locks.put(attrs.evolve(self._lock_of(id_number), wrong_pins=0))

    def _lock_of(self, id_number: str) -> CardLock:
        return self._locks.get(id_number) or CardLock(id_number, CARD_PIN)

    def _make_key(self) -> tuple[bytes, bytes]:
        key = self._new_key()
        return key.store(), certificate_request(key)


def _locked() -> SimulatorError:
    return SimulatorError(
        "card_locked",
        f"expected a citizen card that takes its PIN; this one is locked after {CARD_PIN_ATTEMPTS} "
        "wrong ones. POST /sim/v1/people/{id_number}/unlock-card unlocks it",
        status=409,
    )
