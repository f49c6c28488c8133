"""Fast mode: what it leaves out, what it does not, and that it says so."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from io import StringIO
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from moica_simulator import Clock, Device, KeyPool, PlatformError, Simulator
from moica_simulator.platform.confirmation import Asserted


@pytest.fixture
async def fast(keys: KeyPool, clock: Clock) -> AsyncIterator[Simulator]:
    """A simulator in fast mode."""
    async with Simulator.start(fast=True, keys=keys, clock=clock) as simulator:
        yield simulator


@pytest.fixture
async def sim_normal(keys: KeyPool) -> AsyncIterator[Simulator]:
    """A simulator as it is by default."""
    async with Simulator.start(keys=keys) as simulator:
        yield simulator


@pytest.fixture
async def fast_system(
    fast: Simulator, http: aiohttp.ClientSession, relying_system: Any
) -> tuple[Any, Device]:
    """A relying system of it, and a bound phone."""
    made = relying_system(fast.url, http, bytes(range(32)))
    await fast.add_service_provider(made.service_id, made.key_base64, "公文線上簽核系統")
    await fast.add_person("A123456789", "王小明")
    return made, await fast.bind_device("A123456789")


async def test_no_assertion_is_made_and_the_result_is_whole(
    fast: Simulator, fast_system: tuple[Any, Device]
) -> None:
    """The counter stands still; signature, certificate and idp_checksum verify as ever."""
    system, phone = fast_system
    body, ticket_id = await system.push()
    await fast.confirm(phone.id, ticket_id)
    profile = fast.state.platform.devices.get(phone.id)
    assert profile is not None
    assert profile.sign_count == 0
    answer = await system.result(body, ticket_id)
    result = answer["result"]
    key = x509.load_der_x509_certificate(base64.b64decode(result["cert"])).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(
        base64.b64decode(result["signed_response"]),
        base64.b64decode(body["sign_info"]["sign_data"])
        if body["sign_info"]["tbs_encoding"] == "base64"
        else body["sign_info"]["sign_data"].encode(),
        padding.PKCS1v15(),
        hashes.SHA256(),
    )
    covered = f"{body['transaction_id']}0{result['hashed_id_num']}{result['signed_response']}"
    assert system.unseal(result["idp_checksum"]) == hashlib.sha256(covered.encode()).hexdigest()


async def test_a_wrong_signature_is_refused_all_the_same(
    fast: Simulator, fast_system: tuple[Any, Device]
) -> None:
    """The platform checks what the phone signed in fast mode too."""
    system, phone = fast_system
    _, ticket_id = await system.push()
    confirmation = fast.phones._confirmation
    confirmation.begin(phone.id, ticket_id)
    with pytest.raises(PlatformError) as caught:
        confirmation.complete(phone.id, ticket_id, asserted=None, signed_responses=("AAAA" * 86,))
    assert caught.value.code == "CERT_SIGNDATA_MISMATCH"


async def test_normal_mode_takes_no_confirmation_without_an_assertion(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """None, an unknown ceremony and an empty answer are refused, and the ticket stays open."""
    body, ticket_id = await system.push()
    confirmation = sim.phones._confirmation
    for asserted, code in ((None, "PM_SIGDATA_ERR"), (Asserted("none", {}), "PM_INV_SG")):
        with pytest.raises(PlatformError) as caught:
            confirmation.complete(phone.id, ticket_id, asserted=asserted, signed_responses=())
        assert caught.value.code == code
    assert await system.result_code(body, ticket_id) == "SPTKTID_TXNLOG_NF"


@pytest.mark.parametrize(
    ("start", "said"),
    [
        ({"fast": True}, {"mode": "fast", "fido2": False}),
        ({"fast": True, "fido2": True}, {"mode": "fast", "fido2": True}),
    ],
    ids=str,
)
async def test_fast_mode_says_so_wherever_it_shows(
    keys: KeyPool, http: aiohttp.ClientSession, start: dict[str, Any], said: dict[str, Any]
) -> None:
    """The log's first line, /readyz, a header of every answer, and every page."""
    written = StringIO()
    async with Simulator.start(keys=keys, log_to=written, **start) as sim:
        async with http.get(f"{sim.url}/readyz") as response:
            told = await response.json()
            assert response.headers["X-Simulator"] == "NOT FOR PRODUCTION; fast mode"
        async with http.get(f"{sim.url}/") as response:
            page = await response.text()
    assert {name: told[name] for name in said} == said
    first = json.loads(written.getvalue().splitlines()[0])
    assert (first["fast"], first["fido2"]) == (True, said["fido2"])
    left_out = "手機與平臺間仍做 FIDO2" if said["fido2"] else "手機與平臺間不做 FIDO2"
    assert f"快速模式：{left_out}" in page


async def test_normal_mode_claims_nothing(
    sim_normal: Simulator, http: aiohttp.ClientSession
) -> None:
    """Neither page nor header speaks of fast mode, and /readyz names the mode."""
    async with http.get(f"{sim_normal.url}/") as response:
        assert "快速模式" not in await response.text()
        assert response.headers["X-Simulator"] == "NOT FOR PRODUCTION"
    async with http.get(f"{sim_normal.url}/readyz") as response:
        told = await response.json()
    assert (told["mode"], told["fido2"], told["prepared_keys"]) == ("normal", True, False)
