"""One signature more in a PDF: the update with room for the CMS, and the CMS put into it.

The hint that the holder saw stands in ``/Reason`` and as content hints among the signed attributes;
the time in ``/M``, as PAdES wants it. The first signature certifies the document (DocMDP, level 2:
nothing may follow but further signatures and what preserves them).
"""

from __future__ import annotations

import hashlib
import io
import re
from typing import Any, Final

from attrs import frozen
from pyhanko.pdf_utils import generic
from pyhanko.sign.fields import (
    FieldMDPSpec,
    MDPPerm,
    SigFieldSpec,
    SigSeedSubFilter,
    enumerate_sig_fields,
)
from pyhanko.sign.signers.cms_embedder import (
    PdfCMSEmbedder,
    SigAppearanceSetup,
    SigIOSetup,
    SigMDPSetup,
    SigObjSetup,
)
from pyhanko.sign.signers.pdf_byterange import PreparedByteRangeDigest, SignatureObject

from moica_gateway.domain.models import Artifact, Document, Prepared, Seal, SignContext
from moica_gateway.domain.values import Tbs
from moica_gateway.errors import error
from moica_gateway.formats.attributes import signed_attributes
from moica_gateway.formats.limits import MAX_MESSAGE
from moica_gateway.formats.options import FormatOptions
from moica_gateway.formats.pades.opening import Appending, open_for_signing, readable
from moica_gateway.formats.pades.refusals import refuse_bytes, refuse_document
from moica_gateway.formats.pades.seal import Place, place_of, seal_lines, seal_style
from moica_gateway.formats.signed_data import (
    certificate_of,
    readable_certificates,
    signed_data,
)

__all__ = ["RESERVED", "finish", "prepare"]

RESERVED: Final = 32_768
"""Hexadecimal digits of room: the CMS with its certificates, and a timestamp token later on."""
_OFFSET: Final = 8
_NOT_FOR_PRODUCTION: Final = "（測試，無法律效力 NOT FOR PRODUCTION）"
_OUR_FIELD: Final = "MOICA-{}"
_WHO: Final = "the integrator makes the file anew, for example by printing it to PDF"
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")


def prepare(
    document: Document, content: bytes | None, context: SignContext, options: FormatOptions
) -> Prepared:
    """See the format."""
    data = _content(document, content)
    refuse_bytes(data)
    certificate = certificate_of(context)
    hint = context.hint
    if context.environment != "production":
        hint += _NOT_FOR_PRODUCTION
    with readable("document_unreadable", _WHO):
        writer = open_for_signing(data)
        refuse_document(writer.prev)
        place = _place(writer, context.seal)
        style = None
        if context.seal is not None:
            with readable_certificates():
                lines = seal_lines(document, context, certificate)
            style = seal_style(lines, options)
        digest, output = _append(writer, context, hint, place, style)
    with readable_certificates():
        message = signed_attributes(
            digest=digest.document_digest, certificate=certificate, hint=hint, signing_time=None
        )
    if len(message) > MAX_MESSAGE:
        raise error(
            "document_too_large",
            f"expected signed attributes of at most {MAX_MESSAGE} bytes, came {len(message)}; the "
            "integrator shortens the document number",
        )
    state = b"".join(
        offset.to_bytes(_OFFSET, "big")
        for offset in (digest.reserved_region_start, digest.reserved_region_end)
    )
    return Prepared(message=Tbs(message=message), state=state + output)


def finish(prepared: Prepared, signature: bytes, context: SignContext) -> Artifact:
    """See the format."""
    certificate, message = certificate_of(context), prepared.message.message
    if hashlib.sha256(certificate).digest() not in message:
        raise error(
            "certificate_changed",
            "expected the certificate that was named inside what is signed, came another; the "
            "holder registers again",
        )
    with readable_certificates():
        content = signed_data(message, signature, certificate, context.chain)
    start, end = (int.from_bytes(prepared.state[at : at + _OFFSET], "big") for at in (0, _OFFSET))
    if 2 * len(content) > end - start - 2:
        raise error(
            "document_too_large",
            f"expected a CMS of at most {(end - start - 2) // 2} bytes, came {len(content)}; the "
            "operator leaves needless intermediates out of `trust.intermediates`",
        )
    output = io.BytesIO(prepared.state[2 * _OFFSET :])
    digest = PreparedByteRangeDigest(
        document_digest=b"", reserved_region_start=start, reserved_region_end=end
    )
    digest.fill_with_cms(output, content)
    return Artifact(data=output.getvalue(), media_type="application/pdf", filename_extension=".pdf")


def _content(document: Document, content: bytes | None) -> bytes:
    if not content:
        raise error(
            "request_invalid",
            "`content_base64`: expected the PDF itself, a PDF signature is put into it; came none; "
            "the integrator sends it, or takes `cades`, which signs a digest",
            member="document.content_base64",
        )
    if (
        not _SHA256.fullmatch(document.sha256)
        or hashlib.sha256(content).hexdigest() != document.sha256.lower()
    ):
        raise error(
            "document_digest_mismatch",
            "expected the content whose SHA-256 was given, came another; the integrator sends "
            "both of the same frozen version",
        )
    return content


# -- the update ----------------------------------------------------------------------------------


@frozen(kw_only=True)
class _Fields:
    taken: tuple[str, ...]
    empty: tuple[str, ...]


def _fields(writer: Appending) -> _Fields:
    taken: list[str] = []
    empty: list[str] = []
    for name, value, _reference in enumerate_sig_fields(writer.prev):
        (empty if value is None else taken).append(name)
    return _Fields(taken=tuple(taken), empty=tuple(empty))


def _place(writer: Appending, seal: Seal | None) -> Place:
    fields = _fields(writer)
    known = {*fields.taken, *fields.empty}
    number = 1 + len(known)
    while (name := _OUR_FIELD.format(number)) in known:
        number += 1
    return place_of(writer, seal, new_name=name, empty=fields.empty, certified=bool(fields.taken))


def _append(
    writer: Appending, context: SignContext, hint: str, place: Place, style: Any
) -> tuple[PreparedByteRangeDigest, bytes]:
    """The update; no object may be touched once it is written."""
    signed = bool(_fields(writer).taken)
    spec = SigFieldSpec(sig_field_name=place.field)
    if place.box is not None:
        spec = SigFieldSpec(sig_field_name=place.field, on_page=place.page, box=place.box)
    steps = PdfCMSEmbedder(new_field_spec=spec).write_cms(
        field_name=place.field, writer=writer, existing_fields_only=place.exists
    )
    field = next(steps).get_object()
    steps.send(
        SigObjSetup(
            sig_placeholder=SignatureObject(
                timestamp=context.at,
                subfilter=SigSeedSubFilter.PADES,
                reason=hint,
                bytes_reserved=RESERVED,
            ),
            mdp_setup=SigMDPSetup(
                md_algorithm="sha256",
                certify=not signed,
                field_lock=_lock(field),
                docmdp_perms=None if signed else MDPPerm.FILL_FORMS,
            ),
            appearance_setup=None
            if style is None
            else SigAppearanceSetup(style=style, timestamp=context.at, name=None),
        )
    )
    digest, output = steps.send(SigIOSetup(md_algorithm="sha256"))
    return digest, output.getvalue()


def _lock(field: generic.DictionaryObject) -> FieldMDPSpec | None:
    """What the document's author wants locked with this field."""
    if "/Lock" not in field:
        return None
    return FieldMDPSpec.from_pdf_object(field["/Lock"])
