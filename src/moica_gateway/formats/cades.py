"""``cades``: detached CMS ``SignedData``, CAdES-B-B (ETSI EN 319 122-1, baseline B).

The key covers the DER of the signed attributes (`formats.attributes`), so a document of any size is
signed by its digest, and the bytes to be signed stay below the platform's limit. Timestamps and
archive levels are not made here yet.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from moica_gateway.domain.models import Artifact, Document, Prepared, SignContext
from moica_gateway.domain.values import Tbs
from moica_gateway.errors import error
from moica_gateway.formats.attributes import signed_attributes
from moica_gateway.formats.limits import MAX_MESSAGE
from moica_gateway.formats.signed_data import (
    certificate_of,
    readable_certificates,
    signed_data,
)

__all__ = ["CadesFormat"]

_NOT_FOR_PRODUCTION: Final = "（測試，無法律效力 NOT FOR PRODUCTION）"
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
        with readable_certificates():
            message = signed_attributes(
                digest=digest,
                certificate=certificate_of(context),
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
        certificate, message = certificate_of(context), prepared.message.message
        if hashlib.sha256(certificate).digest() not in message:
            raise error(
                "certificate_changed",
                "expected the certificate that was named inside what is signed, came another; the "
                "holder registers again",
            )
        with readable_certificates():
            data = signed_data(message, signature, certificate, context.chain)
        return Artifact(
            data=data, media_type="application/pkcs7-signature", filename_extension=".p7s"
        )
