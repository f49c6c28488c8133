"""Which PDFs are not signed (security rule 20): what could show or do something else later.

Every object that a cross-reference names is looked at, also those that no page refers to yet, and
every dictionary in it, by its keys. Broken and hybrid files, and those with bytes in front of or
behind the PDF, are refused because programs do not agree on what stands in them. A document that
is signed already must carry nothing behind its signatures but what `updates` allows.

Not found here: two programs that draw the same page content differently, and words that mislead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.decode_limits import DecodePurpose
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.validation import read_certification_data

from moica_gateway.errors import GatewayError, error
from moica_gateway.formats.pades.updates import faults_of

__all__ = ["MAX_OBJECTS", "MAX_SIGNATURES", "refuse_bytes", "refuse_document"]

MAX_OBJECTS: Final = 50_000
MAX_SIGNATURES: Final = 50
MAX_REVISIONS: Final = 200

_KEYS: Final[Mapping[str, str]] = {
    "/JS": "javascript",
    "/JavaScript": "javascript",
    "/AA": "action",
    "/XFA": "xfa",
    "/OCProperties": "optional_content",
    "/OC": "optional_content",
    "/OCGs": "optional_content",
    "/EmbeddedFiles": "embedded_file",
    "/EF": "embedded_file",
    "/RichMediaContent": "multimedia",
    "/RichMediaSettings": "multimedia",
    "/Ref": "external",
}
_ACTIONS: Final[Mapping[str, str]] = {
    "/JavaScript": "javascript",
    "/Launch": "launch",
    "/GoToE": "launch",
    "/GoToR": "launch",
    "/Thread": "launch",
    "/SubmitForm": "action",
    "/ResetForm": "action",
    "/ImportData": "action",
    "/Hide": "action",
    "/SetOCGState": "optional_content",
    "/Rendition": "multimedia",
    "/Movie": "multimedia",
    "/Sound": "multimedia",
    "/RichMediaExecute": "multimedia",
    "/GoTo3DView": "multimedia",
}
_KINDS: Final[Mapping[str, str]] = {
    "/RichMedia": "multimedia",
    "/Movie": "multimedia",
    "/Sound": "multimedia",
    "/Screen": "multimedia",
    "/3D": "multimedia",
    "/FileAttachment": "embedded_file",
}
_WORDS: Final[Mapping[str, str]] = {
    "encryption": "an encrypted PDF",
    "javascript": "JavaScript",
    "action": "an action that runs by itself or changes a form",
    "xfa": "an XFA form",
    "optional_content": "optional content (layers that can be hidden)",
    "embedded_file": "an embedded file",
    "multimedia": "multimedia",
    "external": "content that is fetched from another file",
    "launch": "an action that opens another file or program",
    "hybrid": "hybrid cross-references, which programs read differently",
    "not_only_a_pdf": "bytes in front of its header or behind its end",
    "too_many_objects": f"more than {MAX_OBJECTS} objects",
    "too_many_revisions": f"more than {MAX_REVISIONS} revisions",
    "too_many_signatures": f"more than {MAX_SIGNATURES} signatures",
    "certified_final": "a certification that permits no further signature",
    "update_not_allowed": "an earlier signature with a change behind it that it does not permit",
}
_WHAT_TO_DO: Final = "the integrator sends the document printed to a plain PDF"
_PLAIN_FILTERS: Final = frozenset(
    {"/FlateDecode", "/Fl", "/ASCIIHexDecode", "/AHx", "/ASCII85Decode", "/A85"}
)


def refuse_bytes(content: bytes) -> None:
    """Before anything is parsed.

    Raises:
        RequestError: ``document_unreadable`` for what is no PDF, ``document_refused``.
    """
    if not content.startswith(b"%PDF-"):
        if b"%PDF-" in content[:1024]:
            raise _refused("not_only_a_pdf")
        raise error(
            "document_unreadable",
            "expected a PDF, which begins with %PDF-, came something else; the integrator sends "
            "the PDF, or takes `cades` for another kind of file",
        )
    if not content.rstrip(b"\r\n\t \x00").endswith(b"%%EOF"):
        if b"%%EOF" in content:
            raise _refused("not_only_a_pdf")
        raise error(
            "document_unreadable",
            "expected a PDF that ends with %%EOF, it is cut short; the integrator sends the whole "
            "file",
        )


def refuse_document(reader: PdfFileReader) -> None:
    """Raises ``RequestError`` ``document_refused`` with the member ``reason``; call inside
    `opening.readable`."""
    if "/Encrypt" in reader.trailer:
        raise _refused("encryption")
    if reader.xrefs.hybrid_xrefs_present:
        raise _refused("hybrid")
    if reader.total_revisions > MAX_REVISIONS:
        raise _refused("too_many_revisions")
    references = {
        reference
        for revision in range(reader.total_revisions)
        for reference in reader.xrefs.explicit_refs_in_revision(revision)
    }
    if len(references) > MAX_OBJECTS:
        raise _refused("too_many_objects")
    for reference in references:
        if reader.xrefs[reference] is None:
            continue
        _refuse_object(reader.get_object(reference))
    _refuse_object(reader.trailer_view)
    _refuse_signed(reader)


def _refuse_object(found: Any) -> None:
    for dictionary in _dictionaries(found):
        for key in dictionary:
            if key in _KEYS:
                raise _refused(_KEYS[key])
        _refuse_value(dictionary, "/S", _ACTIONS)
        _refuse_value(dictionary, "/Subtype", _KINDS)
        if isinstance(dictionary, generic.StreamObject):
            _refuse_stream(dictionary)


def _refuse_value(
    dictionary: generic.DictionaryObject, key: str, reasons: Mapping[str, str]
) -> None:
    if key not in dictionary:
        return
    # Not `get`, which leaves a reference as it is: a name behind one would be overlooked.
    value = dictionary[key]
    if isinstance(value, generic.NameObject) and value in reasons:
        raise _refused(reasons[value])


def _refuse_stream(stream: generic.StreamObject) -> None:
    if "/F" in stream:
        raise _refused("external")
    filters = stream["/Filter"] if "/Filter" in stream else generic.ArrayObject()
    names = filters if isinstance(filters, generic.ArrayObject) else [filters]
    if names and all(name in _PLAIN_FILTERS for name in names):
        # Decoded once for the library's limits, and forgotten.
        stream.read_data(DecodePurpose.GENERIC)


def _dictionaries(found: Any) -> Iterator[generic.DictionaryObject]:
    """All inside one object; what it refers to is an object of its own."""
    waiting = [found]
    while waiting:
        one = waiting.pop()
        if isinstance(one, generic.DictionaryObject):
            yield one
            waiting += [one.raw_get(key) for key in one]
        elif isinstance(one, generic.ArrayObject):
            waiting += [one.raw_get(place) for place in range(len(one))]


def _refuse_signed(reader: PdfFileReader) -> None:
    signatures = reader.embedded_signatures
    if len(signatures) > MAX_SIGNATURES:
        raise _refused("too_many_signatures")
    for signature in signatures:
        faults = faults_of(signature)
        if faults:
            raise _refused("update_not_allowed", f"field {signature.field_name!r}: {faults[0]}")
    certified = read_certification_data(reader)
    if certified is not None and certified.permission == MDPPerm.NO_CHANGES:
        raise _refused("certified_final")


def _refused(reason: str, more: str = "") -> GatewayError:
    tail = f" ({more})" if more else ""
    return error(
        "document_refused",
        f"expected a PDF whose content cannot change once it is signed, came one with "
        f"{_WORDS[reason]}{tail}; {_WHAT_TO_DO}",
        reason=reason,
        member="document.content_base64",
    )
