"""The visible seal: what stands in it, where, and that it is drawn and no boxes."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import evolve
from PIL import Image

from moica_gateway.domain.models import Seal
from moica_gateway.errors import GatewayError
from moica_gateway.formats import FormatOptions, PadesFormat
from moica_gateway.formats.pades.seal import roc_time, seal_lines
from tests.formats.pdf_making import (
    CONTEXT,
    NUMBER,
    PKI,
    PLAIN,
    document,
    make,
    pdfsig,
    pyhanko_statuses,
    qpdf_accepts,
    read,
    sign,
    with_field,
)

BOX = (300.0, 600.0, 520.0, 700.0)
IN_BOX = Seal(page=1, box=BOX)
FIELD = with_field(PLAIN, "Approval", (60, 100, 260, 180))


def text_of(folder: Path, data: bytes) -> str:
    """As poppler copies it out."""
    (folder / "t.pdf").write_bytes(data)
    done = subprocess.run(["pdftotext", "t.pdf", "-"], cwd=folder, capture_output=True, check=True)
    return done.stdout.decode()


def picture(folder: Path, data: bytes, page: int = 1) -> Image.Image:
    """At one pixel a point."""
    (folder / "p.pdf").write_bytes(data)
    command = ["pdftoppm", "-r", "72", "-f", str(page), "-l", str(page), "-png", "p.pdf", "p"]
    subprocess.run(command, cwd=folder, check=True)
    (made,) = folder.glob("p-*.png")
    with Image.open(made) as opened:
        shown = opened.convert("RGB")
    made.unlink()
    return shown


def red(shown: Image.Image, box: tuple[float, float, float, float]) -> int:
    """Pixels of the seal's colour inside, in PDF's coordinates."""
    left, bottom, right, top = box
    part = shown.crop((int(left), 842 - int(top), int(right), 842 - int(bottom)))
    raw = part.tobytes()
    return sum(r > 150 and g < 140 and b < 140 for r, g, b in zip(*[iter(raw)] * 3, strict=True))


async def test_a_seal_in_a_box_is_drawn_there_and_nowhere_else(tmp_path: Path) -> None:
    """Name, date of the Republic, number, mark; with an embedded font; all judges content."""
    signed = sign(seal=IN_BOX)
    shown, plain = picture(tmp_path, signed), picture(tmp_path, sign())
    assert red(shown, BOX) > 400
    assert red(shown, (0, 0, 595, 842)) <= red(shown, (298, 598, 522, 702))
    assert red(plain, (0, 0, 595, 842)) == 0
    text = text_of(tmp_path, signed)
    for line in ("王小明 電子簽章", "中華民國115年4月29日 14:58:11", NUMBER, "測試 無法律效力"):
        assert line in text
    fonts = subprocess.run(["pdffonts", "t.pdf"], cwd=tmp_path, capture_output=True, check=True)
    (font,) = [f for f in fonts.stdout.decode().splitlines() if "CJK" in f]
    assert font.split()[-5:-2] == ["yes", "yes", "yes"]
    assert len(signed) - len(PLAIN) < 60_000
    assert qpdf_accepts(tmp_path, signed)
    (found,) = pdfsig(tmp_path, signed)
    assert found["Signature Validation"] == "Signature is Valid."
    (status,) = await pyhanko_statuses(signed)
    assert status.bottom_line
    assert read(signed)[0].problems == ()


async def test_a_seal_in_a_field_of_the_document(tmp_path: Path) -> None:
    """The field that the document system laid out, by its name."""
    signed = sign(FIELD, Seal(field="Approval"))
    assert red(picture(tmp_path, signed), (60, 100, 260, 180)) > 400
    (found,) = read(signed)
    assert (found.name, found.problems) == ("Approval", ())
    (status,) = await pyhanko_statuses(signed)
    assert status.bottom_line


async def test_several_signers_in_fields_that_were_laid_out_before(tmp_path: Path) -> None:
    """Each seal is an update; the earlier signatures stay valid for all judges."""
    form = with_field(FIELD, "Chief", (300, 100, 500, 180))
    first = sign(form, Seal(field="Approval"))
    both = sign(first, Seal(field="Chief"))
    shown = picture(tmp_path, both)
    assert red(shown, (60, 100, 260, 180)) > 400
    assert red(shown, (300, 100, 500, 180)) > 400
    assert [s.bottom_line for s in await pyhanko_statuses(both)] == [True, True]
    assert [f["Signature Validation"] for f in pdfsig(tmp_path, both)] == [
        "Signature is Valid."
    ] * 2
    assert [(f.name, f.problems) for f in read(both)] == [("Approval", ()), ("Chief", ())]
    assert qpdf_accepts(tmp_path, both)


def test_the_mark_is_not_drawn_in_production(tmp_path: Path) -> None:
    """And is everywhere else."""
    production = evolve(CONTEXT, environment="production")
    assert "測試" not in text_of(tmp_path, sign(seal=IN_BOX, context=production))
    assert "測試" in text_of(
        tmp_path, sign(seal=IN_BOX, context=evolve(CONTEXT, environment="uat"))
    )


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        (datetime(2026, 4, 29, 6, 58, 11, tzinfo=UTC), "中華民國115年4月29日 14:58:11"),
        (datetime(2025, 12, 31, 16, 0, 0, tzinfo=UTC), "中華民國115年1月1日 00:00:00"),
    ],
)
def test_the_time_is_taiwans_and_the_year_the_republics(at: datetime, shown: str) -> None:
    """Eight hours ahead; 1912 was the first."""
    assert roc_time(at) == shown


def test_a_per_cent_sign_is_drawn_as_it_is(tmp_path: Path) -> None:
    """The library takes texts for templates."""
    context = evolve(CONTEXT, certificate=PKI.holder(common_name="王%(ts)s100%"))
    lines = seal_lines(document(PLAIN), context, context.certificate or b"")
    assert lines[0] == "王%(ts)s100% 電子簽章"
    assert "王%(ts)s100%" in text_of(tmp_path, sign(seal=IN_BOX, context=context))


CERTIFIED = sign()
WRONG: list[tuple[str, Callable[[], bytes], Seal, str]] = [
    ("no such field", lambda: FIELD, Seal(field="Chief"), "field"),
    (
        "a signed field",
        lambda: sign(FIELD, Seal(field="Approval")),
        Seal(field="Approval"),
        "field",
    ),
    ("an invisible field", lambda: with_field(PLAIN, "A", None), Seal(field="A"), "field"),
    ("a small field", lambda: with_field(PLAIN, "A", (0, 0, 50, 9)), Seal(field="A"), "field"),
    ("no such page", lambda: PLAIN, Seal(page=2, box=BOX), "page"),
    ("no page", lambda: PLAIN, Seal(box=BOX), "page"),
    ("beside the page", lambda: PLAIN, Seal(page=1, box=(500, 600, 700, 700)), "box"),
    ("upside down", lambda: PLAIN, Seal(page=1, box=(300, 700, 500, 600)), "box"),
    ("too small", lambda: PLAIN, Seal(page=1, box=(300, 600, 310, 605)), "box"),
    ("a new one on a certified document", lambda: CERTIFIED, IN_BOX, "box"),
]


@pytest.mark.parametrize(
    ("data", "seal", "member"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG]
)
def test_a_seal_without_a_place_is_refused(
    data: Callable[[], bytes], seal: Seal, member: str
) -> None:
    """With the member that is wrong and what was expected."""
    made = data()
    with pytest.raises(GatewayError) as caught:
        PadesFormat().prepare(document(made), made, evolve(CONTEXT, seal=seal))
    assert caught.value.code == "request_invalid"
    assert caught.value.problem.extra["member"] == f"document.seal.{member}"
    assert "expected" in caught.value.problem.detail


def test_the_second_page_of_several(tmp_path: Path) -> None:
    """Pages count from 1."""
    signed = sign(make(pages=3), Seal(page=2, box=BOX))
    counts = [red(picture(tmp_path, signed, page), BOX) for page in (1, 2, 3)]
    assert counts[0] == counts[2] == 0
    assert counts[1] > 400


def _without(options: FormatOptions) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        PadesFormat(options).prepare(document(PLAIN), PLAIN, evolve(CONTEXT, seal=IN_BOX))
    return caught.value


def test_without_a_font_a_seal_is_refused_and_all_else_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never boxes: the operator is told."""
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    for options in (
        FormatOptions(seal_font=str(tmp_path / "none.otf")),
        FormatOptions(seal_font=str(broken)),
    ):
        found = _without(options)
        assert found.code == "configuration_invalid"
        assert "formats.seal_font" in found.problem.detail
        assert PadesFormat(options).prepare(document(PLAIN), PLAIN, CONTEXT)


def test_a_character_that_the_font_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rare name is not drawn as a box."""
    rare = evolve(CONTEXT, certificate=PKI.holder(common_name="王\U0003134a明"))
    with pytest.raises(GatewayError) as caught:
        sign(seal=IN_BOX, context=rare)
    assert caught.value.code == "configuration_invalid"
    assert "U+3134A" in caught.value.problem.detail
    assert sign(context=rare)


def test_a_single_font_is_taken_as_it_is(tmp_path: Path) -> None:
    """An ``.otf`` of the operator's instead of a collection."""
    from moica_gateway.formats.pades.fonts import _font

    font = tmp_path / "own.otf"
    font.write_bytes(_font(""))
    options = FormatOptions(seal_font=str(font))
    prepared = PadesFormat(options).prepare(document(PLAIN), PLAIN, evolve(CONTEXT, seal=IN_BOX))
    assert b"NotoSansCJK" in prepared.state
    assert io.BytesIO(prepared.state).readable()
