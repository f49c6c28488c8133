"""Everything but HTTP: the rooms put together, and what a test can do with them.

`Simulator` adds the web server. The methods here are the in-process API; the control API calls
the same ones.
"""

import math
from concurrent.futures import Executor

import attrs

from moica_simulator.alterations import Alteration
from moica_simulator.assumptions import CARD_CARRIER
from moica_simulator.ca.authority import PkiUrls
from moica_simulator.ca.office import CertificateOffice
from moica_simulator.ca.profile import CertificateShape
from moica_simulator.checksum import AesKey
from moica_simulator.device import Device
from moica_simulator.errors import SimulatorError
from moica_simulator.faults import Drop, Fault, FaultBox, Line, Tamper
from moica_simulator.history import History, RecordedRequest
from moica_simulator.id_number import fault_in
from moica_simulator.phone.app import OpenedLink, PhoneApp
from moica_simulator.phone.card import CardCase
from moica_simulator.phone.enrolment import Enrolment
from moica_simulator.phone.handsets import Handsets
from moica_simulator.phone.holder import Holder
from moica_simulator.platform.binding import Binding
from moica_simulator.platform.callback import Callbacks
from moica_simulator.platform.confirmation import Confirmation, TicketView
from moica_simulator.platform.idp import IdentityProvider
from moica_simulator.platform.redirect import RedirectDesk, checked_url
from moica_simulator.platform.relying_party import RelyingParty
from moica_simulator.platform.retention import Retention
from moica_simulator.platform.wire import Interface
from moica_simulator.records import (
    ActivationCode,
    Behaviour,
    IssuedCertificate,
    OnRequest,
    Person,
    ServiceProvider,
)
from moica_simulator.startup import CoreOptions, CoreParts
from moica_simulator.testpersons import TestPerson, add_test_persons

__all__ = ["SimulatorCore"]


