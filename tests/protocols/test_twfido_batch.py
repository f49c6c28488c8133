"""ATH-04: several documents on one ticket, from the request to the signatures in their order."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from moica_gateway.domain.models import (
    Approved,
    Begun,
    CertificateSignature,
    Channel,
    Fault,
    Pending,
    Refused,
    StartUnknown,
)
from moica_gateway.domain.values import SignatureForm, Tbs
from moica_gateway.ports import EgressError

DOCUMENTS = (b"first", b"second", b"third")
MESSAGES = tuple(Tbs(document) for document in DOCUMENTS)
MODES = {Channel.PUSH: "PUSH", Channel.QR: "I-SCAN", Channel.APP_LINK: "MWEB2APP"}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


SIGNATURES = [b64(bytes([n]) * 256) for n in range(3)]


async def begin(platform: Any, channel: Channel = Channel.PUSH, **ticket: Any) -> Any:
    values = {"op_code": "BATSIGN", "op_mode": MODES[channel]} | ticket
    answer = platform.ticket_answer(platform.ticket(**values))
    platform.egress.reply_json(platform.url("doBatchSigning"), answer)
    return await platform.upstream.begin(
        platform.asked(channel, messages=MESSAGES, device_name="我的手機")
    )


def answer_of(platform: Any, **changes: Any) -> dict[str, Any]:
    """A batch's result; its checksum covers the person and nothing of the set."""
    values = {
        "signed_response": ...,
        "signed_response_set": SIGNATURES,
        "idp_checksum": platform.checksum(f"{platform.TXN}0{platform.HASHED}"),
    }
    result: dict[str, Any] = platform.result_answer(**(values | changes))
    return result


async def poll(platform: Any, answer: Any, **extra: Any) -> Any:
    values = {"op_code": "BATSIGN", "sign_type": "PKCS#1", "documents": 3} | extra
    platform.egress.reply_json(platform.url("getAthOrSignResult"), answer)
    return await platform.upstream.poll(platform.handle(extra=values), platform.provider)


@pytest.mark.parametrize("channel", list(MODES))
async def test_a_batch_is_asked_for_as_specified(platform: Any, channel: Channel) -> None:
    """One sign_info with the set in order; op_mode also for push; no device, no document in the
    checksum."""
    begun = await begin(platform, channel)
    assert isinstance(begun, Begun), begun
    (request,) = platform.egress.requests
    assert request.url == platform.url("doBatchSigning")
    body = request.json()
    checksum = body.pop("sp_checksum")
    assert body == {
        "transaction_id": platform.TXN,
        "sp_service_id": platform.SERVICE,
        "id_num": "A123456789",
        "op_code": "BATSIGN",
        "op_mode": MODES[channel],
        "hint": platform.HINT,
        "time_limit": 60,
        "sign_info": {
            "sign_type": "PKCS#1",
            "sign_data_set": [b64(document) for document in DOCUMENTS],
            "tbs_encoding": "base64",
            "hash_algorithm": "SHA256",
        },
    }
    covered = f"{platform.TXN}{platform.SERVICE}A123456789BATSIGN{MODES[channel]}{platform.HINT}"
    iv = bytes.fromhex(checksum[:24])
    assert any(iv)
    assert platform.checksum(covered, iv=iv) == checksum
    assert begun.handle.sent_checksums == (checksum,)


async def test_a_batch_of_one_is_a_single_signature(platform: Any) -> None:
    """Its checksum covers what is signed, a batch's would not."""
    platform.egress.reply_json(platform.url("requestAthOrSignPush"), platform.ticket_answer())
    begun = await platform.upstream.begin(platform.asked(messages=MESSAGES[:1]))
    assert isinstance(begun, Begun)
    assert platform.egress.requests[0].json()["op_code"] == "SIGN"


