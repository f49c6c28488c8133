"""The font of visible seals: from the operator's setting, or where systems keep Noto Sans CJK.

pyHanko reads single fonts only, and the distributions ship collections (``.ttc``): the face for
Taiwan is taken out in memory, once a process. A subset of it goes into the PDF, nothing is left to
the reader's own fonts.
"""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from fontTools.ttLib import TTCollection, TTFont
from pyhanko.pdf_utils.font.api import FontEngine, FontEngineFactory
from pyhanko.pdf_utils.font.opentype import GlyphAccumulator

from moica_gateway.errors import GatewayError, error
from moica_gateway.formats.fontfiles import font_file

__all__ = ["EmbeddedFont", "glyphs_missing"]

_TAIWAN: Final = (" TC", " TW", " HK")
_FAMILY: Final = 1


class EmbeddedFont(FontEngineFactory):
    """Makes a subset of the font for each document."""

    def __init__(self, setting: str) -> None:
        self._data = _font(setting)

    def create_font_engine(self, writer: Any, obj_stream: Any = None) -> FontEngine:
        """See pyHanko."""
        return GlyphAccumulator(
            writer,
            io.BytesIO(self._data),
            font_size=10,
            bcp47_lang_code="zh-TW",
            obj_stream=obj_stream,
        )


def glyphs_missing(setting: str, text: str) -> str:
    """Those characters of the text that the font lacks.

    Raises:
        ConfigurationError: where there is no font.
    """
    known = _characters(setting)
    return "".join(c for c in dict.fromkeys(text) if ord(c) not in known and not c.isspace())


@lru_cache(maxsize=1)
def _characters(setting: str) -> frozenset[int]:
    data = _font(setting)
    try:
        with TTFont(io.BytesIO(data)) as font:
            return frozenset(font.getBestCmap())
    except Exception as e:
        raise _no_font(f"it cannot be read ({type(e).__name__})") from e


@lru_cache(maxsize=1)
def _font(setting: str) -> bytes:
    path = font_file(setting)
    if path is None:
        raise _no_font("none was found where systems keep Noto Sans CJK")
    try:
        return _single(path)
    except Exception as e:
        raise _no_font(f"{path.name} cannot be read ({type(e).__name__})") from e


def _single(path: Path) -> bytes:
    if path.suffix.lower() not in (".ttc", ".otc"):
        return path.read_bytes()
    with TTCollection(path, lazy=True) as collection:
        fonts = list(collection.fonts)
        chosen = next((f for end in _TAIWAN for f in fonts if _family(f).endswith(end)), fonts[0])
        output = io.BytesIO()
        chosen.save(output, reorderTables=None)
        return output.getvalue()


def _family(font: TTFont) -> str:
    return str(font["name"].getDebugName(_FAMILY) or "")


def _no_font(why: str) -> GatewayError:
    return error(
        "configuration_invalid",
        f"expected a font with Chinese glyphs for visible seals, {why}; the operator installs "
        "fonts-noto-cjk or sets `formats.seal_font`; the integrator may leave `seal` out",
    )
