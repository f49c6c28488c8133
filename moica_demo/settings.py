"""Ports and folder, from the environment."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from moica_demo.errors import DemoError
from moica_demo.install import ROOT

__all__ = ["DemoSettings", "free_ports", "read_settings"]

_PORTS = {"GATEWAY_PORT": 8700, "SIMULATOR_PORT": 8701, "DOCUMENT_SYSTEM_PORT": 8702}


@dataclass(frozen=True)
class DemoSettings:
    """Where everything is."""

    directory: Path
    gateway_port: int
    simulator_port: int
    document_system_port: int
    sign_time_limit: int = 60

    @property
    def gateway_url(self) -> str:
        """Of the gateway."""
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def simulator_url(self) -> str:
        """Of the simulator."""
        return f"http://127.0.0.1:{self.simulator_port}"

    @property
    def document_system_url(self) -> str:
        """Of the reference document system."""
        return f"http://127.0.0.1:{self.document_system_port}"

    @property
    def env_file(self) -> Path:
        """The only place where keys stand in clear."""
        return self.directory / "demo.env"


def read_settings(environ: Mapping[str, str]) -> DemoSettings:
    """Raises `DemoError` that names the variable."""
    ports = {name: _port(environ, name, default) for name, default in _PORTS.items()}
    directory = Path(environ.get("DEMO_DIR") or ROOT / ".demo").absolute()
    made = DemoSettings(
        directory=directory,
        gateway_port=ports["GATEWAY_PORT"],
        simulator_port=ports["SIMULATOR_PORT"],
        document_system_port=ports["DOCUMENT_SYSTEM_PORT"],
    )
    if len(set(ports.values())) != len(ports):
        raise DemoError("GATEWAY_PORT, SIMULATOR_PORT and DOCUMENT_SYSTEM_PORT have to differ")
    for name, port in ports.items():
        _check_free(name, port)
    return made


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on right now, for a throw-away run."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise DemoError(f"{name}: expected a port from 1 to 65535, came {text[:20]!r}")
    return int(text)


def _check_free(name: str, port: int) -> None:
    with socket.socket() as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as e:
            raise DemoError(
                f"port {port} is busy or not permitted ({e.strerror}); stop what listens there, "
                f"or choose another: {name}=… make demo"
            ) from e
