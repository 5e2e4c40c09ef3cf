"""Executions that earlier code left halfway go on under this code, to the end they would have come to.

The golden states in tests/golden/states are written once for each schema (see ``write.py`` there), never rewritten.
"""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.unit.engine.driver import Driver, plan_of
from tests.unit.engine.stored_states import resume

from workflow_runtime.engine.codec import decode_state, encode_state
from workflow_runtime.engine.marks import LONG_NODES
from workflow_runtime.engine.state import STATE_SCHEMA
from workflow_runtime.storage.payloads import unpack_bytes

STATES = Path(__file__).parents[2] / "golden/states"


@pytest.mark.parametrize(
    "path", sorted(STATES.glob("schema*/*.json")), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_a_stored_execution_goes_on_to_its_end(path: Path) -> None:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    execution = resume(document)
    for step in document["after"]:
        assert execution.play_step(step["step"]) == step["then"], step["step"]
    assert execution.end() == document["end"]
    assert execution.state.status.terminal
    assert execution.replayed() == execution.state


def stored_in(situation: str) -> Any:
    """The state of a situation, as this schema has it."""
    return json.loads((STATES / f"schema{STATE_SCHEMA}" / f"{situation}.json").read_bytes())["item"]["state"]


def test_the_states_of_this_schema_cover_what_is_stored_otherwise_when_it_is_long() -> None:
    marks, rest = stored_in("long_graph")
    assert len(marks) >= LONG_NODES
    assert rest["scopes"][""]["layers"]
    tables = msgspec.json.decode(unpack_bytes(b64decode(stored_in("many_waits"))))
    assert isinstance(tables["scopes"], list)
    assert isinstance(tables["pending"], list)


def test_a_state_of_newer_code_is_refused() -> None:
    state = Driver(plan_of([{"id": "a"}])).start().state
    with pytest.raises(msgspec.ValidationError, match="newer"):
        decode_state(encode_state(replace(state, schema=99)))
