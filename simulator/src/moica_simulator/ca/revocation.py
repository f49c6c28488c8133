"""What the CA says of its certificates: revocation lists and OCSP.

A partition's list names itself in a critical IssuingDistributionPoint, as a relying party has to
check it against the certificate's; the complete list has none, since it covers everything. List
numbers go up only, also over a restart. OCSP is answered by a delegated responder, whose
certificate comes along; a serial number that the books do not know is `unknown`, another CA's
`unauthorized`.
"""

from datetime import datetime

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp

from moica_simulator.assumptions import CRL_LIFETIME
from moica_simulator.ca.authority import Authority, PkiUrls
from moica_simulator.records import IssuedCertificate

__all__ = ["ListOfRevoked", "answer_ocsp", "make_list", "malformed_request", "reason_flag"]


@attrs.frozen
class ListOfRevoked:
    """A signed list, with when it was made and when it has to be made anew."""

    der: bytes
    made_at: datetime
    renew_at: datetime


def reason_flag(reason: str) -> x509.ReasonFlags:
    """Reads a reason as RFC 5280 spells it, e.g. `keyCompromise`.

    Raises:
        ValueError: For an unknown one.
    """
    return x509.ReasonFlags(reason)


def make_list(
    authority: Authority,
    revoked: list[IssuedCertificate],
    *,
    number: int,
    now: datetime,
    urls: PkiUrls,
    partition: int | None = None,
    of_root: bool = False,
) -> ListOfRevoked:
    """Signs a list: of one partition, of all holders, or the root's (which is empty).

    Args:
        authority: Whose list it is.
        revoked: The revoked certificates that belong into it.
        number: The CRL number, higher than any before.
        now: `thisUpdate`; half the lifetime later the list is renewed.
        urls: For the partition's own address.
        partition: Which partition; None for the complete list.
        of_root: The root's list instead of the intermediate's.
    """
    issuer = authority.root if of_root else authority.intermediate
    key = authority.root_key if of_root else authority.intermediate_key
    since = now.replace(microsecond=0)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(since)
        .next_update(since + CRL_LIFETIME)
        .add_extension(_authority_key_id(key), critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    if partition is not None:
        builder = builder.add_extension(
            x509.IssuingDistributionPoint(
                full_name=[x509.UniformResourceIdentifier(urls.partition(partition))],
                relative_name=None,
                only_contains_user_certs=False,
                only_contains_ca_certs=False,
                only_some_reasons=None,
                indirect_crl=False,
                only_contains_attribute_certs=False,
            ),
            critical=True,
        )
    for certificate in revoked:
        builder = builder.add_revoked_certificate(_entry(certificate, since))
    signed = builder.sign(key, hashes.SHA256())
    return ListOfRevoked(signed.public_bytes(Encoding.DER), now, now + CRL_LIFETIME / 2)


def answer_ocsp(
    authority: Authority, request_der: bytes, issued: IssuedCertificate | None, *, now: datetime
) -> bytes:
    """Answers a request for one certificate of the intermediate: good, revoked or unknown.

    Args:
        authority: Signs, as issuer.
        request_der: The request as it came; see `asked_serial`.
        issued: The certificate asked for, or None if the books do not know it.
        now: `thisUpdate`.
    """
    request = ocsp.load_der_ocsp_request(request_der)
    since = now.replace(microsecond=0)
    if not _asks_about_us(authority, request):
        return _unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED)
    if issued is None:
        status = ocsp.OCSPCertStatus.UNKNOWN
    elif issued.revoked_at is not None:
        status = ocsp.OCSPCertStatus.REVOKED
    else:
        status = ocsp.OCSPCertStatus.GOOD
    revoked_at = issued.revoked_at if issued else None
    reason = issued.reason if issued else None
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response_by_hash(
            issuer_name_hash=request.issuer_name_hash,
            issuer_key_hash=request.issuer_key_hash,
            serial_number=request.serial_number,
            algorithm=request.hash_algorithm,
            cert_status=status,
            this_update=since,
            next_update=since + CRL_LIFETIME,
            revocation_time=revoked_at.replace(microsecond=0) if revoked_at else None,
            revocation_reason=reason_flag(reason) if reason else None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, authority.responder.certificate)
        .certificates([authority.responder.certificate])
    )
    for extension in request.extensions:
        if isinstance(extension.value, x509.OCSPNonce):
            builder = builder.add_extension(extension.value, critical=False)
    return builder.sign(authority.responder.key, hashes.SHA256()).public_bytes(Encoding.DER)


def malformed_request() -> bytes:
    """Answers what is no OCSP request."""
    return _unsuccessful(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)


def _unsuccessful(status: ocsp.OCSPResponseStatus) -> bytes:
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)


def _asks_about_us(authority: Authority, request: ocsp.OCSPRequest) -> bool:
    expected = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        _hash(authority.intermediate.subject.public_bytes(), request.hash_algorithm),
        _hash(_public_key_bits(authority.intermediate_key), request.hash_algorithm),
        request.serial_number,
        request.hash_algorithm,
    )
    ours = expected.build()
    return (ours.issuer_name_hash, ours.issuer_key_hash) == (
        request.issuer_name_hash,
        request.issuer_key_hash,
    )


def _hash(data: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return digest.finalize()


def _public_key_bits(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)


def _authority_key_id(key: rsa.RSAPrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _entry(certificate: IssuedCertificate, fallback: datetime) -> x509.RevokedCertificate:
    builder = (
        x509.RevokedCertificateBuilder()
        .serial_number(int(certificate.serial, 16))
        .revocation_date((certificate.revoked_at or fallback).replace(microsecond=0))
    )
    flag = reason_flag(certificate.reason) if certificate.reason else x509.ReasonFlags.unspecified
    if flag is not x509.ReasonFlags.unspecified:  # RFC 5280 5.3.1: absent rather than unspecified
        builder = builder.add_extension(x509.CRLReason(flag), critical=False)
    return builder.build()
