"""The QR code of a ticket: the whole ticket, level L, a fixed mask, four modules of quiet zone.

As SVG one path made from the modules is a quarter of the library's own, and a fixed mask saves
trying eight of them. As PNG every module is a whole number of pixels, so that nothing is smoothed.
Both are black on white, whatever the page's colours. Whether a code may be shown at all is not
decided here.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Final

import qrcode
from qrcode.constants import ERROR_CORRECT_L

__all__ = ["qr_png", "qr_svg"]

_BORDER: Final = 4
_MASK: Final = 3
_LEAST: Final = 280
"""Pixels of the code itself, without the quiet zone: below that, phones begin to miss it."""
_SCALE: Final = 4


def _modules(payload: str) -> list[list[bool]]:
    code = qrcode.QRCode(error_correction=ERROR_CORRECT_L, border=_BORDER, mask_pattern=_MASK)
    code.add_data(payload)
    code.make(fit=True)
    return [[bool(module) for module in row] for row in code.get_matrix()]


def qr_svg(payload: str) -> bytes:
    """An SVG that scales; one unit is one module."""
    rows = _modules(payload)
    size = len(rows)
    path = "".join(
        f"M{start} {y}h{length}v1h-{length}z"
        for y, row in enumerate(rows)
        for start, length in _runs(row)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" '
        f'shape-rendering="crispEdges"><path fill="#fff" d="M0 0h{size}v{size}H0z"/>'
        f'<path fill="#000" d="{path}"/></svg>'
    ).encode()


def qr_png(payload: str) -> bytes:
    """A PNG of one bit a pixel, for pages without scripts and systems that cannot draw SVG."""
    # Only who asks for a PNG pays for the library.
    from PIL import Image

    rows = _modules(payload)
    size = len(rows)
    scale = max(_SCALE, -(-_LEAST // (size - 2 * _BORDER)))
    small = Image.new("L", (size, size), 255)
    small.putdata([0 if dark else 255 for row in rows for dark in row])
    large = small.resize((size * scale, size * scale), Image.Resampling.NEAREST).convert("1")
    written = io.BytesIO()
    large.save(written, "PNG")
    return written.getvalue()


def _runs(row: list[bool]) -> Iterable[tuple[int, int]]:
    start = None
    for x, dark in enumerate([*row, False]):
        if dark and start is None:
            start = x
        elif not dark and start is not None:
            yield start, x - start
            start = None
