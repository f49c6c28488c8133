"""What the phone's key makes: checked with `cryptography`, and CMS and RAW with OpenSSL."""

import base64
import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from moica_simulator import Device, PlatformError, Simulator, TicketStatus

ALGORITHMS: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "SHA1": hashes.SHA1,
    "SHA256": hashes.SHA256,
    "SHA384": hashes.SHA384,
    "SHA512": hashes.SHA512,
}
DATA = {
    "base64": ("AAEC/w==", b"\x00\x01\x02\xff"),
    "NONE": ("公文 1153000165", "公文 1153000165".encode()),
}
CASES = list(itertools.product(ALGORITHMS, DATA))
SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")


async def sign(sim: Simulator, system: Any, phone: Device, **info: str) -> tuple[bytes, bytes]:
    """Has a document signed and returns signature and certificate."""
    body, ticket_id = await system.push(sign_info=info)
    await sim.confirm(phone.id, ticket_id)
    result = (await system.result(body, ticket_id))["result"]
    return base64.b64decode(result["signed_response"]), base64.b64decode(result["cert"])


def key_in(certificate: bytes) -> rsa.RSAPublicKey:
    """Returns a certificate's key."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048
    return key


@pytest.mark.parametrize(("algorithm", "encoding"), CASES)
async def test_pkcs1_covers_the_data(
    algorithm: str, encoding: str, sim: Simulator, system: Any, phone: Device
) -> None:
    """PKCS#1: the decoded bytes, or the UTF-8 text, by each algorithm."""
    sent, covered = DATA[encoding]
    signature, certificate = await sign(
        sim,
        system,
        phone,
        sign_type="PKCS#1",
        sign_data=sent,
        tbs_encoding=encoding,
        hash_algorithm=algorithm,
    )
    assert certificate == phone.certificate
    key_in(certificate).verify(signature, covered, padding.PKCS1v15(), ALGORITHMS[algorithm]())


@pytest.mark.parametrize(("algorithm", "encoding"), CASES)
async def test_pkcs7_is_accepted_by_openssl(
    algorithm: str,
    encoding: str,
    sim: Simulator,
    system: Any,
    phone: Device,
    openssl: Any,
    tmp_path: Path,
) -> None:
    """PKCS#7: OpenSSL verifies the CMS up to the root and finds the content in it."""
    sent, covered = DATA[encoding]
    signature, _ = await sign(
        sim,
        system,
        phone,
        sign_type="PKCS#7",
        sign_data=sent,
        tbs_encoding=encoding,
        hash_algorithm=algorithm,
    )
    at = str(int(sim.clock.now().timestamp()))
    status, said = await openssl(
        "cms -verify -binary -inform DER -in signed -CAfile anchors -purpose any "
        f"-auth_level 0 -attime {at} -out content",
        signed=signature,
        anchors=sim.anchors_pem.encode(),
    )
    assert status == 0, said
    assert (tmp_path / "content").read_bytes() == covered


async def test_raw_pads_a_digest_info(
    sim: Simulator, system: Any, phone: Device, openssl: Any
) -> None:
    """RAW over a SHA-256 DigestInfo is the PKCS#1 signature of the hashed bytes."""
    document = b"a document of any size" * 1000
    info = SHA256_PREFIX + hashlib.sha256(document).digest()
    signature, certificate = await sign(
        sim,
        system,
        phone,
        sign_type="RAW",
        sign_data=base64.b64encode(info).decode(),
        tbs_encoding="base64",
        hash_algorithm="SHA1",
    )
    key_in(certificate).verify(signature, document, padding.PKCS1v15(), hashes.SHA256())
    status, pem = await openssl("x509 -inform DER -in cert -noout -pubkey", cert=certificate)
    assert status == 0
    _, said = await openssl(
        "dgst -sha256 -verify key -signature signature document",
        key=pem.encode(),
        signature=signature,
        document=document,
    )
    assert "Verified OK" in said


@pytest.mark.parametrize(
    "data",
    [
        b"no DigestInfo",
        SHA256_PREFIX + bytes(31),
        SHA256_PREFIX + bytes(33),
        bytes.fromhex("3000"),
        bytes(300),
    ],
)
async def test_raw_data_that_is_no_digest_info_fails_in_the_app(
    data: bytes, sim: Simulator, system: Any, phone: Device
) -> None:
    """The app cannot decode it, tells the platform, and the ticket ends with that."""
    body, ticket_id = await system.push(
        sign_info={
            "sign_type": "RAW",
            "sign_data": base64.b64encode(data).decode(),
            "tbs_encoding": "base64",
        }
    )
    with pytest.raises(PlatformError) as caught:
        await sim.confirm(phone.id, ticket_id)
    assert caught.value.code == "APP_DECODE_FAIL"
    assert await system.result_code(body, ticket_id) == "APP_DECODE_FAIL"
    assert (await sim.inbox(phone.id))[0].status is TicketStatus.FAILED
