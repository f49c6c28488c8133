"""The visible seal: who signed what when, in a field or at a place of the document system's choice.

Signer's name as the certificate has it, date and time of the Republic (民國, Taiwan's time),
document number, and 測試 outside production. It is a picture for people: what holds is the
signature. All texts are drawn with an embedded font; a character that the font lacks is an error
and never a box.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any, Final

from asn1crypto import x509
from attrs import frozen
from pyhanko.pdf_utils.layout import (
    AxisAlignment,
    InnerScaling,
    Margins,
    SimpleBoxLayoutRule,
)
from pyhanko.pdf_utils.text import TextBoxStyle
from pyhanko.sign.fields import enumerate_sig_fields
from pyhanko.stamp import TextStampStyle

from moica_gateway.domain.models import Document, Seal, SignContext
from moica_gateway.errors import GatewayError, error
from moica_gateway.formats.options import FormatOptions
from moica_gateway.formats.pades.fonts import EmbeddedFont, glyphs_missing
from moica_gateway.formats.pades.opening import Appending

__all__ = ["Place", "place_of", "roc_time", "seal_lines", "seal_style"]

_TAIPEI: Final = timezone(timedelta(hours=8))
_FIRST_YEAR: Final = 1911
_SMALLEST: Final = (60.0, 20.0)
"""Points: below, nobody could read it."""
_RED: Final = (0.75, 0.05, 0.05)
_MARGIN: Final = 4


@frozen(kw_only=True)
class Place:
    """Where the signature goes: ``page`` from 0; without ``box`` and not ``exists`` it is not
    visible."""

    field: str
    exists: bool = False
    page: int = 0
    box: tuple[int, int, int, int] | None = None


def place_of(
    writer: Appending, seal: Seal | None, *, new_name: str, empty: tuple[str, ...], certified: bool
) -> Place:
    """For a new signature.

    Raises:
        RequestError: ``request_invalid`` for a field that is not there, has been signed or has no
            room, a page that is not there, a box beside the page, or a new visible seal on a
            document that is signed already.
    """
    if seal is None:
        return Place(field=new_name)
    if seal.field is not None:
        if seal.field not in empty:
            raise _invalid(
                "field",
                "expected the name of an empty signature field of the document "
                f"({', '.join(empty) or 'it has none'}), came another",
            )
        _room(writer, seal.field)
        return Place(field=seal.field, exists=True)
    if certified:
        raise _invalid(
            "box",
            "expected `field` on a document that is signed already, whose signatures permit no new "
            "visible field; came page and box; the document system lays out the fields of all "
            "signers before the first one signs",
        )
    if seal.page is None or seal.box is None:
        raise _invalid("page", "expected `field`, or `page` with `box`, came neither")
    count = int(writer.prev.root["/Pages"]["/Count"])
    if not 1 <= seal.page <= count:
        raise _invalid("page", f"expected a page from 1 to {count}, came {seal.page}")
    _on_page(writer, seal)
    left, bottom, right, top = (round(n) for n in seal.box)
    return Place(field=new_name, page=seal.page - 1, box=(left, bottom, right, top))


def _on_page(writer: Appending, seal: Seal) -> None:
    page = writer.prev.find_page_for_modification((seal.page or 1) - 1)[0].get_object()
    sheet = _inherited(page, "/CropBox") or _inherited(page, "/MediaBox")
    if sheet is None:
        raise _invalid("page", "expected a page with a /MediaBox, it has none")
    x1, y1, x2, y2 = (float(n) for n in sheet)
    left, bottom, right, top = seal.box or (0, 0, 0, 0)
    inside = min(x1, x2) <= left < right <= max(x1, x2)
    inside = inside and min(y1, y2) <= bottom < top <= max(y1, y2)
    if not inside:
        raise _invalid(
            "box",
            f"expected left, bottom, right, top inside the page ({min(x1, x2):g}, {min(y1, y2):g}, "
            f"{max(x1, x2):g}, {max(y1, y2):g} points), came another place",
        )
    _large_enough("box", right - left, top - bottom)


def _inherited(page: Any, key: str) -> Any:
    for _ in range(64):
        if key in page:
            return page[key]
        if "/Parent" not in page:
            return None
        page = page["/Parent"]
    return None


def _room(writer: Appending, name: str) -> None:
    for found, _value, reference in enumerate_sig_fields(writer.prev, with_name=name):
        if found != name:
            continue
        field = reference.get_object()
        widget = field["/Kids"][0] if "/Kids" in field and "/Rect" not in field else field
        if "/Rect" not in widget:
            raise _invalid("field", "expected a field with a rectangle on a page, it has none")
        x1, y1, x2, y2 = (float(n) for n in widget["/Rect"])
        _large_enough("field", abs(x2 - x1), abs(y2 - y1))


def _large_enough(member: str, width: float, height: float) -> None:
    if width < _SMALLEST[0] or height < _SMALLEST[1]:
        raise _invalid(
            member,
            f"expected room of at least {_SMALLEST[0]:g} by {_SMALLEST[1]:g} points, came "
            f"{width:g} by {height:g}",
        )


def roc_time(at: datetime) -> str:
    """民國 date and time in Taiwan: ``中華民國115年4月29日 14:58:11``."""
    local = at.astimezone(_TAIPEI)
    year = local.year - _FIRST_YEAR
    return f"中華民國{year}年{local.month}月{local.day}日 {local:%H:%M:%S}"


def seal_lines(document: Document, context: SignContext, certificate: bytes) -> tuple[str, ...]:
    """What is drawn, line by line. Raises what asn1crypto makes of a broken certificate."""
    subject = x509.Certificate.load(certificate, strict=True).subject.native
    names = subject.get("common_name", "")
    name = names if isinstance(names, str) else names[0]
    lines = [f"{name} 電子簽章", roc_time(context.at)]
    if document.number:
        lines.append(f"文號 {document.number}")
    if context.environment != "production":
        lines.append("測試 無法律效力")
    return tuple(lines)


def seal_style(lines: tuple[str, ...], options: FormatOptions) -> TextStampStyle:
    """How these lines are drawn; scaled to the room there is.

    Raises:
        ConfigurationError: without a font, or with one that lacks a character.
    """
    text = "\n".join(lines)
    missing = glyphs_missing(options.seal_font, text)
    if missing:
        raise error(
            "configuration_invalid",
            "expected a font that has every character of the seal, "
            f"{len(missing)} are missing (U+{ord(missing[0]):04X}); the operator sets "
            "`formats.seal_font` to one that has them, the integrator may leave `seal` out",
        )
    rule = SimpleBoxLayoutRule(
        x_align=AxisAlignment.ALIGN_MID,
        y_align=AxisAlignment.ALIGN_MID,
        margins=Margins.uniform(_MARGIN),
        inner_content_scaling=InnerScaling.STRETCH_TO_FIT,
    )
    return TextStampStyle(
        border_width=1,
        border_color=_RED,
        # The template is expanded by the library.
        stamp_text=text.replace("%", "%%"),
        text_box_style=TextBoxStyle(
            font=EmbeddedFont(options.seal_font),
            font_size=10,
            leading=14,
            text_color=_RED,
        ),
        inner_content_layout=rule,
    )


def _invalid(member: str, detail: str) -> GatewayError:
    return error(
        "request_invalid",
        f"`seal.{member}`: {detail}; the integrator corrects it",
        member=f"document.seal.{member}",
    )
