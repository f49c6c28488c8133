"""The phone's RSA-2048 key at work: PKCS#1, RAW and PKCS#7 signatures.

RAW pads the given DER `DigestInfo` (RSASSA-PKCS1-v1_5, block type 1) and hashes nothing. PKCS#7
is a CMS SignedData with the usual signed attributes; whether it holds the content is one of the
assumptions. Everything here blocks for the time of an RSA operation.
"""

import base64
import hashlib
from datetime import datetime

from asn1crypto import algos, cms, core
from asn1crypto import x509 as asn1_x509

from moica_simulator.assumptions import CMS_IS_DETACHED
from moica_simulator.errors import PlatformError
from moica_simulator.phone.signing_key import SigningKey, load_key
from moica_simulator.platform.wire import hash_algorithm, to_be_signed
from moica_simulator.records import SignRequest

__all__ = ["sign", "sign_nonce"]


def sign_nonce(nonce: bytes, key_der: bytes) -> bytes:
    """Signs a nonce of the platform's with a card's key: PKCS#1, SHA-256."""
    return load_key(key_der).sign(nonce, "sha256")


def sign(
    request: SignRequest, key_der: bytes, certificate_der: bytes, now: datetime
) -> tuple[str, ...]:
    """Signs everything that a ticket asks for; returns one base64 text each, in its order.

    Raises:
        PlatformError: `APP_DATA_NULL` if there is nothing to sign, `APP_DECODE_FAIL` if RAW data
            is no DigestInfo, which the app reports to the platform.
    """
    messages = to_be_signed(request)
    if not all(messages):
        raise PlatformError("APP_DATA_NULL", "nothing is left to sign after decoding")
    key = load_key(key_der)
    return tuple(_sign_one(request, each, key, certificate_der, now) for each in messages)


def _sign_one(
    request: SignRequest,
    message: bytes,
    key: SigningKey,
    certificate_der: bytes,
    now: datetime,
) -> str:
    if request.sign_type == "RAW":
        _require_digest_info(message)
        raw = key.sign_digest_info(message)
    elif request.sign_type == "PKCS#1":
        raw = key.sign(message, hash_algorithm(request).name)
    else:
        raw = _signed_data(message, hash_algorithm(request).name, key, certificate_der, now)
    return base64.b64encode(raw).decode()


def _require_digest_info(message: bytes) -> None:
    try:
        info = algos.DigestInfo.load(message, strict=True)
        name = info["digest_algorithm"]["algorithm"].native
        fits = len(info["digest"].native) == hashlib.new(name).digest_size
    except (ValueError, TypeError, KeyError) as error:
        raise PlatformError("APP_DECODE_FAIL", "RAW data is no DER DigestInfo") from error
    if not fits:
        raise PlatformError("APP_DECODE_FAIL", "the DigestInfo's digest has the wrong length")


def _signed_data(
    message: bytes,
    name: str,
    key: SigningKey,
    certificate_der: bytes,
    now: datetime,
) -> bytes:
    certificate = asn1_x509.Certificate.load(certificate_der)
    attributes = cms.CMSAttributes(
        [
            _attribute("content_type", "data"),
            _attribute("signing_time", cms.Time({"utc_time": core.UTCTime(now)})),
            _attribute("message_digest", hashlib.new(name, message).digest()),
        ]
    )
    signer = cms.SignerInfo(
        {
            "version": "v1",
            "sid": cms.SignerIdentifier(
                {
                    "issuer_and_serial_number": cms.IssuerAndSerialNumber(
                        {"issuer": certificate.issuer, "serial_number": certificate.serial_number}
                    )
                }
            ),
            "digest_algorithm": algos.DigestAlgorithm({"algorithm": name}),
            "signed_attrs": attributes,
            "signature_algorithm": algos.SignedDigestAlgorithm({"algorithm": "rsassa_pkcs1v15"}),
            "signature": key.sign(attributes.dump(), name),
        }
    )
    content: dict[str, str | bytes] = {"content_type": "data"}
    if not CMS_IS_DETACHED:
        content["content"] = message
    signed_data = cms.SignedData(
        {
            "version": "v1",
            "digest_algorithms": [algos.DigestAlgorithm({"algorithm": name})],
            "encap_content_info": content,
            "certificates": [certificate],
            "signer_infos": [signer],
        }
    )
    wrapped = cms.ContentInfo({"content_type": "signed_data", "content": signed_data})
    return bytes(wrapped.dump())


def _attribute(name: str, value: object) -> cms.CMSAttribute:
    return cms.CMSAttribute({"type": name, "values": [value]})
