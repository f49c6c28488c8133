"""A camera for Chromium: an uncompressed film of one picture, which can be changed while it runs.

Chromium reads the file of ``--use-file-for-fake-video-capture`` again and again; a frame keeps its
size, so that writing over it changes what the camera sees.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

_SIZE = (1280, 720)
_GREY = 140
_NO_COLOUR = 128


class FakeCamera:
    """Looks at what it is told, in black and white."""

    def __init__(self, film: Path) -> None:
        self.film = film
        self.looks_at_nothing()

    @property
    def flags(self) -> list[str]:
        """For Chromium's start."""
        return [
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-video-capture={self.film}",
        ]

    def looks_at_nothing(self) -> None:
        """A grey table."""
        self._film(Image.new("L", _SIZE, _GREY))

    def looks_at(self, screen: Any, box: Any) -> None:
        """Held before a screen, at the distance at which this part of it is most of the height."""
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        height = max(box["width"], box["height"]) * 1.25
        width = height * _SIZE[0] / _SIZE[1]
        part = (int(x - width / 2), int(y - height / 2), int(x + width / 2), int(y + height / 2))
        self._film(screen.convert("L").crop(part).resize(_SIZE))

    def _film(self, picture: Image.Image) -> None:
        width, height = _SIZE
        frame = picture.tobytes() + bytes([_NO_COLOUR]) * (width * height // 2)
        data = f"YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420jpeg\nFRAME\n".encode() + frame
        with self.film.open("r+b" if self.film.exists() else "wb") as opened:
            opened.write(data)
