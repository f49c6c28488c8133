"""``pades``: PDF signatures, PAdES baseline (ETSI EN 319 142-1), B-B to B-LTA.

``prepare`` appends one incremental update with a field, the signature dictionary and room for the
CMS, and yields the CMS signed attributes; ``finish`` puts the CMS into the room. Documents that
could show something else later are refused before (`refusals`), the first signature certifies
(DocMDP), a visible seal is drawn on request (`seal`). What a PDF says of its signatures is read by
`reading`. pyHanko writes and reads the PDF; it is imported with the first PDF and not with the
gateway, because that alone takes a second: in the running gateway only worker processes ever do.

Not made here: encrypted PDFs, signatures over parts, forms that are filled after signing.
"""

from __future__ import annotations

from moica_gateway.domain.models import Artifact, Document, Prepared, SignContext
from moica_gateway.domain.readings import FoundSignature, GivenContent, ValidationMaterial
from moica_gateway.formats.options import FormatOptions
from moica_gateway.ports import Timestamper

__all__ = ["PadesFormat", "PadesReader"]


class PadesFormat:
    """See the module."""

    name = "pades"
    levels: tuple[str, ...] = ("B-B",)
    needs_content = True
    binds_certificate = True
    parses = True

    def __init__(self, options: FormatOptions | None = None) -> None:
        self._options = options or FormatOptions()

    def prepare(self, document: Document, content: bytes | None, context: SignContext) -> Prepared:
        """The DER ``SET OF`` of the signed attributes; the state is the PDF with room in it.

        Raises:
            RequestError: ``request_invalid`` without content or for a seal that has no place,
                ``document_digest_mismatch``, ``document_unreadable``, ``document_refused``,
                ``document_too_large``.
            HolderCertificateError: ``credential_missing``, or ``certificate_malformed``.
            ConfigurationError: for a seal where there is no font.
        """
        from moica_gateway.formats.pades.signing import prepare

        return prepare(document, content, context, self._options)

    def finish(self, prepared: Prepared, signature: bytes, context: SignContext) -> Artifact:
        """The signed PDF, with leaf and intermediates.

        Raises:
            HolderCertificateError: ``certificate_changed`` when the certificate is not the one
                that the signed attributes name.
        """
        from moica_gateway.formats.pades.signing import finish

        return finish(prepared, signature, context)

    async def raise_level(
        self, artifact: bytes, level: str, timestamper: Timestamper, material: ValidationMaterial
    ) -> bytes:
        """See the port; the last signature of the document is meant."""
        from moica_gateway.formats.pades.levels import raise_level

        return await raise_level(artifact, level, timestamper, material)


class PadesReader:
    """See `reading`."""

    name = "pades"

    def recognises(self, data: bytes) -> bool:
        """A PDF header at the very beginning."""
        return data.startswith(b"%PDF-")

    def read(self, data: bytes, given: GivenContent) -> tuple[FoundSignature, ...]:
        """See the port. The content stands inside, so that ``given`` is not looked at."""
        from moica_gateway.formats.pades.reading import read

        del given
        return read(data)
