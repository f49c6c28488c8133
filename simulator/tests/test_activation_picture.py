"""The QR code of an activation code: drawn, and scanned by the phone that it binds."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest
from PIL import Image

from moica_simulator import PlatformError, Simulator, SimulatorError
from moica_simulator.phone.camera import draw_qr_code, read_qr_code

WANG = "A123456789"


async def test_a_phone_is_bound_by_the_picture_of_its_code(sim: Simulator) -> None:
    """In process: good once, as the code itself, and not another's ticket or an empty picture."""
    await sim.add_person(WANG, "王小明")
    code = (await sim.new_activation_code(WANG)).code
    picture = sim.activation_code_picture(code)
    assert read_qr_code(picture) == code
    phone = await sim.add_device("手機")
    bound = await sim.bind(phone.id, picture)
    assert (bound.bound, bound.id_number) == (True, WANG)
    second = await sim.add_device("第二支")
    with pytest.raises(PlatformError, match="OTP_NF"):
        await sim.bind(second.id, picture)
    with pytest.raises(PlatformError, match="OTP_NF"):
        await sim.bind(second.id, draw_qr_code("https://www.gov.tw/"))
    with pytest.raises(SimulatorError, match="picture_unreadable"):
        await sim.bind(second.id, b"no picture")
    with pytest.raises(SimulatorError, match="activation_code_unknown"):
        sim.activation_code_picture("00000000")
    assert not sim.device(second.id).bound


async def test_the_picture_is_served_and_sent_over_http(
    sim: Simulator, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """At the path that the code's answer names; as PNG or JPEG, and as nothing else."""
    await sim.add_person(WANG, "王小明")
    api = f"{sim.url}/sim/v1"

    async def bind(device_id: str, picture: bytes, media_type: str) -> tuple[int, Any]:
        headers = {"Content-Type": media_type}
        url = f"{api}/devices/{device_id}/bind"
        async with http.post(url, data=picture, headers=headers) as reply:
            return reply.status, await reply.json()

    async with http.post(f"{api}/people/{WANG}/activation-codes", json={}) as reply:
        issued = await reply.json()
    async with http.get(f"{sim.url}{issued['picture']}") as reply:
        assert (reply.status, reply.content_type) == (200, "image/png")
        assert reply.headers["Cache-Control"] == "no-store"
        picture = await reply.read()
    phone = await sim.add_device("手機")
    status, refused = await bind(phone.id, picture, "image/gif")
    assert (status, refused["error"]) == (415, "body_invalid")
    status, refused = await bind(phone.id, b"\x89PNG", "image/png")
    assert (status, refused["error"]) == (400, "picture_unreadable")
    (tmp_path / "code.png").write_bytes(picture)
    with Image.open(tmp_path / "code.png") as drawn:
        drawn.save(tmp_path / "code.jpeg")
    status, bound = await bind(phone.id, (tmp_path / "code.jpeg").read_bytes(), "image/jpeg")
    assert (status, bound["bound"], bound["id_number"]) == (200, True, WANG)
    async with http.get(f"{sim.url}/activation-codes/00000000.png") as reply:
        assert reply.status == 404
