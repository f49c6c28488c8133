"""Why a checksum is wrong: each known slip made on purpose is named, and no other."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
import os
import unicodedata
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, CTR, ECB, GCM

from moica_gateway.domain.models import SpKey
from moica_gateway.domain.values import Secret
from moica_gateway.errors import GatewayError
from moica_gateway.protocols.twfido.explain import (
    INTERFACES,
    Report,
    explain_answer,
    explain_request,
    read_body,
)
from moica_gateway.protocols.twfido.wire import PUSH, RESULT, TICKET, WEB, Interface

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text(encoding="utf-8"))
RAW = base64.b64decode("-_oRGB8mLTQ7QklQV15lbHN6gYiPlp2kq7K5wMfO1dw=", altchars=b"-_")
PREVIOUS = hashlib.sha256(b"previous").digest()
KEYS = (
    SpKey(id="k2", key=Secret(RAW), current=True),
    SpKey(id="k1", key=Secret(PREVIOUS), current=False),
)
TEXT64 = base64.b64encode(RAW).decode()
IV = bytes(range(1, 13))
IV16 = bytes(range(16))
DATA = base64.b64encode(os.urandom(80) + b"\xff\xfe>?").decode()
BODY: dict[str, Any] = {
    "transaction_id": "7d0f7a52-1f0e-4c1d-9a83-30a1c0ffee00",
    "sp_service_id": "00261123090000000007",
    "sp_checksum": "",
    "id_num": "A123456789",
    "op_code": "SIGN",
    "hint": "核對碼 08　公文文號：1153000165",
    "time_limit": 60,
    "device_user_def_desc": "公務手機",
    "sign_info": {
        "sign_type": "PKCS#1",
        "sign_data": DATA,
        "tbs_encoding": "base64",
        "hash_algorithm": "SHA256",
    },
}
FLAT: dict[str, str] = {**BODY["sign_info"], **BODY}
ORDER = PUSH.sent_fields
PAYLOAD = "".join(FLAT[name] for name in ORDER)
DIGEST = hashlib.sha256(PAYLOAD.encode()).digest()
TEXT = DIGEST.hex().encode()


def joined(*names: str, between: str = "", **changed: str) -> str:
    """Values in this order."""
    return between.join((FLAT | changed)[name] for name in names)


def without(*lost: str) -> list[str]:
    """The order, some left out."""
    return [name for name in ORDER if name not in lost]


def sealed(text: bytes, key: bytes = RAW) -> str:
    """As it should be, around any text."""
    return (IV + AESGCM(key).encrypt(IV, text, None)).hex()


def of(payload: str | bytes) -> str:
    """As it should be, over any payload."""
    data = payload.encode() if isinstance(payload, str) else payload
    return sealed(hashlib.sha256(data).hexdigest().encode())


def parts(iv: bytes = IV, size: int = 16) -> tuple[bytes, bytes]:
    """Ciphertext and tag."""
    made = Cipher(AES(RAW), GCM(iv)).encryptor()
    ciphertext = made.update(TEXT) + made.finalize()
    return ciphertext, made.tag[:size]


def by_mode(mode: Any, *, pad: bool = True) -> bytes:
    """In another mode."""
    made = Cipher(AES(RAW), mode).encryptor()
    padder = padding.PKCS7(128).padder()
    return made.update(padder.update(TEXT) + padder.finalize() if pad else TEXT) + made.finalize()


@functools.cache
def explained(sent: str) -> Report:
    """A push with this checksum; once, since it takes its time."""
    return changed(sent)


def changed(sent: str, **changed: Any) -> Report:
    """A push with this checksum and other fields."""
    return explain_request(PUSH, {**BODY, **changed, "sp_checksum": sent}, KEYS)


def codes(report: Report) -> list[tuple[str, ...]]:
    """Of every cause."""
    assert not report.right
    return [tuple(slip.code for slip in cause) for cause in report.causes]


DROPPED = base64.b64decode(TEXT64.translate(str.maketrans("", "", "+/="))[:40])
OUTSIDE = {
    "iv_place": ("".join(p.hex() for p in (*parts(), IV)), b"".join(parts(bytes(12))).hex()),
    "iv_length": ((IV16 + b"".join(parts(IV16))).hex(),),
    "tag_place": (
        (IV + b"".join(parts()[::-1])).hex(),
        (parts()[1] + IV + parts()[0]).hex(),
    ),
    "tag_length": ((IV + b"".join(parts(size=12))).hex(),),
    "tag_missing": ((IV + parts()[0]).hex(),),
    "mode": (
        (IV16 + by_mode(CBC(IV16))).hex(),
        by_mode(CBC(bytes(16))).hex(),
        by_mode(ECB()).hex(),  # noqa: S305 - a slip on purpose
        (IV16 + by_mode(CTR(IV16), pad=False)).hex(),
    ),
    "not_hex": (
        base64.b64encode(bytes.fromhex(sealed(TEXT))).decode(),
        base64.urlsafe_b64encode(bytes.fromhex(sealed(TEXT))).decode().rstrip("="),
        base64.b64encode(sealed(TEXT).encode()).decode(),
    ),
    "hex_spelling": (sealed(TEXT).upper(), f"0x{sealed(TEXT)}", f"{sealed(TEXT)}\n"),
    "key_as_text": (
        sealed(TEXT, TEXT64.encode()[:32]),
        sealed(TEXT, RAW.hex().encode()[:32]),
    ),
    "key_hashed": (sealed(TEXT, hashlib.sha256(TEXT64.encode()).digest()),),
    "key_short": (sealed(TEXT, RAW[:16]),),
    "key_url_safe": (sealed(TEXT, DROPPED.ljust(32, b"\0")), sealed(TEXT, DROPPED[:24])),
    "key_previous": (sealed(TEXT, PREVIOUS),),
    "hash_raw": (sealed(DIGEST),),
    "hash_upper": (sealed(TEXT.upper()),),
    "hash_base64": (sealed(base64.b64encode(DIGEST)),),
    "hash_decorated": (sealed(TEXT + b"\n"), sealed(b'"' + TEXT + b'"')),
    "payload_plain": (sealed(PAYLOAD.encode()),),
    "hash_algorithm": (
        sealed(hashlib.sha512(PAYLOAD.encode()).hexdigest().encode()),
        sealed(hashlib.sha3_256(PAYLOAD.encode()).hexdigest().encode()),
        sealed(hmac.digest(RAW, PAYLOAD.encode(), "sha256").hex().encode()),
        of(TEXT),
        of(DIGEST),
    ),
}
DEVICE = "device_user_def_desc"
COMPACT = {"ensure_ascii": False, "separators": (",", ":")}
PAYLOADS: dict[str, tuple[str | bytes, ...]] = {
    "device_place": (
        joined(*without(DEVICE, "sign_data"), DEVICE, "sign_data"),
        joined(*without(DEVICE), DEVICE),
    ),
    "alphabetical": (joined(*sorted(ORDER)),),
    "order": (joined(*ORDER[1::-1], *ORDER[2:]),),
    "left_out": (joined(*without("hint")), joined(*without(DEVICE, "sign_data"))),
    "too_much": (PAYLOAD.replace(DATA, f"60{DATA}"), f"{PAYLOAD}SHA256"),
    "separator": (joined(*ORDER, between=","), joined(*ORDER, between="\n")),
    "names": ("&".join(f"{name}={FLAT[name]}" for name in ORDER),),
    "before_base64": (joined(*ORDER[:-1]).encode() + base64.b64decode(DATA),),
    "base64_spelling": (
        joined(*ORDER, sign_data=base64.encodebytes(base64.b64decode(DATA)).decode()),
        joined(*ORDER, sign_data=base64.b64encode(DATA.encode()).decode()),
    ),
    "as_number": (
        joined(*ORDER, sp_service_id=str(int(FLAT["sp_service_id"]))),
        joined(*ORDER, sp_service_id=f"{float(FLAT['sp_service_id']):.0f}"),
    ),
    "value_altered": (
        joined(*ORDER, hint=quote(FLAT["hint"])),
        joined(*ORDER, hint=json.dumps(FLAT["hint"])),
        joined(*ORDER, transaction_id=FLAT["transaction_id"].replace("-", "")),
    ),
    "behind": (f"{PAYLOAD}\n", f"{PAYLOAD}\r\n"),
    "charset": (PAYLOAD.encode("cp950", "replace"), PAYLOAD.encode("utf-16-le")),
    "charset_twice": (PAYLOAD.encode().decode("latin-1"),),
    "whole_body": (
        json.dumps({k: v for k, v in BODY.items() if k != "sp_checksum"}),
        json.dumps({k: v for k, v in BODY.items() if k != "sp_checksum"}, **COMPACT),
    ),
}
AS_TRUE = [("json_order",), ("order",), ("other_interface",)]
CASES = [(code, sent) for code, every in OUTSIDE.items() for sent in every] + [
    (code, of(payload)) for code, every in PAYLOADS.items() for payload in every
]


@pytest.mark.parametrize(
    ("code", "sent"), CASES, ids=[f"{code}-{n}" for n, (code, _) in enumerate(CASES)]
)
def test_a_slip_that_was_made_is_named(code: str, sent: str) -> None:
    """As the first cause; a second one only where it is as true."""
    found = codes(explained(sent))
    assert found[0] == (code,), found
    assert len(found) == 1 or found[1] in AS_TRUE, found


@pytest.mark.parametrize("word", ["null", "None", "undefined"])
def test_an_absent_field_joined_as_a_word_is_named(word: str) -> None:
    """With the field and the word."""
    body = {name: value for name, value in BODY.items() if name != DEVICE}
    wrong = joined(*ORDER, device_user_def_desc=word)
    report = explain_request(PUSH, body | {"sp_checksum": of(wrong)}, KEYS)
    assert codes(report) == [("null_word",)]
    assert DEVICE in report.causes[0][0].en
    assert repr(word) in report.causes[0][0].zh


def test_text_in_another_unicode_form_is_named() -> None:
    """It looks the same on every screen."""
    hint = unicodedata.normalize("NFD", "Café 公文")
    report = changed(of(joined(*ORDER, hint=unicodedata.normalize("NFC", hint))), hint=hint)
    assert codes(report) == [("normalised",)]


def test_the_fields_of_another_interface_are_named() -> None:
    """A push that was sealed like a ticket for a QR code."""
    body = {**BODY, "op_mode": "I-SCAN"}
    payload = "".join((FLAT | {"op_mode": "I-SCAN"})[name] for name in TICKET.sent_fields)
    report = explain_request(PUSH, body | {"sp_checksum": of(payload)}, KEYS)
    assert codes(report) == [("other_interface",)]
    assert "SP-API-ATH-01" in report.causes[0][0].en


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (sealed(hashlib.sha256(joined(*without("hint")).encode()).digest()), "hash_raw left_out"),
        (sealed(TEXT.upper(), TEXT64.encode()[:32]), "key_as_text hash_upper"),
        (base64.b64encode(IV16 + by_mode(CBC(IV16))).decode(), "not_hex mode"),
        (of(joined(*without("hint"), between="|")), "unknown"),
        (of(joined(*ORDER, between="|").encode("big5", "replace") + b"\n"), "unknown"),
        (of("the checksum of another request"), "unknown"),
        (sealed(b"nothing of the kind"), "unknown"),
        ("00" * 92, "key_or_tampering"),
        (sealed(TEXT, os.urandom(32)), "key_or_tampering"),
        (DIGEST.hex(), "malformed"),
        ("not a checksum", "malformed"),
        ("", "absent"),
    ],
)
def test_slips_of_two_kinds_are_both_named_and_others_not_at_all(sent: str, expected: str) -> None:
    """What has no single explanation is said to have none."""
    report = explained(sent)
    assert codes(report) == [tuple(expected.split())]
    guessed = expected in ("unknown", "key_or_tampering", "malformed")
    assert report.causes[0][0].proved is not guessed


def test_a_field_that_is_no_text_is_said() -> None:
    """A number where text belongs."""
    assert codes(changed(of(PAYLOAD), hint=1153000165)) == [("no_text",)]


@pytest.mark.parametrize("vector", VECTORS["checksums"], ids=lambda one: str(one["name"]))
def test_the_vectors_are_right(vector: dict[str, Any]) -> None:
    """Requests and answers of every interface, made by another implementation."""
    name = str(vector["name"])
    interface = next(one for one in INTERFACES if name.startswith(one.id.removeprefix("SP-API-")))
    keys = (SpKey(id="v", key=Secret(base64.b64decode(VECTORS["aes_key_base64"])), current=True),)
    fields = {key: value for key, value in vector["fields"].items() if value is not None}
    if "idp_checksum" in name:
        fields["idp_checksum"] = vector["checksum"]
        code = fields.pop("error_code")
        body = fields if interface is WEB else {"result": fields}
        report = explain_answer(
            interface, fields["transaction_id"], {**body, "error_code": code}, keys
        )
    else:
        report = explain_request(interface, fields | {"sp_checksum": vector["checksum"]}, keys)
    assert report.right, report.causes
    assert (report.payload, report.digest) == (vector["payload"], vector["sha256_hex"])
    assert report.inside == vector["sha256_hex"]


RESULT_FIELDS = {"hashed_id_num": "b1" * 16, "signed_response": "c2ln", "cert": "MIIF"}


def answered(payload: str, code: Any = "0", **more: str) -> Report:
    """A result with a checksum over any payload; `ours` was sent."""
    result = {**RESULT_FIELDS, "idp_checksum": of(payload)}
    return explain_answer(RESULT, "ours", {"error_code": code, "result": result, **more}, KEYS)


def test_an_answers_checksum_covers_the_transaction_that_was_sent() -> None:
    """Not the one in the answer, which is named as the cause where it was covered."""
    rest = f"0{'b1' * 16}c2ln"
    assert answered(f"ours{rest}").right
    assert answered(f"ours{rest}", code=0).right
    assert codes(answered(f"theirs{rest}")) == [("unknown",)]
    report = answered(f"theirs{rest}", transaction_id="theirs")
    assert codes(report) == [("answer_transaction_id",)]
    assert codes(answered(f"ours0{'b1' * 16}")) == [("left_out",)]
    assert codes(answered(f"ours{rest}MIIF")) == [("too_much",)]


@pytest.mark.parametrize("joined_code", ["SP-API-ATH-02-SPTKT_OVD: late", "SPTKT_OVD"])
def test_an_errors_code_is_taken_as_it_came_or_bare(joined_code: str) -> None:
    """As ``guard`` takes it."""
    body = {
        "error_code": "SP-API-ATH-02-SPTKT_OVD: late",
        "result": {"idp_checksum": of(f"ours{joined_code}")},
    }
    assert explain_answer(RESULT, "ours", body, KEYS).right


def test_an_answer_under_the_previous_key_is_right() -> None:
    """It is taken; a request under it is not."""
    sent = sealed(hashlib.sha256(b"ours0").hexdigest().encode(), PREVIOUS)
    body = {"error_code": "0", "result": {"idp_checksum": sent}}
    assert explain_answer(RESULT, "ours", body, KEYS).right


@pytest.mark.parametrize(
    ("interface", "text"),
    [
        (PUSH, b"["),
        (PUSH, b"[]"),
        (PUSH, b"\xff"),
        (PUSH, b'{"hint": "\\ud800"}'),
        (PUSH, b"[" * 100_000),
        (PUSH, b" " * 300_000),
        (PUSH, b"transaction_id=A123456789"),
        (WEB, b"A123456789"),
    ],
)
def test_a_body_that_is_none_is_refused(interface: Interface, text: bytes) -> None:
    """In our own words, without it in them."""
    with pytest.raises(GatewayError) as caught:
        read_body(interface, text)
    assert caught.value.problem.code == "request_invalid"
    assert "A123456789" not in str(caught.value)


def test_the_form_of_a_redirect_is_read_as_a_form() -> None:
    """Or as JSON."""
    assert read_body(WEB, b"a=1&b=%E5%85%AC&c=") == {"a": "1", "b": "公", "c": ""}
    assert read_body(WEB, b'{"a": "1"}') == {"a": "1"}


def test_no_report_shows_the_key_or_a_person() -> None:
    """Not by its ``repr``, and no key in any word."""
    for code, sent in CASES:
        report = explained(sent)
        said = repr(report) + "".join(s.zh + s.en for cause in report.causes for s in cause)
        for secret in (TEXT64, RAW.hex(), "A123456789", DATA):
            assert secret not in said, code
