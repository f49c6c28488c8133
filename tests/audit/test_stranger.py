"""A verifier in another language, written from the reference page, agrees with ours."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from moica_gateway.domain.values import TransactionId
from moica_gateway.services.audit import AuditTrail
from moica_gateway.services.sealing import Sealing
from tests.audit.conftest import OURS, SEALED, THEIRS, World, check_file

PROGRAM: Final = Path(__file__).with_name("stranger.mjs")


def stranger(lines: list[str], key: bytes, folder: Path) -> tuple[int, str]:
    """Exit status, and what it says."""
    file = folder / "export.jsonl"
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    done = subprocess.run(
        ["node", PROGRAM, file, key.hex()], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.strip()


async def test_a_stranger_accepts_what_was_not_touched(world: World, tmp_path: Path) -> None:
    """Each tenant's export, whatever text, numbers and nesting its records hold."""
    key = (await world.head()).public_key
    assert stranger(await world.export(), key, tmp_path) == (0, f"whole {SEALED}")
    assert stranger(await world.export(THEIRS), key, tmp_path)[0] == 0


def _changed(line: str, **members: Any) -> str:
    return json.dumps({**json.loads(line), **members}, ensure_ascii=False)


def _edit(lines: list[str]) -> None:
    value = json.loads(lines[4])
    value["record"]["data"]["n"] += 1
    lines[4] = json.dumps(value, ensure_ascii=False)


def _swap(lines: list[str]) -> None:
    lines[3], lines[4] = lines[4], lines[3]


def _unsigned_end(lines: list[str]) -> None:
    last = max(n for n, line in enumerate(lines) if '"type":"head"' in line)
    del lines[last]


def _another_head(lines: list[str]) -> None:
    lines[1] = _changed(lines[1], at="2031-01-01T00:00:00.000000Z")


TAMPERING: Final[dict[str, Callable[[list[str]], None]]] = {
    "edited": _edit,
    "deleted": lambda lines: lines.pop(4),
    "deleted, the first": lambda lines: lines.pop(0),
    "inserted": lambda lines: lines.insert(4, lines[3]),
    "reordered": _swap,
    "hash changed": lambda lines: lines.__setitem__(3, _changed(lines[3], hash="0" * 64)),
    "position changed": lambda lines: lines.__setitem__(3, _changed(lines[3], position=30)),
    "head changed": _another_head,
    "no head at the end": _unsigned_end,
}


@pytest.mark.parametrize("what", TAMPERING)
async def test_a_stranger_refuses_what_we_refuse(world: World, tmp_path: Path, what: str) -> None:
    """Each kind of tampering with the file itself."""
    head = await world.head()
    lines = await world.export()
    TAMPERING[what](lines)
    status, _ = stranger(lines, head.public_key, tmp_path)
    ((_, report),) = check_file(lines, [], [head.public_key])
    assert status == 1
    assert report.findings


async def test_a_key_of_somebody_elses_is_refused_by_both(world: World, tmp_path: Path) -> None:
    """Which key is believed never comes from the file."""
    lines = await world.export()
    other = (await world.head()).public_key[:-1] + b"\x01"
    assert stranger(lines, other, tmp_path)[0] == 1
    ((_, report),) = check_file(lines, [], [other])
    assert report.findings


async def proof(world: World, transaction_id: str) -> list[str]:
    """Of a transaction."""

    async def work(_store: Any, _sealing: Sealing, trail: AuditTrail) -> Any:
        return await trail.proof(OURS, TransactionId(transaction_id))

    return list(await world.open(work))


@pytest.mark.parametrize("number", range(4))
async def test_a_transactions_proof_holds_and_shows_nobody_else(
    world: World, tmp_path: Path, number: int
) -> None:
    """All its records, those too that waited for their seal; of others the digests alone."""
    head = await world.head()
    lines = await proof(world, f"txn_{number}")
    values = [json.loads(line) for line in lines]
    shown = [v["record"] for v in values if v["type"] == "record"]
    assert {r["transaction_id"] for r in shown} == {f"txn_{number}"}
    expected = [n for n in range(20) if n % 4 == number and n % 5]
    assert [r["data"]["n"] for r in shown] == expected
    assert {v["type"] for v in values} == {"record", "link", "head"} | (
        {"start"} if values[0]["type"] == "start" else set()
    )
    assert stranger(lines, head.public_key, tmp_path)[0] == 0
    reports = check_file(lines, [], [head.public_key])
    assert all(report.findings == () for _, report in reports)
    for index, value in enumerate(values):
        if value["type"] == "record":
            value["record"]["actor"] = "nobody"
            lines[index] = json.dumps(value, ensure_ascii=False)
    assert stranger(lines, head.public_key, tmp_path)[0] == 1
    assert any(report.findings for _, report in check_file(lines, [], [head.public_key]))


async def test_a_proof_of_nothing_is_empty(world: World) -> None:
    """A transaction of another tenant has no records here."""
    assert await proof(world, "txn_unknown") == []
