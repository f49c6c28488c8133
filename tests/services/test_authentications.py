"""Who is there: by the key of a registered user, or by the platform's bare word."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from moica_gateway.domain.models import (
    Approved,
    Channel,
    Document,
    HolderPresent,
    Prepared,
    Scope,
    SignContext,
    Status,
    Transaction,
)
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.statements import STATEMENT_PREFIX
from moica_gateway.errors import GatewayError
from moica_gateway.services.commands import Caller, NewAuthentication
from moica_gateway.workers.housekeeping import Housekeeping
from tests.services.house import (
    APPROVED,
    CALLER,
    ID_NUMBER,
    OTHER_ID,
    REFUSED,
    STRANGER,
    TENANT,
    House,
)


def present(hashed: str | None = "h1") -> Approved:
    return Approved(proof=HolderPresent(hashed_id_num=hashed, raw=b"{}"))


async def begin(house: House, caller: Caller = CALLER, **asked: Any) -> Transaction:
    made = await house.services.authentication.create(caller, NewAuthentication(**asked), None)
    return made.transaction


async def refused(house: House, caller: Caller = CALLER, **asked: Any) -> GatewayError:
    with pytest.raises(GatewayError) as raised:
        await begin(house, caller, **asked)
    return raised.value


async def quota(house: House, limit: int) -> None:
    policy = TenantPolicy(identity_queries_per_day=limit)
    await house.services.tenants.create_tenant(TENANT, "t1", policy)


async def test_a_user_signs_a_challenge_of_ours(house: House) -> None:
    """Judged against the pinned certificate, and nothing of it looks like a registration."""
    await house.register()
    begun = await begin(house, user_id="u1", metadata={"a": "b"})
    assert begun.hint.startswith("確認身分 驗證碼：")
    assert not house.upstream.begun[-1].presence
    message = house.upstream.begun[-1].messages[0].message
    house.answer(APPROVED)
    await house.pass_time(4)
    done = await house.current(begun)
    assert (done.status, done.assurance) == (Status.COMPLETED, "certificate")
    proof, expected = house.judge.asked[-1]
    assert proof == APPROVED.proof
    assert expected.messages[0].message == message
    assert expected.pinned_certificate == b"certificate"
    assert expected.hashed_id_num == "h1"


async def test_the_statement_is_told_apart_and_fresh(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Purpose, tenant and user stand in it; no two challenges are alike."""
    await house.register()
    seen: list[bytes] = []
    format_ = house.context.formats["pkcs1"]
    honest = format_.prepare

    def prepare(document: Document, content: bytes | None, context: SignContext) -> Prepared:
        assert content is not None
        assert context.statement
        seen.append(content)
        return honest(document, content, context)

    monkeypatch.setattr(format_, "prepare", prepare)
    for _ in range(2):
        await begin(house, user_id="u1", supersede=True)
    for statement in seen:
        assert statement.startswith(STATEMENT_PREFIX + b" v1: authentication\n")
        assert b"tenant: t1\nuser: u1\nnonce: " in statement
    assert len(set(seen)) == 2


async def test_an_id_number_is_asked_for_by_bare_ath(house: House) -> None:
    """Nothing is signed, no judge is asked, and only the platform's word is what is claimed."""
    begun = await begin(house, id_number=ID_NUMBER)
    asked = house.upstream.begun[-1]
    assert (asked.presence, asked.messages, asked.id_number) == (True, (), ID_NUMBER)
    house.answer(present())
    await house.pass_time(4)
    done = await house.current(begun)
    assert (done.status, done.assurance, done.user_id) == (Status.COMPLETED, "platform", "")
    assert house.judge.asked == []
    assert done.signature is not None
    assert {c.name: c.passed for c in done.signature.report}["certificate"] is None
    page = await house.services.feed.events(CALLER, "", 9)
    body = json.loads(page.items[-1].body)
    assert body["type"] == "authentication.completed"
    assert body["data"]["assurance"] == "platform"
    assert ID_NUMBER.reveal().encode() not in page.items[-1].body


