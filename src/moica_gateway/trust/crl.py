"""When a CRL is believed (RFC 5280, 6.3; security rule 6). Pure: bytes in, serial numbers out.

It travels over plain HTTP, so it is believed only by its issuer and signature, its scope (the
issuing distribution point against the certificate's), its times and its number. Delta and indirect
lists are refused. Extensions of single entries are not read: whatever reason an entry gives, its
serial number counts as revoked, which errs on the safe side.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from attrs import field, frozen
from cryptography import x509
from cryptography.x509.oid import ExtensionOID, SignatureAlgorithmOID

__all__ = ["Crl", "CrlRefusedError", "distribution_points", "read_crl"]

_KNOWN_CRITICAL: Final = frozenset(
    {
        ExtensionOID.ISSUING_DISTRIBUTION_POINT,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.CRL_NUMBER,
    }
)
_STRONG: Final = frozenset(
    {
        SignatureAlgorithmOID.RSA_WITH_SHA256,
        SignatureAlgorithmOID.RSA_WITH_SHA384,
        SignatureAlgorithmOID.RSA_WITH_SHA512,
    }
)
_CLOCK_SKEW: Final = timedelta(minutes=5)


class CrlRefusedError(Exception):
    """This CRL is not believed; the message says why, and stands in reports."""


@frozen(kw_only=True)
class Crl:
    """What is kept of a CRL that was believed."""

    number: int
    this_update: datetime
    next_update: datetime
    serials: frozenset[int] = field(repr=False)

    def older_than(self, other: Crl) -> bool:
        """Whether believing this one after ``other`` would go back."""
        return (self.number, self.this_update) < (other.number, other.this_update)


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


def read_crl(
    body: bytes,
    *,
    point: tuple[str, ...],
    issuer: x509.Certificate,
    of_authority: bool,
    now: datetime,
) -> Crl:
    """Believe, or refuse. Blocks for as long as a large list takes.

    Args:
        body: DER or PEM, as it arrived.
        point: The addresses of the certificate's own distribution point.
        issuer: Who issued that certificate, already trusted.
        of_authority: Whether that certificate is an authority's.
        now: For freshness.

    Raises:
        CrlRefusedError: and nothing else.
    """
    try:
        pem = body.startswith(b"-----BEGIN")
        crl = x509.load_pem_x509_crl(body) if pem else x509.load_der_x509_crl(body)
        _check_origin(crl, issuer)
        this_update, next_update = _check_times(crl, now)
        _check_extensions(crl.extensions, point, of_authority=of_authority)
        return Crl(
            number=crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number,
            this_update=this_update,
            next_update=next_update,
            serials=frozenset(revoked.serial_number for revoked in crl),
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
    if crl.signature_algorithm_oid not in _STRONG:
        raise CrlRefusedError("a CRL that is not signed with RSA and SHA-256 or stronger")
    key = issuer.public_key()
    if not crl.is_signature_valid(key):  # type: ignore[arg-type]  # any key type may come
        raise CrlRefusedError("a CRL whose signature does not verify")


def _check_times(crl: x509.CertificateRevocationList, now: datetime) -> tuple[datetime, datetime]:
    this_update, next_update = crl.last_update_utc, crl.next_update_utc
    if next_update is None:
        raise CrlRefusedError("a CRL without nextUpdate")
    if this_update > now + _CLOCK_SKEW:
        raise CrlRefusedError("a CRL from the future")
    if next_update < now:
        raise CrlRefusedError("a CRL that has run out")
    return this_update, next_update


def _check_extensions(
    extensions: x509.Extensions, point: tuple[str, ...], *, of_authority: bool
) -> None:
    for extension in extensions:
        if extension.critical and extension.oid not in _KNOWN_CRITICAL:
            # A delta list is one of these, too.
            raise CrlRefusedError("a CRL with an unknown critical extension")
        if isinstance(extension.value, x509.DeltaCRLIndicator):
            raise CrlRefusedError("a delta CRL")
        if isinstance(extension.value, x509.IssuingDistributionPoint):
            _check_scope(extension.value, point, of_authority=of_authority)


def _check_scope(
    scope: x509.IssuingDistributionPoint, point: tuple[str, ...], *, of_authority: bool
) -> None:
    if scope.relative_name is not None:
        raise CrlRefusedError("a CRL of another distribution point")
    if scope.full_name is not None and not set(_addresses(scope.full_name)) & set(point):
        raise CrlRefusedError("a CRL of another distribution point")
    foreign = scope.only_contains_user_certs if of_authority else scope.only_contains_ca_certs
    if (
        foreign
        or scope.only_contains_attribute_certs
        or scope.only_some_reasons is not None
        or scope.indirect_crl
    ):
        raise CrlRefusedError("a CRL of another scope")
