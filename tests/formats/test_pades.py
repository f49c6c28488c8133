"""PDF signatures, as poppler, qpdf and pyHanko see them."""

from __future__ import annotations

import io
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asn1crypto import cms
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import MDPPerm

from moica_gateway.errors import GatewayError
from moica_gateway.formats import PadesFormat
from moica_gateway.formats.limits import MAX_MESSAGE
from tests.formats.pdf_making import (
    CONTEXT,
    HINT,
    PKI,
    PLAIN,
    code_of,
    document,
    make,
    pdfsig,
    pyhanko_statuses,
    qpdf_accepts,
    read,
    sign,
    value_holds,
)

MARK = "（測試，無法律效力 NOT FOR PRODUCTION）"


@pytest.mark.parametrize("streams", [False, True], ids=["tables", "streams"])
async def test_three_judges_accept_it(tmp_path: Path, streams: bool) -> None:
    """With both kinds of cross-references."""
    signed = sign(make(streams=streams))
    assert qpdf_accepts(tmp_path, signed)
    (found,) = pdfsig(tmp_path, signed)
    assert found["Signature Validation"] == "Signature is Valid."
    assert found["Certificate Validation"] == "Certificate is Trusted."
    assert found["Signature Type"] == "ETSI.CAdES.detached"
    assert found["Signer Certificate Common Name"] == "王小明"
    (status,) = await pyhanko_statuses(signed)
    assert status.bottom_line, status.pretty_print_details()


@pytest.mark.parametrize(
    "tampered",
    [
        sign().replace(b"(Hello) Tj", b"(Hullo) Tj"),
        sign().replace(b"20260429065811Z", b"20260429065812Z"),
        sign(key="somebody else"),
    ],
    ids=["the text", "the time", "the value"],
)
async def test_three_judges_refuse_a_tampered_one(tmp_path: Path, tampered: bytes) -> None:
    """Whatever was changed in it."""
    (found,) = pdfsig(tmp_path, tampered)
    assert found["Signature Validation"] != "Signature is Valid."
    (status,) = await pyhanko_statuses(tampered)
    assert not status.bottom_line
    (ours,) = read(tampered)
    assert ours.problems or not value_holds(ours)


def test_qpdf_refuses_a_broken_file(tmp_path: Path) -> None:
    """So that its word means something."""
    assert not qpdf_accepts(tmp_path, sign()[:-300])


def test_the_document_stays_byte_for_byte_in_front() -> None:
    """The signature is an update behind it and touches no metadata."""
    signed = sign()
    assert signed.startswith(PLAIN)
    assert b"/ModDate" not in signed[len(PLAIN) :]
    assert b"/Producer" not in signed[len(PLAIN) :]


def test_the_hint_stands_in_the_reason_and_among_the_signed_attributes() -> None:
    """Both are covered by the key; outside production with the mark."""
    for environment, mark in (("simulator", MARK), ("uat", MARK), ("production", "")):
        signed = sign(context=evolve(CONTEXT, environment=environment))
        signature = PdfFileReader(io.BytesIO(signed)).embedded_regular_signatures[0]
        assert str(signature.sig_object["/Reason"]) == HINT + mark
        (found,) = read(signed)
        assert found.hint == HINT + mark
        assert (HINT + mark).encode() in found.message.message


def test_the_signing_time_stands_in_the_dictionary_only() -> None:
    """As PAdES wants it: /M, and no signed attribute."""
    signature = PdfFileReader(io.BytesIO(sign())).embedded_regular_signatures[0]
    types = [a["type"].native for a in signature.signer_info["signed_attrs"]]
    assert "signing_time" not in types
    assert "signing_certificate_v2" in types
    assert signature.self_reported_timestamp == PKI.at
    late = datetime(2051, 1, 2, 3, 4, 5, tzinfo=UTC)
    (found,) = read(sign(context=evolve(CONTEXT, at=late)))
    assert found.claimed_at == late


