"""Every error code of the platform: by its cause where it has one, and by a fault."""

import csv
import re
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import attrs
import pytest

from moica_simulator import Clock, Device, PlatformError, Simulator

PAGE = Path(__file__).parents[1] / "docs/error-codes.md"
WANG, LEE = "A123456789", "B123456780"
RAW = {"sign_type": "RAW", "tbs_encoding": "base64", "hash_algorithm": "SHA256"}


def rows() -> dict[str, tuple[str, str, str]]:
    """Number, how, and by whom it is seen, by code."""
    found = re.findall(r"^\| `(\w+)` \| (\d*) \| (.+) \| (\w+) \|$", PAGE.read_text("utf-8"), re.M)
    return {code: (number, how, seen) for code, number, how, seen in found}


def listed() -> list[tuple[str, str]]:
    """The codes of the platform, with their numbers, in order."""
    text = files("moica_simulator").joinpath("error-codes.csv").read_text("utf-8")
    return [(row["code"], row["number"]) for row in csv.DictReader(text.splitlines())]


@attrs.frozen
class Scene:
    """Wang with a phone, Lee with another, and a relying system."""

    sim: Simulator
    clock: Clock
    system: Any
    phone: Device
    other: Device
    code_of: Callable[[dict[str, Any]], str]

    async def asked(self, method: str = "requestAthOrSignPush", **changes: Any) -> str:
        """The code that a request for a ticket is answered with."""
        body = self.system.push_body(**changes)
        return self.code_of(await self.system.call(method, body))

    async def polled(self, act: Callable[[str], Awaitable[Any]], **changes: Any) -> str:
        """The code that a poll finds, after something was done with the ticket."""
        body, ticket_id = await self.system.push(**changes)
        await act(ticket_id)
        return str(await self.system.result_code(body, ticket_id))

    async def told(self, asked: Awaitable[Any]) -> str:
        """The code that whoever drives the phone is told."""
        with pytest.raises(PlatformError) as caught:
            await asked
        return caught.value.code


Cause = Callable[[Scene], Awaitable[str]]


def sign_info(**changes: Any) -> dict[str, Any]:
    """That of a push, changed."""
    right = {
        "sign_type": "PKCS#1",
        "sign_data": "QQ==",
        "tbs_encoding": "base64",
        "hash_algorithm": "SHA256",
    }
    return right | changes


async def _unbound(scene: Scene) -> str:
    await scene.sim.unbind(scene.phone.id)
    return await scene.asked()


async def _twice(scene: Scene) -> str:
    body = scene.system.push_body()
    await scene.system.call("requestAthOrSignPush", body)
    return scene.code_of(await scene.system.call("requestAthOrSignPush", body))


async def _lapsed(scene: Scene) -> str:
    async def wait(_ticket_id: str) -> None:
        scene.clock.advance(61)

    return await scene.polled(wait)


async def _foreign_scan(scene: Scene) -> str:
    body, ticket_id, ticket = await scene.system.qr()
    assert await scene.told(scene.sim.scan(scene.other.id, ticket)) == "DEVID_SPTKT_MISMATCH"
    return str(await scene.system.result_code(body, ticket_id))


async def _unregistered(scene: Scene) -> str:
    await scene.sim.set_state(scene.phone.id, push="unregistered")
    _, _, ticket = await scene.system.qr()
    await scene.sim.scan(scene.phone.id, ticket)  # which still works
    return await scene.asked()


async def _other_checksum(scene: Scene) -> str:
    body = scene.system.signed("requestAthOrSignPush", scene.system.push_body())
    _, answer = await scene.system.post("requestAthOrSignPush", body | {"hint": "別的公文"})
    return scene.code_of(answer)


async def _not_yet(scene: Scene) -> str:
    async def nothing(_ticket_id: str) -> None:
        pass

    return await scene.polled(nothing)


async def _other_ticket(scene: Scene) -> str:
    body, _ = await scene.system.push()
    return str(await scene.system.result_code(body, "00000000-0000-4000-8000-000000000000"))


async def _batch(scene: Scene) -> str:
    info = {name: value for name, value in sign_info().items() if name != "sign_data"}
    info["sign_data_set"] = ["QQ=="] * 21
    return await scene.asked("doBatchSigning", op_code="BATSIGN", op_mode="PUSH", sign_info=info)


async def _refused(scene: Scene) -> str:
    return await scene.polled(lambda ticket: scene.sim.refuse(scene.phone.id, ticket))


def _confirmed(**info: Any) -> Cause:
    async def cause(scene: Scene) -> str:
        async def confirm(ticket: str) -> None:
            await scene.told(scene.sim.confirm(scene.phone.id, ticket))

        return await scene.polled(confirm, sign_info=sign_info(**info))

    return cause


async def _invented(scene: Scene) -> str:
    device = await scene.sim.add_device("另一支")
    return await scene.told(scene.sim.bind(device.id, "00000000"))


async def _too_late(scene: Scene) -> str:
    device = await scene.sim.add_device("另一支")
    code = await scene.sim.new_activation_code(WANG)
    scene.clock.advance(30 * 60)
    return await scene.told(scene.sim.bind(device.id, code.code))


