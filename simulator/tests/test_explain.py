"""Every known mistake in making a checksum, made on purpose, is named; no other is."""

import base64
import hashlib
import hmac
import json
import unicodedata
import urllib.parse
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import modes

from moica_simulator.checksum import AesKey
from moica_simulator.explain import Mistake, explain_answer, explain_request
from moica_simulator.platform.wire import IDP_ORDER, SP_ORDER, Interface
from simulator.tests.checksums import (
    BARE,
    BODY,
    DATA,
    DROPPED,
    FIELDS,
    HINT,
    IV,
    KEY,
    KEY_TEXT,
    ORDER,
    OTHER,
    PUSH,
    TEXT,
    by_mode,
    container,
    digest,
    explained,
    gcm,
    joined,
    named,
    of,
    of_push,
    right,
    sealed,
)

CONTAINERS: dict[str, tuple[str, str]] = {
    "IV behind": ("iv_behind", container(*gcm(), IV)),
    "IV not in front": ("iv_missing", container(*gcm(iv=bytes(12)))),
    "IV of 16": ("iv_length", container(OTHER[:16], *gcm(iv=OTHER[:16]))),
    "tag in front": ("tag_in_front", container(IV, *gcm()[::-1])),
    "tag first of all": ("tag_in_front", container(gcm()[1], IV, gcm()[0])),
    "tag of 12": ("tag_length", container(IV, *gcm(tag=12))),
    "no tag": ("tag_missing", container(IV, gcm()[0])),
    "AAD": ("associated_data", container(IV, *gcm(aad=FIELDS["sp_service_id"].encode()))),
    "CBC": ("mode_cbc", container(OTHER[:16], by_mode(modes.CBC(OTHER[:16])))),
    "CBC, IV not in front": ("mode_cbc", container(by_mode(modes.CBC(bytes(16))))),
    "ECB": ("mode_ecb", container(by_mode(modes.ECB()))),  # noqa: S305 - a mistake on purpose
    "CTR": ("mode_ctr", container(OTHER[:16], by_mode(modes.CTR(OTHER[:16]), pad=False))),
    "base64": ("container_base64", base64.b64encode(IV + b"".join(gcm())).decode()),
    "URL-safe base64": (
        "container_base64",
        base64.urlsafe_b64encode(IV + b"".join(gcm())).decode().rstrip("="),
    ),
    "base64 of hex": ("container_base64", base64.b64encode(of(right()).encode()).decode()),
    "hex with colons": ("hex_decorated", bytes.fromhex(of(right())).hex(":")),
    "a line break": ("hex_decorated", of(right()) + "\n"),
    "key as text": ("key_as_text", sealed(TEXT, key=KEY_TEXT.encode()[:32])),
    "key in hex": ("key_as_text", sealed(TEXT, key=KEY.hex().encode()[:32])),
    "key hashed": ("key_hashed", sealed(TEXT, key=hashlib.sha256(KEY_TEXT.encode()).digest())),
    "AES-128": ("key_cut", sealed(TEXT, key=KEY[:16])),
    "URL-safe key": (
        "key_url_safe",
        sealed(TEXT, key=DROPPED[:24]),
    ),
    "URL-safe key, padded": (
        "key_url_safe",
        sealed(TEXT, key=DROPPED.ljust(32, b"\0")),
    ),
    "another's key": ("key_of_another", sealed(TEXT, key=OTHER)),
}


@pytest.mark.parametrize("case", CONTAINERS)
def test_a_wrong_container_is_named(case: str) -> None:
    """IV, tag, mode, encoding or key: whatever is not as it should be."""
    expected, sent = CONTAINERS[case]
    found = of_push(sent)
    assert named(found) == [(expected,)]
    assert found.inside == TEXT.decode()


