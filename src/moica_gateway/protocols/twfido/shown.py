"""An answer of the platform as evidence may show it: without what finds the person.

The ID number, and the platform's hash of it, which is no secret to anybody with patience, are
replaced; everything else stays. A body that cannot be read is not shown at all.
"""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

__all__ = ["shown_answer"]

_HIDDEN: Final = frozenset({"id_num", "hashed_id_num"})
_MARK: Final = "(not shown)"
_NOT_SHOWN: Final = b'{"answer": "(not shown: it cannot be read)"}'


def shown_answer(raw: bytes) -> bytes:
    """UTF-8: JSON, or a form for what came as one. Raises nothing."""
    try:
        text = raw.decode("utf-8")
        if text.lstrip().startswith("{"):
            shown = _hidden(json.loads(text))
            return json.dumps(shown, ensure_ascii=False, indent=1).encode()
        members = parse_qsl(text, keep_blank_values=True, strict_parsing=True)
    except (ValueError, RecursionError):
        return _NOT_SHOWN
    return urlencode([(n, _MARK if n in _HIDDEN else v) for n, v in members]).encode()


def _hidden(value: Any) -> Any:
    if isinstance(value, dict):
        return {n: _MARK if n in _HIDDEN else _hidden(v) for n, v in value.items()}
    if isinstance(value, list):
        return [_hidden(item) for item in value]
    return value
