"""The nouns that the rooms keep: frozen, parsed once, times in UTC.

What belongs to the platform, to the CA and to a phone are different classes in different tables;
`Handset` is the only one that holds private keys of a phone, and only the phone room reads it.
"""

import enum
from datetime import datetime, timedelta

import attrs

from moica_simulator.assumptions import CARD_PIN_ATTEMPTS
from moica_simulator.checksum import AesKey

__all__ = [
    "ActivationCode",
    "AuthorityMaterial",
    "Behaviour",
    "Card",
    "CardLock",
    "Confirmed",
    "DeviceProfile",
    "Failed",
    "Handset",
    "IssuedCertificate",
    "Notification",
    "OnRequest",
    "Person",
    "Redirect",
    "Refused",
    "ServiceMaterial",
    "ServiceProvider",
    "SignRequest",
    "Ticket",
    "TicketStatus",
    "Undecided",
    "UserProfile",
]


@attrs.frozen
class Person:
    """Someone with an ID number, in the household register; not necessarily a user of the app.

    `card_number` is the 16-digit serialNumber of the certificate's subject.
    """

    id_number: str = attrs.field(repr=False)
    name: str
    card_number: str = attrs.field(repr=False)


@attrs.frozen
class ServiceProvider:
    """A relying system (需用機關) that the platform knows."""

    sp_service_id: str
    name: str
    aes_key: AesKey
    callback_url: str | None = None


@attrs.frozen
class ActivationCode:
    """A code that binds one phone to one person, once."""

    code: str = attrs.field(repr=False)
    id_number: str = attrs.field(repr=False)
    expires_at: datetime
    used: bool = False


@attrs.frozen
class UserProfile:
    """Somebody who has bound a phone at least once, and is a user of the platform since."""

    id_number: str = attrs.field(repr=False)


@attrs.frozen
class DeviceProfile:
    """What the platform knows of a bound phone: public data only."""

    device_id: str
    id_number: str = attrs.field(repr=False)
    name: str
    credential: bytes = attrs.field(repr=False)
    """The FIDO2 attested credential data: credential id and public key."""
    sign_count: int
    certificate: bytes = attrs.field(repr=False)
    """The holder's certificate, DER."""
    bound: bool = True
    user_handle: bytes = b""
    """What FIDO2 calls the user; random, of one registration."""


@attrs.frozen
class SignRequest:
    """`sign_info`, checked: one document, or 1 to 20 of a batch in the order sent."""

    sign_type: str
    data: tuple[str, ...] = attrs.field(repr=False)
    tbs_encoding: str
    hash_algorithm: str


@attrs.frozen
class Undecided:
    """The holder has not decided; whether the ticket has lapsed is a matter of time."""


@attrs.frozen
class Confirmed:
    """The holder confirmed; the result stands for good."""

    device_id: str
    at: datetime
    signed_responses: tuple[str, ...] = attrs.field(repr=False)
    """One for each of the request's `data`, in its order; empty for ATH."""
    certificate: bytes | None = attrs.field(repr=False)


@attrs.frozen
class Refused:
    """The holder pressed 「取消」."""

    device_id: str
    at: datetime


@attrs.frozen
class Failed:
    """The ticket ended with a code, e.g. because a stranger's phone scanned it."""

    code: str
    at: datetime


class TicketStatus(enum.StrEnum):
    """What a ticket is at a moment."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    FAILED = "failed"
    LAPSED = "lapsed"


@attrs.frozen
class Ticket:
    """One request to one person, from its creation to its end."""

    sp_ticket_id: str
    transaction_id: str
    sp_service_id: str
    id_number: str = attrs.field(repr=False)
    op_code: str
    op_mode: str
    hint: str = attrs.field(repr=False)
    sign: SignRequest | None
    sp_ticket: str = attrs.field(repr=False)
    created_at: datetime
    expires_at: datetime
    outcome: Undecided | Confirmed | Refused | Failed = Undecided()

    def status_at(self, now: datetime) -> TicketStatus:
        """Returns the ticket's status; an outcome stays, also after the ticket has lapsed."""
        match self.outcome:
            case Confirmed():
                return TicketStatus.CONFIRMED
            case Refused():
                return TicketStatus.REFUSED
            case Failed():
                return TicketStatus.FAILED
            case Undecided():
                return TicketStatus.PENDING if now < self.expires_at else TicketStatus.LAPSED


