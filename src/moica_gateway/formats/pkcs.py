"""``pkcs1``: the bare RSASSA-PKCS1-v1_5 signature with SHA-256 over the document's own bytes.
``pkcs7``: the CMS ``SignedData`` over them that the phone makes, attached or detached as it comes.

The platform takes at most 1024 characters of base64, so the document has at most 768 bytes. There
is no room for the hint in it: it stands in the evidence only (security rule 9).
"""

from __future__ import annotations

import hashlib

from moica_gateway.domain.models import Artifact, Document, Prepared, SignContext
from moica_gateway.domain.readings import FoundSignature, GivenContent
from moica_gateway.domain.values import SignatureForm, Tbs
from moica_gateway.errors import error
from moica_gateway.formats.blind import refuse_blind
from moica_gateway.formats.limits import MAX_MESSAGE

__all__ = ["Pkcs1Format", "Pkcs1Reader", "Pkcs7Format"]


class Pkcs1Format:
    """See the module."""

    name = "pkcs1"
    levels: tuple[str, ...] = ()
    needs_content = True
    parses = False
    binds_certificate = False

    def prepare(self, document: Document, content: bytes | None, context: SignContext) -> Prepared:
        """The content as it is."""
        message = _own_bytes(self.name, document, content, statement=context.statement)
        return Prepared(message=Tbs(message=message), state=b"")

    def finish(self, prepared: Prepared, signature: bytes, context: SignContext) -> Artifact:
        """The signature as it is."""
        del prepared, context
        return Artifact(
            data=signature, media_type="application/octet-stream", filename_extension=".sig"
        )


class Pkcs7Format:
    """See the module. That the CMS is of the holder and over the content is the judge's to say,
    before anything is finished."""

    name = "pkcs7"
    levels: tuple[str, ...] = ()
    needs_content = True
    parses = False
    binds_certificate = False

    def prepare(self, document: Document, content: bytes | None, context: SignContext) -> Prepared:
        """The content as it is."""
        message = _own_bytes(self.name, document, content, statement=context.statement)
        return Prepared(message=Tbs(message=message, form=SignatureForm.CMS), state=b"")

    def finish(self, prepared: Prepared, signature: bytes, context: SignContext) -> Artifact:
        """The CMS as the phone made it."""
        del prepared, context
        return Artifact(
            data=signature, media_type="application/pkcs7-mime", filename_extension=".p7m"
        )


def _own_bytes(name: str, document: Document, content: bytes | None, *, statement: bool) -> bytes:
    if not content:
        raise error(
            "request_invalid",
            f"`content_base64`: expected the document's own bytes, `{name}` covers them and not "
            "a digest; came none; the integrator sends them, or takes `cades`",
            member="document.content_base64",
        )
    if len(content) > MAX_MESSAGE:
        raise error(
            "document_too_large",
            f"expected at most {MAX_MESSAGE} bytes for `{name}`, came {len(content)}; the "
            "integrator takes `cades`, which signs a document of any size",
        )
    if hashlib.sha256(content).hexdigest() != document.sha256.lower():
        raise error(
            "document_digest_mismatch",
            "expected the content whose SHA-256 was given, came another; the integrator sends "
            "both of the same frozen version",
        )
    if not statement:
        refuse_blind(content)
    return content


class Pkcs1Reader:
    """Implements `ports.SignatureReader`: a value alone says nothing, so content and certificate
    have to be given."""

    name = "pkcs1"

    def recognises(self, data: bytes) -> bool:
        """Never: it is as long as a key, and that is all."""
        del data
        return False

    def read(self, data: bytes, given: GivenContent) -> tuple[FoundSignature, ...]:
        """See the port."""
        missing = "its certificate" if given.certificate is None else "the content"
        if given.certificate is None or given.content is None:
            raise error(
                "artifact_unreadable",
                f"expected a bare signature with certificate and content, {missing} is missing; "
                "the integrator sends both",
            )
        agrees = given.sha256 in (None, hashlib.sha256(given.content).digest())
        return (
            FoundSignature(
                format=self.name,
                name="signature",
                certificate=given.certificate,
                message=Tbs(message=given.content),
                signature=data,
                covers="the whole content, by itself",
                content_matches=agrees,
            ),
        )
