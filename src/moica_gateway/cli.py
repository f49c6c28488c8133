"""``moica-gateway``: serve, set up, look. Secrets come from files and stdin, never arguments."""

from __future__ import annotations

import asyncio
import base64
import errno
import json
import os
import secrets
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
import structlog
from aiohttp import web

from moica_gateway.app import Gateway, open_gateway, program_version, trust_of
from moica_gateway.domain.hints import brand as checked_brand
from moica_gateway.domain.models import Scope
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import TenantId, TransactionId
from moica_gateway.errors import GatewayError, error
from moica_gateway.protocols.twfido import parse_aes_key
from moica_gateway.services.commands import Caller
from moica_gateway.settings import Settings, load_settings, read_master_key, refuse_weak_key
from moica_gateway.stores import migrate
from moica_gateway.telemetry import configure_logging

__all__ = ["main"]

T = TypeVar("T")
_CONFIGURATION_ERROR = 2


def _fail(failure: GatewayError) -> NoReturn:
    message = failure.problem.user_message.get("zh-TW", "")
    click.echo(f"moica-gateway: {failure.problem.detail}\n{message}", err=True)
    sys.exit(_CONFIGURATION_ERROR)


class _Program:
    """The settings, read at the first use, so that ``--help`` and ``version`` need none."""

    def __init__(self, config: str | None) -> None:
        self._config = config or os.environ.get("MOICA_GATEWAY_CONFIG")

    def settings(self) -> Settings:
        settings = load_settings(Path(self._config) if self._config else None, os.environ)
        configure_logging(settings.log_level, settings.log_format)
        return settings

    def run(self, work: Callable[[Gateway], Awaitable[T]]) -> T:
        async def opened() -> T:
            async with open_gateway(self.settings(), workers=False) as gateway:
                return await work(gateway)

        return _run(opened())


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except GatewayError as e:
        _fail(e)


@click.group()
@click.option("--config", help="TOML file (or MOICA_GATEWAY_CONFIG).")
@click.pass_context
def main(context: click.Context, config: str | None) -> None:
    """Sign official documents with the mobile citizen certificate (行動自然人憑證)."""
    context.obj = _Program(config)


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(program_version())


@main.command()
@click.pass_obj
def init(program: _Program) -> None:
    """Make the data folder, the master key (mode 600) and the database; harmless again."""
    try:
        settings = program.settings()
        Path(settings.data_dir).mkdir(parents=True, exist_ok=True)
        _make_master_key(settings.master_key_path)
        read_master_key(settings.master_key_path)
        migrate(settings.database_url)
    except GatewayError as e:
        _fail(e)
    except OSError as e:
        _fail(error("configuration_invalid", f"`data_dir` cannot be made: {e.strerror}"))
    click.echo(f"ready: {settings.data_dir}")


def _make_master_key(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "wb") as file:
        file.write(base64.b64encode(secrets.token_bytes(32)) + b"\n")
        file.flush()
        os.fsync(file.fileno())


@main.command()
@click.pass_obj
def check(program: _Program) -> None:
    """Say what is wrong with the set-up before it is started."""
    try:
        settings = program.settings()
        click.echo(f"ok      settings ({settings.environment})")
        read_master_key(settings.master_key_path)
        click.echo("ok      master key")
        anchors = trust_of(settings)
        click.echo(f"ok      trust ({len(anchors.roots)} anchors)")
        for name in settings.relaxations():
            click.echo(f"relaxed {name}")
    except GatewayError as e:
        click.echo(f"failed  {e.problem.detail}")
        sys.exit(_CONFIGURATION_ERROR)

    async def tenants(gateway: Gateway) -> None:
        known = await gateway.services.tenants.list_tenants()
        click.echo(f"ok      database ({len(known)} tenants)")
        for tenant in known:
            state = "ok     " if tenant.service_provider else "failed "
            click.echo(f"{state} tenant {tenant.id}: service provider")

    program.run(tenants)