@attrs.frozen
class Redirect:
    """One browser that was sent to the Ministry's site (WEB-01), until its callback is over."""

    redirect_id: str
    """Names the browser's page; random, so that nobody else opens it."""
    sp_service_id: str
    transaction_id: str
    form: dict[str, str] = attrs.field(repr=False)
    id_number: str = attrs.field(default="", repr=False)
    """As typed; empty before."""
    sp_ticket_id: str = ""
    failed_code: str = ""
    """Why the typed ID number got no ticket."""
    attempts: int = 0
    """How often the callback was posted."""
    delivered: bool = False


@attrs.frozen
class IssuedCertificate:
    """A holder certificate in the CA's books. `serial` is lower-case hex without leading zeros."""

    serial: str
    id_number: str = attrs.field(repr=False)
    device_id: str
    partition: int
    der: bytes = attrs.field(repr=False)
    revoked_at: datetime | None = None
    reason: str | None = None


@attrs.frozen
class ServiceMaterial:
    """A service's key (PKCS#8, DER) and certificate (DER)."""

    key: bytes = attrs.field(repr=False)
    certificate: bytes


@attrs.frozen
class AuthorityMaterial:
    """The CA's own keys (PKCS#8, DER) and certificates (DER)."""

    root_key: bytes = attrs.field(repr=False)
    root_certificate: bytes
    intermediate_key: bytes = attrs.field(repr=False)
    intermediate_certificate: bytes
    responder: ServiceMaterial
    timestamper: ServiceMaterial


class OnRequest(enum.StrEnum):
    """What a phone's holder does when a request arrives."""

    MANUAL = "manual"
    CONFIRM = "confirm"
    REFUSE = "refuse"
    IGNORE = "ignore"
    LATE = "late"
    TWICE = "twice"


@attrs.frozen
class Behaviour:
    """What the holder does with a request, and how long after it arrived."""

    on_request: OnRequest = OnRequest.MANUAL
    delay_s: float = 0.0

    @property
    def delay(self) -> timedelta:
        """`delay_s` as a duration."""
        return timedelta(seconds=self.delay_s)


@attrs.frozen
class Handset:
    """A phone with the app, and all that is in it.

    Attributes:
        push_registered: Whether the push service still knows the app; not any more where it was
            not opened for a long time.
        online: Whether it has a network; without, nothing arrives and nothing is sent.
        fingerprint_failures: How many of the next confirmations fail at the sensor.
        failed_touches: How many have failed since one was recognised or the phone unlocked.
        sensor_locked: Whether the sensor takes no finger until the phone is unlocked.
    """

    device_id: str
    name: str
    platform: str
    id_number: str | None = attrs.field(default=None, repr=False)
    credential_id: bytes | None = attrs.field(default=None, repr=False)
    credential_key: bytes | None = attrs.field(default=None, repr=False)
    sign_count: int = 0
    signing_key: bytes | None = attrs.field(default=None, repr=False)
    certificate: bytes | None = attrs.field(default=None, repr=False)
    behaviour: Behaviour = Behaviour()
    push_registered: bool = True
    online: bool = True
    fingerprint_failures: int = 0
    failed_touches: int = 0
    sensor_locked: bool = False

    @property
    def bound(self) -> bool:
        """Whether the app is bound to a person."""
        return self.credential_key is not None


@attrs.frozen
class Card:
    """A citizen card (自然人憑證 IC 卡), which its holder holds to the phone for NFCSIGN."""

    id_number: str = attrs.field(repr=False)
    signing_key: bytes = attrs.field(repr=False)
    certificate: bytes = attrs.field(repr=False)


@attrs.frozen
class CardLock:
    """The PIN of a citizen card, and how often a wrong one was entered in a row."""

    id_number: str = attrs.field(repr=False)
    pin: str = attrs.field(repr=False)
    wrong_pins: int = 0

    @property
    def locked(self) -> bool:
        """Whether the card takes no PIN any more."""
        return self.wrong_pins >= CARD_PIN_ATTEMPTS


@attrs.frozen
class Notification:
    """A request that has arrived in a phone, and what its holder was set to do then."""

    device_id: str
    sp_ticket_id: str
    arrived_at: datetime
    behaviour: Behaviour

    @property
    def key(self) -> str:
        """One notification a phone and ticket."""
        return f"{self.device_id}/{self.sp_ticket_id}"
