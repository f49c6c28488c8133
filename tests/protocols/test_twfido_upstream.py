"""What the upstream asks, what a beginning may end as, and what the browser is shown."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import structlog
from attrs import evolve
from structlog.testing import capture_logs

from moica_gateway.domain.models import (
    Approved,
    Begun,
    Channel,
    Fault,
    Presentation,
    ServiceProvider,
    SpKey,
    StartUnknown,
)
from moica_gateway.domain.values import Secret, Tbs
from moica_gateway.errors import RequestError
from moica_gateway.ports import EgressError, EgressReply, Upstream
from moica_gateway.protocols.twfido import TwFidoUpstream
from moica_gateway.protocols.twfido.codes import CODES

PUSH = "https://platform.test/moise/sp/requestAthOrSignPush"
TICKET = "https://platform.test/moise/sp/getSpTicket"
RESULT = "https://platform.test/moise/sp/getAthOrSignResult"


def opened(platform: Any, checksum: str, payload: str) -> bool:
    """Whether a checksum that we sent covers the payload, by the tests' own reading."""
    iv = bytes.fromhex(checksum[:24])
    return bool(any(iv)) and platform.checksum(payload, iv=iv) == checksum


def test_it_is_an_upstream(platform: Any) -> None:
    """The port is kept; the channels are the three of this protocol."""
    upstream: Upstream = platform.upstream
    assert isinstance(upstream, TwFidoUpstream)
    assert upstream.channels == {Channel.PUSH, Channel.QR, Channel.APP_LINK}
    assert (upstream.name, upstream.poll_interval) == ("twfido", 4.0)


async def test_push_is_asked_for_as_specified(platform: Any) -> None:
    """Every field in its place, no op_mode, and the device before op_code in the payload."""
    platform.egress.reply_json(
        PUSH, platform.ticket_answer(platform.ticket(device_user_def_desc="我的手機"))
    )
    asked = platform.asked(device_name="我的手機")
    begun = await platform.upstream.begin(asked)
    assert isinstance(begun, Begun), begun
    (request,) = platform.egress.requests
    assert (request.method, request.url) == ("POST", PUSH)
    assert request.headers["Content-Type"] == "application/json; charset=utf-8"
    body = request.json()
    data = base64.b64encode(b"DOC_DIGEST_1234567890").decode()
    checksum = body.pop("sp_checksum")
    assert body == {
        "transaction_id": platform.TXN,
        "sp_service_id": platform.SERVICE,
        "id_num": "A123456789",
        "op_code": "SIGN",
        "hint": platform.HINT,
        "time_limit": 60,
        "device_user_def_desc": "我的手機",
        "sign_info": {
            "sign_type": "PKCS#1",
            "sign_data": data,
            "tbs_encoding": "base64",
            "hash_algorithm": "SHA256",
        },
    }
    assert "公文文號".encode() in request.body
    covered = f"{platform.TXN}{platform.SERVICE}A123456789我的手機SIGN{platform.HINT}{data}"
    assert opened(platform, checksum, covered)
    assert begun.handle.sent_checksums == (checksum,)


async def test_every_device_is_meant_by_leaving_the_name_out(platform: Any) -> None:
    """No name: no field, and nothing in the payload."""
    await platform.begun()
    body = platform.egress.requests[0].json()
    assert "device_user_def_desc" not in body
    data = body["sign_info"]["sign_data"]
    covered = f"{platform.TXN}{platform.SERVICE}A123456789SIGN{platform.HINT}{data}"
    assert opened(platform, body["sp_checksum"], covered)


@pytest.mark.parametrize(
    ("channel", "mode"), [(Channel.QR, "I-SCAN"), (Channel.APP_LINK, "MWEB2APP")]
)
async def test_code_and_link_are_asked_for_as_specified(
    platform: Any, channel: Channel, mode: str
) -> None:
    """ATH-01 with its mode in body and payload, whatever device was named."""
    platform.egress.reply_json(TICKET, platform.ticket_answer(platform.ticket(op_mode=mode)))
    begun = await platform.upstream.begin(platform.asked(channel, device_name="我的手機"))
    assert isinstance(begun, Begun), begun
    body = platform.egress.requests[0].json()
    assert body["op_mode"] == mode
    assert "device_user_def_desc" not in body
    data = body["sign_info"]["sign_data"]
    covered = f"{platform.TXN}{platform.SERVICE}A123456789SIGN{mode}{platform.HINT}{data}"
    assert opened(platform, body["sp_checksum"], covered)


