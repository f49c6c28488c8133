"""Profiles: the narrowest and the widest reading of a request, and chaos that a seed repeats."""

import asyncio
import base64
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner

from moica_simulator import Clock, Device, KeyPool, Simulator, SimulatorError
from moica_simulator.chaos import Chaos
from moica_simulator.cli import main
from moica_simulator.faults import Line
from moica_simulator.platform.wire import Interface

PUSH, RESULT, REDIRECT = "SP-API-ATH-03", "SP-API-ATH-02", "SP-API-WEB-01"
NOON = datetime(2026, 4, 24, 4, 0, tzinfo=UTC)
UTF_8 = {"Content-Type": "application/json; charset=utf-8"}
SIGN = {
    "sign_type": "PKCS#1",
    "sign_data": "RE9DX0RJR0VTVF8xMjM0NTY3ODkw",
    "tbs_encoding": "base64",
    "hash_algorithm": "SHA256",
}


def sealed(system: Any, method: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The body as it is, under a checksum over its numbers as text."""

    def text(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: text(each) for name, each in value.items()}
        return str(value) if isinstance(value, int) else value

    checksum = system.signed(method, text(dict(body)))["sp_checksum"]
    return {**body, "sp_checksum": checksum}


async def ask(
    system: Any, raw: bytes, headers: Mapping[str, str] = UTF_8, method: str = ""
) -> tuple[int, Any]:
    """Posts bytes; returns the status and the code, without its interface."""
    url = f"{system.url}/moise/sp/{method or 'requestAthOrSignPush'}"
    async with system._session.post(url, data=raw, headers=headers) as response:
        answer = await response.json()
    return response.status, str(answer.get("error_code")).removeprefix(f"{PUSH}-")


async def push(system: Any, **changes: Any) -> tuple[int, Any]:
    """Pushes a body with changes."""
    body = sealed(system, "requestAthOrSignPush", system.push_body(**changes))
    return await ask(system, json.dumps(body).encode())


GOOD = (200, "0")

# What it is about: the changes, what the standard says, and what the strict profile.
NARROWER = [
    pytest.param({"time_limit": "60"}, GOOD, "SPTKT_TIME_FT_ERR", id="a number as text"),
    pytest.param({"op_mode": "PUSH"}, GOOD, "PM_INV_NF", id="a field of another interface"),
    pytest.param({"remark": "?"}, GOOD, "PM_INV_NF", id="a field nobody knows"),
    pytest.param(
        {"sign_info": {**SIGN, "remark": "?"}}, GOOD, "PM_INV_NF", id="the same in sign_info"
    ),
    pytest.param({"device_user_def_desc": None}, GOOD, "PM_INV_NF", id="null for absent"),
    pytest.param({"transaction_id": "交易 1"}, GOOD, "PM_INV_NF", id="an id of other characters"),
]


@pytest.mark.parametrize(("changes", "standard", "strict"), NARROWER)
async def test_strict_refuses_what_a_reading_could_refuse(
    changes: dict[str, Any], standard: Any, strict: str, sim: Simulator, system: Any, phone: Device
) -> None:
    """And says so by a code; the usual platform takes it, and so does strict without it."""
    sim.set_profile("strict")
    assert await push(system, **changes) == (200, strict)
    assert await sim.inbox(phone.id) == []
    assert await push(system) == GOOD
    sim.set_profile("standard")
    assert await push(system, **changes) == standard


async def test_strict_reads_one_spelling_of_what_is_around_the_fields(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """The content type with its charset, a lower-case checksum, no member twice."""

    def body() -> dict[str, Any]:
        made = system.signed("requestAthOrSignPush", system.push_body())
        assert isinstance(made, dict)
        return made

    loud = body()
    loud["sp_checksum"] = loud["sp_checksum"].upper()
    twice = json.dumps(body()).replace("{", '{"hint": "?", ', 1).encode()
    plain = {"Content-Type": "application/json"}
    big5 = {"Content-Type": "application/json; charset=big5"}
    asked: list[tuple[bytes, dict[str, str], tuple[int, str]]] = [
        (json.dumps(loud).encode(), UTF_8, (200, "INV_SP_CHECKSUM")),
        (twice, UTF_8, (400, "None")),
        (json.dumps(body()).encode(), plain, (415, "None")),
        (json.dumps(body()).encode(), big5, (415, "None")),
    ]
    sim.set_profile("strict")
    for raw, headers, expected in asked:
        assert await ask(system, raw, headers) == expected
    assert sim.requests[0].checksum_verified is False
    assert await sim.inbox(phone.id) == []
    sim.set_profile("standard")
    for raw, headers, _ in asked:
        assert await ask(system, raw, headers) == GOOD


async def test_strict_refuses_polls_that_come_too_early(
    sim: Simulator, system: Any, phone: Device, clock: Clock
) -> None:
    """With 429; a refused poll does not begin the four seconds anew."""
    sim.set_profile("strict")
    body, ticket_id = await signed_push(system)
    poll = {**body, "sp_ticket_id": ticket_id}
    poll = {name: poll[name] for name in ("transaction_id", "sp_service_id", "sp_ticket_id")}
    raw = json.dumps(system.signed("getAthOrSignResult", poll)).encode()
    seen = []
    for pause in (0, 3, 3, 3, 1):
        clock.advance(pause)
        seen.append((await ask(system, raw, method="getAthOrSignResult"))[0])
    assert seen == [200, 429, 200, 429, 200]
    assert [each.early for each in sim.requests.where(interface=RESULT)] == [
        *(False, True, False, True, False)
    ]


async def signed_push(system: Any) -> tuple[dict[str, Any], str]:
    """Pushes with the charset named; returns the body and the ticket's id."""
    body = system.push_body()
    raw = json.dumps(system.signed("requestAthOrSignPush", body)).encode()
    url = f"{system.url}/moise/sp/requestAthOrSignPush"
    async with system._session.post(url, data=raw, headers=UTF_8) as response:
        answer = await response.json()
    first = answer["result"]["sp_ticket"].split(".")[0]
    payload = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    return body, payload["sp_ticket_id"]


# What it is about: the changes, and what the standard says to them.
WIDER = [
    pytest.param({"transaction_id": 17}, "PM_INV_NF", id="an id as a number"),
    pytest.param({"hint": 1153000165}, "PM_INV_NF", id="a hint as a number"),
    pytest.param({"time_limit": 60.0}, "SPTKT_TIME_FT_ERR", id="a fraction that is none"),
    pytest.param({"time_limit": " 60.0 "}, "SPTKT_TIME_FT_ERR", id="the same as text"),
    pytest.param({"time_limit": ""}, "SPTKT_TIME_FT_ERR", id="empty for absent"),
    pytest.param({"op_code": "sign"}, "TGT_INV", id="a word in other letters"),
    pytest.param({"id_num": "a123456789"}, "PM_IDN_FT_ERR", id="an ID number in small letters"),
    pytest.param(
        {"sign_info": {**SIGN, "hash_algorithm": "sha-256"}}, "PM_INV_NF", id="a hash by its name"
    ),
    pytest.param(
        {"sign_info": {**SIGN, "sign_data": "RE9DX0RJ R0VT\nVF8xMjM0NTY3ODk_"}},
        *("PM_INV_NF",),
        id="base64 for addresses, in lines",
    ),
    pytest.param(
        {"sign_info": {**SIGN, "sign_data": "RE9D5A"}}, "PM_INV_NF", id="base64 without padding"
    ),
]


@pytest.mark.parametrize(("changes", "standard"), WIDER)
async def test_lenient_takes_whatever_has_one_meaning(
    changes: dict[str, Any], standard: str, sim: Simulator, system: Any, phone: Device
) -> None:
    """The checksum covers what was sent, and the phone signs what was meant."""
    assert await push(system, **changes) == (200, standard)
    sim.set_profile("lenient")
    assert await push(system, **changes) == GOOD
    (view,) = await sim.inbox(phone.id)
    assert view.op_code == "SIGN"
    assert (await sim.confirm(phone.id, view.sp_ticket_id)).status == "confirmed"


async def test_lenient_takes_any_content_type_and_still_no_other_meaning(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """A mark before the JSON, another type; limits, checksums and people are as ever."""
    body = system.signed("requestAthOrSignPush", system.push_body())
    raw = b"\xef\xbb\xbf" + json.dumps(body).encode()
    assert await ask(system, raw, {"Content-Type": "text/plain"}) == (415, "None")
    assert await ask(system, raw) == (400, "None")
    sim.set_profile("lenient")
    assert await ask(system, raw, {"Content-Type": "text/plain"}) == GOOD
    for changes, code in (
        ({"time_limit": "601"}, "SPTKT_TIME_ORV"),
        ({"time_limit": "60s"}, "SPTKT_TIME_FT_ERR"),
        ({"time_limit": True}, "SPTKT_TIME_FT_ERR"),
        ({"op_code": "SING"}, "TGT_INV"),
        ({"transaction_id": True}, "PM_INV_NF"),
        ({"id_num": "a123456788"}, "SPTKT_INS_ERR"),
        ({"sign_info": {**SIGN, "sign_data": "A" * 1025}}, "SIGNDATA_LEN_LIMIT"),
        ({"sp_checksum": "00" * 92}, "INV_SP_CHECKSUM"),
    ):
        raw = json.dumps({**sealed_unless(system, changes), **changes}).encode()
        assert await ask(system, raw) == (200, code), changes


def sealed_unless(system: Any, changes: dict[str, Any]) -> dict[str, Any]:
    """A push with the changes, sealed over them, numbers and flags aside."""
    plain = {name: value for name, value in changes.items() if not isinstance(value, bool)}
    return sealed(system, "requestAthOrSignPush", system.push_body(**plain))


@pytest.mark.parametrize(
    ("profile", "changes", "status"),
    [
        ("strict", {}, 200),
        ("strict", {"remark": "?"}, 400),
        ("standard", {"remark": "?"}, 200),
        ("standard", {"op_code": "sign"}, 400),
        ("lenient", {"op_code": "sign", "time_limit": "60.0"}, 200),
    ],
)
async def test_the_redirects_form_is_read_as_narrowly(
    profile: str,
    changes: dict[str, str],
    status: int,
    sim: Simulator,
    system: Any,
    phone: Device,
    http: aiohttp.ClientSession,
) -> None:
    """WEB-01 by the same profile; a form has text only, so a number as text is never refused."""
    sim.set_profile(profile)
    await sim.set_callback_url(system.service_id, "http://127.0.0.1:9/callback")
    form = {
        "transaction_id": "t-1",
        "sp_service_id": system.service_id,
        "op_code": "SIGN",
        "hint": "公文",
        "time_limit": "60",
        **SIGN,
        **changes,
    }
    names = ("transaction_id", "sp_service_id", "op_code", "hint", "sign_data")
    form["sp_checksum"] = system.seal("".join(form[name] for name in names))
    async with http.post(f"{sim.url}/fidoRedirect/web", data=form) as page:
        assert page.status == status, await page.text()
    if status == 200:
        (redirect,) = sim.state.platform.redirects.all()
        typed = {"id_num": "A123456789"}
        async with http.post(f"{sim.url}/fidoRedirect/web/{redirect.redirect_id}", data=typed):
            assert len(await sim.inbox(phone.id)) == 1


@pytest.mark.parametrize(
    ("name", "seed"), [("wild", None), ("strict", 7), ("standard", 0), ("Chaos", None)]
)
async def test_a_profile_that_is_none_is_refused(name: str, seed: Any, sim: Simulator) -> None:
    """By name, or with a seed that it has no use for; what was on stays on."""
    sim.set_profile("lenient")
    with pytest.raises(SimulatorError) as raised:
        sim.set_profile(name, seed=seed)
    assert raised.value.code == "profile_invalid"
    assert sim.profile.name == "lenient"


async def test_a_profile_is_set_over_http_and_from_a_shell(
    sim: Simulator, http: aiohttp.ClientSession
) -> None:
    """GET shows it; chaos without a seed has one that can be read."""
    url = f"{sim.url}/sim/v1/profile"

    async def call(method: str, body: Any = None) -> Any:
        async with http.request(method, url, json=body) as response:
            return response.status, await response.json()

    assert await call("GET") == (200, {"name": "standard", "seed": None})
    assert await call("PUT", {"name": "chaos", "seed": 7}) == (200, {"name": "chaos", "seed": 7})
    assert await call("PUT", {"name": "strict"}) == (200, {"name": "strict", "seed": None})
    status, answer = await call("PUT", {"name": "strict", "seed": 7})
    assert (status, answer["error"]) == (400, "profile_invalid")
    _, chaos = await call("PUT", {"name": "chaos"})
    assert isinstance(chaos["seed"], int)
    assert await call("GET") == (200, chaos)

    async def shell(*words: str) -> Any:
        env = {"SIMULATOR_URL": sim.url}
        result = await asyncio.to_thread(CliRunner().invoke, main, ["profile", *words], env=env)
        assert result.exit_code == 0, result.output
        return json.loads(result.output)

    assert await shell("show") == chaos
    assert await shell("set", "chaos", "--seed", "8") == {"name": "chaos", "seed": 8}
    assert await shell("set", "standard") == {"name": "standard", "seed": None}
    assert sim.faults.chaos is None


async def test_serve_begins_with_a_profile_and_says_so() -> None:
    """On the ready line; a seed with another profile is refused before anything starts."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "moica_simulator", "serve", "--fast", "--port", "0"),
        *("--profile", "chaos", "--seed", "7"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PYTHONPATH": ":".join(sys.path), "PYTHONUTF8": "1"},
    )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        assert line.rstrip().endswith(", profile chaos seed 7")
    finally:
        process.terminate()
        await process.wait()
    refused = CliRunner().invoke(main, ["serve", "--profile", "strict", "--seed", "7"])
    assert refused.exit_code == 2
    assert "--profile chaos" in refused.output


def drawn(seed: int, interface: Interface, count: int) -> list[str | None]:
    """What befalls so many requests."""
    chaos = Chaos(seed)
    faults = [chaos.draw(interface) for _ in range(count)]
    return [None if fault is None else fault.harm for fault in faults]


def test_a_seed_draws_the_same_faults_in_every_process() -> None:
    """Written down here, since a repeated run has to meet what the first one met."""
    assert drawn(7, Interface.GET_RESULT, 200) == drawn(7, Interface.GET_RESULT, 200)
    assert drawn(7, Interface.GET_RESULT, 200) != drawn(8, Interface.GET_RESULT, 200)
    assert drawn(7, Interface.REQUEST_PUSH, 8) == [
        "latency_s=0.07",
        None,
        "line=not_an_object",
        "http_status=429",
        None,
        None,
        "line=duplicate",
        "clock_skew_s=-86400.0",
    ]


@pytest.mark.parametrize("interface", list(Interface))
def test_every_kind_of_fault_is_drawn_where_it_can_be(interface: Interface) -> None:
    """And about half of all answers are left alone; what holds a request for long is not drawn."""
    harms = drawn(1, interface, 2000)
    assert 850 < harms.count(None) < 1150
    seen = {harm.split("=")[0] for harm in harms if harm}
    kinds = {"code", "http_status", "latency_s", "drop", "tamper"}
    if interface is not Interface.REDIRECT:
        kinds |= {"alter", "line", "clock_skew_s"}
        lines = {harm.removeprefix("line=") for harm in harms if harm and harm.startswith("line=")}
        assert lines == {line.value for line in Line} - {"drip", "gzip_bomb"}
    if interface not in (Interface.REDIRECT, Interface.GET_RESULT, Interface.DEVICE_STATUS):
        kinds |= {"ticket_skew_s"}
    assert seen == kinds


async def test_chaos_repeats_its_answers_and_lists_what_it_did(
    keys: KeyPool, relying_system: Any
) -> None:
    """The same seeds, the same requests: the same statuses, bodies and broken connections."""

    async def played(seed: int) -> tuple[list[Any], list[tuple[str, ...]]]:
        async with (
            Simulator.start(fast=True, keys=keys, seed=1, clock=Clock(frozen_at=NOON)) as sim,
            aiohttp.ClientSession() as session,
        ):
            system = relying_system(sim.url, session, bytes(range(32)))
            await sim.add_service_provider(system.service_id, system.key_base64, "系統")
            await sim.add_person("A123456789", "王小明")
            await sim.bind_device("A123456789")
            sim.set_profile("chaos", seed=seed)
            answers = []
            for number in range(40):
                body = system.push_body(transaction_id=f"t-{number}")
                signed = system.signed("requestAthOrSignPush", body, bytes(12))
                answers.append(await heard(session, sim, signed))
            done = [each.harms for each in sim.requests]
            drawn_ids = {name for each in sim.requests for name in each.faults}
            assert all(name.startswith(f"chaos/{seed}/") for name in drawn_ids)
            assert sim.faults.all() == []
        return answers, done

    first, second, other = [await played(seed) for seed in (7, 7, 8)]
    assert first == second
    assert first[1] != other[1]
    assert 5 < sum(bool(harms) for harms in first[1]) < 35


async def heard(session: aiohttp.ClientSession, sim: Simulator, body: dict[str, Any]) -> Any:
    """Status and bytes, or that the line broke."""
    url = f"{sim.url}/moise/sp/requestAthOrSignPush"
    try:
        async with session.post(url, json=body, allow_redirects=False) as response:
            return response.status, await response.read()
    except aiohttp.ClientError:
        return "broken"


async def test_the_standard_profile_ends_chaos_and_faults_stay(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """What a profile draws comes on top of what was set."""
    sim.set_profile("chaos", seed=3)
    await sim.add_fault(PUSH, http_status=503, times=None)
    for _ in range(12):
        body = system.signed("requestAthOrSignPush", system.push_body())
        await heard(system._session, sim, body)
    harms = [harm for each in sim.requests for harm in each.harms]
    assert harms.count("http_status=503") == 12
    sim.set_profile("standard")
    sim.faults.clear()
    for _ in range(12):
        assert await push(system) == GOOD
    assert sim.requests.where(harmed=True)[-1].number == 12
