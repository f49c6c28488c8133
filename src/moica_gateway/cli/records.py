"""Looking at what is stored: ``transaction show``, ``credential list``. No personal data."""

from __future__ import annotations

import json

import click

from moica_gateway.app import Gateway
from moica_gateway.cli.program import Program
from moica_gateway.domain.values import TenantId, TransactionId
from moica_gateway.services.commands import Caller

__all__ = ["credential", "transaction"]


@click.group()
def transaction() -> None:
    """Transactions."""


@transaction.command("show")
@click.argument("tenant_id")
@click.argument("transaction_id")
@click.pass_obj
def transaction_show(program: Program, tenant_id: str, transaction_id: str) -> None:
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


@click.group()
def credential() -> None:
    """Registered certificates."""


@credential.command("list")
@click.argument("tenant_id")
@click.argument("user_id")
@click.pass_obj
def credential_list(program: Program, tenant_id: str, user_id: str) -> None:
    """One a line: id, status, issuer, serial, last day."""

    async def work(gateway: Gateway) -> None:
        caller = Caller(tenant=TenantId(tenant_id), actor="cli")
        for known in await gateway.services.credentials.list(caller, user_id):
            click.echo(
                f"{known.id}\t{known.status}\t{known.issuer_name}\t{known.serial_number}\t"
                f"{known.not_after.date()}"
            )

    program.run(work)