async def test_twenty_full_documents_and_a_ticket_that_repeats_them(platform: Any) -> None:
    """The largest batch there is, its ticket included."""
    messages = tuple(Tbs(bytes([n]) * 768) for n in range(20))
    info = {"sign_data_set": [b64(m.message) for m in messages], "sign_type": "PKCS#1"}
    ticket = platform.ticket(op_code="BATSIGN", sign_info=info)
    platform.egress.reply_json(platform.url("doBatchSigning"), platform.ticket_answer(ticket))
    begun = await platform.upstream.begin(platform.asked(messages=messages))
    assert isinstance(begun, Begun), begun
    sent = platform.egress.requests[0].json()["sign_info"]["sign_data_set"]
    assert [len(data) for data in sent] == [1024] * 20


@pytest.mark.parametrize("mode", [..., None, "", "PUSH"])
async def test_a_push_ticket_says_push_or_nothing(platform: Any, mode: Any) -> None:
    """As with one document."""
    assert isinstance(await begin(platform, op_mode=mode), Begun)


@pytest.mark.parametrize(
    "ticket",
    [
        {"op_code": "SIGN"},
        {"op_code": "ATH"},
        {"op_mode": "I-SCAN"},
        {"sign_info": {"sign_data_set": [b64(d) for d in reversed(DOCUMENTS)]}},
        {"sign_info": {"sign_data_set": [b64(d) for d in DOCUMENTS[:2]]}},
        {"sign_info": {"sign_data": b64(DOCUMENTS[0])}},
        {"sign_info": {"sign_type": "RAW"}},
    ],
)
async def test_a_ticket_over_something_else_is_refused(platform: Any, ticket: Any) -> None:
    """Another operation, way, order, number or form."""
    result = await begin(platform, **ticket)
    assert isinstance(result, Fault)
    assert result.problem.code == "ticket_mismatch"


async def test_a_batch_without_an_answer_may_have_rung(platform: Any) -> None:
    """It is never sent again by itself, and the words name the interface."""
    platform.egress.script(
        platform.url("doBatchSigning"), EgressError("timeout", "d", maybe_sent=True)
    )
    result = await platform.upstream.begin(platform.asked(messages=MESSAGES))
    assert isinstance(result, StartUnknown)
    assert "SP-API-ATH-04" in result.detail


@pytest.mark.parametrize("code", ["BATSIGN_CNT_LIMIT", "SIGNDATA_LEN_LIMIT", "TGT_INV"])
async def test_a_batch_that_the_platform_does_not_take_is_a_fault(platform: Any, code: str) -> None:
    """With the table's row."""
    platform.egress.reply_json(
        platform.url("doBatchSigning"), {"error_code": f"SP-API-ATH-04-{code}"}
    )
    result = await platform.upstream.begin(platform.asked(messages=MESSAGES))
    assert isinstance(result, Fault)
    assert (result.problem.upstream_code, result.spoke) == (code, True)


# -- the result ------------------------------------------------------------------------------------


async def test_from_beginning_to_signatures_in_the_order_sent(platform: Any) -> None:
    """The handle of a real beginning knows how many have to come."""
    begun = await begin(platform)
    extra = dict(begun.handle.extra)
    assert json.loads(json.dumps(extra)) == extra
    body = answer_of(platform)
    platform.egress.reply_json(platform.url("getAthOrSignResult"), body)
    answer = await platform.upstream.poll(begun.handle, platform.provider)
    assert isinstance(answer, Approved), answer
    proof = answer.proof
    assert isinstance(proof, CertificateSignature)
    assert proof.unverified_signatures == tuple(bytes([n]) * 256 for n in range(3))
    assert proof.unverified_certificate.startswith(b"0\x82")
    assert proof.hashed_id_num == platform.HASHED
    assert json.loads(proof.raw) == body
    assert platform.alarms == []


