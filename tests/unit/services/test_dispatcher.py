"""The dispatcher where an execution cannot go on as its plan says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.engine.advance import NOTHING_KNOWN, new_execution
from workflow_runtime.engine.replay import replay
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.storage import executions
from workflow_runtime.storage.executions import ExecutionStore

CHAIN = b"""
workflow:
  id: chain
  nodes:
    - {id: a, type: tool, tool: echo}
    - {id: b, type: tool, tool: echo, dependencies: [a]}
"""

FAILING = b"""
workflow:
  id: failing
  nodes:
    - {id: stop, type: control, subtype: fail, error: "${kind}", message: "no"}
"""


@pytest.fixture
def runtime() -> Iterator[LocalRuntime]:
    with LocalRuntime(open_backend()) as runtime:
        yield runtime


def test_an_execution_whose_state_grows_too_large_fails_and_says_so(
    runtime: LocalRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime.services.catalog.publish(CHAIN)
    execution_id = runtime.services.starter.start("chain")
    store = ExecutionStore(runtime.backend.ports.table, runtime.backend.ports.blobs)
    held = ExecutionStore._held
    checked: list[str] = []

    def too_large_once(self: ExecutionStore, data: bytes, key: str, *rest: int) -> bytes | str:
        checked.append(key)
        if len(checked) == 4:  # the first commit made three: state, last, journal
            raise executions.StateTooLarge("5000000 bytes compressed")
        return held(self, data, key, *rest)

    monkeypatch.setattr(ExecutionStore, "_held", too_large_once)
    status = asyncio.run(runtime.run_until_ended(execution_id))
    assert status == "failed"
    document = runtime.services.documents.document(execution_id)
    assert document["error"]["type"] == "state_too_large"
    ended = store.load(execution_id)
    assert ended is not None
    plan = runtime.services.workflows.plan(ended.state.plan_hash)
    start = new_execution(plan, execution_id, 1, ended.state.started_at)
    assert replay(plan, start, store.journal(execution_id), lambda _: NOTHING_KNOWN) == ended.state


def test_a_fail_nodes_error_type_of_any_length_still_fails_the_execution(runtime: LocalRuntime) -> None:
    runtime.services.catalog.publish(FAILING)
    execution_id = runtime.services.starter.start("failing", {"kind": "很" * 200_000})
    assert asyncio.run(runtime.run_until_ended(execution_id)) == "failed"
    assert len(runtime.services.documents.document(execution_id)["error"]["type"]) == 128
