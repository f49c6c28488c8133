"""Reading what comes in at the edge: JSON bodies, single fields, list parameters."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from aiohttp import web

from moica_simulator.errors import SimulatorError
from moica_simulator.phone.camera import LARGEST_PICTURE, MEDIA_TYPES, too_large

__all__ = ["Fields", "list_parameters", "parse_json", "read_fields", "read_picture"]

_MOST = 1000
_UNSET: Any = object()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member comes twice")
    return found


_UNIQUE = json.JSONDecoder(parse_constant=_refuse, object_pairs_hook=_once)
_STRICT = json.JSONDecoder(parse_constant=_refuse)


def parse_json(raw: bytes, *, unique: bool = False) -> Any:
    """Parses strict JSON.

    Args:
        raw: In UTF-8.
        unique: Whether a member that comes twice is an error; otherwise the last one counts.

    Raises:
        ValueError: If it is none; `NaN` and the like, which Python would take, are none either.
    """
    try:
        return (_UNIQUE if unique else _STRICT).decode(raw.decode())
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


async def read_fields(request: web.Request, *known: str) -> "Fields":
    """Reads the JSON object of a control request.

    Args:
        request: The request.
        known: The fields that it may have; others are refused, since a typing mistake would
            otherwise go unnoticed.

    Raises:
        SimulatorError: `body_invalid`.
    """
    raw = await request.read()
    if not raw and not known:
        return Fields({})
    if request.content_type != "application/json":
        # Also what keeps another site's form in a browser from calling us.
        raise _invalid(f"Content-Type application/json; {request.content_type} came", status=415)
    try:
        value = parse_json(raw)
    except ValueError as error:
        raise _invalid("a JSON object; what came is no JSON") from error
    if not isinstance(value, dict):
        raise _invalid(f"a JSON object; a {type(value).__name__} came")
    if strange := sorted(set(value) - set(known)):
        raise _invalid(f"only the fields {', '.join(known)}; {', '.join(strange)} came")
    return Fields(value)


async def read_picture(request: web.Request) -> bytes | None:
    """Reads a picture, which may be larger than any other body; None if none is in the body.

    Raises:
        SimulatorError: `picture_too_large`, before more than that is held in memory;
            `body_invalid` for a picture of another type.
    """
    if not request.content_type.startswith("image/"):
        return None
    if request.content_type not in MEDIA_TYPES:
        raise _invalid(
            f"a picture as {' or '.join(sorted(MEDIA_TYPES))}, or JSON; "
            f"{request.content_type} came",
            status=415,
        )
    if (request.content_length or 0) > LARGEST_PICTURE:
        raise too_large(f"{request.content_length} bytes")
    raw = bytearray()
    async for part in request.content.iter_any():
        raw += part
        if len(raw) > LARGEST_PICTURE:
            raise too_large("more")
    return bytes(raw)


class Fields:
    """A JSON object whose fields are taken one by one, each with its type."""

    def __init__(self, value: Mapping[str, Any]) -> None:
        self._value = value

    def text(self, name: str, default: str | None = _UNSET) -> Any:
        """Returns a text, or the default if it is absent or null."""
        value = self._take(name, default)
        if value is default:
            return value
        if not isinstance(value, str):
            raise _invalid(f"{name} to be text; a {type(value).__name__} came")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise _invalid(f"{name} to be valid Unicode; a lone surrogate came") from error
        return value

    def number(self, name: str, default: float | None = _UNSET) -> Any:
        """Returns a number, or the default if it is absent or null."""
        value = self._take(name, default)
        if value is default or (isinstance(value, int | float) and not isinstance(value, bool)):
            return value
        raise _invalid(f"{name} to be a number; a {type(value).__name__} came")

    def whole_number(self, name: str, default: int | None = _UNSET) -> Any:
        """Returns a whole number, or the default if it is absent or null."""
        value = self.number(name, default)
        if value is default or isinstance(value, int):
            return value
        raise _invalid(f"{name} to be a whole number; {value} came")

    def flag(self, name: str, default: bool = _UNSET) -> bool:
        """Returns true or false, or the default if it is absent or null."""
        value = self._take(name, default)
        if isinstance(value, bool):
            return value
        raise _invalid(f"{name} to be true or false; a {type(value).__name__} came")

    def get(self, name: str) -> Any:
        """Returns a field as it came, or None."""
        return self._value.get(name)

    def names(self) -> list[str]:
        """Returns the fields that came, also as null."""
        return list(self._value)

    def has(self, name: str) -> bool:
        """Says whether a field came at all, also as null."""
        return name in self._value

    def _take(self, name: str, default: Any) -> Any:
        value = self._value.get(name)
        if value is not None:
            return value
        if default is _UNSET:
            raise _invalid(f"the field {name}; it is missing")
        return default


def list_parameters(request: web.Request) -> tuple[int, int]:
    """Reads `limit` and `cursor` (or `after`, which means the same) of a list.

    Returns:
        The position behind which to begin (0 is the beginning), and how many items at most.

    Raises:
        SimulatorError: `parameter_invalid`.
    """
    after = request.query.get("after") or "0"
    cursor = request.query.get("cursor") or after
    limit = request.query.get("limit") or "100"
    for name, value in (("cursor", cursor), ("after", after), ("limit", limit)):
        if not (value.isascii() and value.isdigit() and len(value) <= 15):
            raise SimulatorError(
                "parameter_invalid",
                f"{name}: expected digits, for a cursor those of an earlier next_cursor",
            )
    if not 1 <= int(limit) <= _MOST:
        raise SimulatorError("parameter_invalid", f"limit: expected 1 to {_MOST}; {limit} came")
    return int(cursor), int(limit)


def _invalid(expected: str, *, status: int = 400) -> SimulatorError:
    return SimulatorError("body_invalid", f"expected {expected}", status=status)
