"""The QR code of a ticket: the whole ticket, level L, a fixed mask, four modules of quiet zone.

One path made from the modules is a quarter of the library's own SVG, and a fixed mask saves trying
eight of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import qrcode
from qrcode.constants import ERROR_CORRECT_L

__all__ = ["qr_svg"]

_BORDER: Final = 4
_MASK: Final = 3


def _modules(payload: str) -> list[list[bool]]:
    code = qrcode.QRCode(error_correction=ERROR_CORRECT_L, border=_BORDER, mask_pattern=_MASK)
    code.add_data(payload)
    code.make(fit=True)
    return [[bool(module) for module in row] for row in code.get_matrix()]


def qr_svg(payload: str) -> bytes:
    """An SVG that scales; black on white, whatever the page's colours."""
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


def _runs(row: list[bool]) -> Iterable[tuple[int, int]]:
    start = None
    for x, dark in enumerate([*row, False]):
        if dark and start is None:
            start = x
        elif not dark and start is not None:
            yield start, x - start
            start = None