async def _sixth(scene: Scene) -> str:
    for number in range(4):
        await scene.sim.bind_device(WANG, f"手機 {number}")
    return await scene.told(scene.sim.bind_device(WANG, "第六支"))


async def _forgotten(scene: Scene) -> str:
    _, _, ticket = await scene.system.qr()
    scene.sim.binding.unbind(scene.phone.id)
    return await scene.told(scene.sim.scan(scene.phone.id, ticket))


async def _confirmed_twice(scene: Scene) -> str:
    _, ticket_id = await scene.system.push()
    await scene.sim.confirm(scene.phone.id, ticket_id)
    return await scene.told(scene.sim.confirm(scene.phone.id, ticket_id))


def _scanned(change: Callable[[str], str]) -> Cause:
    async def cause(scene: Scene) -> str:
        _, _, ticket = await scene.system.qr()
        return await scene.told(scene.sim.scan(scene.phone.id, change(ticket)))

    return cause


def _asking(**changes: Any) -> Cause:
    return lambda scene: scene.asked(**changes)


CAUSES: dict[str, Cause] = {
    "IDNUM_USERPROF_NF": _asking(id_num="C100000003"),
    "IDNUM_DEVPROF_NF": _unbound,
    "DEV_DESC_MISMATCH": _asking(device_user_def_desc="別的手機"),
    "SPTKT_INS_ERR": _asking(id_num="A123456788"),
    "TXNLOG_INS_ERR": _twice,
    "SPTKT_OVD": _lapsed,
    "SPTKTID_SPTKT_NF": _other_ticket,
    "DEVID_SPTKT_MISMATCH": _foreign_scan,
    "PS_FCM_NOT_FOUND": _unregistered,
    "PM_INV_NF": _asking(op_code=...),
    "PM_SIGNDATA_NULL": _asking(sign_info=sign_info(sign_data="")),
    "INV_SP_CHECKSUM": _other_checksum,
    "TGT_INV": _asking(op_code="VOTE"),
    "PM_IDN_FT_ERR": _asking(id_num="A12345678"),
    "SPTKTID_TXNLOG_NF": _not_yet,
    "SIGNDATA_LEN_LIMIT": _asking(sign_info=sign_info(sign_data="Q" * 1025, tbs_encoding="NONE")),
    "SPTKT_TIME_FT_ERR": _asking(time_limit="soon"),
    "SPTKT_TIME_ORV": _asking(time_limit=29),
    "SPSVCID_NF": _asking(sp_service_id="1"),
    "BATSIGN_CNT_LIMIT": _batch,
    "APP_USER_CANCEL": _refused,
    "APP_DECODE_FAIL": _confirmed(**RAW, sign_data="QUJD"),
    "OTP_NF": _invented,
    "OTP_EXPIRED": _too_late,
    "DEV_LIM_REACHED": _sixth,
    "DEVID_DEVPROF_NF": _forgotten,
    "SPTKTID_SPTKT_RDM": _confirmed_twice,
    "SPTKT_PLD_FT_ERR": _scanned(lambda _ticket: "公文"),
    "SPTKT_DIG_FT_ERR": _scanned(
        lambda ticket: ticket[:-2] + ("A" if ticket[-2] != "A" else "B") + ticket[-1]
    ),
}


@pytest.fixture
async def scene(
    sim: Simulator, clock: Clock, system: Any, phone: Device, other_phone: Device, code_of: Any
) -> Scene:
    """See `Scene`."""
    return Scene(sim, clock, system, phone, other_phone, code_of)


def test_the_page_says_how_to_have_each_code_and_no_other() -> None:
    """In the order of the list, with the numbers that the app shows; a code has a cause that is
    tried here, or by an app of one's own, or the page says that a fault alone gives it."""
    assert [(code, number) for code, (number, _, _) in rows().items()] == listed()
    for code, (_, how, seen) in rows().items():
        by_fault = how.startswith("fault only: ")
        assert (code in CAUSES) == (not by_fault and seen != "app"), code
        assert seen in ("system", "phone", "app"), code
        assert (seen == "app") == how.endswith("by an app of one's own only"), code


@pytest.mark.parametrize("code", CAUSES)
async def test_a_code_comes_by_its_cause(scene: Scene, code: str) -> None:
    """As the page says, without any fault."""
    assert await CAUSES[code](scene) == code


def test_what_an_app_of_one_s_own_causes_is_tried() -> None:
    """By a test that names the code."""
    others = "".join(
        path.read_text("utf-8")
        for path in Path(__file__).parent.glob("test_*.py")
        if path.name != Path(__file__).name
    )
    for code in (code for code, (_, _, seen) in rows().items() if seen == "app"):
        assert re.search(rf"\b{code}\b", others), code


async def test_every_code_comes_by_a_fault_at_every_interface_that_can_say_it(
    scene: Scene,
) -> None:
    """Once, and then no more: while a ticket is asked for, and while its result is."""
    for code, _ in listed():
        await scene.sim.add_fault("SP-API-ATH-03", code=code, times=1)
        assert await scene.asked() == code
        body, ticket_id = await scene.system.push()
        await scene.sim.add_fault("SP-API-ATH-02", code=code, times=1)
        assert await scene.system.result_code(body, ticket_id) == code
        assert await scene.system.result_code(body, ticket_id) == "SPTKTID_TXNLOG_NF"