INSIDE: dict[str, tuple[str, str]] = {
    "raw": ("hash_raw", sealed(digest())),
    "upper case": ("hash_upper_case", sealed(TEXT.upper())),
    "base64": ("hash_base64", sealed(base64.b64encode(digest()))),
    "hex of hex": ("hash_hex_twice", sealed(TEXT.hex())),
    "line break": ("hash_decorated", sealed(TEXT + b"\n")),
    "quotation marks": ("hash_decorated", sealed(b'"' + TEXT + b'"')),
    "payload": ("payload_itself", sealed(right())),
    "SHA-1": ("hash_algorithm", sealed(hashlib.sha1(right().encode()).hexdigest())),  # noqa: S324
    "SHA-512": ("hash_algorithm", sealed(hashlib.sha512(right().encode()).hexdigest())),
    "SHA3": ("hash_algorithm", sealed(hashlib.sha3_256(right().encode()).hexdigest())),
    "HMAC": ("hash_keyed", sealed(hmac.digest(KEY, right().encode(), "sha256").hex())),
    "twice": ("hash_twice", of(digest())),
    "twice as text": ("hash_twice", of(TEXT)),
}


@pytest.mark.parametrize("case", INSIDE)
def test_a_wrong_hash_is_named(case: str) -> None:
    """Another hash, or the right one in another spelling."""
    expected, sent = INSIDE[case]
    assert named(of_push(sent)) == [(expected,)]


def without(name: str) -> tuple[str, ...]:
    """The order without a field."""
    return tuple(each for each in ORDER if each != name)


NULLED = "".join(BARE.get(name) or FIELDS[name] for name in without("device_user_def_desc")[:3])
NO_DEVICE = {
    word: of(NULLED + word + FIELDS["op_code"] + HINT + DATA)
    for word in ("null", "None", "undefined", '""')
}
JSON_ORDER = (*without("device_user_def_desc")[:5], "device_user_def_desc", "sign_data")
PAYLOADS: dict[str, tuple[str, str]] = {
    "device at its JSON position": ("device_position", of(joined(*JSON_ORDER))),
    "device at the end": (
        "device_position",
        of(joined(*without("device_user_def_desc"), "device_user_def_desc")),
    ),
    "alphabetical": ("order", of(joined(*sorted(ORDER)))),
    "any other order": ("order", of(joined(ORDER[1], ORDER[0], *ORDER[2:]))),
    "hint left out": ("field_left_out", of(joined(*without("hint")))),
    "two left out": ("fields_left_out", of(joined(*without("hint")[:-1]))),
    "time_limit too": ("extra_field", of(right().replace(DATA, f"60{DATA}"))),
    "sign_type too": ("extra_field", of(right().replace(DATA, f"PKCS#1{DATA}"))),
    "sign_info too": ("extra_field", of(right().replace(DATA, f"PKCS#1{DATA}base64SHA256"))),
    "every field": (
        "all_fields",
        of(
            joined("transaction_id", "sp_service_id", "id_num", "op_code", "hint")
            + f"60我的手機PKCS#1{DATA}base64SHA256"
        ),
    ),
    "commas": ("separator", of(joined(*ORDER, between=","))),
    "bars": ("separator", of(joined(*ORDER, between="|"))),
    "line breaks": ("separator", of(joined(*ORDER, between="\n"))),
    "query": ("names_joined", of("&".join(f"{name}={FIELDS[name]}" for name in ORDER))),
    "document itself": (
        "sign_data_decoded",
        of(right(sign_data="").encode() + base64.b64decode(DATA)),
    ),
    "base64 twice": (
        "sign_data_encoded_twice",
        of(right(sign_data=base64.b64encode(DATA.encode()).decode())),
    ),
    "base64 in lines": (
        "sign_data_other_base64",
        of(right(sign_data=base64.encodebytes(base64.b64decode(DATA)).decode())),
    ),
    "hint percent-encoded": ("value_changed", of(right(hint=urllib.parse.quote(HINT)))),
    "hint in JSON escapes": ("value_changed", of(right(hint=json.dumps(HINT)[1:-1]))),
    "upper-case id": (
        "value_changed",
        of(right(transaction_id=FIELDS["transaction_id"].upper())),
    ),
    "service id as a number": (
        "number_for_text",
        of(right(sp_service_id=str(int(FIELDS["sp_service_id"])))),
    ),
    "service id as JavaScript's number": (
        "number_for_text",
        of(right(sp_service_id="2026112309000000000")),
    ),
    "all in quotation marks": (
        "values_changed",
        of("".join(f'"{FIELDS[name]}"' for name in ORDER)),
    ),
    "line break behind": ("text_behind", of(right() + "\n")),
    "Big5": ("charset", of(right().encode("big5"))),
    "UTF-16": ("charset", of(right().encode("utf-16-le"))),
    "UTF-8 with BOM": ("charset", of(right().encode("utf-8-sig"))),
    "question marks": ("charset", of(right().encode("ascii", "replace"))),
    "mojibake": ("charset_twice", of(right().encode().decode("latin-1").encode())),
    "whole body": (
        "whole_body",
        of(json.dumps({k: v for k, v in BODY.items() if k != "sp_checksum"})),
    ),
    "whole body, compact": (
        "whole_body",
        of(json.dumps(BODY, ensure_ascii=False, separators=(",", ":"))),
    ),
}


