"""The 「行動自然人憑證」 app on every simulated phone.

It asks the platform, shows what it is told, and holds the keys. It never trusts a request to be
in its inbox: what a holder confirms must have arrived there, by push, by scanning or by an
app link.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import Executor
from datetime import datetime
from typing import TypeVar

import attrs

from moica_simulator.assumptions import FIDO_ORIGIN
from moica_simulator.clock import Clock
from moica_simulator.errors import PlatformError, SimulatorError
from moica_simulator.phone import authenticator, signer
from moica_simulator.phone.applink import AppLink
from moica_simulator.phone.authenticator import Credential
from moica_simulator.phone.camera import read_qr_code
from moica_simulator.phone.handsets import Handsets
from moica_simulator.platform.confirmation import (
    Asserted,
    Confirmation,
    ConfirmationOffer,
    TicketView,
)
from moica_simulator.platform.relying_party import Ceremony
from moica_simulator.records import Card, Handset, Notification, TicketStatus
from moica_simulator.state import PhoneRecords

__all__ = ["OpenedLink", "PhoneApp"]

T = TypeVar("T")


@attrs.frozen
class OpenedLink:
    """What an app link brought.

    Attributes:
        request: As it stands in the inbox.
        return_url: Where the app goes back to when the holder has decided, or None. It carries
            `rtn_val` and nothing of the result.
    """

    request: TicketView
    return_url: str | None = attrs.field(repr=False)


class PhoneApp:
    """All phones of the simulator, by device id.

    Args:
        records: What is in the phones.
        handsets: The phones themselves.
        confirmation: The platform's side of deciding.
        clock: For arrival times.
        executor: Where RSA work is done.
        card_of: Gives the citizen card of an ID number, which its holder has at hand.
    """

    def __init__(
        self,
        records: PhoneRecords,
        handsets: Handsets,
        *,
        confirmation: Confirmation,
        clock: Clock,
        executor: Executor,
        card_of: Callable[[str], Awaitable[Card]],
    ) -> None:
        self._records = records
        self._handsets = handsets
        self._confirmation = confirmation
        self._clock = clock
        self._executor = executor
        self._card_of = card_of
        self._on_arrival: list[Callable[[Notification], None]] = []
        self._arrival = asyncio.Event()

    def on_arrival(self, listener: Callable[[Notification], None]) -> None:
        """Calls `listener` whenever a request arrives in any phone."""
        self._on_arrival.append(listener)

    def set_state(
        self,
        device_id: str,
        *,
        push_registered: bool | None = None,
        online: bool | None = None,
        fingerprint_failures: int | None = None,
    ) -> Handset:
        """Sets what a phone can do now; what is None stays. What was pushed to a phone without a
        network arrives when it is back.

        Raises:
            SimulatorError: If there is no such phone, or the number is not 0 to 100.
        """
        changed = self._handsets.set_state(
            device_id,
            push_registered=push_registered,
            online=online,
            fingerprint_failures=fingerprint_failures,
        )
        if changed.online:
            for each in self._records.held.of(device_id):
                self._records.held.drop(each.key)
                self.deliver(device_id, each.sp_ticket_id)
        return changed

    def registered(self, device_id: str) -> bool:
        """Says whether the push service knows the app."""
        return self._handsets.get(device_id).push_registered

    def deliver(self, device_id: str, sp_ticket_id: str) -> None:
        """Puts a request into a phone's inbox; a second time changes nothing."""
        found = self._handsets.get(device_id)
        notification = Notification(device_id, sp_ticket_id, self._clock.now(), found.behaviour)
        if self._records.notifications.get(notification.key) is not None:
            return
        if not found.online:
            self._records.held.put(notification)
            return
        self._records.notifications.put(notification)
        for listener in self._on_arrival:
            listener(notification)
        arrival, self._arrival = self._arrival, asyncio.Event()
        arrival.set()

    def inbox(self, device_id: str) -> list[TicketView]:
        """Returns every request that has arrived in a phone, oldest first.

        Raises:
            SimulatorError: If there is no such phone.
        """
        self._handsets.get(device_id)
        return [
            self._confirmation.view(each.sp_ticket_id)
            for each in self._records.notifications.of(device_id)
        ]

    def forget_requests(self, gone: Collection[str]) -> None:
        """Takes requests whose tickets the platform no longer keeps out of every inbox."""
        for table in (self._records.notifications, self._records.held):
            for each in table.all():
                if each.sp_ticket_id in gone:
                    table.drop(each.key)

    async def wait_for_request(self, device_id: str) -> TicketView:
        """Returns the oldest pending request of a phone, waiting for one to arrive.

        Raises:
            SimulatorError: If there is no such phone.
        """
        while True:
            arrival = self._arrival
            for view in self.inbox(device_id):
                if view.status is TicketStatus.PENDING:
                    return view
            await arrival.wait()

    async def scan(self, device_id: str, payload: str | bytes) -> TicketView:
        """Reads a QR code (掃碼驗證) and puts its request into the inbox.

        Args:
            device_id: The phone.
            payload: The text in the code, or a picture of it, PNG or JPEG.

        Raises:
            SimulatorError: If there is no such phone, it is not bound, or the picture shows no
                code (see `camera.read_qr_code`).
            PlatformError: If the platform refuses the ticket.
        """
        self._handsets.online(device_id)
        if isinstance(payload, bytes):
            payload = await asyncio.get_running_loop().run_in_executor(
                self._executor, read_qr_code, payload
            )
        return self._bring(device_id, payload, "I-SCAN")

    def open_link(self, device_id: str, url: str) -> OpenedLink:
        """Opens an app link and puts its request into the inbox.

        Raises:
            SimulatorError: If there is no such phone, it is not bound, or the link is none.
            PlatformError: If the platform refuses the ticket.
        """
        self._handsets.online(device_id)
        link = AppLink.parse(url)
        view = self._bring(device_id, link.sp_ticket, link.op_mode)
        return OpenedLink(view, link.return_url)

    async def confirm(self, device_id: str, sp_ticket_id: str) -> TicketView:
        """Presses 「確認」: signs if the ticket asks for it, asserts, and hands both in.

        Raises:
            SimulatorError: If the phone is unknown, not bound, or has no such request.
            PlatformError: If the platform refuses.
        """
        handset = self._arrived(device_id, sp_ticket_id)
        handset = self._handsets.touch_sensor(handset)
        offer = self._asking(device_id, lambda: self._confirmation.begin(device_id, sp_ticket_id))
        card = await self._card_of(handset.id_number or "") if offer.by_card else None
        signed = await self._signature(handset, card, offer, sp_ticket_id)
        asserted = self._assertion(device_id, offer.ceremony) if offer.ceremony else None
        return self._asking(
            device_id,
            lambda: self._confirmation.complete(
                device_id,
                sp_ticket_id,
                asserted=asserted,
                signed_responses=signed,
                card_certificate=card.certificate if card else None,
            ),
        )

    def refuse(self, device_id: str, sp_ticket_id: str) -> TicketView:
        """Presses 「取消」.

        Raises:
            SimulatorError: If the phone is unknown, not bound, or has no such request.
            PlatformError: If the platform refuses.
        """
        self._arrived(device_id, sp_ticket_id)
        return self._asking(device_id, lambda: self._confirmation.refuse(device_id, sp_ticket_id))

    def lapses_at(self, notification: Notification) -> datetime:
        """Until when the platform takes a decision."""
        return self._confirmation.view(notification.sp_ticket_id).expires_at

    def waiting(self) -> list[Notification]:
        """Returns the requests of all phones that nobody has decided yet."""
        return [
            each
            for each in self._records.notifications.all()
            if self._confirmation.view(each.sp_ticket_id).status is TicketStatus.PENDING
        ]

    def _assertion(self, device_id: str, ceremony: Ceremony) -> Asserted:
        credential, response = authenticator.get_assertion(
            _credential(self._handsets.bound(device_id)), ceremony.options, origin=FIDO_ORIGIN
        )
        # Kept before it is sent: a counter must never be given out twice.
        self._handsets.put(
            attrs.evolve(self._handsets.bound(device_id), sign_count=credential.sign_count)
        )
        return Asserted(ceremony.ceremony_id, response)

    async def _signature(
        self,
        handset: Handset,
        card: Card | None,
        offer: ConfirmationOffer,
        sp_ticket_id: str,
    ) -> tuple[str, ...]:
        holder = card or handset
        sign, key, certificate = offer.sign, holder.signing_key, holder.certificate
        if sign is None or key is None or certificate is None:
            return ()
        now = self._clock.now()
        try:
            if len(sign.data) == 1:
                # One signature is sooner made than handed to a thread and back.
                return signer.sign(sign, key, certificate, now)
            return await asyncio.get_running_loop().run_in_executor(
                self._executor, lambda: signer.sign(sign, key, certificate, now)
            )
        except PlatformError as error:
            self._confirmation.report_failure(handset.device_id, sp_ticket_id, error.code)
            raise

    def _bring(self, device_id: str, sp_ticket: str, op_mode: str) -> TicketView:
        self._handsets.bound(device_id)
        view = self._asking(
            device_id, lambda: self._confirmation.open_brought(device_id, sp_ticket, op_mode)
        )
        self.deliver(device_id, view.sp_ticket_id)
        return view

    def _asking(self, device_id: str, question: Callable[[], T]) -> T:
        try:
            return question()
        except PlatformError as error:
            if error.code == "DEVID_DEVPROF_NF":
                self._handsets.forget(device_id)
            raise

    def _arrived(self, device_id: str, sp_ticket_id: str) -> Handset:
        found = self._handsets.online(device_id)
        if self._records.notifications.get(f"{device_id}/{sp_ticket_id}") is None:
            raise SimulatorError(
                "request_not_in_inbox",
                f"this phone has no request {sp_ticket_id!r}; a push brings one, or scan its "
                "QR code by POST /sim/v1/devices/{id}/scan",
                status=404,
            )
        return found


def _credential(handset: Handset) -> Credential:
    if handset.credential_id is None or handset.credential_key is None:
        raise ValueError("a bound phone has a credential: the state folder is damaged")
    return Credential(handset.credential_id, handset.credential_key, handset.sign_count)
