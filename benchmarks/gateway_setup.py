"""A gateway's folder, made before it is started: anchors, settings, tenant, keys, webhook.

The limits that protect a real gateway from one caller are lifted, since here one caller is the
load of a whole country; nothing else differs from `serve` as anybody starts it.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from moica_gateway.app import open_gateway
from moica_gateway.domain.models import Scope
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import Secret, TenantId
from moica_gateway.settings import load_settings
from moica_gateway.stores import migrate

__all__ = ["AES_KEY", "SERVICE_ID", "WEBHOOK_SECRET", "House", "prepare_house"]

AES_KEY = bytes(range(32))
"""An invented key."""
SERVICE_ID = "20261123090000000001"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"b" * 32).decode()
_TENANT = TenantId("t1")
_END = "-----END CERTIFICATE-----\n"


@frozen
class House:
    """What a gateway, or a client in its place, needs to know.

    Attributes:
        people: ID numbers whose phones confirm by themselves.
    """

    settings_file: Path
    simulator_url: str
    people: tuple[str, ...]
    api_key: str
    interval: float


async def prepare_house(
    folder: Path,
    simulator: Mapping[str, Any],
    hook: str,
    *,
    interval: float,
    database: str = "",
) -> House:
    """Everything that the gateway will find in its folder."""
    settings_file = _written(folder, simulator, interval, database)
    settings = load_settings(settings_file, {})
    migrate(settings.database_url)
    async with open_gateway(settings, workers=False) as gateway:
        tenants = gateway.services.tenants
        await tenants.create_tenant(_TENANT, "t1", TenantPolicy())
        await tenants.set_service_provider(_TENANT, SERVICE_ID, Secret(AES_KEY), "k1")
        api_key = await tenants.create_key(_TENANT, "all", frozenset(Scope), test=True)
        await tenants.add_webhook(_TENANT, hook, WEBHOOK_SECRET, None)
    return House(settings_file, simulator["url"], tuple(simulator["people"]), api_key, interval)


def _written(folder: Path, simulator: Mapping[str, Any], interval: float, database: str) -> Path:
    roots: list[str] = []
    intermediates: list[str] = []
    for number, pem in enumerate(simulator["anchors_pem"].split(_END)):
        if "BEGIN" not in pem:
            continue
        path = folder / f"ca{number}.pem"
        path.write_text(pem + _END)
        asked = ["openssl", "x509", "-noout", "-subject_hash", "-issuer_hash", "-in", str(path)]
        subject, issuer = subprocess.run(asked, capture_output=True, check=True).stdout.split()
        (roots if subject == issuer else intermediates).append(str(path))
    key = folder / "master.key"
    key.write_text(base64.b64encode(b"m" * 32).decode())
    key.chmod(0o600)
    host = simulator["url"].removeprefix("http://")
    lines = {
        "": {
            "environment": "simulator",
            "port": 0,
            "data_dir": str(folder),
            "database": database,
            "log_format": "json",
        },
        "upstream": {"base_url": simulator["url"], "poll_interval": interval},
        "trust": {"anchors": roots, "intermediates": intermediates, "crl_hosts": [host]},
        "limits": {"tenant_rate": 1e5, "tenant_burst": 100_000},
        "brakes": {
            "person_requests": 1_000_000,
            "tenant_requests": 900_000,
            "gateway_requests": 1_000_000,
        },
    }
    text = ""
    for section, values in lines.items():
        text += f"[{section}]\n" if section else ""
        # What JSON writes of these types is TOML as well.
        text += "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
    file = folder / "gateway.toml"
    file.write_text(text)
    return file
