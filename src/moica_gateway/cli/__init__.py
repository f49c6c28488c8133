"""``moica-gateway``: serve, set up, look. Secrets come from files, stdin or the environment, never
from arguments, which every user of the machine can read.

Exit status: 0 done; 1 refused, or a defect; 2 the set-up (or the command line) is wrong. Trouble is
one line on stderr, in English and Chinese, never a traceback. ``api.md`` "Commands"; commands of
later versions are not here.
"""

from __future__ import annotations

import os

import click

from moica_gateway.app import program_version
from moica_gateway.cli.audit import audit
from moica_gateway.cli.explain import explain
from moica_gateway.cli.lists import crl
from moica_gateway.cli.program import Group, Program
from moica_gateway.cli.records import credential, transaction
from moica_gateway.cli.server import serve
from moica_gateway.cli.setup import check, init
from moica_gateway.cli.tenants import key, tenant, webhook
from moica_gateway.cli.verify import verify

__all__ = ["main"]


@click.group(cls=Group)
@click.option("--config", metavar="FILE", help="TOML file (or MOICA_GATEWAY_CONFIG).")
@click.pass_context
def main(context: click.Context, config: str | None) -> None:
    """Sign official documents with the mobile citizen certificate (行動自然人憑證)."""
    context.obj = Program(config or os.environ.get("MOICA_GATEWAY_CONFIG"), os.environ)


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(program_version())


for _command in (
    *(serve, init, check, explain),
    *(tenant, key, webhook, transaction, credential),
    *(crl, audit, verify),
):
    main.add_command(_command)
