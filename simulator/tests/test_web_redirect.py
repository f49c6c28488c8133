"""WEB-01: the browser's pages, and the form that the platform posts to the relying system."""

import asyncio
import base64
import hashlib
import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from attrs import define, field
from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from moica_simulator import Clock, Device, KeyPool, Simulator, SimulatorError

WANG = "A123456789"
DATA = b"DOC_DIGEST"


@define
class Receiver:
    """A relying system's end: what came, and which statuses to answer first."""

    url: str = ""
    forms: list[dict[str, str]] = field(factory=list)
    statuses: list[int] = field(factory=list)


@pytest.fixture
async def receiver(sim: Simulator, system: Any) -> AsyncIterator[Receiver]:
    """Listening, and registered as the system's callback URL."""
    made = Receiver()

    async def take(request: web.Request) -> web.Response:
        assert request.content_type == "application/x-www-form-urlencoded"
        assert "Cookie" not in request.headers
        made.forms.append({name: str(value) for name, value in (await request.post()).items()})
        return web.Response(status=made.statuses.pop(0) if made.statuses else 200)

    app = web.Application()
    app.router.add_post("/callback", take)
    async with TestServer(app) as server:
        made.url = str(server.make_url("/callback"))
        await sim.set_callback_url(system.service_id, made.url)
        yield made


def form_of(system: Any, **changes: str) -> dict[str, str]:
    """Makes a browser's form with the right checksum."""
    form = {
        "transaction_id": str(uuid.uuid4()),
        "op_code": "SIGN",
        "sp_service_id": system.service_id,
        "hint": "公文文號：1153000165",
        "sign_type": "PKCS#1",
        "sign_data": base64.b64encode(DATA).decode(),
        "tbs_encoding": "base64",
        "hash_algorithm": "SHA256",
        "time_limit": "60",
        **changes,
    }
    order = ("transaction_id", "sp_service_id", "op_code", "hint", "sign_data")
    sealed = system.seal("".join(form.get(name, "") for name in order))
    return {"sp_checksum": sealed, **form}


async def post(http: aiohttp.ClientSession, url: str, form: dict[str, str]) -> tuple[int, str]:
    """Posts as a browser does; returns status and page."""
    async with http.post(url, data=form) as answer:
        assert answer.content_type == "text/html"
        page = await answer.text()
        assert "NOT FOR PRODUCTION" in page
        assert 'lang="zh-Hant-TW"' in page
        return answer.status, page


async def typed(
    http: aiohttp.ClientSession, sim: Simulator, form: dict[str, str], id_number: str = WANG
) -> tuple[str, str]:
    """Brings the form, types an ID number; returns the page and its address."""
    status, page = await post(http, f"{sim.url}/fidoRedirect/web", form)
    assert status == 200, page
    action = re.search(r'action="([^"]+)"', page)
    assert action is not None
    url = sim.url + action[1]
    return (await post(http, url, {"id_num": id_number}))[1], url


def covered(system: Any, form: dict[str, str]) -> bool:
    """Whether a callback's checksum covers it, reckoned by hand."""
    order = ("transaction_id", "error_code", "id_num", "signed_response")
    payload = "".join(form.get(name, "") for name in order)
    wanted = hashlib.sha256(payload.encode()).hexdigest()
    return bool(system.unseal(form["idp_checksum"]) == wanted)


@pytest.mark.parametrize(
    ("mine", "others"),
    [
        ("sp_service_id", "another"),
        ("device_id", "another"),
        ("id_number", "B123456780"),
    ],
)
async def test_a_fault_on_the_callback_is_for_one_system_person_or_phone(
    mine: str,
    others: str,
    sim: Simulator,
    system: Any,
    phone: Device,
    receiver: Receiver,
    http: aiohttp.ClientSession,
) -> None:
    """Set for somebody else it alters nothing."""
    whose = {"sp_service_id": system.service_id, "device_id": phone.id, "id_number": WANG}
    await sim.set_behaviour(phone.id, "confirm")
    await sim.add_fault("SP-API-WEB-01", code="DB_CONN_ERR", **{mine: others})  # type: ignore[arg-type]
    await typed(http, sim, form_of(system))
    await sim.settle()
    await sim.add_fault("SP-API-WEB-01", code="DB_CONN_ERR", **{mine: whose[mine]})  # type: ignore[arg-type]
    await typed(http, sim, form_of(system))
    await sim.settle()
    codes = [form["error_code"] for form in receiver.forms]
    assert codes == ["0", "SP-API-WEB-01-DB_CONN_ERR"]
    assert [each.applied for each in sim.faults.all()] == [0, 1]


