"""Evidence of a running gateway, taken apart by OpenSSL and code that is not the gateway's."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import re
import subprocess
import zipfile
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509 import ocsp

from moica_gateway.client import GatewayClient
from moica_gateway.domain.audit_lines import check_lines
from moica_gateway.domain.models import Scope
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import TenantId
from moica_gateway.errors import GatewayError
from moica_gateway.wire import DocumentRequest, TransactionView
from tests.formats.pdf_making import PLAIN
from tests.stage import Stage, on_stage

HOW_TO = Path(__file__).parents[2] / "docs/howto/evidence.md"
ID_NUMBER = "A123456789"
CONTENT = "檢送本校資訊安全教育訓練實施計畫".encode()
TITLE = '<script>alert("一")</script>'


def document(number: int = 0) -> DocumentRequest:
    """A title that a page has to escape."""
    return DocumentRequest(
        number=f"{1153000165 + number}",
        version="1",
        title=TITLE,
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )


async def registered(stage: Stage, client: GatewayClient, behaviour: str = "confirm") -> str:
    """A registered user, whose phone behaves so from then on."""
    await stage.simulator.add_person(ID_NUMBER, "王小明")
    device = await stage.simulator.bind_device(ID_NUMBER, "我的手機")
    await stage.simulator.set_behaviour(device.id, "confirm")
    begun = await client.begin_registration(user_id="u1", id_number=ID_NUMBER)
    assert (await client.wait(begun.id, seconds=20)).status == "completed"
    await stage.simulator.set_behaviour(device.id, behaviour)
    return device.id


async def ended(client: GatewayClient, count: int = 1) -> TransactionView:
    """A signature, or a batch, once it has ended."""
    if count == 1:
        begun = await client.begin_signature(user_id="u1", document=document())
    else:
        begun = await client.begin_batch(
            user_id="u1", documents=[document(number) for number in range(count)]
        )
    return await client.wait(begun.id, seconds=40)


def opened(data: bytes) -> dict[str, bytes]:
    """By name, after every name was looked at, and every file held against the signed manifest."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert len(set(names)) == len(names)
        assert not any(name.startswith("/") or ".." in name or "\\" in name for name in names)
        files = {name: archive.read(name) for name in names}
    manifest = json.loads(files["manifest.json"])
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(manifest["public_key"]))
    key.verify(files["manifest.sig"], b"moica-evidence-manifest/1\n" + files["manifest.json"])
    listed = {each["name"]: each for each in manifest["files"]}
    assert listed.keys() == files.keys() - {"manifest.json", "manifest.sig"}
    for name, each in listed.items():
        assert each["sha256"] == hashlib.sha256(files[name]).hexdigest()
        assert each["size"] == len(files[name])
    return files


def told(files: dict[str, bytes]) -> dict[str, Any]:
    """What was asked, and how it ended."""
    found: dict[str, Any] = json.loads(files["transaction.json"])
    return found


