"""Of those who write one place of a session at once, one does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.ports import ConditionFailed
from workflow_runtime.storage.sessions import Head, SessionKey, SessionStore, Turn, User

KEY = SessionKey("a", "", "one")
FIRST, SECOND = User("ex-1", "n", 1, 1), User("ex-2", "n", 1, 1)
EXPIRES = 2_000_000_000


@pytest.fixture
def store() -> Iterator[SessionStore]:
    with open_backend() as backend:
        yield SessionStore(backend.ports.table, backend.ports.together)


def turn(by: User, fence: int) -> Turn:
    return Turn(1, by, 0, 1, fence, b"")


def written_by(store: SessionStore) -> User | None:
    found = store.turn(KEY, 1)
    return found.by if found is not None else None


def test_of_two_who_take_a_session_that_is_new_one_does(store: SessionStore) -> None:
    new = store.head(KEY)
    store.put_head(KEY, replace(new, holder=FIRST), EXPIRES)
    with pytest.raises(ConditionFailed):
        store.put_head(KEY, replace(new, holder=SECOND), EXPIRES)
    assert store.head(KEY) == Head(version=1, holder=FIRST)


def test_of_two_who_change_what_they_have_read_one_does(store: SessionStore) -> None:
    store.put_head(KEY, Head(), EXPIRES)
    read = store.head(KEY)
    store.put_head(KEY, replace(read, holder=FIRST), EXPIRES)
    with pytest.raises(ConditionFailed):
        store.put_head(KEY, replace(read, holder=SECOND), EXPIRES)
    assert store.head(KEY) == Head(version=2, holder=FIRST)


def test_a_holder_that_lost_the_session_writes_no_turn(store: SessionStore) -> None:
    assert store.put_turn(KEY, turn(SECOND, fence=2), EXPIRES)
    assert not store.put_turn(KEY, turn(FIRST, fence=1), EXPIRES)
    assert written_by(store) == SECOND


def test_a_holder_writes_over_the_turn_of_one_before_it(store: SessionStore) -> None:
    assert store.put_turn(KEY, turn(FIRST, fence=1), EXPIRES)
    assert store.put_turn(KEY, turn(SECOND, fence=2), EXPIRES)
    assert written_by(store) == SECOND


def test_an_earlier_run_of_a_visit_leaves_the_turn_of_a_later_one(store: SessionStore) -> None:
    later = replace(FIRST, serial=2)
    assert store.put_turn(KEY, turn(FIRST, fence=1), EXPIRES)
    assert store.put_turn(KEY, turn(later, fence=1), EXPIRES)
    assert store.put_turn(KEY, turn(later, fence=1), EXPIRES), "the same write again, whose answer was lost"
    assert not store.put_turn(KEY, turn(FIRST, fence=1), EXPIRES)
    assert written_by(store) == later
