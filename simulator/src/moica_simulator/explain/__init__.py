"""Why a checksum fails: what it has to cover, what the one that was sent covers, and what somebody
did who made it so.

For integrators stuck on `INV_SP_CHECKSUM`: `moica-simulator explain`, and the page `/platform`.
`container` opens it, `digests` reads what is inside, `payloads` and `spellings` make the payloads
of known mistakes, `search` compares. This judges nothing: `platform.idp` does, with `checksum`.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import attrs

from moica_simulator import checksum
from moica_simulator.checksum import AesKey
from moica_simulator.errors import PlatformError
from moica_simulator.explain.container import guessed_keys
from moica_simulator.explain.mistake import Mistake
from moica_simulator.explain.payloads import Covered
from moica_simulator.explain.search import Diagnosis, diagnose, open_checksum_somehow
from moica_simulator.platform import wire
from moica_simulator.platform.wire import Interface
from moica_simulator.web.body import parse_json

__all__ = ["Explanation", "Mistake", "explain_answer", "explain_request", "read_request"]


@attrs.frozen
class Explanation:
    """What a checksum has to cover, and what the one that came does.

    Attributes:
        interface: E.g. `SP-API-ATH-01`.
        fields: Every covered field in order, None where it is absent or null.
        payload: The fields joined, or None if one of them cannot be joined.
        sha256: Its hash, lower-case hex: what a right checksum holds.
        sent: The checksum that came, empty if none did.
        inside: The text in it, as far as it can be shown; None if it does not open.
        right: Whether it verifies.
        diagnoses: Each a set of mistakes that together explain it, several if several do equally
            well; none if it is right.
        key: The right key.
    """

    interface: Interface
    fields: tuple[tuple[str, str | None], ...] = attrs.field(repr=False)
    payload: str | None = attrs.field(repr=False)
    sha256: str | None
    sent: str
    inside: str | None
    right: bool
    diagnoses: tuple[Diagnosis, ...]
    key: AesKey

    @property
    def example(self) -> str:
        """A right checksum with an all-zero IV: to compare with, never to send."""
        return "" if self.payload is None else checksum.seal(self.payload, self.key, bytes(12))


def read_request(interface: str, body_text: str) -> tuple[Interface, Mapping[str, Any]]:
    """Reads what an integrator has at hand.

    Args:
        interface: `SP-API-ATH-01`, or the method's name, e.g. `getSpTicket`.
        body_text: The JSON body as sent; for `SP-API-WEB-01` the form, as JSON or
            `application/x-www-form-urlencoded`.

    Raises:
        ValueError: If interface or body cannot be read.
    """
    which = _interface(interface)
    body: Any
    if which is Interface.REDIRECT and not body_text.lstrip().startswith(("{", "[")):
        body = dict(parse_qsl(body_text.strip(), keep_blank_values=True, strict_parsing=True))
    else:
        body = parse_json(body_text.encode())
    if not isinstance(body, Mapping):
        raise ValueError("the body must be a JSON object")
    return which, body


def explain_request(
    interface: Interface,
    body: Mapping[str, Any],
    key: AesKey,
    *,
    body_text: str = "",
    other_keys: Mapping[str, AesKey] | None = None,
    others: Mapping[str, Mistake] | None = None,
) -> Explanation:
    """Explains the `sp_checksum` of one request.

    Args:
        interface: Which it was sent to.
        body: The JSON object, or the flat form of WEB-01.
        key: The system's AES key.
        body_text: The body to the letter, if it is known.
        other_keys: Keys of other systems, by what to call them.
        others: Hashes that stand for something else, e.g. for another request.
    """
    try:
        fields = {
            name: wire.payload_field(interface, body, name) or None
            for name in wire.SP_ORDER[interface]
        }
        sent = wire.optional_text(body, "sp_checksum")
    except PlatformError as error:
        return _unjoinable(interface, error, body.get("sp_checksum"), key)
    other_orders = {
        f"{each.value} ({each.method})": order
        for each, order in wire.SP_ORDER.items()
        if each is not interface
    }
    covered = Covered(fields, body, other_orders)
    return _explained(interface, covered, sent, key, body_text, other_keys or {}, others or {})


def explain_answer(
    interface: Interface,
    transaction_id: str,
    answer: Mapping[str, Any],
    key: AesKey,
    *,
    others: Mapping[str, Mistake] | None = None,
) -> Explanation:
    """Explains the `idp_checksum` of one answer, or of the callback's form of WEB-01.

    Args:
        interface: Which it came from.
        transaction_id: The one that the system sent; an answer does not echo it reliably.
        answer: The envelope or the form.
        key: The system's AES key.
        others: Hashes that stand for something else, e.g. for another answer.
    """
    given = answer.get("result")
    result = given if isinstance(given, Mapping) else {}
    flat = dict(answer) if interface is Interface.REDIRECT else dict(result)
    flat |= {"transaction_id": transaction_id, "error_code": str(answer.get("error_code", ""))}
    sent = flat.pop("idp_checksum", None)
    fields = {name: _text(flat.get(name)) or None for name in wire.IDP_ORDER[interface]}
    other_orders = {
        f"{interface.value} sp_checksum": wire.SP_ORDER[interface],
        **{
            f"{each.value} idp_checksum": order
            for each, order in wire.IDP_ORDER.items()
            if each is not interface
        },
    }
    covered = Covered(fields, flat, other_orders)
    return _explained(interface, covered, _text(sent), key, "", {}, others or {})


def _explained(
    interface: Interface,
    covered: Covered,
    sent: str,
    key: AesKey,
    body_text: str,
    other_keys: Mapping[str, AesKey],
    others: Mapping[str, Mistake],
) -> Explanation:
    payload = "".join(value or "" for value in covered.values.values())
    wanted = checksum.sha256_hex(payload)
    right = bool(sent) and checksum.verifies(sent, payload, key)
    inside: str | None = wanted if right else None
    diagnoses: tuple[Diagnosis, ...] = ()
    if not sent:
        diagnoses = ((_missing(),),)
    elif not right:
        opened = open_checksum_somehow(sent, covered, guessed_keys(key, other_keys))
        inside = None if opened is None else _shown(opened.text)
        foreign = {digest: each for digest, each in others.items() if digest != wanted}
        diagnoses = diagnose(opened, sent, covered, key, body_text=body_text, others=foreign)
    return Explanation(
        interface=interface,
        fields=tuple(covered.values.items()),
        payload=payload,
        sha256=wanted,
        sent=sent,
        inside=inside,
        right=right,
        diagnoses=diagnoses,
        key=key,
    )


def _unjoinable(
    interface: Interface, error: PlatformError, sent: object, key: AesKey
) -> Explanation:
    mistake = Mistake(
        "field_type",
        f"平臺會回覆 {error.code}：有欄位不是文字（{error.explanation}）",
        f"the platform would answer {error}",
    )
    return Explanation(
        interface=interface,
        fields=(),
        payload=None,
        sha256=None,
        sent=_text(sent),
        inside=None,
        right=False,
        diagnoses=((mistake,),),
        key=key,
    )


def _missing() -> Mistake:
    return Mistake("missing", "沒有送出檢查碼", "the checksum is missing")


def _shown(text: bytes) -> str:
    try:
        written = text.decode("utf-8")
    except UnicodeDecodeError:
        return f"0x{text.hex()}"
    return written if written.isprintable() else f"0x{text.hex()}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _interface(name: str) -> Interface:
    for each in Interface:
        if name in (each.value, each.method):
            return each
    raise ValueError(
        f"interface: expected one of {', '.join(f'{i.value} ({i.method})' for i in Interface)}; "
        f"{name!r} came"
    )