async def test_a_ticket_is_kept_whole_in_the_handle(platform: Any) -> None:
    """Ticket, id, key and person, for polling; nothing personal in its repr."""
    handle = (await platform.begun()).handle
    assert handle.ticket == platform.ticket()
    assert handle.ticket_id == platform.TICKET_ID
    assert handle.sp_key_id == "key-2"
    assert handle.hashed_id_num == platform.HASHED
    assert json.loads(json.dumps(dict(handle.extra))) == dict(handle.extra)
    assert platform.HASHED not in repr(handle)
    assert platform.ticket() not in repr(handle)


async def test_a_poll_is_asked_for_as_specified(platform: Any) -> None:
    """With the transaction_id of the request that made the ticket, a new IV each time."""
    platform.egress.reply_json(RESULT, {"error_code": "20002"})
    handle = platform.handle()
    for _ in range(3):
        await platform.upstream.poll(handle, platform.provider)
    bodies = [request.json() for request in platform.egress.requests]
    for body in bodies:
        assert set(body) == {"transaction_id", "sp_service_id", "sp_checksum", "sp_ticket_id"}
        covered = f"{platform.TXN}{platform.SERVICE}{platform.TICKET_ID}"
        assert opened(platform, body["sp_checksum"], covered)
    assert len({body["sp_checksum"][:24] for body in bodies}) == 3


async def test_a_poll_uses_the_pinned_key_and_the_current_one_once_that_is_retired(
    platform: Any,
) -> None:
    """A transaction keeps its key through a rotation."""
    platform.egress.reply_json(RESULT, {"error_code": "20002"})
    covered = f"{platform.TXN}{platform.SERVICE}{platform.TICKET_ID}"
    for pinned, key in (("key-1", platform.PREVIOUS_KEY), ("gone", platform.KEY)):
        platform.egress.requests.clear()
        await platform.upstream.poll(platform.handle(sp_key_id=pinned), platform.provider)
        checksum = platform.egress.requests[0].json()["sp_checksum"]
        iv = bytes.fromhex(checksum[:24])
        assert platform.checksum(covered, iv=iv, key=key) == checksum


async def test_from_beginning_to_approval(platform: Any) -> None:
    """The handle of a real beginning polls to an approval."""
    begun = await platform.begun(Channel.QR)
    platform.egress.reply_json(RESULT, platform.result_answer())
    assert isinstance(await platform.upstream.poll(begun.handle, platform.provider), Approved)


# -- what a beginning may end as ---------------------------------------------------------------


@pytest.mark.parametrize("kind", ["address", "connect", "tls", "timeout"])
async def test_what_surely_never_left_is_a_fault(platform: Any, kind: Any) -> None:
    """The phone has not rung."""
    platform.egress.script(PUSH, EgressError(kind, "d", maybe_sent=False))
    result = await platform.upstream.begin(platform.asked())
    assert isinstance(result, Fault)
    assert result.problem.code == "upstream_unreachable"
    assert not result.spoke


@pytest.mark.parametrize("kind", ["timeout", "reset", "tls"])
async def test_what_may_have_been_sent_is_a_start_unknown(platform: Any, kind: Any) -> None:
    """The phone may have rung, and nothing is sent again."""
    platform.egress.script(PUSH, EgressError(kind, "d", maybe_sent=True))
    assert isinstance(await platform.upstream.begin(platform.asked()), StartUnknown)
    assert len(platform.egress.requests) == 1


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (EgressReply(status=200, headers={}, body=b""), "upstream_malformed"),
        (EgressReply(status=200, headers={}, body=b"<html>"), "upstream_malformed"),
        (EgressReply(status=500, headers={}, body=b"{}"), "upstream_unavailable"),
        (EgressReply(status=404, headers={}, body=b"{}"), "upstream_malformed"),
        (EgressReply(status=307, headers={"location": "/x"}, body=b""), "upstream_malformed"),
        (EgressError("too_large", "d", maybe_sent=True), "upstream_malformed"),
        (EgressError("malformed", "d", maybe_sent=True), "upstream_malformed"),
    ],
)
async def test_an_unreadable_answer_to_a_beginning_is_a_fault(
    platform: Any, reply: Any, code: str
) -> None:
    """Something answered, and not in the protocol."""
    platform.egress.script(PUSH, reply)
    result = await platform.upstream.begin(platform.asked())
    assert isinstance(result, Fault)
    assert result.problem.code == code
    assert not result.spoke


