"""What every command works with: settings, an opened gateway, secrets, and how trouble is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import IO, Any, Final, NoReturn, TypeVar

import click
import structlog

from moica_gateway.app import Gateway, open_gateway
from moica_gateway.errors import ConfigurationError, GatewayError, error
from moica_gateway.settings import Settings, load_settings
from moica_gateway.telemetry import configure_logging

__all__ = ["Group", "Program", "config_option", "fail", "read_secret", "run"]

T = TypeVar("T")
_F = TypeVar("_F", bound=Callable[..., Any])

_REFUSED: Final = 1
_MISCONFIGURED: Final = 2
_MAX_SECRET: Final = 4096


class Program:
    """The settings, read at the first use, so that ``--help`` and ``version`` need none."""

    def __init__(self, config: str | None, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self._config = config

    def settings(self, config: str | None = None, *, quiet: bool = True) -> Settings:
        """Read and check them, and set logging up.

        Args:
            config: Of the command itself, before the program's.
            quiet: Log errors only: for commands that speak to a person.

        Raises:
            ConfigurationError: see `load_settings`.
        """
        file = config or self._config
        settings = load_settings(Path(file) if file else None, self.environ)
        configure_logging("ERROR" if quiet else settings.log_level, settings.log_format)
        return settings

    def run(self, work: Callable[[Gateway], Awaitable[T]]) -> T:
        """With a gateway whose workers do not run: another process may be serving."""

        async def opened() -> T:
            async with open_gateway(self.settings(), workers=False) as gateway:
                return await work(gateway)

        return run(opened())


def run(work: Coroutine[Any, Any, T]) -> T:
    """To its end, in a loop of its own."""
    return asyncio.run(work)


def fail(failure: GatewayError) -> NoReturn:
    """One line on stderr, and out."""
    problem = failure.problem
    words = f"moica-gateway: {problem.detail} [{problem.code}] {problem.user_message['zh-TW']}"
    click.echo(" ".join(words.split()), err=True)
    raise SystemExit(_MISCONFIGURED if isinstance(failure, ConfigurationError) else _REFUSED)


class Group(click.Group):
    """The outermost group: nobody sees a traceback, and no exception's text goes out unredacted."""

    def invoke(self, ctx: click.Context) -> Any:
        """As the base does; errors of ours are told, defects are logged."""
        try:
            return super().invoke(ctx)
        except GatewayError as e:
            fail(e)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as e:  # noqa: BLE001 - the last place where a defect can be told
            configure_logging("ERROR", "json")
            structlog.get_logger("moica_gateway.cli").error("cli.failed", exc_info=e)
            fail(
                error(
                    "internal_error",
                    f"expected the command to work, came a defect of the program "
                    f"({type(e).__name__}); it stands in the line above",
                )
            )


def config_option(command: _F) -> _F:
    """``--config`` behind the command's name as well as before it."""
    return click.option("--config", metavar="FILE", help="TOML file, before all others.")(command)


def read_secret(file: IO[bytes], what: str) -> str:
    """One secret from a file or stdin: ASCII, one line.

    Raises:
        ConfigurationError: naming what was to be read, showing nothing of it.
    """
    try:
        text = file.read(_MAX_SECRET + 1).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise error(
            "configuration_invalid",
            f"expected {what} as one line of ASCII, it cannot be read ({type(e).__name__})",
        ) from None
    if not text or len(text) > _MAX_SECRET or not text.isprintable() or " " in text:
        raise error(
            "configuration_invalid",
            f"expected {what} as one line, came {'nothing' if not text else 'something else'}",
        )
    return text
