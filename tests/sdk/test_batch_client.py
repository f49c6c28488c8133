"""Batches through the clients."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from moica_gateway.blocking import BlockingGatewayClient
from moica_gateway.client import GatewayClient
from moica_gateway.wire import BatchRequest, DocumentRequest, OnBehalfOf

DOCUMENTS = (
    DocumentRequest(number="1", sha256="0" * 64, id="a"),
    DocumentRequest(number="2", content=b"x"),
)
STATES = [
    {"id": "a", "number": "1", "sha256": "00", "status": "completed"},
    {"id": "b", "number": "2", "sha256": "00", "status": "rejected", "ticket": 1},
]


async def test_both_clients_send_the_same_batch_and_read_its_documents(scripted: Any) -> None:
    """What is sent parses as the server reads it; each document has its status and ticket."""
    scripted.then_json(
        scripted.transaction(documents=STATES, partial=True, status="rejected", ticket=1, tickets=2)
    )
    arguments: dict[str, Any] = {
        "user_id": "u1",
        "documents": DOCUMENTS,
        "format": "cades",
        "channel": "qr",
        "time_limit": 90,
        "on_behalf_of": OnBehalfOf(user_id="u2", reason="x"),
        "supersede": True,
        "metadata": {"a": "b"},
        "idempotency_key": "order-7",
    }
    async with GatewayClient(scripted.url, scripted.KEY) as client:
        view = await client.begin_batch(**arguments)

    def blocking() -> Any:
        with BlockingGatewayClient(scripted.url, scripted.KEY) as other:
            return other.begin_batch(**arguments)

    assert await asyncio.to_thread(blocking) == view
    assert (view.tickets, view.ticket, view.partial) == (2, 1, True)
    assert [d.id for d in view.signed_documents] == ["a"]
    assert [d.ticket for d in view.documents] == [0, 1]
    first, second = scripted.requests
    assert first[:2] == second[:2] == ("POST", "/v1/signature-batches")
    assert first[3] == second[3]
    assert first[2]["Idempotency-Key"] == "order-7"
    sent = BatchRequest.parse(json.loads(first[3]))
    assert sent.documents == DOCUMENTS
    assert sent.to_json() == json.loads(first[3])
