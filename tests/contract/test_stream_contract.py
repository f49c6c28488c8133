"""Event streams against the OpenAPI document: what Schemathesis leaves out, since they stay open.

Every status that the document names for a stream is had from the live gateway (but the two that
want a broken store), and every event's data is held against the document's schema.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema_rs
import pytest

from moica_gateway.domain.models import Scope
from moica_gateway.settings.model import LimitSettings
from tests.stage import TENANT, Stage, on_stage

_REGISTRATION = {"user_id": "clerk01", "id_number": "A123456789", "channel": "qr"}
_NOT_HAD_HERE = {"500", "503"}
"""A broken store: `tests/web` has them."""


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """With room for one line a browser."""
    async with on_stage(tmp_path, limits=LimitSettings(browser_streams=1)) as stage:
        await stage.simulator.add_person("A123456789", "王小明")
        await stage.simulator.bind_device("A123456789", "我的手機")
        yield stage


def _validator(document: dict[str, Any]) -> Any:
    return jsonschema_rs.Draft202012Validator(
        {"$ref": "#/components/schemas/Transaction", "components": document["components"]}
    )


def _events(raw: bytes) -> list[dict[str, str]]:
    blocks = [b for b in raw.decode().split("\n\n") if b and not b.startswith(":")]
    return [dict(line.split(": ", 1) for line in b.splitlines()) for b in blocks]


async def test_a_stream_speaks_as_the_openapi_document_says(stage: Stage) -> None:
    """Each documented status, its media type, and each event's data by its schema."""
    other = await stage.gateway.services.tenants.create_key(
        TENANT, "no reader", frozenset({Scope.IDENTITY_QUERY}), test=True
    )
    key = {"Authorization": f"Bearer {stage.api_key}"}
    async with aiohttp.ClientSession(stage.url) as session:
        async with session.get("/openapi.json") as reply:
            document = await reply.json()
        answers = document["paths"]["/v1/transactions/{id}/events"]["get"]["responses"]
        validator = _validator(document)
        async with session.post("/v1/registrations", json=_REGISTRATION, headers=key) as reply:
            made = await reply.json()
        path = f"/v1/transactions/{made['id']}/events"
        browser = {"Authorization": f"Bearer {made['browser_token']}"}
        had: set[str] = set()

        async def answered(expected: int, path: str, headers: dict[str, str]) -> None:
            async with asyncio.timeout(10), session.get(path, headers=headers) as reply:
                assert reply.status == expected, await reply.text()
                documented = answers[str(reply.status)].get("content", {})
                assert reply.content_type in documented or not documented
                if documented:
                    problem = await reply.json()
                    assert problem["code"] in next(iter(documented.values()))["examples"]
                had.add(str(reply.status))

        async with asyncio.timeout(30), session.get(path, headers=browser) as stream:
            await answered(429, path, browser)
            async with session.post(f"/v1/transactions/{made['id']}/cancel", headers=key) as done:
                assert done.status == 200
            raw = await stream.read()
            assert stream.content_type in answers[str(stream.status)]["content"]
            had.add(str(stream.status))
        events = _events(raw)
        assert [e["event"] for e in events] == ["transaction"] * len(events)
        assert len(events) >= 2
        for each in events:
            data = json.loads(each["data"])
            validator.validate(data)
            assert each["id"] == str(data["version"])
        last = {"Last-Event-ID": events[-1]["id"]}
        await answered(204, path, key | last)
        await answered(401, path, {})
        await answered(403, path, {"Authorization": f"Bearer {other}"})
        await answered(404, "/v1/transactions/txn_unknown/events", key)
        await answered(422, f"{path}?since=1", key)
    assert had == set(answers) - _NOT_HAD_HERE