async def test_a_confirmed_redirect_is_called_back_with_signature_and_certificate(
    sim: Simulator, system: Any, phone: Device, receiver: Receiver, http: aiohttp.ClientSession
) -> None:
    """The callback's checksum covers it, its signature verifies, and the browser sees the end."""
    form = form_of(system)
    page, url = await typed(http, sim, form)
    assert "請在手機" in page
    assert 'http-equiv="refresh"' in page
    await sim.settle()
    assert receiver.forms == []
    request = await sim.wait_for_request(phone.id)
    assert request.hint == form["hint"]
    await sim.confirm(phone.id, request.sp_ticket_id)
    await sim.settle()
    (came,) = receiver.forms
    assert set(came) == {
        *("transaction_id", "error_code", "id_num", "signed_response", "cert", "idp_checksum")
    }
    assert (came["error_code"], came["id_num"]) == ("0", WANG)
    assert came["transaction_id"] == form["transaction_id"]
    assert covered(system, came)
    key = x509.load_der_x509_certificate(base64.b64decode(came["cert"])).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(base64.b64decode(came["signed_response"]), DATA, padding.PKCS1v15(), SHA256())
    async with http.get(url) as answer:
        assert "已完成確認" in await answer.text()
    asked, called = [each for each in sim.requests if each.interface == "SP-API-WEB-01"]
    assert asked.checksum_verified
    assert asked.body == form
    assert (called.http_status, called.error_code, called.answer) == (200, "0", came)


async def test_a_bare_authentication_brings_no_certificate(
    sim: Simulator, system: Any, phone: Device, receiver: Receiver, http: aiohttp.ClientSession
) -> None:
    """ATH by redirect needs no sign fields, also if they are there and empty."""
    await sim.set_behaviour(phone.id, "confirm")
    empty = dict.fromkeys(("sign_type", "sign_data", "tbs_encoding", "hash_algorithm"), "")
    await typed(http, sim, form_of(system, op_code="ATH", **empty))
    await sim.settle()
    (came,) = receiver.forms
    assert set(came) == {"transaction_id", "error_code", "id_num", "idp_checksum"}
    assert covered(system, came)


@pytest.mark.parametrize(
    ("how", "code"), [("refuse", "APP_USER_CANCEL"), ("lapse", "SPTKT_OVD"), ("nobody", "")]
)
async def test_what_ends_otherwise_is_called_back_with_its_code(
    how: str,
    code: str,
    sim: Simulator,
    system: Any,
    phone: Device,
    receiver: Receiver,
    http: aiohttp.ClientSession,
    clock: Clock,
) -> None:
    """Refused, lapsed on the simulated clock, or typed by somebody without a phone."""
    page, url = await typed(http, sim, form_of(system), WANG if code else "B123456780")
    if how == "refuse":
        await sim.refuse(phone.id, (await sim.wait_for_request(phone.id)).sp_ticket_id)
    elif how == "lapse":
        clock.advance(59)
        await sim.settle()
        assert receiver.forms == []
        clock.advance(1)
    await sim.settle()
    (came,) = receiver.forms
    assert came["error_code"] == f"SP-API-WEB-01-{code or 'IDNUM_USERPROF_NF'}"
    assert "signed_response" not in came
    assert covered(system, came)
    async with http.get(url) as answer:
        page = await answer.text()
    assert 'http-equiv="refresh"' not in page
    assert {"refuse": "您已取消", "lapse": "已逾時", "nobody": "IDNUM_USERPROF_NF"}[how] in page


