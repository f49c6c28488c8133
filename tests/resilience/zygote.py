"""A program that has imported the gateway once, and forks a fresh process of it for each order.

Importing takes seconds, a fork a hundredth of one; and it forks before there is any loop, thread or
connection, so that each child is as if started anew. It is asked over a Unix socket: one connection
is one life of a gateway. The child says there, a line each, its ``pid``, every ``point`` that it
passes, and its ``url``; it ends when the other side goes away.

    python zygote.py SOCKET        (until its standard input ends)
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from moica_gateway.app import SystemClock, open_gateway
from moica_gateway.settings import Settings, TrustSettings, UpstreamSettings
from moica_gateway.stores import only_process
from moica_gateway.telemetry import configure_logging
from tests.resilience.fault_points import FaultPoints, wrap


class LaterClock(SystemClock):
    """The system's, so many seconds later: the process was down for a while."""

    def __init__(self, seconds: float) -> None:
        self._later = timedelta(seconds=seconds)

    def now(self) -> datetime:
        """UTC."""
        return datetime.now(UTC) + self._later


def main(path: str) -> None:
    """Serve orders, one child each."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits: no child stays as a zombie
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen(16)
        print("ready", flush=True)  # noqa: T201 - heard by whoever started this
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            line, _ = listener.accept()
            if os.fork() == 0:
                _child(listener, line)
            line.close()


def _child(listener: socket.socket, line: socket.socket) -> None:
    status = 1
    try:
        listener.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        line.sendall(f"pid {os.getpid()}\n".encode())
        order = json.loads(_read_line(line))
        log = os.open(Path(order["folder"]) / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        configure_logging("INFO", "json", sys.stderr)
        asyncio.run(_serve(order, line))
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        raise
    finally:
        sys.stderr.flush()
        os._exit(status)


def _read_line(line: socket.socket) -> bytes:
    read = bytearray()
    while not read.endswith(b"\n"):
        byte = line.recv(1)
        if not byte:
            os._exit(0)
        read += byte
    return bytes(read)


async def _serve(order: dict[str, Any], line: socket.socket) -> None:
    """What ``serve`` does, on a port of the system's choice."""
    gone = asyncio.Event()
    # Nothing is ever sent after the order: readable means that the other side went away.
    asyncio.get_running_loop().add_reader(line.fileno(), gone.set)
    talking = threading.Lock()

    def tell(text: str) -> None:
        with talking:
            line.sendall(f"{text}\n".encode())

    points = FaultPoints(lambda point: tell(f"point {point}"), order["die_at"])
    settings = _settings(order)
    with only_process(settings.database_url, lambda: None):
        async with open_gateway(
            settings,
            clock=LaterClock(order["later"]),
            wrap=lambda ports: wrap(ports, points),
        ) as gateway:
            runner = web.AppRunner(gateway.app, access_log=None)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            tell(f"url http://127.0.0.1:{runner.addresses[0][1]}")
            await gone.wait()
            os._exit(0)


def _settings(order: dict[str, Any]) -> Settings:
    trust: dict[str, Any] = {name: tuple(value) for name, value in order["trust"].items()}
    return Settings(
        environment="simulator",
        data_dir=order["folder"],
        upstream=UpstreamSettings(**order["upstream"]),
        trust=TrustSettings(**trust),
    )


if __name__ == "__main__":
    main(sys.argv[1])
