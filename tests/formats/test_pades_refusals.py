"""PDFs that are not signed, each with its reason (security rule 20)."""

from __future__ import annotations

import io
import zlib
from typing import Any

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.writer import copy_into_new_writer
from pyhanko.sign.fields import MDPPerm

from moica_gateway.errors import GatewayError
from moica_gateway.formats import PadesFormat
from moica_gateway.formats.pades import refusals
from moica_gateway.formats.pades.signing import Appending
from tests.formats.pdf_making import (
    CONTEXT,
    PLAIN,
    dictionary,
    document,
    make,
    name,
    pdf,
    sign,
    written,
)


def refused(data: bytes) -> tuple[str, str | None]:
    """Code and reason."""
    with pytest.raises(GatewayError) as caught:
        PadesFormat().prepare(document(data), data, CONTEXT)
    problem = caught.value.problem
    for part in ("expected", "; the integrator"):
        assert part in problem.detail
    return problem.code, problem.extra.get("reason")


ACTIVE: list[tuple[str, str, dict[str, Any]]] = [
    ("javascript", "on opening", {"root": {"OpenAction": {"S": "/JavaScript", "JS": "app.x()"}}}),
    ("javascript", "by name", {"root": {"Names": {"JavaScript": {"Names": ["a", {"K": 1}]}}}}),
    ("javascript", "its action alone", {"objects": [{"S": "/JavaScript"}]}),
    ("javascript", "its text alone", {"objects": [{"JS": "app.alert(1)"}]}),
    ("javascript", "deep inside", {"objects": [{"A": [[{"B": {"JS": "x"}}]]}]}),
    ("action", "additional, on a page", {"page": {"AA": {"O": {"S": "/GoTo"}}}}),
    ("action", "submit", {"objects": [{"S": "/SubmitForm", "F": "x"}]}),
    ("action", "hide", {"objects": [{"S": "/Hide", "T": "x"}]}),
    ("action", "import", {"objects": [{"S": "/ImportData", "F": "x"}]}),
    ("launch", "a program", {"objects": [{"S": "/Launch", "F": "cmd.exe"}]}),
    ("launch", "another file", {"objects": [{"S": "/GoToR", "F": "x.pdf"}]}),
    ("launch", "an embedded file", {"objects": [{"S": "/GoToE", "T": {"R": "/C"}}]}),
    ("xfa", "in the form", {"root": {"AcroForm": {"Fields": [], "XFA": "x"}}}),
    ("optional_content", "of the document", {"root": {"OCProperties": {"OCGs": []}}}),
    ("optional_content", "of a thing", {"objects": [{"OC": {"Type": "/OCG"}}]}),
    ("optional_content", "switched", {"objects": [{"S": "/SetOCGState", "State": []}]}),
    ("embedded_file", "by name", {"root": {"Names": {"EmbeddedFiles": {"Names": []}}}}),
    ("embedded_file", "in a file's description", {"objects": [{"Type": "/Filespec", "EF": {}}]}),
    ("embedded_file", "on a page", {"objects": [{"Subtype": "/FileAttachment"}]}),
    ("multimedia", "a film", {"objects": [{"Subtype": "/Movie"}]}),
    ("multimedia", "rich media", {"objects": [{"Subtype": "/RichMedia"}]}),
    ("multimedia", "a sound's action", {"objects": [{"S": "/Sound"}]}),
    ("external", "a page of another file", {"objects": [{"Ref": {"F": "x.pdf", "Page": 0}}]}),
]


@pytest.mark.parametrize(
    ("reason", "content"),
    [(reason, content) for reason, _, content in ACTIVE],
    ids=[f"{reason}: {what}" for reason, what, _ in ACTIVE],
)
@pytest.mark.parametrize("streams", [False, True], ids=["plain", "compressed"])
def test_active_and_changeable_content_is_refused(
    reason: str, content: dict[str, Any], streams: bool
) -> None:
    """Wherever it stands, also where no page refers to it yet."""
    assert refused(make(streams=streams, **content)) == ("document_refused", reason)


def test_a_name_that_is_written_otherwise_is_the_same_name() -> None:
    """``/#4aS`` is ``/JS``."""
    data = make(objects=[{"JS": "x"}]).replace(b"/JS ", b"/#4aS ")
    assert b"/#4aS" in data
    data = repaired(data)
    assert refused(data) == ("document_refused", "javascript")


def test_a_name_behind_a_reference_is_found() -> None:
    """An action's kind may be an object of its own."""
    writer = IncrementalPdfFileWriter(io.BytesIO(PLAIN))
    kind = writer.add_object(name("/Launch"))
    writer.add_object(dictionary(S=kind))
    assert refused(written(writer)) == ("document_refused", "launch")


def test_an_encrypted_document_is_refused() -> None:
    """Also without a password to open it."""
    writer = copy_into_new_writer(_reader(PLAIN))
    writer.encrypt("owner", "")
    output = io.BytesIO()
    writer.write(output)
    assert refused(output.getvalue()) == ("document_refused", "encryption")


