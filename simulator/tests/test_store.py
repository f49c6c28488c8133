"""Tables: the same lists from memory and, after a restart, from the journal."""

import sqlite3
from pathlib import Path

import pytest

from moica_simulator import Person
from moica_simulator.records import Handset
from moica_simulator.state import State
from moica_simulator.store import Journal


def person(number: int, name: str = "王小明") -> Person:
    """An invented person."""
    return Person(f"A{number:09}", name, f"{number:016}")


def numbers(people: list[Person]) -> list[int]:
    """Which of them."""
    return [int(each.card_number) for each in people]


@pytest.fixture
def state(tmp_path: Path) -> State:
    """A state with a journal, of five people, of whom one was dropped and one changed."""
    made = State(tmp_path)
    people = made.platform.people
    for number in range(1, 7):
        people.put(person(number))
    people.drop(person(4).id_number)
    people.put(person(2, "王大明"))
    return made


def test_pages_follow_one_another(state: State, tmp_path: Path) -> None:
    """Oldest first, a change keeps its place; the cursor goes on where the page ended, and the
    same cursors hold after a restart."""
    for _ in range(2):
        people = state.platform.people
        first = people.page(after=0, limit=2)
        assert numbers(first.items) == [1, 2]
        assert first.items[1].name == "王大明"
        second = people.page(after=int(first.next_cursor or 0), limit=2)
        assert numbers(second.items) == [3, 5]
        last = people.page(after=int(second.next_cursor or 0), limit=2)
        assert (numbers(last.items), last.next_cursor) == ([6], None)
        state.close()
        state = State(tmp_path)
    state.close()


def test_a_failed_change_keeps_the_order(state: State, tmp_path: Path) -> None:
    """Dropped, changed and added in vain: all as before, in memory and in the journal."""
    people = state.platform.people

    def change_and_fail() -> None:
        with state.transaction():
            people.drop(person(1).id_number)
            people.put(person(3, "李四"))
            people.put(person(9))
            people.put(person(1, "張三"))
            raise RuntimeError

    before = list(people.all())
    with pytest.raises(RuntimeError):
        change_and_fail()
    assert list(people.all()) == before
    state.close()
    again = State(tmp_path)
    assert list(again.platform.people.all()) == before
    again.close()


def test_numbers_are_never_given_twice(state: State, tmp_path: Path) -> None:
    """Not even that of the newest record, dropped before a restart: a cursor would skip it."""
    people = state.platform.people
    people.put(person(7))
    seen = people.page(after=0, limit=5).next_cursor
    people.put(person(8))
    people.drop(person(8).id_number)
    state.close()
    again = State(tmp_path)
    again.platform.people.put(person(9))
    assert numbers(again.platform.people.page(after=int(seen or 0), limit=10).items) == [7, 9]
    again.close()


def test_a_phone_changes_hands() -> None:
    """Lists by owner follow the record: an unbound phone is nobody's."""
    state = State()
    handsets = state.phone.handsets
    handsets.put(Handset("phone", "我的手機", "Android", id_number="A123456789"))
    assert [each.device_id for each in handsets.of("A123456789")] == ["phone"]
    handsets.put(Handset("phone", "我的手機", "Android"))
    assert handsets.of("A123456789") == []
    assert [each.device_id for each in handsets.of("")] == ["phone"]
    state.close()


def test_a_commit_that_fails_changes_nothing(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, say: what the journal has not taken is not in memory either."""
    people = state.platform.people
    before = list(people.all())
    end = Journal.end

    def full(journal: Journal, *, keep: bool) -> None:
        if keep:
            raise sqlite3.OperationalError("database or disk is full")
        end(journal, keep=keep)

    def add() -> None:
        with state.transaction():
            people.put(person(9))

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "end", full)
        with pytest.raises(sqlite3.OperationalError):
            add()
    assert list(people.all()) == before
    add()
    assert numbers(list(people.all()))[-1] == 9
    state.close()
