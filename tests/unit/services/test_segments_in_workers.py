"""A worker that goes on in place: what that costs, when it stops, and what it leaves to the dispatcher."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from tests.handlers.bench import Bench

from workflow_runtime.deployment.topology import DISPATCH, node_queue
from workflow_runtime.engine.commands import CancelRun, RunNode, StopRun
from workflow_runtime.engine.events import Event, NodeFailed
from workflow_runtime.errors import ErrorDocument, RetryableError
from workflow_runtime.ports import Absent, Equals, Item, Key, Message
from workflow_runtime.services.dispatch.closing import Closing
from workflow_runtime.services.messages import parse_mail
from workflow_runtime.services.work.reports import Reports
from workflow_runtime.storage import keys
from workflow_runtime.storage.records import STOP, Claim, Run, RunStatus
from workflow_runtime.storage.stores import Stores

CHAIN = """
    - {id: a, type: tool, tool: echo, inputs: {x: "${start}"}}
    - {id: b, type: tool, tool: echo, inputs: {x: "${a.x}"}}
    - {id: c, type: tool, tool: echo, inputs: {x: "${b.x}"}}
    - {id: d, type: tool, tool: echo, inputs: {x: "${c.x}"}}
"""
TOOL, AGENT = node_queue("tool"), node_queue("agent")


class Watched:
    """A table and queues that note what is written of runs and told mailboxes; ``stale``: what an eventually consistent
    read finds."""

    def __init__(self, bench: Bench) -> None:
        self.written: list[tuple[str, Any]] = []
        self.told: list[Message] = []
        self.stale: Callable[[dict[Key, Item]], dict[Key, Item]] = lambda found: found
        ports = bench.backend.ports
        self._table, self._queues = ports.table, ports.queues
        bench.runtime = bench.runtime_on(replace(ports, table=self, queues=self))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queues if name == "set_visibility" else self._table, name)

    def put(self, item: Item, condition: Any = None) -> None:
        if item.key.sort.startswith(keys.RUN_PREFIX):
            self.written.append((item.key.sort.removeprefix(keys.RUN_PREFIX), type(condition)))
        self._table.put(item, condition)

    def get(self, wanted: Any, *, eventually: bool = False) -> dict[Key, Item]:
        found = self._table.get(wanted)
        return self.stale(found) if eventually else found

    def send(self, queue: str, messages: list[Message]) -> Any:
        if queue == DISPATCH:
            self.told += messages
        return self._queues.send(queue, messages)


@pytest.fixture
def bench() -> Iterator[Bench]:
    opened = Bench("embedded")
    yield opened
    opened.close()


def worked(bench: Bench, nodes: str, input: Any = 1, queue: str = TOOL) -> tuple[str, Watched]:
    """An execution whose first order has been carried out, and what that came to."""
    execution_id = bench.start(nodes, {"start": input})
    bench.deliver(DISPATCH)
    watched = Watched(bench)
    bench.deliver(queue)
    return execution_id, watched


def statuses(bench: Bench, execution_id: str) -> dict[str, str]:
    return {id: node["status"] for id, node in bench.document(execution_id)["node_executions"].items()}


def test_going_on_in_place_costs_one_conditional_write_a_node_and_one_report(bench: Bench) -> None:
    _, watched = worked(bench, CHAIN)
    claim, *ends = watched.written
    assert claim == ("a#000001", Absent)
    assert ends == [("a#000001", Equals), ("b#000001", Absent), ("c#000001", Absent), ("d#000001", Absent)]
    [report] = watched.told
    assert [event.path for event in parse_mail(report.body).events] == ["a", "b", "c", "d"]  # type: ignore[union-attr]


def test_a_condition_is_looked_at_before_the_node_is_claimed(bench: Bench) -> None:
    nodes = CHAIN.replace("id: c,", 'id: c, when: "${a.x > 1}",')
    execution_id, watched = worked(bench, nodes, 1)
    assert bench.tools.calls == ["a", "b"]
    assert [event.path for event in parse_mail(watched.told[0].body).events] == ["a", "b"]  # type: ignore[union-attr]
    bench.drain()
    assert statuses(bench, execution_id) == {"a": "success", "b": "success", "c": "skipped", "d": "skipped"}
    bench.tools.calls.clear()
    worked(bench, nodes, 2)
    assert bench.tools.calls == ["a", "b", "c", "d"]


def test_what_a_condition_cannot_tell_fails_the_node_as_if_it_were_ordered(bench: Bench) -> None:
    execution_id, _ = worked(bench, CHAIN.replace("id: b,", 'id: b, when: "${a.x / 0 > 1}",'))
    assert bench.tools.calls == ["a"]
    bench.drain()
    document = bench.document(execution_id)
    assert document["error"]["node"] == "b"
    assert document["error"]["message"].startswith("when: ")


def test_a_doubtful_comparison_is_told_of_the_node_that_it_let_run(bench: Bench) -> None:
    execution_id, _ = worked(bench, CHAIN.replace("id: b,", 'id: b, when: "${a.x != 1}",'), "1")
    bench.drain()
    [warning] = bench.document(execution_id)["node_executions"]["b"]["warnings"]
    assert "compares a text with a number" in warning


def test_a_worker_that_is_told_to_stop_while_it_looks_claims_nothing_more(bench: Bench) -> None:
    """Between its last look at the header and its write."""
    runs = bench.runtime.stores.runs

    def stopped(call: Any) -> Any:
        run = runs.get(call.execution_id, "a", 1)
        assert run is not None
        assert runs.ask_to_stop(call.execution_id, run)
        return call.inputs

    bench.tools.tools["stopped"] = stopped
    execution_id, _ = worked(bench, CHAIN.replace("tool: echo", "tool: stopped", 1))
    assert bench.tools.calls == ["a"]
    run = runs.get(execution_id, "a", 1)
    assert run is not None
    assert (run.status, run.next) == (RunStatus.SUCCESS, None)


def test_who_stops_a_run_that_has_no_record_yet_makes_one_and_its_result_is_recorded(bench: Bench) -> None:
    runs = bench.runtime.stores.runs

    def stopped(call: Any) -> Any:
        first = runs.get(call.execution_id, "a", 1)
        assert first is not None
        *_, last = runs.segment(call.execution_id, first)
        assert (last.path, last.in_place) == ("b", True)
        assert runs.ask_to_stop(call.execution_id, last)
        found = runs.get(call.execution_id, "b", 1)
        assert found is not None
        assert found.owner == last.owner + STOP
        return call.inputs

    bench.tools.tools["stopped"] = stopped
    nodes = CHAIN.replace("id: b, type: tool, tool: echo", "id: b, type: tool, tool: stopped")
    execution_id, watched = worked(bench, nodes)
    assert bench.tools.calls == ["a", "b"]
    assert [event.path for event in parse_mail(watched.told[0].body).events] == ["a", "b"]  # type: ignore[union-attr]
    run = runs.get(execution_id, "b", 1)
    assert run is not None
    assert run.status is RunStatus.SUCCESS


def test_the_slot_of_the_first_node_is_free_before_the_second_one_begins(bench: Bench) -> None:
    held: dict[str, int] = {}

    def look(call: Any) -> Any:
        (gauge,) = bench.runtime.limits.get("w/places")["gauges"]  # type: ignore[misc]
        held[call.path] = gauge["held"]  # type: ignore[index, assignment]
        return call.inputs

    bench.tools.tools["look"] = look
    nodes = CHAIN.replace("tool: echo", "tool: look").replace("id: a,", "id: a, limiter: places,")
    source = f"workflow:\n  id: w\n  limits: {{places: {{concurrency: 1}}}}\n  nodes:\n{nodes}"
    bench.runtime.catalog.publish(source.encode())
    bench.runtime.starter.start("w", {"start": 1})
    bench.deliver(DISPATCH)
    bench.deliver(TOOL)
    assert held == {"a": 1, "b": 0, "c": 0, "d": 0}


def test_an_agent_that_is_begun_in_place_has_a_record_at_once(bench: Bench) -> None:
    seen: list[Any] = []

    def look(call: Any) -> Any:
        seen.append(bench.runtime.stores.runs.get(call.execution_id, call.path, 1))
        return call.inputs

    bench.tools.tools["look"] = look
    nodes = CHAIN.replace("type: tool, tool: echo", "type: agent, agent: look")
    execution_id, watched = worked(bench, nodes, queue=AGENT)
    assert [(run.path, run.status) for run in seen] == [(id, RunStatus.RUNNING) for id in "abcd"]
    assert len(watched.told) == 1
    bench.drain()
    assert bench.document(execution_id)["status"] == "completed"


def test_results_that_come_together_are_told_together(bench: Bench) -> None:
    branches = "".join(f'    - {{id: f{n}, type: tool, tool: echo, inputs: {{x: "${{a.x}}"}}}}\n' for n in range(10))
    nodes = f"    - {{id: a, type: agent, agent: echo, inputs: {{x: 1}}}}\n{branches}"
    execution_id = bench.start(nodes)
    for queue in (DISPATCH, AGENT, DISPATCH):
        bench.deliver(queue)
    watched = Watched(bench)
    bench.deliver(TOOL)
    [report] = watched.told
    assert len(parse_mail(report.body).events) == 10
    bench.drain()
    assert bench.document(execution_id)["status"] == "completed"


def test_each_of_those_that_were_to_be_told_together_is_told_again_if_that_fails(bench: Bench) -> None:
    nodes = "".join(f"    - {{id: f{n}, type: tool, tool: echo, inputs: {{x: 1}}}}\n" for n in range(3))
    execution_id = bench.start(nodes)
    bench.deliver(DISPATCH)
    watched = Watched(bench)
    send = watched.send

    def refuse(queue: str, messages: list[Message]) -> Any:
        if queue == DISPATCH:
            raise RetryableError("throttled")
        return send(queue, messages)

    watched.send = refuse  # type: ignore[method-assign]
    records = bench.receive(TOOL)
    assert len(bench.invoke(TOOL, records)) == 3
    watched.send = send  # type: ignore[method-assign]
    bench.drain()
    assert bench.document(execution_id)["status"] == "completed"
    assert sorted(bench.tools.calls) == ["f0", "f1", "f2"], "nothing ran twice"


def test_results_that_are_large_together_travel_apart(bench: Bench) -> None:
    """Of failures that hold their orders, SQS would refuse some of a mebibyte for good."""
    watched = Watched(bench)
    reports = Reports(bench.runtime.ports, iter("abcdef").__next__, lambda _: None)
    sent: list[Event] = []
    texts = ["x" * size for size in (300_000, 900_000, 10, 10, 60_000, 10_000)]
    for number, text in enumerate(texts):
        order = RunNode(f"n{number}", 1, "tool", 0, names={"text": text})
        failed = NodeFailed(f"run:n{number}#1", 0, order.path, 1, ErrorDocument.of("timeout", "late"), order)
        sent.append(failed)
    reports.send_now("ex", sent)
    told = [[event.path for event in parse_mail(message.body).events] for message in watched.told]  # type: ignore[union-attr]
    assert told == [["n0"], ["n1"], ["n2", "n3", "n4"], ["n5"]]


def test_a_result_that_no_record_can_hold_fails_its_node_as_it_does_at_the_end_of_a_segment(bench: Bench) -> None:
    bench.tools.tools["torn"] = lambda _: {"x": "\ud800"}
    execution_id, _ = worked(bench, CHAIN.replace("tool: echo", "tool: torn", 1))
    bench.drain()
    assert bench.document(execution_id)["error"]["type"] == "too_large"
    assert bench.tools.calls == ["a"], "it ran once: no worker was lost"


class MovedOn:
    """A table in which something happens right before a run is closed, once."""

    def __init__(self, table: Any, happens: Callable[[], object]) -> None:
        self._table = table
        self._happens = [happens]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def put(self, item: Item, condition: Any = None) -> None:
        if isinstance(condition, Equals) and item.attributes.get("status") == "cancelled" and self._happens:
            self._happens.pop()()
        self._table.put(item, condition)


@pytest.mark.parametrize("begun", ["in place", "by another worker"])
def test_what_a_worker_begins_while_a_run_is_closed_is_closed_too(bench: Bench, begun: str) -> None:
    execution_id = bench.start(CHAIN, {"start": 1})
    bench.deliver(DISPATCH)
    ports, runs = bench.runtime.ports, bench.runtime.stores.runs
    waits = Run(path="a", serial=1, status=RunStatus.WAITING, owner="line", started_at=1)
    run = replace(waits, status=RunStatus.RUNNING, owner="w", lease_until=9)
    if begun == "in place":
        assert runs.claim(execution_id, run)
        ended = replace(run, status=RunStatus.SUCCESS, ended_at=2, next=Claim("b", 1, "w2", 2, 9))
        table = MovedOn(ports.table, lambda: runs.finish(execution_id, ended, "w"))
    else:
        assert runs.wait(execution_id, waits)
        table = MovedOn(ports.table, lambda: runs.finish(execution_id, run, "line"))
    stored = bench.runtime.stores.executions.load(execution_id)
    assert stored is not None
    closing = Closing(Stores(replace(ports, table=table)), bench.runtime.mailer)
    closing.cancel(stored.state, CancelRun("a", 1))
    found = {run.path: run.status.value for run in runs.list(execution_id)}
    assert found == ({"a": "success", "b": "cancelled"} if begun == "in place" else {"a": "cancelled"})


@pytest.mark.parametrize(
    ("status", "reported"),
    [(None, "run_stopped"), (RunStatus.RUNNING, "run_stopped"), (RunStatus.SUCCESS, "node_succeeded")],
    ids=["never begun", "running", "succeeded"],
)
def test_a_run_that_is_awaited_no_longer_is_closed_and_told_of_by_its_record(
    bench: Bench, status: RunStatus | None, reported: str
) -> None:
    execution_id = bench.start(CHAIN, {"start": 1})
    bench.deliver(DISPATCH)
    runs, sent = bench.runtime.stores.runs, Sent()
    if status is not None:
        assert runs.claim(execution_id, Run(path="a", serial=1, status=status, owner="w", started_at=1, lease_until=9))
    stored = bench.runtime.stores.executions.load(execution_id)
    assert stored is not None
    plan = bench.runtime.stores.workflows.plan(stored.state.plan_hash)
    Closing(bench.runtime.stores, sent).stop(plan, stored.state, StopRun("a", 1, closes=True))  # type: ignore[arg-type]
    assert [event.__struct_config__.tag for event in sent.events] == [reported]
    found = runs.get(execution_id, "a", 1)
    assert found is not None
    assert found.status is (RunStatus.CANCELLED if status is not RunStatus.SUCCESS else RunStatus.SUCCESS)


def test_whoever_stops_a_run_tells_of_what_could_have_followed_it_in_place_and_is_awaited(bench: Bench) -> None:
    execution_id = bench.start(CHAIN, {"start": 1})
    bench.deliver(DISPATCH)
    runs, sent = bench.runtime.stores.runs, Sent()
    ended = Run(path="a", serial=1, status=RunStatus.SUCCESS, owner="w", started_at=1, next=Claim("b", 1, "w2", 2, 9))
    assert runs.claim(execution_id, ended)
    stored = bench.runtime.stores.executions.load(execution_id)
    assert stored is not None
    state = stored.state
    state.awaits_cancelled = True
    state.stopping.update({"a": 1, "b": 1, "c": 1})
    plan = bench.runtime.stores.workflows.plan(state.plan_hash)
    Closing(bench.runtime.stores, sent).stop(plan, state, StopRun("a", 1))  # type: ignore[arg-type]
    told = [(event.__struct_config__.tag, event.path, event.serial) for event in sent.events]
    assert told == [("node_succeeded", "a", 1), ("run_stopped", "c", 1)], "`b` is told of by the worker that runs it"
    running = runs.get(execution_id, "b", 1)
    assert running is not None
    assert running.owner == "w2" + STOP


class Sent:
    """Takes what would be sent to an execution."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def send(self, _execution_id: str, event: Any) -> None:
        self.events.append(event)


