"""What ran under earlier code comes out the same under this code: the histories in tests/golden/histories, replayed.

They are written once (see ``write.py`` there) and never rewritten. One that comes out differently means that executions
which are under way during a deployment would, too.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.engine.driver import START, Driver, aggregation, control, plan_of

from workflow_runtime.engine.codec import current, decode_state, encode_state
from workflow_runtime.engine.events import CancelRequested, SkipRequested
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.recording import Recording, decode_recording, encode_recording, first_deviation
from workflow_runtime.engine.replay import first_difference
from workflow_runtime.engine.state import STATE_SCHEMA
from workflow_runtime.engine.tables import SHORT_MAX
from workflow_runtime.plan.plan import encode_plan

HISTORIES = Path(__file__).parents[2] / "golden/histories"
PATHS = sorted(HISTORIES.glob("*.json"))
DAG = HISTORIES / "dag.json"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_recorded_history_comes_out_the_same(path: Path) -> None:
    recording = decode_recording(path.read_bytes())
    assert len(recording.entries) > 1
    assert first_deviation(recording) is None


def test_the_histories_cover_what_executions_do() -> None:
    said = " ".join(path.read_text(encoding="utf-8") for path in PATHS)
    events = set(re.findall(r'"event":"(\w+)","event_id"', said))
    assert events >= {
        "execution_started", "node_succeeded", "node_failed", "signal_received", "timer_fired", "child_ended",
        "cancel_requested", "suspend_requested", "resume_requested", "retry_requested", "skip_requested",
        "compensate_requested", "event_returned", "poked", "node_yielded", "approval_answered", "approval_delegated",
        "task_completed", "task_failed",
    }  # fmt: skip
    statuses = set(re.findall(r'"set_status","status":"(\w+)"', said))
    assert statuses == set(ExecutionStatus) - {ExecutionStatus.PENDING}


@pytest.mark.parametrize(
    ("old", "new", "version", "place"),
    [
        ('"serial":1,"pool":"agent"', '"serial":2,"pool":"agent"', 1, "commands[2].serial"),
        ('"event_id":"start","at"', '"event_id":"start","at":1,"x"', 1, ""),
        ('"event":"node_succeeded","event_id":"run:understand#1"', '"event":"poked","event_id":"p"', 2, "commands[0]"),
        ('"path":"understand","serial":1,"values', '"path":"nobody","serial":1,"values', 2, "events"),
    ],
)  # fmt: skip
def test_a_history_that_was_changed_names_the_first_difference(old: str, new: str, version: int, place: str) -> None:
    text = DAG.read_text(encoding="utf-8")
    assert old in text
    found = first_deviation(decode_recording(text.replace(old, new, 1).encode()))
    if not place:
        assert found is None, "a field that decides nothing"
        return
    assert found is not None
    assert (found.version, found.place) == (version, place)
    assert found.events
    assert str(found).startswith(f"version {version}: {place}: the journal has ")


def recording_of(driver: Driver, state: bytes) -> Recording:
    return Recording(
        execution_id="e1",
        workflow_id="w",
        workflow_version=1,
        started_at=START,
        plan=msgspec.Raw(encode_plan(driver.plan)),
        entries=tuple(driver.journal),
        state=msgspec.Raw(state),
    )


def test_long_tables_that_emptied_make_no_difference() -> None:
    """A replay never stores its state between commits, so tables that were long are in layers to the end."""
    driver = Driver(plan_of([control(f"w{n}", "wait", seconds=n + 1) for n in range(SHORT_MAX + 30)])).start()
    driver.elapse(50)
    driver.take(CancelRequested("control:c", driver.now))
    state = encode_state(driver.state)
    assert encode_state(driver.replayed()) != state, "nothing was in layers"
    assert first_deviation(recording_of(driver, state)) is None
    found = first_deviation(recording_of(driver, state.replace(b'"open_count":0', b'"open_count":1')))
    assert found is not None
    assert found.place == "state.scopes..open_count"


def test_a_table_of_the_execution_that_was_long_and_emptied_makes_no_difference() -> None:
    body = {"body": [{"id": "b"}], "times": 2 * SHORT_MAX, "max_concurrency": 2 * SHORT_MAX}
    driver = Driver(plan_of([control("each", "loop", **body)], limits={"max_concurrency": 1})).start()
    assert len(driver.state.queued) > SHORT_MAX
    driver.succeed("each[0]/b")
    driver.take(CancelRequested("control:c", driver.now))
    assert not driver.state.queued
    assert first_deviation(recording_of(driver, encode_state(driver.state))) is None
    assert driver.replayed() == driver.state


def test_progress_of_joins_that_nobody_asks_for_makes_no_difference() -> None:
    """Older code kept it of nodes that were put aside while the execution is suspended."""
    failing = aggregation("b", "collect", items="${[1]}", outputs={"x": "${1 / 0}"}, dependencies=["a"])
    nodes = [{"id": "a"}, failing, {"id": "c", "dependencies": ["a"]}, {"id": "d", "dependencies": ["a", "b"]}]
    driver = Driver(plan_of(nodes, error_handlers=[{"action": "escalate"}])).start()
    driver.succeed("a")
    state = encode_state(driver.state)
    kept = b'"joins":{"3":[1,1,0]},"due":[2]'
    assert kept in state
    older = state.replace(kept, b'"joins":{"2":[1,1,0],"3":[1,1,0]},"due":[2]')
    assert first_deviation(recording_of(driver, older)) is None
    found = first_deviation(recording_of(driver, state.replace(kept, b'"joins":{"3":[1,0,0]},"due":[2]')))
    assert found is not None
    assert found.place == "state.scopes..joins.3[1]"


def as_schema_2(driver: Driver) -> None:
    """What the deployment before would have stored of the execution."""
    stored = msgspec.json.decode(encode_state(driver.state))
    stored["schema"] = 2
    graph = stored["scopes"][""]
    joins = graph.setdefault("joins", {})
    for first, count in graph.pop("layers", {}).items():
        for node in driver.plan.blocks[0].layer(int(first)):
            joins[str(node)] = [abs(count), max(count, 0), 0]
    for node in graph.get("due", ()):
        sources = len(driver.plan.blocks[0].nodes[node].incoming)
        joins[str(node)] = [sources, sources, 0]
    driver.state = decode_state(msgspec.json.encode(stored))


def test_counts_of_layers_that_nobody_asks_for_make_no_difference() -> None:
    """Of a graph that has ended, they are not among what is read of the schema before."""
    nodes = [{"id": "a", "compensate": {"tool": "t"}}, {"id": "b"}]
    layer = [{"id": id, "dependencies": ["a", "b"]} for id in ("x", "y")]
    driver = Driver(plan_of([*nodes, *layer], compensation={"on": ["cancel"]})).start()
    driver.succeed("a")
    driver.take(CancelRequested("control:c", driver.now))
    assert driver.status == "compensating"
    assert driver.state.graph().layers == {2: 1}
    as_schema_2(driver)
    driver.play()
    assert driver.status == "cancelled"
    assert driver.state.schema == STATE_SCHEMA
    assert not driver.state.graph().layers
    assert first_deviation(recording_of(driver, encode_state(driver.state))) is None


def test_a_layer_that_was_put_aside_by_the_schema_before_is_counted_no_more() -> None:
    failing = aggregation("f", "collect", items="${[1]}", outputs={"x": "${1 / 0}"}, dependencies=["b"])
    layer = [{"id": id, "dependencies": ["a", "b"]} for id in ("x", "y")]
    driver = Driver(plan_of([{"id": "a"}, {"id": "b"}, failing, *layer], error_handlers=[{"action": "escalate"}]))
    driver.start().succeed("a")
    driver.succeed("b")
    assert driver.state.graph().due == (3, 4)
    as_schema_2(driver)
    assert current(driver.plan, driver.state).graph().layers == {}
    driver.take(SkipRequested("control:s", driver.now, node="f", output=1))
    assert driver.ordered.keys() == {"x", "y"}
    assert first_deviation(recording_of(driver, encode_state(driver.state))) is None


def test_what_the_recording_lacks_is_a_difference() -> None:
    recording = decode_recording((HISTORIES / "long_texts.json").read_bytes())
    found = first_deviation(msgspec.structs.replace(recording, runs=()))
    assert found is not None
    assert found.place == "reads"
    assert "run 1 of node `写`, which is not recorded" in found.replayed


def test_a_recording_of_newer_code_is_refused() -> None:
    data = encode_recording(msgspec.structs.replace(decode_recording(DAG.read_bytes()), schema=99))
    with pytest.raises(msgspec.ValidationError, match="newer"):
        decode_recording(data)


@pytest.mark.parametrize(
    ("recorded", "replayed", "expected"),
    [
        ({"a": [1, {"乙": 2}]}, {"a": [1, {"乙": 2}]}, None),
        ({"a": [1, {"乙": 2}]}, {"a": [1, {"乙": 3}]}, ("a[1].乙", "2", "3")),
        ({"a": 1}, {}, ("a", "1", "")),
        ({}, {"a": None}, ("a", "", "null")),
        ([1], [1, 2], ("[1]", "", "2")),
        (1, True, ("", "1", "true")),
        (1, 1.0, ("", "1", "1.0")),
    ],
)
def test_the_first_difference_of_two_values(recorded: Any, replayed: Any, expected: Any) -> None:
    assert first_difference(recorded, replayed) == expected
