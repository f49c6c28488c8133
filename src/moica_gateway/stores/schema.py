"""Which version of the tables a database has, and bringing it to this program's (Alembic).

A database newer than the program is refused: an older program would not know what its columns
mean. There is no way down: whoever goes back restores the backup that was made before.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from moica_gateway.domain.values import Secret
from moica_gateway.errors import GatewayError, error
from moica_gateway.stores.audit_macs import AuditMacs
from moica_gateway.stores.database import database_of

__all__ = ["check_schema", "migrate", "schema_version"]

schema_version: Final = "0006"
"""The revision that this program works with."""

_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def migrate(url: str, master_key: Secret | None = None) -> None:
    """Make the tables, or bring them to `schema_version`. Blocks; all in one transaction.

    Args:
        url: Of the database.
        master_key: Needed where there are audit records of a version before their MACs.

    Raises:
        ConfigurationError: ``configuration_invalid`` for a URL of another engine, a database
            newer than this program, or a missing key; ``storage_unavailable`` when the database
            does not work.
    """

    def bring_forward(connection: Connection) -> None:
        if _stored_version(connection) != schema_version:
            _upgrade(connection, master_key)

    database_of(url).set_up(bring_forward)


def check_schema(connection: Connection) -> None:
    """Refuses any version but ours. Raises ``ConfigurationError``."""
    stored = _stored_version(connection)
    if stored is None or stored in _known_versions() - {schema_version}:
        raise error(
            "configuration_invalid",
            f"expected a database of version {schema_version}, came {stored or 'an empty one'};"
            " the operator migrates it (`moica-gateway init`) and starts again",
        )
    if stored != schema_version:
        raise _newer(stored)


def _stored_version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    stored: str | None = connection.execute(
        text("SELECT version_num FROM alembic_version")
    ).scalar()
    return stored


def _known_versions() -> set[str]:
    files = (_MIGRATIONS / "versions").glob("[0-9]*.py")
    return {file.name.partition("_")[0] for file in files}


def _upgrade(connection: Connection, master_key: Secret | None) -> None:
    stored = _stored_version(connection)
    if stored is not None and stored not in _known_versions():
        raise _newer(stored)
    # Not at the top: a start with a migrated database has no need of Alembic and its half second.
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config(attributes={"connection": connection})
    if master_key is not None:
        config.attributes["audit_mac"] = AuditMacs(master_key).of_row
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    try:
        command.upgrade(config, "head")
    except CommandError:
        raise error(
            "configuration_invalid",
            f"expected a database that can be brought to version {schema_version}, "
            f"came version {stored or 'none'}; the operator restores a backup",
        ) from None
    except LookupError:
        raise error(
            "configuration_invalid",
            "expected the master key, to authenticate the audit records that are there, came none;"
            " the operator migrates with `moica-gateway init`",
        ) from None
    except ValueError:
        raise error(
            "configuration_invalid",
            "expected audit records as the gateway wrote them, came one that cannot be read; the "
            "operator restores a backup",
        ) from None


def _newer(stored: str) -> GatewayError:
    return error(
        "configuration_invalid",
        f"expected a database of version {schema_version} or older, came {stored}, which a newer "
        "program wrote; the operator installs that program again, or restores the backup that was "
        "made before",
    )