async def test_a_bare_ath_teaches_nothing_about_a_person(house: House) -> None:
    """No hashed_id_num is pinned, no user bound, no credential made."""
    await begin(house, id_number=ID_NUMBER)
    house.answer(present("whatever"))
    await house.pass_time(4)
    person = await house.store.read(lambda u: u.person_by_id_number(TENANT, ID_NUMBER))
    assert person is not None
    assert person.hashed_id_num is None
    assert await house.store.read(lambda u: u.bindings_of_person(TENANT, person.id)) == ()


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (present("h2"), Status.FAILED, "hashed_id_num_mismatch"),
        (APPROVED, Status.FAILED, "answer_invalid"),
        (present(None), Status.COMPLETED, None),
    ],
)
async def test_the_person_that_the_platform_names_must_be_the_known_one(
    house: House, answer: Approved, status: Status, code: str | None
) -> None:
    """Another is refused with an alarm; a signature is not what was asked for; a redirect's answer
    names none, its ID number was compared before."""
    await house.register()
    begun = await begin(house, id_number=ID_NUMBER)
    house.answer(answer)
    await house.pass_time(4)
    done = await house.current(begun)
    assert (done.status, done.error and done.error.code) == (status, code)
    assert house.alarms == ([f"security.{code}"] if code else [])


async def test_a_user_is_not_taken_at_the_platforms_word(house: House) -> None:
    """Where a signature was asked for, presence alone completes nothing."""
    await house.register()
    begun = await begin(house, user_id="u1")
    house.answer(present())
    await house.pass_time(4)
    assert (await house.current(begun)).status is Status.FAILED


async def test_a_disabled_credential_ends_the_authentication(house: House) -> None:
    """As it ends a signature."""
    registered = await house.register()
    begun = await begin(house, user_id="u1")
    credential_id = registered.credential_id
    assert credential_id is not None
    await house.services.credentials.disable(CALLER, credential_id)
    done = await house.current(begun)
    assert done.error is not None
    assert done.error.code == "credential_disabled"
    assert (await refused(house, user_id="u1")).code == "credential_missing"


@pytest.mark.parametrize("asked", [{}, {"user_id": "u1", "id_number": ID_NUMBER}])
async def test_exactly_one_of_user_and_id_number(house: House, asked: dict[str, Any]) -> None:
    """Neither and both are refused before anything is written."""
    assert (await refused(house, **asked)).code == "request_invalid"
    assert house.upstream.begun == []


@pytest.mark.parametrize(
    ("scopes", "asked"),
    [
        ({Scope.SIGN, Scope.REGISTER, Scope.READ, Scope.ADMIN}, {"id_number": ID_NUMBER}),
        ({Scope.IDENTITY_QUERY, Scope.READ}, {"user_id": "u1"}),
    ],
)
async def test_each_way_needs_its_own_scope(
    house: House, scopes: set[Scope], asked: dict[str, Any]
) -> None:
    """A key that may do everything else may not."""
    await house.register()
    caller = evolve(CALLER, scopes=frozenset(scopes))
    assert (await refused(house, caller, **asked)).code == "forbidden"


async def test_a_foreign_user_is_unknown(house: House) -> None:
    """Another tenant's user has no credential here."""
    await house.register()
    assert (await refused(house, STRANGER, user_id="u1")).code == "credential_missing"


async def test_one_open_transaction_a_person_whatever_its_kind(house: House) -> None:
    """By ID number it is the same person as by user; supersede cancels."""
    await house.register()
    first = await house.sign()
    error = await refused(house, id_number=ID_NUMBER)
    assert (error.code, error.problem.extra["transaction_id"]) == ("transaction_open", first.id)
    await begin(house, id_number=ID_NUMBER, supersede=True)
    assert (await house.current(first)).status is Status.CANCELLED


async def test_a_refusal_counts_for_the_pause_of_push(house: House) -> None:
    """Two in a row, and an ID number that nobody registered is no way around it."""
    for _ in range(2):
        begun = await begin(house, id_number=OTHER_ID)
        house.answer(REFUSED)
        await house.pass_time(4)
        assert (await house.current(begun)).status is Status.REJECTED
    assert (await refused(house, id_number=OTHER_ID)).code == "push_paused"
    assert (await begin(house, id_number=OTHER_ID, channel=Channel.QR)).status is Status.PENDING


