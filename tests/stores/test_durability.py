"""What `write` has returned survives SIGKILL."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

PROGRAM = """
import asyncio, sys
from datetime import UTC, datetime
from moica_gateway.domain.models import AuditRecord, Tenant
from moica_gateway.domain.values import Secret, TenantId
from moica_gateway.stores import open_store
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.random import SeededRandom

NOW = datetime(2026, 4, 24, tzinfo=UTC)
OURS = TenantId("ours")

async def main():
    key = Secret(bytes(range(32)))
    store = open_store(sys.argv[1], master_key=key, clock=FrozenClock(), random=SeededRandom(9))
    await store.open()
    await store.write(lambda u: u.save_tenant(Tenant(id=OURS, name="x", created_at=NOW)))
    n = 0
    while True:
        def work(unit, n=n):
            unit.audit(OURS, AuditRecord(at=NOW, action=f"a{n}", actor="worker"))
        await asyncio.gather(*(store.write(work) for _ in range(3)))
        print(n, flush=True)
        n += 1

asyncio.run(main())
"""


def run_and_kill(url: str) -> int:
    """The number of the last write that the program had answered when it was killed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, url],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=Path(url.removeprefix("sqlite:///")).parent,
    ) as process:
        assert process.stdout is not None
        answered = -1
        for line in process.stdout:
            answered = int(line)
            if answered >= 25:
                process.send_signal(signal.SIGKILL)
                break
        return max([answered, *(int(line) for line in process.stdout.read().split())])


async def test_sigkill_loses_no_answered_write(url: str, opened: Any, make: Any) -> None:
    """A process that writes without end is killed; every write it had answered is found."""
    answered = await asyncio.to_thread(run_and_kill, url)
    assert answered >= 25
    async with opened() as store:
        records = await store.read(lambda u: u.audit_records(make.ours))
        stored = [record.action for record in records]
    for n in range(answered + 1):
        assert stored.count(f"a{n}") == 3
    assert len(stored) <= 3 * (answered + 2)
