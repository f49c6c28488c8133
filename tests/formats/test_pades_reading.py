"""What the reader says of PDFs: good, attacked, and not ours."""

from __future__ import annotations

import io
from typing import Any

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.writer import copy_into_new_writer
from pyhanko.sign.fields import SigFieldSpec, append_signature_field

from moica_gateway.errors import GatewayError
from moica_gateway.formats import readers_by_name
from moica_gateway.formats.pades import PadesReader
from moica_gateway.formats.pades.opening import open_for_reading
from tests.formats.pdf_making import (
    CONTEXT,
    PKI,
    PLAIN,
    dictionary,
    make,
    name,
    pdf,
    pyhanko_statuses,
    read,
    sign,
    value_holds,
    written,
)

SIGNED = sign()


def updated(data: bytes = SIGNED) -> IncrementalPdfFileWriter:
    """To append an attack with."""
    return IncrementalPdfFileWriter(io.BytesIO(data))


def page_of(writer: IncrementalPdfFileWriter) -> Any:
    """The first."""
    return writer.root["/Pages"]["/Kids"][0]


def replaced_text() -> bytes:
    """Shadow attack: the content stream is another one."""
    writer = updated()
    page = page_of(writer)
    page[name("/Contents")] = writer.add_object(
        generic.StreamObject(stream_data=b"BT /F1 20 Tf 72 700 Td (Pay 999) Tj ET")
    )
    writer.update_container(page)
    return written(writer)


def overwritten_object() -> bytes:
    """Shadow attack: the same object number, other content."""
    writer = updated()
    reference = page_of(writer).raw_get("/Contents").reference
    stream = writer.get_object(reference)
    stream._data = b"BT /F1 20 Tf 72 700 Td (Pay 999) Tj ET"
    stream._encoded_data = None
    writer.mark_update(reference)
    return written(writer)


def covered_page() -> bytes:
    """Shadow attack "hide": an annotation over the text."""
    writer = updated()
    shape = generic.StreamObject(
        dict_data=dictionary(Subtype="/Form", BBox=[0, 0, 595, 842]),
        stream_data=b"1 1 1 rg 0 0 595 842 re f",
    )
    appearance = writer.add_object(shape)
    stamp = dictionary(
        Type="/Annot", Subtype="/Stamp", Rect=[0, 0, 595, 842], AP={"N": appearance}, F=4
    )
    page = page_of(writer)
    annotations = list(page["/Annots"]) if "/Annots" in page else []
    page[name("/Annots")] = pdf([*annotations, writer.add_object(stamp)])
    writer.update_container(page)
    return written(writer)


def other_font() -> bytes:
    """Shadow attack "replace": the font draws other glyphs."""
    writer = updated()
    font = page_of(writer)["/Resources"]["/Font"].raw_get("/F1")
    found = writer.get_object(font.reference)
    found[name("/BaseFont")] = name("/ZapfDingbats")
    writer.mark_update(font.reference)
    return written(writer)


def new_page() -> bytes:
    """An incremental update with a page in front."""
    writer = updated()
    pages = writer.root["/Pages"]
    blank = writer.add_object(
        dictionary(Type="/Page", MediaBox=[0, 0, 9, 9], Parent=writer.root.raw_get("/Pages"))
    )
    pages["/Kids"].insert(0, blank)
    pages[name("/Count")] = generic.NumberObject(2)
    writer.update_container(pages)
    return written(writer)


def new_catalogue() -> bytes:
    """The trailer points to another document."""
    writer = updated()
    other = generic.DictionaryObject(writer.root)
    other[name("/Lang")] = generic.pdf_string("en")
    reference = writer.add_object(other)
    before, after = written(writer).rsplit(b"/Root 1 0 R", 1)
    return before + b"/Root %d 0 R" % reference.idnum + after


def visible_field_over_it() -> bytes:
    """A signature field that covers the page, on a certified document."""
    writer = updated()
    append_signature_field(
        writer, SigFieldSpec(sig_field_name="Cover", on_page=0, box=(0, 0, 595, 842))
    )
    return written(writer)


def filled_form() -> bytes:
    """A text field that was empty when it was signed."""
    form = make(
        root={
            "AcroForm": {
                "Fields": [],
                "DA": "/Helv 0 Tf 0 g",
            }
        }
    )
    writer = updated(form)
    field = dictionary(
        FT="/Tx", T="Amount", Type="/Annot", Subtype="/Widget", Rect=[0, 0, 90, 20], V=""
    )
    reference = writer.add_object(field)
    writer.root["/AcroForm"]["/Fields"].append(reference)
    writer.update_container(writer.root["/AcroForm"]["/Fields"])
    signed = sign(written(writer))
    writer = updated(signed)
    field = writer.get_object(generic.Reference(reference.idnum, 0, writer))
    field[name("/V")] = generic.pdf_string("999999")
    writer.mark_update(generic.Reference(reference.idnum, 0, writer))
    return written(writer)


ATTACKS = [
    replaced_text,
    overwritten_object,
    covered_page,
    other_font,
    new_page,
    new_catalogue,
    visible_field_over_it,
    filled_form,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.__name__)
