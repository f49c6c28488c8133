"""``init`` and ``check``: before the first start."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from moica_gateway.app import Gateway, open_gateway, trust_of
from moica_gateway.cli.program import Program, config_option, run
from moica_gateway.errors import GatewayError, error
from moica_gateway.settings import Settings, read_master_key
from moica_gateway.stores import migrate

__all__ = ["check", "init"]

_FAILED: Final = 2
_SQLITE: Final = "sqlite:///"


@click.command()
@config_option
@click.pass_obj
def init(program: Program, config: str | None) -> None:
    """Make the data folder, the master key (mode 600) and the database; harmless again."""
    settings = program.settings(config)
    try:
        Path(settings.data_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_master_key(settings)
    except OSError as e:
        raise error(
            "configuration_invalid",
            f"setting `data_dir`: expected a folder that can be made and written, came "
            f"{settings.data_dir} ({e.strerror})",
        ) from None
    migrate(settings.database_url, read_master_key(settings.master_key_path))
    click.echo(f"ready: {settings.data_dir}")


def _make_master_key(settings: Settings) -> None:
    path = settings.master_key_path
    if path.exists():
        return
    database = Path(settings.database_url.removeprefix(_SQLITE))
    if settings.database_url.startswith(_SQLITE) and database.exists():
        # A new key would open nothing of it, and make the loss look like a success.
        raise error(
            "configuration_invalid",
            f"expected the master key of {database} in {path}, came none; the operator restores "
            "it from where it is kept, or moves that database away",
        )
    # Written beside and then linked: a crash leaves no half of a key, and no key is replaced.
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(32)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return  # another `init` was first
    finally:
        temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@click.command()
@config_option
@click.pass_context
def check(context: click.Context, config: str | None) -> None:
    """Say what is wrong with the set-up before it is started: a line each, ok or failed."""
    program: Program = context.obj
    report = _Report()
    settings: list[Settings] = []
    report.line("settings", lambda: _settings(program, config, settings))
    if settings:
        made = settings[0]
        report.line("master key", lambda: _master_key(made))
        report.line("trust", lambda: _trust(made))
        report.line("database", lambda: _database(made, report))
        for name in made.relaxations():
            click.echo(f"relaxed {name}")
    if report.failed:
        context.exit(_FAILED)


class _Report:
    """Goes on after a failure, so that everything wrong is told at once."""

    def __init__(self) -> None:
        self.failed = False

    def line(self, name: str, step: Callable[[], str]) -> None:
        """``step`` returns what to say of it."""
        try:
            self.say(ok=True, words=f"{name}: {step()}")
        except GatewayError as e:
            self.say(ok=False, words=f"{name}: {e.problem.detail}")

    def say(self, *, ok: bool, words: str) -> None:
        """One line."""
        self.failed = self.failed or not ok
        click.echo(f"{'ok     ' if ok else 'failed '} {words}")


def _settings(program: Program, config: str | None, settings: list[Settings]) -> str:
    settings.append(program.settings(config))
    return settings[0].environment


def _trust(settings: Settings) -> str:
    found = trust_of(settings)
    return f"{len(found.roots)} anchors, {len(found.intermediates)} intermediates"


def _master_key(settings: Settings) -> str:
    read_master_key(settings.master_key_path)
    return str(settings.master_key_path)


def _database(settings: Settings, report: _Report) -> str:
    async def look(gateway: Gateway) -> int:
        known = await gateway.services.tenants.list_tenants()
        for tenant in known:
            has = tenant.service_provider is not None
            words = "service provider" if has else "no service provider is set"
            report.say(ok=has, words=f"tenant {tenant.id}: {words}")
        return len(known)

    async def opened() -> int:
        async with open_gateway(settings, workers=False) as gateway:
            return await look(gateway)

    return f"{run(opened())} tenants"
