"""CMS ``SignedData`` around signed attributes whose value comes from elsewhere (RFC 5652)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

from asn1crypto import x509

from moica_gateway.domain.models import SignContext
from moica_gateway.errors import GatewayError, error
from moica_gateway.formats.der import (
    CONTEXT_0,
    INTEGER,
    OCTET_STRING,
    SEQUENCE,
    SET,
    object_identifier,
    tlv,
)

__all__ = ["certificate_of", "readable_certificates", "signed_data"]

_KEPT: Final = 10_000
_VERSION_1: Final = tlv(INTEGER, b"\x01")
_NULL: Final = tlv(0x05)
_DATA: Final = object_identifier("1.2.840.113549.1.7.1")
_SIGNED_DATA: Final = object_identifier("1.2.840.113549.1.7.2")
_SHA256_ALGORITHM: Final = tlv(SEQUENCE, object_identifier("2.16.840.1.101.3.4.2.1"), _NULL)
_SHA256_RSA: Final = tlv(SEQUENCE, object_identifier("1.2.840.113549.1.1.11"), _NULL)


def certificate_of(context: SignContext) -> bytes:
    """Of the signer, DER. Raises ``HolderCertificateError`` ``credential_missing``."""
    if context.certificate is None:
        raise error(
            "credential_missing",
            "expected a registered certificate, its name stands inside what is signed",
        )
    return context.certificate


@contextmanager
def readable_certificates() -> Iterator[None]:
    """Nothing of asn1crypto's escapes; what it cannot read here is always a certificate."""
    try:
        yield
    except GatewayError:
        raise
    except Exception as e:
        raise error(
            "certificate_malformed",
            f"expected DER certificates of signer and chain, came {type(e).__name__}",
        ) from e


def signed_data(
    message: bytes, signature: bytes, certificate: bytes, chain: tuple[bytes, ...]
) -> bytes:
    """A detached one, DER, with leaf and intermediates.

    Args:
        message: The signed attributes as they were signed (tag 0x31).
        signature: RSASSA-PKCS1-v1_5 with SHA-256 over them.
        certificate: The signer's, DER.
        chain: From its issuer up, DER.

    Raises:
        ValueError: or what else asn1crypto makes of a certificate; call inside
            `readable_certificates`.
    """
    for issuer in chain:
        _read(issuer)
    signer = tlv(
        SEQUENCE,
        _VERSION_1,
        _signer_identifier(certificate),
        _SHA256_ALGORITHM,
        # Only the tag becomes [0]; the bytes that were signed stay as they are.
        bytes((CONTEXT_0,)) + message[1:],
        _SHA256_RSA,
        tlv(OCTET_STRING, signature),
    )
    certificates = sorted((certificate, *chain))
    signed = tlv(
        SEQUENCE,
        _VERSION_1,
        tlv(SET, _SHA256_ALGORITHM),
        tlv(SEQUENCE, _DATA),
        tlv(CONTEXT_0, *certificates),
        tlv(SET, signer),
    )
    return tlv(SEQUENCE, _SIGNED_DATA, tlv(CONTEXT_0, signed))


@lru_cache(maxsize=_KEPT)
def _signer_identifier(certificate: bytes) -> bytes:
    """Issuer and serial number, as they stand in the certificate."""
    leaf = x509.Certificate.load(certificate, strict=True)
    serial = leaf["tbs_certificate"]["serial_number"].dump()
    return tlv(SEQUENCE, leaf.issuer.dump(), serial)


@lru_cache(maxsize=_KEPT)
def _read(certificate: bytes) -> None:
    """Raises what asn1crypto makes of something that is no certificate."""
    x509.Certificate.load(certificate, strict=True)
