"""Compensation through the real handlers on both backends: what is recorded, and how workers are told to stop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.handlers.bench import Bench

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.invocation import NodeCall
from workflow_runtime.storage import keys

HUGE = "房" * 40_000
NODES = """
    - {id: a, type: tool, tool: book, inputs: {t: "${secrets.TOKEN}", x: "${x}"},
       compensate: {tool: undo, inputs: {t: "${inputs.t}", x: "${inputs.x}", o: "${output.n}", e: "${error.type}"}}}
    - {id: b, type: tool, tool: echo, dependencies: [a]}
    - {id: f, type: tool, tool: break, dependencies: [b]}
"""


@pytest.fixture(params=["embedded", "moto"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    opened = Bench(request.param)
    yield opened
    opened.close()


def broken(_: NodeCall) -> object:
    raise NodeError("broken", "坏了")


def test_what_a_node_was_given_is_recorded_for_its_compensation_alone_and_without_secrets(bench: Bench) -> None:
    given: list[dict[str, object]] = []
    bench.tools.tools |= {"book": lambda _: {"n": 7}, "break": broken, "undo": lambda call: given.append(call.inputs)}
    execution_id = bench.start(NODES, {"x": HUGE})
    bench.drain()
    document = bench.document(execution_id)
    assert (document["status"], document["compensation"]) == ("failed", "completed")
    assert given == [{"t": "***", "x": HUGE, "o": 7, "e": "broken"}]
    wanted = {path: keys.run(execution_id, path, 1) for path in ("a", "b", "a~compensate")}
    items = bench.runtime.ports.table.get(list(wanted.values()))
    assert {path for path, key in wanted.items() if "inputs" in items[key].attributes} == {"a"}


def test_an_order_that_nobody_has_begun_is_called_back_and_not_awaited(bench: Bench) -> None:
    bench.tools.tools |= {"book": lambda _: {"n": 7}, "undo": lambda _: {}}
    execution_id = bench.start(NODES, {"x": 1})
    bench.deliver("dispatch.fifo")
    bench.runtime.control.ask("cancel", execution_id)
    bench.deliver("dispatch.fifo")
    bench.settle()
    assert bench.document(execution_id)["status"] == "cancelled"
    assert bench.tools.calls == []


def test_a_worker_that_was_told_to_stop_still_records_its_success(bench: Bench) -> None:
    def book(_: NodeCall) -> object:
        bench.runtime.control.ask("cancel", execution_id)
        bench.deliver("dispatch.fifo")
        return {"n": 7}

    undone: list[object] = []
    bench.tools.tools |= {"book": book, "undo": lambda call: undone.append(call.inputs["o"])}
    execution_id = bench.start(NODES, {"x": 1})
    bench.drain()
    document = bench.document(execution_id)
    assert (document["status"], document["compensation"]) == ("cancelled", "completed")
    assert document["node_executions"]["a"]["status"] == "compensated"
    assert undone == [7]
