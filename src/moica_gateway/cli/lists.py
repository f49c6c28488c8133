"""``crl import`` and ``crl list``: revocation lists by hand, for networks without Internet."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import IO, Final

import click

from moica_gateway.app import Gateway, trust_of
from moica_gateway.cli.program import Program
from moica_gateway.errors import error
from moica_gateway.trust import KeptLists, authorities_by_id, import_list

__all__ = ["crl"]

_MAX_FILE: Final = 64 * 1_048_576


@click.group()
def crl() -> None:
    """Certificate revocation lists."""


@crl.command("import")
@click.argument("file", type=click.File("rb"))
@click.pass_obj
def crl_import(program: Program, file: IO[bytes]) -> None:
    """Take in FILE (DER or PEM, - for stdin); a running gateway uses it within half a minute.

    It counts only under the signature of an authority in trust.anchors or trust.intermediates.
    """
    try:
        body = file.read(_MAX_FILE + 1)
    except OSError as e:
        raise error(
            "configuration_invalid",
            f"expected a CRL that can be read, came {file.name} ({e.strerror})",
        ) from None
    if len(body) > _MAX_FILE:
        raise error(
            "configuration_invalid", f"expected a CRL of at most 64 MiB, came more in {file.name}"
        )

    async def work(gateway: Gateway) -> None:
        anchors = trust_of(gateway.settings)
        authorities = authorities_by_id((*anchors.roots, *anchors.intermediates))
        made = await import_list(body, authorities, KeptLists(gateway.store), now=datetime.now(UTC))
        click.echo(
            f"CRL number {made.crl.number} of {made.issuer.subject.rfc4514_string()}, until "
            f"{made.crl.next_update.isoformat()}, {len(made.crl.serials)} revoked, for "
            f"{', '.join(made.crl.scopes).strip('#') or 'all certificates'}"
        )

    program.run(work)


@crl.command("list")
@click.pass_obj
def crl_list(program: Program) -> None:
    """One a line: issuer's SHA-256, number, last moment, and for which certificates."""

    async def work(gateway: Gateway) -> None:
        for head in await KeptLists(gateway.store).heads():
            scope = head.scope.strip("#") or "all certificates"
            click.echo(
                f"{head.issuer[:16]}\t{head.number}\t{head.next_update.isoformat()}\t{scope}"
            )

    program.run(work)
