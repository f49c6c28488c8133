"""Parts of models as JSON: what is sealed as one value, and the few clear JSON columns.

Bytes and secrets are base64, instants are RFC 3339 in UTC with microseconds. Members that a newer
program added are ignored, members that an older one lacked take their defaults.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

from cattrs import Converter

from moica_gateway.domain.values import Secret
from moica_gateway.stores.column_types import NOT_STORABLE, in_utc

__all__ = ["as_json", "from_bytes", "from_json", "json_text", "to_bytes"]

T = TypeVar("T")


def _make_converter() -> Converter:
    converter = Converter(detailed_validation=False)
    converter.register_unstructure_hook(bytes, lambda data: base64.b64encode(data).decode())
    converter.register_structure_hook(bytes, lambda text, _: base64.b64decode(text, validate=True))
    converter.register_unstructure_hook(
        Secret, lambda secret: base64.b64encode(secret.reveal()).decode()
    )
    converter.register_structure_hook(
        Secret, lambda text, _: Secret(base64.b64decode(text, validate=True))
    )
    converter.register_unstructure_hook(datetime, lambda at: in_utc(at).isoformat())
    converter.register_structure_hook(datetime, lambda text, _: datetime.fromisoformat(text))
    return converter


_CONVERTER: Final = _make_converter()  # not changed after import
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def as_json(part: object) -> Any:
    """An attrs instance (or a tuple of them) as JSON types."""
    return _CONVERTER.unstructure(part)


def from_json(form: type[T], value: Any) -> T:
    """The reverse. Raises ``ValueError``, ``TypeError`` or ``KeyError``."""
    return _CONVERTER.structure(value, form)


def json_text(value: Any) -> str:
    """JSON types as text, for JSON columns. Raises ``ValueError``, also for NaN, or ``TypeError``:
    PostgreSQL would not take it either."""
    return _ENCODER.encode(value)


def to_bytes(part: object) -> bytes:
    """As `as_json`, in UTF-8. Raises ``ValueError`` for what JSON cannot hold."""
    try:
        return _ENCODER.encode(_CONVERTER.unstructure(part)).encode()
    except (RecursionError, TypeError, ValueError):
        raise ValueError(NOT_STORABLE) from None


def from_bytes(form: type[T], data: bytes) -> T:
    """The reverse. Raises ``ValueError``, ``TypeError`` or ``KeyError``."""
    value: Mapping[str, Any] = json.loads(data)
    return _CONVERTER.structure(value, form)
