"""What the platform answers, read strictly: JSON, envelope, and the grammar of every field.

**The line between unreadable and unauthentic.** A body that the line, a proxy or a maintenance
page could have made says nothing, and is asked for again: too large, not UTF-8, empty, HTML, cut
off, no JSON, nested too deep, no object, or an object without ``error_code``. All of these are
``upstream_malformed`` (``what_helps: retry``). A JSON text that is intact and an envelope, but says
something that the protocol does not allow, was written by somebody: a name given twice
(``answer_ambiguous``), a field of a wrong type or form, success with an extra prefix
(``answer_invalid``), success without what it has to bring (``answer_incomplete``). All of these
(``what_helps: fail``) end the transaction and are never asked for again.

What is read here is not believed yet: ``guard`` has to find its checksum good. ``transaction_id``
and ``error_message`` of an answer are not read at all; ours is known, and the message may hold
personal data.

Specification: ``protocol/moi-sp-api.md`` "Transport", "Result of ATH-02"; ``security.md`` 1, 2.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn

from attrs import field, frozen

from moica_gateway.errors import GatewayError, error
from moica_gateway.protocols.twfido.codes import normalise

__all__ = [
    "HASHED_ID_NUM",
    "MAX_ANSWER_BYTES",
    "Envelope",
    "answer_incomplete",
    "answer_invalid",
    "make_envelope",
    "parse_envelope",
    "parse_object",
    "read_base64",
    "read_text",
    "unreadable",
]

MAX_ANSWER_BYTES: Final = 262_144
_MAX_DEPTH: Final = 8
_MAX_DIGITS: Final = 18
_MAX_ERROR_CODE: Final = 512
_SUCCESS: Final = "0"

# Opaque; without the dot of an sp_ticket, so that a ticket's checksum cannot speak for a result.
HASHED_ID_NUM: Final = re.compile(r"[A-Za-z0-9+/=_-]{1,256}", re.ASCII)


@frozen(kw_only=True)
class Envelope:
    """One answer, readable but not believed.

    Attributes:
        error_code: As it arrived, a number as its digits.
        code: Normalised; ``0`` only where ``success``.
        result: The members of ``result``; empty where there is none.
        idp_checksum: None where there is none.
        raw: The body as it came, kept as evidence.
    """

    error_code: str
    code: str
    result: Mapping[str, Any] = field(repr=False)
    idp_checksum: str | None = field(repr=False)
    raw: bytes = field(repr=False)

    @property
    def success(self) -> bool:
        """Exactly ``0``."""
        return self.error_code == _SUCCESS


def unreadable(came: str) -> GatewayError:
    """``upstream_malformed``: nothing was said, so it is asked for again."""
    return error(
        "upstream_malformed",
        f"expected an answer of the platform as a JSON object with error_code, came {came}; "
        "it is asked for again while there is time, and the operator looks at the line",
    )


def answer_invalid(expected: str, came: str) -> GatewayError:
    """``answer_invalid``: something was said that the protocol does not allow."""
    return error(
        "answer_invalid",
        f"expected {expected}, came {came}; the answer is not accepted and not asked for again",
    )


def answer_incomplete(expected: str) -> GatewayError:
    """``answer_incomplete``: success that does not bring what it has to."""
    return error(
        "answer_incomplete",
        f"expected success with {expected}, came success without; the answer is not accepted and "
        "not asked for again",
    )


def parse_envelope(body: bytes) -> Envelope:
    """The answer that a body holds.

    Raises:
        UpstreamError: ``upstream_malformed`` for what cannot be read.
        VerificationError: ``answer_invalid`` or ``answer_ambiguous`` for what can be read and is
            not allowed.
    """
    if len(body) > MAX_ANSWER_BYTES:
        raise unreadable(f"more than {MAX_ANSWER_BYTES} bytes")
    members = parse_object(body)
    if "error_code" not in members:
        raise unreadable("an object without error_code")
    return make_envelope(members["error_code"], members.get("result"), body)


def make_envelope(unverified_code: Any, result: Any, raw: bytes) -> Envelope:
    """An answer from its parts, wherever they stood in what came.

    Raises:
        VerificationError: ``answer_invalid``.
    """
    error_code = _error_code(unverified_code)
    code = normalise(error_code)
    if code == _SUCCESS and error_code != _SUCCESS:
        raise answer_invalid("success as error_code 0 alone", "it with something around it")
    if result is None or result == "":
        result = {}
    if not isinstance(result, dict):
        raise answer_invalid("result as an object", _kind(result))
    checksum = result.get("idp_checksum")
    if checksum is not None and not isinstance(checksum, str):
        raise answer_invalid("idp_checksum as text", _kind(checksum))
    return Envelope(
        error_code=error_code, code=code, result=result, idp_checksum=checksum or None, raw=raw
    )


def parse_object(body: bytes) -> dict[str, Any]:
    """A JSON object by RFC 8259, every name once, numbers and nesting bounded.

    Raises:
        UpstreamError: ``upstream_malformed`` for what is no such object.
        VerificationError: ``answer_ambiguous`` where a name is given twice, ``answer_invalid`` for
            text that is not Unicode.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise unreadable("bytes that are not UTF-8") from exc
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError) as exc:
        raise unreadable("text that is no JSON") from exc
    if not isinstance(value, dict):
        raise unreadable(_kind(value))
    _check_depth(value)
    if "\\u" in text:
        _check_unicode(value)
    return value


