"""The live gateway against its own OpenAPI document, by Schemathesis.

Examples, limits, random bodies and chains of calls along the document's links: no 5xx, no
undocumented status or media type, no answer that breaks its schema, nothing invalid accepted,
nothing open without a key. Left out: a transaction's event stream, which stays open on purpose
(`test_stream_contract` is for that), and the check that everything the schema allows is accepted,
since a check digit or a used key cannot be said in it. ``SCHEMATHESIS_EXAMPLES`` asks for more.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

from tests.stage import on_stage

_EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "20")
_AT_LEAST = 600
_PROGRAM = Path(sys.executable).with_name("schemathesis")


async def test_the_live_gateway_does_what_its_openapi_document_says(tmp_path: Path) -> None:
    """In many hundred requests, with stateful links."""
    async with on_stage(tmp_path) as stage:
        await stage.simulator.add_person("A123456789", "王小明")
        await stage.simulator.bind_device("A123456789", "我的手機")
        process = await asyncio.create_subprocess_exec(
            str(_PROGRAM),
            "run",
            f"{stage.url}/openapi.json",
            "--header",
            f"Authorization: Bearer {stage.api_key}",
            *("--max-examples", _EXAMPLES, "--seed", "1"),
            *("--checks", "all", "--exclude-checks", "positive_data_acceptance"),
            *("--exclude-path-regex", "/transactions/.*/events$"),
            *("--request-timeout", "20", "--no-color"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        raw, _ = await process.communicate()
    said = raw.decode(errors="replace")
    assert process.returncode == 0, said[-8000:]
    found = re.search(r"(\d+) generated", said)
    assert found is not None, said[-2000:]
    assert int(found[1]) >= _AT_LEAST
