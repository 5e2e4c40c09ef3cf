"""Correlation ids: from whoever starts an execution to its orders, its log lines, its events, and what those start."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.deployment.log_fields import LogFields, add_log_fields, current_log_fields, log_fields
from workflow_runtime.deployment.topology import node_queue
from workflow_runtime.engine.events import Poked
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.services.dispatch.dispatcher import Delivery
from workflow_runtime.services.intake.starts import is_correlation_id
from workflow_runtime.services.messages import parse_order
from workflow_runtime.storage.listing import Wanted

DEFINITIONS = Path(__file__).parents[3] / "definitions"
START = 1_767_225_600_000
GIVEN = "request-7f3a"
PARENT = """
workflow:
  id: parent
  type: state_machine
  initial_state: working
  states:
    - name: working
      on_enter:
        - publish_event: {topic: 订单.创建, payload: {order: 1}}
        - start_workflow: {workflow_id: child, result_event: ended}
      run: [{id: a, type: tool, tool: echo}]
      transitions: [{event: ended, target: done}]
  final_states: [done]
"""
CHILD = "workflow: {id: child, nodes: [{id: b, type: tool, tool: echo}]}"
LISTENER = """
workflow:
  id: listener
  triggers: [{type: event, topic: 订单.创建}]
  nodes: [{id: c, type: tool, tool: echo}]
"""


class Lines(logging.Handler):
    """What was logged: logger, message, execution and correlation id, as a Lambda's handler would have them."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(LogFields())
        self.lines: list[tuple[str, Any, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        given = record.__dict__
        self.lines.append((record.getMessage(), given.get("execution_id"), given.get("correlation_id")))


@pytest.fixture
def logged() -> Iterator[Lines]:
    package = logging.getLogger("workflow_runtime")
    lines, level = Lines(), package.level
    package.addHandler(lines)
    package.setLevel(logging.INFO)
    yield lines
    package.removeHandler(lines)
    package.setLevel(level)


@pytest.fixture
def runtime() -> Iterator[LocalRuntime]:
    with LocalRuntime(open_backend(clock=VirtualClock(START)), DEFINITIONS) as runtime:
        for source in (PARENT, CHILD, LISTENER):
            runtime.services.catalog.publish(source.encode())
        yield runtime


def run(runtime: LocalRuntime, correlation_id: str) -> dict[str, str]:
    """Run the parent and what it starts; correlation ids by workflow."""
    execution_id = runtime.services.starter.start("parent", correlation_id=correlation_id)
    asyncio.run(runtime.run_until_ended(execution_id))
    found = {}
    for workflow_id in ("parent", "child", "listener"):
        (header,) = runtime.services.documents.list(Wanted(tuple(ExecutionStatus), workflow_id), 10).headers
        asyncio.run(runtime.run_until_ended(header.execution_id))
        found[workflow_id] = header.correlation_id
    return found


def test_children_and_triggered_executions_have_that_of_who_started_them(runtime: LocalRuntime) -> None:
    assert run(runtime, GIVEN) == dict.fromkeys(("parent", "child", "listener"), GIVEN)


def test_without_one_it_is_the_id_of_the_first_execution(runtime: LocalRuntime) -> None:
    found = run(runtime, "")
    assert set(found.values()) == {found["parent"]}
    assert found["parent"].startswith("ex-")


def test_every_event_says_it(runtime: LocalRuntime) -> None:
    run(runtime, GIVEN)
    details = [event["detail"] for event in runtime.backend.bus_events()]
    assert {detail.get("workflow_runtime", detail)["correlation_id"] for detail in details} == {GIVEN}
    assert any("workflow_runtime" in detail for detail in details)
    assert any("workflow_runtime" not in detail for detail in details)


def test_every_log_line_of_an_execution_says_it(runtime: LocalRuntime, logged: Lines) -> None:
    run(runtime, GIVEN)
    about = [(message, correlation) for message, execution, correlation in logged.lines if execution]
    assert {correlation for _, correlation in about} == {GIVEN}
    assert {"execution created", "node ended"} <= {message for message, _ in about}


def test_an_order_on_its_way_carries_it(runtime: LocalRuntime) -> None:
    execution_id = runtime.services.starter.start("child", correlation_id=GIVEN)
    runtime.services.dispatcher.dispatch(execution_id, [Delivery(Poked("p", START))])
    (order,) = (record.event_record for record in runtime.backend.poller.receive(node_queue("tool"), 10))
    assert parse_order(str(order["body"])).correlation_id == GIVEN


def test_a_start_that_is_repeated_keeps_the_first_ones(runtime: LocalRuntime) -> None:
    first = runtime.services.starter.start("child", start_key="k", correlation_id=GIVEN)
    assert runtime.services.starter.start("child", start_key="k", correlation_id="another") == first
    assert runtime.services.documents.header(first).correlation_id == GIVEN


@pytest.mark.parametrize("text", ["", " ", "a b", "请求", "x" * 129, "a\nb", 7, None])
def test_what_could_disturb_a_log_or_header_is_no_correlation_id(text: Any) -> None:
    assert not is_correlation_id(text)


def test_fields_end_with_their_block_and_reach_threads() -> None:
    async def inside() -> dict[str, str]:
        with log_fields(node="a"):
            return await asyncio.to_thread(current_log_fields)

    with log_fields(execution_id="ex-1"):
        add_log_fields(correlation_id="c")
        assert asyncio.run(inside()) == {"execution_id": "ex-1", "correlation_id": "c", "node": "a"}
        assert current_log_fields() == {"execution_id": "ex-1", "correlation_id": "c"}
    assert current_log_fields() == {}
    add_log_fields(correlation_id="nobody's")
    assert current_log_fields() == {}


def test_what_a_line_says_itself_stays() -> None:
    record = logging.makeLogRecord({"msg": "x", "execution_id": "its own"})
    with log_fields(execution_id="ex-1", correlation_id="c"):
        assert LogFields().filter(record)
    assert (record.__dict__["execution_id"], record.__dict__["correlation_id"]) == ("its own", "c")


def test_work_that_nobody_ended_is_closed_elsewhere_without_a_trace() -> None:
    async def half_done() -> None:
        with log_fields(execution_id="ex-1"):
            await asyncio.sleep(0)

    left = half_done()
    copy_context().run(left.send, None)
    with log_fields(execution_id="ex-2"):
        left.close()
        assert current_log_fields() == {"execution_id": "ex-2"}
