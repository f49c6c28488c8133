"""A double of `ports.Format`."""

from __future__ import annotations

from moica_gateway.domain.models import Artifact, Document, Prepared, SignContext
from moica_gateway.domain.values import Tbs

__all__ = ["PlainFormat"]


class PlainFormat:
    """The message is the digest's text, the artifact message and signature."""

    needs_content = False
    parses = False

    def __init__(
        self,
        name: str = "cades",
        levels: tuple[str, ...] = ("B-B",),
        *,
        binds_certificate: bool = True,
    ) -> None:
        self.name = name
        self.binds_certificate = binds_certificate
        self.levels = levels

    def prepare(self, document: Document, content: bytes | None, context: SignContext) -> Prepared:
        """See the port."""
        return Prepared(message=Tbs(message=document.sha256.encode()), state=b"state")

    def finish(self, prepared: Prepared, signature: bytes, context: SignContext) -> Artifact:
        """See the port."""
        return Artifact(
            data=prepared.message.message + b"|" + signature,
            media_type="application/pkcs7-signature",
            filename_extension=".p7s",
        )
