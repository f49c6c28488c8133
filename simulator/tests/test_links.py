"""App links, APP-API-01: read strictly, opened as a scan is, and a way back that tells nothing."""

import base64
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest

from moica_simulator import Clock, Device, PlatformError, Simulator, SimulatorError
from moica_simulator.phone.applink import AppLink

BACK = "https://documents.example/sign?txn=1"
W2A = "mobilemoica://moica.moi.gov.tw/w2a/verifySign"
A2A = "mobilemoica://moica.moi.gov.tw/a2a/verifySign"


def encode(text: str, *, padded: bool = False) -> str:
    """Base64url of UTF-8."""
    made = base64.urlsafe_b64encode(text.encode()).decode()
    return made if padded else made.rstrip("=")


def link(
    sp_ticket: str, *, base: str = W2A, back: str = BACK, value: str = "wake 1/2", **more: str
) -> str:
    """Makes a link as a relying system does; a keyword overrides what is sent as it is."""
    query = {"sp_ticket": sp_ticket, "rtn_url": encode(back), "rtn_val": encode(value), **more}
    return f"{base}?{urlencode(query, quote_via=quote, safe='')}"


@pytest.mark.parametrize(("base", "op_mode"), [(W2A, "MWEB2APP"), (A2A, "APP2APP")])
def test_a_link_is_taken_apart(base: str, op_mode: str) -> None:
    """Its path says what the ticket is for; the way back carries `rtn_val` and nothing else."""
    parsed = AppLink.parse(link("a.b", base=base))
    assert parsed.op_mode == op_mode
    assert parsed.sp_ticket == "a.b"
    assert parsed.return_url == f"{BACK}&rtn_val=wake%201%2F2"
    assert "a.b" not in repr(parsed)
    assert "wake" not in repr(parsed)


@pytest.mark.parametrize(
    ("back", "value", "expected"),
    [
        ("https://a.example", "1", "https://a.example?rtn_val=1"),
        ("http://a.example:8080/x#top", "1", "http://a.example:8080/x?rtn_val=1#top"),
        ("https://a.example/?rtn_val=old&a=b", "1", "https://a.example/?a=b&rtn_val=1"),
        ("https://a.example/公文?文號=1", "&=#", None),
        ("https://a.example/", "", "https://a.example/?rtn_val="),
        ("https://a.example/%E5%85%AC", "公", "https://a.example/%E5%85%AC?rtn_val=%E5%85%AC"),
    ],
)
def test_a_return_address_gets_its_value(back: str, value: str, expected: str | None) -> None:
    """As one query member, encoded; what the address had otherwise stays."""
    found = AppLink.parse(link("a.b", back=back, value=value)).return_url
    if expected is None:
        expected = "https://a.example/%E5%85%AC%E6%96%87?%E6%96%87%E8%99%9F=1&rtn_val=%26%3D%23"
    assert found == expected
    assert parse_qs(urlsplit(found).query, keep_blank_values=True)["rtn_val"] == [value]


@pytest.mark.parametrize(
    "back",
    [
        "",
        "/sign",
        "javascript:alert(1)//a.example",
        "JavaScript://a.example/%0aalert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "ftp://a.example/",
        "mobilemoica://moica.moi.gov.tw/",
        "https://",
        "https:///a.example",
        "https://user@a.example/",
        "https://a.example:port/",
        "https://a.example:99999/",
        "https://[::1/",
        "https://a.example/\n",
        " https://a.example/",
        "https:\\\\a.example",
        "//a.example/",
    ],
)
def test_only_web_addresses_are_offered(back: str) -> None:
    """Anything else is read, and leads nowhere."""
    assert AppLink.parse(link("a.b", back=back)).return_url is None


def test_padding_may_be_there_or_not() -> None:
    """Both spellings of base64url are seen."""
    for padded in (True, False):
        made = link("a.b", rtn_url=encode(BACK, padded=padded), rtn_val=encode("1", padded=padded))
        assert AppLink.parse(made).return_url == f"{BACK}&rtn_val=1"


