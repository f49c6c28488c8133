"""What survives: one SQLite file in the state folder, or the same in memory without one.

Every change is committed before the call that made it returns, so that SIGKILL loses nothing
that was answered. WAL with `synchronous=NORMAL` survives the death of the process; the last
commits may be lost when the machine itself loses power, which a simulator may do.

Each room gets its own tables: the platform's hold no private key of a phone. Faults, the history
of requests and begun FIDO2 ceremonies are deliberately not kept.
"""

import base64
import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

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

_FORMAT = 2
_PIECE = 200

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL, key TEXT NOT NULL, owner TEXT NOT NULL, document TEXT NOT NULL,
  UNIQUE (kind, key)
);
CREATE INDEX IF NOT EXISTS records_by_owner ON records (kind, owner, seq);
CREATE INDEX IF NOT EXISTS records_by_kind ON records (kind, seq);
"""


@attrs.frozen
class Page(Generic[T]):
    """Some items of a list, oldest first, and the cursor behind which the rest begins."""

    items: list[T]
    next_cursor: str | None


@attrs.frozen
class Table(Generic[T]):
    """All records of one class. `key` names one of them, `owner` whom it belongs to."""

    _state: "State"
    _kind: str
    _type: type[T]
    _key: Callable[[T], str]
    _owner: Callable[[T], str]

    def put(self, item: T) -> T:
        """Stores an item, new or changed, and returns it."""
        document = json.dumps(self._state.converter.unstructure(item, self._type))
        self._state.execute(
            "INSERT INTO records (kind, key, owner, document) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (kind, key) DO UPDATE SET owner = excluded.owner, "
            "document = excluded.document",
            (self._kind, self._key(item), self._owner(item), document),
        )
        return item

    def get(self, key: str) -> T | None:
        """Returns the item of that key, or None."""
        for row in self._state.execute(
            "SELECT document FROM records WHERE kind = ? AND key = ?", (self._kind, key)
        ):
            return self._read(row[0])
        return None

    def of(self, owner: str) -> list[T]:
        """Returns every item of one owner, oldest first."""
        rows = self._state.execute(
            "SELECT document FROM records WHERE kind = ? AND owner = ? ORDER BY seq",
            (self._kind, owner),
        )
        return [self._read(row[0]) for row in rows]

    def drop(self, key: str) -> None:
        """Deletes an item; an unknown key is no error."""
        self._state.execute("DELETE FROM records WHERE kind = ? AND key = ?", (self._kind, key))

    def all(self) -> Iterator[T]:
        """Returns every item, oldest first."""
        rows = self._state.execute(
            "SELECT document FROM records WHERE kind = ? ORDER BY seq", (self._kind,)
        ).fetchall()
        return (self._read(row[0]) for row in rows)

    def page(self, *, after: int, limit: int, owner: str | None = None) -> Page[T]:
        """Returns up to `limit` items behind the cursor `after` (0 is the beginning)."""
        rows = self._state.execute(
            "SELECT seq, document FROM records WHERE kind = ? AND seq > ? "
            "AND (? IS NULL OR owner = ?) ORDER BY seq LIMIT ?",
            (self._kind, after, owner, owner, limit + 1),
        ).fetchall()
        items = [self._read(row[1]) for row in rows[:limit]]
        return Page(items, str(rows[limit - 1][0]) if len(rows) > limit else None)

    def walk(self, *, after: int, newest_first: bool) -> Iterator[tuple[int, T]]:
        """Returns every item with its position, behind the position `after` (0 is the beginning)
        in the order asked for; read piece by piece, so that one may stop at any time."""
        sign, order = ("<", "DESC") if newest_first else (">", "ASC")
        position = after
        while True:
            beyond = f"AND seq {sign} ?" if position else "AND ? = 0"
            rows = self._state.execute(
                f"SELECT seq, document FROM records WHERE kind = ? {beyond} "  # noqa: S608 - ours
                f"ORDER BY seq {order} LIMIT {_PIECE}",
                (self._kind, position),
            ).fetchall()
            for row in rows:
                yield row[0], self._read(row[1])
            if len(rows) < _PIECE:
                return
            position = rows[-1][0]

    def _read(self, document: str) -> T:
        return self._state.converter.structure(json.loads(document), self._type)


class State:
    """The store with its tables, one for each kind of record.

    Args:
        folder: Where the file `simulator.sqlite3` is kept, made with mode 700; None keeps
            everything in memory.

    Raises:
        ConfigurationError: If the folder cannot be used, is in use, or is of another format.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.converter = _make_converter()
        self._depth = 0
        try:
            self._db = self._open(folder)
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(
                "state_unusable",
                f"--state {folder}: expected a folder of this simulator, free and writable; "
                f"{error}. Stop the other simulator that uses it, or name another folder.",
            ) from error
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

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Makes all changes inside one commit, or none of them; may be nested."""
        if self._depth == 0:
            self._db.execute("BEGIN IMMEDIATE")
        self._depth += 1
        try:
            yield
        except BaseException:
            self._depth -= 1
            if self._depth == 0:
                self._db.execute("ROLLBACK")
            raise
        self._depth -= 1
        if self._depth == 0:
            self._db.execute("COMMIT")

    def execute(self, statement: str, values: tuple[Any, ...]) -> sqlite3.Cursor:
        """Runs one statement of a `Table`."""
        return self._db.execute(statement, values)

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
        self._db.close()

    def _open(self, folder: Path | None) -> sqlite3.Connection:
        if folder is None:
            db = sqlite3.connect(":memory:", isolation_level=None)
        else:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = folder / "simulator.sqlite3"
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            db = sqlite3.connect(path, isolation_level=None, timeout=0)
            # Exclusive: two simulators on one folder would not see each other's changes.
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
        (found,) = db.execute("PRAGMA user_version").fetchone()
        if found not in (0, _FORMAT):
            db.close()
            raise sqlite3.DatabaseError(f"it has format {found}, this simulator reads {_FORMAT}")
        db.executescript(_SCHEMA)
        db.execute(f"PRAGMA user_version = {_FORMAT}")
        return db

    def _table(
        self, kind: str, type_: type[T], key: Callable[[T], str], owner: Callable[[T], str]
    ) -> Table[T]:
        return Table(self, kind, type_, key, owner)


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
