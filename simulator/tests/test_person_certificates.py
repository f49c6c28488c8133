"""The certificates of the ready-made persons: each differs from the rule in what its name says."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from moica_simulator import TEST_PERSONS, Clock, KeyPool, Simulator

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOON = datetime(2026, 4, 24, 4, 0, tzinfo=UTC)
BOUND = sorted(
    {each.id_number for each in TEST_PERSONS} - {"T110000171", "T110000180"}  # without a phone
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def people(keys: KeyPool) -> AsyncIterator[Simulator]:
    """All of them, at noon of 115/04/24."""
    async with Simulator.start(fast=True, keys=keys, clock=Clock(frozen_at=NOON)) as simulator:
        await simulator.add_test_persons()
        yield simulator


def certificate_of(people: Simulator, id_number: str) -> x509.Certificate:
    """That of the person's first phone."""
    (handset, *_) = people.state.phone.handsets.of(id_number)
    assert handset.certificate is not None
    return x509.load_der_x509_certificate(handset.certificate)


def standing(people: Simulator, certificate: x509.Certificate) -> tuple[bool, str | None]:
    """Whether the CA's books take it back, and why."""
    kept = people.state.ca.certificates.get(f"{certificate.serial_number:x}")
    assert kept is not None
    return kept.revoked_at is not None, kept.reason


def traits(people: Simulator, id_number: str) -> set[str]:
    """What of a certificate is not as the rule has it."""
    certificate = certificate_of(people, id_number)
    find = certificate.extensions.get_extension_for_class
    usage = find(x509.KeyUsage).value
    attributes = certificate.extensions.get_extension_for_oid(
        ExtensionOID.SUBJECT_DIRECTORY_ATTRIBUTES
    ).value
    assert isinstance(attributes, x509.UnrecognizedExtension)
    policies = {
        policy.policy_identifier.dotted_string
        for extension in certificate.extensions
        if isinstance(extension.value, x509.CertificatePolicies)
        for policy in extension.value
    }
    left = certificate.not_valid_after_utc - NOON
    found = {
        "expired": left < timedelta(0),
        "about to expire": timedelta(0) < left < timedelta(days=30),
        "another's last four": id_number[-4:].encode() not in attributes.value,
        "no policy": "2.16.886.101.0.3.3" not in policies,
        "wrong usage": not usage.digital_signature and usage.key_encipherment,
        "revoked": standing(people, certificate) == (True, "keyCompromise"),
        "suspended": standing(people, certificate) == (True, "certificateHold"),
    }
    return {name for name, holds in found.items() if holds}


@pytest.mark.parametrize("id_number", BOUND)
async def test_a_certificate_differs_in_what_its_person_stands_for(
    id_number: str, people: Simulator
) -> None:
    """In that and in nothing else; a foreign resident's is by the same rule."""
    expected = {
        "T110000091": {"about to expire"},
        "T110000108": {"expired"},
        "T110000117": {"revoked"},
        "T110000126": {"suspended"},
        "T110000144": {"another's last four"},
        "T110000153": {"no policy"},
        "T110000162": {"wrong usage"},
    }
    assert traits(people, id_number) == expected.get(id_number, set())


async def test_a_renewed_certificate_is_another_key_of_the_same_person(people: Simulator) -> None:
    """Two stand in the books, neither is taken back; the phone holds the later one."""
    kept = [each for each in people.state.ca.certificates.all() if each.id_number == "T110000135"]
    first, second = (x509.load_der_x509_certificate(each.der) for each in kept)
    assert first.subject == second.subject
    assert first.public_key() != second.public_key()
    assert second == certificate_of(people, "T110000135")
    assert [standing(people, each) for each in (first, second)] == [(False, None)] * 2


async def test_several_phones_of_one_person_have_certificates_and_names_of_their_own(
    people: Simulator,
) -> None:
    """Two devices, two names, two keys."""
    mine, office = people.state.phone.handsets.of("T110000082")
    assert [mine.name, office.name] == ["我的手機", "公務手機"]
    assert mine.certificate != office.certificate
