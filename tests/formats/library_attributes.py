"""What asn1crypto makes of the same: the oracle for the bytes that the gateway writes itself."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any, Final

from asn1crypto import algos, cms, core, tsp, x509

__all__ = ["signed_attributes", "signed_data"]

_CONTENT_HINT: Final = "1.2.840.113549.1.9.16.2.4"
_ID_DATA: Final = "1.2.840.113549.1.7.1"
_FIRST_YEAR_OF_GENERALIZED_TIME: Final = 2050


class _ContentHints(core.Sequence):  # type: ignore[misc]  # asn1crypto ships no types
    _fields = [  # noqa: RUF012 - the library's way to declare a sequence
        ("content_description", core.UTF8String, {"optional": True}),
        ("content_type", core.ObjectIdentifier),
    ]


class _ContentHintsSet(core.SetOf):  # type: ignore[misc]  # asn1crypto ships no types
    _child_spec = _ContentHints


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
    hints = _ContentHintsSet(
        [_ContentHints({"content_description": hint, "content_type": _ID_DATA})]
    )
    attributes = cms.CMSAttributes(
        [
            cms.CMSAttribute({"type": "content_type", "values": ["data"]}),
            cms.CMSAttribute({"type": "message_digest", "values": [digest]}),
            cms.CMSAttribute({"type": "signing_time", "values": [_time(signing_time)]}),
            cms.CMSAttribute(
                {"type": "signing_certificate_v2", "values": [_signing_certificate(certificate)]}
            ),
            # A type that the library does not know takes its values as they are encoded.
            cms.CMSAttribute({"type": _CONTENT_HINT, "values": cms.SetOfAny.load(hints.dump())}),
        ]
    )
    return bytes(attributes.dump())


def _signing_certificate(certificate: bytes) -> Any:
    leaf = x509.Certificate.load(certificate, strict=True)
    return tsp.SigningCertificateV2(
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


def _time(at: datetime) -> Any:
    moment = at.astimezone(UTC).replace(microsecond=0)
    # RFC 5652, 11.3: UTCTime through 2049, GeneralizedTime from then on.
    later = moment.year >= _FIRST_YEAR_OF_GENERALIZED_TIME
    return cms.Time({"generalized_time" if later else "utc_time": moment})


def signed_data(
    message: bytes, signature: bytes, certificate: bytes, chain: tuple[bytes, ...]
) -> bytes:
    """The whole ``ContentInfo``."""
    leaf = x509.Certificate.load(certificate, strict=True)
    certificates = [leaf, *(x509.Certificate.load(c, strict=True) for c in chain)]
    sha256 = algos.DigestAlgorithm({"algorithm": "sha256"})
    signer = cms.SignerInfo(
        {
            "version": "v1",
            "sid": cms.SignerIdentifier(
                name="issuer_and_serial_number",
                value=cms.IssuerAndSerialNumber(
                    {"issuer": leaf.issuer, "serial_number": leaf.serial_number}
                ),
            ),
            "digest_algorithm": sha256,
            # Only the tag becomes [0]; the bytes that were signed stay as they are.
            "signed_attrs": cms.CMSAttributes.load(message, strict=True),
            "signature_algorithm": {"algorithm": "sha256_rsa"},
            "signature": signature,
        }
    )
    signed = cms.SignedData(
        {
            "version": "v1",
            "digest_algorithms": [sha256],
            "encap_content_info": {"content_type": "data"},
            "certificates": [
                cms.CertificateChoices(name="certificate", value=c) for c in certificates
            ],
            "signer_infos": [signer],
        }
    )
    return bytes(cms.ContentInfo({"content_type": "signed_data", "content": signed}).dump())
