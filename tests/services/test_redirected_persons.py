"""What an answer that names no hashed_id_num (the redirect's) leaves as it was."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from moica_gateway.domain.models import Approved, Status
from moica_gateway.services.commands import NewRegistration
from tests.services.house import APPROVED, CALLER, ID_NUMBER, TENANT, House

UNNAMED = Approved(proof=evolve(APPROVED.proof, hashed_id_num=None))


@pytest.mark.parametrize(
    ("first", "second", "known"),
    [(UNNAMED, UNNAMED, None), (APPROVED, UNNAMED, "h1"), (UNNAMED, APPROVED, "h1")],
)
async def test_a_registration_without_the_platforms_identifier_erases_none(
    house: House, first: Any, second: Any, known: str | None
) -> None:
    """A known one stays pinned; an unknown one is pinned by the next answer that names it."""
    for answer in (first, second):
        new = NewRegistration(user_id="u1", id_number=ID_NUMBER)
        made = await house.services.registration.create(CALLER, new, None)
        house.answer(answer)
        await house.pass_time(4)
        assert (await house.current(made.transaction)).status is Status.COMPLETED
    person = await house.store.read(lambda uow: uow.person_by_id_number(TENANT, ID_NUMBER))
    assert person is not None
    assert person.hashed_id_num == known
