"""OCSP answers by `moica_gateway.testing.pki.MemoryPki`, good and broken. NOT FOR PRODUCTION.

Built part by part with asn1crypto, so that everything that can be wrong with an answer is an
argument. It answers whatever request it is given, about whatever it is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from asn1crypto import core, ocsp
from asn1crypto import x509 as asn1x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from moica_gateway.testing.pki import MemoryPki

__all__ = ["OCSP_URL", "delegate_of", "ocsp_answer"]

OCSP_URL: Final = "http://crl.test/ocsp"
Status = Literal["good", "revoked", "unknown"]


def delegate_of(
    pki: MemoryPki,
    *,
    key: str = "responder",
    purpose: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.OCSP_SIGNING,
    signing: bool = True,
    no_check: bool = True,
    valid: tuple[float, float] = (-30, 335),
    by: str = "issuer",
    serial: int = 0x0C5B,
    unknown_critical: bool = False,
) -> x509.Certificate:
    """A responder's certificate by the intermediate, right but for what is given.

    Args:
        pki: Whose.
        key: Name of its key.
        purpose: Extended key usage; None leaves it out.
        signing: Key usage digitalSignature.
        no_check: Whether nobody need ask if it is revoked.
        valid: Days from the middle.
        by: Name of the key that signs it; another one forges.
        serial: Its serial number.
        unknown_critical: Adds a critical extension that nobody knows.
    """
    issuer = x509.load_der_x509_certificate(pki.issuer)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"OCSP {key}")]))
        .issuer_name(issuer.subject)
        .public_key(pki.key(key).public_key())
        .serial_number(serial)
        .not_valid_before(pki.at + timedelta(days=valid[0]))
        .not_valid_after(pki.at + timedelta(days=valid[1]))
        .add_extension(pki.points(), critical=False)
        .add_extension(pki.usage(signing=signing), critical=True)
    )
    if purpose is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    if no_check:
        builder = builder.add_extension(x509.OCSPNoCheck(), critical=False)
    if unknown_critical:
        unknown = x509.UnrecognizedExtension(
            x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"
        )
        builder = builder.add_extension(unknown, critical=True)
    return builder.sign(pki.key(by), hashes.SHA256())


def ocsp_answer(
    pki: MemoryPki,
    request: bytes,
    *,
    status: Status = "good",
    this: float = -1 / 24,
    until: float | None = 1,
    produced: float = 0,
    nonce: bytes | Literal["asked"] | None = "asked",
    serial: int | None = None,
    of: MemoryPki | None = None,
    parts: int = 1,
    signer: x509.Certificate | None = None,
    signer_key: str = "issuer",
    certificates: Sequence[x509.Certificate] | None = None,
    by_name: bool = False,
    algorithm: str = "sha256",
    critical: bool = False,
) -> bytes:
    """DER of an answer, believable but for what is given.

    Args:
        pki: Whose.
        request: What is answered.
        status: Of the certificate.
        this: thisUpdate in days from the middle.
        until: nextUpdate; None leaves it out.
        produced: producedAt.
        nonce: Another one, or None for none.
        serial: Another certificate's.
        of: Another hierarchy's certificate.
        parts: How many single answers, the last of them good.
        signer: The certificate that is named as the responder's; the issuer's where none is.
        signer_key: Name of the key that signs.
        certificates: What goes along; the signer where it is not the issuer.
        by_name: The responder is named by name, not by key.
        algorithm: Hash of the signature.
        critical: Adds a critical extension that nobody knows.
    """
    asked = ocsp.OCSPRequest.load(request)["tbs_request"]
    cert_id = asked["request_list"][0]["req_cert"].copy()
    if serial is not None:
        cert_id["serial_number"] = serial
    if of is not None:
        issuer = asn1x509.Certificate.load(of.issuer)
        cert_id["issuer_key_hash"] = issuer.public_key.sha1
    named = signer or x509.load_der_x509_certificate(pki.issuer)
    certificate = asn1x509.Certificate.load(named.public_bytes(Encoding.DER))
    responder = (
        ocsp.ResponderId("by_name", certificate.subject)
        if by_name
        else ocsp.ResponderId("by_key", certificate.public_key.sha1)
    )
    statuses: list[Status] = [status] + ["good"] * (parts - 1)
    data = ocsp.ResponseData(
        {
            "responder_id": responder,
            "produced_at": _at(pki, produced),
            "responses": [_single(pki, cert_id, each, this, until) for each in statuses],
            "response_extensions": _extensions(asked, nonce, critical=critical) or None,
        }
    )
    made = pki.key(signer_key).sign(data.dump(), padding.PKCS1v15(), _HASHES[algorithm])
    along = certificates if certificates is not None else ([signer] if signer else [])
    basic = ocsp.BasicOCSPResponse(
        {
            "tbs_response_data": data,
            "signature_algorithm": {"algorithm": f"{algorithm}_rsa"},
            "signature": made,
            "certs": [asn1x509.Certificate.load(c.public_bytes(Encoding.DER)) for c in along]
            or None,
        }
    )
    wrapped = {"response_type": "basic_ocsp_response", "response": basic}
    response = ocsp.OCSPResponse({"response_status": "successful", "response_bytes": wrapped})
    return bytes(response.dump())


_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1(),  # noqa: S303 - to be refused
    "sha256": hashes.SHA256(),
    "sha512": hashes.SHA512(),
}


def _single(
    pki: MemoryPki, cert_id: Any, status: Status, this: float, until: float | None
) -> dict[str, Any]:
    value: Any = (
        ocsp.CertStatus("revoked", {"revocation_time": _at(pki, -1)})
        if status == "revoked"
        else ocsp.CertStatus(status, None)
    )
    single = {"cert_id": cert_id, "cert_status": value, "this_update": _at(pki, this)}
    return single if until is None else {**single, "next_update": _at(pki, until)}


def _extensions(
    asked: Any, nonce: bytes | Literal["asked"] | None, *, critical: bool
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for extension in asked["request_extensions"]:
        if extension["extn_id"].native == "nonce" and nonce == "asked":
            found.append({"extn_id": "nonce", "extn_value": extension["extn_value"].parsed})
    if isinstance(nonce, bytes):
        found.append({"extn_id": "nonce", "extn_value": core.OctetString(nonce)})
    if critical:
        unknown = {"extn_id": "1.3.6.1.4.1.99999.1", "critical": True}
        found.append({**unknown, "extn_value": core.ParsableOctetString(b"\x05\x00")})
    return found


def _at(pki: MemoryPki, days: float) -> datetime:
    return (pki.at + timedelta(days=days)).replace(microsecond=0)
