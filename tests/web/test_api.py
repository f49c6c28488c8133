"""The HTTP API over the real services, with doubles behind them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from moica_gateway.domain.models import Approved, CertificateSignature
from moica_gateway.web.api.openapi import openapi_document

REGISTRATION = {"user_id": "u1", "id_number": "A123456789", "metadata": {"a": "b"}}
APPROVED = Approved(
    proof=CertificateSignature(
        unverified_certificate=b"c", unverified_signatures=(b"s",), hashed_id_num="h", raw=b"{}"
    )
)
PERSONAL = {"user_id", "metadata", "signature", "credential", "browser_token"}
SIGNATURE = {"user_id": "u1", "document": {"number": "1153000165", "sha256": "0" * 64}}


async def test_creation_is_201_with_location_and_a_browser_token(api: Any) -> None:
    """Once a row exists."""
    status, made, headers = await api.call("POST", "/v1/registrations", REGISTRATION)
    assert status == 201
    assert headers["Location"] == f"/v1/transactions/{made['id']}"
    assert made["browser_token"].startswith("btk_")
    assert made["documents"] == []
    assert headers["Cache-Control"] == "no-store"
    _, seen, _ = await api.call("GET", f"/v1/transactions/{made['id']}")
    assert "browser_token" not in seen


async def test_a_repeat_with_the_same_key_rings_once(api: Any) -> None:
    """The same status, the transaction as it is now, and it says so."""
    key = {"Idempotency-Key": "k1"}
    _, first, _ = await api.call("POST", "/v1/registrations", REGISTRATION, headers=key)
    status, again, headers = await api.call("POST", "/v1/registrations", REGISTRATION, headers=key)
    assert (status, again["id"]) == (201, first["id"])
    assert again["browser_token"] == first["browser_token"]
    assert headers["Idempotency-Replayed"] == "true"
    assert len(api.upstream.begun) == 1
    other = {**REGISTRATION, "user_id": "u2"}
    status, problem, _ = await api.call("POST", "/v1/registrations", other, headers=key)
    assert (status, problem["code"]) == (422, "idempotency_mismatch")


BAD: list[tuple[str, str, Any, int, str]] = [
    ("POST", "/v1/registrations", {**REGISTRATION, "x": 1}, 422, "request_invalid"),
    ("POST", "/v1/registrations", {"user_id": "u1"}, 422, "request_invalid"),
    ("POST", "/v1/registrations", {**REGISTRATION, "time_limit": 29}, 422, "request_invalid"),
    ("POST", "/v1/registrations", {**REGISTRATION, "time_limit": True}, 422, "request_invalid"),
    ("POST", "/v1/registrations", {**REGISTRATION, "time_limit": 601}, 422, "request_invalid"),
    (
        "POST",
        "/v1/registrations",
        {**REGISTRATION, "id_number": "A123456780"},
        422,
        "id_number_invalid",
    ),
    ("POST", "/v1/registrations", {"pad": "x" * 3000}, 413, "request_too_large"),
    ("POST", "/v1/signatures", SIGNATURE, 409, "credential_missing"),
    ("POST", "/v1/signatures", {**SIGNATURE, "format": "word"}, 422, "format_unsupported"),
    ("POST", "/v1/signatures", {**SIGNATURE, "level": "B-LTA"}, 422, "level_unsupported"),
    ("GET", "/v1/transactions/txn_unknown", None, 404, "not_found"),
    ("GET", "/v1/transactions?limit=0", None, 422, "request_invalid"),
    ("GET", "/v1/transactions?what=1", None, 422, "request_invalid"),
    ("GET", "/v1/transactions?status=maybe", None, 422, "request_invalid"),
    ("GET", "/v1/transactions/txn_unknown?wait=56", None, 422, "request_invalid"),
    (
        "GET",
        "/v1/transactions?created_from=0001-01-01T00:00:00%2B14:00",
        None,
        422,
        "request_invalid",
    ),
    ("GET", "/v1/nothing", None, 404, "not_found"),
    ("DELETE", "/v1/signatures", None, 405, "method_not_allowed"),
    ("POST", "/v1/transactions/cancel", {}, 422, "request_invalid"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "code"), BAD)
async def test_bad_input_is_a_problem_document(
    api: Any, method: str, path: str, body: Any, status: int, code: str
) -> None:
    """With status, code and a word for the user; the ID number is not repeated."""
    came, problem, headers = await api.call(method, path, body)
    assert (came, problem["code"]) == (status, code)
    assert headers["Content-Type"].startswith("application/problem+json")
    assert set(problem["user_message"]) == {"zh-TW", "en"}
    assert "A12345678" not in json.dumps(problem)


@pytest.mark.parametrize(
    ("raw", "content_type", "status"),
    [
        (b'{"user_id": "a", "user_id": "b"}', "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 500, "application/json", 400),
        (b'{"a": NaN}', "application/json", 400),
        (b'{"user_id": "\\ud800"}', "application/json", 400),
        (b'{"\\ud800": 1}', "application/json", 400),
        (b"{}", "text/plain", 415),
    ],
)
async def test_an_unreadable_body_is_refused(
    api: Any, raw: bytes, content_type: str, status: int
) -> None:
    """Doubled names, not UTF-8, deep, NaN, another type."""
    headers = {"Authorization": f"Bearer {api.key}", "Content-Type": content_type}
    async with api.client.post("/v1/registrations", data=raw, headers=headers) as reply:
        assert reply.status == status


@pytest.mark.parametrize("token", ["mgk_live_wrong", "mgk_live_é", "btk_wrong", "btk_é.é", "x"])
async def test_without_a_valid_key_it_is_401(api: Any, token: str) -> None:
    """The same for every reason."""
    status, problem, headers = await api.call("GET", "/v1/transactions", token=token)
    assert (status, problem["code"]) == (401, "unauthenticated")
    assert headers["WWW-Authenticate"].startswith("Bearer")


async def test_null_in_a_request_is_as_good_as_left_out(api: Any) -> None:
    """For every member that may be left out: many languages write it for what is not set."""
    schemas = openapi_document("1")["components"]["schemas"]

    def nulls(name: str) -> dict[str, None]:
        return dict.fromkeys(schemas[name]["properties"].keys() - schemas[name]["required"])

    await api.registered()
    document = nulls("DocumentRequest") | {"number": "1153000165", "sha256": "0" * 64}
    asked = nulls("SignatureRequest") | {"user_id": "u1", "document": document}
    status, made, _ = await api.call("POST", "/v1/signatures", asked)
    assert (status, made["status"]) == (201, "pending")
    again = nulls("RegistrationRequest") | REGISTRATION | {"supersede": True}
    assert (await api.call("POST", "/v1/registrations", again))[0] == 201


async def test_a_key_without_the_scope_is_403(api: Any) -> None:
    """A reader may not register."""
    status, problem, _ = await api.call("POST", "/v1/registrations", REGISTRATION, token=api.reader)
    assert (status, problem["code"]) == (403, "forbidden")


async def test_reading_alone_gets_no_token_that_can_ring_a_phone(api: Any) -> None:
    """A browser token needs a key that may sign or register."""
    _, made, _ = await api.call("POST", "/v1/registrations", REGISTRATION)
    path = f"/v1/transactions/{made['id']}/browser-tokens"
    status, problem, _ = await api.call("POST", path, token=api.reader)
    assert (status, problem["code"]) == (403, "forbidden")
    assert (await api.call("POST", path))[0] == 201


async def test_a_foreign_transaction_answers_as_an_unknown_one(api: Any) -> None:
    """On every route that names one."""
    made = await api.registered()
    base = f"/v1/transactions/{made['id']}"
    unknown = await api.call("GET", "/v1/transactions/txn_unknown")
    for method, path in (
        ("GET", base),
        ("GET", f"{base}/events"),
        ("GET", f"{base}/qr.svg"),
        ("GET", f"{base}/artifact"),
        ("POST", f"{base}/cancel"),
        ("POST", f"{base}/browser-tokens"),
    ):
        status, problem, _ = await api.call(method, path, token=api.foreign)
        assert (status, problem) == (404, unknown[1] | {"detail": problem["detail"]})
    body = {"channel": "qr"}
    status, _, _ = await api.call("POST", f"{base}/challenges", body, token=api.foreign)
    assert status == 404


async def test_a_browser_sees_its_own_transaction_and_little_of_it(api: Any) -> None:
    """No user, metadata, certificate; no list, no artifact, no cancel."""
    await api.registered()
    _, made, _ = await api.call("POST", "/v1/signatures", SIGNATURE)
    token = made["browser_token"]
    status, seen, _ = await api.call("GET", f"/v1/transactions/{made['id']}", token=token)
    assert status == 200
    assert not PERSONAL & set(seen)
    for method, path in (
        ("GET", "/v1/transactions"),
        ("GET", f"/v1/transactions/{made['id']}/artifact"),
        ("POST", f"/v1/transactions/{made['id']}/cancel"),
    ):
        status, problem, _ = await api.call(method, path, token=token)
        assert (status, problem["code"]) == (403, "forbidden")
    other = await api.call("GET", "/v1/transactions/txn_other", token=token)
    assert other[0] == 404


async def test_a_further_challenge_by_qr_shows_its_code(api: Any) -> None:
    """While the push is open; the image is not kept by anybody."""
    _, made, _ = await api.call("POST", "/v1/registrations", REGISTRATION)
    path, token = f"/v1/transactions/{made['id']}", made["browser_token"]
    status, seen, _ = await api.call("POST", f"{path}/challenges", {"channel": "qr"}, token=token)
    assert status == 201
    assert [c["channel"] for c in seen["challenges"]] == ["push", "qr"]
    assert seen["challenges"][1]["qr_payload"]
    status, image, headers = await api.call("GET", f"{path}/qr.svg", token=token)
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    assert image.startswith(b"<svg")
    status, problem, headers = await api.call(
        "POST", f"{path}/challenges", {"channel": "push"}, token=token
    )
    assert (status, problem["code"]) == (429, "challenge_too_soon")
    assert headers["Retry-After"] == "20"


async def test_events_are_sent_until_the_end_and_then_204(api: Any) -> None:
    """One event a version; Last-Event-ID resumes."""
    _, made, _ = await api.call("POST", "/v1/registrations", REGISTRATION)
    path = f"/v1/transactions/{made['id']}"
    headers = {"Authorization": f"Bearer {api.key}"}
    async with api.client.get(f"{path}/events", headers=headers) as stream:
        first = await stream.content.readuntil(b"\n\n")
        assert b"event: transaction" in first
        await api.call("POST", f"{path}/cancel")
        last = await stream.content.readuntil(b"\n\n")
        assert b'"cancelled"' in last
        assert await stream.content.read() == b""
    version = last.split(b"id: ")[1].split(b"\n")[0].decode()
    status, _, _ = await api.call("GET", f"{path}/events", headers={"Last-Event-ID": version})
    assert status == 204


async def test_the_feed_goes_on_from_its_cursor(api: Any) -> None:
    """An empty `after` is the beginning."""
    await api.registered()
    _, page, _ = await api.call("GET", "/v1/events?after=")
    assert [e["type"] for e in page["items"]] == ["registration.completed"]
    _, after, _ = await api.call("GET", f"/v1/events?after={page['next_cursor']}")
    assert after["items"] == []


async def test_a_request_id_is_taken_or_made(api: Any) -> None:
    """And stands in the answer."""
    _, _, headers = await api.call("GET", "/healthz", headers={"X-Request-ID": "abc-1"})
    assert headers["X-Request-ID"] == "abc-1"
    _, _, headers = await api.call("GET", "/healthz", headers={"X-Request-ID": "bad id"})
    assert headers["X-Request-ID"].startswith("r")


async def test_readiness_is_the_stores(api: Any) -> None:
    """503 while nothing can be written."""
    assert (await api.call("GET", "/readyz"))[0] == 200
    api.store.available = False
    assert (await api.call("GET", "/readyz"))[0] == 503


async def test_the_openapi_document_names_exactly_the_routes(api: Any) -> None:
    """Server and document together."""
    app = api.client.server.app  # type: ignore[attr-defined]
    served = {
        (route.resource.canonical, route.method)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    documented = {
        (path, method.upper())
        for path, item in openapi_document("1")["paths"].items()
        for method in item
    }
    assert documented == served


async def test_the_widget_is_served_with_an_etag(api: Any) -> None:
    """304 the second time."""
    status, body, headers = await api.call("GET", "/widget/v1.js")
    assert status == 200
    assert b"moica-transaction" in body
    status, _, _ = await api.call(
        "GET", "/widget/v1.js", headers={"If-None-Match": headers["ETag"]}
    )
    assert status == 304


async def test_a_wrong_method_is_told_the_right_ones(api: Any) -> None:
    """405 lists in Allow what the path takes (RFC 9110, 15.5.6)."""
    for method, path, allowed in (
        ("DELETE", "/v1/signatures", "POST"),
        ("POST", "/v1/transactions", "GET, HEAD"),
        ("GET", "/v1/credentials/c/enable", "POST"),
    ):
        status, _, headers = await api.call(method, path)
        assert (status, headers["Allow"]) == (405, allowed)


async def test_a_browser_sees_no_certificate_once_there_is_one(api: Any) -> None:
    """A completed signature, read and streamed with the browser token, shows no person."""
    await api.registered()
    asked = {**SIGNATURE, "metadata": {"a": "b"}}
    asked["document"] = {**SIGNATURE["document"], "title": "機密標題"}
    _, made, _ = await api.call("POST", "/v1/signatures", asked)
    api.upstream.answer(f"ticket-{len(api.upstream.begun)}", APPROVED)
    await api.clock.advance(4)
    await api.clock.settle()
    path = f"/v1/transactions/{made['id']}"
    _, full, _ = await api.call("GET", path)
    assert full["status"] == "completed"
    assert full["signature"]["certificate"]
    assert full["documents"][0]["title"] == "機密標題"
    _, seen, _ = await api.call("GET", path, token=made["browser_token"])
    bearer = {"Authorization": f"Bearer {made['browser_token']}"}
    async with api.client.get(f"{path}/events", headers=bearer) as stream:
        streamed = json.loads((await stream.text()).split("data: ")[1].split("\n")[0])
    for shown in (seen, streamed):
        assert shown["status"] == "completed"
        assert not PERSONAL & set(shown)
        assert "機密標題" not in json.dumps(shown, ensure_ascii=False)


async def test_cancelling_what_has_ended_changes_nothing(api: Any) -> None:
    """The second cancel, and one after completion, answer 200 with the transaction as it was."""
    done = await api.registered()
    _, made, _ = await api.call("POST", "/v1/signatures", SIGNATURE)
    _, first, _ = await api.call("POST", f"/v1/transactions/{made['id']}/cancel")
    assert first["status"] == "cancelled"
    for transaction, status in ((made, "cancelled"), (done, "completed")):
        path = f"/v1/transactions/{transaction['id']}"
        _, before, _ = await api.call("GET", path)
        came, after, _ = await api.call("POST", f"{path}/cancel")
        assert (came, after, after["status"]) == (200, before, status)


async def test_a_credential_is_disabled_and_enabled_again(api: Any) -> None:
    """Disabled it signs nothing, enabled it does, and another tenant's key finds none."""
    await api.registered()
    _, page, _ = await api.call("GET", "/v1/credentials?user_id=u1")
    path = f"/v1/credentials/{page['items'][0]['id']}"
    for verb in ("enable", "disable"):
        assert (await api.call("POST", f"{path}/{verb}", token=api.foreign))[0] == 404
        assert (await api.call("POST", f"{path}/{verb}", token=api.reader))[0] == 403
    assert (await api.call("POST", f"{path}/disable"))[1]["status"] == "disabled"
    assert (await api.call("POST", "/v1/signatures", SIGNATURE))[0] == 409
    assert (await api.call("POST", f"{path}/enable"))[1]["status"] == "enabled"
    assert (await api.call("POST", "/v1/signatures", SIGNATURE))[0] == 201
