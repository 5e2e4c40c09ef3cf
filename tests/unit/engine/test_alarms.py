"""The order of timers is kept as text, and says what a list would say."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from workflow_runtime.engine.alarms import Alarms

SEEDS = 20


def test_it_is_what_a_sorted_list_would_be() -> None:
    for seed in range(SEEDS):
        print(f"seed {seed}")
        random = Random(seed)
        due: dict[str, tuple[int, int]] = {}
        alarms, expected = Alarms(), list[str]()
        for number in range(200):
            if expected and random.random() < 0.4:
                gone = random.choice([expected[0], expected[-1], random.choice(expected)])
                expected.remove(gone)
                alarms = alarms.without(gone)
            else:
                id = f"t{number}"
                due[id] = random.randrange(50), number
                expected = sorted([*expected, id], key=due.__getitem__)
                alarms = alarms.with_one(id, due[id], due.__getitem__)
            assert alarms.ids == expected
            assert bool(alarms) == bool(expected)
            assert not expected or alarms.first == expected[0]
            assert msgspec.json.encode(alarms.to_store()) == msgspec.json.encode(expected)
            assert Alarms.stored(bytes(alarms.to_store())).ids == expected


def test_another_one_asks_for_few_of_the_others() -> None:
    asked: list[str] = []

    def order_of(id: str) -> int:
        asked.append(id)
        return int(id[1:])

    alarms = Alarms.of(f"t{2 * number}" for number in range(10_000))
    for new in (-1, 7_777, 20_001):
        asked.clear()
        assert f"t{new}" in alarms.with_one(f"t{new}", new, order_of).ids
        assert len(asked) <= 20
    before = Alarms.of(["t1"])
    assert before.with_one("t2", 2, order_of).ids == ["t1", "t2"]
    assert before.ids == ["t1"], "it was changed"


@pytest.mark.parametrize("stored", [b"null", b"7", b'{"t1":1}', b'"t1"'])
def test_what_is_no_list_is_refused(stored: bytes) -> None:
    with pytest.raises(msgspec.ValidationError, match="alarms"):
        Alarms.stored(stored)


def test_it_does_not_matter_how_the_list_is_laid_out() -> None:
    alarms = Alarms.stored(b'[\n  "t1", "t20",\n  "t3"\n]')
    assert alarms.ids == ["t1", "t20", "t3"]
    assert alarms.without("t20").ids == ["t1", "t3"]
