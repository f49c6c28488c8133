"""What the app asks of the platform about one ticket: open it, confirm it, refuse it.

A confirmation is a FIDO2 assertion over a fresh challenge, and for SIGN a signature by the
phone's key; both are verified before the ticket ends. Fast mode goes without the assertion. The
transport between app and platform is not public: here it is a call within the process.
"""

import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

import attrs

from moica_simulator import ticket
from moica_simulator.clock import Clock
from moica_simulator.errors import PlatformError
from moica_simulator.platform import signatures
from moica_simulator.platform.relying_party import Ceremony, RegisteredCredential, RelyingParty
from moica_simulator.records import (
    Confirmed,
    DeviceProfile,
    Failed,
    Refused,
    SignRequest,
    Ticket,
    TicketStatus,
)
from moica_simulator.state import PlatformRecords

__all__ = ["Asserted", "CardBook", "Confirmation", "ConfirmationOffer", "TicketView"]


@attrs.frozen
class TicketView:
    """What a phone shows of a ticket."""

    sp_ticket_id: str
    sp_name: str
    hint: str = attrs.field(repr=False)
    op_code: str
    status: TicketStatus
    expires_at: datetime


@attrs.frozen
class ConfirmationOffer:
    """What a phone has to answer: a FIDO2 challenge, and for SIGN what its key has to cover."""

    ceremony: Ceremony | None
    """None in fast mode: no assertion is asked for."""
    sign: SignRequest | None
    by_card: bool = False
    """Whether a citizen card's key has to sign (NFCSIGN), and not the phone's."""


@attrs.frozen
class Asserted:
    """The authenticator's answer (AuthenticationResponse, JSON form) to a ceremony."""

    ceremony_id: str
    response: Mapping[str, Any]


class CardBook(Protocol):
    """The CA, as the platform asks it about a card."""

    def is_card_of(self, certificate: bytes, id_number: str) -> bool:
        """Says whether a certificate is that of a person's citizen card."""


