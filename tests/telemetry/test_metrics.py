"""Metrics: what is counted, under which labels."""

from __future__ import annotations

import pytest

from moica_gateway.telemetry import Telemetry


def text_of(telemetry: Telemetry) -> str:
    """As it is served."""
    body, content_type = telemetry.render()
    assert content_type.startswith("text/plain")
    return body.decode()


def test_two_gateways_in_one_process_do_not_share_a_registry() -> None:
    """Nor any with the library's own."""
    one, other = Telemetry(), Telemetry()
    one.observe_poll("pending", 0.1)
    assert 'moica_polls_total{result="pending"} 1.0' in text_of(one)
    assert "pending" not in text_of(other)
    assert "python_info" not in text_of(one)


def test_everything_is_counted_under_its_labels() -> None:
    """HTTP, polls with their lag, deliveries, events, what brakes refused, alarms."""
    telemetry = Telemetry()
    telemetry.observe_http("GET", "/v1/transactions/{id}", 200, 0.01)
    telemetry.observe_poll("approved", 0.2)
    telemetry.observe_delivery("failed", "signature.completed")
    telemetry.observe_delivery("delivered")
    telemetry.observe_brake("push")
    telemetry.alarm("security.x", {"code": "y"})
    text = text_of(telemetry)
    route = 'method="GET",route="/v1/transactions/{id}",status="200"'
    for expected in (
        f"moica_http_seconds_count{{{route}}} 1.0",
        "moica_poll_lag_seconds_sum 0.2",
        'moica_deliveries_total{result="failed"} 1.0',
        'moica_deliveries_total{result="delivered"} 1.0',
        'moica_events_total{type="signature.completed"} 1.0',
        'moica_braked_total{brake="push"} 1.0',
        'moica_alarms_total{alarm="security.x"} 1.0',
    ):
        assert expected in text


def test_a_made_up_method_does_not_make_a_label() -> None:
    """Else a caller could fill the memory with them."""
    telemetry = Telemetry()
    for n in range(50):
        telemetry.observe_http(f"X{n}", "unknown", 405, 0.0)
    text = text_of(telemetry)
    assert 'method="other",route="unknown",status="405"} 50.0' in text
    assert "X7" not in text


@pytest.mark.parametrize("name", ["event", "level", "exc_info", "logger"])
def test_an_alarm_raises_nothing_whatever_its_fields_are(name: str) -> None:
    """It is called in the middle of a refusal."""
    Telemetry().alarm("security.x", {name: "value"})
