"""A gateway on SQLite before a simulated platform, both real and in this process, for tests."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestServer
from attrs import frozen

from moica_gateway.app import Gateway, open_gateway
from moica_gateway.domain.models import Scope
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import Secret, TenantId
from moica_gateway.ports import Clock
from moica_gateway.settings import Settings, TrustSettings, UpstreamSettings
from moica_gateway.stores import migrate
from moica_simulator import Simulator

__all__ = ["AES_KEY", "SERVICE", "TENANT", "Stage", "on_stage", "write_settings"]

AES_KEY = bytes(range(32))
SERVICE = "20261123090000000001"
TENANT = TenantId("t1")


@frozen
class Stage:
    """``api_key`` has every scope of the one tenant."""

    gateway: Gateway
    simulator: Simulator
    url: str
    api_key: str


def write_settings(folder: Path, simulator: Simulator, **more: Any) -> Settings:
    """Of the simulator environment; the folder gets anchors and a master key."""
    roots, intermediates = [], []
    pems = simulator.anchors_pem.split("-----END CERTIFICATE-----\n")
    for number, pem in enumerate(pem for pem in pems if "BEGIN" in pem):
        path = folder / f"ca{number}.pem"
        path.write_text(pem + "-----END CERTIFICATE-----\n")
        asked = ["openssl", "x509", "-noout", "-subject_hash", "-issuer_hash", "-in", str(path)]
        done = subprocess.run(asked, capture_output=True, check=True)
        subject, issuer = done.stdout.split()
        (roots if subject == issuer else intermediates).append(str(path))
    key = folder / "master.key"
    key.write_text(base64.b64encode(b"m" * 32).decode())
    key.chmod(0o600)
    return Settings(
        environment="simulator",
        data_dir=str(folder),
        upstream=UpstreamSettings(
            base_url=simulator.url, web_base_url=simulator.url, poll_interval=0.05
        ),
        trust=TrustSettings(
            anchors=tuple(roots),
            intermediates=tuple(intermediates),
            crl_hosts=(simulator.url.removeprefix("http://"),),
        ),
        **more,
    )


@asynccontextmanager
async def on_stage(
    folder: Path, *, clock: Clock | None = None, **settings_: Any
) -> AsyncIterator[Stage]:
    """Both running, with one tenant known to both; ``settings_`` are further settings."""
    async with Simulator.start(fast=True) as simulator:
        await simulator.add_service_provider(SERVICE, base64.b64encode(AES_KEY).decode(), "示範")
        settings = write_settings(folder, simulator, **settings_)
        migrate(settings.database_url)
        async with open_gateway(settings, clock=clock) as gateway:
            tenants = gateway.services.tenants
            await tenants.create_tenant(TENANT, "t1", TenantPolicy())
            await tenants.set_service_provider(TENANT, SERVICE, Secret(AES_KEY), "k1")
            api_key = await tenants.create_key(TENANT, "all", frozenset(Scope), test=True)
            async with TestServer(gateway.app) as server:
                url = str(server.make_url("")).rstrip("/")
                await simulator.set_callback_url(SERVICE, f"{url}/callbacks/moi/{TENANT}")
                yield Stage(gateway, simulator, url, api_key)
