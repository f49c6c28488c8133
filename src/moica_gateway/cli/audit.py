"""``audit``: check the audit record's chain, export it, and print the head to be kept elsewhere.

They open the store and nothing else, read only, and so work beside a running gateway and where the
rest of the set-up is broken. ``verify --file`` needs no gateway at all, no key but the public one,
and so anybody can do it. Exit status of ``verify``: 0 whole, 1 meddled with (each place is a line).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Sequence
from typing import IO, Any, Final, TypeVar

import click

from moica_gateway.app import SystemClock, SystemRandom
from moica_gateway.cli.program import Program, run
from moica_gateway.domain.audit import AuditHead, canonical_time, head_members
from moica_gateway.domain.audit_check import Finding, Kind, Report
from moica_gateway.domain.audit_lines import check_lines, head_of
from moica_gateway.domain.values import TenantId
from moica_gateway.errors import error
from moica_gateway.services.audit import AuditTrail
from moica_gateway.settings import read_master_key
from moica_gateway.stores import DerivedSeals, open_store, signed_by

__all__ = ["audit"]

T = TypeVar("T")

_CHINESE: Final = {
    Kind.EDITED: "竄改",
    Kind.DELETED: "刪除",
    Kind.INSERTED: "插入",
    Kind.REORDERED: "順序調換",
    Kind.TRUNCATED: "截斷",
    Kind.REPLACED: "整段置換",
    Kind.UNSIGNED: "未經簽署",
}
_LARGEST_HEADS: Final = 1_000_000


@click.group()
def audit() -> None:
    """The audit record: who did what, in a chain that shows every change."""


@audit.command()
@click.option("--tenant", help="Of one tenant only.")
@click.option(
    "--head",
    "heads_file",
    type=click.File("rb"),
    help="Heads that were kept elsewhere, as `audit head` prints them; `-` is stdin.",
)
@click.option("--file", "export_file", type=click.File("rb"), help="An export, not the database.")
@click.option(
    "--public-key", metavar="HEX", help="With --file: whose heads are believed, without --head."
)
@click.pass_context
def verify(
    context: click.Context,
    tenant: str | None,
    heads_file: IO[bytes] | None,
    export_file: IO[bytes] | None,
    public_key: str | None,
) -> None:
    """Say whether anything was edited, deleted, inserted, reordered or cut off, and where.

    Without --head, whoever can write to the database can cut off the end unseen.
    """
    heads = _read_heads(heads_file)
    if export_file is None:
        if public_key is not None:
            raise click.UsageError("--public-key goes with --file; the database's key is known")
        reports = _with_trail(context.obj, lambda trail: _verify_all(trail, tenant, heads))
    else:
        keys = _public_keys(public_key, heads)
        reports = check_lines(export_file, public_keys=keys, heads=heads, signed=signed_by)
        reports = [report for report in reports if tenant in (None, report[0])]
    for whose, report in reports:
        _say(whose, report)
    if not reports:
        click.echo("no audit record; 沒有稽核紀錄", err=True)
    if not reports or any(report.findings for _, report in reports):
        context.exit(1)


@audit.command()
@click.option("--tenant", help="Of one tenant only.")
@click.pass_obj
def export(program: Program, tenant: str | None) -> None:
    """Write it as JSON Lines to stdout, with chain and heads, for `audit verify --file` and others.

    It names no person; see docs/reference/audit.md.
    """

    async def work(trail: AuditTrail) -> None:
        for one in await _chosen(trail, tenant):
            await trail.export(one, click.echo)

    _with_trail(program, work)


@audit.command()
@click.option("--tenant", help="Of one tenant only.")
@click.pass_obj
def head(program: Program, tenant: str | None) -> None:
    """Print the newest signed head of each tenant, a line each: keep it where the gateway is not.

    `audit verify --head` finds with it everything that was changed or cut off before it.
    """

    async def work(trail: AuditTrail) -> list[AuditHead]:
        found = [await trail.head(one) for one in await _chosen(trail, tenant)]
        return [one for one in found if one is not None]

    for one in _with_trail(program, work):
        click.echo(json.dumps(head_members(one)))


# -- inside ------------------------------------------------------------------------------------


def _with_trail(program: Program, work: Callable[[AuditTrail], Coroutine[Any, Any, T]]) -> T:
    async def opened() -> T:
        settings = program.settings()
        master_key = read_master_key(settings.master_key_path)
        store = open_store(
            settings.database_url,
            master_key=master_key,
            clock=SystemClock(),
            random=SystemRandom(),
        )
        async with store:
            return await work(AuditTrail(store=store, seals=DerivedSeals(master_key)))

    return run(opened())


async def _chosen(trail: AuditTrail, tenant: str | None) -> Sequence[TenantId]:
    known = await trail.tenants()
    if tenant is None:
        return known
    if tenant not in known:
        raise error("not_found", "expected the id of a tenant, came another")
    return (TenantId(tenant),)


async def _verify_all(
    trail: AuditTrail, tenant: str | None, heads: Sequence[AuditHead]
) -> list[tuple[str, Report]]:
    chosen = [*await _chosen(trail, tenant)]
    if tenant is None:
        # Of whom nothing is left but a head that was kept.
        chosen += sorted({head.tenant for head in heads}.difference(chosen))
    return [
        (one, await trail.verify(one, [head for head in heads if head.tenant == one]))
        for one in chosen
    ]


def _read_heads(file: IO[bytes] | None) -> list[AuditHead]:
    if file is None:
        return []
    try:
        lines = file.read(_LARGEST_HEADS).splitlines()
        heads = [head_of(json.loads(line)) for line in lines if line.strip()]
    except (AttributeError, TypeError, ValueError, RecursionError):
        heads = []
    if not heads:
        raise click.BadParameter(
            "expected heads as `moica-gateway audit head` prints them, a line each",
            param_hint="--head",
        )
    for one in heads:
        if not signed_by(one.public_key, one.signature, one.signed_bytes):
            raise click.BadParameter(
                f"expected a head as it was signed, the one at position {one.position} of "
                f"{one.tenant} was changed",
                param_hint="--head",
            )
    return heads


def _public_keys(text: str | None, heads: Sequence[AuditHead]) -> list[bytes]:
    if text is None:
        if not heads:
            raise click.UsageError(
                "--file needs --head or --public-key: an export says itself who signed it"
            )
        # They were kept elsewhere: that is what makes their key the right one.
        return [head.public_key for head in heads]
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise click.BadParameter("expected 64 hexadecimal digits", param_hint="--public-key")
    return [key]


def _say(whose: str, report: Report) -> None:
    name = whose or "?"
    for finding in report.findings:
        click.echo(f"{name}: {_where(finding)}")
    covered = f"positions {report.first} to {report.last}" if report.sealed else "nothing sealed"
    words = [f"{name}: {'tampered' if report.findings else 'whole'}: {covered}"]
    if report.head is not None:
        words.append(f"head of {canonical_time(report.head.at)}")
    if report.withheld:
        words.append(f"{report.withheld} shown as digests only")
    if report.unsealed:
        words.append(f"{report.unsealed} not sealed yet")
    click.echo(", ".join(words))


def _where(finding: Finding) -> str:
    place = [finding.place] if finding.place else []
    if finding.first is not None:
        several = finding.last is not None and finding.last != finding.first
        text = f"positions {finding.first} to {finding.last}" if several else None
        place.insert(0, text or f"position {finding.first}")
    where = f" at {', '.join(place)}" if place else ""
    return f"{finding.kind} {_CHINESE[finding.kind]}{where}: {finding.words}"