BAD_TICKETS: list[tuple[str, str, Any]] = [
    ("no checksum", "checksum_missing", lambda p: p.ticket_answer(idp_checksum=None)),
    ("no result", "checksum_missing", {"error_code": "0"}),
    ("wrong checksum", "checksum_invalid", lambda p: p.ticket_answer(idp_checksum="0" * 184)),
    ("no ticket", "answer_incomplete", lambda p: p.ticket_answer(sp_ticket=None)),
    ("ticket number", "answer_invalid", lambda p: p.ticket_answer(sp_ticket=1)),
    ("ticket without dot", "ticket_malformed", lambda p: p.ticket_answer("abc")),
    (
        "ticket changed, digest made anew",
        "checksum_mismatch",
        lambda p: p.ticket_answer(
            sp_ticket=p.ticket(hint="another"),
            idp_checksum=p.ticket_answer()["result"]["idp_checksum"],
        ),
    ),
    ("ticket no JSON", "ticket_malformed", lambda p: p.ticket_answer(p.ticket_of(b"x"))),
    (
        "ticket with the name twice",
        "ticket_malformed",
        lambda p: p.ticket_answer(p.ticket_of(b'{"sp_ticket_id":"a","sp_ticket_id":"b"}')),
    ),
    (
        "another transaction",
        "ticket_mismatch",
        lambda p: p.ticket_answer(p.ticket(transaction_id="41570c02")),
    ),
    (
        "another provider",
        "ticket_mismatch",
        lambda p: p.ticket_answer(p.ticket(sp_service_id="1")),
    ),
    ("another operation", "ticket_mismatch", lambda p: p.ticket_answer(p.ticket(op_code="ATH"))),
    ("another mode", "ticket_mismatch", lambda p: p.ticket_answer(p.ticket(op_mode="I-SCAN"))),
    ("another hint", "ticket_mismatch", lambda p: p.ticket_answer(p.ticket(hint="x"))),
    (
        "another document",
        "ticket_mismatch",
        lambda p: p.ticket_answer(p.ticket(sign_info={"sign_data": "AAAA"})),
    ),
]


@pytest.mark.parametrize(
    ("code", "make"), [(c, m) for _, c, m in BAD_TICKETS], ids=[n for n, _, _ in BAD_TICKETS]
)
async def test_a_ticket_that_is_not_authentic_or_not_ours_is_refused(
    platform: Any, code: str, make: Any
) -> None:
    """A verification failure with its own code; no challenge comes of it."""
    platform.egress.reply_json(PUSH, make(platform) if callable(make) else make)
    result = await platform.upstream.begin(platform.asked())
    assert isinstance(result, Fault), result
    assert result.problem.code == code
    assert result.problem.what_helps == "fail"
    assert not result.spoke


async def test_the_beginning_s_own_checksum_sent_back_is_refused(platform: Any) -> None:
    """One key serves both directions."""

    def reply(request: Any) -> EgressReply:
        answer = platform.ticket_answer(idp_checksum=request.json()["sp_checksum"])
        return EgressReply(status=200, headers={}, body=json.dumps(answer).encode())

    platform.egress.script(PUSH, reply)
    result = await platform.upstream.begin(platform.asked())
    assert isinstance(result, Fault)
    assert result.problem.code == "checksum_reflected"


