"""What ATH-02 may answer, and what becomes of it: one table of forged, replayed and broken bytes.

Every row: what comes, which code follows, whether it is asked for again (``retry``) or is a
verification failure (``fail``). The reading of the platform is the tests' own, see conftest.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from moica_gateway.domain.models import (
    Approved,
    CertificateSignature,
    Fault,
    Lapsed,
    Pending,
    Refused,
)
from moica_gateway.errors import CATALOGUE, UpstreamError
from moica_gateway.ports import EgressError, EgressReply
from moica_gateway.protocols.twfido.codes import CODES
from moica_gateway.protocols.twfido.envelope import MAX_ANSWER_BYTES, parse_envelope

URL = "https://platform.test/moise/sp/getAthOrSignResult"
Make = Callable[[Any], Any] | bytes | dict[str, Any]


def made(make: Make, platform: Any) -> Any:
    return make(platform) if callable(make) else make


def dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def resign(platform: Any, **result: Any) -> dict[str, Any]:
    """A success whose checksum fits its (odd) fields: grammar alone has to stop it."""
    members = {
        "hashed_id_num": platform.HASHED,
        "signed_response": platform.SIGNATURE,
        "cert": platform.CERT,
    } | result
    covered = f"{platform.TXN}0{members['hashed_id_num']}{members['signed_response']}"
    answer: dict[str, Any] = platform.result_answer(
        **members, idp_checksum=platform.checksum(covered)
    )
    return answer


def without(answer: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != name}


def twice(platform: Any, name: str) -> bytes:
    """The same name two times; a lenient reader takes the last."""
    text = dumps(platform.result_answer()).decode()
    return text.replace(f'"{name}":', f'"{name}": "x", "{name}":', 1).encode()


def sent_back(platform: Any) -> Callable[[Any], EgressReply]:
    """Our own checksum of this very poll, as if it were the platform's."""

    def reply(request: Any) -> EgressReply:
        own = request.json()["sp_checksum"]
        return EgressReply(
            status=200, headers={}, body=dumps(platform.result_answer(idp_checksum=own))
        )

    return reply


def own_payload(platform: Any) -> dict[str, Any]:
    """An earlier poll's checksum: other IV, same payload, and fields cut to fit it."""
    covered = f"{platform.TXN}{platform.SERVICE}{platform.TICKET_ID}"
    answer: dict[str, Any] = platform.result_answer(
        idp_checksum=platform.checksum(covered, iv=b"earlier-poll")
    )
    return answer


def ticket_as_result(platform: Any) -> dict[str, Any]:
    """The checksum over the ticket (ATH-01), replayed for a result made of the ticket's text."""
    text = platform.ticket()
    answer: dict[str, Any] = platform.result_answer(
        hashed_id_num=text[:40],
        signed_response=text[40:],
        idp_checksum=platform.checksum(f"{platform.TXN}0{text}"),
    )
    return answer


UNREADABLE: list[tuple[str, Make]] = [
    ("empty", b""),
    ("spaces", b"  \n"),
    ("HTML", b"<!doctype html><title>502</title>"),
    ("cut off", lambda p: dumps(p.result_answer())[:-20]),
    ("not UTF-8", lambda p: dumps(p.result_answer()).replace(b"SUCCESS", b"\xff\xfe")),
    ("UTF-16", lambda p: json.dumps(p.result_answer()).encode("utf-16")),
    ("byte order mark", lambda p: b"\xef\xbb\xbf" + dumps(p.result_answer())),
    ("two documents", lambda p: dumps(p.result_answer()) * 2),
    ("null", b"null"),
    ("array", lambda p: dumps([p.result_answer()])),
    ("text", b'"0"'),
    ("number", b"0"),
    ("single quotes", b"{'error_code': '0'}"),
    ("NaN", b'{"error_code": NaN}'),
    ("Infinity", b'{"error_code": "0", "x": -Infinity}'),
    ("endless number", b'{"error_code": ' + b"0" + b"1" * 5000 + b"}"),
    ("long number", b'{"error_code": ' + b"1" * 5000 + b"}"),
    ("deep", b'{"error_code":"0","x":' + b"[" * 9 + b"]" * 9 + b"}"),
    ("very deep", b'{"a":' * 50_000),
    ("huge", b'{"error_code":"0","x":"' + b"x" * 300_000 + b'"}'),
    ("no error_code", lambda p: without(p.result_answer(), "error_code")),
    ("Spring Boot with 200", {"timestamp": "t", "status": 500, "error": "e"}),
]

