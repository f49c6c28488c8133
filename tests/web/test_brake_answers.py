"""429 as callers and browsers get it: headers, body, the words for the user."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from moica_gateway.domain.brakes import BrakeLimits

REGISTRATION = {"user_id": "u1", "id_number": "A123456789"}
MEMBERS = {"type", "title", "status", "detail", "code", "who_can_act", "what_helps", "user_message"}


def limit(api: Any, **limits: int) -> None:
    """Other limits than the fixture's."""
    for service in (api.services.registration._creation, api.services.settlement):
        service._context = evolve(service._context, brake_limits=BrakeLimits(**limits))


async def missed(api: Any, count: int = 2) -> None:
    """Nobody answers so many pushes."""
    for _ in range(count):
        status, _, _ = await api.call("POST", "/v1/registrations", REGISTRATION)
        assert status == 201
        await api.clock.advance(60)
        await api.clock.settle()


async def test_a_paused_push_is_429_with_retry_after_and_a_kind_word(api: Any) -> None:
    """A problem document: the way out is QR, in both languages; no ID number, no user."""
    await missed(api)
    status, problem, headers = await api.call("POST", "/v1/registrations", REGISTRATION)
    assert status == 429
    assert headers["Content-Type"].startswith("application/problem+json")
    assert headers["Retry-After"] == "600"
    assert headers["Cache-Control"] == "no-store"
    assert problem.keys() >= MEMBERS
    assert (problem["code"], problem["status"]) == ("push_paused", 429)
    assert (problem["what_helps"], problem["retry_after"]) == ("qr", 600)
    assert "「QR Code 模式登入」" in problem["user_message"]["zh-TW"]
    assert "QR code" in problem["user_message"]["en"]
    assert "A123456789" not in str(problem)
    assert "u1" not in str(problem)
    await api.clock.advance(1)
    _, _, headers = await api.call("POST", "/v1/registrations", REGISTRATION)
    assert headers["Retry-After"] == "599"


@pytest.mark.parametrize("channel", ["qr", "app_link"])
async def test_during_the_pause_a_code_or_link_is_201_and_a_further_push_429(
    api: Any, channel: str
) -> None:
    """By the API key and by the browser's token alike."""
    await missed(api)
    asked = {**REGISTRATION, "channel": channel}
    status, made, _ = await api.call("POST", "/v1/registrations", asked)
    assert status == 201
    path = f"/v1/transactions/{made['id']}/challenges"
    for token in (None, made["browser_token"]):
        status, problem, headers = await api.call("POST", path, {"channel": "push"}, token=token)
        assert (status, problem["code"]) == (429, "push_paused")
        assert headers["Retry-After"] == "600"
        status, seen, _ = await api.call("POST", path, {"channel": "qr"}, token=token)
        assert status == 201
    assert [c["channel"] for c in seen["challenges"]] == [channel, "qr", "qr"]


@pytest.mark.parametrize(
    ("limits", "brake"),
    [
        ({"person_requests": 1}, "person"),
        ({"tenant_requests": 1}, "tenant"),
        ({"gateway_requests": 1}, "gateway"),
    ],
)
async def test_a_full_count_is_429_rate_limited_with_retry_after(
    api: Any, limits: dict[str, int], brake: str
) -> None:
    """It says whose count it is, and nothing exists of it."""
    limit(api, **limits)
    _, made, _ = await api.call("POST", "/v1/registrations", REGISTRATION)
    asked = {**REGISTRATION, "supersede": True}
    status, problem, headers = await api.call("POST", "/v1/registrations", asked)
    assert (status, problem["code"], problem["brake"]) == (429, "rate_limited", brake)
    assert headers["Retry-After"] == ("600" if brake == "person" else "60")
    assert problem["user_message"]["zh-TW"] == "短時間內的要求次數過多，請稍候再試。"
    assert problem["user_message"]["en"].startswith("Too many requests")
    _, page, _ = await api.call("GET", "/v1/transactions")
    assert [(t["id"], t["status"]) for t in page["items"]] == [(made["id"], "pending")]
    status, _, _ = await api.call(
        "POST", f"/v1/transactions/{made['id']}/challenges", {"channel": "qr"}
    )
    assert status == 429


async def test_a_replayed_key_answers_201_while_push_is_paused(api: Any) -> None:
    """With the transaction as it is now; the same key with another body is still a mismatch."""
    key = {"Idempotency-Key": "k1"}
    _, first, _ = await api.call("POST", "/v1/registrations", REGISTRATION, headers=key)
    await api.clock.advance(60)
    await api.clock.settle()
    await missed(api, 1)
    assert (await api.call("POST", "/v1/registrations", REGISTRATION))[0] == 429
    for _ in range(2):
        status, again, headers = await api.call(
            "POST", "/v1/registrations", REGISTRATION, headers=key
        )
        assert (status, again["id"], again["status"]) == (201, first["id"], "expired")
        assert headers["Idempotency-Replayed"] == "true"
    other = {**REGISTRATION, "channel": "qr"}
    status, problem, _ = await api.call("POST", "/v1/registrations", other, headers=key)
    assert (status, problem["code"]) == (422, "idempotency_mismatch")


async def test_a_key_whose_first_use_was_refused_works_once_there_is_room(api: Any) -> None:
    """A refusal is not remembered: the same key and body make the transaction later."""
    await missed(api)
    key = {"Idempotency-Key": "k2"}
    status, _, _ = await api.call("POST", "/v1/registrations", REGISTRATION, headers=key)
    assert status == 429
    await api.clock.advance(600)
    status, made, headers = await api.call("POST", "/v1/registrations", REGISTRATION, headers=key)
    assert (status, made["status"]) == (201, "pending")
    assert "Idempotency-Replayed" not in headers
