"""When an OCSP answer is believed (RFC 6960; security rule 6). Pure: bytes in and out.

It travels over plain HTTP: it counts by the certificate it is about, who signed it with what right,
its age and its nonce. A responder is the issuer itself, or somebody whom the issuer itself gave a
certificate for OCSP signing; whether that one is revoked is the caller's to ask, unless the issuer
says that nobody need (``id-pkix-ocsp-nocheck``).
"""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta
from typing import Final

from attrs import field, frozen
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, ExtensionOID

from moica_gateway.trust.algorithms import STRONG_SIGNATURES, is_signed_by
from moica_gateway.trust.crl import CLOCK_SKEW

__all__ = [
    "OcspAnswer",
    "OcspRefusedError",
    "make_request",
    "read_response",
    "responders",
]

_WITHOUT_NEXT: Final = timedelta(minutes=5)
"""How old an answer without ``nextUpdate`` may be: newer information is always at hand, it says."""
_MAX_AGE: Final = timedelta(days=7)
"""Whatever its ``nextUpdate`` says: who asks a responder wants to know of today."""
_MAX_DELEGATES: Final = 4
"""Certificates in an answer that are looked at, each for the price of a signature."""
_KNOWN_CRITICAL: Final = frozenset(
    {ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE, ExtensionOID.BASIC_CONSTRAINTS}
)


class OcspRefusedError(Exception):
    """This answer is not believed; the message says why, and stands in reports."""


@frozen(kw_only=True)
class OcspAnswer:
    """An answer that is believed, once ``delegate`` turns out not to be revoked.

    Attributes:
        revoked: None where the responder does not know the certificate.
        this_update: When it was known.
        next_update: Until when it may be kept.
        der: The answer as it arrived.
        delegate: Who signed, where somebody has to ask whether that certificate is revoked.
    """

    revoked: bool | None
    this_update: datetime
    next_update: datetime
    der: bytes = field(repr=False)
    delegate: x509.Certificate | None = field(default=None, repr=False)


def responders(certificate: x509.Certificate) -> tuple[str, ...]:
    """The addresses that a certificate names; none where it has none that can be read."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return ()
    return tuple(
        description.access_location.value
        for description in access.value
        if description.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(description.access_location, x509.UniformResourceIdentifier)
    )


def make_request(certificate: x509.Certificate, issuer: x509.Certificate, nonce: bytes) -> bytes:
    """DER. The certificate is named with SHA-1, the one hash that every responder has to take
    (RFC 5019, 2.1.1). Nothing rests on it: that issuer signs the answer, and the serial number
    stands in it in clear."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        certificate,
        issuer,
        hashes.SHA1(),  # noqa: S303 - a name, no signature
    )
    made = builder.add_extension(x509.OCSPNonce(nonce), critical=False).build()
    return made.public_bytes(Encoding.DER)


def read_response(
    body: bytes,
    *,
    request: bytes,
    issuer: x509.Certificate,
    now: datetime,
    nonce_required: bool = True,
) -> OcspAnswer:
    """Believe, or refuse. Blocks for a few signatures.

    Args:
        body: DER, as it arrived.
        request: What `make_request` made: the answer must be about the same certificate.
        issuer: Who issued that certificate, already trusted.
        now: For its age.
        nonce_required: Whether an answer without our nonce is refused; one with another always is.

    Raises:
        OcspRefusedError: and nothing else.
    """
    try:
        asked = ocsp.load_der_ocsp_request(request)
        response = ocsp.load_der_ocsp_response(body)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise OcspRefusedError(f"the responder says {response.response_status.name.lower()}")
        _check_nonce(response, asked, required=nonce_required)
        signer = _signer(response, issuer, now)
        single = _single(response, asked)
        next_update = _check_age(response, single, now)
        status = single.certificate_status
        unknown = status is ocsp.OCSPCertStatus.UNKNOWN
        return OcspAnswer(
            der=body,
            revoked=None if unknown else status is ocsp.OCSPCertStatus.REVOKED,
            this_update=single.this_update_utc,
            next_update=next_update,
            delegate=None if signer is issuer or _no_check(signer) else signer,
        )
    except OcspRefusedError:
        raise
    except Exception as e:
        raise OcspRefusedError(f"an OCSP answer that cannot be read ({type(e).__name__})") from e


# -- what it is about, and how old it is -------------------------------------------------------