UNAUTHENTIC: list[tuple[str, str, Make]] = [
    # -- JSON that somebody wrote
    ("error_code twice", "answer_ambiguous", lambda p: twice(p, "error_code")),
    ("idp_checksum twice", "answer_ambiguous", lambda p: twice(p, "idp_checksum")),
    ("cert twice", "answer_ambiguous", lambda p: twice(p, "cert")),
    ("error_code true", "answer_invalid", lambda p: p.result_answer(error_code=True)),
    ("error_code false", "answer_invalid", lambda p: p.result_answer(error_code=False)),
    ("error_code 0.0", "answer_invalid", lambda p: p.result_answer(error_code=0.0)),
    (
        "error_code -0",
        "answer_invalid",
        lambda p: dumps(p.result_answer()).replace(b'"error_code": "0"', b'"error_code": -0'),
    ),
    ("error_code null", "answer_invalid", lambda p: p.result_answer(error_code=None)),
    ("error_code empty", "answer_invalid", lambda p: p.result_answer(error_code="")),
    ("error_code array", "answer_invalid", lambda p: p.result_answer(error_code=["0"])),
    ("error_code object", "answer_invalid", lambda p: p.result_answer(error_code={"0": 0})),
    ("error_code with space", "answer_invalid", lambda p: p.result_answer(error_code="0 ")),
    ("error_code with tail", "answer_invalid", lambda p: p.result_answer(error_code="0: SUCCESS")),
    (
        "error_code with interface",
        "answer_invalid",
        lambda p: p.result_answer(error_code="SP-API-ATH-02-0"),
    ),
    ("error_code endless", "answer_invalid", lambda p: p.result_answer(error_code="X" * 513)),
    ("half a surrogate", "answer_invalid", b'{"error_code":"\\ud800"}'),
    ("half a name", "answer_invalid", b'{"error_code":"20002","\\udfff":1}'),
    ("result array", "answer_invalid", lambda p: p.result_answer() | {"result": [1]}),
    ("result text", "answer_invalid", lambda p: p.result_answer() | {"result": "x"}),
    # -- the checksum
    ("no checksum", "checksum_missing", lambda p: p.result_answer(idp_checksum=...)),
    ("checksum null", "checksum_missing", lambda p: p.result_answer(idp_checksum=None)),
    ("checksum empty", "checksum_missing", lambda p: p.result_answer(idp_checksum="")),
    ("no result", "checksum_missing", lambda p: without(p.result_answer(), "result")),
    ("result null", "checksum_missing", lambda p: p.result_answer() | {"result": None}),
    (
        "checksum beside result",
        "checksum_missing",
        lambda p: (
            p.result_answer(idp_checksum=...)
            | {"idp_checksum": p.result_answer()["result"]["idp_checksum"]}
        ),
    ),
    ("checksum number", "answer_invalid", lambda p: p.result_answer(idp_checksum=0)),
    ("checksum zeros", "checksum_invalid", lambda p: p.result_answer(idp_checksum="0" * 184)),
    ("checksum short", "checksum_invalid", lambda p: p.result_answer(idp_checksum="00")),
    (
        "checksum upper case",
        "checksum_invalid",
        lambda p: p.result_answer(idp_checksum=p.result_answer()["result"]["idp_checksum"].upper()),
    ),
    (
        "another transaction's",
        "checksum_mismatch",
        lambda p: p.result_answer(
            idp_checksum=p.checksum(f"{p.TXN[:-1]}e0{p.HASHED}{p.SIGNATURE}")
        ),
    ),
    (
        "a stranger's key",
        "checksum_invalid",
        lambda p: p.result_answer(
            idp_checksum=p.checksum(f"{p.TXN}0{p.HASHED}{p.SIGNATURE}", key=p.STRANGE_KEY)
        ),
    ),
    (
        "an error's checksum on success",
        "checksum_mismatch",
        lambda p: p.result_answer(idp_checksum=p.checksum(f"{p.TXN}20002")),
    ),
    ("this poll's own", "checksum_reflected", sent_back),
    ("an earlier poll's own", "checksum_reflected", own_payload),
    (
        "the beginning's own",
        "checksum_reflected",
        lambda p: p.result_answer(idp_checksum=p.handle().sent_checksums[0]),
    ),
    (
        "what the beginning covered",
        "checksum_reflected",
        lambda p: p.result_answer(idp_checksum=p.checksum("what begin sent", iv=b"x" * 12)),
    ),
    ("a ticket's checksum", "answer_invalid", ticket_as_result),
    # -- fields that the checksum covers, or does not
    (
        "hashed_id_num changed",
        "checksum_mismatch",
        lambda p: p.result_answer(hashed_id_num="c" * 32),
    ),
    (
        "signature changed",
        "checksum_mismatch",
        lambda p: p.result_answer(signed_response="dGFtcGVyZWQ="),
    ),
    (
        "border moved",
        "hashed_id_num_mismatch",
        # The same characters, cut elsewhere: fields are joined without separators.
        lambda p: p.result_answer(
            hashed_id_num=p.HASHED + p.SIGNATURE[:4], signed_response=p.SIGNATURE[4:]
        ),
    ),
    (
        "another person",
        "hashed_id_num_mismatch",
        lambda p: resign(p, hashed_id_num="c" * 32),
    ),
    ("no hashed_id_num", "answer_incomplete", lambda p: p.result_answer(hashed_id_num=...)),
    ("no signature", "answer_incomplete", lambda p: p.result_answer(signed_response=...)),
    ("no certificate", "answer_incomplete", lambda p: p.result_answer(cert=...)),
    ("certificate empty", "answer_incomplete", lambda p: p.result_answer(cert="")),
    ("certificate array", "answer_invalid", lambda p: p.result_answer(cert=[p.CERT])),
    (
        "certificate as PEM",
        "answer_invalid",
        lambda p: p.result_answer(cert=f"-----BEGIN CERTIFICATE-----\n{p.CERT}\n"),
    ),
    (
        "certificate URL-safe",
        "answer_invalid",
        lambda p: p.result_answer(cert="-_-_"),
    ),
    (
        "certificate unpadded",
        "answer_invalid",
        lambda p: p.result_answer(cert=p.CERT.rstrip("=")),
    ),
    (
        "certificate huge",
        "answer_invalid",
        lambda p: p.result_answer(cert="A" * 4 * 5500),
    ),
    (
        "signature with spare bits",
        "answer_invalid",
        lambda p: resign(p, signed_response="dGFtcGVyZWR="),
    ),
    (
        "signature with line ends",
        "answer_invalid",
        lambda p: resign(p, signed_response=p.SIGNATURE[:76] + "\n" + p.SIGNATURE[76:]),
    ),
    ("signature number", "answer_invalid", lambda p: resign(p, signed_response=1)),
    ("signature huge", "answer_invalid", lambda p: resign(p, signed_response="AAAA" * 400)),
    ("hashed_id_num with dot", "answer_invalid", lambda p: resign(p, hashed_id_num="a.b")),
    ("hashed_id_num number", "answer_invalid", lambda p: resign(p, hashed_id_num=17)),
    (
        "batch result for one document",
        "answer_incomplete",
        lambda p: p.result_answer(signed_response=..., signed_response_set=[p.SIGNATURE]),
    ),
    # -- codes with a wrong checksum: refused whatever they say
    *[
        (
            f"{code} with a wrong checksum",
            "checksum_invalid",
            {"error_code": code, "result": {"idp_checksum": "ab" * 92}},
        )
        for code in ("SPTKTID_TXNLOG_NF", "20002", "APP_USER_CANCEL", "SPTKT_OVD", "DB_CONN_ERR")
    ],
    (
        "success's checksum on a refusal",
        "checksum_mismatch",
        lambda p: p.result_answer(error_code="APP_USER_CANCEL"),
    ),
    (
        "pending with our own checksum",
        "checksum_reflected",
        lambda p: {
            "error_code": "20002",
            "result": {"idp_checksum": p.handle().sent_checksums[0]},
        },
    ),
    (
        "refusal with fields of a wrong type under a checksum",
        "answer_invalid",
        lambda p: {
            "error_code": "APP_USER_CANCEL",
            "result": {"hashed_id_num": 1, "idp_checksum": p.checksum(f"{p.TXN}APP_USER_CANCEL")},
        },
    ),
]


