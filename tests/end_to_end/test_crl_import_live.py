"""A network without Internet: the operator brings the lists, the gateway goes on running."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from urllib.request import urlopen

from aiohttp.test_utils import TestServer
from attrs import evolve
from click.testing import CliRunner, Result

from moica_gateway.app import SystemClock, open_gateway
from moica_gateway.cli import main
from moica_gateway.client import GatewayClient
from moica_gateway.domain.models import Scope
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import Secret
from moica_gateway.settings import Settings
from moica_gateway.stores import migrate
from moica_gateway.testing.pki import MemoryPki
from moica_gateway.wire import TransactionView
from moica_simulator import Simulator
from tests.stage import AES_KEY, SERVICE, TENANT, write_settings

ID_NUMBER = "A123456789"


class Brisk(SystemClock):
    """The system's clock, whose workers come round more often."""

    async def sleep(self, seconds: float) -> None:
        """A fifth of a second at most."""
        await asyncio.sleep(min(seconds, 0.2))


def config_of(settings: Settings, folder: Path) -> Path:
    """The same as a file, for the command."""

    def array(values: tuple[str, ...]) -> str:
        return "[" + ", ".join(f'"{value}"' for value in values) + "]"

    path = folder / "gateway.toml"
    path.write_text(
        f"""
environment = "simulator"
data_dir = "{settings.data_dir}"
[upstream]
base_url = "{settings.upstream.base_url}"
[trust]
anchors = {array(settings.trust.anchors)}
intermediates = {array(settings.trust.intermediates)}
crl_hosts = {array(settings.trust.crl_hosts)}
"""
    )
    return path


async def command(config: Path, *arguments: str) -> Result:
    """As the operator types it, beside the running gateway."""
    runner = CliRunner()
    return await asyncio.to_thread(runner.invoke, main, ["--config", str(config), *arguments])


async def test_imported_lists_let_a_running_gateway_sign(tmp_path: Path) -> None:
    """Without them nothing is accepted; with them it is, and a revocation that a newer list
    brings is seen; a forged one changes nothing."""
    async with Simulator.start(fast=True) as simulator:
        await simulator.add_service_provider(SERVICE, base64.b64encode(AES_KEY).decode(), "示範")
        settings = write_settings(tmp_path, simulator)
        # No CRL or OCSP host may be asked at all.
        settings = evolve(settings, trust=evolve(settings.trust, crl_hosts=("crl.invalid",)))
        migrate(settings.database_url)
        config = config_of(settings, tmp_path)
        async with open_gateway(settings, clock=Brisk()) as gateway:
            tenants = gateway.services.tenants
            await tenants.create_tenant(TENANT, "t1", TenantPolicy())
            await tenants.set_service_provider(TENANT, SERVICE, Secret(AES_KEY), "k1")
            api_key = await tenants.create_key(TENANT, "all", frozenset(Scope), test=True)
            await simulator.add_person(ID_NUMBER, "王小明")
            device = await simulator.bind_device(ID_NUMBER)
            await simulator.set_behaviour(device.id, "confirm")
            async with TestServer(gateway.app) as server:
                url = str(server.make_url("")).rstrip("/")
                async with GatewayClient(url, api_key) as client:
                    await _play(simulator, client, config, tmp_path, device.certificate_serial)


async def _play(
    simulator: Simulator, client: GatewayClient, config: Path, folder: Path, serial: str | None
) -> None:
    async def register() -> TransactionView:
        begun = await client.begin_registration(user_id="u1", id_number=ID_NUMBER)
        return await client.wait(begun.id, seconds=20)

    async def bring(name: str) -> Result:
        def download() -> None:
            with urlopen(f"{simulator.url}/pki/crl/{name}.crl", timeout=20) as reply:  # noqa: S310
                (folder / f"{name}.crl").write_bytes(reply.read())

        await asyncio.to_thread(download)
        return await command(config, "crl", "import", str(folder / f"{name}.crl"))

    assert serial is not None
    ended = await register()
    assert ended.error is not None
    assert ended.error.code == "revocation_unknown"

    forged = MemoryPki(marked=True)
    (folder / "forged.crl").write_bytes(forged.crl(url=None))
    refused = await command(config, "crl", "import", str(folder / "forged.crl"))
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)
    assert "no configured authority" in refused.stderr
    refused = await command(config, "crl", "import", str(config))
    assert refused.exit_code == 2
    assert (await command(config, "crl", "list")).output == ""

    for name in ("MOICA-SIM-complete", "GRCA-SIM"):
        taken = await bring(name)
        assert taken.exit_code == 0, taken.output
        assert "0 revoked, for all certificates" in taken.output
    listed = await command(config, "crl", "list")
    assert len(listed.output.splitlines()) == 2
    ended = await register()
    assert ended.status == "completed", ended.error

    await simulator.revoke(serial)
    assert "1 revoked" in (await bring("MOICA-SIM-complete")).output
    older = await command(config, "crl", "import", str(folder / "MOICA-SIM-complete.crl"))
    assert older.exit_code == 0, "the same list again is no error"
    for _ in range(50):  # each of them is a registration with its round trips, not a sleep
        ended = await register()
        if ended.error is not None:
            break
    assert ended.error is not None
    assert ended.error.code == "certificate_revoked"
