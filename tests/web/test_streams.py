"""Streams, long polls and what is asked twice: ends, stops, repeats."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from moica_gateway.domain.values import TransactionId
from moica_gateway.errors import error

REGISTRATION = {"user_id": "u1", "id_number": "A123456789"}
QR = {"channel": "qr"}


async def pending(api: Any) -> tuple[str, dict[str, Any]]:
    """Path and body of a fresh transaction."""
    _, made, _ = await api.call("POST", "/v1/registrations", REGISTRATION)
    return f"/v1/transactions/{made['id']}", made


def authorization(api: Any) -> dict[str, str]:
    """Of a key that may do everything."""
    return {"Authorization": f"Bearer {api.key}"}


async def test_a_version_that_is_not_there_yet_hides_no_ending(api: Any) -> None:
    """Last-Event-ID above the present version is taken as the present one."""
    path, _ = await pending(api)
    headers = {**authorization(api), "Last-Event-ID": "999"}
    async with api.client.get(f"{path}/events", headers=headers) as stream:
        await api.call("POST", f"{path}/cancel")
        assert b'"cancelled"' in await stream.content.readuntil(b"\n\n")


async def test_head_opens_no_stream(api: Any) -> None:
    """405: nobody would read it."""
    path, _ = await pending(api)
    async with api.client.head(f"{path}/events", headers=authorization(api)) as reply:
        assert reply.status == 405


async def test_a_stream_that_fails_ends_without_a_second_head(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads it comes back, and is told then."""
    path, _ = await pending(api)

    async def broken(*_args: Any, **_options: Any) -> Any:
        raise error("storage_unavailable", "x")
        yield None

    monkeypatch.setattr(type(api.services.transactions), "watch", broken)
    async with api.client.get(f"{path}/events", headers=authorization(api)) as stream:
        assert stream.status == 200
        assert await stream.content.read() == b""


async def test_a_stop_ends_streams_and_answers_long_polls_at_once(api: Any) -> None:
    """In simulated time nothing passes: neither waits for its time limit."""
    path, _ = await pending(api)
    polling = asyncio.ensure_future(api.call("GET", f"{path}?wait=55"))
    async with api.client.get(f"{path}/events", headers=authorization(api)) as stream:
        await stream.content.readuntil(b"\n\n")
        await api.client.server.app.shutdown()
        assert await stream.content.read() == b""
    status, seen, _ = await polling
    assert (status, seen["status"]) == (200, "pending")


async def test_the_same_key_adds_one_challenge(api: Any) -> None:
    """A double click on 「QR Code 模式登入」 shows one code; another body is refused."""
    path, _ = await pending(api)
    key = {"Idempotency-Key": "k"}
    for _ in range(2):
        status, seen, _ = await api.call("POST", f"{path}/challenges", QR, headers=key)
        assert status == 201
        assert [c["channel"] for c in seen["challenges"]] == ["push", "qr"]
    assert len(api.upstream.begun) == 2
    status, problem, _ = await api.call(
        "POST", f"{path}/challenges", {"channel": "push"}, headers=key
    )
    assert (status, problem["code"]) == (422, "idempotency_mismatch")


async def test_two_pushes_of_a_browser_at_once_ring_once(api: Any) -> None:
    """The 20 s are looked at inside the commit."""
    path, made = await pending(api)
    await api.clock.advance(21)
    token = made["browser_token"]
    push = {"channel": "push"}
    answers = await asyncio.gather(
        *(api.call("POST", f"{path}/challenges", push, token=token) for _ in range(2))
    )
    assert sorted(status for status, _, _ in answers) == [201, 429]
    assert len(api.upstream.begun) == 2


async def test_a_user_id_may_hold_braces(api: Any) -> None:
    """It answers as an unknown user, not as an unknown path."""
    _, plain, _ = await api.call("DELETE", "/v1/users/nobody")
    _, braces, _ = await api.call("DELETE", "/v1/users/%7Bnobody%7D")
    assert braces == plain


async def test_a_body_in_a_broken_encoding_is_400(api: Any) -> None:
    """Never a 500."""
    headers = {
        **authorization(api),
        "Content-Type": "application/json",
        "Content-Encoding": "gzip",
    }
    async with api.client.post("/v1/registrations", data=b"no gzip", headers=headers) as reply:
        assert reply.status == 400
        assert json.loads(await reply.read())["code"] == "request_malformed"


async def test_nothing_is_left_behind_by_a_reader_that_leaves(api: Any) -> None:
    """Its subscription goes with it."""
    path, made = await pending(api)
    async with api.client.get(f"{path}/events", headers=authorization(api)) as stream:
        await stream.content.readuntil(b"\n\n")
        await api.call("POST", f"{path}/cancel")
        await stream.content.read()
    bus = api.services.transactions._context.bus
    assert not [key for key in bus._subscriptions if key[1] == TransactionId(made["id"])]
