"""Bare ATH: the platform's word that the holder is there, with nothing signed."""

from __future__ import annotations

from typing import Any

import pytest

from moica_gateway.domain.models import Approved, Begun, Channel, Fault, HolderPresent, Pending

METHODS = {
    Channel.PUSH: ("requestAthOrSignPush", "PUSH"),
    Channel.QR: ("getSpTicket", "I-SCAN"),
    Channel.APP_LINK: ("getSpTicket", "MWEB2APP"),
}


async def begin(platform: Any, channel: Channel = Channel.PUSH, **ticket: Any) -> Any:
    method, mode = METHODS[channel]
    values = {"op_code": "ATH", "op_mode": mode} | ticket
    platform.egress.reply_json(
        platform.url(method), platform.ticket_answer(platform.ticket(**values))
    )
    asked = platform.asked(channel, messages=(), presence=True, device_name="我的手機")
    return await platform.upstream.begin(asked)


def answer_of(platform: Any, **changes: Any) -> dict[str, Any]:
    values = {
        "signed_response": ...,
        "cert": ...,
        "idp_checksum": platform.checksum(f"{platform.TXN}0{platform.HASHED}"),
    }
    result: dict[str, Any] = platform.result_answer(**(values | changes))
    return result


ATH = {"op_code": "ATH", "sign_type": None, "documents": 0}


async def poll(platform: Any, answer: Any, **handle: Any) -> Any:
    platform.egress.reply_json(platform.url("getAthOrSignResult"), answer)
    return await platform.upstream.poll(
        platform.handle(**({"extra": ATH} | handle)), platform.provider
    )


@pytest.mark.parametrize("channel", list(METHODS))
async def test_presence_is_asked_for_without_sign_info(platform: Any, channel: Channel) -> None:
    """op_code ATH, by push, code and link; the checksum ends with the hint."""
    begun = await begin(platform, channel, device_user_def_desc=...)
    assert isinstance(begun, Begun), begun
    body = platform.egress.requests[0].json()
    assert body["op_code"] == "ATH"
    assert not {"sign_info", "sign_data", "sign_type"} & set(body)
    iv = bytes.fromhex(body["sp_checksum"][:24])
    who = f"{platform.TXN}{platform.SERVICE}A123456789"
    mode = METHODS[channel][1]
    covered = f"我的手機ATH{platform.HINT}" if mode == "PUSH" else f"ATH{mode}{platform.HINT}"
    assert platform.checksum(who + covered, iv=iv) == body["sp_checksum"]


@pytest.mark.parametrize(
    "ticket",
    [{"op_code": "SIGN"}, {"sign_info": {"sign_data": "YQ=="}}, {"op_mode": "I-SCAN"}],
)
async def test_a_ticket_for_more_than_presence_is_refused(platform: Any, ticket: Any) -> None:
    """Nobody may make a signature of it."""
    result = await begin(platform, **ticket)
    assert isinstance(result, Fault)
    assert result.problem.code == "ticket_mismatch"


async def test_something_to_sign_is_no_question_of_presence(platform: Any) -> None:
    """One of both."""
    result = await platform.upstream.begin(platform.asked(presence=True))
    assert isinstance(result, Fault)
    assert result.problem.code == "request_invalid"
    assert platform.egress.requests == []


@pytest.mark.parametrize("channel", list(METHODS))
async def test_from_beginning_to_presence(platform: Any, channel: Channel) -> None:
    """A proof that holds no certificate, so that nobody takes it for a signature."""
    begun = await begin(platform, channel, device_user_def_desc=...)
    platform.egress.reply_json(platform.url("getAthOrSignResult"), {"error_code": "20002"})
    platform.egress.reply_json(platform.url("getAthOrSignResult"), answer_of(platform))
    assert await platform.upstream.poll(begun.handle, platform.provider) == Pending()
    answer = await platform.upstream.poll(begun.handle, platform.provider)
    assert isinstance(answer, Approved), answer
    assert isinstance(answer.proof, HolderPresent)
    assert answer.proof.hashed_id_num == platform.HASHED
    assert platform.HASHED not in repr(answer)


@pytest.mark.parametrize("changes", [{"signed_response": ""}, {"signed_response": None}])
async def test_an_empty_signature_is_none(platform: Any, changes: Any) -> None:
    """Absent, null and empty are one."""
    assert isinstance(await poll(platform, answer_of(platform, **changes)), Approved)


def zero_iv(p: Any) -> dict[str, Any]:
    return answer_of(p, idp_checksum=p.checksum(f"{p.TXN}0{p.HASHED}", iv=bytes(12)))


