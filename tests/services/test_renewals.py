"""A renewed certificate in the services: the credential follows, told exactly once."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from attrs import evolve

from moica_gateway.domain.models import (
    Check,
    CredentialStatus,
    Expected,
    Status,
    SubjectInfo,
    Transaction,
    Verdict,
)
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.services.commands import NewDocument, NewSignature
from moica_gateway.services.renewals import renew, renewal_of, renewal_problem
from moica_gateway.testing.formats import PlainFormat
from moica_gateway.testing.judge import ScriptedJudge
from tests.services.house import APPROVED, CALLER, TENANT, House

SUBJECT = ScriptedJudge().describe(b"")
RENEWED = evolve(SUBJECT, serial_number="77", fingerprint_sha256="cc" * 32)
AGAIN = evolve(APPROVED, proof=evolve(APPROVED.proof, unverified_certificate=b"renewed"))


class Renewing(ScriptedJudge):
    """Says "renewed" of another certificate, where it is accepted."""

    def __init__(self, subject: SubjectInfo = RENEWED) -> None:
        super().__init__()
        self.subject = subject
        self.expected: list[Expected] = []

    async def judge(self, proof: Any, expected: Expected) -> Verdict:
        """As the real one."""
        self.expected.append(expected)
        report = (Check(name="scripted", passed=True, detail="as the test says"),)
        if proof.unverified_certificate == (expected.pinned_certificate or b"certificate"):
            return Verdict(problem=None, report=report, subject=SUBJECT)
        assert expected.renewal_accepted
        return Verdict(problem=None, report=report, subject=self.subject, renewed=True)


async def ready(house: House, policy: str = "follow", *, bare: bool = True) -> Renewing:
    """Registered, under that policy, with that kind of format."""
    judge = Renewing()
    object.__setattr__(house.context, "judge", judge)
    house.context.formats["cades"] = PlainFormat(binds_certificate=not bare)  # type: ignore[index]
    made: Any = TenantPolicy(certificate_changed=policy)  # type: ignore[arg-type]
    await house.services.tenants.create_tenant(TENANT, "t1", made)
    assert (await house.register()).status is Status.COMPLETED
    return judge


async def signed(house: House, *answers: Any) -> Transaction:
    """One document, answered like that."""
    transaction = await house.sign()
    house.answer(*answers)
    await house.pass_time(4 * len(answers))
    return await house.current(transaction)


async def events(house: House) -> list[dict[str, Any]]:
    """The renewals that the document system hears of."""
    page = await house.store.read(lambda uow: uow.outbox_after(TENANT, "", 100))
    return [json.loads(m.body) for m in page.items if m.type == "credential.renewed"]


async def records(house: House) -> list[Any]:
    """Of renewals, in the audit record."""
    found = await house.store.read(lambda uow: uow.audit_records(TENANT))
    return [record for record in found if record.action == "credential.renewed"]


async def test_the_credential_follows_and_it_is_told_once(house: House) -> None:
    """Same id and user, the new certificate; one event, one audit record, and none at the next
    signature with it."""
    await ready(house)
    (before,) = await house.services.credentials.list(CALLER, "u1")
    first = await signed(house, AGAIN)
    assert first.status is Status.COMPLETED, first.error
    (after,) = await house.services.credentials.list(CALLER, "u1")
    assert after.id == before.id
    assert after.status is CredentialStatus.ENABLED
    assert after.certificate == b"renewed"
    assert (after.serial_number, after.fingerprint_sha256) == ("77", "cc" * 32)
    assert (after.created_at, after.user_name) == (before.created_at, before.user_name)
    assert after.updated_at > before.updated_at
    assert (await signed(house, AGAIN)).status is Status.COMPLETED
    (event,) = await events(house)
    assert event["data"]["credential_id"] == before.id
    assert event["data"]["user_id"] == "u1"
    assert "renewed" not in json.dumps(event["data"]), "a certificate or name is no business of it"
    (record,) = await records(house)
    assert record.transaction_id == first.id
    assert (record.data["before"], record.data["after"]) == ("aa" * 32, "cc" * 32)
    assert record.data["same_key"] is True
    assert first.signature is not None
    assert first.signature.certificate == b"renewed"


@pytest.mark.parametrize(
    ("policy", "bare", "accepted"),
    [("follow", True, True), ("follow", False, False), ("fail", True, False)],
)
async def test_only_the_policy_and_a_bare_format_accept_one(
    house: House, policy: str, bare: bool, accepted: bool
) -> None:
    """The judge is told so with each proof."""
    judge = await ready(house, policy, bare=bare)
    await signed(house, APPROVED)
    assert judge.expected[-1].renewal_accepted is accepted


async def test_the_policy_is_the_transactions_own(house: House) -> None:
    """A policy that is changed while the phone rings changes nothing for it."""
    judge = await ready(house, "fail")
    transaction = await house.sign()
    await house.services.tenants.create_tenant(
        TENANT, "t1", TenantPolicy(certificate_changed="follow")
    )
    house.answer(APPROVED)
    await house.pass_time(4)
    assert (await house.current(transaction)).status is Status.COMPLETED
    assert judge.expected[-1].renewal_accepted is False


async def test_a_batch_renews_once(house: House) -> None:
    """Each of its tickets is signed with the new certificate; the first one is the renewal."""
    await ready(house)
    documents = tuple(
        NewDocument(number=f"115300016{n}", sha256=hashlib.sha256(b"x").hexdigest())
        for n in range(2)
    )
    new = NewSignature(user_id="u1", documents=documents)
    made = (await house.services.signing.create(CALLER, new, None)).transaction
    assert made.tickets == 2
    for _ in range(made.tickets):
        house.answer(AGAIN)
        await house.pass_time(4)
    ended = await house.current(made)
    assert ended.status is Status.COMPLETED, ended.error
    assert len(await events(house)) == len(await records(house)) == 1


async def test_two_transactions_one_after_another_under_the_same_old_pin_renew_once(
    house: House,
) -> None:
    """Who finds the certificate in place already writes nothing."""
    await ready(house)
    await signed(house, AGAIN)
    await signed(house, AGAIN)
    await signed(house, AGAIN)
    assert len(await events(house)) == 1


async def test_who_comes_second_with_the_same_renewal_writes_nothing(house: House) -> None:
    """Two approvals were judged before either was written."""
    await ready(house)
    transaction = await house.sign()
    (known,) = await house.services.credentials.list(CALLER, "u1")
    renewal = renewal_of(known, b"renewed", (), RENEWED)
    for _ in range(2):
        assert await house.store.read(lambda uow: renewal_problem(uow, renewal)) is None
        await house.store.write(lambda uow: renew(house.context, uow, transaction, renewal))
    assert len(await events(house)) == len(await records(house)) == 1
    third = renewal_of(known, b"another", (), evolve(RENEWED, fingerprint_sha256="dd" * 32))
    why = await house.store.read(lambda uow: renewal_problem(uow, third))
    assert why is not None
    assert why.code == "certificate_changed"


async def test_a_certificate_that_is_registered_otherwise_is_not_taken_over(house: House) -> None:
    """The user has a (disabled) credential with it: the holder enables that, or begins again."""
    await ready(house)
    (known,) = await house.services.credentials.list(CALLER, "u1")
    other = evolve(
        known,
        id="crd_other",
        certificate=b"renewed",
        fingerprint_sha256=RENEWED.fingerprint_sha256,
        status=CredentialStatus.DISABLED,
    )
    await house.store.write(lambda uow: uow.save_credential(other))
    ended = await signed(house, AGAIN)
    assert ended.error is not None
    assert ended.error.code == "certificate_changed"
    assert await events(house) == []
    kept = await house.store.read(lambda uow: uow.credential(TENANT, known.id))
    assert kept == known


async def test_a_renewal_that_comes_too_late_changes_nothing(house: House) -> None:
    """The transaction was cancelled: the approval is recorded as late, the credential stays."""
    await ready(house)
    transaction = await house.sign()
    await house.services.settlement.cancel(CALLER, transaction.id)
    house.answer(AGAIN)
    await house.pass_time(8)
    (kept,) = await house.services.credentials.list(CALLER, "u1")
    assert kept.certificate == b"certificate"
    assert await events(house) == []
