"""``tenant``, ``key``, ``webhook``: who may call, and where events go."""

from __future__ import annotations

import re
from typing import IO, Final, Literal
from urllib.parse import urlsplit

import click

from moica_gateway.app import Gateway
from moica_gateway.cli.program import Program, read_secret
from moica_gateway.domain.hints import brand as checked_brand
from moica_gateway.domain.models import Scope
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import TenantId
from moica_gateway.errors import error
from moica_gateway.protocols.twfido import parse_aes_key
from moica_gateway.settings import refuse_weak_key

__all__ = ["key", "tenant", "webhook"]

_TEST: Final = "mgk_test_"
_SHORTEST: Final = 30
_LONGEST: Final = 600


class _Form(click.ParamType[str]):
    """Text of one form; another is an error of the command line."""

    def __init__(self, name: str, pattern: str, expected: str) -> None:
        self.name = name
        self._pattern = re.compile(pattern)
        self._expected = expected

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not self._pattern.fullmatch(value):
            self.fail(f"expected {self._expected}, came another form", param, ctx)
        return value


# A line break in an id would let one browser token be read as another tenant's.
_ID: Final = _Form(
    "ID", r"[a-z0-9][a-z0-9_-]{0,63}", "1 to 64 of a to z, 0 to 9, - and _, letter or digit first"
)
_NAME: Final = _Form("NAME", r"[^\x00-\x1f\x7f-\x9f]{1,100}", "1 to 100 characters of one line")
_SP_SERVICE_ID: Final = _Form(
    "SERVICE_ID", r"[0-9A-Za-z._-]{1,100}", "letters, digits, - . and _, as the Ministry issued it"
)


class _Origin(click.ParamType[str]):
    """Scheme, host and perhaps port."""

    name = "ORIGIN"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            parts = urlsplit(value)
            same = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"
            known = parts.scheme in ("http", "https")
        except ValueError:
            same, known = "", False
        if same != value or not known:
            self.fail("expected https://host or https://host:port and nothing behind", param, ctx)
        return value


@click.group()
def tenant() -> None:
    """Document systems."""


@tenant.command("add")
@click.argument("tenant_id", type=_ID)
@click.option("--name", required=True, type=_NAME)
@click.option("--brand", default="", help="Put in front of every hint; at most 20 characters.")
@click.option(
    "--time-limit",
    default=60,
    show_default=True,
    type=click.IntRange(_SHORTEST, _LONGEST),
    help="Default, in seconds.",
)
@click.option(
    "--time-limit-max",
    default=600,
    show_default=True,
    type=click.IntRange(_SHORTEST, _LONGEST),
    help="In seconds.",
)
@click.option(
    "--batch-max",
    default=100,
    type=click.IntRange(1, 1000),
    show_default=True,
    help="Documents of one batch.",
)
@click.option(
    "--return-origin", multiple=True, type=_Origin(), help="Origin that a return_url may have."
)
@click.option(
    "--identity-queries",
    default=100,
    show_default=True,
    type=click.IntRange(0, 1_000_000),
    help="Distinct ID numbers a day for keys with scope identity:query.",
)
@click.option(
    "--audit-heads",
    is_flag=True,
    help="Tell it the signed heads of its audit record, as events security.audit_head.",
)
@click.option(
    "--certificate-changed",
    default="fail",
    show_default=True,
    type=click.Choice(["fail", "follow"]),
    help="With bare formats: whether a renewed certificate of the same person is taken.",
)
@click.pass_obj
def tenant_add(
    program: Program,
    tenant_id: str,
    name: str,
    brand: str,
    time_limit: int,
    time_limit_max: int,
    batch_max: int,
    return_origin: tuple[str, ...],
    identity_queries: int,
    audit_heads: bool,
    certificate_changed: Literal["fail", "follow"],
) -> None:
    """Add a tenant, or change its name and policy; the same again changes nothing."""
    if time_limit > time_limit_max:
        raise click.BadParameter(
            f"expected at most --time-limit-max ({time_limit_max})", param_hint="--time-limit"
        )

    async def work(gateway: Gateway) -> None:
        policy = TenantPolicy(
            time_limit_default=time_limit,
            time_limit_max=time_limit_max,
            brand=checked_brand(brand),
            return_origins=return_origin,
            batch_max=batch_max,
            identity_queries_per_day=identity_queries,
            audit_heads=audit_heads,
            certificate_changed=certificate_changed,
        )
        await gateway.services.tenants.create_tenant(TenantId(tenant_id), name, policy)

    program.run(work)
    click.echo(f"tenant {tenant_id}")


@tenant.command("list")
@click.pass_obj
def tenant_list(program: Program) -> None:
    """One a line: id, name, service id."""

    async def work(gateway: Gateway) -> None:
        for known in await gateway.services.tenants.list_tenants():
            provider = known.service_provider
            click.echo(f"{known.id}\t{known.name}\t{provider.sp_service_id if provider else '-'}")

    program.run(work)


