"""Authentications, device status and callbacks over HTTP: what is taken, refused and shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from moica_gateway.domain.models import (
    Approved,
    CertificateSignature,
    DeviceStatus,
    Fault,
    HolderPresent,
    Scope,
)
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import TenantId
from moica_gateway.errors import problem
from moica_gateway.web.api.asking import CALLBACKS_A_MINUTE

ID_NUMBER = "A123456789"
OTHER_ID = "B223456782"
SIGNED = Approved(
    proof=CertificateSignature(
        unverified_certificate=b"c", unverified_signatures=(b"s",), hashed_id_num="h", raw=b"{}"
    )
)
PRESENT = Approved(proof=HolderPresent(hashed_id_num=None, raw=b"{}"))
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
FORGED = Fault(problem=problem("checksum_mismatch", "x"), spoke=False)


async def send(api: Any, data: bytes, *, tenant: str = "t1", **headers: str) -> tuple[int, bytes]:
    async with api.client.post(
        f"/callbacks/moi/{tenant}", data=data, headers={**FORM, **headers}
    ) as reply:
        return reply.status, await reply.read()


async def redirected(api: Any, **more: str) -> dict[str, Any]:
    asked = {"id_number": ID_NUMBER, "channel": "redirect", **more}
    status, made, _ = await api.call("POST", "/v1/authentications", asked)
    assert status == 201
    return dict(made)


def named(api: Any) -> bytes:
    return f"transaction_id={api.upstream.begun[-1].upstream_transaction_id}".encode()


async def test_an_authentication_by_user(api: Any) -> None:
    """201 with a browser token; completed it says how sure it is and shows certificate and report;
    the browser sees neither."""
    await api.registered()
    status, made, headers = await api.call(
        "POST", "/v1/authentications", {"user_id": "u1", "metadata": {"a": "b"}}
    )
    assert (status, made["kind"], made["documents"]) == (201, "authentication", [])
    assert headers["Location"] == f"/v1/transactions/{made['id']}"
    assert "assurance" not in made
    api.upstream.answer(f"ticket-{len(api.upstream.begun)}", SIGNED)
    await api.clock.advance(4)
    await api.clock.settle()
    path = f"/v1/transactions/{made['id']}"
    _, done, _ = await api.call("GET", path)
    assert (done["status"], done["assurance"]) == ("completed", "certificate")
    assert done["signature"]["certificate"]
    assert (await api.call("GET", f"{path}/artifact"))[0] == 200
    _, seen, _ = await api.call("GET", path, token=made["browser_token"])
    assert seen["assurance"] == "certificate"
    assert not {"signature", "user_id", "metadata"} & set(seen)


async def test_an_authentication_by_id_number(api: Any) -> None:
    """No user, no signature, no artifact, and the ID number nowhere in what is answered."""
    status, made, _ = await api.call("POST", "/v1/authentications", {"id_number": ID_NUMBER})
    api.upstream.answer("ticket-1", PRESENT)
    await api.clock.advance(4)
    await api.clock.settle()
    path = f"/v1/transactions/{made['id']}"
    _, done, _ = await api.call("GET", path)
    assert (status, done["status"], done["assurance"]) == (201, "completed", "platform")
    assert not {"user_id", "signature", "credential"} & set(done)
    status, refused, _ = await api.call("GET", f"{path}/artifact")
    assert (status, refused["code"]) == (404, "artifact_none")
    _, feed, _ = await api.call("GET", "/v1/events")
    assert feed["items"][-1]["type"] == "authentication.completed"
    _, listed, _ = await api.call("GET", "/v1/transactions?kind=authentication")
    assert len(listed["items"]) == 1
    assert ID_NUMBER not in json.dumps([made, done, feed, listed, refused])


@pytest.mark.parametrize("path", ["/v1/authentications", "/v1/device-status"])
@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({}, 422, "request_invalid"),
        ({"user_id": "u1", "id_number": ID_NUMBER}, 422, "request_invalid"),
        ({"user_id": "u1", "more": 1}, 422, "request_invalid"),
        ({"id_number": "A123456788"}, 422, "id_number_invalid"),
        ({"id_number": 123456789}, 422, "request_invalid"),
        ({"user_id": "nobody"}, 409, "credential_missing"),
        ([], 422, "request_invalid"),
    ],
)
async def test_what_is_refused(api: Any, path: str, asked: Any, status: int, code: str) -> None:
    """Before anybody is asked, and without the number in the answer."""
    came, refused, _ = await api.call("POST", path, asked)
    assert (came, refused["code"]) == (status, code)
    assert "A12345678" not in json.dumps(refused)
    assert (api.upstream.begun, api.upstream.looked_up) == ([], [])


@pytest.mark.parametrize("path", ["/v1/authentications", "/v1/device-status"])
async def test_scopes_and_bearers(api: Any, path: str) -> None:
    """An ID number needs its own scope; no key is 401, a browser token 403."""
    narrow = await api.services.tenants.create_key(
        TenantId("t1"), "n", frozenset(Scope) - {Scope.IDENTITY_QUERY}, test=False
    )
    made = await redirected(api)
    asked = {"id_number": OTHER_ID}
    for token, status in ((narrow, 403), (made["browser_token"], 403), ("mgk_live_x", 401)):
        assert (await api.call("POST", path, asked, token=token))[0] == status


async def test_the_quota_is_429_for_both_routes_together(api: Any) -> None:
    """With Retry-After, and in the words of the holder's language."""
    policy = TenantPolicy(identity_queries_per_day=1)
    await api.services.tenants.create_tenant(TenantId("t1"), "t1", policy)
    assert (await api.call("POST", "/v1/device-status", {"id_number": ID_NUMBER}))[0] == 200
    for path in ("/v1/authentications", "/v1/device-status"):
        status, refused, headers = await api.call("POST", path, {"id_number": OTHER_ID})
        assert (status, refused["code"]) == (429, "identity_quota")
        assert int(headers["Retry-After"]) > 0
        assert "上限" in refused["user_message"]["zh-TW"]


