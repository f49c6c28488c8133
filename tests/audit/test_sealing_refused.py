"""What the sealer refuses to sign, and what heads say that lie elsewhere."""

# Statements are made of this file's own words, for a database of its own.
# ruff: noqa: S608

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import pytest
from attrs import evolve
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from moica_gateway.domain.audit_check import Kind
from moica_gateway.errors import VerificationError
from tests.audit.conftest import BATCHES, OURS, SEALED, THEIRS, World
from tests.audit.forging import ROW, found


async def test_an_unsealed_record_that_was_edited_is_found_and_never_sealed(world: World) -> None:
    """Its MAC is another: the sealer raises an alarm, once, and signs nothing of it."""
    world.sql(
        "UPDATE audit_records SET actor = 'cli' WHERE sequence = (SELECT max(sequence)"
        " FROM audit_records WHERE tenant = 'ours')"
    )
    report = await world.verify()
    assert [(f.kind, f.place) for f in report.findings] == [(Kind.INSERTED, "record 27")]

    async def seal(_store: Any, sealing: Any, _trail: Any) -> None:
        for _ in range(2):
            with pytest.raises(VerificationError):
                await sealing.seal(OURS)
        assert await sealing.seal(THEIRS) is not None

    await world.open(seal)
    assert world.alarms == ["security.audit_tampered"]
    assert (await world.verify()).last == SEALED


async def test_a_chain_that_was_unsealed_to_be_sealed_anew_is_found(world: World) -> None:
    """Records deleted and every trace of the chain wiped: who kept a head finds out, and a process
    that has sealed before seals no more."""
    newest = await world.head()

    async def work(_store: Any, sealing: Any, _trail: Any) -> None:
        await sealing.seal(OURS)
        world.sql("DELETE FROM audit_heads WHERE tenant = 'ours'")
        world.sql(f"DELETE FROM audit_records WHERE {ROW.format(6)}")
        world.sql("UPDATE audit_records SET chain_position = NULL, chain_hash = NULL")
        with pytest.raises(VerificationError):
            await sealing.seal(OURS)

    await world.open(work)
    assert world.alarms == ["security.audit_tampered"]

    async def another_process(_store: Any, sealing: Any, _trail: Any) -> None:
        await sealing.seal(OURS)

    await world.open(another_process)
    assert found(await world.verify()) == []
    assert (await world.verify([newest])).findings[0].kind is Kind.REPLACED


async def test_a_process_that_sealed_more_notices_that_the_end_was_cut_off(world: World) -> None:
    """What is left is signed and agrees; it seals no more all the same."""
    cut = sum(BATCHES[:3])

    async def work(_store: Any, sealing: Any, _trail: Any) -> None:
        await sealing.seal(OURS)
        world.sql("DELETE FROM audit_heads WHERE tenant = 'ours' AND position > ?", cut)
        world.sql("DELETE FROM audit_records WHERE tenant = 'ours' AND chain_position > ?", cut)
        assert found(await world.verify()) == []
        with pytest.raises(VerificationError):
            await sealing.seal(OURS)

    await world.open(work)
    assert world.alarms == ["security.audit_tampered"]


HEADS: Final[dict[str, str]] = {
    "a hash": "UPDATE audit_heads SET hash = randomblob(32) WHERE position = 6",
    "a position": "UPDATE audit_heads SET position = 7 WHERE position = 6",
    "a time": "UPDATE audit_heads SET at = '2031-01-01 00:00:00.000000' WHERE position = 6",
    "a signature": "UPDATE audit_heads SET signature = randomblob(64) WHERE position = 6",
    "a key": "UPDATE audit_heads SET public_key = randomblob(32) WHERE position = 6",
    "something unreadable": "UPDATE audit_heads SET at = 'soon' WHERE position = 6",
    "text": "UPDATE audit_heads SET signature = 'text' WHERE position = 6",
    "all": "DELETE FROM audit_heads WHERE tenant = 'ours'",
    "the newest": f"DELETE FROM audit_heads WHERE position = {SEALED}",
}


@pytest.mark.parametrize("what", HEADS)
async def test_meddling_with_heads_is_found(world: World, what: str) -> None:
    """A head that was changed is not signed; without heads the chain is not covered."""
    world.sql(HEADS[what])
    report = await world.verify()
    assert {f.kind for f in report.findings} == {Kind.UNSIGNED}


SEALER: Final[dict[str, str]] = {
    "the newest head is another": "UPDATE audit_heads SET hash = randomblob(32)",
    "the newest head is not signed": "UPDATE audit_heads SET signature = randomblob(64)",
    "the newest head cannot be read": "UPDATE audit_heads SET at = 'soon'",
    "the newest head is an older one": f"DELETE FROM audit_heads WHERE position = {SEALED}",
    "no head": "DELETE FROM audit_heads",
    "the newest record is gone": f"DELETE FROM audit_records WHERE chain_position = {SEALED}",
    "the newest hash is another": f"UPDATE audit_records SET chain_hash = randomblob(32)"
    f" WHERE chain_position = {SEALED}",
    "the newest hash cannot be read": f"UPDATE audit_records SET chain_hash = 'text'"
    f" WHERE chain_position = {SEALED}",
    "an unsealed record cannot be read": "UPDATE audit_records SET at = 'soon'"
    " WHERE chain_position IS NULL",
    "an unsealed record says that it is sealed": "UPDATE audit_records SET chain_position = 900,"
    " chain_hash = randomblob(32) WHERE sequence = 27",
}


@pytest.mark.parametrize("what", SEALER)
async def test_the_sealer_signs_nothing_of_a_chain_that_was_meddled_with(
    world: World, what: str
) -> None:
    """It stops, raises an alarm, and goes on once everything is as it was."""
    world.sql(SEALER[what])
    meddled = await world.export()

    async def seal(_store: Any, sealing: Any, _trail: Any) -> None:
        with pytest.raises(VerificationError) as raised:
            await sealing.seal(OURS)
        assert raised.value.code == "vault_tampered"

    await world.open(seal)
    assert world.alarms == ["security.audit_tampered"]
    assert await world.export() == meddled
    world.restore()
    await world.grow(1)
    assert (await world.verify()).findings == ()


# -- heads from outside ----------------------------------------------------------------------------


async def test_a_kept_head_of_another_chain_is_not_agreed_with(world: World) -> None:
    """A fork that was sealed by the same key: from the last common head on."""
    await world.grow(5)
    kept = await world.head()
    world.restore()
    world.clock.advance_now(9)
    await world.grow(7)
    report = await world.verify([kept])
    assert found(report) == [(Kind.REPLACED, SEALED + 1, kept.position)]


async def test_a_kept_head_by_another_key_is_a_finding(world: World) -> None:
    """It is not believed, and nobody gets past it."""
    kept = await world.head()
    other = Ed25519PrivateKey.generate()
    forged = evolve(
        kept,
        at=kept.at + timedelta(1),
        public_key=other.public_key().public_bytes_raw(),
    )
    forged = forged.signed(other.sign(forged.signed_bytes))
    assert found(await world.verify([forged])) == [(Kind.UNSIGNED, SEALED, SEALED)]