async def test_a_batch_s_certificate_signatures_and_zero_iv_are_judged_elsewhere(
    platform: Any,
) -> None:
    """No checksum covers them: swapped ones come through, and the zero IV is an alarm only."""
    answer = answer_of(
        platform,
        signed_response_set=SIGNATURES[::-1],
        cert=b64(b"another"),
        idp_checksum=platform.checksum(f"{platform.TXN}0{platform.HASHED}", iv=bytes(12)),
    )
    assert isinstance(await poll(platform, answer), Approved)
    assert [event for event, _ in platform.alarms] == ["security.upstream_iv_zero"]


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (0, 0, 2)])
async def test_a_swapped_signature_does_not_cover_its_document(platform: Any, order: Any) -> None:
    """Signature n comes out at place n, so that another order is found by verifying."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    made = [key.sign(d, padding.PKCS1v15(), hashes.SHA256()) for d in DOCUMENTS]
    answer = await poll(
        platform, answer_of(platform, signed_response_set=[b64(made[n]) for n in order])
    )
    covered = [
        hashlib.sha256(document).digest()
        == key.public_key().recover_data_from_signature(s, padding.PKCS1v15(), hashes.SHA256())
        for document, s in zip(DOCUMENTS, answer.proof.unverified_signatures, strict=True)
    ]
    assert covered == [n == place for place, n in enumerate(order)]


async def test_what_is_assumed_of_a_batch_s_checksum_stands_in_one_place(
    platform: Any, monkeypatch: Any
) -> None:
    """What the checksum covers of a set (by our reading nothing) is one function's to correct."""
    monkeypatch.setattr("moica_gateway.protocols.twfido.result.batch_stands_for", "".join)
    covered = f"{platform.TXN}0{platform.HASHED}{''.join(SIGNATURES)}"
    right = answer_of(platform, idp_checksum=platform.checksum(covered))
    assert isinstance(await poll(platform, right), Approved)
    platform.egress.clear()
    wrong = await poll(platform, answer_of(platform))
    assert wrong.problem.code == "checksum_mismatch"


TAMPERED: list[tuple[str, str, dict[str, Any]]] = [
    ("one too few", "answer_invalid", {"signed_response_set": SIGNATURES[:2]}),
    ("one too many", "answer_invalid", {"signed_response_set": [*SIGNATURES, SIGNATURES[0]]}),
    ("none", "answer_incomplete", {"signed_response_set": ...}),
    ("null", "answer_incomplete", {"signed_response_set": None}),
    ("an empty set", "answer_invalid", {"signed_response_set": []}),
    ("an empty text", "answer_invalid", {"signed_response_set": ""}),
    ("text", "answer_invalid", {"signed_response_set": json.dumps(SIGNATURES)}),
    ("an object", "answer_invalid", {"signed_response_set": dict(enumerate(SIGNATURES))}),
    ("three characters", "answer_invalid", {"signed_response_set": "abc"}),
    ("a null in it", "answer_incomplete", {"signed_response_set": [*SIGNATURES[:2], None]}),
    ("an empty one in it", "answer_incomplete", {"signed_response_set": [*SIGNATURES[:2], ""]}),
    ("a number in it", "answer_invalid", {"signed_response_set": [*SIGNATURES[:2], 3]}),
    ("an array in it", "answer_invalid", {"signed_response_set": [*SIGNATURES[:2], ["YQ=="]]}),
    ("URL-safe", "answer_invalid", {"signed_response_set": [*SIGNATURES[:2], "-_-_"]}),
    ("spare bits", "answer_invalid", {"signed_response_set": [*SIGNATURES[:2], "dGFtcGVyZWR="]}),
    ("a line end", "answer_invalid", {"signed_response_set": [*SIGNATURES[:2], "YWJj\n"]}),
    ("too long", "answer_invalid", {"signed_response_set": [*SIGNATURES[:2], "AAAA" * 400]}),
    ("one beside the set", "answer_invalid", {"signed_response": SIGNATURES[0]}),
    ("a number beside it", "answer_invalid", {"signed_response": 0}),
    ("one for many", "answer_invalid", {"signed_response": SIGNATURES[0]}),
    ("no certificate", "answer_incomplete", {"cert": ...}),
    ("no person", "answer_incomplete", {"hashed_id_num": ...}),
    ("another person", "checksum_mismatch", {"hashed_id_num": "c" * 32}),
    ("no checksum", "checksum_missing", {"idp_checksum": ...}),
]


