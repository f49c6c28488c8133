"""Binding by the citizen card: card number, PIN, the platform's nonce, and every refusal."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
from click.testing import CliRunner
from cryptography import x509

from moica_simulator import Clock, Person, PlatformError, Simulator, SimulatorError
from moica_simulator.assumptions import CARD_PIN, DEVICE_LIMIT, NFC_NONCE_LIFETIME
from moica_simulator.ca.profile import CertificateShape
from moica_simulator.cli import main
from moica_simulator.phone import authenticator, signer
from moica_simulator.phone.signing_key import certificate_request, load_key
from moica_simulator.platform.nfc import CardProof
from moica_simulator.randomness import Randomness

WANG, LEE = "A123456789", "B123456780"


@pytest.fixture
async def wang(sim: Simulator) -> Person:
    return await sim.add_person(WANG, "王小明")


async def refused(asked: Any) -> SimulatorError | PlatformError:
    """Awaits what must be refused, and returns the refusal."""
    with pytest.raises((SimulatorError, PlatformError)) as caught:
        await asked
    error = caught.value
    assert isinstance(error, SimulatorError | PlatformError)
    return error


async def test_a_card_and_its_pin_bind_a_phone_that_signs(
    sim: Simulator, wang: Person, system: Any, code_of: Any
) -> None:
    """The phone is the card's holder's, with a certificate of its own, and confirms."""
    device = await sim.add_device("我的手機")
    bound = await sim.bind_by_nfc(device.id, wang.card_number, CARD_PIN)
    assert bound.id_number == WANG
    assert bound.certificate is not None
    subject = x509.load_der_x509_certificate(bound.certificate).subject.rfc4514_string()
    assert wang.card_number in subject
    assert b"\x13\x06mobile" in bound.certificate
    body, ticket_id = await system.push()
    await sim.confirm(device.id, ticket_id)
    assert code_of(await system.result(body, ticket_id)) == "0"


async def test_three_wrong_pins_lock_the_card_until_it_is_unlocked(
    sim: Simulator, wang: Person
) -> None:
    """The right PIN in between counts anew; a locked card takes no right one either."""
    number = wang.card_number
    phones = [(await sim.add_device(f"手機 {each}")).id for each in range(2)]
    for left in (2, 1):
        error = await refused(sim.bind_by_nfc(phones[0], number, "000000"))
        assert error.code == "card_pin_wrong"
        assert f"{left} more" in str(error)
    await sim.bind_by_nfc(phones[0], number, CARD_PIN)
    for code in ("card_pin_wrong", "card_pin_wrong", "card_locked"):
        assert (await refused(sim.bind_by_nfc(phones[1], number, "000000"))).code == code
    assert (await refused(sim.bind_by_nfc(phones[1], number, CARD_PIN))).code == "card_locked"
    sim.unlock_card(WANG)
    assert (await sim.bind_by_nfc(phones[1], number, CARD_PIN)).bound


async def test_a_locked_card_does_not_sign_nfcsign_either(
    sim: Simulator, wang: Person, system: Any, code_of: Any
) -> None:
    """The ticket stays open, and is signed when the card is unlocked."""
    phone = await sim.bind_device(WANG)
    spare = await sim.add_device("另一支")
    for _ in range(3):
        await refused(sim.bind_by_nfc(spare.id, wang.card_number, "999999"))
    body, ticket_id = await system.push(op_code="NFCSIGN")
    assert (await refused(sim.confirm(phone.id, ticket_id))).code == "card_locked"
    assert code_of(await system.result(body, ticket_id)) == "SPTKTID_TXNLOG_NF"
    sim.unlock_card(WANG)
    await sim.confirm(phone.id, ticket_id)
    assert code_of(await system.result(body, ticket_id)) == "0"


async def test_what_is_no_valid_card_is_refused(
    sim: Simulator, wang: Person, system: Any, clock: Clock
) -> None:
    """Unknown number, suspended, revoked, and run out by the simulated clock."""
    device = await sim.add_device("我的手機")
    unknown = await refused(sim.bind_by_nfc(device.id, "0" * 16, CARD_PIN))
    assert unknown.code == "card_unknown"
    card = await sim.cards.card_of(WANG)
    serial = f"{x509.load_der_x509_certificate(card.certificate).serial_number:x}"
    sim.suspend(serial)
    asked = sim.bind_by_nfc(device.id, wang.card_number, CARD_PIN)
    assert (await refused(asked)).code == "card_revoked"
    sim.reinstate(serial)
    clock.advance(timedelta(days=367).total_seconds())
    asked = sim.bind_by_nfc(device.id, wang.card_number, CARD_PIN)
    assert (await refused(asked)).code == "card_expired"
    assert not sim.device(device.id).bound


async def test_the_device_limit_counts_both_ways_of_binding(sim: Simulator, wang: Person) -> None:
    """The last phone that fits is bound by the card; one more is refused either way."""
    for each in range(DEVICE_LIMIT - 1):
        await sim.bind_device(WANG, f"手機 {each}")
    last = await sim.add_device("最後一支")
    await sim.bind_by_nfc(last.id, wang.card_number, CARD_PIN)
    more = await sim.add_device("多的")
    by_card = await refused(sim.bind_by_nfc(more.id, wang.card_number, CARD_PIN))
    card = await sim.cards.card_of(WANG)
    with pytest.raises(PlatformError, match="DEV_LIM_REACHED"):
        sim.binding.begin_by_card(more.id, wang.card_number, card.certificate)
    code = await sim.new_activation_code(WANG)
    by_code = await refused(sim.bind(more.id, code.code))
    assert (by_card.code, by_code.code) == ("DEV_LIM_REACHED", "DEV_LIM_REACHED")
    await sim.unbind(last.id)
    assert (await sim.bind_by_nfc(more.id, wang.card_number, CARD_PIN)).bound


async def test_two_phones_that_bind_at_once_do_not_pass_the_limit(
    sim: Simulator, wang: Person
) -> None:
    """Room is looked at again after the certificate was made."""
    for each in range(DEVICE_LIMIT - 1):
        await sim.bind_device(WANG, f"手機 {each}")
    phones = [(await sim.add_device(f"同時 {each}")).id for each in range(2)]
    done = await asyncio.gather(
        *(sim.bind_by_nfc(each, wang.card_number, CARD_PIN) for each in phones),
        return_exceptions=True,
    )
    codes = [each.code for each in done if isinstance(each, PlatformError)]
    assert codes == ["DEV_LIM_REACHED"]


async def test_a_bound_phone_is_not_bound_again(sim: Simulator, wang: Person) -> None:
    """It has to be unbound first, and no PIN is tried."""
    phone = await sim.bind_device(WANG)
    asked = sim.bind_by_nfc(phone.id, wang.card_number, "000000")
    assert (await refused(asked)).code == "device_bound"
    assert sim.state.phone.card_locks.get(WANG) is None


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ("another phone", "NFCNONCE_NF"),
        ("twice", "PM_INV_SG"),
        ("nonce twice", "NFCNONCE_NF"),
        ("unknown nonce", "PM_INV_SG"),
        ("late", "NFCNONCE_EXPIRED"),
        ("another card", "NFCNONCE_IDNUM_MISMATCH"),
        ("a phone's certificate", "NFCNONCE_IDNUM_MISMATCH"),
        ("another signature", "PM_INV_SG"),
    ],
)
async def test_the_platform_takes_a_nonce_once_from_the_phone_and_card_it_was_for(
    sim: Simulator, wang: Person, clock: Clock, wrong: str, code: str
) -> None:
    """Each deviation has the platform's code for it, and nothing is bound."""
    lee = await sim.add_person(LEE, "李大同")
    card, other = await sim.cards.card_of(WANG), await sim.cards.card_of(LEE)
    phone = await sim.bind_device(WANG)
    device = await sim.add_device("我的手機")
    offer = sim.binding.begin_by_card(device.id, wang.card_number, card.certificate)
    proof = CardProof(
        offer.nonce, card.certificate, signer.sign_nonce(offer.nonce, card.signing_key)
    )
    nonces = sim.binding._nonces
    match wrong:
        case "another phone":
            with pytest.raises(PlatformError) as caught:
                nonces.redeem("another", proof)
            assert caught.value.code == code
            return
        case "nonce twice":
            nonces.redeem(device.id, proof)
            with pytest.raises(PlatformError) as caught:
                nonces.redeem(device.id, proof)
            assert caught.value.code == code
            return
        case "late":
            clock.advance(NFC_NONCE_LIFETIME.total_seconds())
            with pytest.raises(PlatformError) as caught:
                nonces.redeem(device.id, proof)
            assert caught.value.code == code
            return
        case "unknown nonce":
            proof = attrs.evolve(proof, nonce=bytes(32))
        case "another card":
            theirs = signer.sign_nonce(offer.nonce, other.signing_key)
            proof = CardProof(offer.nonce, other.certificate, theirs)
        case "a phone's certificate":
            assert phone.certificate is not None
            proof = attrs.evolve(proof, certificate=phone.certificate)
        case "another signature":
            proof = attrs.evolve(proof, signature=signer.sign_nonce(b"x", card.signing_key))
    assert lee.card_number != wang.card_number

    async def complete() -> None:
        _, response = authenticator.make_credential(
            offer.ceremony.options,
            origin="https://fido.simulator.invalid",
            randomness=Randomness(),
        )
        await sim.binding.complete(
            device.id,
            "我的手機",
            proof,
            ceremony_id=offer.ceremony.ceremony_id,
            response=response,
            certificate_request=certificate_request(load_key(card.signing_key)),
            shape=CertificateShape(),
        )

    if wrong == "twice":
        await complete()
    assert (await refused(complete())).code == code


