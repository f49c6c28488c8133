"""The in-process API's part about people and relying systems: who is registered where."""

import attrs

from moica_simulator.assumptions import activation_code_payload
from moica_simulator.checksum import AesKey
from moica_simulator.core.rooms import Rooms
from moica_simulator.errors import SimulatorError
from moica_simulator.id_number import fault_in
from moica_simulator.phone.camera import draw_qr_code
from moica_simulator.platform.redirect import checked_url
from moica_simulator.records import ActivationCode, Person, ServiceProvider

__all__ = ["Register"]


class Register(Rooms):
    """The household register and the platform's list of relying systems."""

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

    def activation_code_picture(self, code: str) -> bytes:
        """Returns the QR code of an activation code, as a PNG picture to be scanned.

        Raises:
            SimulatorError: `activation_code_unknown`.
        """
        if self.state.platform.activation_codes.get(code) is None:
            raise SimulatorError(
                "activation_code_unknown",
                "no such activation code was issued; POST /sim/v1/people/{id_number}/"
                "activation-codes issues one",
                status=404,
            )
        return draw_qr_code(activation_code_payload(code))

    async def deregister(self, id_number: str) -> None:
        """Takes a person out of the platform's users (註銷), with every phone.

        Raises:
            SimulatorError: `person_unknown`.
        """
        for device_id in self.binding.deregister(self.person(id_number).id_number):
            self.handsets.forget(device_id)

    async def new_activation_code(self, id_number: str) -> ActivationCode:
        """Issues an activation code (註冊啟用碼) for a person; good for one phone.

        Raises:
            SimulatorError: `person_unknown`.
        """
        return self.binding.new_code(self.person(id_number))

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
