"""Forged, replayed and broken answers against the running gateway: one table.

Whatever is not authentic ends the transaction with a code of its own, raises its alarm, is never
asked for again, and leaves nothing behind. What cannot be read is recorded and asked again. The
table stands in THREAT_MODEL.md, and is compared with it here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moica_gateway.errors import CATALOGUE
from moica_gateway.wire import TransactionView

from . import rows_answers, rows_line, rows_proofs, rows_tickets
from .hostile import NAME
from .house import USER, House, Visit
from .row import Case, End, Place, cases, written
from .rows_answers import wait_once

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROWS = [*rows_answers.ROWS, *rows_tickets.ROWS, *rows_proofs.ROWS, *rows_line.ROWS]
CASES = cases(ROWS)
STATUS = {End.REJECTED: "rejected", End.EXPIRED: "expired"}


async def begun(house: House, case: Case) -> tuple[Visit, TransactionView, dict[str, int]]:
    """Registered where the place needs it, honestly; then the lie."""
    visit = await house.guest(case.place)
    case.row.prepare(visit.desk)
    if case.row.end in (End.ASKED_AGAIN, End.WAITED):
        visit.desk.lies = 1
    visit.desk.forge[case.place.stage] = case.row.forge
    before = house.alarms()
    return visit, await visit.begin(case.place, case.row.user_name), before


def raised(house: House, before: dict[str, int]) -> dict[str, int]:
    """Alarms since then."""
    now = house.alarms()
    return {name: now[name] - before.get(name, 0) for name in now if now[name] != before.get(name)}


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
async def test_what_follows_is_what_the_table_says(house: House, case: Case) -> None:
    """Status, code, who can act, alarm, audit; and nothing is left of what was not believed."""
    row = case.row
    visit, transaction, before = await begun(house, case)
    ended = await visit.end(transaction)
    upstream_id = visit.desk.asked[-1][1]["transaction_id"]
    assert visit.desk.lied > 0, "the forgery was never sent"
    audit = await house.audit(visit, ended.id)
    visit.refuse_personal([audit, ended.error])
    faults = [(r.action, r.data.get("code")) for r in audit if r.action.startswith("challenge.f")]
    alarms = raised(house, before)
    if row.end in (End.ASKED_AGAIN, End.WAITED, End.ALARM):
        await check_completed(house, case, visit, ended)
        recorded = [("challenge.fault", row.code)] if row.end is End.ASKED_AGAIN else []
        assert faults == recorded
        assert alarms == ({row.code: 1} if row.end is End.ALARM else {})
        if not case.place.registration:
            house.kept[False] = visit
        return
    assert ended.status == STATUS.get(row.end, "failed"), ended.error
    assert ended.error is not None
    assert (ended.error.code, ended.error.who_can_act) == (row.code, row.who)
    await check_nothing_left(house, case, visit, ended)
    if row.end is End.FAILED:
        assert faults == [("challenge.failed", row.code)]
        alarm = CATALOGUE[row.code].what_helps == "fail"
        assert alarms == ({f"security.{row.code}": 1} if alarm else {})
        house.kept[case.place.registration] = visit
    else:
        assert faults == []
        assert alarms == {}
        assert any(r.data.get("unsigned") for r in audit), "that nobody signed it is not recorded"
    assert visit.desk.lied == 1
    questions = visit.desk.questions(upstream_id)
    assert questions.count(case.place.stage) == 1 + (row.prepare is wait_once)
    house.ended.append((case.id, visit.desk, upstream_id, questions))


async def check_completed(house: House, case: Case, visit: Visit, ended: TransactionView) -> None:
    """The honest answer counts, whatever came before it."""
    assert ended.status == "completed", ended.error
    kind = "registration" if case.place.registration else "signature"
    assert await visit.events() == [f"{kind}.completed"]
    assert len(await visit.client.credentials(USER)) == 1
    if not case.place.registration:
        assert await house.artifact_status(visit, ended.id) == 200


async def check_nothing_left(
    house: House, case: Case, visit: Visit, ended: TransactionView
) -> None:
    """No artifact, no signature, no credential made or changed, no completed event."""
    assert ended.signature is None
    assert ended.credential is None
    assert {d.status for d in ended.documents} <= {ended.status}
    assert await house.artifact_status(visit, ended.id) == 404
    assert await visit.events() == [f"transaction.{ended.status}"]
    assert await visit.client.credentials(USER) == visit.credentials
    assert await house.bound(visit) == (not case.place.registration)


@pytest.mark.parametrize("place", Place, ids=lambda place: place.value)
async def test_the_honest_answer_completes(house: House, place: Place) -> None:
    """The positive control of every place: without it the whole table could pass by accident."""
    visit = await house.guest(place)
    before = house.alarms()
    ended = await visit.end(await visit.begin(place, NAME))
    assert ended.status == "completed", ended.error
    assert raised(house, before) == {}
    artifact = 404 if place.registration else 200  # a registration's statement is nobody's
    assert await house.artifact_status(visit, ended.id) == artifact
    assert [c.status for c in await visit.client.credentials(USER)] == ["enabled"]
    assert await house.bound(visit)


@pytest.mark.parametrize("changes", [{}, {"delegate": {}}, {"algorithm": "sha512"}])
async def test_an_honest_responder_completes(house: House, changes: dict[str, Any]) -> None:
    """The positive control of the rows about OCSP: the issuer's own answer, and a delegate's."""
    visit = await house.guest(Place.REGISTRATION_RESULT)
    visit.desk.forge["result"] = lambda turn: rows_proofs.with_ocsp(turn, **changes)
    ended = await visit.end(await visit.begin(Place.REGISTRATION_RESULT))
    assert ended.status == "completed", ended.error


async def test_a_forged_ticket_of_a_further_challenge_ends_the_transaction(house: House) -> None:
    """The push is honest and still open; nothing of it is waited for any more."""
    visit = await house.guest(Place.QR_TICKET)
    visit.desk.waits = 1_000_000
    transaction = await visit.begin(Place.SIGNATURE_TICKET)
    visit.desk.forge["ticket"] = lambda turn: turn.ticket_answer(turn.ticket(op_code="ATH"))
    ended = await visit.client.add_challenge(transaction.id, "qr")
    assert (ended.status, ended.error and ended.error.code) == ("failed", "ticket_mismatch")
    assert [challenge.status for challenge in ended.challenges] == ["closed", "failed"]
    assert await visit.events() == ["transaction.failed"]


async def test_a_forged_answer_after_the_end_is_an_alarm_and_changes_nothing(house: House) -> None:
    """It is recorded, not believed, and not asked for again."""
    visit = await house.guest(Place.SIGNATURE_RESULT)
    visit.desk.waits = 1_000_000
    transaction = await visit.begin(Place.SIGNATURE_RESULT)
    cancelled = await visit.client.cancel(transaction.id)
    before = house.alarms()
    visit.desk.forge["result"] = lambda turn: turn.with_checksum("ab" * 92)
    visit.desk.waits = 0
    for _ in range(2000):  # each turn of the loop is a round trip, not a sleep
        after = await visit.client.transaction(transaction.id)
        audit = await house.audit(visit, transaction.id)
        if audit[-1].action == "challenge.fault":
            break
    assert audit[-1].data["code"] == "checksum_invalid"
    assert raised(house, before) == {"security.checksum_invalid": 1}
    assert (after.status, after.version) == ("cancelled", cancelled.version)
    assert await visit.events() == ["transaction.cancelled"]
    upstream_id = visit.desk.asked[-1][1]["transaction_id"]
    questions = visit.desk.questions(upstream_id)
    house.ended.append(("after the end", visit.desk, upstream_id, questions))


async def test_what_ended_was_not_asked_again(house: House) -> None:
    """A verification failure is never retried: no further question came to any of those desks."""
    again = [name for name, desk, id_, asked in house.ended if desk.questions(id_) != asked]
    assert again == []
    assert house.platform.strayed == 0, "a redirect was followed"


async def test_the_table_is_worth_its_name() -> None:
    """At least forty forgeries, no name twice, every code ours, and of many kinds."""
    names = [row.name for row in ROWS]
    assert len(names) == len(set(names))
    forged = [row for row in ROWS if row.end is End.FAILED]
    assert len(forged) >= 40
    assert {row.code for row in forged} <= set(CATALOGUE)
    assert len({row.code for row in forged}) >= 20
    assert {row.rule for row in ROWS} == {"1", "2", "3", "4", "6", "7", "14", "D"}
    assert {place for row in ROWS for place in row.places} == set(Place)


async def test_the_threat_model_holds_exactly_this_table() -> None:
    """Document and tests cannot drift apart."""
    document = Path(__file__).parents[2].joinpath("THREAT_MODEL.md").read_text("utf-8")
    assert written(ROWS) in document
