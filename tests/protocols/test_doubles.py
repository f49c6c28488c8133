"""The public doubles of Upstream and Egress keep their ports."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from moica_gateway.domain.models import (
    Begun,
    Channel,
    DeviceStatus,
    Fault,
    Lapsed,
    Pending,
    StartUnknown,
)
from moica_gateway.domain.values import IdNumber, Tbs
from moica_gateway.errors import RequestError, problem
from moica_gateway.ports import Egress, EgressError, EgressReply, Upstream
from moica_gateway.testing.egress import RecordingEgress
from moica_gateway.testing.upstream import ScriptedUpstream


async def test_a_scripted_upstream_makes_tickets_and_waits(platform: Any) -> None:
    """Without a script: a new ticket each, and pending."""
    upstream = ScriptedUpstream()
    port: Upstream = upstream
    one = await port.begin(platform.asked())
    two = await port.begin(platform.asked(Channel.QR))
    assert isinstance(one, Begun)
    assert isinstance(two, Begun)
    assert (one.handle.ticket_id, two.handle.ticket_id) == ("ticket-1", "ticket-2")
    assert one.handle.transaction_id == platform.TXN
    assert await port.poll(one.handle, platform.provider) == Pending()
    assert [asked.channel for asked in upstream.begun] == [Channel.PUSH, Channel.QR]
    assert upstream.polled == [one.handle]


async def test_scripted_results_come_in_order(platform: Any) -> None:
    """Begin results are used up; of a ticket's answers the last one stays."""
    upstream = ScriptedUpstream()
    upstream.begin_with(StartUnknown(detail="lost"))
    assert isinstance(await upstream.begin(platform.asked()), StartUnknown)
    begun = await upstream.begin(platform.asked())
    assert isinstance(begun, Begun)
    fault = Fault(problem=problem("upstream_unreachable", "d"), spoke=False)
    upstream.answer("ticket-1", fault, Lapsed())
    answers = [await upstream.poll(begun.handle, platform.provider) for _ in range(3)]
    assert answers == [fault, Lapsed(), Lapsed()]


async def test_a_gate_holds_a_beginning(platform: Any) -> None:
    """A challenge that is still starting can be looked at."""
    upstream = ScriptedUpstream()
    upstream.gate = asyncio.Event()
    task = asyncio.ensure_future(upstream.begin(platform.asked()))
    await asyncio.sleep(0)
    assert len(upstream.begun) == 1
    assert not task.done()
    upstream.gate.set()
    assert isinstance(await task, Begun)


def test_a_scripted_upstream_accepts_refuses_receives_and_presents(platform: Any) -> None:
    """The rest of the port."""
    upstream = ScriptedUpstream(max_message=4)
    upstream.accepts([Tbs(b"1234")])
    for messages in ([], [Tbs(b"12345")]):
        with pytest.raises(RequestError):
            upstream.accepts(messages)
    handle = platform.handle(ticket_id="t")
    assert isinstance(upstream.receive(handle, platform.provider, b"a=b"), Fault)
    upstream.answer("t", Lapsed())
    assert upstream.receive(handle, platform.provider, b"") == Lapsed()
    assert upstream.received == [(handle, b"a=b"), (handle, b"")]
    assert upstream.claimed_transaction_id(b"transaction_id=t-1&x=y") == "t-1"
    for body in (b"", b"x=y", b"transaction_id=a&transaction_id=b", b"\xff"):
        with pytest.raises(RequestError):
            upstream.claimed_transaction_id(body)
    assert upstream.presentation(handle, Channel.QR, None).qr_payload == handle.ticket
    assert upstream.presentation(handle, Channel.APP_LINK, None).url
    assert upstream.presentation(handle, Channel.REDIRECT, None).form
    assert upstream.presentation(handle, Channel.PUSH, None).qr_payload is None


async def test_a_scripted_upstream_knows_devices(platform: Any) -> None:
    """As scripted, the last one stays; unscripted everything is fine."""
    upstream = ScriptedUpstream(max_messages=20)
    person = IdNumber.parse("A123456789")
    port: Upstream = upstream
    assert port.max_messages == 20
    usable = DeviceStatus(bound=True, certificate_usable=True)
    assert await port.device_status(platform.provider, person, "t-1") == usable
    fault = Fault(problem=problem("device_not_bound", "d"), spoke=True)
    upstream.status_with(DeviceStatus(bound=True, certificate_usable=False), fault)
    found = [await port.device_status(platform.provider, person, "t-2") for _ in range(3)]
    assert found == [DeviceStatus(bound=True, certificate_usable=False), fault, fault]
    assert upstream.looked_up == [(person, "t-1"), *[(person, "t-2")] * 3]


async def test_recording_egress_replies_raises_and_records() -> None:
    """By address, in order, the last one stays; what nobody scripted cannot be connected."""
    egress = RecordingEgress()
    port: Egress = egress
    egress.reply("https://a.test/", b"one", status=201)
    egress.reply_json("https://a.test/", {"n": 2})
    egress.script("https://b.test/", EgressError("reset", "d", maybe_sent=True))
    replies = [await port.request("POST", "https://a.test/", body=b"{}") for _ in range(3)]
    assert [reply.status for reply in replies] == [201, 200, 200]
    assert replies[2].body == b'{"n": 2}'
    with pytest.raises(EgressError) as reset:
        await port.request("GET", "https://b.test/")
    assert reset.value.kind == "reset"
    with pytest.raises(EgressError) as nobody:
        await port.request("GET", "https://c.test/", ca_file="/ca.pem")
    assert not nobody.value.maybe_sent
    assert [request.url[8] for request in egress.requests] == list("aaabc")
    assert egress.requests[-1].ca_file == "/ca.pem"
    assert egress.requests[0].json() == {}


async def test_recording_egress_keeps_the_limit_and_runs_functions() -> None:
    """A script may look at the request; its reply meets the limit too."""
    egress = RecordingEgress()
    egress.script(
        "https://a.test/",
        lambda request: EgressReply(status=200, headers={}, body=(request.body or b"") * 3),
    )
    assert (await egress.request("POST", "https://a.test/", body=b"x")).body == b"xxx"
    with pytest.raises(EgressError) as large:
        await egress.request("POST", "https://a.test/", body=b"x", max_bytes=2)
    assert large.value.kind == "too_large"
    egress.clear()
    assert egress.requests == []