@pytest.mark.parametrize(
    ("code", "changes"), [row[1:] for row in TAMPERED], ids=[row[0] for row in TAMPERED]
)
async def test_a_tampered_batch_is_a_verification_failure(
    platform: Any, code: str, changes: Any
) -> None:
    """Number, types, base64, limits, and what stands beside the set."""
    answer = await poll(platform, answer_of(platform, **changes))
    assert isinstance(answer, Fault), answer
    assert (answer.problem.code, answer.problem.what_helps) == (code, "fail")
    assert not answer.spoke
    assert SIGNATURES[0] not in answer.problem.detail


async def test_a_single_s_checksum_does_not_speak_for_a_batch(platform: Any) -> None:
    """Nor a batch's for a single one."""
    single = platform.result_answer()["result"]["idp_checksum"]
    answer = await poll(platform, answer_of(platform, idp_checksum=single))
    assert answer.problem.code == "checksum_mismatch"
    other = answer_of(platform)["result"]["idp_checksum"]
    platform.egress.clear()
    platform.egress.reply_json(
        platform.url("getAthOrSignResult"), platform.result_answer(idp_checksum=other)
    )
    answer = await platform.upstream.poll(platform.handle(), platform.provider)
    assert answer.problem.code == "checksum_mismatch"


async def test_codes_mean_for_a_batch_what_they_mean(platform: Any) -> None:
    """Waiting, refusing, and the phone that signed another number."""
    assert await poll(platform, {"error_code": "SPTKTID_TXNLOG_NF"}) == Pending()
    platform.egress.clear()
    assert isinstance(await poll(platform, {"error_code": "APP_USER_CANCEL"}), Refused)
    platform.egress.clear()
    answer = await poll(platform, {"error_code": "SP-API-ATH-02-SIGRESP_CNT_MISMATCH"})
    assert answer.problem.code == "app_signature_rejected"


@pytest.mark.parametrize(
    ("sign_type", "size", "taken"),
    [
        ("PKCS#1", 1024, True),
        ("PKCS#1", 1025, False),
        ("RAW", 1025, False),
        ("PKCS#7", 1025, True),
        ("PKCS#7", 8192, True),
        ("PKCS#7", 8193, False),
    ],
)
async def test_a_cms_may_be_larger_than_a_signature(
    platform: Any, sign_type: str, size: int, taken: bool
) -> None:
    """Twenty of the largest still fit into one answer."""
    data = [*SIGNATURES[:2], b64(b"s" * size)]
    answer = await poll(
        platform, answer_of(platform, signed_response_set=data), sign_type=sign_type
    )
    assert isinstance(answer, Approved) is taken
    full = len(json.dumps(answer_of(platform, signed_response_set=[b64(b"s" * 8192)] * 20)))
    assert full < 262_144


async def test_a_cms_is_asked_for_and_comes_out_as_it_is(platform: Any) -> None:
    """PKCS#7 for one document."""
    platform.egress.reply_json(platform.url("requestAthOrSignPush"), platform.ticket_answer())
    begun = await platform.upstream.begin(
        platform.asked(messages=(Tbs(b"doc", form=SignatureForm.CMS),))
    )
    assert platform.egress.requests[0].json()["sign_info"]["sign_type"] == "PKCS#7"
    cms = b64(b"0\x82" + b"c" * 3000)
    covered = f"{platform.TXN}0{platform.HASHED}{cms}"
    platform.egress.reply_json(
        platform.url("getAthOrSignResult"),
        platform.result_answer(signed_response=cms, idp_checksum=platform.checksum(covered)),
    )
    answer = await platform.upstream.poll(begun.handle, platform.provider)
    assert answer.proof.unverified_signatures == (base64.b64decode(cms),)
