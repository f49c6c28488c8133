"""What survives: all tables, in one SQLite file in the state folder, or in memory without one.

Each room gets its own tables: the platform's hold no private key of a phone. Faults, the history
of requests and begun FIDO2 ceremonies are deliberately not kept.
"""

import base64
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import attrs
import cattrs
from cattrs.preconf.json import make_converter
from cattrs.strategies import configure_tagged_union

from moica_simulator.checksum import AesKey
from moica_simulator.errors import ConfigurationError
from moica_simulator.records import (
    ActivationCode,
    AuthorityMaterial,
    Card,
    CardLock,
    Confirmed,
    DeviceProfile,
    Failed,
    Handset,
    IssuedCertificate,
    Notification,
    Person,
    Redirect,
    Refused,
    ServiceProvider,
    Ticket,
    Undecided,
    UserProfile,
)
from moica_simulator.store import Journal, Page, Store, Table

__all__ = [
    "AuthorityRecords",
    "Page",
    "PhoneRecords",
    "PlatformRecords",
    "State",
    "Table",
    "UsedTransaction",
]

T = TypeVar("T")
Transaction = Callable[[], contextlib.AbstractContextManager[None]]


class State:
    """The store with its tables, one for each kind of record.

    Args:
        folder: Where the file `simulator.sqlite3` is kept, made with mode 700; None keeps
            everything in memory.

    Raises:
        ConfigurationError: If the folder cannot be used, is in use, or is of another format.
    """

    def __init__(self, folder: Path | None = None) -> None:
        try:
            self._journal = None if folder is None else Journal(folder)
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(
                "state_unusable",
                f"--state {folder}: expected a folder of this simulator, free and writable; "
                f"{error}. Stop the other simulator that uses it, or name another folder.",
            ) from error
        self._store = Store(self._journal, _make_converter())
        self.transaction = self._store.transaction
        table = self._table
        settings = table("setting", Setting, lambda s: s.name, _nobody)
        self._settings = settings
        self.platform = PlatformRecords(
            people=table("person", Person, lambda p: p.id_number, _nobody),
            service_providers=table("sp", ServiceProvider, lambda s: s.sp_service_id, _nobody),
            activation_codes=table(
                "activation_code", ActivationCode, lambda c: c.code, lambda c: c.id_number
            ),
            users=table("user_profile", UserProfile, lambda u: u.id_number, _nobody),
            devices=table(
                "device_profile", DeviceProfile, lambda d: d.device_id, lambda d: d.id_number
            ),
            tickets=table("ticket", Ticket, lambda t: t.sp_ticket_id, lambda t: t.id_number),
            redirects=table(
                "redirect", Redirect, lambda r: r.redirect_id, lambda r: r.sp_ticket_id
            ),
            transactions=table(
                "transaction", UsedTransaction, lambda u: u.key, lambda u: u.sp_service_id
            ),
            transaction=self.transaction,
        )
        self.phone = PhoneRecords(
            handsets=table("handset", Handset, lambda h: h.device_id, _holder),
            notifications=table(
                "notification", Notification, lambda n: n.key, lambda n: n.device_id
            ),
            held=table("held", Notification, lambda n: n.key, lambda n: n.device_id),
            cards=table("card", Card, lambda c: c.id_number, _nobody),
            card_locks=table("card_lock", CardLock, lambda c: c.id_number, _nobody),
            transaction=self.transaction,
        )
        self.ca = AuthorityRecords(
            material=table("authority", AuthorityMaterial, lambda _: "only", _nobody),
            certificates=table(
                "certificate", IssuedCertificate, lambda c: c.serial, lambda c: c.id_number
            ),
            next_list_number=lambda: self.count("crl_number"),
            next_timestamp_number=lambda: self.count("timestamp_number"),
            transaction=self.transaction,
        )

    def setting(self, name: str, default: Callable[[], str]) -> str:
        """Returns a stored text, storing the default the first time."""
        found = self._settings.get(name)
        return (found or self._settings.put(Setting(name, default()))).value

    def set(self, name: str, value: str) -> None:
        """Stores a text under a name."""
        self._settings.put(Setting(name, value))

    def count(self, name: str) -> int:
        """Raises a stored number by one and returns it; the first is 1."""
        number = int(self.setting(name, lambda: "0")) + 1
        self.set(name, str(number))
        return number

    def close(self) -> None:
        """Closes the file; nothing needs to be saved any more."""
        if self._journal:
            self._journal.close()

    def _table(
        self, kind: str, type_: type[T], key: Callable[[T], str], owner: Callable[[T], str]
    ) -> Table[T]:
        return Table(self._store, kind, type_, key, owner)


@attrs.frozen
class UsedTransaction:
    """A transaction_id that one relying system has used up."""

    sp_service_id: str
    transaction_id: str

    @property
    def key(self) -> str:
        """The pair as text; the separator cannot stand in a service id."""
        return f"{self.sp_service_id}\n{self.transaction_id}"


@attrs.frozen
class Setting:
    """A single stored text."""

    name: str
    value: str


@attrs.frozen
class PlatformRecords:
    """What the platform keeps: no private key of a phone or of the CA."""

    people: Table[Person]
    service_providers: Table[ServiceProvider]
    activation_codes: Table[ActivationCode]
    users: Table[UserProfile]
    devices: Table[DeviceProfile]
    tickets: Table[Ticket]
    redirects: Table[Redirect]
    transactions: Table[UsedTransaction]
    transaction: Transaction


@attrs.frozen
class PhoneRecords:
    """What is in the phones, and the cards that are held to them."""

    handsets: Table[Handset]
    notifications: Table[Notification]
    held: Table[Notification]
    """What the push service keeps for phones without a network."""
    cards: Table[Card]
    card_locks: Table[CardLock]
    transaction: Transaction


@attrs.frozen
class AuthorityRecords:
    """The CA's keys and books."""

    material: Table[AuthorityMaterial]
    certificates: Table[IssuedCertificate]
    next_list_number: Callable[[], int]
    next_timestamp_number: Callable[[], int]
    transaction: Transaction


def _nobody(_: object) -> str:
    return ""


def _holder(handset: Handset) -> str:
    return handset.id_number or ""


def _make_converter() -> cattrs.Converter:
    converter = make_converter()
    converter.register_unstructure_hook(bytes, lambda raw: base64.b64encode(raw).decode())
    converter.register_structure_hook(bytes, lambda text, _: base64.b64decode(text))
    converter.register_unstructure_hook(AesKey, lambda key: base64.b64encode(key.raw).decode())
    converter.register_structure_hook(AesKey, lambda text, _: AesKey.parse(text))
    configure_tagged_union(Undecided | Confirmed | Refused | Failed, converter)
    return converter