MALFORMED = {
    "empty": "",
    "a ticket": "eyJ0.abc",
    "another scheme": link("a.b").replace("mobilemoica", "https", 1),
    "another host": link("a.b").replace("moica.moi", "moica.m0i", 1),
    "a longer host": link("a.b").replace("gov.tw", "gov.tw.evil.example", 1),
    "a port": link("a.b").replace("gov.tw", "gov.tw:443", 1),
    "a user": link("a.b").replace("//", "//moica@", 1),
    "another path": link("a.b").replace("w2a", "x2a", 1),
    "another method": link("a.b").replace("verifySign", "verify", 1),
    "a slash behind": link("a.b").replace("verifySign", "verifySign/", 1),
    "an encoded path": link("a.b").replace("w2a", "%772a", 1),
    "a fragment": link("a.b") + "#x",
    "an empty fragment": link("a.b") + "#",
    "no query": W2A,
    "no ticket": f"{W2A}?rtn_url=&rtn_val=",
    "no return address": f"{W2A}?sp_ticket=a.b&rtn_val=",
    "no value": f"{W2A}?sp_ticket=a.b&rtn_url=",
    "one member more": link("a.b", more="1"),
    "a ticket twice": link("a.b") + "&sp_ticket=c.d",
    "a value twice and none": f"{W2A}?sp_ticket=a.b&rtn_val=&rtn_val=",
    "a bare member": f"{W2A}?sp_ticket=a.b&rtn_url&rtn_val=",
    "an empty member": link("a.b").replace("&", "&&", 1),
    "standard base64": link("a.b", rtn_val="a+b/"),
    "no base64": link("a.b", rtn_val="a*b"),
    "half a byte": link("a.b", rtn_val="a"),
    "bits left over": link("a.b", rtn_val="MR"),
    "too much padding": link("a.b", rtn_val="MQ==="),
    "padding inside": link("a.b", rtn_val="MQ==MQ=="),
    "no UTF-8": link("a.b", rtn_val="_w"),
    "an address of no UTF-8": link("a.b", rtn_url="_w"),
    "a percent sign of no UTF-8": link("a.b") + "%ff",
    "a space": link("a.b") + " ",
    "a line end": link("a.b").replace("verifySign", "verify\nSign", 1),
    "a tab": "\t" + link("a.b"),
    "Chinese": link("a.b") + "公",
    "endless": link("a.b", value="x" * 16_384),
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_anything_else_is_no_link(
    name: str, sim: Simulator, http: Any, phone: Device
) -> None:
    """400, in words that say what was expected and quote nothing of it."""
    url = f"{sim.url}/sim/v1/devices/{phone.id}/links"
    async with http.post(url, json={"url": MALFORMED[name]}) as response:
        answer = await response.json()
        assert (response.status, answer["error"]) == (400, "link_invalid")
    assert "expected" in answer["detail"]
    assert "a.b" not in answer["detail"]
    with pytest.raises(SimulatorError):
        await sim.open_link(phone.id, MALFORMED[name])


@pytest.mark.parametrize(("base", "op_mode"), [(W2A, "MWEB2APP"), (A2A, "APP2APP")])
async def test_a_link_is_opened_over_the_control_api(
    base: str, op_mode: str, sim: Simulator, system: Any, http: Any, phone: Device
) -> None:
    """The request as a scan answers it, and the way back; then it is confirmed as any other."""
    body, ticket_id, ticket = await system.qr(op_mode=op_mode)
    url = f"{sim.url}/sim/v1/devices/{phone.id}/links"
    async with http.post(url, json={"url": link(ticket, base=base, value="w")}) as response:
        assert response.status == 200
        opened = await response.json()
    assert opened == {
        "sp_ticket_id": ticket_id,
        "sp_name": "公文線上簽核系統",
        "hint": "公文文號：1153000165",
        "op_code": "SIGN",
        "status": "pending",
        "expires_at": "2026-04-24T04:01:00.000Z",
        "return_url": f"{BACK}&rtn_val=w",
    }
    await sim.confirm(phone.id, ticket_id)
    assert await system.result_code(body, ticket_id) == "0"


async def test_a_link_is_opened_in_process(sim: Simulator, system: Any, phone: Device) -> None:
    """`open_link` returns request and way back; a second time changes nothing."""
    _, ticket_id, ticket = await system.qr(op_mode="MWEB2APP")
    for _ in range(2):
        opened = await sim.open_link(phone.id, link(ticket, back=""))
        assert opened.request.sp_ticket_id == ticket_id
        assert opened.return_url is None
    assert len(await sim.inbox(phone.id)) == 1


@pytest.mark.parametrize(
    ("base", "op_mode"),
    [(W2A, "APP2APP"), (A2A, "MWEB2APP"), (W2A, "I-SCAN"), (A2A, "I-SCAN")],
)
async def test_a_ticket_goes_its_own_way_only(
    base: str, op_mode: str, sim: Simulator, system: Any, phone: Device
) -> None:
    """A ticket made for another kind of link, or for scanning, is TGT_INV and stays open."""
    body, ticket_id, ticket = await system.qr(op_mode=op_mode)
    with pytest.raises(PlatformError) as caught:
        await sim.open_link(phone.id, link(ticket, base=base))
    assert caught.value.code == "TGT_INV"
    assert await sim.inbox(phone.id) == []
    assert await system.result_code(body, ticket_id) == "SPTKTID_TXNLOG_NF"


async def test_a_push_ticket_is_in_no_link(sim: Simulator, system: Any, phone: Device) -> None:
    """What was pushed cannot be brought a second way."""
    answer = await system.call("requestAthOrSignPush", system.push_body())
    with pytest.raises(PlatformError) as caught:
        await sim.open_link(phone.id, link(answer["result"]["sp_ticket"]))
    assert caught.value.code == "TGT_INV"


async def test_another_persons_phone_ends_the_ticket(
    sim: Simulator, system: Any, phone: Device, other_phone: Device
) -> None:
    """As with a scan: the stranger is told, the holder comes too late, the system hears of it."""
    body, ticket_id, ticket = await system.qr(op_mode="MWEB2APP")
    await sim.open_link(phone.id, link(ticket))
    with pytest.raises(PlatformError) as caught:
        await sim.open_link(other_phone.id, link(ticket))
    assert caught.value.code == "DEVID_SPTKT_MISMATCH"
    assert await system.result_code(body, ticket_id) == "DEVID_SPTKT_MISMATCH"
    with pytest.raises(PlatformError) as caught:
        await sim.confirm(phone.id, ticket_id)
    assert caught.value.code == "SPTKTID_SPTKT_RDM"


async def test_a_lapsed_or_used_or_broken_ticket_is_refused(
    sim: Simulator, system: Any, phone: Device, clock: Clock
) -> None:
    """With the code that a scan would have."""
    _, used_id, used = await system.qr(op_mode="MWEB2APP")
    await sim.open_link(phone.id, link(used))
    await sim.confirm(phone.id, used_id)
    _, _, late = await system.qr(op_mode="MWEB2APP", time_limit=30)
    clock.advance(30)
    for ticket, code in (
        (used, "SPTKTID_SPTKT_RDM"),
        (late, "SPTKT_OVD"),
        (used + "x", "SPTKT_DIG_FT_ERR"),
        ("", "SPTKT_PLD_FT_ERR"),
        ("憑證.憑證", "SPTKT_PLD_FT_ERR"),
    ):
        with pytest.raises(PlatformError) as caught:
            await sim.open_link(phone.id, link(ticket))
        assert caught.value.code == code


async def test_an_unbound_phone_opens_nothing(sim: Simulator) -> None:
    """The app has to be bound first."""
    fresh = await sim.add_device("新手機")
    with pytest.raises(SimulatorError) as caught:
        await sim.open_link(fresh.id, link("a.b"))
    assert caught.value.code == "device_not_bound"


async def test_push_and_code_of_one_document_are_both_confirmed(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """Two tickets are two requests to a phone: each is confirmed, each has its result."""
    pushed, push_id = await system.push()
    brought, qr_id, ticket = await system.qr()
    await sim.scan(phone.id, ticket)
    for ticket_id in (qr_id, push_id):
        await sim.confirm(phone.id, ticket_id)
    assert await system.result_code(pushed, push_id) == "0"
    assert await system.result_code(brought, qr_id) == "0"
