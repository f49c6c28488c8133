"""Where a font for visible seals lies; looks, and opens nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["font_file"]

_PLACES: Final = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/google-noto-sans-cjk-fonts/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/google-noto-cjk/NotoSansCJK-Regular.ttc",
)


def font_file(setting: str) -> Path | None:
    """The operator's, or the first that is there; None for none."""
    candidates = (setting,) if setting else _PLACES
    return next((Path(p) for p in candidates if Path(p).is_file()), None)
