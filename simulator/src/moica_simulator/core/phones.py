"""The in-process API's part about phones: binding, their states, and what their holders do."""

import math

from moica_simulator.ca.profile import CertificateShape
from moica_simulator.core.register import Register
from moica_simulator.device import Device
from moica_simulator.errors import SimulatorError
from moica_simulator.phone.app import OpenedLink
from moica_simulator.platform.confirmation import TicketView
from moica_simulator.records import Behaviour, OnRequest

__all__ = ["Phones"]


class Phones(Register):
    """Phones with the app, and the holders in front of them."""

    async def add_device(self, name: str, platform: str = "Android") -> Device:
        """Makes a phone with the app that is not bound yet.

        Raises:
            SimulatorError: `platform_unknown`, `name_invalid`.
        """
        return Device.of(self.handsets.install(name, platform))

    async def bind_device(
        self,
        id_number: str,
        name: str = "我的手機",
        platform: str = "Android",
        *,
        shape: CertificateShape | None = None,
    ) -> Device:
        """Makes a phone and binds it to a person, by an activation code of its own.

        Args:
            id_number: Whose it is to be.
            name: What the holder calls it.
            platform: `Android` or `iOS`.
            shape: How its certificate differs from the rule.

        Raises:
            SimulatorError: `person_unknown`, `platform_unknown`, `name_invalid`.
            PlatformError: `DEV_LIM_REACHED`.
        """
        code = await self.new_activation_code(id_number)
        device = await self.add_device(name, platform)
        return await self.bind(device.id, code.code, shape=shape)

    async def bind(
        self, device_id: str, activation_code: str | bytes, *, shape: CertificateShape | None = None
    ) -> Device:
        """Binds a phone by an activation code.

        Args:
            device_id: The phone.
            activation_code: The code; or, as bytes, a PNG or JPEG picture of its QR code.
            shape: How the phone's certificate differs from the rule.

        Raises:
            SimulatorError: `device_unknown`, `device_bound`; of a picture as `scan`.
            PlatformError: `OTP_NF`, `OTP_EXPIRED`, `DEV_LIM_REACHED`.
        """
        bound = await self.enrolment.bind(device_id, activation_code, shape or CertificateShape())
        return Device.of(bound)

    async def bind_by_nfc(
        self, device_id: str, card_number: str, pin: str, *, shape: CertificateShape | None = None
    ) -> Device:
        """Binds a phone by a citizen card held to it (NFC 靠卡註冊綁定).

        Args:
            device_id: The phone.
            card_number: The card's, as in `Person.card_number`.
            pin: The card's; `123456` unless `add_person` set another.
            shape: How the phone's certificate differs from the rule.

        Raises:
            SimulatorError: `device_unknown`, `device_bound`, `card_unknown`, `card_pin_wrong`,
                `card_locked`, `card_expired`, `card_revoked`.
            PlatformError: `DEV_LIM_REACHED`.
        """
        bound = await self.enrolment.bind_by_nfc(
            device_id, card_number, pin, shape or CertificateShape()
        )
        return Device.of(bound)

    def unlock(self, device_id: str) -> Device:
        """Unlocks a phone, so that its sensor takes fingers again.

        Raises:
            SimulatorError: `device_unknown`.
        """
        return Device.of(self.handsets.unlock(device_id))

    async def unbind(self, device_id: str) -> Device:
        """Unbinds a phone.

        Raises:
            SimulatorError: `device_unknown`, `device_not_bound`.
        """
        return Device.of(self.enrolment.unbind(device_id))

    async def renew(self, device_id: str, *, shape: CertificateShape | None = None) -> Device:
        """Renews a phone's certificate: a new key, the same person. The one before stays valid
        until it runs out or is revoked.

        Raises:
            SimulatorError: `device_unknown`, `device_not_bound`.
            PlatformError: `DEVID_DEVPROF_NF`.
        """
        return Device.of(await self.enrolment.renew(device_id, shape or CertificateShape()))

    def device(self, device_id: str) -> Device:
        """Returns a phone.

        Raises:
            SimulatorError: `device_unknown`.
        """
        return Device.of(self.handsets.get(device_id))

    async def set_state(
        self,
        device_id: str,
        *,
        push: str | None = None,
        network: str | None = None,
        fingerprint_failures: int | None = None,
    ) -> Device:
        """Sets what a phone can do now; what is None stays.

        Args:
            device_id: The phone.
            push: `works`, or `unregistered`: the app was not opened for so long that push fails
                with `PS_FCM_NOT_FOUND`, while a code can be scanned.
            network: `on`, or `airplane`: what is pushed arrives when it is on again.
            fingerprint_failures: How many of the next confirmations fail at the sensor.

        Raises:
            SimulatorError: `device_unknown`, `state_invalid`.
        """
        for name, value, known in (
            ("push", push, ("works", "unregistered")),
            ("network", network, ("on", "airplane")),
        ):
            if value is not None and value not in known:
                raise SimulatorError(
                    "state_invalid", f"{name}: expected {known[0]} or {known[1]}; {value!r} came"
                )
        changed = self.phones.set_state(
            device_id,
            push_registered=None if push is None else push == "works",
            online=None if network is None else network == "on",
            fingerprint_failures=fingerprint_failures,
        )
        return Device.of(changed)

    async def set_behaviour(
        self, device_id: str, on_request: str, *, delay_s: float = 0.0
    ) -> Device:
        """Sets what the holder does with requests that arrive from now on.

        Args:
            device_id: The phone.
            on_request: `manual`, `confirm`, `refuse`, `ignore`, `late` (confirms when the ticket
                has lapsed) or `twice`.
            delay_s: How long after the arrival, on the simulated clock.

        Raises:
            SimulatorError: `behaviour_invalid`, `device_unknown`.
        """
        if on_request not in list(OnRequest):
            raise SimulatorError(
                "behaviour_invalid",
                f"on_request: expected {', '.join(OnRequest)}; {on_request!r} came",
            )
        if not (math.isfinite(delay_s) and 0 <= delay_s <= 86_400):
            raise SimulatorError(
                "behaviour_invalid", f"delay_s: expected 0 to 86400 seconds; {delay_s} came"
            )
        behaviour = Behaviour(OnRequest(on_request), float(delay_s))
        return Device.of(self.handsets.set_behaviour(device_id, behaviour))

    async def inbox(self, device_id: str) -> list[TicketView]:
        """Returns every request that has arrived in a phone, oldest first.

        Raises:
            SimulatorError: `device_unknown`.
        """
        return self.phones.inbox(device_id)

    async def wait_for_request(self, device_id: str) -> TicketView:
        """Returns the oldest pending request in a phone's inbox, waiting for one to arrive.

        Raises:
            SimulatorError: `device_unknown`.
        """
        return await self.phones.wait_for_request(device_id)

    async def scan(self, device_id: str, payload: str | bytes) -> TicketView:
        """Scans a QR code (掃碼驗證): its request is in the inbox afterwards.

        Args:
            device_id: The phone.
            payload: The text in the QR code, which is the whole `sp_ticket`; or, as bytes, a PNG
                or JPEG picture that shows the code.

        Raises:
            SimulatorError: `device_unknown`, `device_not_bound`; of a picture
                `picture_too_large`, `picture_unreadable`, `picture_without_code`,
                `picture_with_several_codes`.
            PlatformError: E.g. `SPTKT_DIG_FT_ERR`, `DEVID_SPTKT_MISMATCH`.
        """
        return await self.phones.scan(device_id, payload)

    async def open_link(self, device_id: str, url: str) -> OpenedLink:
        """Opens an app link (APP-API-01): its request is in the inbox afterwards.

        Args:
            device_id: The phone.
            url: `mobilemoica://moica.moi.gov.tw/(a2a|w2a)/verifySign?...`, as it was given out.

        Raises:
            SimulatorError: `device_unknown`, `device_not_bound`, `link_invalid`.
            PlatformError: As `scan`; `TGT_INV` if the ticket was not made for this kind of link.
        """
        return self.phones.open_link(device_id, url)

    async def confirm(self, device_id: str, sp_ticket_id: str) -> TicketView:
        """Presses 「確認」 on a phone.

        Raises:
            SimulatorError: `device_unknown`, `device_not_bound`, `request_not_in_inbox`,
                `fingerprint_failed`, `sensor_locked`, for NFCSIGN `card_locked`.
            PlatformError: If the platform refuses, e.g. `SPTKT_OVD`, `SPTKTID_SPTKT_RDM`.
        """
        return await self.phones.confirm(device_id, sp_ticket_id)

    async def refuse(self, device_id: str, sp_ticket_id: str) -> TicketView:
        """Presses 「取消」 on a phone; raises as `confirm`."""
        return self.phones.refuse(device_id, sp_ticket_id)