async def test_the_first_signature_certifies_and_the_second_approves(tmp_path: Path) -> None:
    """DocMDP with room for signatures alone; the earlier ones stay valid for all judges."""
    signed = sign(sign(sign()))
    first, second, third = PdfFileReader(io.BytesIO(signed)).embedded_regular_signatures
    assert first.docmdp_level is MDPPerm.FILL_FORMS
    assert second.docmdp_level is None
    assert third.docmdp_level is None
    assert [f["Signature Validation"] for f in pdfsig(tmp_path, signed)] == [
        "Signature is Valid."
    ] * 3
    assert qpdf_accepts(tmp_path, signed)
    statuses = await pyhanko_statuses(signed)
    assert [s.bottom_line for s in statuses] == [True] * 3
    assert [f.problems for f in read(signed)] == [()] * 3


def test_the_message_fits_the_platform_with_the_longest_number() -> None:
    """768 bytes, or it is refused with what to do."""
    hint = "公文文號：" + "字" * 50 + " 等 100 件 驗證碼：42"
    prepared = PadesFormat().prepare(document(PLAIN), PLAIN, evolve(CONTEXT, hint=hint))
    assert len(prepared.message.message) <= MAX_MESSAGE
    assert isinstance(cms.CMSAttributes.load(prepared.message.message), cms.CMSAttributes)
    with pytest.raises(GatewayError) as caught:
        PadesFormat().prepare(document(PLAIN), PLAIN, evolve(CONTEXT, hint="字" * 300))
    assert caught.value.code == "document_too_large"


@pytest.mark.parametrize(
    ("content", "digest_of", "context", "code"),
    [
        (None, PLAIN, CONTEXT, "request_invalid"),
        (PLAIN, PLAIN + b" ", CONTEXT, "document_digest_mismatch"),
        (PLAIN, PLAIN, evolve(CONTEXT, certificate=None), "credential_missing"),
        (PLAIN, PLAIN, evolve(CONTEXT, certificate=b"x"), "certificate_malformed"),
    ],
)
def test_what_is_missing_or_wrong_is_said(
    content: bytes | None, digest_of: bytes, context: object, code: str
) -> None:
    """Content, digest, certificate."""
    with pytest.raises(GatewayError) as caught:
        PadesFormat().prepare(document(digest_of), content, context)  # type: ignore[arg-type]
    assert caught.value.code == code


def test_another_certificate_than_the_named_one_is_refused() -> None:
    """What is signed names it."""
    prepared = PadesFormat().prepare(document(PLAIN), PLAIN, CONTEXT)
    other = evolve(CONTEXT, certificate=PKI.holder(serial=9))
    with pytest.raises(GatewayError) as caught:
        PadesFormat().finish(prepared, b"s" * 256, other)
    assert caught.value.code == "certificate_changed"


def test_a_chain_that_does_not_fit_or_cannot_be_read_is_said() -> None:
    """The room was laid out before."""
    prepared = PadesFormat().prepare(document(PLAIN), PLAIN, CONTEXT)
    for chain, code in (
        (tuple(PKI.holder(serial=n) for n in range(20, 50)), "document_too_large"),
        ((b"x",), "certificate_malformed"),
    ):
        with pytest.raises(GatewayError) as caught:
            PadesFormat().finish(prepared, b"s" * 256, evolve(CONTEXT, chain=chain))
        assert caught.value.code == code


def test_the_gateway_starts_without_the_pdf_library() -> None:
    """Importing it takes a second, and only workers need it."""
    code = (
        "import sys, moica_gateway.app as a; f = a.formats_by_name()['pades']; "
        "sys.exit('pyhanko.sign' in sys.modules or 'fontTools' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_damaged_documents_raise_nothing_foreign(data: st.DataObject) -> None:
    """Cut, overwritten, doubled: an error of ours, or a document that can be signed."""
    source = data.draw(st.sampled_from([PLAIN, _SIGNED]))
    start = data.draw(st.integers(0, len(source)))
    length = data.draw(st.integers(0, 40))
    middle = data.draw(st.binary(max_size=40))
    damaged = source[:start] + middle + source[start + length :]
    assert code_of(lambda: PadesFormat().prepare(document(damaged), damaged, CONTEXT)) in (
        None,
        "document_unreadable",
        "document_refused",
        "request_invalid",
    )
    assert code_of(lambda: read(damaged)) in (None, "artifact_unreadable")


_SIGNED = sign()
