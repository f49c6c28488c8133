"""Citizen cards (自然人憑證 IC 卡), which holders hold to their phones for NFCSIGN.

A card is made, and its certificate issued, when it is first used; it stays the same from then on.
How a card and the app talk to each other is not simulated.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor

from moica_simulator.keys import KeySource
from moica_simulator.phone import signer
from moica_simulator.records import Card
from moica_simulator.state import Table

__all__ = ["CardCase"]


class CardCase:
    """Everybody's cards.

    Args:
        records: The cards made so far.
        keys: Where their keys come from.
        executor: Where RSA work is done.
        certify: Has the CA certify a request (PKCS#10, DER) for an ID number; gives DER.
    """

    def __init__(
        self,
        records: Table[Card],
        *,
        keys: KeySource,
        executor: Executor,
        certify: Callable[[str, bytes], Awaitable[bytes]],
    ) -> None:
        self._records = records
        self._keys = keys
        self._executor = executor
        self._certify = certify
        self._making = asyncio.Lock()

    async def card_of(self, id_number: str) -> Card:
        """Returns a person's card, made on first use.

        Raises:
            SimulatorError: `person_unknown`.
        """
        async with self._making:
            found = self._records.get(id_number)
            if found is not None:
                return found
            key, request = await asyncio.get_running_loop().run_in_executor(
                self._executor, self._make_key
            )
            certificate = await self._certify(id_number, request)
            return self._records.put(Card(id_number, key, certificate))

    def _make_key(self) -> tuple[bytes, bytes]:
        key = self._keys.rsa_key(2048)
        return signer.store_key(key), signer.certificate_request(key)
