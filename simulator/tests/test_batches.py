"""ATH-04 and LF-01: several documents by one confirmation, and what a person's devices can do."""

import base64
import hashlib
import uuid
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from moica_simulator import Clock, Device, PlatformError, Simulator, TicketStatus

DOCUMENTS = (b"first", b"second", "第三件".encode())


def batch(system: Any, documents: Any = DOCUMENTS, **changes: Any) -> dict[str, Any]:
    """Makes the body of a batch; keyword `info` changes `sign_info`."""
    info = {
        "sign_type": "PKCS#1",
        "sign_data_set": [base64.b64encode(each).decode() for each in documents],
        "tbs_encoding": "base64",
        "hash_algorithm": "SHA256",
        **changes.pop("info", {}),
    }
    sent: dict[str, Any] = system.push_body(
        **{"op_code": "BATSIGN", "op_mode": "PUSH", "sign_info": info, **changes}
    )
    return sent


async def test_one_confirmation_signs_every_document_in_order(
    sim: Simulator, system: Any, phone: Device, openssl: Any
) -> None:
    """OpenSSL verifies signature number n over document number n, and over no other."""
    body = batch(system)
    answer = await system.call("doBatchSigning", body)
    assert answer["error_code"] == "0"
    request = await sim.wait_for_request(phone.id)
    view = await sim.confirm(phone.id, request.sp_ticket_id)
    assert view.status is TicketStatus.CONFIRMED
    result = (await system.result(body, request.sp_ticket_id))["result"]
    assert set(result) == {"hashed_id_num", "signed_response_set", "cert", "idp_checksum"}
    payload = f"{body['transaction_id']}0{result['hashed_id_num']}"
    assert system.unseal(result["idp_checksum"]) == hashlib.sha256(payload.encode()).hexdigest()
    certificate = x509.load_der_x509_certificate(base64.b64decode(result["cert"]))
    key = certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signatures = [base64.b64decode(each) for each in result["signed_response_set"]]
    assert len(signatures) == len(DOCUMENTS)
    for number, signature in enumerate(signatures):
        for other, document in enumerate(DOCUMENTS):
            files = {"key": key, "signature": signature, "document": document}
            status, said = await openssl(
                "dgst -sha256 -verify key -signature signature document", **files
            )
            assert (status == 0) is (number == other), said


async def test_a_batch_as_pkcs7_is_accepted_by_openssl(
    sim: Simulator, system: Any, phone: Device, openssl: Any
) -> None:
    """Each member of the set is a CMS SignedData of its own up to the root."""
    body = batch(system, info={"sign_type": "PKCS#7", "hash_algorithm": "SHA384"})
    await system.call("doBatchSigning", body)
    request = await sim.wait_for_request(phone.id)
    await sim.confirm(phone.id, request.sp_ticket_id)
    result = (await system.result(body, request.sp_ticket_id))["result"]
    for document, signed in zip(DOCUMENTS, result["signed_response_set"], strict=True):
        status, said = await openssl(
            "cms -verify -binary -inform DER -in cms -CAfile anchors -purpose any -out out "
            f"-attime {int(sim.clock.now().timestamp())}",
            cms=base64.b64decode(signed),
            anchors=sim.anchors_pem.encode(),
        )
        assert status == 0, said
        assert document in base64.b64decode(signed)


@pytest.mark.parametrize("op_mode", ["I-SCAN", "APP2APP", "MWEB2APP"])
async def test_only_a_pushed_batch_rings(
    op_mode: str, sim: Simulator, system: Any, phone: Device
) -> None:
    """A batch for another way makes a ticket and no notification."""
    answer = await system.call("doBatchSigning", batch(system, op_mode=op_mode))
    assert answer["error_code"] == "0"
    assert await sim.inbox(phone.id) == []


WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "21 documents": ("BATSIGN_CNT_LIMIT", {"info": {"sign_data_set": ["QQ=="] * 21}}),
    "none": ("PM_SIGNDATA_NULL", {"info": {"sign_data_set": []}}),
    "one empty": ("PM_SIGNDATA_NULL", {"info": {"sign_data_set": ["QQ==", ""]}}),
    "one too long": ("SIGNDATA_LEN_LIMIT", {"info": {"sign_data_set": ["QQ==", "QUFB" * 257]}}),
    "text": ("PM_INV_NF", {"info": {"sign_data_set": "QQ=="}}),
    "a number inside": ("PM_INV_NF", {"info": {"sign_data_set": ["QQ==", 1]}}),
    "no base64": ("PM_INV_NF", {"info": {"sign_data_set": ["QQ==", "!"]}}),
    "plain text": ("PM_INV_NF", {"info": {"tbs_encoding": "NONE"}}),
    "another operation": ("TGT_INV", {"op_code": "SIGN"}),
    "another way": ("TGT_INV", {"op_mode": "FAX"}),
}