def test_shadow_and_incremental_attacks_are_found(attack: Any) -> None:
    """The value verifies and the digest agrees all the same: only the changes behind tell."""
    attacked = attack()
    (found,) = read(attacked)
    assert found.content_matches
    assert value_holds(found)
    assert any("changed afterwards" in p for p in found.problems), found.problems


def test_a_good_one_has_no_problems_and_every_member() -> None:
    """Certificate, chain, message, words, time, level."""
    (found,) = read(SIGNED)
    assert found.format == "pades"
    assert found.name == "MOICA-1"
    assert found.certificate == CONTEXT.certificate
    assert found.chain == (PKI.issuer,)
    assert value_holds(found)
    assert found.content_matches
    assert found.problems == ()
    assert found.claimed_at == PKI.at
    assert found.level == "B-B"
    assert found.timestamps == found.revocation_lists == found.status_answers == ()
    assert not found.blind
    assert f"of {len(SIGNED)}: revision 2 of 2" in found.covers
    assert found.covers.startswith("bytes 0 to ")


def test_signatures_come_in_the_order_in_which_they_were_made() -> None:
    """With the bytes of each, and none of the later ones a problem of the earlier."""
    second = sign(SIGNED)
    third = sign(second)
    found = read(third)
    assert [f.name for f in found] == ["MOICA-1", "MOICA-2", "MOICA-3"]
    ends = [int(f.covers.split(" of ")[0].split()[-1]) for f in found]
    assert ends == [len(SIGNED) - 1, len(second) - 1, len(third) - 1]
    assert [f.problems for f in found] == [(), (), ()]


def test_a_byte_range_that_leaves_out_more_is_a_problem() -> None:
    """Signature wrapping: a hole in which other content may stand."""
    start = SIGNED.index(b"/ByteRange")
    end = SIGNED.index(b"]", start)
    first, length, second, rest = (int(n) for n in SIGNED[start + 12 : end].split())
    for moved in ((first, length, second + 40, rest - 40), (9, length - 9, second, rest)):
        numbers = " ".join(str(n) for n in moved).encode()
        inside = SIGNED[start + 12 : end]
        assert len(numbers) <= len(inside)
        (found,) = read(SIGNED[: start + 12] + numbers.ljust(len(inside)) + SIGNED[end:])
        assert any("part of the revision" in p for p in found.problems)
        assert not found.content_matches


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "broken"),
        (b"%PDF-1.7\n%%EOF\n", "broken"),
        (PLAIN, "no signature"),
        (SIGNED[:-60], "broken"),
        (SIGNED.replace(b"/Contents <30", b"/Contents <FF"), "broken"),
        (SIGNED.replace(b"/ByteRange", b"/ByteRunge"), "broken"),
    ],
    ids=["nothing", "a header", "unsigned", "cut", "no CMS", "no byte range"],
)
def test_what_cannot_be_read_is_said(data: bytes, why: str) -> None:
    """``artifact_unreadable`` and nothing foreign."""
    with pytest.raises(GatewayError) as caught:
        read(data)
    assert caught.value.code == "artifact_unreadable"
    assert why in caught.value.problem.detail


def test_an_encrypted_one_is_not_read() -> None:
    """With the reason."""
    writer = copy_into_new_writer(open_for_reading(PLAIN))
    writer.encrypt("owner", "")
    output = io.BytesIO()
    writer.write(output)
    with pytest.raises(GatewayError, match="encrypted"):
        read(output.getvalue())


async def test_a_foreign_signature_with_a_signing_time_is_read() -> None:
    """The older ``adbe.pkcs7.detached``, by another program, without certification."""
    foreign = await _foreign()
    (found,) = read(foreign)
    assert found.problems == ()
    assert found.content_matches
    assert value_holds(found)
    assert found.hint == "Approved"
    (status,) = await pyhanko_statuses(foreign)
    assert status.intact
    ours = sign(foreign)
    assert [f.problems for f in read(ours)] == [(), ()]


async def _foreign() -> bytes:
    from asn1crypto import keys, x509
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )
    from pyhanko.sign import signers
    from pyhanko_certvalidator.registry import SimpleCertificateStore

    private = PKI.key("stranger").private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    signer = signers.SimpleSigner(
        signing_cert=x509.Certificate.load(PKI.holder(key="stranger-a")),
        signing_key=keys.PrivateKeyInfo.load(private),
        cert_registry=SimpleCertificateStore(),
    )
    output = await signers.async_sign_pdf(
        updated(PLAIN),
        signers.PdfSignatureMetadata(field_name="Sig", reason="Approved", md_algorithm="sha256"),
        signer=signer,
    )
    return bytes(output.getvalue())


def test_the_registry_has_the_reader_and_it_knows_its_own() -> None:
    """By how a PDF begins."""
    assert isinstance(readers_by_name()["pades"], PadesReader)
    assert PadesReader().recognises(SIGNED)
    assert not PadesReader().recognises(b"PK\x03\x04")