@pytest.mark.parametrize("code", sorted(CODES))
async def test_every_code_ends_a_beginning_with_its_row(platform: Any, code: str) -> None:
    """Whatever would mean waiting has no meaning here and is treated as unknown."""
    platform.egress.reply_json(PUSH, {"error_code": f"SP-API-ATH-03-{code}"})
    result = await platform.upstream.begin(platform.asked())
    assert isinstance(result, Fault)
    assert result.spoke
    assert result.problem.upstream_code == code
    row = CODES[code]
    if row.helps == "poll":
        assert result.problem.code == "upstream_unknown_code"
    else:
        assert (result.problem.code, result.problem.what_helps) == (row.ours, row.helps)


async def test_a_code_with_a_wrong_checksum_is_not_believed_at_a_beginning(platform: Any) -> None:
    """Present and wrong is a verification failure, whatever the code."""
    platform.egress.reply_json(
        PUSH, {"error_code": "IDNUM_USERPROF_NF", "result": {"idp_checksum": "ab" * 92}}
    )
    result = await platform.upstream.begin(platform.asked())
    assert isinstance(result, Fault)
    assert result.problem.code == "checksum_invalid"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"channel": Channel.REDIRECT}, "channel_unsupported"),
        ({"messages": ()}, "request_invalid"),
        ({"messages": (Tbs(b"a"),) * 21}, "request_invalid"),
        ({"presence": True}, "request_invalid"),
        ({"messages": (Tbs(b"x" * 769),)}, "document_too_large"),
        ({"hint": "\ud800"}, "request_invalid"),
        ({"device_name": "\udfff"}, "request_invalid"),
        (
            {"service_provider": ServiceProvider(sp_service_id="1", keys=())},
            "configuration_invalid",
        ),
        (
            {
                "service_provider": ServiceProvider(
                    sp_service_id="1", keys=(SpKey(id="k", key=Secret(b"short"), current=True),)
                )
            },
            "configuration_invalid",
        ),
    ],
)
async def test_what_cannot_be_asked_is_a_fault_and_nothing_leaves(
    platform: Any, changes: Any, code: str
) -> None:
    """Also our own mistakes come out as an answer, never as an exception."""
    asked = evolve(platform.asked(), **changes)
    result = await platform.upstream.begin(asked)
    assert isinstance(result, Fault)
    assert result.problem.code == code
    assert platform.egress.requests == []


async def test_a_poll_without_a_usable_key_is_a_fault(platform: Any) -> None:
    """The operator removed every key."""
    answer = await platform.upstream.poll(
        platform.handle(), ServiceProvider(sp_service_id=platform.SERVICE, keys=())
    )
    assert isinstance(answer, Fault)
    assert answer.problem.code == "configuration_invalid"


async def test_cancelling_goes_through(platform: Any) -> None:
    """CancelledError is the one exception that leaves."""

    def cancelled(request: Any) -> EgressReply:
        raise asyncio.CancelledError

    platform.egress.script(PUSH, cancelled)
    platform.egress.script(RESULT, cancelled)
    with pytest.raises(asyncio.CancelledError):
        await platform.upstream.begin(platform.asked())
    with pytest.raises(asyncio.CancelledError):
        await platform.upstream.poll(platform.handle(), platform.provider)


# -- sizes, callbacks, presentation --------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 767, 768])
def test_one_message_of_at_most_768_bytes_is_accepted(platform: Any, size: int) -> None:
    """768 bytes are 1024 characters of base64."""
    platform.upstream.accepts([Tbs(b"x" * size)])


@pytest.mark.parametrize(
    ("sizes", "code"),
    [
        ([769], "document_too_large"),
        ([100_000], "document_too_large"),
        ([0], "request_invalid"),
        ([], "request_invalid"),
        ([1] * 21, "request_invalid"),
        ([1, 0], "request_invalid"),
        ([1, 769], "document_too_large"),
    ],
)
def test_other_messages_are_refused_before_anything_is_written(
    platform: Any, sizes: list[int], code: str
) -> None:
    """The words say what was expected and what came."""
    with pytest.raises(RequestError) as caught:
        platform.upstream.accepts([Tbs(b"x" * size) for size in sizes])
    assert caught.value.code == code
    assert "expected" in caught.value.problem.detail
    assert "came" in caught.value.problem.detail


def test_a_ticket_s_answer_is_not_received(platform: Any) -> None:
    """A callback to what is polled is answered by a fault, and is not read."""
    answer = platform.wide.receive(platform.handle(), platform.provider, platform.form())
    assert isinstance(answer, Fault)
    assert answer.problem.code == "channel_unsupported"
    assert not answer.spoke


