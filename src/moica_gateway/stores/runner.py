"""How a unit of work runs its statements: the fixed ones prepared, the composed ones by SQLAlchemy.

SQLAlchemy's execution of a compiled statement costs several times what SQLite needs to run it, and
a signature takes some thirty. So a statement that never changes is compiled once by SQLAlchemy, to
text, bind and result processors, and then goes to the driver directly. Any driver of PEP 249 with
positional parameters will do; nothing here is SQLite's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any, Final, TypeAlias

from attrs import frozen
from sqlalchemy import Connection, Select
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import SQLAlchemyError, StatementError
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.types import TypeEngine

from moica_gateway.errors import GatewayError, error
from moica_gateway.stores.column_types import NOT_STORABLE
from moica_gateway.stores.vault import tampered

__all__ = ["Prepared", "Runner", "Stored", "Values", "name_of", "served_already", "unavailable"]

Stored: TypeAlias = dict[str, Any]
"""One row as it is stored, by column."""

Values: TypeAlias = Mapping[str, Any]
"""What is bound to a statement."""

_Processor: TypeAlias = Callable[[Any], Any] | None
_Statement: TypeAlias = Select[Any] | UpdateBase
_UNREADABLE: Final = (AttributeError, TypeError, ValueError)
_DATA_EXCEPTION: Final = "22"
"""The SQLSTATE class of values that cannot be stored."""


@frozen(eq=False)
class _Compiled:
    text: str
    binds: tuple[tuple[str, _Processor], ...]
    fixed: Mapping[str, Any]
    columns: tuple[tuple[str, _Processor], ...]

    def bound(self, values: Values) -> list[Any]:
        bound = []
        for name, process in self.binds:
            value = values[name] if name in values else self.fixed[name]
            bound.append(value if process is None else process(value))
        return bound

    def row(self, stored: Sequence[Any]) -> Stored:
        return {
            name: value if process is None else process(value)
            for (name, process), value in zip(self.columns, stored, strict=True)
        }


class Prepared:
    """The compiled statements of one engine. Shared by its threads; filled as they are met.

    Only for statements that live as long as the program: they are remembered by identity.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._known: dict[tuple[object, tuple[str, ...]], _Compiled] = {}

    def get(self, statement: _Statement, names: tuple[str, ...]) -> _Compiled:
        """The statement as text, for these names of values."""
        known = self._known.get((statement, names))
        if known is None:
            known = self._known[(statement, names)] = self._compile(statement, names)
        return known

    def _compile(self, statement: _Statement, names: tuple[str, ...]) -> _Compiled:
        selecting = isinstance(statement, Select)
        compiled = statement.compile(
            dialect=self._dialect, column_keys=None if selecting else list(names)
        )
        if compiled.positiontup is None:
            raise unavailable("its driver takes no positional parameters")
        columns = statement.selected_columns if isinstance(statement, Select) else ()
        return _Compiled(
            text=compiled.string,
            binds=tuple((n, self._bind(compiled.binds[n].type)) for n in compiled.positiontup),
            fixed=dict(compiled.params),
            columns=tuple((str(c.key), self._result(c.type)) for c in columns),
        )

    def _bind(self, type_: TypeEngine[Any]) -> _Processor:
        return type_.dialect_impl(self._dialect).bind_processor(self._dialect)

    def _result(self, type_: TypeEngine[Any]) -> _Processor:
        return type_.dialect_impl(self._dialect).result_processor(self._dialect, None)


