"""States that a newer deployment stored are worked on after a rollback, and lose nothing."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.engine.driver import Driver, plan_of

from workflow_runtime.engine.codec import decode_state, encode_state

TWO = [{"id": "a"}, {"id": "b", "dependencies": ["a"]}]
ADDED = {"invented_later": {"deep": [1, "二", None]}, "一": 2**60, "text": '"quoted"'}


def test_fields_that_are_not_known_here_survive_any_number_of_commits() -> None:
    driver = Driver(plan_of(TWO)).start()
    stored = msgspec.json.decode(encode_state(driver.state))
    driver.state = decode_state(msgspec.json.encode({**stored, **ADDED}))
    driver.succeed("a", {"x": 1})
    driver.succeed("b", {"x": 2})
    assert driver.status == "completed"
    left = msgspec.json.decode(encode_state(driver.state))
    assert {name: left[name] for name in ADDED} == ADDED
    assert "newer" not in left
    assert decode_state(encode_state(driver.state)) == driver.state


def test_a_state_of_a_newer_schema_is_refused_so_that_its_events_wait() -> None:
    driver = Driver(plan_of(TWO)).start()
    stored = msgspec.json.decode(encode_state(driver.state))
    with pytest.raises(msgspec.ValidationError, match="newer than this runtime"):
        decode_state(msgspec.json.encode({**stored, "schema": 99}))