async def test_a_failed_callback_comes_again_after_1_5_and_30_seconds(
    sim: Simulator,
    system: Any,
    phone: Device,
    receiver: Receiver,
    http: aiohttp.ClientSession,
    clock: Clock,
) -> None:
    """Four attempts in all, and none after a success."""
    receiver.statuses[:] = [500, 404, 503, 500]
    await sim.set_behaviour(phone.id, "confirm")
    await typed(http, sim, form_of(system))
    await sim.settle()
    counts = [len(receiver.forms)]
    for seconds in (1, 5, 29, 1, 600):
        clock.advance(seconds)
        await sim.settle()
        counts.append(len(receiver.forms))
    assert counts == [1, 2, 3, 3, 4, 4]
    receiver.statuses[:] = [500]
    await typed(http, sim, form_of(system))
    for _ in range(4):
        await sim.settle()
        clock.advance(31)
    assert len(receiver.forms) == 6


BAD: dict[str, tuple[str, dict[str, str]]] = {
    "a stranger": ("SPSVCID_NF", {"sp_service_id": "1"}),
    "a batch": ("TGT_INV", {"op_code": "BATSIGN"}),
    "too soon": ("SPTKT_TIME_ORV", {"time_limit": "29"}),
    "no number": ("SPTKT_TIME_FT_ERR", {"time_limit": "soon"}),
    "nothing to sign": ("PM_SIGNDATA_NULL", {"sign_data": ""}),
    "too much": ("SIGNDATA_LEN_LIMIT", {"sign_data": "QUFB" * 257}),
    "no base64": ("PM_INV_NF", {"sign_data": "!"}),
}


@pytest.mark.parametrize("case", [*BAD, "checksum", "twice"])
async def test_a_wrong_form_is_an_error_page_and_nobody_is_called_back(
    case: str,
    sim: Simulator,
    system: Any,
    phone: Device,
    receiver: Receiver,
    http: aiohttp.ClientSession,
) -> None:
    """The page names the code, the history keeps it."""
    code, changes = BAD.get(case, ("INV_SP_CHECKSUM", {}))
    form = form_of(system, **changes)
    if case == "checksum":
        form["hint"] += "!"
    if case == "twice":
        code = "TXNLOG_INS_ERR"
        await typed(http, sim, form)
    status, page = await post(http, f"{sim.url}/fidoRedirect/web", form)
    assert (status, code in page) == (400, True), page
    assert sim.requests[-1].error_code == f"SP-API-WEB-01-{code}"
    await sim.settle()
    assert receiver.forms == []


async def test_a_system_without_a_callback_url_is_refused(
    sim: Simulator, system: Any, http: aiohttp.ClientSession
) -> None:
    """TGT_INV, and the page says what to set."""
    status, page = await post(http, f"{sim.url}/fidoRedirect/web", form_of(system))
    assert (status, "TGT_INV" in page, "callback-url" in page) == (400, True, True)


