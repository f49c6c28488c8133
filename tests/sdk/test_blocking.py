"""The blocking client, from threads and after a fork."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from aiohttp import web

from moica_gateway.blocking import BlockingGatewayClient
from moica_gateway.client import GatewayClient
from moica_gateway.errors import GatewayError


def _threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "moica-gateway-client"]


async def test_many_threads_share_one_client(scripted: Any) -> None:
    """One loop, one thread answers all of them, and closing ends it."""
    scripted.then_json(scripted.transaction())

    def work() -> list[str]:
        with BlockingGatewayClient(scripted.url, scripted.KEY) as client:
            with ThreadPoolExecutor(8) as pool:
                views = list(pool.map(client.transaction, ["txn_1"] * 40))
            assert len(_threads()) == 1
        return [view.match_code for view in views]

    assert await asyncio.to_thread(work) == ["42"] * 40
    assert not _threads()


async def test_a_closed_client_opens_again(scripted: Any) -> None:
    """Closing twice is nothing, and a later call works."""
    scripted.then_json(scripted.transaction())

    def work() -> None:
        client = BlockingGatewayClient(scripted.url, scripted.KEY)
        client.close()
        for _ in range(2):
            assert client.wait("txn_1", seconds=0).id == "txn_1"
            client.close()
            client.close()

    await asyncio.to_thread(work)
    assert not _threads()


async def test_closing_frees_whoever_is_waiting(scripted: Any) -> None:
    """A call in another thread ends with a GatewayError instead of hanging."""
    arrived, release = asyncio.Event(), asyncio.Event()

    async def silent(_request: web.Request) -> web.StreamResponse:
        arrived.set()
        await release.wait()
        return web.Response()

    scripted.then(silent)
    client = BlockingGatewayClient(scripted.url, scripted.KEY)
    waiting = asyncio.create_task(asyncio.to_thread(client.transaction, "txn_1"))
    await arrived.wait()
    await asyncio.to_thread(client.close)
    with pytest.raises(GatewayError) as raised:
        await waiting
    release.set()
    assert raised.value.code == "upstream_unreachable"


async def test_errors_and_lists_come_as_from_the_other_client(scripted: Any) -> None:
    """A GatewayError stays one; pages become a list."""
    scripted.then_raw(b"<html>")
    scripted.then_json({"items": [scripted.transaction()], "next_cursor": "c"})
    scripted.then_json({"items": [scripted.transaction()], "next_cursor": None})

    def work() -> int:
        with BlockingGatewayClient(scripted.url, scripted.KEY) as client:
            with pytest.raises(GatewayError, match="upstream_malformed"):
                client.transaction("txn_1")
            return len(client.transactions(user_id="u1"))

    assert await asyncio.to_thread(work) == 2


FORK = """
import os, sys
from moica_gateway.blocking import BlockingGatewayClient
url, key, method = sys.argv[1:]
call = {
    "transaction": lambda: client.transaction("txn_1"),
    "transactions": lambda: client.transactions(),
}[method]
with BlockingGatewayClient(url, key) as client:
    call()
    child = os.fork()
    call()
    if child:
        _, status = os.waitpid(child, 0)
        call()
        sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize("method", ["transaction", "transactions"])
async def test_a_forked_child_has_a_connection_of_its_own(scripted: Any, method: str) -> None:
    """The child's first call works, and the parent's connection goes on working."""
    peers: set[Any] = set()

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.json_response({"items": [], "next_cursor": None, **scripted.transaction()})

    scripted.then(answer)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", FORK, scripted.url, scripted.KEY, method],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (len(scripted.requests), len(peers)) == (4, 2)


def test_it_has_every_call_of_the_asynchronous_client() -> None:
    """With the same parameters."""
    for name, theirs in inspect.getmembers(GatewayClient, inspect.isfunction):
        if name.startswith("_"):
            continue
        ours = getattr(BlockingGatewayClient, name)
        if name != "transactions":
            assert (
                inspect.signature(ours).parameters.keys()
                == inspect.signature(theirs).parameters.keys()
            )
