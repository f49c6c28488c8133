"""``cades``: detached CMS ``SignedData``, CAdES-B-B (ETSI EN 319 122-1, baseline B).

The key covers the DER of the signed attributes (`formats.attributes`), so a document of any size is
signed by its digest, and the bytes to be signed stay below the platform's limit. Timestamps and
archive levels are not made here yet.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

from asn1crypto import x509

from moica_gateway.domain.models import Artifact, Document, Prepared, SignContext
from moica_gateway.domain.values import Tbs
from moica_gateway.errors import GatewayError, error
from moica_gateway.formats.attributes import signed_attributes
from moica_gateway.formats.der import (
    CONTEXT_0,
    INTEGER,
    OCTET_STRING,
    SEQUENCE,
    SET,
    object_identifier,
    tlv,
)
from moica_gateway.formats.limits import MAX_MESSAGE

__all__ = ["CadesFormat"]

_NOT_FOR_PRODUCTION: Final = "（測試，無法律效力 NOT FOR PRODUCTION）"
_KEPT: Final = 10_000
_VERSION_1: Final = tlv(INTEGER, b"\x01")
_NULL: Final = tlv(0x05)
_DATA: Final = object_identifier("1.2.840.113549.1.7.1")
_SIGNED_DATA: Final = object_identifier("1.2.840.113549.1.7.2")
_SHA256_ALGORITHM: Final = tlv(SEQUENCE, object_identifier("2.16.840.1.101.3.4.2.1"), _NULL)
_SHA256_RSA: Final = tlv(SEQUENCE, object_identifier("1.2.840.113549.1.1.11"), _NULL)
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")


class CadesFormat:
    """See the module."""

    name = "cades"
    levels: tuple[str, ...] = ("B-B",)
    needs_content = False
    parses = False
    binds_certificate = True

    def prepare(self, document: Document, content: bytes | None, context: SignContext) -> Prepared:
        """The DER ``SET OF`` of the signed attributes (tag 0x31)."""
        if not _SHA256.fullmatch(document.sha256):
            raise error(
                "request_invalid",
                "`sha256`: expected 64 hexadecimal digits, came something else",
                member="document.sha256",
            )
        digest = bytes.fromhex(document.sha256)
        if content is not None and hashlib.sha256(content).digest() != digest:
            raise error(
                "document_digest_mismatch",
                "expected the content whose SHA-256 was given, came another; the integrator sends "
                "both of the same frozen version",
            )
        hint = context.hint
        if context.environment != "production":
            hint += _NOT_FOR_PRODUCTION
        with _readable():
            message = signed_attributes(
                digest=digest,
                certificate=_certificate(context),
                hint=hint,
                signing_time=context.at,
            )
        if len(message) > MAX_MESSAGE:
            raise error(
                "document_too_large",
                f"expected signed attributes of at most {MAX_MESSAGE} bytes, came "
                f"{len(message)}; the integrator shortens the document number",
            )
        return Prepared(message=Tbs(message=message), state=b"")

    def finish(self, prepared: Prepared, signature: bytes, context: SignContext) -> Artifact:
        """Leaf and intermediates go in, so that the anchor alone completes the chain.

        Raises:
            HolderCertificateError: ``certificate_changed`` when the certificate is not the one
                that the signed attributes name.
        """
        certificate, message = _certificate(context), prepared.message.message
        if hashlib.sha256(certificate).digest() not in message:
            raise error(
                "certificate_changed",
                "expected the certificate that was named inside what is signed, came another; the "
                "holder registers again",
            )
        with _readable():
            data = _signed_data(message, signature, certificate, context.chain)
        return Artifact(
            data=data, media_type="application/pkcs7-signature", filename_extension=".p7s"
        )


def _certificate(context: SignContext) -> bytes:
    if context.certificate is None:
        raise error(
            "credential_missing",
            "expected a registered certificate, CAdES names it inside what is signed",
        )
    return context.certificate


@contextmanager
def _readable() -> Iterator[None]:
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


def _signed_data(
    message: bytes, signature: bytes, certificate: bytes, chain: tuple[bytes, ...]
) -> bytes:
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