def read_text(
    members: Mapping[str, Any], name: str, grammar: re.Pattern[str], what: str
) -> str | None:
    """A text field that is there and matches as a whole; None where it is absent, null or empty.

    Raises:
        VerificationError: ``answer_invalid``; the detail does not repeat what came.
    """
    value = members.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise answer_invalid(f"{name} as {what}", _kind(value))
    if not grammar.fullmatch(value):
        raise answer_invalid(f"{name} as {what}", f"text of another form ({len(value)} characters)")
    return value


def read_base64(members: Mapping[str, Any], name: str, max_bytes: int) -> tuple[str, bytes] | None:
    """Standard base64, padded, canonical, not empty: the text and its bytes; None where absent.

    Raises:
        VerificationError: ``answer_invalid``.
    """
    value = members.get(name)
    if value is None or value == "":
        return None
    expected = f"{name} as base64 of 1 to {max_bytes} bytes"
    if not isinstance(value, str):
        raise answer_invalid(expected, _kind(value))
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise answer_invalid(expected, "text that is none") from exc
    if base64.b64encode(data).decode("ascii") != value:
        raise answer_invalid(expected, "another spelling of it")
    if len(data) > max_bytes:
        raise answer_invalid(expected, f"{len(data)} bytes")
    return value, data


def _error_code(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise answer_invalid("error_code as text or a whole number", _kind(value))
    if not value.strip() or len(value) > _MAX_ERROR_CODE:
        raise answer_invalid(
            f"error_code of 1 to {_MAX_ERROR_CODE} characters", f"{len(value)} characters"
        )
    return value


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            # Two readers would see two answers. No line does that to a JSON text; somebody did.
            raise error(
                "answer_ambiguous",
                "expected every name of an object once, came a name given twice; the answer is "
                "not accepted and not asked for again",
            )
        members[name] = value
    return members


def _integer(literal: str) -> int | float:
    if literal == "-0":
        return -0.0  # not a whole number to us: error_code -0 is not success
    if len(literal) > _MAX_DIGITS:
        raise ValueError("number is too long")
    return int(literal)


def _no_constant(literal: str) -> NoReturn:
    raise ValueError(f"{literal} is no JSON")


# Made once: json.loads with hooks makes a decoder for every call, and most calls are polls.
_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_constant=_no_constant
)


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise unreadable(f"an object nested deeper than {_MAX_DEPTH}")


def _check_unicode(value: Any) -> None:
    """An escape can name half of a surrogate pair, which no checksum payload can carry."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as exc:
        raise answer_invalid("text in Unicode", "a lone surrogate") from exc


def _kind(value: Any) -> str:
    """The JSON type of a value, never the value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number of another form"
    if isinstance(value, str):
        return "text"
    return "an array" if isinstance(value, list) else "an object"
