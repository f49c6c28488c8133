"""What a holder's certificate must look like, and what it says.

Source: the holder profile of MOICA-G3 (mobile certificates). Parsing only; whether it is trusted is
the path's business. Everything malformed is ``certificate_malformed`` or ``certificate_profile``.
"""

from __future__ import annotations

from typing import Final

from asn1crypto import core
from attrs import field, frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from moica_gateway.domain.models import SubjectInfo
from moica_gateway.errors import GatewayError, error

__all__ = ["HolderCertificate", "check_profile", "parse_holder_certificate"]

_MAX_CERTIFICATE: Final = 16_384
_POLICY: Final = x509.ObjectIdentifier("2.16.886.101.0.3.3")
_DIRECTORY_ATTRIBUTES: Final = x509.ObjectIdentifier("2.5.29.9")
_HOLDER_TYPE: Final = "2.16.886.1.100.2.1"
_HOLDER_TYPES: Final = frozenset({"2.16.886.1.100.3.1.1", "2.16.886.1.100.3.1.2"})
"""Citizen; the second is taken for the foreign resident (one source, to be confirmed)."""
_LAST_FOUR: Final = "2.16.886.1.100.2.51"
_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_SIMULATOR_UNIT: Final = "NOT FOR PRODUCTION"


@frozen(kw_only=True)
class HolderCertificate:
    """A parsed certificate with what the checks need."""

    certificate: x509.Certificate = field(repr=False)
    public_key: rsa.RSAPublicKey = field(repr=False)
    info: SubjectInfo
    holder_type: str | None


class _Attribute(core.Sequence):  # type: ignore[misc]  # asn1crypto ships no types
    _fields = [("type", core.ObjectIdentifier), ("values", core.SetOf, {"spec": core.Any})]  # noqa: RUF012 - the library's way to declare


class _Attributes(core.SequenceOf):  # type: ignore[misc]  # asn1crypto ships no types
    _child_spec = _Attribute


def _malformed(what: str) -> GatewayError:
    return error(
        "certificate_malformed",
        f"expected a DER X.509 certificate with an RSA key, {what}; the operator tells the "
        "platform's support",
    )


def parse_holder_certificate(der: bytes) -> HolderCertificate:
    """From DER.

    Raises:
        VerificationError: ``certificate_malformed``.
    """
    if not 0 < len(der) <= _MAX_CERTIFICATE:
        raise _malformed(f"came {len(der)} bytes")
    try:
        certificate = x509.load_der_x509_certificate(der)
        # The signature's BIT STRING ends the certificate. Libraries take a count of unused bits
        # other than zero, and one certificate would have several encodings.
        if der[-len(certificate.signature) - 1] != 0:
            raise _malformed("came a signature with unused bits")
        key = certificate.public_key()
        # Reading the extensions refuses doubled ones.
        extensions = certificate.extensions
        attributes = _directory_attributes(extensions)
        info = SubjectInfo(
            subject_name=_one(certificate.subject, NameOID.COMMON_NAME) or "",
            issuer_name=_issuer_name(certificate.issuer),
            serial_number=_hex(certificate.serial_number),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            fingerprint_sha256=certificate.fingerprint(hashes.SHA256()).hex(),
            public_key_sha256=_key_digest(key).hex(),
            last_four=attributes.get(_LAST_FOUR),
        )
    except GatewayError:
        raise
    except Exception as e:
        raise _malformed(f"came something that cannot be read ({type(e).__name__})") from e
    if not isinstance(key, rsa.RSAPublicKey):
        raise _malformed("came another kind of key")
    return HolderCertificate(
        certificate=certificate,
        public_key=key,
        info=info,
        holder_type=attributes.get(_HOLDER_TYPE),
    )


def check_profile(holder: HolderCertificate) -> str | None:
    """What breaks the holder profile, in words; None when nothing does."""
    certificate = holder.certificate
    if holder.public_key.key_size < 2048:
        return "the key has fewer than 2048 bits"
    try:
        signed_with = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return "its signature algorithm is not known"
    if not isinstance(signed_with, _HASHES):
        return "it is not signed with SHA-256 or stronger"
    if _one(certificate.subject, NameOID.COUNTRY_NAME) != "TW" or not holder.info.subject_name:
        return "the subject is not of the form C=TW, CN=name"
    number = _one(certificate.subject, NameOID.SERIAL_NUMBER) or ""
    if len(number) != 16 or not (number.isascii() and number.isdigit()):
        return "the subject's serialNumber has not 16 digits"
    if holder.holder_type not in _HOLDER_TYPES:
        return "it is not a citizen's or foreign resident's"
    return _check_extensions(certificate.extensions)


def _check_extensions(extensions: x509.Extensions) -> str | None:
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage)
        policies = extensions.get_extension_for_class(x509.CertificatePolicies).value
    except x509.ExtensionNotFound as e:
        return f"it lacks the extension {e.oid.dotted_string}"
    if not usage.critical or not usage.value.digital_signature:
        return "its key usage is not (critically) for signatures"
    if usage.value.key_cert_sign or usage.value.crl_sign:
        return "its key usage is an authority's"
    if _POLICY not in {p.policy_identifier for p in policies}:
        return "it lacks the policy of assurance class 3"
    try:
        if extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return "it is an authority's"
    except x509.ExtensionNotFound:
        pass
    return None


def _directory_attributes(extensions: x509.Extensions) -> dict[str, str]:
    try:
        extension = extensions.get_extension_for_oid(_DIRECTORY_ATTRIBUTES)
    except x509.ExtensionNotFound:
        return {}
    if not isinstance(extension.value, x509.UnrecognizedExtension):
        raise _malformed("came directory attributes of an unknown kind")
    found: dict[str, str] = {}
    for attribute in _Attributes.load(extension.value.value, strict=True):
        name, values = attribute["type"].native, list(attribute["values"])
        if name in found or len(values) != 1:
            raise _malformed("came a doubled directory attribute")
        value = values[0]
        parsed = value.parse() if isinstance(value, core.Any) else value
        found[name] = (
            parsed.dotted if isinstance(parsed, core.ObjectIdentifier) else str(parsed.native)
        )
    return found


def _issuer_name(issuer: x509.Name) -> str:
    units = [
        str(a.value)
        for a in issuer.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        if _SIMULATOR_UNIT not in str(a.value).upper()
    ]
    if units:
        return units[-1]
    return _one(issuer, NameOID.COMMON_NAME) or _one(issuer, NameOID.ORGANIZATION_NAME) or ""


def _one(name: x509.Name, oid: x509.ObjectIdentifier) -> str | None:
    values = name.get_attributes_for_oid(oid)
    return str(values[0].value) if len(values) == 1 else None


def _hex(number: int) -> str:
    return number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big").hex()


def _key_digest(key: object) -> bytes:
    if not isinstance(key, rsa.RSAPublicKey):
        raise _malformed("came another kind of key")
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return digest.finalize()
