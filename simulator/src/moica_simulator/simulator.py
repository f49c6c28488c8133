"""The simulator as a context manager: the rooms, served over HTTP on a port of its own."""

import contextlib
import errno
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TextIO

from aiohttp import web

from moica_simulator import multiprime
from moica_simulator.clock import Clock
from moica_simulator.core import SimulatorCore
from moica_simulator.errors import ConfigurationError
from moica_simulator.keys import GeneratedKeys, KeyPool, KeySource
from moica_simulator.log import bare_http_logger, make_logger
from moica_simulator.mode import Mode
from moica_simulator.randomness import Randomness
from moica_simulator.startup import CoreOptions, make_core_parts
from moica_simulator.web.app import create_app

__all__ = ["Simulator"]


class Simulator(SimulatorCore):
    """A running simulator: platform, CA and phones, with an address.

    Use it as `async with Simulator.start(fast=True) as sim:`. All methods are those of
    `SimulatorCore`.
    """

    url: str
    """Where it listens, e.g. `http://127.0.0.1:49152`, without a slash at the end."""

    public_url: str
    """What stands in certificates; the same unless given otherwise."""

    @classmethod
    @contextlib.asynccontextmanager
    async def start(
        cls,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        public_url: str | None = None,
        state: Path | str | None = None,
        fast: bool = False,
        fido2: bool | None = None,
        keys: KeySource | KeyPool | None = None,
        clock: Clock | None = None,
        seed: int | None = None,
        history_limit: int = 10_000,
        ticket_limit: int = 10_000,
        log_to: TextIO | None = None,
        log_level: str = "info",
    ) -> AsyncIterator["Simulator"]:
        """Starts a simulator and stops it at the end of the `async with`.

        Args:
            host: Where to listen.
            port: The port; 0 takes any that is free.
            public_url: Under which others reach it, if that is not host and port.
            state: A folder in which everything is kept; None keeps it in memory, with a new CA.
            fast: For load and for tests: see "Fast mode" in the README. What relying systems get
                stays valid in every part.
            fido2: Whether a confirmation takes a FIDO2 assertion between phone and platform;
                None means not in fast mode.
            keys: Where RSA keys come from, e.g. one `KeyPool()` for a whole test run; None makes
                each anew.
            clock: The clock to use, e.g. a frozen one; None runs with the machine's.
            seed: Makes ids, challenges and codes repeatable (never keys).
            history_limit: How many requests are remembered.
            ticket_limit: How many tickets are kept whatever became of them; older ones go when
                their end was told or their time is over.
            log_to: Where log lines go; None writes none.
            log_level: The lowest level written.

        Yields:
            The running simulator.

        Raises:
            ConfigurationError: `port_in_use`, `address_unusable`, `state_unusable`.
        """
        sock = _listen(host, port)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(sock.close)
            shown = f"[{host}]" if ":" in host else host
            url = f"http://{shown}:{sock.getsockname()[1]}"
            executor = ThreadPoolExecutor(max_workers=2, thread_name_prefix="moica-simulator")
            stack.callback(executor.shutdown)
            options = CoreOptions(
                public_url=(public_url or url).rstrip("/"),
                log=make_logger(log_to, log_level),
                state_folder=None if state is None else Path(state),
                mode=Mode(
                    fast=fast,
                    fido2=not fast if fido2 is None else fido2,
                    # Whoever hands in keys wants those.
                    prepared_keys=fast and keys is None and multiprime.available(),
                ),
                keys=keys.source() if isinstance(keys, KeyPool) else keys or GeneratedKeys(),
                clock=clock,
                randomness=Randomness(seed),
                history_limit=history_limit,
                ticket_limit=ticket_limit,
            )
            parts = await make_core_parts(options, executor)
            simulator = cls(options, parts, executor)
            stack.push_async_callback(simulator.close)
            simulator.url, simulator.public_url = url, options.public_url
            runner = web.AppRunner(
                create_app(simulator, options.public_url),
                access_log=None,
                logger=bare_http_logger(),
                handle_signals=False,
                # An answer delayed by a fault must not delay the stop as well.
                shutdown_timeout=0.5,
            )
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.SockSite(runner, sock).start()
            simulator.resume()
            simulator.log.info(
                "simulator.started",
                environment="simulator, NOT FOR PRODUCTION",
                url=url,
                fast=fast,
                fido2=options.mode.fido2,
                prepared=options.mode.prepared_keys,
                state="kept" if state else "in memory",
                advanced_s=simulator.clock.advanced.total_seconds(),
            )
            yield simulator
            simulator.log.info("simulator.stopping", url=url)


def _listen(host: str, port: int) -> socket.socket:
    """Binds without listening yet, so that nobody connects before there is an answer."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        in_use = error.errno == errno.EADDRINUSE
        raise ConfigurationError(
            "port_in_use" if in_use else "address_unusable",
            f"cannot listen on port {port} of {host}: {error.strerror or error}. Free it, or "
            "choose another by --port or SIMULATOR_PORT (and --host for the address).",
        ) from error
    return sock