def ticket_as_result(p: Any) -> dict[str, Any]:
    """The platform's own checksum over the ticket covers just what a presence would."""
    ticket = p.ticket(hashed_id_num=...)
    return answer_of(p, hashed_id_num=ticket, idp_checksum=p.checksum(f"{p.TXN}0{ticket}"))


def own_poll(p: Any) -> dict[str, Any]:
    """Our own checksum of an earlier poll, which covers transaction, service and ticket id."""
    asked = f"{p.TXN}{p.SERVICE}{p.TICKET_ID}"
    return answer_of(p, idp_checksum=p.checksum(asked, iv=b"earlier-poll"))


REFUSED: list[tuple[str, str, Any]] = [
    ("no checksum", "checksum_missing", lambda p: answer_of(p, idp_checksum=...)),
    ("zero IV", "checksum_invalid", zero_iv),
    (
        "a stranger's key",
        "checksum_invalid",
        lambda p: answer_of(p, idp_checksum=p.checksum(f"{p.TXN}0{p.HASHED}", key=p.STRANGE_KEY)),
    ),
    (
        "another's transaction",
        "checksum_mismatch",
        lambda p: answer_of(p, idp_checksum=p.checksum(f"{p.TXN[:-1]}e0{p.HASHED}")),
    ),
    ("another person", "checksum_mismatch", lambda p: answer_of(p, hashed_id_num="c" * 32)),
    (
        "another person, signed",
        "hashed_id_num_mismatch",
        lambda p: answer_of(
            p, hashed_id_num="c" * 32, idp_checksum=p.checksum(f"{p.TXN}0{'c' * 32}")
        ),
    ),
    (
        "a signature's answer",
        "answer_invalid",
        lambda p: p.result_answer(),
    ),
    (
        "border moved",
        "answer_invalid",
        lambda p: answer_of(p, hashed_id_num=p.HASHED[:8], signed_response=p.HASHED[8:]),
    ),
    ("no person", "answer_incomplete", lambda p: answer_of(p, hashed_id_num=...)),
    ("a ticket for a person", "answer_invalid", ticket_as_result),
    ("our own poll", "checksum_reflected", own_poll),
    (
        "success of another code",
        "checksum_mismatch",
        lambda p: answer_of(p, idp_checksum=p.checksum(f"{p.TXN}20002{p.HASHED}")),
    ),
]


@pytest.mark.parametrize(
    ("code", "make"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
async def test_presence_is_believed_by_its_checksum_alone(
    platform: Any, code: str, make: Any
) -> None:
    """There is no signature behind it: whatever is wrong with the checksum is a refusal."""
    answer = await poll(platform, make(platform))
    assert isinstance(answer, Fault), answer
    assert (answer.problem.code, answer.problem.what_helps) == (code, "fail")


async def test_a_ticket_is_no_person_also_where_the_ticket_named_none(platform: Any) -> None:
    """Nothing else would stop the platform's own checksum over the ticket."""
    answer = await poll(platform, ticket_as_result(platform), hashed_id_num=None)
    assert isinstance(answer, Fault)
    assert answer.problem.code == "answer_invalid"


async def test_an_iv_that_came_before_refuses_presence(platform: Any) -> None:
    """Two checksums under one IV give the key's authentication away: a forger may have it."""
    first = await poll(platform, answer_of(platform))
    assert isinstance(first, Approved)
    platform.egress.clear()
    iv = bytes.fromhex(answer_of(platform)["result"]["idp_checksum"][:24])
    other = platform.checksum(f"{platform.TXN}0{'d' * 32}", iv=iv)
    forged = answer_of(platform, hashed_id_num="d" * 32, idp_checksum=other)
    for _ in range(2):
        answer = await poll(platform, forged, hashed_id_num=None)
        assert isinstance(answer, Fault)
        assert answer.problem.code == "checksum_invalid"
    assert {event for event, _ in platform.alarms} == {"security.upstream_iv_repeated"}


async def test_the_same_answer_at_every_poll_is_no_repetition(platform: Any) -> None:
    """A confirmed ticket may give the very same checksum again."""
    for _ in range(3):
        assert isinstance(await poll(platform, answer_of(platform)), Approved)
    assert platform.alarms == []


async def test_presence_does_not_pass_for_a_signature(platform: Any) -> None:
    """What answers bare ATH is no answer to a request to sign."""
    answer = await poll(platform, answer_of(platform), extra={})
    assert isinstance(answer, Fault)
    assert answer.problem.code == "answer_incomplete"
