"""The signed attributes of CAdES B-B: what the holder's key covers in place of a document.

Content type, message digest and signing time (RFC 5652, 11), ESS signing-certificate-v2 (RFC 5035)
and content hints (RFC 2634, 2.9) with the exact words that the holder saw. No signature policy.

What depends on the certificate alone is made by asn1crypto, once for a certificate, and kept; the
rest is put around it (`formats.der`).
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from asn1crypto import tsp, x509

from moica_gateway.formats.der import (
    OCTET_STRING,
    SEQUENCE,
    UTF8_STRING,
    object_identifier,
    set_of,
    tlv,
)

__all__ = ["signed_attributes"]

_KEPT: Final = 10_000
"""Certificates: about 300 bytes each."""
_FIRST_YEAR_OF_GENERALIZED_TIME: Final = 2050
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18
_DATA: Final = object_identifier("1.2.840.113549.1.7.1")
_CONTENT_TYPE: Final = object_identifier("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST: Final = object_identifier("1.2.840.113549.1.9.4")
_SIGNING_TIME: Final = object_identifier("1.2.840.113549.1.9.5")
_CONTENT_HINT: Final = object_identifier("1.2.840.113549.1.9.16.2.4")
_SIGNING_CERTIFICATE_V2: Final = object_identifier("1.2.840.113549.1.9.16.2.47")


def signed_attributes(
    *, digest: bytes, certificate: bytes, hint: str, signing_time: datetime
) -> bytes:
    """The DER ``SET OF`` (tag 0x31), exactly the bytes to be signed.

    Args:
        digest: SHA-256 of the document, 32 bytes.
        certificate: The signer's, DER.
        hint: As the holder saw it.
        signing_time: Aware; written in UTC, in whole seconds.

    Raises:
        ValueError: or what else asn1crypto makes of a certificate that it cannot read.
    """
    description = tlv(UTF8_STRING, hint.encode())
    return set_of(
        (
            _attribute(_CONTENT_TYPE, _DATA),
            _attribute(_MESSAGE_DIGEST, tlv(OCTET_STRING, digest)),
            _attribute(_SIGNING_TIME, _time(signing_time)),
            _signing_certificate(certificate),
            _attribute(_CONTENT_HINT, tlv(SEQUENCE, description, _DATA)),
        )
    )


def _attribute(type_: bytes, value: bytes) -> bytes:
    return tlv(SEQUENCE, type_, set_of((value,)))


@lru_cache(maxsize=_KEPT)
def _signing_certificate(certificate: bytes) -> bytes:
    leaf = x509.Certificate.load(certificate, strict=True)
    named = tsp.SigningCertificateV2(
        {
            "certs": [
                tsp.ESSCertIDv2(
                    {
                        "hash_algorithm": {"algorithm": "sha256"},
                        "cert_hash": hashlib.sha256(certificate).digest(),
                        "issuer_serial": {
                            "issuer": [x509.GeneralName("directory_name", leaf.issuer)],
                            "serial_number": leaf.serial_number,
                        },
                    }
                )
            ]
        }
    )
    return _attribute(_SIGNING_CERTIFICATE_V2, named.dump())


def _time(at: datetime) -> bytes:
    moment = at.astimezone(UTC)
    # RFC 5652, 11.3: UTCTime through 2049, GeneralizedTime from then on.
    if moment.year >= _FIRST_YEAR_OF_GENERALIZED_TIME:
        return tlv(_GENERALIZED_TIME, moment.strftime("%Y%m%d%H%M%SZ").encode())
    return tlv(_UTC_TIME, moment.strftime("%y%m%d%H%M%SZ").encode())