@pytest.mark.parametrize("finds", ["nothing", "the claim"])
def test_a_result_that_a_cheap_read_does_not_find_yet_is_read_again(bench: Bench, finds: str) -> None:
    agent = '{id: b, type: agent, agent: echo, inputs: {x: "${a.x}"}}'
    bench.start(f"    - {{id: a, type: tool, tool: echo, inputs: {{x: 7}}}}\n    - {agent}\n")
    for queue in (DISPATCH, TOOL, DISPATCH):
        bench.deliver(queue)
    watched = Watched(bench)

    def stale(found: dict[Key, Item]) -> dict[Key, Item]:
        claims = {
            key: replace(item, attributes={**item.attributes, "status": "running"}) for key, item in found.items()
        }
        return claims if finds == "the claim" else {}

    watched.stale = stale
    seen: list[Any] = []
    bench.tools.tools["echo"] = lambda call: seen.append(call.inputs)
    bench.deliver(AGENT)
    assert seen == [{"x": 7}]


def test_what_runs_in_place_when_the_execution_is_cancelled_is_shown_as_cancelled(bench: Bench) -> None:
    def cancel(call: Any) -> Any:
        bench.runtime.control.ask("cancel", call.execution_id)
        bench.deliver(DISPATCH)
        return call.inputs

    bench.tools.tools["cancel"] = cancel
    execution_id, _ = worked(bench, CHAIN.replace("id: b, type: tool, tool: echo", "id: b, type: tool, tool: cancel"))
    bench.drain()
    document = bench.document(execution_id)
    assert document["status"] == "cancelled"
    assert statuses(bench, execution_id) == {"a": "success", "b": "cancelled", "c": "skipped", "d": "skipped"}
    nodes = document["node_executions"]
    assert [bool(nodes[id]["started_at"]) for id in "abcd"] == [True, True, False, False]
