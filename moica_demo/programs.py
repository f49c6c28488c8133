"""Starts the three programs, in the caller's process group, with everything under ``DEMO_DIR``.

Keys: the platform's AES key and the API key stand in clear in ``demo.env`` only. A second start
takes them over from there and goes on where the first stopped.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from moica_demo.errors import DemoError
from moica_demo.http import call, wait_ready
from moica_demo.install import program
from moica_demo.settings import DemoSettings

__all__ = ["PEOPLE", "TENANT", "Running", "running"]

TENANT = "demo"
PEOPLE = (
    ("clerk01", "王小明", "A123456789"),
    ("clerk02", "李怡君", "B223456782"),
    ("clerk03", "張家豪", "C123456781"),
    ("clerk04", "黃淑芬", "D223456784"),
    ("clerk05", "吳俊傑", "E123456783"),
    ("chief01", "陳美玲", "F223456786"),
    ("secretary01", "林志成", "G123456785"),
)
"""User of the document system, name, invented ID number; each has one bound phone."""
_SCOPES = ("sign", "register", "read", "identity:query", "admin")
_STOP_WITHIN = 15.0


@dataclass(frozen=True)
class Running:
    """What scripts need to join in."""

    settings: DemoSettings
    api_key: str
    phones: dict[str, str]
    """Device id by user."""
    anchors: Path
    processes: tuple[subprocess.Popen[bytes], ...]

    def alive(self) -> None:
        """Raises `DemoError` when one of the programs has ended."""
        for process in self.processes:
            _alive(process)


@contextmanager
def running(settings: DemoSettings) -> Iterator[Running]:
    """All three, ready; stopped cleanly at the end."""
    for folder in ("simulator", "gateway", "document-system"):
        (settings.directory / folder).mkdir(parents=True, exist_ok=True)
    before = _read_env(settings.env_file)
    settings.env_file.unlink(missing_ok=True)
    # A start that died before demo.env was written has lost the key that the platform knows: a new
    # service id goes with a new key.
    aes_key = before.get("SP_AES_KEY") or base64.b64encode(secrets.token_bytes(32)).decode()
    sp_service_id = before.get("SP_SERVICE_ID") or f"{secrets.randbelow(10**20):020d}"
    processes: list[subprocess.Popen[bytes]] = []
    try:
        simulator = _start(
            settings,
            processes,
            "simulator",
            [
                "moica-simulator",
                "serve",
                "--port",
                str(settings.simulator_port),
                "--state",
                str(settings.directory / "simulator" / "state"),
            ],
        )
        wait_ready(settings.simulator_url, lambda: _alive(simulator))
        phones = _people(settings)
        call(
            "POST",
            f"{settings.simulator_url}/sim/v1/service-providers",
            {
                "sp_service_id": sp_service_id,
                "aes_key": aes_key,
                "name": "公文線上簽核系統（示範）",
                "callback_url": f"{settings.gateway_url}/callbacks/moi/{TENANT}",
            },
        )
        anchors = _anchors(settings)
        api_key = before.get("API_KEY") or "mgk_test_" + secrets.token_urlsafe(32)
        # Made from the API key, so that a start needs to remember one secret less.
        webhook_secret = "whsec_" + base64.b64encode(
            hmac.digest(api_key.encode(), b"webhook", "sha256")
        ).decode("ascii")
        _set_up_gateway(settings, (sp_service_id, aes_key), api_key, webhook_secret)
        gateway = _start(
            settings,
            processes,
            "gateway",
            ["moica-gateway", "--config", _config(settings), "serve"],
        )
        document_system = _start(
            settings,
            processes,
            "document-system",
            [
                "document-system",
                "serve",
                "--port",
                str(settings.document_system_port),
                "--data",
                str(settings.directory / "document-system"),
                "--gateway-url",
                settings.gateway_url,
                "--sign-time-limit",
                str(settings.sign_time_limit),
                "--demo",
            ],
            DOCUMENT_SYSTEM_API_KEY=api_key,
            DOCUMENT_SYSTEM_WEBHOOK_SECRET=webhook_secret,
        )
        wait_ready(settings.gateway_url, lambda: _alive(gateway))
        wait_ready(settings.document_system_url, lambda: _alive(document_system))
        _write_env(settings, api_key, (sp_service_id, aes_key), anchors)
        yield Running(settings, api_key, phones, anchors, tuple(processes))
    finally:
        _stop(processes)


def _start(
    settings: DemoSettings,
    processes: list[subprocess.Popen[bytes]],
    name: str,
    command: list[str],
    **environment: str,
) -> subprocess.Popen[bytes]:
    log = settings.directory / name / f"{name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [program(command[0]), *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**_clean_environment(), **environment},
        )
    process.demo_log = log  # type: ignore[attr-defined]  # for the message when it ends
    processes.append(process)
    return process


def _clean_environment() -> dict[str, str]:
    """Without settings that were meant for another gateway or document system; and with compiled
    files kept, since a start of a program is mostly imports."""
    foreign = ("MOICA_GATEWAY_", "DOCUMENT_SYSTEM_", "SIMULATOR_", "PYTHONDONTWRITEBYTECODE")
    return {n: value for n, value in os.environ.items() if not n.startswith(foreign)}


def _alive(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        log = Path(process.demo_log)  # type: ignore[attr-defined]  # set in _start
        tail = log.read_text(errors="replace").splitlines()[-8:]
        raise DemoError(
            f"{log.stem} ended with status {process.returncode}; the end of {log}:\n  "
            + "\n  ".join(tail)
        )


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in reversed(processes):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    for process in processes:
        try:
            process.wait(_STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _people(settings: DemoSettings) -> dict[str, str]:
    base = f"{settings.simulator_url}/sim/v1"
    phones: dict[str, str] = {}
    for user, name, id_number in PEOPLE:
        call("POST", f"{base}/people", {"id_number": id_number, "name": name})
        devices = call("GET", f"{base}/people/{id_number}/devices")["items"]
        device = (
            devices[0]
            if devices
            else call(
                "POST",
                f"{base}/people/{id_number}/devices",
                {"name": "我的手機", "platform": "Android"},
            )
        )
        phones[user] = device["id"]
    return phones


def _anchors(settings: DemoSettings) -> Path:
    path = settings.directory / "anchors.pem"
    path.write_bytes(call("GET", f"{settings.simulator_url}/pki/anchors.pem"))
    for file, served in (("root.cer", "GRCA-SIM.crt"), ("intermediate.cer", "MOICA-SIM.crt")):
        certificate = call("GET", f"{settings.simulator_url}/pki/certs/{served}")
        (settings.directory / "gateway" / file).write_bytes(certificate)
    return path


def _config(settings: DemoSettings) -> str:
    return str(settings.directory / "gateway" / "gateway.toml")


def _set_up_gateway(
    settings: DemoSettings, provider: tuple[str, str], api_key: str, webhook_secret: str
) -> None:
    sp_service_id, aes_key = provider
    folder = settings.directory / "gateway"
    Path(_config(settings)).write_text(
        f"""\