def _check_nonce(response: ocsp.OCSPResponse, asked: ocsp.OCSPRequest, *, required: bool) -> None:
    ours = asked.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    came: bytes | None = None
    for extension in response.extensions:
        if isinstance(extension.value, x509.OCSPNonce):
            came = extension.value.nonce
        elif extension.critical:
            raise OcspRefusedError("an OCSP answer with an unknown critical extension")
    if came is None:
        if required:
            raise OcspRefusedError("an OCSP answer without our nonce")
    elif not hmac.compare_digest(came, ours):
        raise OcspRefusedError("an OCSP answer with another nonce")


def _single(response: ocsp.OCSPResponse, asked: ocsp.OCSPRequest) -> ocsp.OCSPSingleResponse:
    """The one part that is about our certificate. Two would be a way to say both."""
    found = [
        single
        for single in response.responses
        if type(single.hash_algorithm) is type(asked.hash_algorithm)
        and single.issuer_name_hash == asked.issuer_name_hash
        and single.issuer_key_hash == asked.issuer_key_hash
        and single.serial_number == asked.serial_number
    ]
    if len(found) != 1:
        raise OcspRefusedError("an OCSP answer about another certificate")
    # The library shows single extensions for answers of one part only.
    if len(list(response.responses)) == 1 and any(
        extension.critical for extension in response.single_extensions
    ):
        raise OcspRefusedError("an OCSP answer with an unknown critical extension")
    return found[0]


def _check_age(
    response: ocsp.OCSPResponse, single: ocsp.OCSPSingleResponse, now: datetime
) -> datetime:
    this_update, produced = single.this_update_utc, response.produced_at_utc
    if max(this_update, produced) > now + CLOCK_SKEW:
        raise OcspRefusedError("an OCSP answer from the future")
    if produced + CLOCK_SKEW < this_update:
        raise OcspRefusedError("an OCSP answer that was made before what it says was known")
    next_update = single.next_update_utc or this_update + _WITHOUT_NEXT
    if min(next_update, this_update + _MAX_AGE) < now:
        raise OcspRefusedError("an OCSP answer that has run out")
    return min(next_update, this_update + _MAX_AGE)


# -- who signed it -----------------------------------------------------------------------------


def _signer(
    response: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime
) -> x509.Certificate:
    if response.signature_algorithm_oid not in STRONG_SIGNATURES:
        raise OcspRefusedError("an OCSP answer not signed with RSA and SHA-256 or stronger")
    named = [
        certificate
        for certificate in (issuer, *response.certificates[:_MAX_DELEGATES])
        if _is_named(response, certificate)
    ]
    if not named:
        raise OcspRefusedError("an OCSP answer by nobody whose certificate is there")
    signers = [
        certificate
        for certificate in named
        if is_signed_by(
            certificate,
            response.signature,
            response.tbs_response_bytes,
            response.signature_hash_algorithm,
        )
    ]
    if not signers:
        raise OcspRefusedError("an OCSP answer whose signature does not verify")
    signer = issuer if signers[0] == issuer else signers[0]
    if signer is not issuer:
        _check_delegate(signer, issuer, (now, response.produced_at_utc))
    return signer


def _is_named(response: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    if response.responder_name is not None:
        return response.responder_name == certificate.subject
    digest = x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest
    return response.responder_key_hash == digest


def _check_delegate(
    delegate: x509.Certificate, issuer: x509.Certificate, moments: tuple[datetime, ...]
) -> None:
    """RFC 6960, 4.2.2.2: issued directly by the certificate's own issuer, for this purpose."""
    if delegate.signature_algorithm_oid not in STRONG_SIGNATURES:
        raise OcspRefusedError("an OCSP responder not certified with RSA and SHA-256 or stronger")
    try:
        delegate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature) as e:
        raise OcspRefusedError("an OCSP responder of another authority") from e
    extensions = delegate.extensions
    try:
        purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
    if ExtendedKeyUsageOID.OCSP_SIGNING not in purposes:
        raise OcspRefusedError("an OCSP responder that was not authorised to be one")
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        usage = None
    if usage is not None and not usage.digital_signature:
        raise OcspRefusedError("an OCSP responder that was not authorised to be one")
    if any(each.critical and each.oid not in _KNOWN_CRITICAL for each in extensions):
        raise OcspRefusedError("an OCSP responder with an unknown critical extension")
    if any(
        not delegate.not_valid_before_utc <= moment <= delegate.not_valid_after_utc
        for moment in moments
    ):
        raise OcspRefusedError("an OCSP responder outside its validity")


def _no_check(delegate: x509.Certificate) -> bool:
    try:
        delegate.extensions.get_extension_for_class(x509.OCSPNoCheck)
    except x509.ExtensionNotFound:
        return False
    return True
