"""The CA: hierarchy, holder profile, revocation lists and OCSP, judged by OpenSSL."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, NameOID

from moica_simulator import Clock, Device, Simulator, SimulatorError
from moica_simulator.ca.profile import subject_directory_attributes, validity_of_one_year

# The extension's value in a public certificate of MOI's test CA, for an ID ending in 2116.
REAL_ATTRIBUTES = bytes.fromhex(
    "303F3015060760867601640201310A06086086760164030101"
    "3013060760867601640202310813066D6F62696C65301106076086760164023331060C0432313136"
)


def parsed(device: Device) -> x509.Certificate:
    """Returns a phone's certificate."""
    assert device.certificate is not None
    return x509.load_der_x509_certificate(device.certificate)


def points(certificate: x509.Certificate) -> list[str]:
    """Returns the addresses of its revocation lists."""
    extension = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints)
    return [point.full_name[0].value for point in extension.value if point.full_name]


async def fetch(http: Any, url: str) -> bytes:
    """Gets a file."""
    async with http.get(url) as response:
        assert response.status == 200
        content = await response.read()
        assert isinstance(content, bytes)
        return content


def test_the_last_four_stand_as_in_a_real_certificate() -> None:
    """Byte for byte what MOI's test CA wrote."""
    assert subject_directory_attributes("A123452116").value == REAL_ATTRIBUTES


@pytest.mark.parametrize("id_number", ["A810002116", "FC10002116"])
def test_a_foreign_resident_s_certificate_says_so(id_number: str) -> None:
    """By either form of number; nothing else differs from a citizen's."""
    made = subject_directory_attributes(id_number).value
    citizen, resident = (
        core.ObjectIdentifier(f"2.16.886.1.100.3.1.{kind}").dump() for kind in (1, 2)
    )
    assert citizen in REAL_ATTRIBUTES
    assert made == REAL_ATTRIBUTES.replace(citizen, resident)


async def test_a_certificate_is_made_by_the_holder_profile(
    sim: Simulator, phone: Device, clock: Clock
) -> None:
    """Subject, key, usage, policy, attributes, addresses, one year."""
    certificate = parsed(phone)
    subject = [(part.oid, part.value) for part in certificate.subject]
    assert subject == [
        (NameOID.COUNTRY_NAME, "TW"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "NOT FOR PRODUCTION"),
        (NameOID.COMMON_NAME, "王小明"),
        (NameOID.SERIAL_NUMBER, sim.person("A123456789").card_number),
    ]
    assert len(str(subject[-1][1])) == 16
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048
    find = certificate.extensions.get_extension_for_class
    usage = find(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.content_commitment
    assert not usage.value.key_encipherment
    (policy,) = find(x509.CertificatePolicies).value
    assert policy.policy_identifier.dotted_string == "2.16.886.101.0.3.3"
    attributes = certificate.extensions.get_extension_for_oid(
        ExtensionOID.SUBJECT_DIRECTORY_ATTRIBUTES
    )
    assert isinstance(attributes.value, x509.UnrecognizedExtension)
    assert attributes.value.value == REAL_ATTRIBUTES.replace(b"2116", b"6789")
    serial = certificate.serial_number
    assert points(certificate) == [
        f"{sim.url}/pki/crl/MOICA-SIM-{serial % 4}.crl",
        f"{sim.url}/pki/crl/MOICA-SIM-complete.crl",
    ]
    assert certificate.not_valid_before_utc == clock.now()
    assert certificate.not_valid_after_utc == datetime(2027, 4, 24, 15, 59, 59, tzinfo=UTC)
    assert phone.certificate_serial == f"{serial:x}"


def test_a_year_from_a_leap_day_ends() -> None:
    """From 29 February to 28 February."""
    _, last = validity_of_one_year(datetime(2028, 2, 29, 1, tzinfo=UTC))
    assert last == datetime(2029, 2, 28, 15, 59, 59, tzinfo=UTC)


async def test_every_certificate_says_not_for_production(sim: Simulator, phone: Device) -> None:
    """Root, intermediate and holder."""
    authority = sim.ca.authority
    for certificate in (authority.root, authority.intermediate, parsed(phone)):
        units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        assert "NOT FOR PRODUCTION" in [unit.value for unit in units]


async def test_the_intermediate_is_named_as_moica(sim: Simulator) -> None:
    """C=TW, O=行政院, OU=內政部憑證管理中心, no further CA below it."""
    intermediate = sim.ca.authority.intermediate
    values = [part.value for part in intermediate.subject]
    assert values == ["TW", "行政院", "內政部憑證管理中心", "NOT FOR PRODUCTION"]
    constraints = intermediate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.path_length) == (True, 0)