def test_a_code_shows_the_whole_ticket_and_push_shows_nothing(platform: Any) -> None:
    """The I-SCAN code holds the whole string."""
    handle = platform.handle()
    show = platform.upstream.presentation
    assert show(handle, Channel.QR, None) == Presentation(qr_payload=handle.ticket)
    assert show(handle, Channel.PUSH, None) == Presentation()
    assert show(handle, Channel.REDIRECT, None) == Presentation()


def decoded(value: str) -> str:
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode()


def test_an_app_link_carries_ticket_return_and_wake_up(platform: Any) -> None:
    """Query as in APP-API-01, percent-encoded, the last two base64url of UTF-8."""
    handle = platform.handle()
    back = "https://oa.example.tw/簽章?a=1&b=2#c"
    shown = platform.upstream.presentation(handle, Channel.APP_LINK, back)
    assert shown.qr_payload is None
    url = urlsplit(shown.url)
    assert (url.scheme, url.netloc, url.path) == (
        "mobilemoica",
        "moica.moi.gov.tw",
        "/w2a/verifySign",
    )
    query = parse_qs(url.query, strict_parsing=True)
    assert list(query) == ["sp_ticket", "rtn_url", "rtn_val"]
    assert query["sp_ticket"] == [handle.ticket]
    assert decoded(query["rtn_url"][0]) == back
    assert decoded(query["rtn_val"][0]) == "wake-1"
    assert shown.url.isascii()


def test_an_app_link_without_return_says_so_with_empty_values(platform: Any) -> None:
    """All three parameters are there."""
    shown = platform.upstream.presentation(platform.handle(), Channel.APP_LINK, None)
    query = parse_qs(urlsplit(shown.url).query, keep_blank_values=True)
    assert (query["rtn_url"], query["rtn_val"]) == ([""], [""])


async def test_the_wake_up_is_stable_opaque_and_new_for_each_ticket(platform: Any) -> None:
    """It is the handle's, and says nothing about ticket or person."""
    one = (await platform.begun(Channel.APP_LINK)).handle
    two = (await platform.begun(Channel.APP_LINK)).handle
    links = [
        platform.upstream.presentation(handle, Channel.APP_LINK, "https://a.tw").url
        for handle in (one, one, two)
    ]
    assert links[0] == links[1]
    assert links[0] != links[2]


# -- logs ------------------------------------------------------------------------------------------


async def test_logs_have_interface_code_status_and_duration_and_nothing_else(
    platform: Any,
) -> None:
    """No ID number, ticket, hint, checksum, certificate or unknown code in a line."""
    platform.egress.reply_json(RESULT, platform.result_answer())
    platform.egress.reply_json(RESULT, {"error_code": "A123456789"})
    platform.egress.reply_json(RESULT, {"error_code": "0"})
    with capture_logs() as lines:
        begun = await platform.begun()
        for _ in range(3):
            await platform.upstream.poll(begun.handle, platform.provider)
    assert {frozenset(line) for line in lines} == {
        frozenset({"event", "log_level", "interface", "code", "status", "duration"})
    }
    assert [line["code"] for line in lines] == ["0", "0", "unknown", "0"]
    text = repr(lines)
    for secret in ("A123456789", platform.HASHED, platform.TICKET_ID, platform.CERT, platform.HINT):
        assert secret not in text


async def test_a_logger_that_is_handed_in_is_used(platform: Any) -> None:
    """The module's own is not."""
    lines: list[str] = []

    class Recorder:
        def debug(self, event: str, **fields: Any) -> None:
            lines.append(f"{event} {fields['code']}")

    upstream = TwFidoUpstream(
        "https://platform.test/",
        platform.egress,
        platform.clock,
        platform.random,
        4.0,
        lambda *_: None,
        logger=Recorder(),
    )
    platform.egress.script(RESULT, EgressError("timeout", "d", maybe_sent=True))
    assert structlog.is_configured() in (True, False)
    await upstream.poll(platform.handle(), platform.provider)
    assert lines == ["upstream.exchange timeout"]
