"""What has succeeded in a segment has, whatever ends the rest of it while a worker runs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.handlers.bench import Bench
from tests.unit.services.replaying import assert_replays

from workflow_runtime.deployment.topology import DISPATCH, node_queue
from workflow_runtime.storage.records import RunStatus

TOOL, AGENT = node_queue("tool"), node_queue("agent")
CHAIN = """
    - {id: charge, type: tool, tool: echo, inputs: {x: 1}COMPENSATE}
    - {id: book, type: tool, tool: echo, dependencies: [charge], inputs: {x: 2}}
    - {id: mail, type: tool, tool: meanwhile, dependencies: [book], inputs: {x: 3}}
    - {id: archive, type: tool, tool: echo, dependencies: [mail], inputs: {x: 4}}
"""
FAILING = """
    - {id: other, type: agent, agent: bad, inputs: {}}
    - id: audit
      type: tool
      tool: echo
      dependencies: [archive, other]
      join: all_done
      inputs: {charge: "${nodes.charge.status}", book: "${book.x}", mail: "${nodes.mail.status}"}
"""
RACING = """
    - {id: race, type: control, subtype: parallel, branches: [charge, other], wait_all: false, cancel_rest: true}
    - {id: other, type: agent, agent: echo, inputs: {}}
    - {id: after, type: control, subtype: pass, dependencies: [race]}
"""


class Cut:
    """An execution that something happens to while a worker runs `mail`, for the first time. ``first``: what runs
    before that worker."""

    def __init__(self, bench: Bench, nodes: str, happens: Callable[[str], object], fields: str = "") -> None:
        self.bench = bench
        self._happens = happens
        bench.tools.tools |= {"meanwhile": self._meanwhile, "bad": _bad}
        bench.runtime.catalog.publish(f"workflow:\n  id: w\n{fields}  nodes:\n{nodes}".encode())
        self.id = bench.runtime.starter.start("w", {})
        bench.deliver(DISPATCH)
        bench.deliver(AGENT)
        bench.deliver(TOOL)
        bench.drain()

    def _meanwhile(self, call: Any) -> Any:
        if self.bench.tools.calls.count("mail") == 1:
            self._happens(self.id)
            self.bench.deliver(DISPATCH)
        return call.inputs

    @property
    def statuses(self) -> dict[str, str]:
        return {id: node["status"] for id, node in self.bench.document(self.id)["node_executions"].items()}

    def ask(self, operation: str) -> None:
        self.bench.runtime.control.ask(operation, self.id)
        self.bench.drain()


def _bad(call: Any) -> Any:
    raise ValueError(f"not {call.path}")


def _nothing(_: str) -> None:
    """What ends it has happened before, and is not known yet."""


@pytest.fixture(params=["embedded", "moto"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    opened = Bench(request.param)
    yield opened
    opened.close()


@pytest.mark.parametrize("how", ["cancelled", "failed"])
def test_what_has_succeeded_is_kept_and_not_run_again(bench: Bench, how: str) -> None:
    nodes = CHAIN.replace("COMPENSATE", "")
    if how == "cancelled":
        cut = Cut(bench, nodes, lambda id: bench.runtime.control.ask("cancel", id))
    else:
        cut = Cut(bench, nodes + FAILING, _nothing)
        audit = {"charge": "success", "book": 2, "mail": "cancelled"}
        assert json.loads(bench.runtime.documents.node(cut.id, "audit").output) == audit
    assert bench.document(cut.id)["status"] == how
    found = cut.statuses
    assert [found[id] for id in ("charge", "book", "mail", "archive")] == ["success", "success", "cancelled", "skipped"]
    assert_replays(bench.runtime, cut.id)
    bench.tools.tools["bad"] = lambda call: call.inputs
    cut.ask("retry")
    assert bench.document(cut.id)["status"] == "completed"
    calls = bench.tools.calls
    assert {path: calls.count(path) for path in ("charge", "book", "mail", "archive")} == {
        "charge": 1, "book": 1, "mail": 2, "archive": 1,
    }  # fmt: skip
    assert_replays(bench.runtime, cut.id)


def test_what_has_succeeded_in_a_branch_that_lost_a_race_is_kept(bench: Bench) -> None:
    nodes = CHAIN.replace("COMPENSATE", "").replace("id: charge,", "id: charge, dependencies: [race],")
    cut = Cut(bench, nodes + RACING, _nothing)
    assert bench.document(cut.id)["status"] == "completed"
    found = cut.statuses
    assert [found[id] for id in ("charge", "book", "mail", "archive")] == ["success", "success", "cancelled", "skipped"]
    assert bench.tools.calls.count("mail") == 1
    assert_replays(bench.runtime, cut.id)


def test_what_has_succeeded_can_be_undone_when_somebody_asks_for_it_later(bench: Bench) -> None:
    nodes = CHAIN.replace("COMPENSATE", ", compensate: {tool: echo, inputs: {undoes: '${output.x}'}}")
    cut = Cut(bench, nodes, lambda id: bench.runtime.control.ask("cancel", id), "  compensation: {on: [failure]}\n")
    assert bench.document(cut.id)["compensations"] == []
    cut.ask("compensate")
    undone = [(entry["node"], entry["status"]) for entry in bench.document(cut.id)["compensations"]]
    assert undone == [("charge", "success")]
    assert_replays(bench.runtime, cut.id)


def test_nobody_else_runs_what_its_worker_runs_in_place_when_that_becomes_known(bench: Bench) -> None:
    cut = Cut(bench, CHAIN.replace("COMPENSATE", ""), lambda id: bench.runtime.control.ask("cancel", id))
    run = bench.runtime.stores.runs.get(cut.id, "mail", 1)
    assert run is not None
    assert run.status is RunStatus.CANCELLED
    assert bench.tools.calls == ["charge", "book", "mail"]
