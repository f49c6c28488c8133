"""The 「行動自然人憑證」 app on every simulated phone.

It asks the platform, shows what it is told, and holds the keys. It never trusts a request to be
in its inbox: what a holder confirms must have arrived there, by push, by scanning or by an
app link.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from datetime import datetime
from typing import TypeVar

import attrs

from moica_simulator.assumptions import FIDO_ORIGIN
from moica_simulator.ca.profile import CertificateShape
from moica_simulator.clock import Clock
from moica_simulator.errors import PlatformError, SimulatorError
from moica_simulator.keys import KeySource
from moica_simulator.phone import authenticator, signer
from moica_simulator.phone.applink import AppLink
from moica_simulator.phone.authenticator import Credential
from moica_simulator.phone.camera import read_qr_code
from moica_simulator.platform.binding import Binding
from moica_simulator.platform.confirmation import Confirmation, ConfirmationOffer, TicketView
from moica_simulator.randomness import Randomness
from moica_simulator.records import Behaviour, Card, Handset, Notification, TicketStatus
from moica_simulator.state import PhoneRecords

__all__ = ["OpenedLink", "PhoneApp"]

T = TypeVar("T")

_OS_NAMES = ("Android", "iOS")
_RULE = CertificateShape()


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
        binding: The platform's side of binding.
        confirmation: The platform's side of deciding.
        keys: Where signing keys come from.
        clock: For arrival times.
        randomness: For ids.
        executor: Where RSA work is done.
        card_of: Gives the citizen card of an ID number, which its holder has at hand.
    """

    def __init__(
        self,
        records: PhoneRecords,
        *,
        binding: Binding,
        confirmation: Confirmation,
        keys: KeySource,
        clock: Clock,
        randomness: Randomness,
        executor: Executor,
        card_of: Callable[[str], Awaitable[Card]],
    ) -> None:
        self._records = records
        self._binding = binding
        self._confirmation = confirmation
        self._keys = keys
        self._clock = clock
        self._randomness = randomness
        self._executor = executor
        self._card_of = card_of
        self._on_arrival: list[Callable[[Notification], None]] = []
        self._arrival = asyncio.Event()

    def on_arrival(self, listener: Callable[[Notification], None]) -> None:
        """Calls `listener` whenever a request arrives in any phone."""
        self._on_arrival.append(listener)

    def install(self, name: str, platform: str) -> Handset:
        """Makes a phone with the app, not bound yet.

        Raises:
            SimulatorError: If the operating system is neither Android nor iOS, or the name empty.
        """
        if platform not in _OS_NAMES:
            raise SimulatorError(
                "platform_unknown", f"platform: expected Android or iOS; {platform!r} came"
            )
        if not 1 <= len(name.strip()) <= 50 or not name.isprintable():
            raise SimulatorError(
                "name_invalid", "name: expected 1 to 50 printable characters for the phone's name"
            )
        return self._records.handsets.put(Handset(self._randomness.uuid(), name, platform))

    def handset(self, device_id: str) -> Handset:
        """Returns a phone.

        Raises:
            SimulatorError: If there is none of that id.
        """
        found = self._records.handsets.get(device_id)
        if found is None:
            raise SimulatorError(
                "device_unknown",
                f"no phone has the id {device_id!r}; GET /sim/v1/devices lists them",
                status=404,
            )
        return found

    async def bind(
        self, device_id: str, activation_code: str, shape: CertificateShape = _RULE
    ) -> Handset:
        """Binds a phone by an activation code: FIDO2 registration, signing key, certificate.

        Args:
            device_id: The phone.
            activation_code: One that the platform gave out.
            shape: How the certificate differs from the rule.

        Raises:
            SimulatorError: If there is no such phone, or it is bound.
            PlatformError: If the platform refuses, e.g. `OTP_NF`.
        """
        handset = self._unbound(device_id)
        ceremony = self._binding.begin(device_id, activation_code)
        credential, response = authenticator.make_credential(
            ceremony.options, origin=FIDO_ORIGIN, randomness=self._randomness
        )
        key_der, request = await asyncio.get_running_loop().run_in_executor(
            self._executor, self._make_signing_key
        )
        self._unbound(device_id)
        id_number, certificate = await self._binding.complete(
            device_id,
            handset.name,
            activation_code,
            ceremony_id=ceremony.ceremony_id,
            response=response,
            certificate_request=request,
            shape=shape,
        )
        return self._records.handsets.put(
            attrs.evolve(
                self.handset(device_id),
                id_number=id_number,
                credential_id=credential.credential_id,
                credential_key=credential.private_key,
                sign_count=credential.sign_count,
                signing_key=key_der,
                certificate=certificate,
            )
        )

    def unbind(self, device_id: str) -> Handset:
        """Unbinds a phone (取消綁定): the platform lets it go, the app forgets its keys.

        Raises:
            SimulatorError: If there is no such phone, or it is not bound.
        """
        self._bound(device_id)
        self._binding.unbind(device_id)
        return self.forget(device_id)

    def forget(self, device_id: str) -> Handset:
        """Wipes the app's keys, as it does when the platform no longer knows the phone."""
        found = self.handset(device_id)
        blank = attrs.evolve(
            found,
            id_number=None,
            credential_id=None,
            credential_key=None,
            sign_count=0,
            signing_key=None,
            certificate=None,
        )
        return self._records.handsets.put(blank)

    async def renew(self, device_id: str, shape: CertificateShape = _RULE) -> Handset:
        """Renews the certificate: a new key in the same phone, for the same person.

        Raises:
            SimulatorError: If there is no such phone, or it is not bound.
            PlatformError: If the platform refuses.
        """
        self._bound(device_id)
        key_der, request = await asyncio.get_running_loop().run_in_executor(
            self._executor, self._make_signing_key
        )
        certificate = await self._binding.renew(device_id, request, shape)
        return self._records.handsets.put(
            attrs.evolve(self._bound(device_id), signing_key=key_der, certificate=certificate)
        )

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
        if fingerprint_failures is not None and not 0 <= fingerprint_failures <= 100:
            raise SimulatorError(
                "state_invalid",
                f"fingerprint_failures: expected 0 to 100; {fingerprint_failures} came",
            )
        found = self.handset(device_id)
        changed = self._records.handsets.put(
            attrs.evolve(
                found,
                push_registered=found.push_registered
                if push_registered is None
                else push_registered,
                online=found.online if online is None else online,
                fingerprint_failures=found.fingerprint_failures
                if fingerprint_failures is None
                else fingerprint_failures,
            )
        )
        if changed.online:
            for each in self._records.held.of(device_id):
                self._records.held.drop(each.key)
                self.deliver(device_id, each.sp_ticket_id)
        return changed

    def registered(self, device_id: str) -> bool:
        """Says whether the push service knows the app."""
        return self.handset(device_id).push_registered

    def set_behaviour(self, device_id: str, behaviour: Behaviour) -> Handset:
        """Sets what the holder does with requests that arrive from now on.

        Raises:
            SimulatorError: If there is no such phone.
        """
        return self._records.handsets.put(
            attrs.evolve(self.handset(device_id), behaviour=behaviour)
        )

    def deliver(self, device_id: str, sp_ticket_id: str) -> None:
        """Puts a request into a phone's inbox; a second time changes nothing."""
        found = self.handset(device_id)
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
        self.handset(device_id)
        return [
            self._confirmation.view(each.sp_ticket_id)
            for each in self._records.notifications.of(device_id)
        ]

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
        self._online(device_id)
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
        self._online(device_id)
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
        self._touch_sensor(handset)
        offer = self._asking(device_id, lambda: self._confirmation.begin(device_id, sp_ticket_id))
        card = await self._card_of(handset.id_number or "") if offer.by_card else None
        signed = await self._signature(handset, card, offer, sp_ticket_id)
        credential, assertion = authenticator.get_assertion(
            _credential(self._bound(device_id)),
            offer.ceremony.options,
            origin=FIDO_ORIGIN,
        )
        # Kept before it is sent: a counter must never be given out twice.
        self._records.handsets.put(
            attrs.evolve(self._bound(device_id), sign_count=credential.sign_count)
        )
        return self._asking(
            device_id,
            lambda: self._confirmation.complete(
                device_id,
                sp_ticket_id,
                ceremony_id=offer.ceremony.ceremony_id,
                assertion=assertion,
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
            return await asyncio.get_running_loop().run_in_executor(
                self._executor, lambda: signer.sign(sign, key, certificate, now)
            )
        except PlatformError as error:
            self._confirmation.report_failure(handset.device_id, sp_ticket_id, error.code)
            raise

    def _make_signing_key(self) -> tuple[bytes, bytes]:
        key = self._keys.rsa_key(2048)
        return signer.store_key(key), signer.certificate_request(key)

    def _bring(self, device_id: str, sp_ticket: str, op_mode: str) -> TicketView:
        self._bound(device_id)
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
                self.forget(device_id)
            raise

    def _touch_sensor(self, handset: Handset) -> None:
        if handset.fingerprint_failures == 0:
            return
        left = handset.fingerprint_failures - 1
        self._records.handsets.put(attrs.evolve(handset, fingerprint_failures=left))
        raise SimulatorError(
            "fingerprint_failed",
            "the finger was not recognised; press 「確認」 again. Nothing was sent to the platform",
            status=409,
        )

    def _online(self, device_id: str) -> Handset:
        found = self._bound(device_id)
        if not found.online:
            raise SimulatorError(
                "device_offline",
                "expected a phone with a network; this one is in airplane mode. "
                "PUT /sim/v1/devices/{id}/state changes it",
                status=409,
            )
        return found

    def _bound(self, device_id: str) -> Handset:
        found = self.handset(device_id)
        if not found.bound:
            raise SimulatorError(
                "device_not_bound",
                "expected a bound phone; bind it by POST /sim/v1/devices/{id}/bind "
                "with an activation code",
                status=409,
            )
        return found

    def _unbound(self, device_id: str) -> Handset:
        found = self.handset(device_id)
        if found.bound:
            raise SimulatorError(
                "device_bound",
                "expected a phone that is not bound; this one is. Unbind it by "
                "POST /sim/v1/devices/{id}/unbind, or add another phone",
                status=409,
            )
        return found

    def _arrived(self, device_id: str, sp_ticket_id: str) -> Handset:
        found = self._online(device_id)
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