@tenant.command("service-provider")
@click.argument("tenant_id", type=_ID)
@click.option("--sp-service-id", required=True, type=_SP_SERVICE_ID)
@click.option("--aes-key-file", type=click.File("rb"), help="`-` is stdin.")
@click.option("--aes-key-env", metavar="NAME", help="An environment variable that holds the key.")
@click.option("--key-id", default="sp-1", show_default=True, type=_ID, help="A new one rotates.")
@click.pass_obj
def tenant_service_provider(
    program: Program,
    tenant_id: str,
    sp_service_id: str,
    aes_key_file: IO[bytes] | None,
    aes_key_env: str | None,
    key_id: str,
) -> None:
    """Set what the Ministry issued: service id and AES key."""
    if (aes_key_file is None) == (aes_key_env is None):
        raise click.UsageError("expected one of --aes-key-file and --aes-key-env")
    if aes_key_file is not None:
        text = read_secret(aes_key_file, "the AES key")
    else:
        text = program.environ.get(aes_key_env or "", "")

    async def work(gateway: Gateway) -> None:
        aes_key = parse_aes_key(text)
        refuse_weak_key(aes_key, gateway.settings.environment)
        await gateway.services.tenants.set_service_provider(
            TenantId(tenant_id), sp_service_id, aes_key, key_id
        )

    program.run(work)
    click.echo(f"tenant {tenant_id}: service provider {sp_service_id}, key {key_id}")


@click.group()
def key() -> None:
    """API keys."""


@key.command("add")
@click.argument("tenant_id", type=_ID)
@click.option("--name", required=True, type=_NAME)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([s.value for s in Scope]),
    help="Once for each scope; a key without any may do nothing.",
)
@click.option("--test", is_flag=True, help="Works with environment = simulator only.")
@click.option("--key-file", type=click.File("rb"), help="A given clear key; `-` is stdin.")
@click.pass_obj
def key_add(
    program: Program,
    tenant_id: str,
    name: str,
    scopes: tuple[str, ...],
    test: bool,
    key_file: IO[bytes] | None,
) -> None:
    """Make a key and print it this once (or take a given one)."""
    given = read_secret(key_file, "the key") if key_file else None
    if test and given is not None and not given.startswith(_TEST):
        raise error("configuration_invalid", f"expected a key `{_TEST}…` with --test, came another")
    wanted = frozenset(Scope(s) for s in scopes)

    async def work(gateway: Gateway) -> str | None:
        tenants = gateway.services.tenants
        if given is None:
            return await tenants.create_key(TenantId(tenant_id), name, wanted, test=test)
        await tenants.import_key(TenantId(tenant_id), name, wanted, given)
        return None

    made = program.run(work)
    click.echo(made or f"key {name}")
    if not wanted:
        click.echo("note: it has no scope, and may do nothing; see --scope", err=True)


@key.command("list")
@click.argument("tenant_id", type=_ID)
@click.pass_obj
def key_list(program: Program, tenant_id: str) -> None:
    """One a line: id, name, scopes, state."""

    async def work(gateway: Gateway) -> None:
        for known in await gateway.services.tenants.list_keys(TenantId(tenant_id)):
            state = "revoked" if known.revoked_at else "test" if known.test else "live"
            click.echo(f"{known.id}\t{known.name}\t{','.join(sorted(known.scopes))}\t{state}")

    program.run(work)


@key.command("revoke")
@click.argument("tenant_id", type=_ID)
@click.argument("key_id")
@click.pass_obj
def key_revoke(program: Program, tenant_id: str, key_id: str) -> None:
    """From now on it authenticates nobody."""
    program.run(lambda g: g.services.tenants.revoke_key(TenantId(tenant_id), key_id))
    click.echo(f"revoked {key_id}")


@click.group()
def webhook() -> None:
    """Where events go."""


@webhook.command("add")
@click.argument("tenant_id", type=_ID)
@click.argument("url")
@click.option("--secret-file", type=click.File("rb"), help="A given whsec_…; `-` is stdin.")
@click.option(
    "--ca-file",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True),
    help="For a private authority.",
)
@click.pass_obj
def webhook_add(
    program: Program,
    tenant_id: str,
    url: str,
    secret_file: IO[bytes] | None,
    ca_file: str | None,
) -> None:
    """Add an address and print its secret this once (or take a given one)."""
    given = read_secret(secret_file, "the secret") if secret_file else None
    _, clear = program.run(
        lambda g: g.services.tenants.add_webhook(TenantId(tenant_id), url, given, ca_file)
    )
    click.echo(f"webhook {url}" if given else clear)


@webhook.command("list")
@click.argument("tenant_id", type=_ID)
@click.pass_obj
def webhook_list(program: Program, tenant_id: str) -> None:
    """One a line: id, address, state."""

    async def work(gateway: Gateway) -> None:
        for known in await gateway.services.tenants.list_webhooks(TenantId(tenant_id)):
            click.echo(f"{known.id}\t{known.url}\t{'enabled' if known.enabled else 'disabled'}")

    program.run(work)