class SimulatorCore:
    """The simulated platform, CA and phones.

    Use `Simulator.start`, which makes it and serves it.
    """

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

    @property
    def anchors_pem(self) -> str:
        """Root and intermediate as PEM, from which OpenSSL can complete any chain."""
        return self.ca.authority.anchors_pem()

    @property
    def requests(self) -> tuple[RecordedRequest, ...]:
        """What relying systems asked so far, with the answers."""
        return self.history.all()

    async def add_person(self, id_number: str, name: str, *, pin: str | None = None) -> Person:
        """Enters a person into the register; the same person again changes nothing.

        Args:
            id_number: With a valid check digit.
            name: As it will stand in certificates, 1 to 64 printable characters.
            pin: Of the citizen card, 6 to 8 digits, from now on; None leaves it, and a new card
                has `123456`.

        Raises:
            SimulatorError: `id_number_invalid`, `name_invalid`, `pin_invalid`, or
                `person_exists` if that ID number has another name.
        """
        if (fault := fault_in(id_number)) is not None:
            raise SimulatorError(
                "id_number_invalid",
                f"id_number: expected a 國民身分證統一編號 or 外來人口統一證號; {fault.value}. "
                "A123456789 is a valid one.",
            )
        if not 1 <= len(name.strip()) <= 64 or not name.isprintable():
            raise SimulatorError("name_invalid", "name: expected 1 to 64 printable characters")
        found = self.state.platform.people.get(id_number)
        if found is not None and found.name != name:
            raise SimulatorError(
                "person_exists",
                "name: this ID number is registered under another name; use that name, or "
                "another ID number",
                status=409,
            )
        if pin is not None:
            self.cards.set_pin(id_number, pin)
        return found or self.state.platform.people.put(
            Person(id_number, name, self.randomness.digits(16))
        )

    def unlock_card(self, id_number: str) -> Person:
        """Unlocks a person's citizen card (鎖卡解碼).

        Raises:
            SimulatorError: `person_unknown`.
        """
        found = self.person(id_number)
        self.cards.unlock(id_number)
        return found

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

    async def add_service_provider(
        self, sp_service_id: str, aes_key: str, name: str, *, callback_url: str | None = None
    ) -> ServiceProvider:
        """Registers a relying system; the same one again changes nothing.

        Args:
            sp_service_id: 1 to 64 visible ASCII characters, e.g. 20 digits.
            aes_key: Base64 of 32 bytes, standard or URL-safe, padded or not.
            name: What the phone shows as asking.
            callback_url: Where the callback of the web redirect (WEB-01) is posted.

        Raises:
            SimulatorError: `service_provider_invalid`, or `service_provider_exists` if that id
                has other data.
        """
        visible = sp_service_id.isascii() and sp_service_id.isprintable()
        if not (visible and " " not in sp_service_id and 1 <= len(sp_service_id) <= 64):
            raise SimulatorError(
                "service_provider_invalid",
                "sp_service_id: expected 1 to 64 visible ASCII characters",
            )
        if not 1 <= len(name.strip()) <= 100 or not name.isprintable():
            raise SimulatorError(
                "service_provider_invalid", "name: expected 1 to 100 printable characters"
            )
        try:
            key = AesKey.parse(aes_key)
        except ValueError as error:
            raise SimulatorError("service_provider_invalid", f"aes_key: {error}") from error
        wanted = ServiceProvider(sp_service_id, name, key, checked_url(callback_url))
        found = self.state.platform.service_providers.get(sp_service_id)
        if found is None:
            return self.state.platform.service_providers.put(wanted)
        if found != wanted:
            raise SimulatorError(
                "service_provider_exists",
                "this sp_service_id is registered with another name, key or callback_url; send "
                "the same, or use another id",
                status=409,
            )
        return found

    async def set_callback_url(self, sp_service_id: str, url: str | None) -> ServiceProvider:
        """Changes where a relying system's callbacks of WEB-01 are posted; None takes it away.

        Raises:
            SimulatorError: `service_provider_unknown`, `service_provider_invalid`.
        """
        found = self.state.platform.service_providers.get(sp_service_id)
        if found is None:
            raise SimulatorError(
                "service_provider_unknown",
                "no such sp_service_id is registered; POST /sim/v1/service-providers first",
                status=404,
            )
        return self.state.platform.service_providers.put(
            attrs.evolve(found, callback_url=checked_url(url))
        )

    async def new_activation_code(self, id_number: str) -> ActivationCode:
        """Issues an activation code (註冊啟用碼) for a person; good for one phone.

        Raises:
            SimulatorError: `person_unknown`.
        """
        return self.binding.new_code(self.person(id_number))

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
        self, device_id: str, activation_code: str, *, shape: CertificateShape | None = None
    ) -> Device:
        """Binds a phone by an activation code.

        Raises:
            SimulatorError: `device_unknown`, `device_bound`.
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

    async def renew(self, device_id: str, *, shape: CertificateShape | None = None) -> Device:
        """Renews a phone's certificate: a new key, the same person. The one before stays valid
        until it runs out or is revoked.

        Raises:
            SimulatorError: `device_unknown`, `device_not_bound`.
            PlatformError: `DEVID_DEVPROF_NF`.
        """
        return Device.of(await self.enrolment.renew(device_id, shape or CertificateShape()))

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

    async def deregister(self, id_number: str) -> None:
        """Takes a person out of the platform's users (註銷), with every phone.

        Raises:
            SimulatorError: `person_unknown`.
        """
        for device_id in self.binding.deregister(self.person(id_number).id_number):
            self.handsets.forget(device_id)

    async def add_test_persons(self) -> list[TestPerson]:
        """Makes the ready-made persons, each with one outcome; those that are there stay."""
        return await add_test_persons(self)

    async def unbind(self, device_id: str) -> Device:
        """Unbinds a phone.

        Raises:
            SimulatorError: `device_unknown`, `device_not_bound`.
        """
        return Device.of(self.enrolment.unbind(device_id))

    def device(self, device_id: str) -> Device:
        """Returns a phone.

        Raises:
            SimulatorError: `device_unknown`.
        """
        return Device.of(self.handsets.get(device_id))

    async def inbox(self, device_id: str) -> list[TicketView]:
        """Returns every request that has arrived in a phone, oldest first.

        Raises:
            SimulatorError: `device_unknown`.
        """
        return self.phones.inbox(device_id)

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

    async def settle(self) -> None:
        """Returns when every decision and callback that is due by now has been made."""
        await self.holder.settle()
        await self.callbacks.settle()

    async def wait_for_request(self, device_id: str) -> TicketView:
        """Returns the oldest pending request in a phone's inbox, waiting for one to arrive.

        Raises:
            SimulatorError: `device_unknown`.
        """
        return await self.phones.wait_for_request(device_id)

    async def add_fault(
        self,
        interface: str,
        *,
        code: str | int | None = None,
        http_status: int | None = None,
        latency_s: float | None = None,
        drop: bool | str | None = None,
        tamper: str | None = None,
        reseal: bool = True,
        alter: str | None = None,
        line: str | None = None,
        id_number: str | None = None,
        sp_service_id: str | None = None,
        device_id: str | None = None,
        rate: float | None = None,
        times: int | None = 1,
    ) -> Fault:
        """Sets a fault; the arguments are the attributes of `Fault`.

        Args:
            interface: E.g. `SP-API-ATH-01`, or `SP-API-LF-01`.
            code: See `Fault`.
            http_status: See `Fault`.
            latency_s: See `Fault`.
            drop: `answer` (also True) or `request`.
            tamper: `idp_checksum`, `signed_response`, `cert`, `hashed_id_num`, `sp_ticket`.
            reseal: See `Fault`.
            alter: One of `Alteration`.
            line: One of `Line`.
            id_number: See `Fault`.
            sp_service_id: See `Fault`.
            device_id: See `Fault`.
            rate: See `Fault`.
            times: See `Fault`.

        Raises:
            SimulatorError: `fault_invalid`.
        """
        try:
            return self.faults.add(
                Fault(
                    fault_id=self.randomness.uuid(),
                    interface=Interface(interface),
                    code=code,
                    http_status=http_status,
                    latency_s=latency_s,
                    drop=(Drop.ANSWER if drop is True else Drop(drop)) if drop else None,
                    tamper=Tamper(tamper) if tamper is not None else None,
                    reseal=reseal,
                    alter=Alteration(alter) if alter is not None else None,
                    line=Line(line) if line is not None else None,
                    id_number=id_number,
                    sp_service_id=sp_service_id,
                    device_id=device_id,
                    rate=rate,
                    times=times,
                )
            )
        except ValueError as error:
            raise SimulatorError(
                "fault_invalid",
                f"a fault: {error}; expected interface one of {', '.join(Interface)}, tamper one "
                f"of {', '.join(Tamper)}, alter one of {', '.join(Alteration)}, line one of "
                f"{', '.join(Line)}, drop one of {', '.join(Drop)}",
            ) from error

    def set_error_checksums(self, carried: bool) -> None:
        """Sets whether error answers to a known system carry an `idp_checksum`, from now on.

        Whether the real platform's do is not known; the simulator begins without.
        """
        self.idp.error_checksums = carried

    async def revoke(
        self, serial: str, *, reason: str = "unspecified", forget_device: bool = False
    ) -> IssuedCertificate:
        """Revokes a holder certificate: lists and OCSP say so from now on.

        Args:
            serial: Hexadecimal.
            reason: As RFC 5280 spells it, e.g. `keyCompromise`.
            forget_device: Whether the platform unbinds the phone at once. By default it goes on
                working, as between a revocation and the platform's hearing of it.

        Raises:
            SimulatorError: `certificate_unknown`, `reason_unknown`.
        """
        revoked = self.ca.revoke(serial, reason)
        has_phone = revoked.device_id != CARD_CARRIER
        if forget_device and has_phone and self.handsets.get(revoked.device_id).bound:
            self.enrolment.unbind(revoked.device_id)
        return revoked

    def suspend(self, serial: str) -> IssuedCertificate:
        """Suspends a holder certificate (停用): lists and OCSP name it with `certificateHold`.

        Raises:
            SimulatorError: `certificate_unknown`.
        """
        return self.ca.suspend(serial)

    def reinstate(self, serial: str) -> IssuedCertificate:
        """Ends a suspension (復用).

        Raises:
            SimulatorError: `certificate_unknown`, `certificate_revoked`.
        """
        return self.ca.resume(serial)

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

    async def close(self) -> None:
        """Stops what runs, and closes the store."""
        await self.holder.close()
        await self.callbacks.close()
        self.state.close()
