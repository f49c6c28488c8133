"""Why a checksum fails: what it has to cover, and what the one that was sent covers.

For integrators stuck on `INV_SP_CHECKSUM`: it names the usual mistakes where they can be told.
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from moica_simulator import checksum
from moica_simulator.checksum import AesKey
from moica_simulator.errors import PlatformError
from moica_simulator.platform import wire
from moica_simulator.platform.wire import Interface
from moica_simulator.web.body import parse_json

__all__ = ["explain_request"]


def explain_request(interface: str, body_text: str, aes_key: str) -> dict[str, str]:
    """Explains the checksum of one request.

    Args:
        interface: `SP-API-ATH-01`, or the method's name, e.g. `getSpTicket`.
        body_text: The JSON body as sent, with or without `sp_checksum`; for `SP-API-WEB-01` the
            form, as JSON or `application/x-www-form-urlencoded`.
        aes_key: Base64.

    Returns:
        Lines in order: `order`, `payload`, `sha256`, an `example` with a zero IV, `sent`,
        `verdict`.

    Raises:
        ValueError: If interface, body or key cannot be read.
    """
    which = _interface(interface)
    key = AesKey.parse(aes_key)
    body = _read(which, body_text)
    if not isinstance(body, Mapping):
        raise ValueError("the body must be a JSON object")
    try:
        payload = wire.sp_payload(which, body)
        sent = wire.optional_text(body, "sp_checksum")
    except PlatformError as error:
        raise ValueError(f"the platform would answer {error}") from error
    return {
        "order": ", ".join(wire.SP_ORDER[which]),
        "payload": payload,
        "sha256": checksum.sha256_hex(payload),
        "example": checksum.seal(payload, key, bytes(12)) + " (all-zero IV: to compare only)",
        "sent": sent or "none",
        "verdict": _verdict(which, body, payload, sent, key),
    }


def _read(which: Interface, body_text: str) -> Any:
    if which is Interface.REDIRECT and not body_text.lstrip().startswith(("{", "[")):
        return dict(parse_qsl(body_text.strip(), keep_blank_values=True, strict_parsing=True))
    return parse_json(body_text.encode())


def _interface(name: str) -> Interface:
    for each in Interface:
        if name in (each.value, each.method):
            return each
    raise ValueError(
        f"interface: expected one of {', '.join(f'{i.value} ({i.method})' for i in Interface)}; "
        f"{name!r} came"
    )


def _verdict(
    which: Interface, body: Mapping[str, Any], payload: str, sent: str, key: AesKey
) -> str:
    if not sent:
        return "wrong: sp_checksum is missing"
    if checksum.verifies(sent, payload, key):
        return "right"
    try:
        covered = checksum.open_checksum(sent, key)
    except ValueError as error:
        return f"wrong: {error}"
    for guess, meaning in _usual_mistakes(which, body, payload).items():
        if covered == guess:
            return f"wrong: {meaning}"
    return f"wrong: the key is right, but it covers another payload, whose SHA-256 is {covered!r}"


def _usual_mistakes(which: Interface, body: Mapping[str, Any], payload: str) -> dict[str, str]:
    raw = hashlib.sha256(payload.encode()).digest()
    guesses = {
        raw.decode("latin-1"): "it encrypts the 32 raw bytes of SHA-256, not their hex text",
        raw.hex().upper(): "it encrypts the hash in upper-case hex; lower-case is wanted",
        base64.b64encode(raw).decode(): "it encrypts the hash in base64; hex is wanted",
        payload: "it encrypts the payload itself; its SHA-256 as hex text is wanted",
    }
    fields = {name: wire.payload_field(which, body, name) for name in wire.SP_ORDER[which]}
    for left_out, value in fields.items():
        if value:
            others = "".join(text for name, text in fields.items() if name != left_out)
            guesses[checksum.sha256_hex(others)] = f"{left_out} was left out of the payload"
    at_json_position = "".join(
        fields[name] for name in (*(n for n in body if n in fields), "sign_data") if name in fields
    )
    guesses.setdefault(
        checksum.sha256_hex(at_json_position),
        "the fields are joined in the order of the JSON body; the order above is wanted",
    )
    guesses.pop(checksum.sha256_hex(payload), None)
    return guesses
