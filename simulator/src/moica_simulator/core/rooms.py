"""The rooms of a simulator put together: platform, CA and phones over one clock and one store.

What a test can do with them stands in the modules beside this one; nothing here speaks HTTP.
"""

from concurrent.futures import Executor

from moica_simulator.assumptions import CARD_CARRIER
from moica_simulator.ca.authority import PkiUrls
from moica_simulator.ca.office import CertificateOffice
from moica_simulator.ca.profile import CertificateShape
from moica_simulator.errors import SimulatorError
from moica_simulator.faults import FaultBox
from moica_simulator.history import History
from moica_simulator.phone.app import PhoneApp
from moica_simulator.phone.card import CardCase
from moica_simulator.phone.enrolment import Enrolment
from moica_simulator.phone.handsets import Handsets
from moica_simulator.phone.holder import Holder
from moica_simulator.platform.binding import Binding
from moica_simulator.platform.callback import Callbacks
from moica_simulator.platform.confirmation import Confirmation
from moica_simulator.platform.idp import IdentityProvider
from moica_simulator.platform.redirect import RedirectDesk
from moica_simulator.platform.relying_party import RelyingParty
from moica_simulator.platform.retention import Retention
from moica_simulator.records import Person
from moica_simulator.startup import CoreOptions, CoreParts

__all__ = ["Rooms"]


class Rooms:
    """What every part of the in-process API works on."""

    def __init__(
        self,
        options: CoreOptions,
        parts: CoreParts,
        executor: Executor,
    ) -> None:
        self.log = options.log
        self.randomness = options.randomness
        self.faults = FaultBox(self.randomness)
        self.history = History(options.history_limit)
        self.state = state = parts.state
        self.clock = clock = parts.clock
        self.ca = CertificateOffice(
            parts.authority,
            state.ca,
            clock=clock,
            randomness=self.randomness,
            urls=PkiUrls(options.public_url),
            executor=executor,
        )
        relying_party = RelyingParty(self.clock, self.randomness)
        self.binding = Binding(
            self.state.platform,
            relying_party=relying_party,
            issuer=self.ca,
            clock=self.clock,
            randomness=self.randomness,
        )
        self.mode = options.mode
        confirmation = Confirmation(
            self.state.platform,
            relying_party=relying_party if options.mode.fido2 else None,
            clock=self.clock,
            cards=self.ca,
        )
        self.cards = CardCase(
            self.state.phone,
            new_key=options.new_key,
            executor=executor,
            certify=self._certify_card,
            holder_of=self._holder_of_card,
        )
        self.handsets = Handsets(self.state.phone.handsets, self.randomness)
        self.enrolment = Enrolment(
            self.handsets,
            binding=self.binding,
            cards=self.cards,
            new_key=options.new_key,
            randomness=self.randomness,
            executor=executor,
        )
        self.phones = PhoneApp(
            self.state.phone,
            self.handsets,
            confirmation=confirmation,
            clock=self.clock,
            executor=executor,
            card_of=self.cards.card_of,
        )
        self.holder = Holder(self.phones, self.clock, self.log)
        secret = self.state.setting("hash_secret", lambda: self.randomness.token(32).hex())
        self.idp = IdentityProvider(
            self.state.platform,
            push=self.phones,
            clock=self.clock,
            randomness=self.randomness,
            certificates=self.ca,
            retention=Retention(
                state.platform,
                clock=clock,
                limit=options.ticket_limit,
                forget=self.phones.forget_requests,
            ),
            hash_secret=bytes.fromhex(secret),
        )
        self.redirects = RedirectDesk(
            self.state.platform, idp=self.idp, clock=self.clock, randomness=self.randomness
        )
        self.callbacks = Callbacks(
            self.redirects,
            faults=self.faults,
            history=self.history,
            clock=self.clock,
            randomness=self.randomness,
            log=self.log,
        )
        confirmation.on_end(self.callbacks.ticket_ended)

    def person(self, id_number: str) -> Person:
        """Returns a person.

        Raises:
            SimulatorError: `person_unknown`.
        """
        found = self.state.platform.people.get(id_number)
        if found is None:
            raise SimulatorError(
                "person_unknown",
                "nobody with this ID number is registered; POST /sim/v1/people first",
                status=404,
            )
        return found

    def _holder_of_card(self, card_number: str) -> str | None:
        people = self.state.platform.people.all()
        return next((each.id_number for each in people if each.card_number == card_number), None)

    async def _certify_card(self, id_number: str, request: bytes) -> bytes:
        issued = await self.ca.issue(
            self.person(id_number),
            CARD_CARRIER,
            request,
            CertificateShape(carrier=CARD_CARRIER),
        )
        return issued.der

    def resume(self) -> None:
        """Takes up automatic decisions that a stop has interrupted; once, after the start."""
        for notification in self.phones.waiting():
            self.holder.schedule(notification)
        self.callbacks.resume()

    async def settle(self) -> None:
        """Returns when every decision and callback that is due by now has been made."""
        await self.holder.settle()
        await self.callbacks.settle()

    async def close(self) -> None:
        """Stops what runs, and closes the store."""
        await self.holder.close()
        await self.callbacks.close()
        self.state.close()
