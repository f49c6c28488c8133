"""Asking who is there, and about phones, through the client."""

from __future__ import annotations

import json
from typing import Any

import pytest

from moica_gateway.client import GatewayClient
from moica_gateway.errors import GatewayError


async def test_authenticate_sends_one_of_both_and_reads_the_assurance(scripted: Any) -> None:
    """Under an Idempotency-Key of its own."""
    scripted.then_json({**scripted.transaction(), "assurance": "platform"}, 201)
    async with GatewayClient(scripted.url, scripted.KEY) as client:
        view = await client.begin_authentication(id_number="A123456789", channel="qr")
    assert view.assurance == "platform"
    _, path, headers, body = scripted.requests[0]
    assert path == "/v1/authentications"
    assert headers["Idempotency-Key"]
    assert json.loads(body) == {"id_number": "A123456789", "channel": "qr"}


async def test_a_device_status_is_read_strictly(scripted: Any) -> None:
    """What is not a boolean does not pass for a yes."""
    scripted.then_json({"bound": True, "certificate_usable": False})
    scripted.then_json({"bound": True, "certificate_usable": "no"})
    async with GatewayClient(scripted.url, scripted.KEY) as client:
        found = await client.device_status(user_id="u1")
        assert (found.bound, found.certificate_usable) == (True, False)
        with pytest.raises(GatewayError) as raised:
            await client.device_status(user_id="u1")
    assert raised.value.code == "upstream_malformed"
    assert json.loads(scripted.requests[0][3]) == {"user_id": "u1"}
