"""Records by kind: held in memory as they are, written to a journal if there is one.

A record is frozen, so what is held can be handed out as it is; nothing is read back from the
journal while the simulator runs. With a journal every change is committed before the call that
made it returns, so that SIGKILL loses nothing that was answered. What the records mean is not
known here.
"""

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import attrs
import cattrs

__all__ = ["Journal", "Page", "Store", "Table"]

T = TypeVar("T")

_FORMAT = 2
_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL, key TEXT NOT NULL, owner TEXT NOT NULL, document TEXT NOT NULL
);
DROP INDEX IF EXISTS records_by_owner;
DROP INDEX IF EXISTS records_by_kind;
"""
# Read once, at the start, and written by number: an index would only be upkeep.


@attrs.frozen
class Page(Generic[T]):
    """Some items of a list, oldest first, and the cursor behind which the rest begins."""

    items: list[T]
    next_cursor: str | None


class Journal:
    """One SQLite file. WAL with `synchronous=NORMAL` survives the death of the process; the last
    commits may be lost when the machine itself loses power, which a simulator may do.

    Args:
        folder: Where the file `simulator.sqlite3` is kept, made with mode 700.

    Raises:
        OSError, sqlite3.Error: If it cannot be used, is in use, or is of another format.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / "simulator.sqlite3"
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._db = sqlite3.connect(path, isolation_level=None, timeout=0)
        # Exclusive: two simulators on one folder would not see each other's changes.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        (found,) = self._db.execute("PRAGMA user_version").fetchone()
        if found not in (0, _FORMAT):
            self._db.close()
            raise sqlite3.DatabaseError(f"it has format {found}, this simulator reads {_FORMAT}")
        self._db.executescript(_SCHEMA)
        self._db.execute(f"PRAGMA user_version = {_FORMAT}")

    def read(self, kind: str) -> list[tuple[int, str]]:
        """Returns number and document of every record of a kind, oldest first."""
        return self._db.execute(
            "SELECT seq, document FROM records WHERE kind = ? ORDER BY seq", (kind,)
        ).fetchall()

    def last_number(self) -> int:
        """Returns the highest number ever given to a record."""
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'records'").fetchone()
        return row[0] if row else 0

    def write(self, number: int, kind: str, key: str, owner: str, document: str) -> None:
        """Keeps a record, new or changed."""
        self._db.execute(
            "INSERT INTO records (seq, kind, key, owner, document) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (seq) DO UPDATE SET owner = excluded.owner, "
            "document = excluded.document",
            (number, kind, key, owner, document),
        )

    def delete(self, number: int) -> None:
        """Forgets a record."""
        self._db.execute("DELETE FROM records WHERE seq = ?", (number,))

    def begin(self) -> None:
        """Begins a commit of several changes."""
        self._db.execute("BEGIN IMMEDIATE")

    def end(self, *, keep: bool) -> None:
        """Commits the changes since `begin`, or undoes them."""
        self._db.execute("COMMIT" if keep else "ROLLBACK")

    def close(self) -> None:
        """Closes the file; nothing needs to be saved any more."""
        self._db.close()


@attrs.frozen
class _Row(Generic[T]):
    number: int
    owner: str
    item: T


class _Restoring(Protocol):
    def restore(self, key: str, row: Any) -> None:
        """Puts a row back as it was; None if there was none."""


