"""What an operator sets for formats; handed in, also to worker processes."""

from __future__ import annotations

from attrs import frozen

__all__ = ["FormatOptions"]


@frozen(kw_only=True)
class FormatOptions:
    """JSON types only.

    Attributes:
        seal_font: Path of a font with Chinese glyphs (``.otf``, ``.ttf``, ``.ttc``) for visible
            seals; empty looks in the places where systems keep Noto Sans CJK.
    """

    seal_font: str = ""