async def poll(platform: Any, came: Any) -> Any:
    if callable(came):
        platform.egress.script(URL, came)
    else:
        body = came if isinstance(came, bytes) else dumps(came)
        platform.egress.reply(URL, body)
    return await platform.upstream.poll(platform.handle(), platform.provider)


@pytest.mark.parametrize("make", [m for _, m in UNREADABLE], ids=[n for n, _ in UNREADABLE])
async def test_an_unreadable_body_is_asked_for_again(platform: Any, make: Make) -> None:
    """Nothing was said: recorded, and "not yet"."""
    answer = await poll(platform, made(make, platform))
    assert isinstance(answer, Fault)
    assert answer.problem.code == "upstream_malformed"
    assert answer.problem.what_helps == "retry"
    assert not answer.spoke


@pytest.mark.parametrize(
    ("code", "make"), [(c, m) for _, c, m in UNAUTHENTIC], ids=[n for n, _, _ in UNAUTHENTIC]
)
async def test_a_parsed_but_unauthentic_answer_is_a_verification_failure(
    platform: Any, code: str, make: Make
) -> None:
    """Each with its own code, never retried, and no value of the answer in the words."""
    answer = await poll(platform, made(make, platform))
    assert isinstance(answer, Fault), answer
    assert answer.problem.code == code
    assert answer.problem.what_helps == "fail"
    assert not answer.spoke
    for value in (platform.HASHED, platform.SIGNATURE, platform.CERT, "A123456789"):
        assert value not in answer.problem.detail