@main.command()
@click.pass_obj
def serve(program: _Program) -> None:
    """Run the gateway until SIGTERM or Ctrl-C."""
    try:
        settings = program.settings()
    except GatewayError as e:
        _fail(e)
    _run(_serve(settings))


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with open_gateway(settings) as gateway:
        runner = web.AppRunner(gateway.app, access_log=None, shutdown_timeout=5.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, settings.host, settings.port)
            try:
                await site.start()
            except OSError as e:
                raise _not_listening(settings, e) from e
            structlog.get_logger("moica_gateway").info(
                "gateway.ready",
                environment=settings.environment,
                port=runner.addresses[0][1],
                version=program_version(),
            )
            await stop.wait()
        finally:
            await runner.cleanup()


def _not_listening(settings: Settings, e: OSError) -> GatewayError:
    why = "is busy" if e.errno == errno.EADDRINUSE else f"cannot be opened ({e.strerror})"
    return error(
        "configuration_invalid",
        f"port {settings.port} on {settings.host} {why}; set `port` (MOICA_GATEWAY_PORT) to a "
        "free one",
    )


# -- tenants, keys, webhooks ---------------------------------------------------------------------


@main.group()
def tenant() -> None:
    """Document systems."""


@tenant.command("add")
@click.argument("tenant_id")
@click.option("--name", required=True)
@click.option("--brand", default="", help="Put in front of every hint; at most 20 characters.")
@click.option("--time-limit", default=60, show_default=True, help="Default, in seconds.")
@click.option("--time-limit-max", default=600, show_default=True, help="In seconds.")
@click.option("--return-origin", multiple=True, help="Origin that a return_url may have.")
@click.pass_obj
def tenant_add(
    program: _Program,
    tenant_id: str,
    name: str,
    brand: str,
    time_limit: int,
    time_limit_max: int,
    return_origin: tuple[str, ...],
) -> None:
    """Add a tenant, or change its name and policy."""

    async def work(gateway: Gateway) -> None:
        policy = TenantPolicy(
            time_limit_default=time_limit,
            time_limit_max=time_limit_max,
            brand=checked_brand(brand),
            return_origins=return_origin,
        )
        await gateway.services.tenants.create_tenant(TenantId(tenant_id), name, policy)

    program.run(work)
    click.echo(f"tenant {tenant_id}")


@tenant.command("list")
@click.pass_obj
def tenant_list(program: _Program) -> None:
    """One a line: id, name, service id."""

    async def work(gateway: Gateway) -> None:
        for known in await gateway.services.tenants.list_tenants():
            provider = known.service_provider
            click.echo(f"{known.id}\t{known.name}\t{provider.sp_service_id if provider else '-'}")

    program.run(work)


@tenant.command("service-provider")
@click.argument("tenant_id")
@click.option("--sp-service-id", required=True)
@click.option("--aes-key-file", type=click.File("r"), required=True, help="`-` is stdin.")
@click.option("--key-id", default="sp-1", show_default=True, help="A new one rotates the key.")
@click.pass_obj
def tenant_service_provider(
    program: _Program, tenant_id: str, sp_service_id: str, aes_key_file: Any, key_id: str
) -> None:
    """Set what the Ministry issued: service id and AES key."""
    text = aes_key_file.read().strip()

    async def work(gateway: Gateway) -> None:
        key = parse_aes_key(text)
        refuse_weak_key(key, gateway.settings.environment)
        await gateway.services.tenants.set_service_provider(
            TenantId(tenant_id), sp_service_id, key, key_id
        )

    program.run(work)
    click.echo(f"tenant {tenant_id}: service provider {sp_service_id}, key {key_id}")


@main.group()
def key() -> None:
    """API keys."""


@key.command("add")
@click.argument("tenant_id")
@click.option("--name", required=True)
@click.option("--scope", "scopes", multiple=True, type=click.Choice([s.value for s in Scope]))
@click.option("--test", is_flag=True, help="Works with environment = simulator only.")
@click.option("--key-file", type=click.File("r"), help="A given clear key; `-` is stdin.")
@click.pass_obj
def key_add(
    program: _Program,
    tenant_id: str,
    name: str,
    scopes: tuple[str, ...],
    test: bool,
    key_file: Any,
) -> None:
    """Make a key and print it this once (or take a given one)."""
    given = key_file.read().strip() if key_file else None
    wanted = frozenset(Scope(s) for s in scopes)

    async def work(gateway: Gateway) -> str | None:
        tenants = gateway.services.tenants
        if given is None:
            return await tenants.create_key(TenantId(tenant_id), name, wanted, test=test)
        await tenants.import_key(TenantId(tenant_id), name, wanted, given)
        return None

    made = program.run(work)
    click.echo(made or f"key {name}")


