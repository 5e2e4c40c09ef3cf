"""Visits that can be undone are stored as text that most events only add to: in everything else they are a list."""

from __future__ import annotations

import json
from random import Random

import msgspec
import pytest
from tests.unit.engine.driver import Driver, plan_of

from workflow_runtime.engine.codec import decode_state, encode_state
from workflow_runtime.engine.visits import NOTHING_TO_UNDO, Undoable, Undoables

SEEDS = 20
NODES = [{"id": f"n{number}", "compensate": {"tool": "u"}} for number in range(4)]


def visit(random: Random) -> Undoable:
    prefix = random.choice(["", "each[3]/", '审批/"],[/', "\\/\n"])
    return Undoable(random.randrange(10_000), random.randrange(1, 9), prefix)


def test_whatever_is_added_between_being_stored_they_are_a_list() -> None:
    for seed in range(SEEDS):
        print(f"seed {seed}")
        random = Random(seed)
        model: list[Undoable] = []
        visits = NOTHING_TO_UNDO
        for _ in range(20):
            more = [visit(random) for _ in range(random.choice([0, 1, 1, 3]))]
            before, visits = visits, visits + more
            assert [*before] == model
            model += more
            count = random.randrange(25)
            assert (visits.are_more_than(count), bool(visits)) == (len(model) > count, bool(model))
            if random.random() < 0.5:
                stored = bytes(visits.to_store())
                assert msgspec.json.decode(stored, type=list[Undoable]) == model
                visits = Undoables.stored(random.choice([stored, json.dumps(json.loads(stored), indent=1).encode()]))
        assert ([*visits], len(visits)) == (model, len(model))
        assert all(visits[place] == one and one in visits for place, one in enumerate(model))
        assert [*Undoables.of(model)] == model


@pytest.mark.parametrize("stored", [b"{}", b"null", b"[", b"1"])
def test_what_is_no_list_is_refused(stored: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        Undoables.stored(stored)


@pytest.mark.parametrize("stored", [b"[]", b"[ ]", b"[\n]"])
def test_none_of_them_are_not_stored(stored: bytes) -> None:
    driver = Driver(plan_of(NODES)).start()
    data = encode_state(driver.state)
    assert b'"undo"' not in data
    assert encode_state(decode_state(data[:-1] + b',"undo":' + stored + b"}")) == data


def test_an_event_reads_none_of_those_before() -> None:
    driver = Driver(plan_of(NODES), checked=False).start()
    driver.succeed("n0")
    unreadable = encode_state(driver.state).replace(b'"undo":[[0,1,""]]', b'"undo":[["unreadable"]]')
    driver.state = decode_state(unreadable)
    driver.succeed("n1")
    assert b'"undo":[["unreadable"],[1,1,""]]' in encode_state(driver.state)
