"""What the gateway and a worker process say to each other: JSON with the bytes behind it.

No pickle: a worker has parsed what a stranger wrote, so its answers are data of known types and
nothing that could be run. Not a format for keeping: both ends are always of one version.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, BinaryIO, Final

from cattrs import Converter

from moica_gateway.domain.models import Artifact, Document, Prepared, SignContext
from moica_gateway.domain.readings import FoundSignature, GivenContent, ValidationMaterial

__all__ = ["OPERATIONS", "Frame", "FrameError", "read_frame", "write_frame"]

OPERATIONS: Final[Mapping[str, tuple[tuple[Any, ...], Any]]] = {
    "prepare": ((Document, bytes | None, SignContext), Prepared),
    "finish": ((Prepared, bytes, SignContext), Artifact),
    "raise_level": ((bytes, str, ValidationMaterial), bytes),
    "read": ((bytes, GivenContent), tuple[FoundSignature, ...]),
}
"""By name: the types of what is asked with, and of the answer."""

_HEAD: Final = 4
_MAX_HEADER: Final = 16 * 1_048_576


class FrameError(Exception):
    """The line ended, or what came is no frame."""


_BLOBS: Final[ContextVar[list[bytes]]] = ContextVar("blobs of the frame in hand")


def _put(data: bytes) -> int:
    blobs = _BLOBS.get()
    blobs.append(data)
    return len(blobs) - 1


def _take(place: object, _form: object) -> bytes:
    blobs = _BLOBS.get()
    if not isinstance(place, int) or not 0 <= place < len(blobs):
        raise ValueError("expected the place of a blob")
    return blobs[place]


def _instant(text: object, _form: object) -> datetime:
    if not isinstance(text, str):
        raise ValueError("expected an instant")
    return datetime.fromisoformat(text)


def _make_converter() -> Converter:
    converter = Converter(detailed_validation=False)
    converter.register_unstructure_hook(bytes, _put)
    converter.register_structure_hook(bytes, _take)
    converter.register_unstructure_hook(datetime, lambda at: at.isoformat())
    converter.register_structure_hook(datetime, _instant)
    return converter


# One for all frames: it writes its code anew for each type that it meets, which is slow.
_CONVERTER: Final = _make_converter()  # not changed after import


@contextmanager
def _blobs(blobs: list[bytes]) -> Iterator[None]:
    token = _BLOBS.set(blobs)
    try:
        yield
    finally:
        _BLOBS.reset(token)


def write_frame(to: BinaryIO, head: Mapping[str, Any], *parts: tuple[Any, Any]) -> None:
    """``head``: JSON types. ``parts``: value and type, each; read back in the same order."""
    blobs: list[bytes] = []
    with _blobs(blobs):
        body = [_CONVERTER.unstructure(value, unstructure_as=form) for value, form in parts]
    header = json.dumps(
        {"head": dict(head), "parts": body, "blobs": [len(b) for b in blobs]}, ensure_ascii=False
    ).encode()
    to.write(len(header).to_bytes(_HEAD, "big"))
    to.write(header)
    for blob in blobs:
        to.write(blob)
    to.flush()


class Frame:
    """One that came; its parts are unverified until they are taken as a type."""

    def __init__(self, head: Mapping[str, Any], parts: list[Any], blobs: list[bytes]) -> None:
        self.head = head
        self._parts = parts
        self._blobs = blobs

    def part(self, place: int, form: Any) -> Any:
        """Raises `FrameError` when it is not of that type."""
        try:
            with _blobs(self._blobs):
                return _CONVERTER.structure(self._parts[place], form)
        except Exception as e:  # noqa: BLE001 - the library raises what it likes
            raise FrameError(f"part {place}: {type(e).__name__}") from None


def read_frame(source: BinaryIO, most: int) -> Frame:
    """The next one, of at most ``most`` bytes besides its header.

    Raises:
        FrameError: also when the line was closed.
    """
    header = _exactly(source, _length(_exactly(source, _HEAD)))
    try:
        said = json.loads(header)
        head, parts, sizes = said["head"], said["parts"], said["blobs"]
        good = isinstance(head, dict) and isinstance(parts, list) and isinstance(sizes, list)
        good = good and all(type(n) is int and 0 <= n <= most for n in sizes)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FrameError("expected a frame, came something else") from None
    if not good or sum(sizes) > most:
        raise FrameError("expected a frame within its bounds, came another")
    return Frame(head, parts, [_exactly(source, n) for n in sizes])


def _length(head: bytes) -> int:
    length = int.from_bytes(head, "big")
    if length > _MAX_HEADER:
        raise FrameError("expected a shorter header")
    return length


def _exactly(source: BinaryIO, count: int) -> bytes:
    found = io.BytesIO()
    while (missing := count - found.tell()) > 0:
        piece = source.read(missing)
        if not piece:
            raise FrameError("the line was closed")
        found.write(piece)
    return found.getvalue()