def test_the_reader_has_a_limit_of_its_own() -> None:
    """Whoever brought the bytes, more than the limit is not parsed."""
    with pytest.raises(UpstreamError) as caught:
        parse_envelope(b'{"error_code":"20002"}' + b" " * MAX_ANSWER_BYTES)
    assert caught.value.code == "upstream_malformed"


def test_the_tables_have_at_least_forty_kinds_and_catalogue_codes() -> None:
    """The bar, and no code that the catalogue lacks."""
    assert len(UNREADABLE) + len(UNAUTHENTIC) >= 80
    assert {code for _, code, _ in UNAUTHENTIC} <= set(CATALOGUE)


async def test_an_authentic_approval_comes_through_with_its_raw_reply(platform: Any) -> None:
    """The one way to success."""
    body = dumps(platform.result_answer())
    answer = await poll(platform, body)
    assert isinstance(answer, Approved)
    proof = answer.proof
    assert isinstance(proof, CertificateSignature)
    assert proof.unverified_signatures == (b"s" * 256,)
    assert proof.unverified_certificate.startswith(b"0\x82")
    assert proof.hashed_id_num == platform.HASHED
    assert proof.raw == body
    assert platform.alarms == []


@pytest.mark.parametrize("changes", [{"error_code": 0}, {"error_code": "0"}])
async def test_error_code_may_be_a_number(platform: Any, changes: Any) -> None:
    """Number and text are one code, and one payload."""
    assert isinstance(await poll(platform, platform.result_answer(**changes)), Approved)


