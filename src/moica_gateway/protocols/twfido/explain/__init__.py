"""Why a checksum is wrong, for whoever has the body, the key, and an ``INV_SP_CHECKSUM``.

Says what an ``sp_checksum`` or ``idp_checksum`` has to cover, what the one that came covers, and
the slip that makes exactly that. It believes nothing and decides nothing: ``guard`` does. A report
holds personal data; what of it is shown is the caller's business. The key is in no report.
Specification: ``protocol/moi-sp-api.md`` "sp_checksum and idp_checksum", "Payload orders".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from attrs import evolve, field, frozen

from moica_gateway.domain.models import SpKey
from moica_gateway.errors import error
from moica_gateway.protocols.twfido import wire
from moica_gateway.protocols.twfido.codes import normalise
from moica_gateway.protocols.twfido.explain.opening import open_anyhow, suspicion
from moica_gateway.protocols.twfido.explain.payloads import Fields, slipped
from moica_gateway.protocols.twfido.explain.slips import Slip
from moica_gateway.protocols.twfido.wire import Interface

__all__ = ["INTERFACES", "Report", "Slip", "explain_answer", "explain_request", "read_body"]

INTERFACES: Final = (wire.TICKET, wire.RESULT, wire.PUSH, wire.BATCH, wire.STATUS, wire.WEB)
_MAX_BODY: Final = 262_144
_NAMED: Final = 3
_SIZES: Final = {20: "SHA-1", 32: "SHA-256", 48: "SHA-384", 64: "SHA-512"}


@frozen(kw_only=True)
class Report:
    """What was found.

    Attributes:
        interface: Whose.
        checksum_name: ``sp_checksum`` or ``idp_checksum``.
        fields: What is covered, in order; empty text for what is absent.
        sent: The checksum that came; empty if none did.
        inside: The text in it, if it opens; else None.
        iv: Of the checksum, if it has the right form.
        right: Whether it verifies under the current key.
        causes: Each a set of slips that together make what came; several where several fit.
    """

    interface: Interface
    checksum_name: str
    fields: Mapping[str, str] = field(repr=False)
    sent: str = field(repr=False)
    inside: str | None = field(repr=False)
    iv: bytes | None
    right: bool
    causes: tuple[tuple[Slip, ...], ...]

    @property
    def payload(self) -> str:
        """The fields joined."""
        return "".join(self.fields.values())

    @property
    def digest(self) -> str:
        """What a right checksum holds: SHA-256 of the payload, lower-case hexadecimal."""
        return hashlib.sha256(self.payload.encode()).hexdigest()


def read_body(interface: Interface, text: bytes) -> Mapping[str, Any]:
    """A body as somebody has it at hand: JSON, or for WEB-01 the form as well.

    Raises:
        RequestError: ``request_invalid``; nothing of the body is in its words.
    """
    refused = error(
        "request_invalid",
        "expected the body as a JSON object in UTF-8 (for SP-API-WEB-01 the form, too) of at most "
        f"{_MAX_BODY} bytes, came something else; the integrator gives it as it was sent",
    )
    if len(text) > _MAX_BODY:
        raise refused
    try:
        written = text.decode().strip()
        if interface is wire.WEB and not written.startswith("{"):
            found: Any = dict(parse_qsl(written, keep_blank_values=True, strict_parsing=True))
        else:
            found = json.loads(written)
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # not UTF-8, no JSON, a lone surrogate
        raise refused from None
    if not isinstance(found, dict):
        raise refused
    return found


def explain_request(
    interface: Interface, body: Mapping[str, Any], keys: tuple[SpKey, ...]
) -> Report:
    """Of a request's ``sp_checksum``.

    Args:
        interface: To which it was sent.
        body: With or without ``sp_checksum``.
        keys: Of the tenant, the current one among them.
    """
    nested = body.get("sign_info")
    flat = {**(nested if isinstance(nested, dict) else {}), **body}
    flat.pop("sign_info", None)
    return _report(interface, "sp_checksum", interface.sent_fields, flat, body, keys)


def explain_answer(
    interface: Interface, transaction_id: str, body: Mapping[str, Any], keys: tuple[SpKey, ...]
) -> Report:
    """Of an answer's ``idp_checksum``.

    Args:
        interface: Which answered.
        transaction_id: Ours, as it was sent; never the body's.
        body: The envelope; for WEB-01 the form of the callback.
        keys: Of the tenant, the current one among them.
    """
    code = body.get("error_code")
    # The platform has been seen to send the code as a number: joined, it is its digits.
    if isinstance(code, int) and not isinstance(code, bool):
        code = str(code)
    # Answers are taken under the previous key, too.
    valid = tuple(evolve(key, current=True) for key in keys)

    def of(transaction_id: str, code: object) -> Report:
        result = body if interface is wire.WEB else body.get("result")
        flat = dict(result) if isinstance(result, dict) else {}
        flat |= {"transaction_id": transaction_id, "error_code": code}
        covered = ("transaction_id", "error_code", *interface.answer_fields)
        return _report(interface, "idp_checksum", covered, flat, body, valid)

    report = of(transaction_id, code)
    if report.right or not report.sent:
        return report
    # How the code of an error is joined is not known: as it came, or bare. Both are taken.
    if isinstance(code, str) and (bare := of(transaction_id, normalise(code))).right:
        return bare
    echoed = body.get("transaction_id")
    if isinstance(echoed, str) and echoed != transaction_id and of(echoed, code).right:
        return evolve(report, causes=((_FOREIGN_TRANSACTION,),))
    return report


def _report(
    interface: Interface,
    name: str,
    order: tuple[str, ...],
    flat: dict[str, Any],
    body: Mapping[str, Any],
    keys: tuple[SpKey, ...],
) -> Report:
    sent = flat.pop(name, None)
    fields = _fields(interface, name, order, flat, body)
    wrong_type = [each for each in order if not isinstance(flat.get(each), str | None)]
    inside: str | None = None
    iv: bytes | None = None
    causes: tuple[tuple[Slip, ...], ...]
    right = False
    if wrong_type:
        causes = ((_no_text(wrong_type),),)
    elif not isinstance(sent, str) or not sent:
        causes = ((Slip("absent", f"沒有 {name}", f"there is no {name}"),),)
    else:
        opened = open_anyhow(keys, sent)
        iv = bytes.fromhex(sent[:24]) if re.fullmatch(r"[0-9a-f]{184}", sent) else None
        if opened is None:
            causes = ((suspicion(sent),),)
        else:
            text, outside = opened
            inside = text.decode("ascii") if text.isascii() else f"0x{text.hex()}"
            causes = _causes(text, outside, fields, keys)
            right = causes == ()
    return Report(
        interface=interface,
        checksum_name=name,
        fields=fields.covered,
        sent=sent if isinstance(sent, str) else "",
        inside=inside,
        iv=iv,
        right=right,
        causes=causes,
    )


def _fields(
    interface: Interface,
    name: str,
    order: tuple[str, ...],
    flat: Mapping[str, Any],
    body: Mapping[str, Any],
) -> Fields:
    text = {each: _text(value) for each, value in flat.items()}
    foreign = {
        f"{other.id} {name}": (
            other.sent_fields
            if name == "sp_checksum"
            else ("transaction_id", "error_code", *other.answer_fields)
        )
        for other in INTERFACES
        if other is not interface
    }
    if name == "idp_checksum":
        foreign[f"{interface.id} sp_checksum"] = interface.sent_fields
    return Fields(
        covered={each: text.get(each, "") for each in order},
        around={each: value for each, value in text.items() if each not in order and value},
        json_order=tuple(each for each in _names(body) if each in order),
        foreign_orders=foreign,
        body={each: value for each, value in body.items() if each != name},
    )


def _names(body: Mapping[str, Any]) -> Iterator[str]:
    for name, value in body.items():
        yield from value if isinstance(value, dict) else (name,)


def _text(value: object) -> str:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return "".join(value)
    return "" if value is None or isinstance(value, dict | list) else str(value)


def _causes(
    text: bytes, outside: tuple[Slip, ...], fields: Fields, keys: tuple[SpKey, ...]
) -> tuple[tuple[Slip, ...], ...]:
    """Empty if it is as it should be."""
    right = fields.payload.encode()
    for digest, inner in _readings(text, right, keys):
        if hmac.compare_digest(digest, hashlib.sha256(right).digest()):
            whole = (*outside, *inner)
            return (whole,) if whole else ()
    found: dict[tuple[Slip, ...], None] = {}
    for digest, inner in _readings(text, b"", keys):
        for payload, slip in slipped(fields):
            if hashlib.sha256(payload).digest() == digest:
                found.setdefault((*outside, *inner, slip))
            if len(found) == _NAMED:
                break
    for payload, slip in slipped(fields) if not found else ():
        if payload == text:
            found.setdefault((*outside, _PLAIN, slip))
    if text == right:
        return ((*outside, _PLAIN),)
    if found:
        codes: dict[tuple[str, ...], tuple[Slip, ...]] = {}
        for cause in found:
            codes.setdefault(tuple(slip.code for slip in cause), cause)
        return tuple(codes.values())
    return ((*outside, _UNKNOWN),)


_FOREIGN_TRANSACTION: Final = Slip(
    "answer_transaction_id",
    "涵蓋的是回覆裡的 transaction_id，不是我們送出的；這可能是別人的回覆",
    "it covers the transaction_id in the answer, not the one that was sent; it may be the answer "
    "to somebody else",
)
_PLAIN: Final = Slip(
    "payload_plain",
    "加密的是串接的內容本身；要加密它的 SHA-256 十六進位文字",
    "the joined payload itself was encrypted; the hexadecimal text of its SHA-256 is wanted",
)
_UNKNOWN: Final = Slip(
    "unknown",
    "解得開，但涵蓋的是別的內容，不是任何已知的單一錯誤；請逐欄比對，並確認不是另一筆要求的檢查碼",
    "it opens, but something else is covered, by no single slip that is known here; "
    "compare field by field, and see that it is not the checksum of another request",
    proved=False,
)


def _readings(
    text: bytes, payload: bytes, keys: tuple[SpKey, ...]
) -> Iterator[tuple[bytes, tuple[Slip, ...]]]:
    """The SHA-256 that the text stands for, in every spelling of it; given the right payload, a
    digest of another kind over it counts as its SHA-256."""
    for digest, spelled in _spellings(text):
        slips = (spelled,) if spelled else ()
        if len(digest) == 32:
            yield digest, slips
        if not payload:
            continue
        for made, slip in _other_hashes(payload, keys):
            if digest == made:
                yield hashlib.sha256(payload).digest(), (*slips, slip)


def _spellings(text: bytes) -> Iterator[tuple[bytes, Slip | None]]:
    if re.fullmatch(rb"(?:[0-9a-f]{2})+", text):
        yield bytes.fromhex(text.decode("ascii")), None
    bare = text.strip(b" \t\r\n\0\"'")
    if re.fullmatch(rb"(?:[0-9a-fA-F]{2})+", bare) and bare != bare.lower():
        yield (
            bytes.fromhex(bare.decode("ascii")),
            Slip(
                "hash_upper",
                "雜湊值的十六進位文字要用小寫",
                "the hexadecimal text of the hash is written in lower case",
            ),
        )
    elif bare != text and re.fullmatch(rb"(?:[0-9a-f]{2})+", bare):
        yield (
            bytes.fromhex(bare.decode("ascii")),
            Slip(
                "hash_decorated",
                "雜湊值的文字前後有換行、空白或引號",
                "a line break, blank or quotation mark stands around the text of the hash",
            ),
        )
    if len(text) in _SIZES:
        yield (
            text,
            Slip(
                "hash_raw",
                "加密的是雜湊值的位元組；要加密它的小寫十六進位文字（64 個字元）",
                "the bytes of the hash were encrypted; its lower-case hexadecimal text (64 "
                "characters) is wanted",
            ),
        )
    plain = bare.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        decoded = base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return
    if len(decoded) in _SIZES:
        yield (
            decoded,
            Slip(
                "hash_base64",
                "雜湊值寫成 base64；要寫成小寫十六進位文字",
                "the hash was written in base64; lower-case hexadecimal text is wanted",
            ),
        )


def _other_hashes(payload: bytes, keys: tuple[SpKey, ...]) -> Iterator[tuple[bytes, Slip]]:
    for size, shown in _SIZES.items():
        if size != 32:
            made = hashlib.new(shown.replace("-", "").lower(), payload, usedforsecurity=False)
            yield made.digest(), _other_hash(shown)
    yield hashlib.sha3_256(payload).digest(), _other_hash("SHA3-256")
    once = hashlib.sha256(payload)
    for again in (once.digest(), once.hexdigest().encode()):
        yield hashlib.sha256(again).digest(), _other_hash("兩次 SHA-256 (SHA-256 twice)")
    for key in keys:
        yield hmac.digest(key.key.reveal(), payload, "sha256"), _other_hash("HMAC-SHA-256")


def _other_hash(shown: str) -> Slip:
    return Slip(
        "hash_algorithm",
        f"檢查碼一律用一次 SHA-256；這裡用了 {shown}（hash_algorithm 只管簽章）",
        f"a checksum always uses SHA-256 once; {shown} was used (hash_algorithm is about the "
        "signature)",
    )


def _no_text(names: list[str]) -> Slip:
    shown = ", ".join(names)
    return Slip(
        "no_text",
        f"{shown} 必須是 JSON 的文字（字串）",
        f"{shown} has to be text (a string) in the JSON",
    )
