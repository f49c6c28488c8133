"""The profiles `strict`, `lenient` and `chaos` before the running gateway.

Of chaos nobody says how each transaction ends, only that each does, and how none may: completed
by a holder who refused, or with another person's or document's signature. `openssl` judges.
"""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from attrs import field, frozen
from cryptography.x509 import load_pem_x509_certificate
from cryptography.x509.oid import NameOID

from moica_gateway import DocumentRequest, GatewayClient
from moica_gateway.errors import GatewayError
from moica_gateway.settings import BrakeSettings
from moica_simulator import Device
from tests.stage import Stage, on_stage

PEOPLE = {
    "A123456789": "王小明",
    "B123456780": "李大同",
    "C123456781": "張家豪",
    "A223456781": "陳美玲",
}
REFUSES = "A223456781"
ENDED = {"completed", "rejected", "expired", "failed"}


@frozen
class Scene:
    """Four users, named as their ID numbers; `refuser` is the phone of the last."""

    stage: Stage
    client: GatewayClient
    refuser: Device
    folder: Path
    ended: dict[str, str] = field(factory=dict)
    """Every transaction with the status in which it was told to have ended."""

    async def sign(self, user: str, number: str) -> tuple[str, str]:
        """One signature of a document of its own; what was completed was judged. Returns the
        status, and the code where there is one."""
        content = f"{user} {number}".encode()
        document = DocumentRequest(number=number, sha256=hashlib.sha256(content).hexdigest())
        try:
            ended = await self.client.sign(user_id=user, document=document, supersede=True)
        except GatewayError as error:
            return "refused", error.code
        self.ended[ended.transaction_id] = ended.status
        if ended.status == "completed":
            signed = (await self.client.artifact(ended.transaction_id)).data
            await asyncio.to_thread(self.judge, user, number, content, signed)
        return ended.status, ended.error.code if ended.error else ""

    def judge(self, user: str, number: str, content: bytes, signed: bytes) -> None:
        """The signature is over this document, by this person's certificate."""
        folder = self.folder / f"{user}-{number}"
        folder.mkdir()
        (folder / "s.p7s").write_bytes(signed)
        (folder / "content").write_bytes(content)
        (folder / "anchors.pem").write_text(self.stage.simulator.anchors_pem)
        verify = "openssl cms -verify -binary -inform DER -cades -in s.p7s -content content"
        verify += " -CAfile anchors.pem -signer signer.pem -out verified"
        done = subprocess.run(verify.split(), cwd=folder, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        signer = load_pem_x509_certificate((folder / "signer.pem").read_bytes())
        (name,) = signer.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert name.value == PEOPLE[user]


@asynccontextmanager
async def on_scene(folder: Path) -> AsyncIterator[Scene]:
    """Everybody is registered; nobody is held back by the gateway for what the platform does."""
    many = BrakeSettings(push_misses=10, person_requests=1000)
    async with (
        on_stage(folder, brakes=many) as stage,
        GatewayClient(stage.url, stage.api_key) as client,
    ):
        for id_number, name in PEOPLE.items():
            await stage.simulator.add_person(id_number, name)
            phone = await stage.simulator.bind_device(id_number)
            await stage.simulator.set_behaviour(phone.id, "confirm")
            outcome = await client.register(user_id=id_number, id_number=id_number)
            assert outcome.status == "completed", outcome.error
        yield Scene(stage, client, phone, folder)


async def test_every_transaction_of_chaos_ends_and_none_wrongly(tmp_path: Path) -> None:
    """Several seeds, four users at once: each transaction has one end, and what is completed is
    that person's signature of that document."""
    async with on_scene(tmp_path) as scene:
        simulator = scene.stage.simulator
        for seed in (1, 2, 3):
            await simulator.set_behaviour(scene.refuser.id, "refuse")
            simulator.set_profile("chaos", seed=seed)
            before = len(simulator.requests)
            came: Counter[tuple[str, str]] = Counter()
            for round_ in range(4):
                found = await asyncio.gather(
                    *(scene.sign(user, f"{seed}-{round_}") for user in PEOPLE)
                )
                came.update(found)
                assert {status for status, _ in found} <= ENDED, found
                refused = found[list(PEOPLE).index(REFUSES)]
                assert refused[0] != "completed"
            assert any(status == "completed" for status, _ in came), came
            assert len([each for each in simulator.requests[before:] if each.harms]) >= 5
            simulator.set_profile("standard")
            simulator.faults.clear()
            await simulator.set_behaviour(scene.refuser.id, "confirm")
            for user in PEOPLE:
                assert await scene.sign(user, f"after-{seed}") == ("completed", "")
        assert len(scene.ended) == 3 * (4 + 1) * len(PEOPLE)
        for transaction_id, status in scene.ended.items():
            assert (await scene.client.transaction(transaction_id)).status == status


@pytest.mark.parametrize("profile", ["strict", "lenient"])
async def test_the_gateway_needs_no_particular_reading(profile: str, tmp_path: Path) -> None:
    """Registration, signature, batch, device status and authentication, by the narrowest and by
    the widest."""
    async with on_scene(tmp_path) as scene:
        simulator, client = scene.stage.simulator, scene.client
        simulator.set_profile(profile)
        (user, *_) = PEOPLE
        assert await scene.sign(user, "1") == ("completed", "")
        documents = [DocumentRequest(number=str(n), sha256=f"{n:064x}") for n in range(3)]
        batch = await client.sign_batch(user_id=user, documents=documents)
        assert batch.status == "completed", batch.error
        again = await client.register(user_id=user, id_number=user, supersede=True)
        assert again.status == "completed", again.error
        proved = await client.authenticate(id_number=user)
        assert proved.status == "completed", proved.error
        assert (await client.device_status(id_number=user)).bound is True
        codes = {each.error_code for each in simulator.requests if each.http_status == 200}
        assert {code.rsplit("-", 1)[-1] for code in codes if code} <= {"0", "SPTKTID_TXNLOG_NF"}
