"""States that the next release stores are worked on by this one, to which a deployment of it may be rolled back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
from tests.unit.engine.stored_states import resume

from workflow_runtime.engine.codec import current, decode_state, encode_state

LAYERS = Path(__file__).parents[2] / "golden/states/schema2/layers.json"


def test_marks_that_stand_apart_and_counts_of_layers_are_read() -> None:
    document: dict[str, Any] = json.loads(LAYERS.read_text(encoding="utf-8"))
    execution = resume(document)
    before = execution.state
    stored = msgspec.json.decode(encode_state(before))
    stored["scopes"][""] |= {"marks": "", "joins": {}, "layers": {"8": -1, "3": 2}}
    apart = before.graph().marks.decode()
    state = decode_state(msgspec.json.encode([apart, {**stored, "schema": 3}]))
    execution.first = execution.state = current(execution.plan, state)
    assert execution.state == before
    for step in document["after"]:
        assert execution.play_step(step["step"]) == step["then"], step["step"]
    assert execution.end() == document["end"]
