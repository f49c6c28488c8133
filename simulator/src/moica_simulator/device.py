"""A phone as tests and pages see it."""

import attrs
from cryptography import x509

from moica_simulator.records import Behaviour, Handset

__all__ = ["Device"]


@attrs.frozen
class Device:
    """A phone as tests see it: no keys.

    Attributes:
        id: For every call about this phone.
        name: What the holder called it (`device_user_def_desc`).
        platform: `Android` or `iOS`.
        id_number: Whose it is, or None if it is not bound.
        behaviour: What the holder does with requests.
        certificate: The holder's certificate, DER, or None if it is not bound.
        push_registered: Whether push reaches it.
        online: Whether it has a network.
        fingerprint_failures: How many of the next confirmations fail at the sensor.
        sensor_locked: Whether the sensor takes no finger until the phone is unlocked.
    """

    id: str
    name: str
    platform: str
    id_number: str | None = attrs.field(repr=False)
    behaviour: Behaviour
    certificate: bytes | None = attrs.field(repr=False)
    push_registered: bool = True
    online: bool = True
    fingerprint_failures: int = 0
    sensor_locked: bool = False

    @property
    def bound(self) -> bool:
        """Whether the phone is bound to a person."""
        return self.id_number is not None

    @property
    def certificate_serial(self) -> str | None:
        """The certificate's serial number, lower-case hex, or None if it is not bound."""
        if self.certificate is None:
            return None
        return f"{x509.load_der_x509_certificate(self.certificate).serial_number:x}"

    @classmethod
    def of(cls, handset: Handset) -> "Device":
        """Makes the public view of a phone."""
        return cls(
            handset.device_id,
            handset.name,
            handset.platform,
            handset.id_number,
            handset.behaviour,
            handset.certificate,
            handset.push_registered,
            handset.online,
            handset.fingerprint_failures,
            handset.sensor_locked,
        )