@pytest.mark.parametrize("case", WRONG)
async def test_a_wrong_batch_is_refused(
    case: str, system: Any, phone: Device, code_of: Any
) -> None:
    """Each rule has its code, and the documents are none of the checksum's business."""
    code, changes = WRONG[case]
    assert code_of(await system.call("doBatchSigning", batch(system, **changes))) == code


async def test_the_largest_batch_is_taken(system: Any, phone: Device) -> None:
    """20 texts of 1024 characters."""
    body = batch(system, info={"sign_data_set": ["QUFB" * 256] * 20})
    assert (await system.call("doBatchSigning", body))["error_code"] == "0"


async def test_batsign_is_for_batches_only(system: Any, phone: Device, code_of: Any) -> None:
    """A push with BATSIGN is TGT_INV."""
    answer = await system.call("requestAthOrSignPush", system.push_body(op_code="BATSIGN"))
    assert code_of(answer) == "TGT_INV"


async def status_of(system: Any, **changes: Any) -> dict[str, Any]:
    """Asks for the device status and returns the whole answer."""
    body = {
        "transaction_id": str(uuid.uuid4()),
        "sp_service_id": system.service_id,
        "id_num": "A123456789",
        **changes,
    }
    answer: dict[str, Any] = await system.call("checkDeviceStatus", body)
    if answer["error_code"] == "0":
        result = answer["result"]
        payload = f"{body['transaction_id']}0{result['is_fido']}{result['is_mcert_sign']}"
        wanted = hashlib.sha256(payload.encode()).hexdigest()
        assert system.unseal(result["idp_checksum"]) == wanted
    return answer


def flags(answer: dict[str, Any]) -> str:
    """Returns is_fido and is_mcert_sign as two letters."""
    return str(answer["result"]["is_fido"] + answer["result"]["is_mcert_sign"])


async def test_device_status_follows_the_device(sim: Simulator, system: Any, phone: Device) -> None:
    """Bound: YY; unbound: NN; somebody unknown: NN."""
    assert flags(await status_of(system)) == "YY"
    await sim.unbind(phone.id)
    assert flags(await status_of(system)) == "NN"
    assert flags(await status_of(system, id_num="B123456780")) == "NN"


async def test_device_status_follows_the_certificate(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """With its certificate revoked a bound phone is YN."""
    assert phone.certificate is not None
    serial = x509.load_der_x509_certificate(phone.certificate).serial_number
    await sim.revoke(f"{serial:x}")
    assert flags(await status_of(system)) == "YN"


async def test_device_status_follows_the_clock(system: Any, phone: Device, clock: Clock) -> None:
    """With its certificate expired a bound phone is YN."""
    clock.advance(400 * 86_400)
    assert flags(await status_of(system)) == "YN"


async def test_device_status_checks_the_id_number(system: Any, code_of: Any) -> None:
    """A malformed id_num is PM_IDN_FT_ERR."""
    assert code_of(await status_of(system, id_num="A12345")) == "PM_IDN_FT_ERR"


async def test_error_answers_carry_a_checksum_if_told_so(
    sim: Simulator, system: Any, code_of: Any
) -> None:
    """Without the switch an error has no result; with it, one checksum over the code as sent."""
    assert "result" not in await status_of(system, id_num="A12345")
    sim.set_error_checksums(True)
    answer = await status_of(system, id_num="A12345", transaction_id="t-1")
    payload = f"t-1{answer['error_code']}"
    wanted = hashlib.sha256(payload.encode()).hexdigest()
    assert system.unseal(answer["result"]["idp_checksum"]) == wanted


async def test_a_foreign_phone_cannot_confirm_a_batch(
    sim: Simulator, system: Any, phone: Device, other_phone: Device
) -> None:
    """A stranger's scan ends the batch with DEVID_SPTKT_MISMATCH."""
    answer = await system.call("doBatchSigning", batch(system, op_mode="I-SCAN"))
    with pytest.raises(PlatformError, match="DEVID_SPTKT_MISMATCH"):
        await sim.scan(other_phone.id, answer["result"]["sp_ticket"])
