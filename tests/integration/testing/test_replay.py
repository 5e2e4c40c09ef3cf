"""Executions recorded from a runtime, and taken again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.engine.recording import encode_recording
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.services.views.recordings import ENTRIES_READ_AT_ONCE, Recordings
from workflow_runtime.testing import WorkflowTester, replay

pytest_plugins = ["workflow_runtime.testing.plugin"]

LONG = "落霞与孤鹜齐飞，秋水共长天一色。" * 3_000


def nodes(count: int) -> list[dict[str, Any]]:
    """A chain, one commit a node."""
    chain = [
        {
            "id": f"第{n}步",
            "type": "tool",
            "tool": "echo",
            "dependencies": [f"第{n - 1}步"] if n else [],
            "when": "uuid() != ''",  # evaluated by the dispatcher
        }
        for n in range(count)
    ]
    return [
        *chain,
        {"id": "等", "type": "control", "subtype": "wait", "event": "放行", "dependencies": [chain[-1]["id"]]},
    ]


def run(runtime: WorkflowTester, count: int = 3) -> str:
    id = runtime.start({"id": "录", "nodes": nodes(count), "outputs": {"长": "${等.text}"}})
    runtime.settle()
    return id


def test_an_execution_is_recorded_and_taken_again(runtime: WorkflowTester, tmp_path: Path) -> None:
    id = run(runtime)
    replay(runtime.recording(id))
    runtime.send_event(id, "放行", {"text": LONG})
    recording = runtime.recording(id)
    file = tmp_path / "录.json"
    file.write_bytes(encode_recording(recording))
    replay(file)
    replay(file.read_bytes())
    assert recording.entries[-1].version == len(recording.entries)


def test_it_is_the_same_on_simulated_aws(aws_runtime: WorkflowTester) -> None:
    id = run(aws_runtime)
    aws_runtime.send_event(id, "放行", {"text": LONG})
    aws_runtime.finish(id).assert_completed()
    replay(aws_runtime.recording(id))


def test_pages_together_are_the_recording() -> None:
    with LocalRuntime(open_backend()) as runtime:
        services = runtime.services
        services.catalog.publish(msgspec.json.encode({"workflow": {"id": "录", "nodes": nodes(60)}}))
        id = services.starter.start("录")
        asyncio.run(runtime.settle(id))
        whole = services.recordings.whole(id)
        assert len(whole.entries) > 2 * ENTRIES_READ_AT_ONCE
        replay(whole)
        small = Recordings(services.ports, services.stores, page_bytes_max=2_000)
        assert encode_recording(small.whole(id)) == encode_recording(whole)


def test_a_difference_fails_the_test_with_what_and_where(runtime: WorkflowTester) -> None:
    recording = runtime.recording(run(runtime))
    changed = encode_recording(recording).replace(
        '"path":"第1步","serial":1,"pool"'.encode(), b'"path":"x","serial":1,"pool"'
    )
    with pytest.raises(AssertionError) as caught:
        replay(changed)
    assert str(caught.value) == (
        f"execution {recording.execution_id} of '录' comes out differently\n"
        '  version 2: commands[0].path: the journal has "x", the engine gives "第1步"\n'
        "  that commit took: node_succeeded run:第0步#1"
    )


def test_another_state_than_the_stored_one_is_a_difference(runtime: WorkflowTester) -> None:
    recording = runtime.recording(run(runtime))
    state = bytes(recording.state).replace(b'"status":"running"', b'"status":"completed"')
    with pytest.raises(AssertionError, match=r'state\.status: the journal has "completed", the engine gives "running"'):
        replay(msgspec.structs.replace(recording, state=msgspec.Raw(state)))


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"x\.json is not a recording: .*execution_id"):
        replay(tmp_path / "x.json")
