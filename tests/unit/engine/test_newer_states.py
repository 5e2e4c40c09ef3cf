"""States that a newer deployment stored are worked on after a rollback, and lose nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.engine.driver import Driver, plan_of

from workflow_runtime.engine.codec import decode_state, encode_state
from workflow_runtime.engine.marks import LONG_NODES, joined

TWO = [{"id": "a"}, {"id": "b", "dependencies": ["a"]}]
ADDED = {"invented_later": {"deep": [1, "二", None]}, "一": 2**60, "text": '"quoted"'}


@pytest.mark.parametrize("others", [0, LONG_NODES])
def test_fields_that_are_not_known_here_survive_any_number_of_commits(others: int) -> None:
    driver = Driver(plan_of([*TWO, *({"id": f"n{n}", "when": "${false}"} for n in range(others))])).start()
    *marks, stored = decoded(driver)
    changed = msgspec.json.encode({**stored, **ADDED})
    driver.state = decode_state(joined(changed, marks[0].encode()) if marks else changed)
    driver.succeed("a", {"x": 1})
    driver.succeed("b", {"x": 2})
    assert driver.status == "completed"
    *_, left = decoded(driver)
    assert {name: left[name] for name in ADDED} == ADDED
    assert "newer" not in left
    assert decode_state(encode_state(driver.state)) == driver.state


def decoded(driver: Driver) -> list[Any]:
    """The parts of the stored state, with the marks before them if they stand apart."""
    stored = msgspec.json.decode(encode_state(driver.state))
    return stored if isinstance(stored, list) else [stored]


def test_a_state_of_a_newer_schema_is_refused_so_that_its_events_wait() -> None:
    driver = Driver(plan_of(TWO)).start()
    stored = msgspec.json.decode(encode_state(driver.state))
    with pytest.raises(msgspec.ValidationError, match="newer than this runtime"):
        decode_state(msgspec.json.encode({**stored, "schema": 99}))
