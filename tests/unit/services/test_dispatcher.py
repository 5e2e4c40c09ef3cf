"""The dispatcher where an execution cannot go on as its plan says."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Iterator
from random import Random

import pytest
from tests.unit.services.replaying import assert_replays

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.storage.executions import STATE_BYTES_MAX

COLLECTOR = b"""
workflow:
  id: collector
  type: state_machine
  initial_state: open
  states:
    - {name: open, transitions: [{event: fill}, {event: close, target: done}]}
"""

FAILING = b"""
workflow:
  id: failing
  nodes:
    - {id: stop, type: control, subtype: fail, error: "${kind}", message: "no"}
"""


def noise() -> str:
    """More than a state may hold, even compressed."""
    return b64encode(Random(1).randbytes(STATE_BYTES_MAX * 5 // 4)).decode()


@pytest.fixture
def runtime() -> Iterator[LocalRuntime]:
    with LocalRuntime(open_backend()) as runtime:
        yield runtime


def test_an_execution_whose_state_grows_too_large_fails_and_says_so(runtime: LocalRuntime) -> None:
    runtime.services.catalog.publish(COLLECTOR)
    execution_id = runtime.services.starter.start("collector")
    assert asyncio.run(runtime.settle(execution_id)) == "running"
    runtime.services.signalling.send(execution_id, "fill", {"noise": noise()})
    assert asyncio.run(runtime.run_until_ended(execution_id)) == "failed"
    assert runtime.services.documents.document(execution_id)["error"]["type"] == "state_too_large"
    assert_replays(runtime.services, execution_id)


STUCK = b"""
workflow:
  id: stuck
  type: state_machine
  variables: {x: ""}
  initial_state: work
  states:
    - {name: work, run: [{id: stop, type: control, subtype: fail, error: stuck, message: "no"}], on_done: over}
    - {name: over, type: final}
"""


def test_an_execution_that_would_be_too_large_to_go_on_stays_as_it_has_ended(runtime: LocalRuntime) -> None:
    runtime.services.catalog.publish(STUCK)
    execution_id = runtime.services.starter.start("stuck")
    assert asyncio.run(runtime.run_until_ended(execution_id)) == "failed"
    for text, attempt in ((noise(), 1), ("small", 2)):
        runtime.services.control.ask("retry", execution_id, said={"variables": {"x": text}})
        asyncio.run(runtime.pump.run(lambda: False, settle=True))
        document = runtime.services.documents.document(execution_id)
        assert (document["status"], document["error"]["type"], document["attempt"]) == ("failed", "stuck", attempt)
    (letter,), _ = runtime.services.stores.dead_letters.list(execution_id, 10, None)
    assert "too large" in letter.reason
    assert_replays(runtime.services, execution_id)


def test_a_fail_nodes_error_type_of_any_length_still_fails_the_execution(runtime: LocalRuntime) -> None:
    runtime.services.catalog.publish(FAILING)
    execution_id = runtime.services.starter.start("failing", {"kind": "很" * 200_000})
    assert asyncio.run(runtime.run_until_ended(execution_id)) == "failed"
    assert len(runtime.services.documents.document(execution_id)["error"]["type"]) == 128
