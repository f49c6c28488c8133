"""Delegated OCSP, timestamps, suspension and certificates of other shapes, judged by OpenSSL."""

import base64
import hashlib
import urllib.parse
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from asn1crypto import core, tsp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from moica_simulator import Device, Simulator, SimulatorError
from moica_simulator.assumptions import TIMESTAMP_POLICY
from moica_simulator.ca.profile import CertificateShape, Usage


def parsed(phone: Device) -> x509.Certificate:
    """The phone's certificate."""
    assert phone.certificate is not None
    return x509.load_der_x509_certificate(phone.certificate)


def asked(sim: Simulator, certificate: x509.Certificate) -> bytes:
    """An OCSP request, DER, with a nonce."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        certificate, sim.ca.authority.intermediate, SHA256()
    )
    builder = builder.add_extension(x509.OCSPNonce(b"n" * 16), critical=False)
    return builder.build().public_bytes(Encoding.DER)


async def test_ocsp_is_answered_by_a_delegated_responder_by_post_and_get(
    sim: Simulator, phone: Device, http: aiohttp.ClientSession
) -> None:
    """Its certificate comes along: of the CA, for OCSP alone, never to be asked about itself."""
    request = asked(sim, parsed(phone))
    url = f"{sim.url}/pki/ocsp"
    by_address = f"{url}/{urllib.parse.quote(base64.b64encode(request).decode(), safe='')}"
    answers = []
    async with http.post(url, data=request) as posted, http.get(by_address) as got:
        for reply in (posted, got):
            assert (reply.status, reply.content_type) == (200, "application/ocsp-response")
            answers.append(ocsp.load_der_ocsp_response(await reply.read()))
    for answer in answers:
        assert answer.certificate_status is ocsp.OCSPCertStatus.GOOD
        assert answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"n" * 16
        (responder,) = answer.certificates
        responder.verify_directly_issued_by(sim.ca.authority.intermediate)
        usage = responder.extensions.get_extension_for_oid(ExtensionOID.EXTENDED_KEY_USAGE).value
        assert list(usage) == [ExtendedKeyUsageOID.OCSP_SIGNING]  # type: ignore[call-overload]
        responder.extensions.get_extension_for_oid(ExtensionOID.OCSP_NO_CHECK)


@pytest.mark.parametrize("how", ["post", "get"])
async def test_what_is_no_ocsp_request_is_told_so_in_ocsp(
    sim: Simulator, http: aiohttp.ClientSession, how: str
) -> None:
    """A responder answers in its own language, whatever comes."""
    url = f"{sim.url}/pki/ocsp" + ("/no-base64!" if how == "get" else "")
    async with http.request(how, url, data=b"no request" if how == "post" else None) as reply:
        answer = ocsp.load_der_ocsp_response(await reply.read())
    assert answer.response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


async def test_a_suspended_certificate_is_on_hold_until_it_is_resumed(
    sim: Simulator, phone: Device, openssl: Any
) -> None:
    """Lists and OCSP say `certificateHold`, then nothing; revoked for good stays so."""
    serial = f"{parsed(phone).serial_number:x}"
    number = parsed(phone).serial_number % 4

    async def verify() -> str:
        partition = await sim.ca.partition_list(number)
        assert partition is not None
        lists = x509.load_der_x509_crl(partition).public_bytes(Encoding.PEM)
        root = x509.load_der_x509_crl(await sim.ca.root_list()).public_bytes(Encoding.PEM)
        at = int(sim.clock.now().timestamp()) + 1
        _, said = await openssl(
            f"verify -crl_check_all -attime {at} -CAfile ca -CRLfile lists holder",
            ca=sim.anchors_pem.encode(),
            lists=lists + root,
            holder=parsed(phone).public_bytes(Encoding.PEM),
        )
        return str(said)

    assert "holder: OK" in await verify()
    assert sim.ca.suspend(serial).reason == "certificateHold"
    assert not sim.ca.can_sign(parsed(phone).public_bytes(Encoding.DER), sim.clock.now())
    assert "certificate revoked" in await verify()
    assert sim.ca.resume(serial).revoked_at is None
    assert sim.ca.resume(serial).revoked_at is None
    assert "holder: OK" in await verify()
    held = sim.ca.suspend(serial)
    for_good = sim.ca.revoke(serial, "keyCompromise")
    assert (for_good.reason, for_good.revoked_at) == ("keyCompromise", held.revoked_at)
    with pytest.raises(SimulatorError) as raised:
        sim.ca.resume(serial)
    assert raised.value.code == "certificate_revoked"


async def stamp(sim: Simulator, http: aiohttp.ClientSession, request: bytes) -> bytes:
    """The timestamper's answer."""
    headers = {"Content-Type": "application/timestamp-query"}
    async with http.post(f"{sim.url}/pki/tsa", data=request, headers=headers) as reply:
        assert (reply.status, reply.content_type) == (200, "application/timestamp-reply")
        return await reply.read()


