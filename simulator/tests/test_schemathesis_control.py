"""A live simulator against the OpenAPI document of its control API, by Schemathesis.

Examples, every limit from both sides, and chains of calls along the document's links: no 5xx, no
undocumented status or media type, no answer that breaks its schema, nothing invalid accepted. Left
out are the check that everything the schema allows is accepted, since a check digit cannot be said
in it, and random bodies, which double the time.
"""

import asyncio
import re
import sys
from pathlib import Path

from moica_simulator import KeyPool, Simulator

_PHASES = "examples,coverage,stateful"
_EXAMPLES = "3"
_AT_LEAST = 1000
_PROGRAM = Path(sys.executable).with_name("schemathesis")


async def test_a_live_simulator_does_what_its_control_document_says(
    keys: KeyPool, tmp_path: Path
) -> None:
    """In more than a thousand requests."""
    async with Simulator.start(fast=True, keys=keys, seed=1) as sim:
        await sim.add_person("A123456789", "王小明")
        await sim.bind_device("A123456789")
        process = await asyncio.create_subprocess_exec(
            str(_PROGRAM),
            "run",
            f"{sim.url}/sim/v1/openapi.json",
            *("--phases", _PHASES, "--max-examples", _EXAMPLES, "--seed", "1"),
            *("--checks", "all", "--exclude-checks", "positive_data_acceptance"),
            *("--request-timeout", "20", "--no-color"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        raw, _ = await process.communicate()
    said = raw.decode(errors="replace")
    assert process.returncode == 0, said[-12000:]
    found = re.search(r"(\d+) generated", said)
    assert found is not None, said[-2000:]
    assert int(found[1]) >= _AT_LEAST
