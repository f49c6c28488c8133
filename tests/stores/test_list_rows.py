"""Revocation lists are kept, in both stores; what is older never takes a newer one's place."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from moica_gateway.domain.revocation_lists import ListHead

ISSUER = "ab" * 32
SCOPE = "http://crl.test/1.crl"


@pytest.fixture
def head(make: Any) -> ListHead:
    """With a number of 160 bits, which no integer column holds."""
    return ListHead(
        issuer=ISSUER,
        scope=SCOPE,
        number=2**159 + 1,
        this_update=make.now,
        next_update=make.now + timedelta(days=1),
    )


async def test_a_list_comes_back_as_it_was_written(store: Any, head: ListHead) -> None:
    """Head and bytes apart; nothing before, and nothing of another scope."""
    assert await store.read(lambda u: u.revocation_lists()) == ()
    assert await store.read(lambda u: u.revocation_list(ISSUER, SCOPE)) is None
    assert await store.write(lambda u: u.save_revocation_list(head, b"list")) is True
    assert await store.read(lambda u: u.revocation_lists()) == (head,)
    assert await store.read(lambda u: u.revocation_list(ISSUER, SCOPE)) == b"list"
    assert await store.read(lambda u: u.revocation_list(ISSUER, "")) is None
    complete = evolve(head, scope="", number=1)
    await store.write(lambda u: u.save_revocation_list(complete, b"all"))
    assert await store.read(lambda u: u.revocation_lists()) == (complete, head)


async def test_an_older_list_changes_nothing(store: Any, head: ListHead) -> None:
    """By number, then by its time; the same again is no error, and a newer one replaces it."""
    await store.write(lambda u: u.save_revocation_list(head, b"list"))
    for older in (
        evolve(head, number=head.number - 1),
        evolve(head, this_update=head.this_update - timedelta(seconds=1)),
    ):
        saved = await store.write(lambda u, h=older: u.save_revocation_list(h, b"older"))
        assert saved is False
    assert await store.read(lambda u: u.revocation_list(ISSUER, SCOPE)) == b"list"
    assert await store.write(lambda u: u.save_revocation_list(head, b"again")) is True
    newer = evolve(head, number=head.number + 1)
    assert await store.write(lambda u: u.save_revocation_list(newer, b"newer")) is True
    assert await store.read(lambda u: u.revocation_lists()) == (newer,)
    assert await store.read(lambda u: u.revocation_list(ISSUER, SCOPE)) == b"newer"


async def test_a_list_is_forgotten(store: Any, head: ListHead) -> None:
    """Also where there is none; never inside a unit of work that reads."""
    await store.write(lambda u: u.save_revocation_list(head, b"list"))
    with pytest.raises(RuntimeError):
        await store.read(lambda u: u.delete_revocation_list(ISSUER, SCOPE))
    for _ in range(2):
        await store.write(lambda u: u.delete_revocation_list(ISSUER, SCOPE))
        assert await store.read(lambda u: u.revocation_lists()) == ()
