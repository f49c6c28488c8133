"""Device status against the simulated platform: by user and by ID number, without ringing."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509

from moica_gateway.client import GatewayClient
from tests.stage import on_stage

ID_NUMBER = "A123456789"
STRANGER = "B223456782"


async def test_it_follows_binding_and_certificate(tmp_path: Path) -> None:
    """Bound, revoked, unbound, renewed by another phone; a stranger has none."""
    async with on_stage(tmp_path) as stage, GatewayClient(stage.url, stage.api_key) as client:
        await stage.simulator.add_person(ID_NUMBER, "王小明")
        device = await stage.simulator.bind_device(ID_NUMBER, "我的手機")
        await stage.simulator.set_behaviour(device.id, "confirm")
        begun = await client.begin_registration(user_id="u1", id_number=ID_NUMBER)
        assert (await client.wait(begun.id, seconds=20)).status == "completed"

        async def seen() -> tuple[bool, bool]:
            by_user = await client.device_status(user_id="u1")
            assert by_user == await client.device_status(id_number=ID_NUMBER)
            return by_user.bound, by_user.certificate_usable

        assert await seen() == (True, True)
        assert device.certificate is not None
        serial = x509.load_der_x509_certificate(device.certificate).serial_number
        await stage.simulator.revoke(f"{serial:x}")
        assert await seen() == (True, False)
        await stage.simulator.unbind(device.id)
        assert await seen() == (False, False)
        await stage.simulator.bind_device(ID_NUMBER, "新手機")
        assert await seen() == (True, True)
        stranger = await client.device_status(id_number=STRANGER)
        assert (stranger.bound, stranger.certificate_usable) == (False, False)
        assert len(await stage.simulator.inbox(device.id)) == 1