@pytest.mark.parametrize("options", ["-sha256 -cert", "-sha384 -cert -no_nonce", "-sha512 -cert"])
async def test_openssl_believes_a_timestamp_and_no_other_bytes(
    sim: Simulator, openssl: Any, http: aiohttp.ClientSession, options: str, tmp_path: Any
) -> None:
    """A query of OpenSSL's own, answered and verified up to the root; one bit more and it fails."""
    await openssl(f"ts -query -data document {options} -out query", document=b"the document")
    answer = await stamp(sim, http, (tmp_path / "query").read_bytes())
    ca = sim.anchors_pem.encode()
    at = int(sim.clock.now().timestamp()) + 1
    verify = f"ts -verify -in answer -CAfile ca -attime {at}"
    _, said = await openssl(f"{verify} -queryfile query", answer=answer, ca=ca)
    assert "Verification: OK" in said
    _, said = await openssl(f"{verify} -data other", other=b"another document")
    assert "Verification: FAILED" in said
    info = tsp.TimeStampResp.load(answer)["time_stamp_token"]["content"]["encap_content_info"]
    content = info["content"].parsed
    assert content["gen_time"].native == sim.clock.now().replace(microsecond=0)
    assert content["policy"].native == TIMESTAMP_POLICY


async def test_each_timestamp_has_a_number_of_its_own_and_a_tampered_one_fails(
    sim: Simulator, openssl: Any, http: aiohttp.ClientSession
) -> None:
    """Numbers rise; a byte changed in the token and OpenSSL says so."""
    query = imprint()
    first, second = [await stamp(sim, http, query.dump()) for _ in range(2)]
    numbers = [
        tsp.TimeStampResp.load(each)["time_stamp_token"]["content"]["encap_content_info"]["content"]
        .parsed["serial_number"]
        .native
        for each in (first, second)
    ]
    assert numbers[0] < numbers[1]
    broken = first[:-1] + bytes([first[-1] ^ 1])
    _, said = await openssl(
        "ts -verify -in answer -CAfile ca -data document",
        answer=broken,
        ca=sim.anchors_pem.encode(),
        document=b"the document",
    )
    assert "Verification: FAILED" in said


def imprint(**changes: Any) -> tsp.TimeStampReq:
    """A query as it should be, with changes."""
    digest = hashlib.sha256(b"the document").digest()
    return tsp.TimeStampReq(
        {
            "version": "v1",
            "message_imprint": {
                "hash_algorithm": {"algorithm": changes.pop("algorithm", "sha256")},
                "hashed_message": changes.pop("digest", digest),
            },
            "cert_req": True,
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("query", "failure"),
    [
        (b"", "bad_data_format"),
        (b"no query", "bad_data_format"),
        (imprint().dump() + b"\x00", "bad_data_format"),
        (imprint(algorithm="md5", digest=b"m" * 16).dump(), "bad_alg"),
        (imprint(algorithm="sha1", digest=b"m" * 20).dump(), "bad_alg"),
        (imprint(digest=b"short").dump(), "bad_data_format"),
        (imprint(req_policy="1.2.3.4").dump(), "unaccepted_policy"),
    ],
)
async def test_a_query_that_cannot_be_granted_is_told_why(
    sim: Simulator, http: aiohttp.ClientSession, openssl: Any, query: bytes, failure: str
) -> None:
    """Rejected, with the reason of RFC 3161, and no token."""
    answer = await stamp(sim, http, query)
    status = tsp.PKIStatusInfo.load(core.Sequence.load(answer).contents)
    assert (status["status"].native, status["fail_info"].native) == ("rejection", {failure})
    _, said = await openssl("ts -reply -in answer -text", answer=answer)
    assert "Status: Rejected." in said
    assert "TST info:\nNot included." in said


async def test_a_query_of_another_media_type_is_refused(
    sim: Simulator, http: aiohttp.ClientSession
) -> None:
    """415, as the protocol's transport has it."""
    async with http.post(f"{sim.url}/pki/tsa", data=imprint().dump()) as reply:
        assert reply.status == 415


async def test_a_certificate_may_differ_from_the_rule_where_it_is_asked_to(
    sim: Simulator, keys: Any
) -> None:
    """Time, last four characters, policy, usage and carrier; everything else is the profile's."""
    person = await sim.add_person("A123456789", "王小明")
    key = keys.source().rsa_key(2048)
    now = sim.clock.now()
    shape = CertificateShape(
        valid_from=now - timedelta(days=400),
        valid_for=timedelta(days=365),
        last_four="0000",
        policy=False,
        usage=Usage.ENCIPHERMENT,
        carrier="card",
    )
    odd = x509.load_der_x509_certificate(
        (await sim.ca.issue(person, "device", request_for(key), shape)).der
    )
    rule = x509.load_der_x509_certificate(
        (await sim.ca.issue(person, "device", request_for(key))).der
    )
    assert odd.not_valid_after_utc < now < rule.not_valid_after_utc
    usage = odd.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_encipherment, usage.data_encipherment) == (
        False,
        True,
        True,
    )
    with pytest.raises(x509.ExtensionNotFound):
        odd.extensions.get_extension_for_class(x509.CertificatePolicies)
    oid = ExtensionOID.SUBJECT_DIRECTORY_ATTRIBUTES
    attributes = [each.extensions.get_extension_for_oid(oid).value for each in (odd, rule)]
    values = [each.value for each in attributes]  # type: ignore[attr-defined]
    assert (b"0000" in values[0], b"card" in values[0]) == (True, True)
    assert (b"6789" in values[1], b"mobile" in values[1]) == (True, True)
    assert odd.subject == rule.subject


def request_for(key: rsa.RSAPrivateKey) -> bytes:
    """PKCS#10, DER."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a phone")])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, SHA256())
    return made.public_bytes(Encoding.DER)