class Confirmation:
    """Takes the holder's decisions.

    Args:
        records: The platform's tables.
        relying_party: Verifies assertions; None asks for none (fast mode).
        clock: For lapsing.
        cards: Knows the citizen cards.
    """

    def __init__(
        self,
        records: PlatformRecords,
        *,
        relying_party: RelyingParty | None,
        clock: Clock,
        cards: CardBook,
    ) -> None:
        self._records = records
        self._relying_party = relying_party
        self._clock = clock
        self._cards = cards
        self._on_end: list[Callable[[str], None]] = []

    def on_end(self, listener: Callable[[str], None]) -> None:
        """Calls `listener` with the `sp_ticket_id` of each ticket that ends, lapsing apart."""
        self._on_end.append(listener)

    def open_brought(self, device_id: str, sp_ticket: str, op_mode: str) -> TicketView:
        """Opens a ticket that was brought to a phone, by a QR code or an app link.

        Args:
            device_id: The phone.
            sp_ticket: The whole ticket.
            op_mode: The way it came: `I-SCAN`, `APP2APP` or `MWEB2APP`.

        Raises:
            PlatformError: `SPTKT_PLD_FT_ERR` or `SPTKT_DIG_FT_ERR` for a malformed one,
                `SPTKTID_SPTKT_NF` for an unknown or altered one, `TGT_INV` for one that was made
                for another way, `DEVID_SPTKT_MISMATCH` for another person's, which ends it.
        """
        claimed = ticket.decode(sp_ticket)
        device = self._device(device_id)
        found = self._ticket(claimed["sp_ticket_id"])
        if not hmac.compare_digest(found.sp_ticket.encode(), sp_ticket.encode()):
            raise PlatformError("SPTKTID_SPTKT_NF", "the platform issued another ticket")
        self._require_holder(device, found)
        if found.op_mode != op_mode:
            raise PlatformError("TGT_INV", f"a ticket for {found.op_mode} came by {op_mode}")
        self._require_open(found)
        return self._view(found)

    def view(self, sp_ticket_id: str) -> TicketView:
        """Returns what a phone shows of a ticket.

        Raises:
            PlatformError: `SPTKTID_SPTKT_NF`.
        """
        return self._view(self._ticket(sp_ticket_id))

    def begin(self, device_id: str, sp_ticket_id: str) -> ConfirmationOffer:
        """Begins a confirmation.

        Raises:
            PlatformError: `DEVID_DEVPROF_NF`, `SPTKTID_SPTKT_NF`, `DEVID_SPTKT_MISMATCH` (which
                ends the ticket), `SPTKTID_SPTKT_RDM`, `SPTKT_OVD`.
        """
        device, found = self._claim(device_id, sp_ticket_id)
        ceremony = (
            self._relying_party.begin_assertion(f"{device_id}/{sp_ticket_id}", device.credential)
            if self._relying_party
            else None
        )
        return ConfirmationOffer(ceremony, found.sign, found.op_code == "NFCSIGN")

    def complete(
        self,
        device_id: str,
        sp_ticket_id: str,
        *,
        asserted: Asserted | None,
        signed_responses: tuple[str, ...],
        card_certificate: bytes | None = None,
    ) -> TicketView:
        """Verifies assertion and signature, and ends the ticket as confirmed.

        Raises:
            PlatformError: As `begin`; `PM_INV_SG` or `PM_SIGDATA_ERR` for a wrong assertion, which
                leaves the ticket open; `CERT_SIGNDATA_MISMATCH` or `CERT_SIGNDATA_ERR` for a
                wrong signature, which ends it.
        """
        device, found = self._claim(device_id, sp_ticket_id)
        if self._relying_party:
            device = self._verified(self._relying_party, device, sp_ticket_id, asserted)
        certificate = device.certificate
        if found.sign is not None:
            try:
                if found.op_code == "NFCSIGN":
                    certificate = self._card(card_certificate, device)
                signatures.verify_all(found.sign, signed_responses, certificate)
            except PlatformError as error:
                self._end(found, Failed(error.code, self._clock.now()))
                raise
        ended = self._end(
            found,
            Confirmed(
                device_id=device_id,
                at=self._clock.now(),
                signed_responses=signed_responses if found.sign else (),
                certificate=certificate if found.sign else None,
            ),
        )
        return self._view(ended)

    def refuse(self, device_id: str, sp_ticket_id: str) -> TicketView:
        """Ends a ticket as refused by its holder.

        Raises:
            PlatformError: As `begin`.
        """
        _, found = self._claim(device_id, sp_ticket_id)
        return self._view(self._end(found, Refused(device_id, self._clock.now())))

    def report_failure(self, device_id: str, sp_ticket_id: str, code: str) -> TicketView:
        """Ends a ticket with what the app says went wrong in it, e.g. `APP_DECODE_FAIL`."""
        _, found = self._claim(device_id, sp_ticket_id)
        return self._view(self._end(found, Failed(code, self._clock.now())))

    def _verified(
        self,
        relying_party: RelyingParty,
        device: DeviceProfile,
        sp_ticket_id: str,
        asserted: Asserted | None,
    ) -> DeviceProfile:
        if asserted is None:
            raise PlatformError("PM_SIGDATA_ERR", "a confirmation takes a FIDO2 assertion")
        sign_count = relying_party.complete_assertion(
            asserted.ceremony_id,
            f"{device.device_id}/{sp_ticket_id}",
            RegisteredCredential(device.credential, device.sign_count, device.user_handle),
            asserted.response,
        )
        # The counter is kept whatever follows: an assertion counts once.
        return self._records.devices.put(attrs.evolve(device, sign_count=sign_count))

    def _claim(self, device_id: str, sp_ticket_id: str) -> tuple[DeviceProfile, Ticket]:
        device = self._device(device_id)
        found = self._ticket(sp_ticket_id)
        self._require_holder(device, found)
        self._require_open(found)
        return device, found

    def _card(self, certificate: bytes | None, device: DeviceProfile) -> bytes:
        if certificate is None or not self._cards.is_card_of(certificate, device.id_number):
            raise PlatformError("CERT_SIGNDATA_MISMATCH", "NFCSIGN takes the holder's own card")
        return certificate

    def _device(self, device_id: str) -> DeviceProfile:
        found = self._records.devices.get(device_id)
        if found is None or not found.bound:
            raise PlatformError("DEVID_DEVPROF_NF", "this phone is not bound")
        return found

    def _ticket(self, sp_ticket_id: str) -> Ticket:
        found = self._records.tickets.get(sp_ticket_id)
        if found is None:
            raise PlatformError("SPTKTID_SPTKT_NF", "no such ticket")
        return found

    def _require_holder(self, device: DeviceProfile, found: Ticket) -> None:
        """A stranger's phone ends an open ticket: somebody showed the code to the wrong person."""
        if device.id_number == found.id_number:
            return
        if found.status_at(self._clock.now()) is TicketStatus.PENDING:
            self._end(found, Failed("DEVID_SPTKT_MISMATCH", self._clock.now()))
        raise PlatformError("DEVID_SPTKT_MISMATCH", "the ticket is for somebody else")

    def _require_open(self, found: Ticket) -> None:
        match found.status_at(self._clock.now()):
            case TicketStatus.PENDING:
                return
            case TicketStatus.LAPSED:
                raise PlatformError("SPTKT_OVD", "the ticket lapsed unconfirmed")
            case _:
                raise PlatformError("SPTKTID_SPTKT_RDM", "the ticket has ended already")

    def _end(self, found: Ticket, outcome: Confirmed | Refused | Failed) -> Ticket:
        ended = self._records.tickets.put(attrs.evolve(found, outcome=outcome))
        for listener in self._on_end:
            listener(found.sp_ticket_id)
        return ended

    def _view(self, found: Ticket) -> TicketView:
        provider = self._records.service_providers.get(found.sp_service_id)
        return TicketView(
            sp_ticket_id=found.sp_ticket_id,
            sp_name=provider.name if provider else found.sp_service_id,
            hint=found.hint,
            op_code=found.op_code,
            status=found.status_at(self._clock.now()),
            expires_at=found.expires_at,
        )