async def test_an_approval_under_the_previous_key_counts(platform: Any) -> None:
    """Until the previous key is retired."""
    covered = f"{platform.TXN}0{platform.HASHED}{platform.SIGNATURE}"
    answer = platform.result_answer(
        idp_checksum=platform.checksum(covered, key=platform.PREVIOUS_KEY)
    )
    assert isinstance(await poll(platform, answer), Approved)


async def test_the_same_approval_may_be_read_twice_without_an_alarm(platform: Any) -> None:
    """A confirmed ticket gives the same result at every poll."""
    for _ in range(2):
        assert isinstance(await poll(platform, platform.result_answer()), Approved)
    assert platform.alarms == []


async def test_zero_and_repeated_ivs_alarm_but_a_signature_speaks_for_itself(
    platform: Any,
) -> None:
    """The alarm names interface and key, and the answer goes on to the judge."""
    covered = f"{platform.TXN}0{platform.HASHED}{platform.SIGNATURE}"
    answer = platform.result_answer(idp_checksum=platform.checksum(covered, iv=bytes(12)))
    assert isinstance(await poll(platform, answer), Approved)
    assert [event for event, _ in platform.alarms] == ["security.upstream_iv_zero"]
    assert platform.alarms[0][1] == {
        "interface": "SP-API-ATH-02",
        "sp_service_id": platform.SERVICE,
        "sp_key_id": "key-2",
        "transaction_id": platform.TXN,
    }


async def test_a_ticket_without_a_person_takes_the_result_s(platform: Any) -> None:
    """hashed_id_num is compared where both are there."""
    platform.egress.reply_json(URL, platform.result_answer())
    answer = await platform.upstream.poll(platform.handle(hashed_id_num=None), platform.provider)
    assert isinstance(answer, Approved)


@pytest.mark.parametrize("code", [c for c, row in CODES.items() if row.helps == "poll"])
@pytest.mark.parametrize("form", ["{}", "SP-API-ATH-02-{}", "{}: 尚未完成", " {} "])
async def test_not_finished_is_pending_in_every_form(platform: Any, code: str, form: str) -> None:
    """Bare, prefixed, explained or padded, without a result."""
    assert await poll(platform, {"error_code": form.format(code)}) == Pending()


@pytest.mark.parametrize("result", [None, {}, "", {"idp_checksum": None}, {"idp_checksum": ""}])
async def test_a_missing_result_of_a_waiting_answer_is_no_failure(
    platform: Any, result: Any
) -> None:
    """Waiting has no result; null and empty are absent."""
    assert await poll(platform, {"error_code": 20002, "result": result}) == Pending()


@pytest.mark.parametrize("code", sorted(c for c, row in CODES.items() if row.helps != "poll"))
async def test_every_other_code_ends_or_waits_as_the_table_says(platform: Any, code: str) -> None:
    """Refusal, lapse, or a fault that carries the row and is marked unsigned."""
    answer = await poll(platform, {"error_code": f"SP-API-ATH-02-{code}: …", "result": None})
    if code == "SPTKT_OVD":
        assert answer == Lapsed(unsigned=True)
        return
    if code == "APP_USER_CANCEL":
        assert isinstance(answer, Refused)
        assert answer.problem.code == "holder_refused"
    else:
        assert isinstance(answer, Fault)
        assert answer.spoke
    assert answer.problem.upstream_code == code
    assert answer.problem.what_helps == CODES[code].helps
    assert answer.problem.extra["unsigned"] is True