def test_hybrid_cross_references_are_refused() -> None:
    """Old programs see another document than new ones."""
    table = PLAIN.rindex(b"xref\n", 0, PLAIN.rindex(b"startxref"))
    hidden = (
        b"50 0 obj\n<< /Type /XRef /Size 51 /W [1 4 2] /Index [50 1] /Length 7 >>\nstream\n"
        + b"\x01"
        + table.to_bytes(4, "big")
        + b"\x00\x00\nendstream\nendobj\n"
    )
    rest = PLAIN[table : PLAIN.rindex(b"startxref")]
    rest = rest.replace(b"trailer\n<<", b"trailer\n<< /XRefStm %d" % table)
    rest = rest.replace(b"/Size 7", b"/Size 51")
    assert b"/XRefStm" in rest
    end = b"startxref\n%d\n%%%%EOF\n" % (table + len(hidden))
    assert refused(PLAIN[:table] + hidden + rest + end) == ("document_refused", "hybrid")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", ("request_invalid", None)),
        (b"no PDF", ("document_unreadable", None)),
        (b"GIF89a" + PLAIN, ("document_refused", "not_only_a_pdf")),
        (PLAIN + b"<html>", ("document_refused", "not_only_a_pdf")),
        (PLAIN[:-30], ("document_unreadable", None)),
        (PLAIN.replace(b"startxref\n", b"startxref\n9"), ("document_unreadable", None)),
        (PLAIN.replace(b"/Root", b"/Ruut"), ("document_unreadable", None)),
        (PLAIN.replace(b"4 0 obj", b"9 0 obj"), ("document_unreadable", None)),
    ],
    ids=[
        "nothing",
        "no PDF",
        "something in front",
        "something behind",
        "cut",
        "a wrong startxref",
        "no root",
        "a cross-reference to another object",
    ],
)
def test_what_programs_would_read_differently_is_refused(
    data: bytes, expected: tuple[str, str | None]
) -> None:
    """Nothing is repaired."""
    assert refused(data) == expected


def test_too_many_objects_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before each is read."""
    monkeypatch.setattr(refusals, "MAX_OBJECTS", 20)
    assert refused(make(objects=[{"A": n} for n in range(30)])) == (
        "document_refused",
        "too_many_objects",
    )


def test_a_stream_that_grows_is_refused() -> None:
    """A small file that would fill the memory of whoever opens it."""
    bomb = zlib.compress(b"\x00" * (70 * 1_048_576), 9)
    writer = IncrementalPdfFileWriter(io.BytesIO(PLAIN))
    stream = generic.StreamObject(
        dict_data={name("/Filter"): name("/FlateDecode")}, encoded_data=bomb
    )
    writer.add_object(stream)
    assert refused(written(writer)) == ("document_unreadable", None)


def test_nesting_without_end_is_refused() -> None:
    """And does not end the process."""
    deep = b"[" * 5000 + b"]" * 5000
    data = repaired(make(objects=["/X"]).replace(b"/X\n", deep + b"\n"))
    assert refused(data) == ("document_unreadable", None)


def test_content_from_another_file_is_refused() -> None:
    """A stream whose data lies elsewhere."""
    writer = IncrementalPdfFileWriter(io.BytesIO(PLAIN))
    writer.add_object(
        generic.StreamObject(dict_data={name("/F"): pdf("elsewhere.bin")}, stream_data=b"")
    )
    assert refused(written(writer)) == ("document_refused", "external")


def test_a_document_changed_behind_its_signature_is_refused() -> None:
    """The next signer would vouch for the change."""
    writer = IncrementalPdfFileWriter(io.BytesIO(sign()))
    page = writer.root["/Pages"]["/Kids"][0]
    page[name("/Rotate")] = generic.NumberObject(180)
    writer.update_container(page)
    code, reason = refused(written(writer))
    assert (code, reason) == ("document_refused", "update_not_allowed")


def test_a_document_whose_signature_is_broken_is_refused() -> None:
    """The digest inside is not that of the bytes any more."""
    broken = sign().replace(b"(Hello)", b"(Hullo)")
    assert refused(broken) == ("document_refused", "update_not_allowed")


def test_a_final_certification_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has certified that nothing may follow."""
    monkeypatch.setattr(
        "moica_gateway.formats.pades.signing.MDPPerm",
        type("P", (), {"FILL_FORMS": MDPPerm.NO_CHANGES}),
    )
    final = sign()
    assert refused(final) == ("document_refused", "certified_final")


def test_a_plain_document_with_links_is_signed() -> None:
    """What harms nobody passes: places in the document, addresses, an outline, revisions."""
    link = {"Type": "/Annot", "Subtype": "/Link", "Rect": [0, 0, 9, 9]}
    data = make(
        root={"OpenAction": {"S": "/GoTo", "D": [0, "/Fit"]}, "Lang": "zh-TW"},
        objects=[
            {**link, "A": {"S": "/URI", "URI": "https://www.gov.tw/"}},
            {"Type": "/StructElem", "S": "/P"},
        ],
    )
    writer = IncrementalPdfFileWriter(io.BytesIO(data))
    writer.add_object(dictionary(A=1))
    assert sign(written(writer))


def _reader(data: bytes) -> Any:
    return Appending(io.BytesIO(data)).prev


def repaired(data: bytes) -> bytes:
    """Offsets of a document whose objects were lengthened by hand."""
    body = data[: data.rindex(b"xref\n", 0, data.rindex(b"startxref"))]
    numbers = []
    place = 0
    while (found := body.find(b" 0 obj", place)) >= 0:
        begin = body.rfind(b"\n", 0, found) + 1
        numbers.append((int(body[begin:found]), begin))
        place = found + 1
    table = b"xref\n0 1\n0000000000 65535 f \n"
    for number, offset in numbers:
        table += b"%d 1\n%010d 00000 n \n" % (number, offset)
    trailer = data[data.index(b"trailer") : data.rindex(b"startxref")]
    return body + table + trailer + b"startxref\n%d\n%%%%EOF\n" % len(body)


def test_repaired_documents_are_good() -> None:
    """Or the tests above would prove nothing."""
    assert sign(repaired(PLAIN))