async def test_a_mistyped_id_number_is_asked_for_again(
    sim: Simulator, system: Any, phone: Device, receiver: Receiver, http: aiohttp.ClientSession
) -> None:
    """Nothing is used up; the right number goes on; markup in the hint stays text."""
    form = form_of(system, hint="<b>1</b>")
    page, url = await typed(http, sim, form, "A12345")
    assert "請重新輸入" in page
    assert "&lt;b&gt;1&lt;/b&gt;" in page
    assert "<b>1</b>" not in page
    assert "請在手機" in (await post(http, url, {"id_num": WANG.lower()}))[1]
    assert len(await sim.inbox(phone.id)) == 1
    await post(http, url, {"id_num": WANG})
    assert len(await sim.inbox(phone.id)) == 1


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"tamper": "idp_checksum"}, "broken"),
        ({"tamper": "signed_response"}, "resealed"),
        ({"tamper": "cert"}, "resealed"),
        ({"tamper": "signed_response", "reseal": False}, "uncovered"),
        ({"code": "APP_SIGN_FAILURE"}, "refused"),
        ({"drop": "request"}, "later"),
        ({"drop": "answer"}, "twice"),
    ],
)
async def test_faults_harm_the_callback(
    fault: dict[str, Any],
    expected: str,
    sim: Simulator,
    system: Any,
    phone: Device,
    receiver: Receiver,
    http: aiohttp.ClientSession,
    clock: Clock,
) -> None:
    """Each once, and the history names it."""
    set_ = await sim.add_fault("SP-API-WEB-01", **fault)
    await sim.set_behaviour(phone.id, "confirm")
    await typed(http, sim, form_of(system))
    await sim.settle()
    assert sim.requests[-1].faults == (set_.fault_id,)
    if expected == "later":
        assert receiver.forms == []
    if expected in ("later", "twice"):
        clock.advance(1)
        await sim.settle()
        assert len(receiver.forms) == (1 if expected == "later" else 2)
        assert all(covered(system, each) for each in receiver.forms)
        return
    (came,) = receiver.forms
    if expected == "broken":
        with pytest.raises(InvalidTag):
            system.unseal(came["idp_checksum"])
        return
    assert covered(system, came) is (expected != "uncovered")
    if expected == "refused":
        assert came["error_code"] == "SP-API-WEB-01-APP_SIGN_FAILURE"
        return
    certificate = base64.b64decode(came["cert"])
    assert (certificate == phone.certificate) is (fault["tamper"] != "cert")
    key = x509.load_der_x509_certificate(certificate).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    if "signed_response" in fault.values():
        with pytest.raises(InvalidSignature):
            key.verify(
                base64.b64decode(came["signed_response"]), DATA, padding.PKCS1v15(), SHA256()
            )


async def test_a_callback_survives_a_restart(
    keys: KeyPool, system: Any, receiver: Receiver, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """What was not delivered is posted after the next start from the same folder."""
    clock = Clock()
    receiver.statuses[:] = [500]
    async with Simulator.start(fast=True, keys=keys, state=tmp_path, clock=clock) as first:
        await first.add_service_provider(
            system.service_id, system.key_base64, "示範", callback_url=receiver.url
        )
        await first.add_person(WANG, "王小明")
        device = await first.bind_device(WANG)
        await first.set_behaviour(device.id, "confirm")
        await typed(http, first, form_of(system))
        await first.settle()
        assert len(receiver.forms) == 1
    async with Simulator.start(fast=True, keys=keys, state=tmp_path) as second:
        await asyncio.wait_for(second.settle(), 10)
    assert len(receiver.forms) == 2
    assert covered(system, receiver.forms[1])


async def test_the_callback_url_is_set_over_the_control_api(
    sim: Simulator, system: Any, http: aiohttp.ClientSession
) -> None:
    """Set, taken away, and refused if it is no URL or the system is unknown."""
    url = f"{sim.url}/sim/v1/service-providers/{system.service_id}/callback-url"
    for value in ("http://127.0.0.1:1/cb", None):
        async with http.put(url, json={"callback_url": value}) as answer:
            assert (answer.status, (await answer.json())["callback_url"]) == (200, value)
    for wrong in ("ftp://x/", "http://", "http://x:99999/", "x"):
        with pytest.raises(SimulatorError, match="service_provider_invalid"):
            await sim.set_callback_url(system.service_id, wrong)
    with pytest.raises(SimulatorError, match="service_provider_unknown"):
        await sim.set_callback_url("1", None)


async def test_the_switch_for_checksums_on_errors_is_on_the_control_api(
    sim: Simulator, system: Any, http: aiohttp.ClientSession, code_of: Any
) -> None:
    """Off at first; on, a refusal has a result with a checksum."""
    url = f"{sim.url}/sim/v1/error-checksums"
    async with http.get(url) as answer:
        assert await answer.json() == {"carried": False}
    body = system.push_body(id_num="A12345")
    assert "result" not in await system.call("requestAthOrSignPush", body)
    async with http.put(url, json={"carried": True}) as answer:
        assert await answer.json() == {"carried": True}
    assert "idp_checksum" in (await system.call("requestAthOrSignPush", body))["result"]