@pytest.mark.parametrize("case", PAYLOADS)
def test_a_wrong_payload_is_named(case: str) -> None:
    """Fields, their order, what is between, how they are spelled, and in which encoding."""
    expected, sent = PAYLOADS[case]
    assert named(of_push(sent)) == [(expected,)]


@pytest.mark.parametrize("word", NO_DEVICE)
def test_an_absent_field_that_was_joined_as_a_word_is_named(word: str) -> None:
    """`null` of one language, `None` of the next."""
    found = explained(NO_DEVICE[word], BARE)
    assert named(found) == [("null_as_text",)]
    assert "device_user_def_desc" in found.diagnoses[0][0].zh
    assert repr(word) in found.diagnoses[0][0].zh


@pytest.mark.parametrize(("sent", "hashed"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_another_unicode_form_is_named(sent: Any, hashed: Any) -> None:
    """The text looks the same, and its bytes differ."""
    hint = unicodedata.normalize(sent, "Café 公文")
    made = of(right(hint=unicodedata.normalize(hashed, hint)))
    assert named(explained(made, {**BODY, "hint": hint})) == [("unicode_form",)]


def test_the_order_of_another_interface_is_named() -> None:
    """A batch's, with `op_mode`, for a ticket."""
    body = {**BARE, "op_mode": "I-SCAN", "op_code": "ATH", "sign_info": None}
    fields = {name: str(body[name]) for name in SP_ORDER[Interface.BATCH_SIGN]}
    wrong = of("".join(fields[name] for name in SP_ORDER[Interface.BATCH_SIGN]))
    found = explain_request(PUSH, {**body, "sp_checksum": wrong}, AesKey(KEY))
    assert "order_of_another_interface" in {name for each in named(found) for name in each}


def test_the_checksum_of_another_request_is_named() -> None:
    """Where the caller knows that request."""
    earlier = "an earlier request"
    known = {hashlib.sha256(earlier.encode()).hexdigest(): Mistake("earlier", "前一個", "earlier")}
    assert named(explained(of(earlier), others=known)) == [("earlier",)]


COMBINED: dict[str, tuple[set[str], str]] = {
    "key and hash": (
        {"key_as_text", "hash_upper_case"},
        sealed(TEXT.upper(), key=KEY_TEXT.encode()[:32]),
    ),
    "mode and encoding": (
        {"mode_cbc", "container_base64"},
        base64.b64encode(OTHER[:16] + by_mode(modes.CBC(OTHER[:16]))).decode(),
    ),
    "hash and payload": (
        {"hash_raw", "field_left_out"},
        sealed(hashlib.sha256(joined(*without("hint")).encode()).digest()),
    ),
    "order and spelling": (
        {"device_position", "sign_data_decoded"},
        of(joined(*JSON_ORDER[:-1]).encode() + base64.b64decode(DATA)),
    ),
    "separator and charset": (
        {"separator", "charset"},
        of(joined(*ORDER, between="|").encode("big5")),
    ),
    "spelling and line break": (
        {"number_for_text", "text_behind"},
        of(right(sp_service_id="2026112309000000001") + "\n"),
    ),
}


@pytest.mark.parametrize("case", COMBINED)
def test_two_mistakes_at_once_are_both_named(case: str) -> None:
    """And no third."""
    expected, sent = COMBINED[case]
    assert set(named(explained(sent))[0]) == expected


TOO_MANY = (
    of(joined(*without("hint")[::-1], between="|").encode("big5") + b"\n"),
    of(f"{right()}{right()}"),
    sealed(hashlib.sha512(joined(*without("hint")).encode()).hexdigest()),
    sealed("nothing of the kind"),
    sealed(hashlib.sha256(b"another payload").digest()),
)


@pytest.mark.parametrize("sent", TOO_MANY)
def test_more_than_two_mistakes_or_an_unknown_one_name_none(sent: str) -> None:
    """Saying a wrong one would send an integrator astray."""
    assert named(explained(sent)) == [("unknown",)]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("", "missing"),
        ("00" * 92, "not_opened"),
        ("xyz!", "no_hex"),
        (sealed(TEXT, key=OTHER), "not_opened"),
        (digest().hex(), "length"),
        (container(*gcm(iv=OTHER[:12])), "length"),
    ],
)
def test_what_does_not_open_is_said_with_its_length(sent: str, expected: str) -> None:
    """A suspicion, marked as one; nothing is claimed of what cannot be seen."""
    found = explained(sent)
    assert named(found) == [(expected,)]
    assert found.inside is None
    assert found.diagnoses[0][0].sure is (expected in ("missing", "no_hex"))


