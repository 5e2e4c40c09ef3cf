"""What has succeeded in a segment has, whatever ends the rest of it while a worker runs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from tests.handlers.bench import Bench
from tests.unit.services.replaying import assert_replays

from workflow_runtime.deployment.topology import DISPATCH, node_queue
from workflow_runtime.storage.due import SHARDS
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
    """An execution that something happens to while a worker runs `mail`, for the first time."""

    def __init__(
        self, bench: Bench, nodes: str, happens: Callable[[str], object], fields: str = "", *, fails: bool = False
    ) -> None:
        self.bench = bench
        self._happens = happens
        self._fails = fails
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
            if self._fails:
                raise ValueError("the first time")
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
    assert of_chain(cut.statuses) == ["success", "success", "cancelled", "skipped"]
    assert_replays(bench.runtime, cut.id)
    bench.tools.tools["bad"] = lambda call: call.inputs
    cut.ask("retry")
    assert bench.document(cut.id)["status"] == "completed"
    assert [bench.tools.calls.count(path) for path in ("charge", "book", "mail", "archive")] == [1, 1, 2, 1]
    assert_replays(bench.runtime, cut.id)


def of_chain(statuses: Mapping[str, str]) -> list[str]:
    return [statuses[id] for id in ("charge", "book", "mail", "archive")]


@pytest.mark.parametrize("how", ["suspended before", "others have its place"])
def test_what_has_succeeded_is_kept_though_its_turn_had_not_come(bench: Bench, how: str) -> None:
    nodes, fields = CHAIN.replace("COMPENSATE", ""), ""
    if how == "others have its place":
        fields = "  limits: {max_concurrency: 1}\n"
        nodes += "".join(f"    - {{id: other{n}, type: tool, tool: echo, inputs: {{}}}}\n" for n in range(3))

    def happens(id: str) -> None:
        if how == "suspended before":
            bench.runtime.control.ask("suspend", id)
            bench.deliver(DISPATCH)
        bench.runtime.control.ask("cancel", id)

    cut = Cut(bench, nodes, happens, fields)
    assert of_chain(cut.statuses) == ["success", "success", "cancelled", "skipped"]
    assert_replays(bench.runtime, cut.id)
    cut.ask("retry")
    assert bench.document(cut.id)["status"] == "completed"
    assert [bench.tools.calls.count(path) for path in ("charge", "book", "mail", "archive")] == [1, 1, 2, 1]
    assert_replays(bench.runtime, cut.id)


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_reported_of_a_segment_while_the_execution_is_suspended_is_known_at_once(
    bench: Bench, fails: bool
) -> None:
    cut = Cut(bench, CHAIN.replace("COMPENSATE", ""), lambda id: bench.runtime.control.ask("suspend", id), fails=fails)
    assert of_chain(cut.statuses) == ["success", "success", "ready" if fails else "success", "waiting"]
    cut.ask("cancel")
    assert of_chain(cut.statuses) == ["success", "success", "cancelled" if fails else "success", "skipped"]
    cut.ask("retry")
    assert bench.document(cut.id)["status"] == "completed"
    assert [bench.tools.calls.count(path) for path in ("charge", "book", "mail")] == [1, 1, 2 if fails else 1]
    assert_replays(bench.runtime, cut.id)


LOSING = """
    - {id: race, type: control, subtype: parallel, branches: [mail, quick], wait_all: false, cancel_rest: true}
    - {id: mail, type: tool, tool: echo, inputs: {x: 1}}
    - {id: book, type: tool, tool: echo, inputs: {x: 2}, dependencies: [mail], compensate: {tool: echo, inputs: {x: 3}}}
    - {id: quick, type: agent, agent: echo, inputs: {}}
    - {id: after, type: control, subtype: pass, dependencies: [race]}
    - {id: then, type: control, subtype: pass}
    - {id: late, type: agent, agent: echo, dependencies: [then], inputs: {}}
"""


def test_the_sweep_finds_orders_that_got_lost_before_a_segment_was_told_to_stop(bench: Bench) -> None:
    execution_id = bench.start(LOSING)
    bench.deliver(DISPATCH)
    for record in bench.receive(AGENT):
        if '"late"' in record.event_record["body"]:
            bench.backend.poller.delete(AGENT, [record.receipt_handle])
        else:
            bench.invoke(AGENT, [record])
    bench.deliver(DISPATCH)
    bench.drain()
    for _ in range(5):
        bench.pass_time(3600)
        for shard in range(SHARDS):
            bench.runtime.sweep.sweep(shard)
        bench.drain()
    assert bench.document(execution_id)["status"] == "completed"
    assert bench.tools.calls == ["quick", "late"]


def test_what_has_succeeded_in_a_branch_that_lost_a_race_is_kept(bench: Bench) -> None:
    nodes = CHAIN.replace("COMPENSATE", "").replace("id: charge,", "id: charge, dependencies: [race],")
    cut = Cut(bench, nodes + RACING, _nothing)
    assert bench.document(cut.id)["status"] == "completed"
    assert of_chain(cut.statuses) == ["success", "success", "cancelled", "skipped"]
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
