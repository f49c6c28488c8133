"""``serve``: until SIGTERM or Ctrl-C.

The port is taken before anything else: a second `serve` by mistake must not take up (and end) what
the first is in the middle of, and then find that the port is busy.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import click
import structlog
from aiohttp import web
from attrs import evolve

from moica_gateway.app import Gateway, open_gateway, program_version
from moica_gateway.cli.program import Program, config_option, run
from moica_gateway.errors import GatewayError, error
from moica_gateway.settings import Settings
from moica_gateway.stores import only_process
from moica_gateway.web.keys import OPTIONS

__all__ = ["serve"]


@click.command()
@config_option
@click.pass_obj
def serve(program: Program, config: str | None) -> None:
    """Run the gateway until SIGTERM or Ctrl-C."""
    run(_serve(program.settings(config, quiet=False)))


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log = structlog.get_logger("moica_gateway")

    def lost() -> None:
        # Another process may serve the database from now on: this one must not go on beside it.
        log.critical("store.hold_lost")
        loop.call_soon_threadsafe(stop.set)

    async with AsyncExitStack() as stack:
        sockets = await _bind(stack, settings.host, settings.port, "port")
        address = settings.metrics_address
        for_metrics = await _bind(stack, *address, "metrics_listen") if address else ()
        stack.enter_context(only_process(settings.database_url, lost))
        gateway = await stack.enter_async_context(open_gateway(settings))
        if for_metrics:
            gateway.app[OPTIONS] = evolve(gateway.app[OPTIONS], metrics=None)
            await stack.enter_async_context(_listening(_metrics_app(gateway), for_metrics))
        await stack.enter_async_context(_listening(gateway.app, sockets))
        log.info(
            "gateway.ready",
            environment=settings.environment,
            port=sockets[0].getsockname()[1],
            version=program_version(),
        )
        await stop.wait()
        log.info("gateway.stopping")


async def _bind(
    stack: AsyncExitStack, host: str, port: int, setting: str
) -> Sequence[socket.socket]:
    """Bound, not yet listening: nobody is let in before everything runs."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as e:
        raise error(
            "configuration_invalid",
            f"setting `{'host' if setting == 'port' else setting}`: expected an address of this "
            f"machine, came one that is unknown ({type(e).__name__})",
        ) from None
    sockets: list[socket.socket] = []
    for family, kind, protocol, _, address in dict.fromkeys(found):
        if port == 0 and sockets:
            break  # the system would choose another port for each
        made = socket.socket(family, kind, protocol)
        stack.callback(made.close)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            made.bind(address)
        except OSError as e:
            raise _not_listening(host, port, setting, e) from None
        sockets.append(made)
    return sockets


def _not_listening(host: str, port: int, setting: str, e: OSError) -> GatewayError:
    why = "is busy" if e.errno == errno.EADDRINUSE else f"cannot be opened ({e.strerror})"
    return error(
        "configuration_invalid",
        f"port {port} on {host} {why}; set `{setting}` (MOICA_GATEWAY_{setting.upper()}) to a free "
        "one, or stop what listens there",
    )


@asynccontextmanager
async def _listening(app: web.Application, sockets: Sequence[socket.socket]) -> AsyncIterator[None]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    try:
        for bound in sockets:
            host, port = bound.getsockname()[:2]
            try:
                await web.SockSite(runner, bound).start()
            except OSError as e:
                # Two that started in the same instant have both bound; one of them listens.
                raise _not_listening(host, port, "port", e) from None
        yield
    finally:
        await runner.cleanup()


def _metrics_app(gateway: Gateway) -> web.Application:
    async def metrics(_request: web.Request) -> web.Response:
        body, content_type = gateway.telemetry.render()
        return web.Response(body=body, headers={"Content-Type": content_type})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    return app