def openssl(folder: Path, *asked: str) -> None:
    """Raises where it does not accept."""
    done = subprocess.run(("openssl", *asked), cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_evidence_of_a_signature_stands_by_itself(tmp_path: Path) -> None:
    """OpenSSL takes the artifact with the certificates and lists inside; the phone's signature
    covers the bytes that are there; the audit records lead to a signed head."""
    async with on_stage(tmp_path) as stage, GatewayClient(stage.url, stage.api_key) as client:
        await registered(stage, client)
        transaction = await ended(client)
        files = opened((await client.evidence(transaction.id)).data)
        anchors = stage.simulator.anchors_pem

    assert told(files)["shown_to_the_holder"].startswith("公文文號：1153000165")
    assert told(files)["documents"][0]["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    for name, data in files.items():
        path = tmp_path / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "anchors.pem").write_text(anchors)
    (tmp_path / "content").write_bytes(CONTENT)
    await asyncio.to_thread(
        openssl,
        tmp_path,
        *("cms", "-verify", "-binary", "-inform", "DER", "-cades"),
        *("-in", "out/documents/1/signed.p7s", "-content", "content", "-CAfile", "anchors.pem"),
    )
    holder = x509.load_der_x509_certificate(files["answers/1/certificate.cer"])
    key = holder.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    covered, signature = files["documents/1/to-be-signed.bin"], files["documents/1/signature.bin"]
    key.verify(signature, covered, padding.PKCS1v15(), hashes.SHA256())
    with pytest.raises(InvalidSignature):
        key.verify(signature, covered + b"\x00", padding.PKCS1v15(), hashes.SHA256())

    judged = json.loads(files["answers/1/judged.json"])
    speaks_of = {each["certificate_sha256"]: each for each in judged["not_revoked_by"]}
    source = speaks_of[holder.fingerprint(hashes.SHA256()).hex()]
    issuer = x509.load_der_x509_certificate(files["answers/1/issuer-1.cer"])
    body = files[source["file"]]
    assert hashlib.sha256(body).hexdigest() == source["sha256"]
    if source["by"] == "crl":
        crl = x509.load_der_x509_crl(body)
        authority = issuer.public_key()
        assert isinstance(authority, rsa.RSAPublicKey)
        assert crl.is_signature_valid(authority)
        assert crl.get_revoked_certificate_by_serial_number(holder.serial_number) is None
    else:
        answer = ocsp.load_der_ocsp_response(body)
        assert answer.certificate_status is ocsp.OCSPCertStatus.GOOD

    public_key = bytes.fromhex(json.loads(files["manifest.json"])["public_key"])
    lines = files["audit.jsonl"].splitlines()
    ((_, report),) = check_lines(lines, public_keys=[public_key], heads=(), signed=_signed)
    assert not report.findings, report
    actions = [json.loads(line).get("record", {}).get("action") for line in lines]
    assert [a for a in actions if a] == [
        "transaction.created",
        "challenge.sent",
        "transaction.completed",
    ]


def _signed(public_key: bytes, signature: bytes, data: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, data)
    except InvalidSignature:
        return False
    return True


async def test_the_commands_of_the_how_to_accept_it_and_find_what_was_changed(
    tmp_path: Path,
) -> None:
    """As they stand there, with OpenSSL; then with one byte of each file changed."""
    async with on_stage(tmp_path) as stage, GatewayClient(stage.url, stage.api_key) as client:
        await registered(stage, client)
        transaction = await ended(client)
        files = opened((await client.evidence(transaction.id)).data)
        anchors = stage.simulator.anchors_pem
    (commands,) = re.findall(r"^```sh\n(.*?)^```", HOW_TO.read_text("utf-8"), re.M | re.S)
    # OpenSSL is no child of the shell's last line only: each has to succeed.
    script = f"set -euo pipefail\n{commands}"
    folder = tmp_path / "out"
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "roots.pem").write_text(anchors)
    (folder / "content").write_bytes(CONTENT)

    async def accepted() -> bool:
        done = await asyncio.create_subprocess_exec(
            *("bash", "-c", script), cwd=folder, stdout=PIPE, stderr=PIPE
        )
        await done.communicate()
        return done.returncode == 0

    assert await accepted()
    for name, data in files.items():
        changed = bytearray(data)
        changed[len(data) // 2] ^= 1
        (folder / name).write_bytes(changed)
        assert not await accepted(), name
        (folder / name).write_bytes(data)
    assert await accepted()


async def test_the_page_has_no_script_and_says_that_it_is_a_test(tmp_path: Path) -> None:
    """Zh-TW first; a title of the document system's cannot become markup; nothing is fetched."""
    async with on_stage(tmp_path) as stage, GatewayClient(stage.url, stage.api_key) as client:
        await registered(stage, client)
        transaction = await ended(client)
        page = opened((await client.evidence(transaction.id)).data)["index.html"].decode()
    assert "<script" not in page
    assert "&lt;script&gt;alert(&quot;一&quot;)&lt;/script&gt;" in page
    assert "測試，無法律效力" in page
    assert "王小明" in page
    assert "******6789" in page
    assert "簽章涵蓋所要求的內容" in page
    assert not any(word in page for word in ("http://", "https://", "src=", "@import", "url("))


async def test_evidence_never_shows_the_id_number_or_what_finds_it(tmp_path: Path) -> None:
    """Neither it, nor the platform's hash of it, nor a plain hash, in any file, of a push and of a
    registration."""
    async with on_stage(tmp_path) as stage, GatewayClient(stage.url, stage.api_key) as client:
        await registered(stage, client)
        made = [each async for each in client.transactions()]
        signed = await ended(client)
        everything = b""
        for each in (*made, signed):
            everything += b"".join(opened((await client.evidence(each.id)).data).values())
        history = [r for r in stage.simulator.requests if r.interface == "SP-API-ATH-02"]
        hashed = {r.answer["result"]["hashed_id_num"] for r in history if r.answer.get("result")}
    assert hashed
    plain = [hashlib.new(n, ID_NUMBER.encode()).hexdigest() for n in ("md5", "sha1", "sha256")]
    for secret in (ID_NUMBER, *hashed, *plain):
        assert secret.encode() not in everything


@pytest.mark.parametrize("behaviour", ["refuse", "ignore"])
async def test_there_is_evidence_of_what_was_not_signed(tmp_path: Path, behaviour: str) -> None:
    """Refused, or nobody answered: how it was asked and how it ended, and no signature."""
    async with on_stage(tmp_path) as stage, GatewayClient(stage.url, stage.api_key) as client:
        await registered(stage, client, behaviour)
        begun = await client.begin_signature(user_id="u1", document=document(), time_limit=30)
        if behaviour == "ignore":
            with pytest.raises(GatewayError) as refused:
                await client.evidence(begun.id)
            assert refused.value.code == "not_acceptable_yet"
            await client.cancel(begun.id)
        transaction = await client.wait(begun.id, seconds=20)
        files = opened((await client.evidence(begun.id)).data)
    assert told(files)["status"] == transaction.status != "completed"
    assert not any(name.startswith("answers/") for name in files)
    assert "documents/1/to-be-signed.bin" in files
    assert "documents/1/signed.p7s" not in files


async def test_evidence_of_a_batch_has_every_document_and_every_ticket(tmp_path: Path) -> None:
    """21 documents over two confirmations: each signature covers its own bytes."""
    async with on_stage(tmp_path) as stage, GatewayClient(stage.url, stage.api_key) as client:
        await registered(stage, client)
        transaction = await ended(client, 21)
        files = opened((await client.evidence(transaction.id)).data)
    for place in range(1, 22):
        ticket = 1 if place <= 20 else 2
        certificate = x509.load_der_x509_certificate(files[f"answers/{ticket}/certificate.cer"])
        key = certificate.public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        key.verify(
            files[f"documents/{place}/signature.bin"],
            files[f"documents/{place}/to-be-signed.bin"],
            padding.PKCS1v15(),
            hashes.SHA256(),
        )
        assert f"documents/{place}/signed.p7s" in files


async def test_evidence_of_a_pdf_has_the_signed_pdf(tmp_path: Path) -> None:
    """Byte for byte what the artifact is, under a name that opens it; its CMS stands over the
    bytes that the phone signed."""
    async with on_stage(tmp_path) as stage, GatewayClient(stage.url, stage.api_key) as client:
        await registered(stage, client)
        asked = DocumentRequest(number="1153000165", content=PLAIN)
        begun = await client.begin_signature(user_id="u1", document=asked, format="pades")
        transaction = await client.wait(begun.id, seconds=40)
        assert transaction.status == "completed", transaction.error
        artifact = (await client.artifact(begun.id)).data
        files = opened((await client.evidence(begun.id)).data)
    assert files["documents/1/signed.pdf"] == artifact
    assert artifact.startswith(PLAIN)
    assert files["documents/1/signature.bin"].hex().encode() in artifact.lower()


async def test_evidence_of_another_tenant_is_unknown(tmp_path: Path) -> None:
    """As a transaction that never was."""
    async with on_stage(tmp_path) as stage, GatewayClient(stage.url, stage.api_key) as client:
        await registered(stage, client)
        transaction = await ended(client)
        tenants = stage.gateway.services.tenants
        await tenants.create_tenant(TenantId("t2"), "t2", TenantPolicy())
        key = await tenants.create_key(TenantId("t2"), "all", frozenset(Scope), test=True)
        async with GatewayClient(stage.url, key) as other:
            with pytest.raises(GatewayError) as refused:
                await other.evidence(transaction.id)
        assert refused.value.code == "not_found"
        signer = await tenants.create_key(TenantId("t1"), "s", frozenset({Scope.SIGN}), test=True)
        async with GatewayClient(stage.url, signer) as without:
            with pytest.raises(GatewayError) as refused:
                await without.evidence(transaction.id)
        assert refused.value.code == "forbidden"