async def test_openssl_verifies_the_chain_with_revocation(
    sim: Simulator, phone: Device, http: Any, openssl: Any
) -> None:
    """Root as the only anchor, intermediate from the served bag, both lists as served."""
    certificate = parsed(phone)
    status, chain = await openssl(
        "pkcs7 -inform DER -in bag -print_certs",
        bag=await fetch(http, f"{sim.url}/pki/certs/IssuedToThisCA.p7b"),
    )
    assert status == 0
    lists = [
        x509.load_der_x509_crl(await fetch(http, url)).public_bytes(Encoding.PEM)
        for url in (points(certificate)[0], f"{sim.url}/pki/crl/GRCA-SIM.crl")
    ]
    command = (
        "verify -CAfile root -untrusted chain -CRLfile crls -crl_check_all -x509_strict "
        f"-extended_crl -attime {int(sim.clock.now().timestamp()) + 1} holder"
    )
    files = {
        "root": sim.ca.authority.root.public_bytes(Encoding.PEM),
        "chain": chain.encode(),
        "holder": certificate.public_bytes(Encoding.PEM),
    }
    status, said = await openssl(command, crls=b"".join(lists), **files)
    assert (status, said) == (0, "holder: OK\n")
    await sim.revoke(f"{certificate.serial_number:X}", reason="keyCompromise")
    lists[0] = x509.load_der_x509_crl(await fetch(http, points(certificate)[0])).public_bytes(
        Encoding.PEM
    )
    status, said = await openssl(command, crls=b"".join(lists), **files)
    assert status != 0
    assert "certificate revoked" in said


async def test_a_partition_names_itself_and_the_complete_list_does_not(
    sim: Simulator, http: Any, phone: Device
) -> None:
    """IssuingDistributionPoint is critical and equals the certificate's own address."""
    partition, complete = points(parsed(phone))
    found = x509.load_der_x509_crl(await fetch(http, partition))
    extension = found.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    assert extension.critical
    assert extension.value.full_name is not None
    assert [name.value for name in extension.value.full_name] == [partition]
    whole = x509.load_der_x509_crl(await fetch(http, complete))
    with pytest.raises(x509.ExtensionNotFound):
        whole.extensions.get_extension_for_class(x509.IssuingDistributionPoint)


async def test_a_revoked_certificate_stands_in_its_lists_only(
    sim: Simulator, http: Any, phone: Device
) -> None:
    """In its partition and the complete list, with date and reason; in no other partition."""
    certificate = parsed(phone)
    serial = certificate.serial_number
    await fetch(http, points(certificate)[1])
    revoked = await sim.revoke(f"{serial:x}", reason="keyCompromise")
    for number in range(4):
        url = f"{sim.url}/pki/crl/MOICA-SIM-{number}.crl"
        found = x509.load_der_x509_crl(await fetch(http, url))
        entry = found.get_revoked_certificate_by_serial_number(serial)
        assert (entry is not None) == (number == serial % 4)
    whole = x509.load_der_x509_crl(await fetch(http, points(certificate)[1]))
    entry = whole.get_revoked_certificate_by_serial_number(serial)
    assert entry is not None
    assert entry.revocation_date_utc == revoked.revoked_at
    reason = entry.extensions.get_extension_for_class(x509.CRLReason)
    assert reason.value.reason is x509.ReasonFlags.key_compromise


