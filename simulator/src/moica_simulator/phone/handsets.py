"""The phones as things: which there are, whose they are, and what each can do now.

Nothing here asks the platform. A phone's sensor is part of it: it locks after several fingers that
were not recognised, until its holder has unlocked the phone.
"""

import attrs

from moica_simulator.assumptions import FINGERPRINT_ATTEMPTS
from moica_simulator.errors import SimulatorError
from moica_simulator.randomness import Randomness
from moica_simulator.records import Behaviour, Handset
from moica_simulator.state import Table

__all__ = ["Handsets"]

_OS_NAMES = ("Android", "iOS")


class Handsets:
    """All phones, by device id.

    Args:
        records: What is in them.
        randomness: For ids.
    """

    def __init__(self, records: Table[Handset], randomness: Randomness) -> None:
        self._records = records
        self._randomness = randomness

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
        return self._records.put(Handset(self._randomness.uuid(), name, platform))

    def get(self, device_id: str) -> Handset:
        """Returns a phone.

        Raises:
            SimulatorError: If there is none of that id.
        """
        found = self._records.get(device_id)
        if found is None:
            raise SimulatorError(
                "device_unknown",
                f"no phone has the id {device_id!r}; GET /sim/v1/devices lists them",
                status=404,
            )
        return found

    def put(self, handset: Handset) -> Handset:
        """Stores a phone that has changed, and returns it."""
        return self._records.put(handset)

    def bound(self, device_id: str) -> Handset:
        """Returns a bound phone.

        Raises:
            SimulatorError: If there is none of that id, or it is not bound.
        """
        found = self.get(device_id)
        if not found.bound:
            raise SimulatorError(
                "device_not_bound",
                "expected a bound phone; bind it by POST /sim/v1/devices/{id}/bind "
                "with an activation code or a citizen card",
                status=409,
            )
        return found

    def unbound(self, device_id: str) -> Handset:
        """Returns a phone that is free to be bound.

        Raises:
            SimulatorError: If there is none of that id, or it is bound.
        """
        found = self.get(device_id)
        if found.bound:
            raise SimulatorError(
                "device_bound",
                "expected a phone that is not bound; this one is. Unbind it by "
                "POST /sim/v1/devices/{id}/unbind, or add another phone",
                status=409,
            )
        return found

    def online(self, device_id: str) -> Handset:
        """Returns a bound phone that has a network.

        Raises:
            SimulatorError: As `bound`, or if it is in airplane mode.
        """
        found = self.bound(device_id)
        if not found.online:
            raise SimulatorError(
                "device_offline",
                "expected a phone with a network; this one is in airplane mode. "
                "PUT /sim/v1/devices/{id}/state changes it",
                status=409,
            )
        return found

    def forget(self, device_id: str) -> Handset:
        """Wipes the app's keys, as it does when the platform no longer knows the phone."""
        blank = attrs.evolve(
            self.get(device_id),
            id_number=None,
            credential_id=None,
            credential_key=None,
            sign_count=0,
            signing_key=None,
            certificate=None,
        )
        return self._records.put(blank)

    def set_state(
        self,
        device_id: str,
        *,
        push_registered: bool | None = None,
        online: bool | None = None,
        fingerprint_failures: int | None = None,
    ) -> Handset:
        """Sets what a phone can do now; what is None stays.

        Raises:
            SimulatorError: If there is no such phone, or the number is not 0 to 100.
        """
        if fingerprint_failures is not None and not 0 <= fingerprint_failures <= 100:
            raise SimulatorError(
                "state_invalid",
                f"fingerprint_failures: expected 0 to 100; {fingerprint_failures} came",
            )
        found = self.get(device_id)
        if push_registered is not None:
            found = attrs.evolve(found, push_registered=push_registered)
        if online is not None:
            found = attrs.evolve(found, online=online)
        if fingerprint_failures is not None:
            found = attrs.evolve(found, fingerprint_failures=fingerprint_failures)
        return self._records.put(found)

    def set_behaviour(self, device_id: str, behaviour: Behaviour) -> Handset:
        """Sets what the holder does with requests that arrive from now on.

        Raises:
            SimulatorError: If there is no such phone.
        """
        return self._records.put(attrs.evolve(self.get(device_id), behaviour=behaviour))

    def touch_sensor(self, handset: Handset) -> Handset:
        """Lays a finger on the sensor, and returns the phone if it was recognised.

        Raises:
            SimulatorError: `fingerprint_failed`, or `sensor_locked` from the last failure allowed
                on, until `unlock`. Nothing is sent to the platform in either case.
        """
        if handset.sensor_locked:
            raise _locked()
        if handset.fingerprint_failures == 0:
            return self._records.put(attrs.evolve(handset, failed_touches=0))
        failed = handset.failed_touches + 1
        locked = failed >= FINGERPRINT_ATTEMPTS
        self._records.put(
            attrs.evolve(
                handset,
                fingerprint_failures=handset.fingerprint_failures - 1,
                failed_touches=failed,
                sensor_locked=locked,
            )
        )
        if locked:
            raise _locked()
        raise SimulatorError(
            "fingerprint_failed",
            "the finger was not recognised; press 「確認」 again. Nothing was sent to the platform",
            status=409,
        )

    def unlock(self, device_id: str) -> Handset:
        """Unlocks a phone by its screen lock: the sensor takes fingers again.

        Raises:
            SimulatorError: If there is no such phone.
        """
        found = self.get(device_id)
        return self._records.put(attrs.evolve(found, failed_touches=0, sensor_locked=False))


def _locked() -> SimulatorError:
    return SimulatorError(
        "sensor_locked",
        f"expected a sensor that works; {FINGERPRINT_ATTEMPTS} fingers were not recognised, so it "
        "is locked and nothing was sent to the platform. Unlock the phone by "
        "POST /sim/v1/devices/{id}/unlock, then confirm again",
        status=409,
    )
