"""The webhook outlet against the SDK's receiver and the port's promises."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from standardwebhooks import Webhook

from moica_gateway.adapters.outlets.webhook import WebhookOutlet
from moica_gateway.domain.models import OutboxMessage, WebhookEndpoint
from moica_gateway.domain.values import Secret, TenantId
from moica_gateway.ports import Delivered, DeliveryFailed, EgressError
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.egress import RecordingEgress

URL = "https://document-system.test/hook"
NEW = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OLD = "whsec_" + base64.b64encode(bytes(range(1, 33))).decode()
BODY = '{"type": "signature.completed",  "data": {"user_id": "王"}}'.encode()
NOW = datetime(2026, 4, 24, 6, 0, tzinfo=UTC)


@pytest.fixture
def egress() -> RecordingEgress:
    return RecordingEgress()


@pytest.fixture
def outlet(egress: RecordingEgress) -> WebhookOutlet:
    return WebhookOutlet(egress, FrozenClock(NOW + timedelta(microseconds=700_000)))


def endpoint(*secrets: str, ca_file: str | None = None) -> WebhookEndpoint:
    return WebhookEndpoint(
        id="whk_1",
        tenant=TenantId("t"),
        url=URL,
        secrets=tuple(Secret(s.encode()) for s in secrets),
        created_at=NOW,
        ca_file=ca_file,
    )


MESSAGE = OutboxMessage(
    id="evt_1",
    tenant=TenantId("t"),
    type="signature.completed",
    transaction_id=None,
    body=BODY,
    created_at=NOW,
)


async def test_the_body_goes_byte_for_byte_under_a_signature_of_each_secret(
    egress: RecordingEgress, outlet: WebhookOutlet
) -> None:
    """So that a receiver takes it under the new and, during a rotation, the old secret."""
    egress.reply(URL, b"", status=204)
    taken = await outlet.deliver(MESSAGE, endpoint(NEW, OLD, ca_file="/ca.pem"))
    assert taken == Delivered()
    (request,) = egress.requests
    assert (request.method, request.url, request.body) == ("POST", URL, BODY)
    assert request.ca_file == "/ca.pem"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == "evt_1"
    assert request.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    signatures = request.headers["webhook-signature"].split(" ")
    assert signatures == [Webhook(s).sign("evt_1", NOW, BODY.decode()) for s in (NEW, OLD)]


async def test_a_repeat_bears_the_same_id_and_the_time_of_its_attempt(
    egress: RecordingEgress,
) -> None:
    """Else a receiver's tolerance would refuse it hours later."""
    clock = FrozenClock(NOW)
    outlet = WebhookOutlet(egress, clock)
    egress.reply(URL, b"", status=200)
    await outlet.deliver(MESSAGE, endpoint(NEW))
    clock.advance_now(7200)
    await outlet.deliver(MESSAGE, endpoint(NEW))
    first, second = (r.headers for r in egress.requests)
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 7200
    assert first["webhook-signature"] != second["webhook-signature"]


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_is_taken(
    egress: RecordingEgress, outlet: WebhookOutlet, status: int
) -> None:
    """Whatever the body is."""
    egress.reply(URL, b"<html>", status=status)
    assert await outlet.deliver(MESSAGE, endpoint(NEW)) == Delivered()


@pytest.mark.parametrize("status", [199, 301, 302, 400, 401, 404, 409, 429, 500, 503])
async def test_any_other_status_is_a_failure_without_the_receivers_words(
    egress: RecordingEgress, outlet: WebhookOutlet, status: int
) -> None:
    """Redirects too: they are not followed."""
    egress.reply(URL, b"A123456789 secret words", status=status)
    result = await outlet.deliver(MESSAGE, endpoint(NEW))
    assert result == DeliveryFailed(reason=f"HTTP status {status}")


async def test_410_asks_for_the_endpoint_to_be_switched_off(
    egress: RecordingEgress, outlet: WebhookOutlet
) -> None:
    """And nothing else does."""
    egress.reply(URL, b"", status=410)
    result = await outlet.deliver(MESSAGE, endpoint(NEW))
    assert isinstance(result, DeliveryFailed)
    assert result.disable


RETRY_AFTER: list[tuple[str, float | None]] = [
    ("120", 120.0),
    (" 120 ", 120.0),
    ("0", 0.0),
    ("9" * 400, 21600.0),
    ("999999999", 21600.0),
    ("Fri, 24 Apr 2026 06:10:00 GMT", 599.3),
    ("Fri, 24 Apr 2026 05:00:00 GMT", 0.0),
    ("Fri, 24 Apr 9999 05:00:00 GMT", 21600.0),
    ("Fri, 24 Apr 2026 06:10:00", 599.3),
    ("-1", None),
    ("1.5", None),
    ("٣", None),
    ("soon", None),
    ("", None),
    ("Fri, 99 Apr 2026 99:99:99 GMT", None),
]


@pytest.mark.parametrize(("text", "seconds"), RETRY_AFTER)
async def test_retry_after_is_honoured_within_reason(
    egress: RecordingEgress, outlet: WebhookOutlet, text: str, seconds: float | None
) -> None:
    """A number or a date; six hours at most, however many digits came."""
    egress.reply(URL, b"", status=503, headers={"retry-after": text})
    result = await outlet.deliver(MESSAGE, endpoint(NEW))
    assert isinstance(result, DeliveryFailed)
    assert result.retry_after == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    "kind", ["address", "connect", "tls", "timeout", "reset", "too_large", "malformed"]
)
async def test_a_broken_line_is_a_failure_that_names_its_kind(
    egress: RecordingEgress, outlet: WebhookOutlet, kind: str
) -> None:
    """And nothing that the line said."""
    trouble = EgressError(kind, "A123456789", maybe_sent=True)  # type: ignore[arg-type]
    egress.script(URL, trouble)
    assert await outlet.deliver(MESSAGE, endpoint(NEW)) == DeliveryFailed(reason=kind)


@pytest.mark.parametrize(
    "secrets", [(), ("whsec_",), ("whsec_!!!!",), ("whsec_YQ",), (NEW, "whsec_é")]
)
async def test_nothing_leaves_unsigned_or_under_half_a_secret(
    egress: RecordingEgress, outlet: WebhookOutlet, secrets: tuple[str, ...]
) -> None:
    """The reason shows nothing of the secret."""
    result = await outlet.deliver(MESSAGE, endpoint(*secrets))
    assert isinstance(result, DeliveryFailed)
    assert "secret" in result.reason
    assert egress.requests == []


async def test_a_body_that_is_no_text_is_a_failure_and_no_exception(
    egress: RecordingEgress, outlet: WebhookOutlet
) -> None:
    """The port promises to raise nothing."""
    result = await outlet.deliver(evolve(MESSAGE, body=b"\xff"), endpoint(NEW))
    assert isinstance(result, DeliveryFailed)
    assert egress.requests == []