class Runner:
    """Runs statements on one connection, in one thread; errors come out as ours.

    Attributes:
        lost: Set once the engine has failed. It may have rolled back everything by itself, so that
            a further statement would be committed alone: from then on each raises.
        numbers: Numbers that were given out in this transaction, the last one a table.
    """

    def __init__(self, connection: Connection, driver: DBAPIConnection, prepared: Prepared) -> None:
        self.lost: GatewayError | None = None
        self.numbers: dict[str, int] = {}
        self._connection = connection
        self._driver = driver
        self._prepared = prepared
        dbapi = connection.dialect.loaded_dbapi
        self._errors: type[Exception] = dbapi.Error
        self._conflict: type[Exception] = dbapi.IntegrityError
        self._unfit: tuple[type[Exception], ...] = (
            dbapi.DataError,
            dbapi.InterfaceError,
            dbapi.ProgrammingError,
            OverflowError,
            TypeError,
            ValueError,
        )

    def rows(self, statement: Select[Any], values: Values) -> list[Stored]:
        """The rows of a fixed SELECT."""
        compiled = self._prepared.get(statement, ())
        with closing(self._execute(compiled, values)) as cursor:
            try:
                stored = cursor.fetchall()
            except self._errors as caught:
                raise self._translated(caught) from None
        try:
            return [compiled.row(row) for row in stored]
        except _UNREADABLE:
            raise tampered("a row", (), "a column cannot be read") from None

    def change(self, statement: UpdateBase, values: Values) -> int:
        """Run a fixed INSERT, UPDATE or DELETE; how many rows it met."""
        compiled = self._prepared.get(statement, tuple(values))
        with closing(self._execute(compiled, values)) as cursor:
            return int(cursor.rowcount)

    def change_all(self, statement: UpdateBase, many: Sequence[Values]) -> int:
        """`change` once for each, all with the same names; how many rows they met together."""
        if self.lost is not None:
            raise self.lost
        if not many:
            return 0
        if not self._connection.dialect.supports_sane_multi_rowcount:
            return sum(self.change(statement, values) for values in many)
        compiled = self._prepared.get(statement, tuple(many[0]))
        cursor = self._driver.cursor()
        with closing(cursor):
            try:
                cursor.executemany(compiled.text, [compiled.bound(values) for values in many])
            except (self._errors, OverflowError, *_UNREADABLE) as caught:
                raise self._translated(caught) from None
            return int(cursor.rowcount)

    def composed(self, statement: Select[Any]) -> list[Stored]:
        """The rows of a SELECT that was put together for this one use."""
        if self.lost is not None:
            raise self.lost
        try:
            result = self._connection.execute(statement)
            names = tuple(result.keys())
            return [dict(zip(names, row, strict=True)) for row in result.all()]
        except StatementError as caught:
            raise self._translated(caught.orig or caught) from None
        except SQLAlchemyError as caught:
            raise self._translated(caught) from None
        except _UNREADABLE:
            raise tampered("a row", (), "a column cannot be read") from None

    def _execute(self, compiled: _Compiled, values: Values) -> DBAPICursor:
        if self.lost is not None:
            raise self.lost
        cursor = self._driver.cursor()
        try:
            cursor.execute(compiled.text, compiled.bound(values))
        except (self._errors, OverflowError, *_UNREADABLE) as caught:
            cursor.close()
            raise self._translated(caught) from None
        return cursor

    def _translated(self, caught: BaseException) -> Exception:
        """Foreign errors as ours. Their text may quote values and is dropped."""
        if self._connection.dialect.is_disconnect(caught, self._driver, None):  # type: ignore[arg-type]  # any exception will do
            self.lost = unavailable(f"it answered {name_of(caught)}")
            return self.lost
        if isinstance(caught, self._conflict):
            return RuntimeError(
                "a row conflicts with a stored one, or refers to one that is not there"
            )
        if isinstance(caught, self._unfit) or name_of(caught).startswith(_DATA_EXCEPTION):
            return ValueError(NOT_STORABLE)
        self.lost = unavailable(f"it answered {name_of(caught)}")
        return self.lost


def unavailable(what: str) -> GatewayError:
    """The error for storage that does not work. ``what`` is fixed text: no statement, no value."""
    return error(
        "storage_unavailable",
        f"expected the database to work, but {what}; nothing was stored; "
        "the operator looks at disk, file permissions and other programs that hold the file, "
        "the caller tries again later",
    )


def served_already() -> GatewayError:
    """The error for a second process that would do the same work: two would poll every ticket and
    deliver every event twice."""
    return error(
        "configuration_invalid",
        "expected to be alone with this database, came another process that serves it; "
        "the operator stops that one first, or gives this one a database of its own",
    )


def name_of(trouble: BaseException) -> str:
    """What the driver calls the trouble: ``SQLITE_FULL``, an SQLSTATE, or the class."""
    for attribute in ("sqlite_errorname", "sqlstate"):
        name = getattr(trouble, attribute, None)
        if isinstance(name, str):
            return name
    return type(trouble).__name__
