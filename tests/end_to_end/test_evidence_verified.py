"""``moica-gateway verify`` over evidence of a running gateway: the how-to's command, offline."""

from __future__ import annotations

import asyncio
import io
import json
import re
import shlex
import zipfile
from pathlib import Path

from click.testing import CliRunner, Result

from moica_gateway.cli import main
from moica_gateway.client import GatewayClient
from tests.end_to_end.test_evidence import CONTENT, HOW_TO, ended, opened, registered
from tests.stage import on_stage


def packed(files: dict[str, bytes]) -> bytes:
    """A ZIP again."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def asked(folder: Path, public_key: str) -> list[str]:
    """As it stands in the how-to, with this folder's files."""
    (command,) = re.findall(r"^moica-gateway verify .*evidence\.zip.*$", HOW_TO.read_text(), re.M)
    words = shlex.split(command)[1:]
    names = {"evidence.zip", "roots.pem", "content"}
    return [
        str(folder / word) if word in names else word.replace("HEX", public_key) for word in words
    ]


async def test_the_how_tos_command_accepts_it_and_finds_what_was_changed(tmp_path: Path) -> None:
    """Whole: status 0 without any network. A changed, missing or added file, another key, a
    manifest made anew by somebody else: status 1, with the name."""
    async with on_stage(tmp_path) as stage, GatewayClient(stage.url, stage.api_key) as client:
        await registered(stage, client)
        transaction = await ended(client)
        data = (await client.evidence(transaction.id)).data
        anchors = stage.simulator.anchors_pem
    files = opened(data)
    public_key = json.loads(files["manifest.json"])["public_key"]
    (tmp_path / "roots.pem").write_text(anchors)
    (tmp_path / "content").write_bytes(CONTENT)

    async def verified(evidence: bytes, key: str = public_key) -> Result:
        (tmp_path / "evidence.zip").write_bytes(evidence)
        return await asyncio.to_thread(CliRunner().invoke, main, asked(tmp_path, key))

    whole = await verified(data)
    assert whole.exit_code == 0, whole.output
    assert "documents/1/signed.p7s: verified 驗證通過" in whole.output
    assert "the one that was given" in whole.output
    assert "測試，無法律效力" in whole.output

    for name in ("documents/1/signed.p7s", "transaction.json", "audit.jsonl"):
        changed = bytearray(files[name])
        changed[len(changed) // 2] ^= 1
        found = await verified(packed({**files, name: bytes(changed)}))
        assert found.exit_code == 1
        assert f"evidence: NO  {name}: expected the SHA-256" in found.output
    without = {name: data for name, data in files.items() if name != "audit.jsonl"}
    assert "audit.jsonl: missing" in (await verified(packed(without))).output
    more = await verified(packed({**files, "more.txt": b"x"}))
    assert "more.txt: not in the manifest" in more.output
    other = await verified(data, "00" * 32)
    assert other.exit_code == 1
    assert "expected the key that was given" in other.output
    forged = files["manifest.json"].replace(b'"v": 1', b'"v": 2')
    found = await verified(packed({**files, "manifest.json": forged}))
    assert "its signature does not verify" in found.output
    (tmp_path / "content").write_bytes(CONTENT + b"!")
    assert "  NO  content:" in (await verified(data)).output


async def test_evidence_of_what_was_not_signed_has_no_signature_to_check(tmp_path: Path) -> None:
    """It is whole all the same, and that is said."""
    async with on_stage(tmp_path) as stage, GatewayClient(stage.url, stage.api_key) as client:
        await registered(stage, client, "refuse")
        transaction = await ended(client)
        assert transaction.status == "rejected"
        (tmp_path / "evidence.zip").write_bytes((await client.evidence(transaction.id)).data)
        (tmp_path / "roots.pem").write_text(stage.simulator.anchors_pem)
    words = ["verify", str(tmp_path / "evidence.zip"), "--anchors", str(tmp_path / "roots.pem")]
    found = await asyncio.to_thread(CliRunner().invoke, main, words)
    assert found.exit_code == 0, found.output
    assert "其中沒有簽章" in found.output
