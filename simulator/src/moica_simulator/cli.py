"""The command `moica-simulator`: serve, speak to one that serves, or explain a checksum.

The control API from a shell is in `cli_control`.
"""

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from moica_simulator._version import __version__
from moica_simulator.cli_control import COMMANDS

if TYPE_CHECKING:
    from moica_simulator.clock import Clock
    from moica_simulator.mode import Mode
    from moica_simulator.profiles import ActiveProfile

__all__ = ["main"]


_FAST = (
    "For load and tests: no FIDO2 between phone and platform, RSA-2048 for the CA, and prepared "
    "keys if gmpy2 is installed. What relying systems get stays valid."
)


@click.group(help="A simulated TW FidO platform with its CA and phones. NOT FOR PRODUCTION.")
@click.version_option(__version__, prog_name="moica-simulator")
def main() -> None:
    """Holds the commands."""


@main.command(help="Serve platform, phones and CA until SIGINT or SIGTERM.")
@click.option(
    "--state",
    envvar="SIMULATOR_STATE",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder in which everything is kept; without it a new CA, all in memory.",
)
@click.option("--host", envvar="SIMULATOR_HOST", default="127.0.0.1", show_default=True)
@click.option(
    "--port",
    envvar="SIMULATOR_PORT",
    type=click.IntRange(0, 65535),
    default=8701,
    show_default=True,
)
@click.option("--public-url", envvar="SIMULATOR_PUBLIC_URL", help="Where others reach it.")
@click.option(
    "--test-persons",
    envvar="SIMULATOR_TEST_PERSONS",
    is_flag=True,
    help="Make the ready-made persons at the start.",
)
@click.option(
    "--profile",
    envvar="SIMULATOR_PROFILE",
    type=click.Choice(["standard", "strict", "lenient", "chaos"]),
    default="standard",
    show_default=True,
    help="How the platform behaves.",
)
@click.option("--seed", envvar="SIMULATOR_SEED", type=int, help="Of the profile chaos.")
@click.option("--fast", is_flag=True, help=_FAST)
@click.option(
    "--log-level",
    envvar="SIMULATOR_LOG_LEVEL",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
)
def serve(
    *,
    state: Path | None,
    host: str,
    port: int,
    public_url: str | None,
    fast: bool,
    log_level: str,
    test_persons: bool,
    profile: str,
    seed: int | None,
) -> None:
    """Serves until a signal."""
    from moica_simulator.errors import ConfigurationError

    if seed is not None and profile != "chaos":
        raise click.UsageError("--seed: expected with --profile chaos only")

    options = {
        "state": state,
        "host": host,
        "port": port,
        "public_url": public_url,
        "fast": fast,
        "log_level": log_level,
    }
    try:
        asyncio.run(_serve(options, test_persons=test_persons, profile=profile, seed=seed))
    except ConfigurationError as error:
        raise click.ClickException(error.detail) from error


async def _serve(
    options: dict[str, Any], *, test_persons: bool, profile: str, seed: int | None
) -> None:
    from moica_simulator.simulator import Simulator

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Simulator.start(log_to=sys.stderr, **options) as simulator:
        if test_persons:
            await simulator.add_test_persons()
        if profile != "standard":
            simulator.set_profile(profile, seed=seed)
        click.echo(
            f"moica-simulator ready on {simulator.url} "
            f"(模擬器，不得用於正式環境 NOT FOR PRODUCTION){_fast(simulator.mode)}"
            f"{_kept(simulator.clock)}{_profile(simulator.profile)}"
        )
        sys.stdout.flush()
        await stop.wait()


def _fast(mode: "Mode") -> str:
    """Says what fast mode leaves out."""
    return f", {mode.words_zh} {mode.words_en}" if mode.fast else ""


def _profile(active: "ActiveProfile") -> str:
    """Says which profile is on, if it is not the usual one."""
    if active.name == "standard":
        return ""
    return f", profile {active.name}" + (f" seed {active.seed}" if active.seed is not None else "")


def _kept(clock: "Clock") -> str:
    """Says that a kept clock was moved, since nothing else would explain odd dates."""
    if clock.frozen:
        return f", its clock stands at {clock.now().isoformat(timespec='seconds')} (clock reset)"
    seconds = clock.advanced.total_seconds()
    return f", its clock {seconds:g} s ahead (clock reset goes back)" if seconds else ""


@main.command(help="Say what sp_checksum covers in a request body, and whether one sent is right.")
@click.argument("interface")
@click.argument("body", type=click.File("r", encoding="utf-8"), default="-")
@click.option(
    "--aes-key",
    envvar="SP_AES_KEY",
    required=True,
    help="The system's AES key, base64. Better given as SP_AES_KEY than on the command line.",
)
def explain(interface: str, body: TextIO, aes_key: str) -> None:
    """Explains a request's checksum."""
    from moica_simulator.checksum import AesKey
    from moica_simulator.explain import explain_request, read_request

    text = body.read()
    try:
        which, fields = read_request(interface, text)
        found = explain_request(which, fields, AesKey.parse(aes_key), body_text=text)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    lines = {
        "order": ", ".join(name for name, _ in found.fields),
        "payload": found.payload,
        "sha256": found.sha256,
        "example": f"{found.example} (all-zero IV: to compare only)" if found.example else None,
        "sent": found.sent or "none",
        "inside": found.inside,
        "verdict": "right" if found.right else "wrong",
    }
    for name, value in lines.items():
        if value is not None:
            click.echo(f"{name}: {value}")
    for mistakes in found.diagnoses:
        for mistake in mistakes:
            click.echo(f"reason: {mistake.zh}。{mistake.en}")
    if not found.right:
        raise SystemExit(1)


for _command in COMMANDS:
    main.add_command(_command)