async def test_a_list_is_kept_and_renewed_with_a_higher_number(
    sim: Simulator, http: Any, clock: Clock
) -> None:
    """The same list for half its life, then a new one; numbers only rise."""
    url = f"{sim.url}/pki/crl/MOICA-SIM-complete.crl"
    first, again = await fetch(http, url), await fetch(http, url)
    assert first == again
    clock.advance(12 * 3600)
    later = await fetch(http, url)
    numbers = [
        x509.load_der_x509_crl(each)
        .extensions.get_extension_for_class(x509.CRLNumber)
        .value.crl_number
        for each in (first, later)
    ]
    assert numbers[0] < numbers[1]
    newest = x509.load_der_x509_crl(later)
    assert newest.last_update_utc == clock.now()
    assert newest.next_update_utc == clock.now() + timedelta(hours=24)


async def test_openssl_asks_ocsp(sim: Simulator, phone: Device, openssl: Any, http: Any) -> None:
    """Good, then revoked with its reason; unknown to the books; another CA's is unauthorized."""
    certificate = parsed(phone)
    files = {
        "root": sim.ca.authority.root.public_bytes(Encoding.PEM),
        "issuer": sim.ca.authority.intermediate.public_bytes(Encoding.PEM),
        "holder": certificate.public_bytes(Encoding.PEM),
        "both": sim.anchors_pem.encode(),
    }
    at = int(sim.clock.now().timestamp()) + 1
    ask = f"ocsp -issuer issuer -cert holder -url {sim.url}/pki/ocsp -CAfile both"
    # -attime is for the chain; how old an answer may be is measured by the machine's clock.
    ask += f" -attime {at} -validity_period 1000000000 -no_nonce"
    _, said = await openssl(ask, **files)
    assert "holder: good" in said
    assert "Response verify OK" in said
    await sim.revoke(f"{certificate.serial_number:x}", reason="cessationOfOperation")
    _, said = await openssl(ask, **files)
    assert "holder: revoked" in said
    assert "cessationOfOperation" in said
    _, said = await openssl(ask.replace("-cert holder", "-serial 12345"), **files)
    assert "12345: unknown" in said
    _, said = await openssl(
        ask.replace("-issuer issuer -cert holder", "-issuer root -serial 1"), **files
    )
    assert "unauthorized" in said


@pytest.mark.parametrize(
    ("serial", "reason", "code"),
    [
        ("abc", "unspecified", "certificate_unknown"),
        ("", "unspecified", "certificate_unknown"),
        ("abc", "boredom", "reason_unknown"),
    ],
)
async def test_a_wrong_revocation_says_why(
    serial: str, reason: str, code: str, sim: Simulator
) -> None:
    """No such certificate, no such reason."""
    with pytest.raises(SimulatorError) as caught:
        await sim.revoke(serial, reason=reason)
    assert caught.value.code == code


async def test_a_revoked_phone_works_until_the_platform_hears_of_it(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """By default only the lists change; `forget_device` unbinds as well."""
    assert phone.certificate_serial is not None
    await sim.revoke(phone.certificate_serial)
    body, ticket_id = await system.push()
    await sim.confirm(phone.id, ticket_id)
    assert await system.result_code(body, ticket_id) == "0"
    await sim.revoke(phone.certificate_serial, forget_device=True)
    answer = await system.call("requestAthOrSignPush", system.push_body())
    assert answer["error_code"] == "SP-API-ATH-03-IDNUM_DEVPROF_NF"


async def test_a_new_ca_comes_with_every_launch(keys: Any) -> None:
    """Without a state folder nothing of an old CA is found again."""
    roots = []
    for _ in range(2):
        async with Simulator.start(fast=True, keys=keys) as sim:
            roots.append(sim.ca.authority.root.serial_number)
    assert roots[0] != roots[1]


async def test_what_stands_in_certificates_can_be_another_address(keys: Any) -> None:
    """Behind a proxy certificates name the public address."""
    async with Simulator.start(
        fast=True, keys=keys, public_url="https://simulator.example/"
    ) as sim:
        await sim.add_person("A123456789", "王小明")
        device = await sim.bind_device("A123456789")
        assert points(parsed(device))[1] == (
            "https://simulator.example/pki/crl/MOICA-SIM-complete.crl"
        )
