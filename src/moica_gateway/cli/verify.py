"""``verify``: check a signed file, or a ZIP of evidence, offline.

Whom to trust is the operator's word alone (``--anchors``, or the settings): roots in the file are
not looked at. Nothing is fetched: what was revoked is read from ``--crl``, and of evidence also
from the lists in it, under their issuers' signatures. Exit status: 0 all verified, 1 not all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click
from attrs import field, frozen
from cryptography import x509

from moica_gateway.app import SystemClock, trust_of
from moica_gateway.cli.program import Program, run
from moica_gateway.domain.audit import key_id_of
from moica_gateway.domain.readings import GivenContent
from moica_gateway.errors import GatewayError, error
from moica_gateway.formats import formats_by_name, readers_by_name
from moica_gateway.formats.isolation import IsolatedWorkshop
from moica_gateway.ports import EgressError, EgressReply
from moica_gateway.services.evidence import OpenedEvidence, open_evidence
from moica_gateway.services.verification import Verification, VerifiedFile
from moica_gateway.stores import signed_by
from moica_gateway.trust import (
    CertificateJudge,
    CrlStore,
    GivenLists,
    Revocation,
    TrustAnchors,
    authorities_by_id,
    load_certificates,
    sort_authorities,
)
from moica_gateway.wire import parse_time

__all__ = ["verify"]

_ZIP: Final = b"PK\x03\x04"
_MAX_FILE: Final = 512 * 1_048_576
_SIGNS: Final = {True: "ok", False: "NO", None: "--"}
_WORDS: Final = {"verified": "驗證通過", "failed": "驗證不通過", "incomplete": "無法完整驗證"}
_SIMULATOR_UNIT: Final = "NOT FOR PRODUCTION"


class _At(SystemClock):
    """As of one moment, or now."""

    def __init__(self, moment: datetime | None) -> None:
        self._moment = moment

    def now(self) -> datetime:
        """See the port."""
        return self._moment or super().now()


class _Nowhere:
    """Implements `ports.Egress`: offline."""

    async def request(self, *_arguments: Any, **_more: Any) -> EgressReply:
        """See the port."""
        raise EgressError("address", "nothing is fetched", maybe_sent=False)


@frozen(kw_only=True)
class _Case:
    """One file to be checked, and by what."""

    name: str
    data: bytes = field(repr=False)
    given: GivenContent
    format: str | None = None
    at: datetime | None = None
    lists: tuple[bytes, ...] = field(default=(), repr=False)
    intermediates: tuple[bytes, ...] = field(default=(), repr=False)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--content", type=click.Path(path_type=Path, dir_okay=False), help="What was signed.")
@click.option("--sha256", metavar="HEX", help="Its digest, where only that is known.")
@click.option(
    "--certificate", type=click.Path(path_type=Path, dir_okay=False), help="Of the signer."
)
@click.option(
    "--format", "format_", type=click.Choice(sorted(readers_by_name())), help="Else recognised."
)
@click.option(
    "--anchors",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Roots that you trust, and intermediates: files or folders; else those of the settings.",
)
@click.option(
    "--crl",
    "crls",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="Revocation lists.",
)
@click.option("--at", "moment", metavar="TIME", help="As of then (RFC 3339), instead of now.")
@click.option("--public-key", metavar="HEX", help="Of evidence: the gateway's, as `audit head`.")
@click.pass_obj
def verify(
    program: Program,
    *,
    file: Path,
    content: Path | None,
    sha256: str | None,
    certificate: Path | None,
    format_: str | None,
    anchors: tuple[Path, ...],
    crls: tuple[Path, ...],
    moment: str | None,
    public_key: str | None,
) -> None:
    """Check FILE offline: a signature (.p7s, PDF, bare), or a ZIP of evidence.

    Evidence is checked as of the moment at which the gateway judged, by the gateway's word.
    """
    data = _read(file)
    given = GivenContent(
        content=_read(content) if content else None,
        sha256=_digest(sha256),
        certificate=load_certificates([certificate])[0] if certificate else None,
    )
    trusted = (
        sort_authorities(load_certificates(anchors)) if anchors else trust_of(program.settings())
    )
    _say_simulator(trusted)
    lists = tuple(_read(each) for each in crls)
    at = _moment(moment)
    whole = True
    if data.startswith(_ZIP):
        evidence = open_evidence(data, signed_by)
        whole = _say_evidence(evidence, public_key)
        cases = list(_cases(evidence, given, lists, at))
        if not cases:
            click.echo("no signature in it 其中沒有簽章")
    else:
        one = _Case(name=file.name, data=data, given=given, format=format_, at=at, lists=lists)
        cases = [one]
    for case in cases:
        whole &= _say(case, run(_verified(case, trusted)))
    raise SystemExit(0 if whole else 1)


async def _verified(case: _Case, trusted: TrustAnchors) -> VerifiedFile | GatewayError:
    clock = _At(case.at)
    anchors = TrustAnchors(
        trusted.roots, tuple(dict.fromkeys((*trusted.intermediates, *case.intermediates)))
    )
    authorities = (*anchors.roots, *anchors.intermediates)
    lists = GivenLists(case.lists, authorities_by_id(authorities))
    crls = CrlStore(_Nowhere(), clock, hosts=(), authorities=authorities, kept=lists)
    judge = CertificateJudge(anchors=anchors, revocation=Revocation(crls))
    readers = readers_by_name()
    workshop = IsolatedWorkshop(formats_by_name(), readers, clock)
    try:
        verification = Verification(workshop, readers, judge, clock)
        return await verification.verify(case.data, case.given, case.format)
    except GatewayError as e:
        return e
    finally:
        await workshop.close()


# -- what is checked -------------------------------------------------------------------------------


def _cases(
    evidence: OpenedEvidence, given: GivenContent, lists: tuple[bytes, ...], at: datetime | None
) -> Iterator[_Case]:
    transaction = evidence.member("transaction.json")
    documents = transaction.get("documents") if isinstance(transaction, dict) else None
    for name in sorted(evidence.files):
        folder, _, last = name.rpartition("/")
        if not (folder.startswith("documents/") and last.startswith("signed.")):
            continue
        told = _told(documents, folder.removeprefix("documents/"))
        answers = f"answers/{told.get('ticket', 1)}"
        judged = evidence.member(f"{answers}/judged.json")
        judged_at = judged.get("judged_at") if isinstance(judged, dict) else None
        bare = str(transaction.get("format")) == "pkcs1" if isinstance(transaction, dict) else False
        yield _Case(
            name=name,
            data=evidence.files[name],
            format="pkcs1" if bare else None,
            given=GivenContent(
                content=given.content,
                sha256=given.sha256 or _digest(told.get("sha256")),
                certificate=evidence.files.get(f"{answers}/certificate.cer"),
            )
            if last != "signed.pdf"
            else GivenContent(),
            at=at or _moment(judged_at),
            lists=(*lists, *_under(evidence, "revocation/", ".crl")),
            intermediates=tuple(
                der for der in _under(evidence, f"{answers}/issuer-", ".cer") if _authority(der)
            ),
        )


def _told(documents: Any, number: str) -> dict[str, Any]:
    """What the gateway said of that document."""
    if isinstance(documents, list) and number.isdecimal() and 1 <= int(number) <= len(documents):
        told = documents[int(number) - 1]
        return told if isinstance(told, dict) else {}
    return {}


def _under(evidence: OpenedEvidence, start: str, end: str) -> tuple[bytes, ...]:
    names = sorted(n for n in evidence.files if n.startswith(start) and n.endswith(end))
    return tuple(evidence.files[name] for name in names)


def _authority(der: bytes) -> bool:
    """Completes a path at most, never ends one."""
    try:
        parsed = x509.load_der_x509_certificate(der)
        return parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.InvalidVersion):
        return False


# -- what is said ----------------------------------------------------------------------------------


def _say_simulator(trusted: TrustAnchors) -> None:
    for der in trusted.roots:
        if _SIMULATOR_UNIT in x509.load_der_x509_certificate(der).subject.rfc4514_string().upper():
            click.echo("測試，無法律效力 a simulator's root is trusted: for tests only", err=True)


def _say_evidence(evidence: OpenedEvidence, public_key: str | None) -> bool:
    for problem in evidence.problems:
        click.echo(f"evidence: NO  {problem}")
    whole = not evidence.problems
    key = key_id_of(evidence.public_key)
    if public_key is None:
        click.echo(f"evidence: --  signed by key {key}; whose that is was not asked (--public-key)")
    elif public_key.strip().lower() == evidence.public_key.hex():
        click.echo(f"evidence: ok  signed by key {key}, the one that was given")
    else:
        click.echo(f"evidence: NO  expected the key that was given, came {key}")
        whole = False
    if not evidence.problems:
        click.echo(f"evidence: ok  {len(evidence.files)} files as they were packed 內容未經更動")
    return whole


def _say(case: _Case, found: VerifiedFile | GatewayError) -> bool:
    if isinstance(found, GatewayError):
        click.echo(f"{case.name}: {_WORDS['failed']} {found.problem.detail}")
        return False
    when = f"as of {case.at.isoformat()}" if case.at else "as of now"
    for signature in found.signatures:
        subject = signature.subject.subject_name if signature.subject else "?"
        click.echo(
            f"{case.name}: {signature.result} {_WORDS[signature.result]} "
            f"({signature.found.name}, {found.format}, {subject}, {when})"
        )
        for check in signature.report:
            click.echo(f"  {_SIGNS[check.passed]}  {check.name}: {check.detail}")
    return found.result == "verified"


# -- what was given --------------------------------------------------------------------------------


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE + 1)
    except OSError as e:
        raise error(
            "configuration_invalid", f"expected a file that can be read, came {path} ({e.strerror})"
        ) from None
    if len(data) > _MAX_FILE:
        raise error("configuration_invalid", f"expected at most 512 MiB, came more in {path}")
    return data


def _digest(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise error("configuration_invalid", "expected a SHA-256 as 64 hexadecimal digits")
    return digest


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_time(text)
    except (ValueError, OverflowError):
        raise error(
            "configuration_invalid", "expected a time by RFC 3339 with a zone, came another"
        ) from None