@key.command("list")
@click.argument("tenant_id")
@click.pass_obj
def key_list(program: _Program, tenant_id: str) -> None:
    """One a line: id, name, scopes, state."""

    async def work(gateway: Gateway) -> None:
        for known in await gateway.services.tenants.list_keys(TenantId(tenant_id)):
            state = "revoked" if known.revoked_at else "test" if known.test else "live"
            click.echo(f"{known.id}\t{known.name}\t{','.join(sorted(known.scopes))}\t{state}")

    program.run(work)


@key.command("revoke")
@click.argument("tenant_id")
@click.argument("key_id")
@click.pass_obj
def key_revoke(program: _Program, tenant_id: str, key_id: str) -> None:
    """From now on it authenticates nobody."""
    program.run(lambda g: g.services.tenants.revoke_key(TenantId(tenant_id), key_id))
    click.echo(f"revoked {key_id}")


@main.group()
def webhook() -> None:
    """Where events go."""


@webhook.command("add")
@click.argument("tenant_id")
@click.argument("url")
@click.option("--secret-file", type=click.File("r"), help="A given whsec_…; `-` is stdin.")
@click.option("--ca-file", type=click.Path(exists=True), help="For a private authority.")
@click.pass_obj
def webhook_add(
    program: _Program, tenant_id: str, url: str, secret_file: Any, ca_file: str | None
) -> None:
    """Add an address and print its secret this once (or take a given one)."""
    given = secret_file.read().strip() if secret_file else None
    _, clear = program.run(
        lambda g: g.services.tenants.add_webhook(TenantId(tenant_id), url, given, ca_file)
    )
    click.echo(f"webhook {url}" if given else clear)


@webhook.command("list")
@click.argument("tenant_id")
@click.pass_obj
def webhook_list(program: _Program, tenant_id: str) -> None:
    """One a line: id, address, state."""

    async def work(gateway: Gateway) -> None:
        for known in await gateway.services.tenants.list_webhooks(TenantId(tenant_id)):
            click.echo(f"{known.id}\t{known.url}\t{'enabled' if known.enabled else 'disabled'}")

    program.run(work)


# -- looking --------------------------------------------------------------------------------------


@main.group()
def transaction() -> None:
    """Transactions."""


@transaction.command("show")
@click.argument("tenant_id")
@click.argument("transaction_id")
@click.pass_obj
def transaction_show(program: _Program, tenant_id: str, transaction_id: str) -> None:
    """Where it stands, without personal data."""

    async def work(gateway: Gateway) -> None:
        caller = Caller(tenant=TenantId(tenant_id), actor="cli")
        found = await gateway.services.transactions.get(caller, TransactionId(transaction_id))
        shown = {
            "id": found.id,
            "kind": found.kind,
            "status": found.status,
            "version": found.version,
            "created_at": found.created_at.isoformat(),
            "expires_at": found.expires_at.isoformat(),
            "documents": [d.number for d in found.documents],
            "challenges": [f"{c.channel}: {c.status}" for c in found.challenges],
            "error": found.error.code if found.error else None,
        }
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))

    program.run(work)


@main.group()
def credential() -> None:
    """Registered certificates."""


@credential.command("list")
@click.argument("tenant_id")
@click.argument("user_id")
@click.pass_obj
def credential_list(program: _Program, tenant_id: str, user_id: str) -> None:
    """One a line: id, status, issuer, serial, last day."""

    async def work(gateway: Gateway) -> None:
        caller = Caller(tenant=TenantId(tenant_id), actor="cli")
        for known in await gateway.services.credentials.list(caller, user_id):
            click.echo(
                f"{known.id}\t{known.status}\t{known.issuer_name}\t{known.serial_number}\t"
                f"{known.not_after.date()}"
            )

    program.run(work)
