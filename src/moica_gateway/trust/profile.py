"""What a holder's certificate must look like, and what it says.

Source: the holder profile of MOICA-G3 (mobile certificates). Parsing only; whether it is trusted is
the path's business. What cannot be read is ``certificate_malformed``; what can be read and is not a
holder's signing certificate is said in words by `check_profile`.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from asn1crypto import core
from attrs import field, frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID, NameOID

from moica_gateway.domain.models import SubjectInfo
from moica_gateway.errors import GatewayError, error
from moica_gateway.trust.algorithms import STRONG_SIGNATURES

__all__ = ["HolderCertificate", "ProfileBreach", "check_profile", "parse_holder_certificate"]

_MAX_CERTIFICATE: Final = 16_384
_MIN_KEY: Final = 2048
_MAX_KEY: Final = 8192
"""Bits: a certificate that nobody vouches for yet must not cost more than this to verify under."""
_POLICY: Final = x509.ObjectIdentifier("2.16.886.101.0.3.3")
_HOLDER_TYPE: Final = "2.16.886.1.100.2.1"
_HOLDER_TYPES: Final = frozenset({"2.16.886.1.100.3.1.1", "2.16.886.1.100.3.1.2"})
"""Citizen; the second is taken for the foreign resident (assumed, to be confirmed)."""
_LAST_FOUR: Final = "2.16.886.1.100.2.51"
_SIMULATOR_UNIT: Final = "NOT FOR PRODUCTION"


@frozen(kw_only=True)
class HolderCertificate:
    """A parsed certificate with what the checks need."""

    certificate: x509.Certificate = field(repr=False)
    extensions: x509.Extensions = field(repr=False)
    public_key: rsa.RSAPublicKey = field(repr=False)
    info: SubjectInfo
    holder_type: str | None


@frozen
class ProfileBreach:
    """What breaks the holder profile: a code of the catalogue, and words for the report."""

    code: str
    words: str


class _Values(core.SetOf):  # type: ignore[misc]  # asn1crypto ships no types
    _child_spec = core.Any


class _Attribute(core.Sequence):  # type: ignore[misc]  # asn1crypto ships no types
    _fields = [("type", core.ObjectIdentifier), ("values", _Values)]  # noqa: RUF012 - the library's way to declare


class _Attributes(core.SequenceOf):  # type: ignore[misc]  # asn1crypto ships no types
    """SubjectDirectoryAttributes, RFC 5280, 4.2.1.8."""

    _child_spec = _Attribute


_ATTRIBUTE_TYPES: Final[dict[str, type[Any]]] = {
    _HOLDER_TYPE: core.ObjectIdentifier,
    _LAST_FOUR: core.UTF8String,
}


def _malformed(what: str) -> GatewayError:
    return error(
        "certificate_malformed",
        f"expected a DER X.509 certificate with an RSA key, {what}; the operator tells the "
        "platform's support",
    )


def parse_holder_certificate(der: bytes) -> HolderCertificate:
    """From DER, at most 16 KiB.

    Raises:
        VerificationError: ``certificate_malformed``; nothing else, whatever the bytes are.
    """
    if not 0 < len(der) <= _MAX_CERTIFICATE:
        raise _malformed(f"came {len(der)} bytes")
    try:
        return _parse(der)
    except GatewayError:
        raise
    except Exception as e:
        raise _malformed(f"came something that cannot be read ({type(e).__name__})") from e


def _parse(der: bytes) -> HolderCertificate:
    certificate = x509.load_der_x509_certificate(der)
    # The signature's BIT STRING ends the certificate. The library takes a count of unused bits
    # other than zero, and one certificate would have several encodings and fingerprints.
    if der[-len(certificate.signature) - 1] != 0:
        raise _malformed("came a signature with unused bits")
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise _malformed("came another kind of key")
    if key.key_size > _MAX_KEY:
        raise _malformed(f"came a key of {key.key_size} bits")
    # Reading the extensions refuses doubled ones.
    extensions = certificate.extensions
    attributes = _directory_attributes(extensions)
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return HolderCertificate(
        certificate=certificate,
        extensions=extensions,
        public_key=key,
        info=SubjectInfo(
            subject_name=_one(certificate.subject, NameOID.COMMON_NAME) or "",
            issuer_name=_issuer_name(certificate.issuer),
            serial_number=_hex(certificate.serial_number),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            fingerprint_sha256=certificate.fingerprint(hashes.SHA256()).hex(),
            public_key_sha256=hashlib.sha256(spki).hexdigest(),
            last_four=attributes.get(_LAST_FOUR),
        ),
        holder_type=attributes.get(_HOLDER_TYPE),
    )


def check_profile(holder: HolderCertificate) -> ProfileBreach | None:
    """What breaks the holder profile; None when nothing does.

    Another usage or assurance has a code of its own: the one is a mix-up of the holder's two
    certificates, the other one that was issued for less.
    """
    words = _check_form(holder)
    if words is not None:
        return ProfileBreach("certificate_profile", words)
    return _check_extensions(holder.extensions)


def _check_form(holder: HolderCertificate) -> str | None:
    certificate = holder.certificate
    if certificate.version is not x509.Version.v3:
        return "it is not of version 3"
    if holder.public_key.key_size < _MIN_KEY:
        return f"the key has fewer than {_MIN_KEY} bits"
    # By identifier: asking for the hash raises a foreign exception for an unknown algorithm.
    if certificate.signature_algorithm_oid not in STRONG_SIGNATURES:
        return "it is not signed with RSA and SHA-256 or stronger"
    if _one(certificate.subject, NameOID.COUNTRY_NAME) != "TW" or not holder.info.subject_name:
        return "the subject is not of the form C=TW, CN=name, serialNumber=16 digits"
    number = _one(certificate.subject, NameOID.SERIAL_NUMBER) or ""
    if len(number) != 16 or not (number.isascii() and number.isdigit()):
        return "the subject's serialNumber has not 16 digits"
    if holder.holder_type not in _HOLDER_TYPES:
        return "it is not a citizen's or foreign resident's"
    return None


def _check_extensions(extensions: x509.Extensions) -> ProfileBreach | None:
    words = _check_usage(extensions)
    if words is not None:
        return ProfileBreach("certificate_usage", words)
    try:
        policies = extensions.get_extension_for_class(x509.CertificatePolicies).value
    except x509.ExtensionNotFound:
        return ProfileBreach("certificate_policy", "it has no policy at all")
    if _POLICY not in {p.policy_identifier for p in policies}:
        return ProfileBreach("certificate_policy", "it lacks the policy of assurance class 3")
    return None


def _check_usage(extensions: x509.Extensions) -> str | None:
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage)
    except x509.ExtensionNotFound:
        return "it has no key usage"
    if not usage.critical or not usage.value.digital_signature:
        return "its key usage is not (critically) for signatures"
    if usage.value.key_cert_sign or usage.value.crl_sign:
        return "its key usage is an authority's"
    try:
        if extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return "it is an authority's"
    except x509.ExtensionNotFound:
        pass
    return None


def _directory_attributes(extensions: x509.Extensions) -> dict[str, str]:
    """The attributes that we know, as text; others are nobody's business here."""
    try:
        extension = extensions.get_extension_for_oid(ExtensionOID.SUBJECT_DIRECTORY_ATTRIBUTES)
    except x509.ExtensionNotFound:
        return {}
    if not isinstance(extension.value, x509.UnrecognizedExtension):
        raise _malformed("came directory attributes of an unknown kind")
    found: dict[str, str] = {}
    seen: set[str] = set()
    for attribute in _Attributes.load(extension.value.value, strict=True):
        name = attribute["type"].dotted
        if name in seen:
            raise _malformed("came a doubled directory attribute")
        seen.add(name)
        kind = _ATTRIBUTE_TYPES.get(name)
        if kind is not None:
            found[name] = _single(attribute["values"], kind)
    return found


def _single(values: Any, kind: type[Any]) -> str:
    if len(values) != 1:
        raise _malformed("came a directory attribute with several values")
    value = values[0].parse()
    # Exactly the type of the profile: an INTEGER 6789 reads like the text, and is none.
    if type(value) is not kind:
        raise _malformed("came a directory attribute of another type")
    return str(value.dotted if kind is core.ObjectIdentifier else value.native)


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
    """The one value of that attribute; None for none and for several."""
    values = name.get_attributes_for_oid(oid)
    return str(values[0].value) if len(values) == 1 else None


def _hex(number: int) -> str:
    return number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big").hex()
