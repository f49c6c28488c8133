"""``explain``: what a checksum has to cover, and why one does not verify, with any platform.

Nothing is sent anywhere.

The key comes from the environment or from a tenant, never from the command line, and is never
shown. Personal data is masked unless it is asked for. So is then every hash over it: an ID number
has few values, and whoever has the rest of a payload finds it from the hash in a second.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Any, Final

import click

from moica_gateway.app import Gateway
from moica_gateway.cli.program import Program
from moica_gateway.domain.models import SpKey
from moica_gateway.domain.values import TenantId
from moica_gateway.errors import error
from moica_gateway.protocols.twfido import parse_aes_key
from moica_gateway.protocols.twfido.explain import (
    INTERFACES,
    Report,
    explain_answer,
    explain_request,
    read_body,
)
from moica_gateway.protocols.twfido.wire import Interface

__all__ = ["explain"]

_KEY_ENV: Final = "SP_AES_KEY"
_ID_NUMBER: Final = re.compile(r"(?i)(?<![A-Z0-9])([A-Z][1289A-D])\d{6}(\d{2})(?!\d)")
# Who knows one of these can look a person up, or act for one.
_WHOLLY_MASKED: Final = frozenset({"hashed_id_num", "sp_ticket"})
_HIDDEN: Final = "（遮蔽：由它可反推身分證字號；hidden, --show-personal-data shows it）"


class _InterfaceName(click.ParamType[Interface]):
    """``SP-API-ATH-03``, ``ATH-03`` or ``requestAthOrSignPush``."""

    name = "INTERFACE"

    def convert(self, value: Any, param: Any, ctx: click.Context | None) -> Interface:
        for interface in INTERFACES:
            short = interface.id.removeprefix("SP-API-")
            if value in (interface, interface.id, short) or (value and value == interface.method):
                return interface
        self.fail(
            "expected one of " + ", ".join(f"{i.id} ({i.method or 'form'})" for i in INTERFACES),
            param,
            ctx,
        )


@click.command()
@click.argument("interface", type=_InterfaceName())
@click.argument("body", type=click.File("rb"), default="-")
@click.option("--tenant", "tenant_id", metavar="ID", help="Whose stored key to take.")
@click.option(
    "--aes-key-env",
    metavar="NAME",
    help=f"An environment variable that holds the key; without --tenant {_KEY_ENV}.",
)
@click.option("--answer", is_flag=True, help="BODY is an answer: explain its idp_checksum.")
@click.option("--transaction-id", metavar="ID", help="With --answer: the one that was sent.")
@click.option(
    "--show-personal-data", is_flag=True, help="Show ID numbers, tickets and hashes over them."
)
@click.pass_context
def explain(
    context: click.Context,
    interface: Interface,
    body: IO[bytes],
    tenant_id: str | None,
    aes_key_env: str | None,
    answer: bool,
    transaction_id: str | None,
    show_personal_data: bool,
) -> None:
    """Say what a checksum in BODY (a file, or stdin) has to cover, and what is wrong with it."""
    program: Program = context.obj
    if tenant_id is not None and aes_key_env is not None:
        raise click.UsageError("expected one of --tenant and --aes-key-env")
    if answer != (transaction_id is not None):
        raise click.UsageError("expected --answer and --transaction-id together, or neither")
    read = read_body(interface, body.read())
    keys = _keys(program, tenant_id, aes_key_env or _KEY_ENV)
    report = (
        explain_answer(interface, transaction_id, read, keys)
        if transaction_id is not None
        else explain_request(interface, read, keys)
    )
    for line in _lines(report, clear=show_personal_data):
        click.echo(line)
    if not report.right:
        context.exit(1)


def _keys(program: Program, tenant_id: str | None, variable: str) -> tuple[SpKey, ...]:
    """Of the tenant, or the one in the environment.

    Raises:
        ConfigurationError: ``configuration_invalid`` where there is none.
    """
    if tenant_id is None:
        if not (text := program.environ.get(variable, "")):
            raise error(
                "configuration_invalid",
                f"expected the AES key in the environment variable {variable} (or --tenant, whose "
                "stored key is taken), came none",
            )
        return (SpKey(id="environment", key=parse_aes_key(text), current=True),)

    async def work(gateway: Gateway) -> tuple[SpKey, ...]:
        for known in await gateway.services.tenants.list_tenants():
            if known.id == TenantId(tenant_id) and known.service_provider is not None:
                return known.service_provider.keys
        raise error(
            "configuration_invalid",
            "expected a tenant with a service provider, came another id; "
            "`moica-gateway tenant list` shows them",
        )

    return program.run(work)


def _lines(report: Report, *, clear: bool) -> Iterator[str]:
    shown = {name: text if clear else _masked(name, text) for name, text in report.fields.items()}
    hidden = not clear and shown != dict(report.fields)
    yield f"介面 interface: {report.interface.id} {report.interface.method}".rstrip()
    yield f"欄位順序 order: {', '.join(report.fields)}"
    for name, text in shown.items():
        yield f"  {name}: {_one_line(text) if text else '（空字串 empty）'}"
    yield f"串接內容 payload: {_one_line(''.join(shown.values()))}"
    yield f"SHA-256: {_HIDDEN if hidden else report.digest}"
    yield f"送來的 {report.checksum_name} sent: {_form(report)}"
    if report.inside is not None:
        yield f"涵蓋的雜湊值 covers: {_HIDDEN if hidden else _one_line(report.inside)}"
    yield f"判定 verdict: {'正確 right' if report.right else '錯誤 wrong'}"
    if len(report.causes) > 1:
        yield "原因是以下其中一種 one of these:"
    for cause in report.causes:
        for slip in cause:
            sure = "原因 cause" if slip.proved else "推測 perhaps"
            yield f"{sure}: {_clean(slip.zh, clear=clear)}"
            yield f"  {_clean(slip.en, clear=clear)}"


def _form(report: Report) -> str:
    if not report.sent:
        return "沒有 none"
    iv = "" if report.iv is None else f", IV {report.iv.hex()}"
    note = "" if report.iv is None or any(report.iv) else "（全為零 all zero）"
    return f"{len(report.sent)} 個字元 characters{iv}{note}"


def _masked(name: str, text: str) -> str:
    if name in _WHOLLY_MASKED and text:
        return f"{text[:4]}…（{len(text)} 個字元 characters）"
    if name == "id_num" and text:  # also one of a wrong form
        return f"{text[:2]}{'*' * max(len(text) - 4, 4)}{text[-2:] if len(text) > 4 else ''}"
    return _clean(text, clear=False)


def _clean(text: str, *, clear: bool) -> str:
    return text if clear else _ID_NUMBER.sub(r"\1******\2", text)


def _one_line(text: str) -> str:
    """As it can be written on a line of a terminal, and do nothing to it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