async def test_a_card_number_of_nobody_gets_no_nonce(sim: Simulator, wang: Person) -> None:
    """Nor does a card that is not that person's."""
    await sim.add_person(LEE, "李大同")
    card = await sim.cards.card_of(LEE)
    for number in ("0" * 16, wang.card_number):
        with pytest.raises(PlatformError) as caught:
            sim.binding.begin_by_card("device", number, card.certificate)
        assert caught.value.code == "NFCNONCE_IDNUM_MISMATCH"


async def test_the_control_api_binds_by_nfc(
    sim: Simulator, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """PIN set with the person; locked and unlocked; both ways of binding, and neither mixed."""
    url = f"{sim.url}/sim/v1"

    async def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        async with http.request(method, f"{url}{path}", json={} if body is None else body) as reply:
            return reply.status, await reply.json()

    person = {"id_number": WANG, "name": "王小明"}
    status, made = await ask("POST", "/people", {**person, "pin": "654321"})
    assert (status, made["card"]) == (201, "ok")
    _, device = await ask("POST", "/devices", {"name": "我的手機"})
    bind = f"/devices/{device['id']}/bind"
    card = {"by": "nfc", "card_number": made["card_number"]}
    for expected in ("card_pin_wrong", "card_pin_wrong", "card_locked"):
        status, error = await ask("POST", bind, {**card, "pin": CARD_PIN})
        assert (status, error["error"]) == (409, expected)
    async with http.get(f"{url}/people/{WANG}") as reply:
        assert (await reply.json())["card"] == "locked"
    status, unlocked = await ask("POST", f"/people/{WANG}/unlock-card")
    assert (status, unlocked["card"]) == (200, "ok")
    for wrong in (
        {**card, "pin": "654321", "activation_code": "12345678"},
        {"by": "nfc"},
        {"by": "activation_code", "card_number": made["card_number"], "pin": "654321"},
        {"by": "magic"},
        {},
    ):
        status, error = await ask("POST", bind, wrong)
        assert status == 400, wrong
    status, bound = await ask("POST", bind, {**card, "pin": "654321"})
    assert (status, bound["id_number"]) == (200, WANG)
    for pin in ("12345", "123456789", "12345a", "１２３４５６"):
        status, error = await ask("POST", "/people", {**person, "pin": pin})
        assert (status, error["error"]) == (400, "pin_invalid")
    status, _ = await ask("POST", "/people", {**person, "pin": "222222"})
    assert status == 200
    status, error = await ask("POST", "/people/A223456781/unlock-card")
    assert (status, error["error"]) == (404, "person_unknown")


async def test_a_lock_and_a_pin_are_kept_over_a_restart(keys: Any, tmp_path: Path) -> None:
    """What was counted stays counted."""
    async with Simulator.start(fast=True, keys=keys, state=tmp_path) as first:
        wang = await first.add_person(WANG, "王小明", pin="222222")
        device = await first.add_device("我的手機")
        for _ in range(3):
            await refused(first.bind_by_nfc(device.id, wang.card_number, CARD_PIN))
    async with Simulator.start(fast=True, keys=keys, state=tmp_path) as second:
        asked = second.bind_by_nfc(device.id, wang.card_number, "222222")
        assert (await refused(asked)).code == "card_locked"
        second.unlock_card(WANG)
        await second.bind_by_nfc(device.id, wang.card_number, "222222")


async def test_a_shell_binds_by_nfc(sim: Simulator, wang: Person) -> None:
    """`phone bind DEVICE --nfc CARD_NUMBER`, with the card's PIN or the default."""
    device = await sim.add_device("我的手機")

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(main, list(arguments), env={"SIMULATOR_URL": sim.url})

    nothing = await asyncio.to_thread(run, "phone", "bind", device.id)
    both = await asyncio.to_thread(run, "phone", "bind", device.id, "12345678", "--nfc", "1")
    assert (nothing.exit_code, both.exit_code) == (2, 2)
    wrong = ("phone", "bind", device.id, "--nfc", wang.card_number, "--pin", "000000")
    said = await asyncio.to_thread(run, *wrong)
    assert "card_pin_wrong" in said.output
    done = await asyncio.to_thread(run, "phone", "bind", device.id, "--nfc", wang.card_number)
    assert json.loads(done.output)["bound"] is True
    opened = await asyncio.to_thread(run, "person", "unlock-card", WANG)
    assert json.loads(opened.output)["card"] == "ok"