async def test_a_further_challenge_asks_for_presence_too(house: House) -> None:
    """The QR code of a bare authentication signs nothing either."""
    begun = await begin(house, id_number=ID_NUMBER)
    await house.services.challenges.add(CALLER, begun.id, Channel.QR, None)
    assert [b.presence for b in house.upstream.begun] == [True, True]


async def test_artifacts(house: House) -> None:
    """The signed statement's bare signature for a user; none, and said so, for an ID number."""
    await house.register()
    signed = await begin(house, user_id="u1")
    house.answer(APPROVED)
    await house.pass_time(4)
    found = await house.services.transactions.artifact(CALLER, signed.id, None)
    assert b"signature" in found.data
    assert found.filename.startswith("authentication")
    bare = await begin(house, id_number=ID_NUMBER)
    with pytest.raises(GatewayError) as raised:
        await house.services.transactions.artifact(CALLER, bare.id, None)
    assert (raised.value.code, raised.value.problem.status) == ("artifact_none", 404)


async def test_the_quota_is_of_distinct_id_numbers_in_one_day(house: House) -> None:
    """The same again is free; one more is refused, writes and rings nothing; tomorrow it goes."""
    await quota(house, 1)
    await begin(house, id_number=ID_NUMBER)
    await begin(house, id_number=ID_NUMBER, supersede=True)
    rung = len(house.upstream.begun)
    error = await refused(house, id_number=OTHER_ID)
    assert (error.code, error.problem.status) == ("identity_quota", 429)
    assert 0 < error.problem.extra["retry_after"] <= 86_401
    assert len(house.upstream.begun) == rung
    assert await house.store.read(lambda u: u.person_by_id_number(TENANT, OTHER_ID)) is None
    await house.pass_time(error.problem.extra["retry_after"])
    await begin(house, id_number=OTHER_ID)


async def test_a_quota_of_none_lets_nobody_be_asked_about(house: House) -> None:
    """0 is none, also of registered people, and by user it goes on."""
    await house.register()
    await quota(house, 0)
    assert (await refused(house, id_number=ID_NUMBER)).code == "identity_quota"
    assert (await begin(house, user_id="u1")).status is Status.PENDING


async def test_the_quota_of_one_tenant_is_not_anothers(house: House) -> None:
    """Each has its own."""
    await quota(house, 1)
    await begin(house, id_number=ID_NUMBER)
    assert (await begin(house, STRANGER, id_number=OTHER_ID)).status is Status.PENDING


async def test_each_query_stands_in_the_record_without_the_number(house: House) -> None:
    """By a keyed hash, so that the same one is seen to be the same."""
    for number in (ID_NUMBER, ID_NUMBER, OTHER_ID):
        await begin(house, id_number=number, supersede=True)
    records = await house.store.read(lambda u: u.audit_records(TENANT))
    asked = [r for r in records if r.action == "identity.queried"]
    assert [r.actor for r in asked] == ["key:1"] * 3
    assert all(r.transaction_id for r in asked)
    subjects = [r.data["subject"] for r in asked]
    assert subjects[0] == subjects[1] != subjects[2]
    assert ID_NUMBER.reveal() not in repr(asked)
    assert ID_NUMBER.last_four not in repr(asked)


async def test_whom_nobody_registered_is_erased_a_day_later(house: House) -> None:
    """Not with the outcome, nor while the brakes remember; who is registered stays."""
    await house.register()
    await begin(house, id_number=OTHER_ID)
    house.answer(present())
    await house.pass_time(4)
    housekeeping = Housekeeping(store=house.store, clock=house.clock)
    await house.pass_time(timedelta(hours=23).total_seconds())
    await housekeeping.once()
    assert await house.store.read(lambda u: u.person_by_id_number(TENANT, OTHER_ID)) is not None
    await house.pass_time(timedelta(hours=2).total_seconds())
    await housekeeping.once()
    assert await house.store.read(lambda u: u.person_by_id_number(TENANT, OTHER_ID)) is None
    assert await house.store.read(lambda u: u.person_by_id_number(TENANT, ID_NUMBER)) is not None