environment = "simulator"
port = {settings.gateway_port}
data_dir = {_toml(folder)}

[upstream]
base_url = "{settings.simulator_url}"
poll_interval = 1.0

[trust]
anchors = [{_toml(folder / "root.cer")}]
intermediates = [{_toml(folder / "intermediate.cer")}]
crl_hosts = ["127.0.0.1:{settings.simulator_port}"]
"""
    )
    key_id = "sp-" + base64.b32encode(aes_key.encode()).decode()[:8].lower()
    hook = f"{settings.document_system_url}/webhooks/moica"
    scopes = [part for scope in _SCOPES for part in ("--scope", scope)]
    _gateway(settings, ["init"])
    # Each command costs a start of the program; what was set up before is left as it is.
    done = folder / "set-up"
    origin = settings.document_system_url
    state = hashlib.sha256("\n".join((*provider, api_key, hook, origin)).encode()).hexdigest()
    if done.exists() and done.read_text() == state:
        return
    # The origin is where a phone's app may lead back to.
    _gateway(
        settings,
        ["tenant", "add", TENANT, "--name", "示範公文系統", "--return-origin", origin],
    )
    set_key = ["tenant", "service-provider", TENANT, "--sp-service-id", sp_service_id]
    _gateway(settings, [*set_key, "--aes-key-file", "-", "--key-id", key_id], aes_key)
    _gateway(
        settings, ["key", "add", TENANT, "--name", "demo", *scopes, "--key-file", "-"], api_key
    )
    _gateway(settings, ["webhook", "add", TENANT, hook, "--secret-file", "-"], webhook_secret)
    done.write_text(state)


def _toml(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _gateway(settings: DemoSettings, arguments: list[str], secret: str = "") -> None:
    done = subprocess.run(
        [program("moica-gateway"), "--config", _config(settings), *arguments],
        input=secret.encode(),
        capture_output=True,
        env=_clean_environment(),
        check=False,
    )
    if done.returncode != 0:
        output = (done.stdout + done.stderr).decode(errors="replace")
        raise DemoError(f"moica-gateway {' '.join(arguments[:2])} failed:\n{output}")


def _read_env(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _write_env(
    settings: DemoSettings, api_key: str, provider: tuple[str, str], anchors: Path
) -> None:
    values = {
        "GATEWAY_URL": settings.gateway_url,
        "API_KEY": api_key,
        "SIMULATOR_URL": settings.simulator_url,
        "DOCUMENT_SYSTEM_URL": settings.document_system_url,
        "SP_SERVICE_ID": provider[0],
        "SP_AES_KEY": provider[1],
        "ANCHORS": str(anchors),
    }
    temporary = settings.env_file.with_suffix(".tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write("".join(f"{name}={value}\n" for name, value in values.items()))
    temporary.replace(settings.env_file)