class Store:
    """What tables share: the journal, the numbers, and the change in progress.

    Args:
        journal: Where records are kept over a restart; None keeps them in memory only.
        converter: Writes and reads a record as JSON, for the journal.
    """

    def __init__(self, journal: Journal | None, converter: cattrs.Converter) -> None:
        self.journal = journal
        self.converter = converter
        self._number = journal.last_number() if journal else 0
        self._depth = 0
        self._before: list[tuple[_Restoring, str, Any]] = []

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Makes all changes inside one commit, or none of them; may be nested."""
        outermost = self._depth == 0
        if outermost and self.journal:
            self.journal.begin()
        self._depth += 1
        try:
            yield
            if outermost and self.journal:
                self.journal.end(keep=True)
        except BaseException:
            if outermost:
                self._take_back()
            raise
        finally:
            self._depth -= 1
            if outermost:
                self._before = []

    def _take_back(self) -> None:
        for table, key, row in reversed(self._before):
            table.restore(key, row)
        if self.journal:
            self.journal.end(keep=False)

    def next_number(self) -> int:
        """Returns the number of a new record; numbers only grow."""
        self._number += 1
        return self._number

    def note(self, table: _Restoring, key: str, row: object) -> None:
        """Remembers what a change replaces, in case the transaction around it fails."""
        if self._depth:
            self._before.append((table, key, row))


class Table(Generic[T]):
    """All records of one class.

    Args:
        store: Which it belongs to.
        kind: Its name in the journal.
        type_: The class.
        key: Names one of the records.
        owner: Whom a record belongs to.
    """

    def __init__(
        self,
        store: Store,
        kind: str,
        type_: type[T],
        key: Callable[[T], str],
        owner: Callable[[T], str],
    ) -> None:
        self._store = store
        self._kind = kind
        self._type = type_
        self._key = key
        self._owner = owner
        self._rows: dict[str, _Row[T]] = {}
        self._owned: dict[str, dict[str, None]] = {}
        if store.journal:
            for number, document in store.journal.read(kind):
                item = store.converter.structure(json.loads(document), type_)
                self._set(key(item), _Row(number, owner(item), item))

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, item: T) -> T:
        """Stores an item, new or changed, and returns it."""
        key, owner = self._key(item), self._owner(item)
        before = self._rows.get(key)
        number = before.number if before else self._store.next_number()
        if journal := self._store.journal:
            document = json.dumps(self._store.converter.unstructure(item, self._type))
            journal.write(number, self._kind, key, owner, document)
        self._store.note(self, key, before)
        self._set(key, _Row(number, owner, item))
        return item

    def get(self, key: str) -> T | None:
        """Returns the item of that key, or None."""
        row = self._rows.get(key)
        return row.item if row else None

    def of(self, owner: str) -> list[T]:
        """Returns every item of one owner, oldest first."""
        rows = [self._rows[key] for key in self._owned.get(owner, ())]
        return [row.item for row in sorted(rows, key=_number)]

    def drop(self, key: str) -> None:
        """Deletes an item; an unknown key is no error."""
        before = self._rows.get(key)
        if before is None:
            return
        if self._store.journal:
            self._store.journal.delete(before.number)
        self._store.note(self, key, before)
        self._unset(key)

    def all(self) -> Iterator[T]:
        """Returns every item, oldest first."""
        return (row.item for row in sorted(self._rows.values(), key=_number))

    def page(self, *, after: int, limit: int, owner: str | None = None) -> Page[T]:
        """Returns up to `limit` items behind the cursor `after` (0 is the beginning)."""
        rows = [
            row
            for row in sorted(self._rows.values(), key=_number)
            if row.number > after and owner in (None, row.owner)
        ]
        cursor = str(rows[limit - 1].number) if len(rows) > limit else None
        return Page([row.item for row in rows[:limit]], cursor)

    def walk(self, *, after: int, newest_first: bool) -> Iterator[tuple[int, T]]:
        """Returns every item with its number, behind the number `after` (0 is the beginning) in
        the order asked for."""
        for row in sorted(self._rows.values(), key=_number, reverse=newest_first):
            if not after or (row.number < after if newest_first else row.number > after):
                yield row.number, row.item

    def restore(self, key: str, row: _Row[T] | None) -> None:
        """Takes a change back; the store calls it."""
        self._unset(key)
        if row is not None:
            self._set(key, row)

    def _set(self, key: str, row: _Row[T]) -> None:
        before = self._rows.get(key)
        if before is None or before.owner != row.owner:
            if before is not None:
                self._disown(key, before.owner)
            self._owned.setdefault(row.owner, {})[key] = None
        self._rows[key] = row

    def _unset(self, key: str) -> None:
        row = self._rows.pop(key, None)
        if row is not None:
            self._disown(key, row.owner)

    def _disown(self, key: str, owner: str) -> None:
        owned = self._owned[owner]
        del owned[key]
        if not owned:
            del self._owned[owner]


def _number(row: _Row[Any]) -> int:
    return row.number
