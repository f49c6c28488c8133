"""When a CRL is believed (RFC 5280, 6.3; security rule 6). Pure: bytes in, serial numbers out.

It travels over plain HTTP, so it is believed only by its issuer and signature (`read_crl`), its
times (`Crl.check_times`), its scope (the issuing distribution point against the certificate's,
`Crl.check_scope`) and its number (`Crl.older_than`). Delta and indirect lists are refused.
Extensions of single entries are not read: whatever reason an entry gives, its serial number counts
as revoked, which errs on the safe side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from attrs import field, frozen
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from moica_gateway.trust.algorithms import STRONG_SIGNATURES, is_signed_by

__all__ = [
    "CLOCK_SKEW",
    "COMPLETE_SCOPES",
    "Crl",
    "CrlRefusedError",
    "distribution_points",
    "read_crl",
]

_KNOWN_CRITICAL: Final = frozenset(
    {
        ExtensionOID.ISSUING_DISTRIBUTION_POINT,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.CRL_NUMBER,
    }
)
CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far an authority's clock may be ahead of ours."""
COMPLETE_SCOPES: Final = ("", "#users", "#authorities")
"""The scopes of lists that name no distribution point: every certificate of their issuer, or every
holder's, or every authority's."""


class CrlRefusedError(Exception):
    """This CRL is not believed; the message says why, and stands in reports."""


@frozen(kw_only=True)
class Crl:
    """What is kept of a CRL whose issuer and signature were believed."""

    sha256: str
    """Of the bytes as they arrived, hexadecimal."""
    number: int
    this_update: datetime
    next_update: datetime
    serials: frozenset[int] = field(repr=False)
    scopes: tuple[str, ...]
    """The addresses of its distribution point, or one of `COMPLETE_SCOPES` alone."""
    only_users: bool
    only_authorities: bool

    def older_than(self, other: Crl) -> bool:
        """Whether believing this one after ``other`` would go back. Numbers are compared within one
        scope; between a partition and the complete list only their times can be."""
        if set(self.scopes) & set(other.scopes):
            return (self.number, self.this_update) < (other.number, other.this_update)
        return self.this_update < other.this_update

    def check_times(self, now: datetime, *, grace: timedelta = timedelta(0)) -> None:
        """Raises `CrlRefusedError` for a list from the future, or ``grace`` past its end."""
        if self.this_update > now + CLOCK_SKEW:
            raise CrlRefusedError("a CRL from the future")
        if self.next_update + grace < now:
            raise CrlRefusedError("a CRL that has run out")

    def check_scope(self, point: tuple[str, ...], *, of_authority: bool) -> None:
        """Raises `CrlRefusedError` where it says nothing of such a certificate.

        Args:
            point: The addresses of the certificate's own distribution point.
            of_authority: Whether that certificate is an authority's.
        """
        if self.scopes[0] not in COMPLETE_SCOPES and not set(self.scopes) & set(point):
            raise CrlRefusedError("a CRL of another distribution point")
        if self.only_users if of_authority else self.only_authorities:
            raise CrlRefusedError("a CRL of another scope")


def distribution_points(certificate: x509.Certificate) -> tuple[tuple[str, ...], ...]:
    """The addresses of each point, partitions before the complete list.

    Points for some reasons only, and those of another CRL issuer, are left out.

    Raises:
        CrlRefusedError: when the certificate names none that can be read.
    """
    try:
        extension = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError) as e:
        raise CrlRefusedError(f"no CRL address ({type(e).__name__})") from e
    points = [
        _addresses(point.full_name or ())
        for point in extension.value
        if point.reasons is None and point.crl_issuer is None
    ]
    # A partition is a small download, the complete list a large one.
    return tuple(sorted(filter(None, points), key=_is_complete))


def _is_complete(point: tuple[str, ...]) -> bool:
    return any("complete" in address for address in point)


def _addresses(names: Iterable[x509.GeneralName]) -> tuple[str, ...]:
    return tuple(n.value for n in names if isinstance(n, x509.UniformResourceIdentifier))


def read_crl(body: bytes, issuer: x509.Certificate) -> Crl:
    """Whose it is and what it says. Blocks for as long as a large list takes.

    Its times and its scope are the caller's to check: a list that has run out still tells which
    numbers are behind us.

    Args:
        body: DER or PEM, as it arrived.
        issuer: Whose list it has to be, already trusted.

    Raises:
        CrlRefusedError: and nothing else.
    """
    try:
        pem = body.startswith(b"-----BEGIN")
        crl = x509.load_pem_x509_crl(body) if pem else x509.load_der_x509_crl(body)
        _check_origin(crl, issuer)
        if crl.next_update_utc is None:
            raise CrlRefusedError("a CRL without nextUpdate")
        scope = _read_scope(crl.extensions)
        only_users = bool(scope and scope.only_contains_user_certs)
        only_authorities = bool(scope and scope.only_contains_ca_certs)
        urls = _addresses(scope.full_name or ()) if scope else ()
        complete = COMPLETE_SCOPES[1 if only_users else 2 if only_authorities else 0]
        return Crl(
            sha256=hashlib.sha256(body).hexdigest(),
            number=crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number,
            this_update=crl.last_update_utc,
            next_update=crl.next_update_utc,
            serials=frozenset(revoked.serial_number for revoked in crl),
            scopes=tuple(dict.fromkeys(urls)) or (complete,),
            only_users=only_users,
            only_authorities=only_authorities,
        )
    except CrlRefusedError:
        raise
    except x509.ExtensionNotFound as e:
        raise CrlRefusedError("a CRL without number") from e
    except Exception as e:
        raise CrlRefusedError(f"a CRL that cannot be read ({type(e).__name__})") from e


def _check_origin(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> None:
    if crl.issuer != issuer.subject:
        raise CrlRefusedError("a CRL of another issuer")
    try:
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        usage = None
    if usage is not None and not usage.crl_sign:
        raise CrlRefusedError("a CRL of an issuer that may not sign CRLs")
    if crl.signature_algorithm_oid not in STRONG_SIGNATURES:
        raise CrlRefusedError("a CRL that is not signed with RSA and SHA-256 or stronger")
    if not is_signed_by(
        issuer, crl.signature, crl.tbs_certlist_bytes, crl.signature_hash_algorithm
    ):
        raise CrlRefusedError("a CRL whose signature does not verify")


def _read_scope(extensions: x509.Extensions) -> x509.IssuingDistributionPoint | None:
    found = None
    for extension in extensions:
        if extension.critical and extension.oid not in _KNOWN_CRITICAL:
            # A delta list is one of these, too.
            raise CrlRefusedError("a CRL with an unknown critical extension")
        if isinstance(extension.value, x509.DeltaCRLIndicator):
            raise CrlRefusedError("a delta CRL")
        if isinstance(extension.value, x509.IssuingDistributionPoint):
            found = extension.value
    if found is None:
        return None
    if found.relative_name is not None or (
        found.full_name is not None and not _addresses(found.full_name)
    ):
        raise CrlRefusedError("a CRL of another distribution point")
    if (
        found.only_contains_attribute_certs
        or found.only_some_reasons is not None
        or found.indirect_crl
    ):
        raise CrlRefusedError("a CRL of another scope")
    return found