@pytest.mark.parametrize("covered", ["SP-API-ATH-02-APP_USER_CANCEL", "APP_USER_CANCEL"])
async def test_a_signed_code_is_not_marked_unsigned(platform: Any, covered: str) -> None:
    """Its checksum covers the code as it came or bare, and absent fields as nothing."""
    answer = await poll(
        platform,
        {
            "error_code": "SP-API-ATH-02-APP_USER_CANCEL",
            "result": {"idp_checksum": platform.checksum(platform.TXN + covered)},
        },
    )
    assert isinstance(answer, Refused)
    assert "unsigned" not in answer.problem.extra


async def test_an_unknown_code_ends_with_its_raw_value(platform: Any) -> None:
    """It is explicit, and never success."""
    answer = await poll(platform, {"error_code": "SP-API-ATH-02-NEW_2027: ?"})
    assert isinstance(answer, Fault)
    assert (answer.problem.code, answer.problem.upstream_code) == (
        "upstream_unknown_code",
        "NEW_2027",
    )
    assert answer.spoke


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, "upstream_unavailable"),
        (502, "upstream_unavailable"),
        (503, "upstream_unavailable"),
        (429, "upstream_unavailable"),
        (408, "upstream_unavailable"),
        (404, "upstream_malformed"),
        (403, "upstream_malformed"),
        (302, "upstream_malformed"),
        (204, "upstream_malformed"),
        (201, "upstream_malformed"),
    ],
)
async def test_another_status_is_transient_whatever_the_body_says(
    platform: Any, status: int, code: str
) -> None:
    """Even a perfect approval in it is not read."""
    platform.egress.reply_json(URL, platform.result_answer(), status=status)
    answer = await platform.upstream.poll(platform.handle(), platform.provider)
    assert isinstance(answer, Fault)
    assert (answer.problem.code, answer.problem.what_helps) == (code, "retry")
    assert not answer.spoke


@pytest.mark.parametrize(
    ("status", "value", "seconds"),
    [
        (503, "7", 7.0),
        (429, "Wed, 29 Apr 2026 06:58:21 GMT", 10.0),
        (503, "Wed, 29 Apr 2026 06:58:01 -0000", 0.0),
        (503, "86400", 600.0),
        (503, "9" * 5000, 600.0),
        (503, "Wed, 29 Apr 2099 06:58:21 GMT", 600.0),
        (503, "-7", None),
        (503, "soon", None),
        (503, "", None),
        (503, "７", None),
        (503, "Wed, 99 Apr 2026 99:58:21 GMT", None),
        (500, "7", None),
        (503, None, None),
    ],
)
async def test_retry_after_is_honoured_within_bounds(
    platform: Any, status: int, value: str | None, seconds: float | None
) -> None:
    """Seconds or a date, never negative, never longer than a transaction lives."""
    headers = {} if value is None else {"retry-after": value}
    platform.egress.reply(URL, b"", status=status, headers=headers)
    answer = await platform.upstream.poll(platform.handle(), platform.provider)
    assert isinstance(answer, Fault)
    assert answer.retry_after == seconds


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("address", "upstream_unreachable"),
        ("connect", "upstream_unreachable"),
        ("tls", "upstream_unreachable"),
        ("timeout", "upstream_unreachable"),
        ("reset", "upstream_unreachable"),
        ("too_large", "upstream_malformed"),
        ("malformed", "upstream_malformed"),
    ],
)
@pytest.mark.parametrize("maybe_sent", [True, False])
async def test_a_broken_line_is_not_yet(
    platform: Any, kind: Any, code: str, maybe_sent: bool
) -> None:
    """One broken connection fails nothing."""
    platform.egress.script(URL, EgressError(kind, "detail", maybe_sent=maybe_sent))
    answer = await platform.upstream.poll(platform.handle(), platform.provider)
    assert isinstance(answer, Fault)
    assert (answer.problem.code, answer.problem.what_helps) == (code, "retry")
    assert not answer.spoke