def test_a_right_checksum_has_nothing_to_explain() -> None:
    """With any IV; the example beside it is right, too."""
    found = explained(of(right()))
    assert (found.right, found.diagnoses, found.inside) == (True, (), found.sha256)
    assert explained(found.example).right


def test_a_field_that_is_no_text_is_said() -> None:
    """The platform refuses it before it looks at the checksum."""
    found = explained(of(right()), {**BODY, "hint": 1153000165})
    assert named(found) == [("field_type",)]
    assert "hint must be text, not int" in found.diagnoses[0][0].zh


def test_no_mistake_is_named_for_what_comes_to_the_same() -> None:
    """With nothing to normalise, encode or leave out, those mistakes are none."""
    body = {**BARE, "hint": "x", "op_code": "ATH", "sign_info": None}
    plain = "".join(str(body.get(name) or "") for name in ORDER)
    assert explain_request(PUSH, {**body, "sp_checksum": of(plain)}, AesKey(KEY)).right
    assert named(explained(of(plain + "\n"), body)) == [("text_behind",)]


ANSWER = {
    "error_code": "0",
    "error_message": "SUCCESS",
    "result": {"hashed_id_num": "ab" * 32, "signed_response": "c2ln", "cert": "MIIF"},
}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (IDP_ORDER[Interface.GET_RESULT], None),
        (("transaction_id", "hashed_id_num", "signed_response"), "field_left_out"),
        (
            ("transaction_id", "error_code", "hashed_id_num", "signed_response", "cert"),
            "extra_field",
        ),
        (("error_code", "transaction_id", "hashed_id_num", "signed_response"), "order"),
    ],
)
def test_an_answers_checksum_is_explained_alike(
    names: tuple[str, ...], expected: str | None
) -> None:
    """Over the `transaction_id` that was sent, which no answer has to echo."""
    fields = {**ANSWER["result"], "transaction_id": "t-1", "error_code": "0"}  # type: ignore[dict-item]
    sent = of("".join(fields[name] for name in names))
    answer = {**ANSWER, "result": {**ANSWER["result"], "idp_checksum": sent}}  # type: ignore[dict-item]
    found = explain_answer(Interface.GET_RESULT, "t-1", answer, AesKey(KEY))
    assert found.payload == f"t-10{'ab' * 32}c2ln"
    if expected is None:
        assert found.right
    else:
        assert named(found)[0] == (expected,)
        other = explain_answer(Interface.GET_RESULT, "t-2", answer, AesKey(KEY))
        assert named(other) == [("unknown",)]


def test_every_mistake_speaks_both_languages() -> None:
    """And shows no key."""
    for sent in [each for table in (CONTAINERS, INSIDE, PAYLOADS) for _, each in table.values()]:
        found = of_push(sent)
        for mistake in found.diagnoses[0]:
            assert any("\u4e00" <= letter <= "\u9fff" for letter in mistake.zh)
            assert mistake.en[:20].isascii(), mistake.en
        shown = repr(found)
        assert KEY_TEXT not in shown
        assert KEY.hex() not in shown
