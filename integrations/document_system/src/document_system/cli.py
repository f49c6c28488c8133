"""``document-system serve``: reads the settings, serves, and stops cleanly on SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import errno
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from aiohttp import web

from document_system.app import create_app
from document_system.errors import SetupError
from document_system.settings import Settings, read_secret

__all__ = ["main"]

_DRAIN_SECONDS: Final = 2.0
_VARIABLES: Final = """\
environment: DOCUMENT_SYSTEM_HOST, _PORT, _DATA, _GATEWAY_URL, _PUBLIC_URL, _SIGN_TIME_LIMIT and
_LOG_LEVEL stand for the options; DOCUMENT_SYSTEM_API_KEY and DOCUMENT_SYSTEM_WEBHOOK_SECRET hold
the secrets, which are never taken from the command line.
"""


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    def default(name: str, otherwise: str) -> str:
        return environ.get(f"DOCUMENT_SYSTEM_{name}") or otherwise

    parser = argparse.ArgumentParser(
        prog="document-system",
        description="The reference document system (公文系統) of moica-gateway.",
        epilog=_VARIABLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser(
        "serve",
        help="serve the pages",
        epilog=_VARIABLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve.add_argument("--host", default=default("HOST", "127.0.0.1"))
    serve.add_argument("--port", default=default("PORT", "8702"), help="0: any free port")
    serve.add_argument(
        "--data", default=default("DATA", "document-system-data"), help="folder of the database"
    )
    serve.add_argument("--gateway-url", default=default("GATEWAY_URL", "http://127.0.0.1:8700"))
    serve.add_argument("--api-key-file", type=Path, default=None)
    serve.add_argument("--webhook-secret-file", type=Path, default=None)
    serve.add_argument("--public-url", default=default("PUBLIC_URL", ""), help="how users reach it")
    serve.add_argument(
        "--sign-time-limit",
        default=default("SIGN_TIME_LIMIT", "60"),
        help="seconds a phone has to answer, 30 to 600",
    )
    serve.add_argument("--demo", action="store_true", help="sample users and documents")
    serve.add_argument(
        "--log-level",
        default=default("LOG_LEVEL", "info"),
        choices=("debug", "info", "warning", "error"),
    )
    return parser


def _whole(option: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise SetupError(f"{option}: expected a whole number, came {text[:40]!r}")
    return int(text)


def _settings(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    settings = Settings(
        data=Path(arguments.data),
        gateway_url=arguments.gateway_url,
        api_key=read_secret(
            environ, "DOCUMENT_SYSTEM_API_KEY", arguments.api_key_file, "--api-key-file"
        ),
        webhook_secret=read_secret(
            environ,
            "DOCUMENT_SYSTEM_WEBHOOK_SECRET",
            arguments.webhook_secret_file,
            "--webhook-secret-file",
        ),
        host=arguments.host,
        port=_whole("--port (DOCUMENT_SYSTEM_PORT)", arguments.port),
        public_url=arguments.public_url,
        sign_time_limit=_whole(
            "--sign-time-limit (DOCUMENT_SYSTEM_SIGN_TIME_LIMIT)", arguments.sign_time_limit
        ),
        demo=arguments.demo,
    )
    settings.check()
    return settings


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # Open windows hang on long answers; they must not hold up a stop.
    runner = web.AppRunner(create_app(settings), access_log=None, shutdown_timeout=_DRAIN_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        try:
            await site.start()
        except OSError as e:
            raise SetupError(_not_listening(settings, e)) from e
        port = runner.addresses[0][1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        print(f"document-system: ready on http://{host}:{port}", flush=True)
        await stop.wait()
    finally:
        await runner.cleanup()


def _not_listening(settings: Settings, e: OSError) -> str:
    where = f"{settings.host}:{settings.port}"
    if e.errno == errno.EADDRINUSE:
        return (
            f"port {settings.port} on {settings.host} is busy; set --port or "
            "DOCUMENT_SYSTEM_PORT to a free one"
        )
    if e.errno == errno.EACCES:
        return f"not permitted to listen on {where}; set --port or DOCUMENT_SYSTEM_PORT above 1023"
    return f"cannot listen on {where} (--host, --port): {e.strerror or e}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The script. Exit status 0 after a clean stop, 2 for a wrong setting."""
    environ = os.environ
    try:
        parsed = _parser(environ).parse_args(arguments)
        settings = _settings(parsed, environ)
        logging.basicConfig(
            level=parsed.log_level.upper(),
            format="%(asctime)s %(levelname)s %(name)s %(message)s",
            stream=sys.stderr,
        )
        asyncio.run(_serve(settings))
    except SetupError as e:
        print(f"document-system: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0