async def test_a_device_status(api: Any) -> None:
    """Both members, and 503 with the platform's trouble."""
    api.upstream.status_with(
        DeviceStatus(bound=True, certificate_usable=False),
        Fault(problem=problem("upstream_unreachable", "x"), spoke=False),
    )
    asked = {"id_number": ID_NUMBER}
    status, found, _ = await api.call("POST", "/v1/device-status", asked)
    assert (status, found) == (200, {"bound": True, "certificate_usable": False})
    status, refused, _ = await api.call("POST", "/v1/device-status", asked)
    assert (status, refused["code"], refused["status"]) == (503, "upstream_unreachable", 503)


async def test_an_authentication_rings_once_for_an_idempotency_key(api: Any) -> None:
    """A replay gives the transaction, and the quota counts nothing again."""
    key = {"Idempotency-Key": "k"}
    asked = {"id_number": ID_NUMBER}
    _, first, _ = await api.call("POST", "/v1/authentications", asked, headers=key)
    status, again, headers = await api.call("POST", "/v1/authentications", asked, headers=key)
    assert (status, again["id"]) == (201, first["id"])
    assert headers["Idempotency-Replayed"] == "true"
    assert len(api.upstream.begun) == 1


async def test_the_form_is_shown_to_key_and_browser_and_a_stranger_sees_nothing(api: Any) -> None:
    """While it is open; another tenant's key finds no transaction."""
    made = await redirected(api)
    path = f"/v1/transactions/{made['id']}"
    for token in (api.key, made["browser_token"]):
        _, seen, _ = await api.call("GET", path, token=token)
        assert seen["challenges"][0]["form"]["fields"]
        assert ID_NUMBER not in json.dumps(seen)
    assert (await api.call("GET", path, token=api.foreign))[0] == 404
    await api.clock.advance(61)
    _, seen, _ = await api.call("GET", path)
    assert "form" not in seen["challenges"][0]


async def test_every_form_is_answered_with_the_same_page(api: Any) -> None:
    """Unknown, forged, taken, repeated, foreign: the same status, headers and bytes, which hold
    nothing; only the transaction tells its owner."""
    made = await redirected(api)
    api.upstream.answer("ticket-1", FORGED, PRESENT)
    answers = [
        await send(api, b"transaction_id=unknown"),
        await send(api, named(api), tenant="t2"),
        await send(api, named(api), tenant="nobody"),
        await send(api, named(api)),
        await send(api, named(api)),
        await send(api, named(api)),
    ]
    assert {status for status, _ in answers} == {200}
    assert len({page for _, page in answers}) == 1
    page = answers[0][1].decode()
    assert "原來的視窗" in page
    assert "script" not in page
    _, done, _ = await api.call("GET", f"/v1/transactions/{made['id']}")
    assert done["status"] == "completed"


@pytest.mark.parametrize(
    ("data", "headers", "status"),
    [
        (b"transaction_id=x", {"Content-Type": "application/json"}, 415),
        (b"transaction_id=x", {"Content-Type": "multipart/form-data"}, 415),
        (b"nothing", {}, 400),
        (b"transaction_id=" + b"x" * 70_000, {}, 413),
        (b"transaction_id=x", {"Content-Encoding": "gzip"}, 400),
    ],
)
async def test_what_is_no_form_is_refused_unread(
    api: Any, data: bytes, headers: dict[str, str], status: int
) -> None:
    """By its outside alone, so that nothing is told of any transaction."""
    assert (await send(api, data, **headers))[0] == status


async def test_no_key_is_needed_and_a_query_is_refused(api: Any) -> None:
    """A key or cookie that comes along changes nothing."""
    assert (await send(api, b"transaction_id=x", Authorization="Bearer nonsense"))[0] == 200
    async with api.client.post(
        "/callbacks/moi/t1?a=b", data=b"transaction_id=x", headers=FORM
    ) as r:
        assert r.status == 422


async def test_forms_are_counted_a_tenant_and_minute(api: Any) -> None:
    """One too many is 429, another tenant's still pass, and a minute later it goes on."""
    for _ in range(CALLBACKS_A_MINUTE):
        assert (await send(api, b"transaction_id=x"))[0] == 200
    async with api.client.post("/callbacks/moi/t1", data=b"transaction_id=x", headers=FORM) as r:
        assert (r.status, (await r.json())["code"]) == (429, "rate_limited")
        assert 0 < int(r.headers["Retry-After"]) <= 61
    assert (await send(api, b"transaction_id=x", tenant="t2"))[0] == 200
    await api.clock.advance(60)
    assert (await send(api, b"transaction_id=x"))[0] == 200
