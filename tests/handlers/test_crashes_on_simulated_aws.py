"""F1 at layer 2: the real handlers and AWS adapters die before or after an AWS call, and everything is delivered again.

``DELIVERY_EVERY_FAULT=crash`` dies at every call, otherwise at every seventh or fourteenth.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from tests.handlers.bench import LONGER_THAN_ANY_TIMEOUT_SECONDS, Bench

from workflow_runtime.deployment.topology import DEAD_LETTERS
from workflow_runtime.engine.advance import NOTHING_KNOWN, new_execution
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.replay import replay
from workflow_runtime.ports import BusEvent
from workflow_runtime.services.dispatch.reads import Knowledge
from workflow_runtime.storage.listing import Wanted
from workflow_runtime.storage.stores import Stores

NODES = """    - {id: a, type: tool, tool: echo, inputs: {x: 1}}
    - {id: b, type: tool, tool: echo, when: "${a.x == 1}", inputs: {x: "${a.x}"}, compensate: {tool: echo}}
    - {id: c, type: agent, agent: echo, inputs: {x: "${b.x}"}}
"""
CHART = """
workflow:
  id: {id}
  type: state_machine
  initial_state: a
  variables: {{moved: 0}}
  triggers:
    - type: event
      topic: {id}.来
      event: 来
      correlate: "${{detail.k}}"
      with: "${{k}}"
      start_if_none: true
      input: {{k: "${{k}}"}}
  states:
    - name: a
      transitions: [{{event: 来, target: b, actions: [{{set_variable: {{name: moved, value: "${{moved + 1}}"}}}}]}}]
    - name: b
      on_enter: [{{publish_event: {{topic: {id}.到}}}}]
      transitions: [{{event: 来, actions: [{{set_variable: {{name: moved, value: "${{moved + 1}}"}}}}]}}]
      after: [{{delay: 20m, target: end}}]
"""
CALLS_MAX = 60  # more than a workflow takes
STRIDE = 1 if os.environ.get("DELIVERY_EVERY_FAULT") else 7


class Crash(BaseException):
    """The process dies here."""


class Mine:
    """Dies at the ``place``-th AWS call of the handlers (from 0): ``before-call`` or ``after-call``."""

    def __init__(self, bench: Bench) -> None:
        self._left = -1
        self._moment = ""
        self.armed = False
        for client in (getattr(bench.backend.clients, name) for name in ("dynamodb", "sqs", "s3", "events")):
            for moment in ("before-call", "after-call"):
                client.meta.events.register(moment, self._heard)

    def arm(self, moment: str, place: int) -> None:
        self._moment, self._left, self.armed = moment, place, True

    def _heard(self, event_name: str, **_: Any) -> None:
        if not self.armed or not event_name.startswith(self._moment):
            return
        self._left -= 1
        if self._left < 0:
            self.armed = False
            raise Crash


@pytest.fixture(scope="module")
def simulated() -> Any:
    bench = Bench("moto")
    yield bench, Mine(bench)
    bench.close()


@pytest.mark.parametrize("moment", ["before-call", "after-call"])
def test_p2_p3_p8_a_crash_at_any_aws_call_changes_no_outcome(simulated: tuple[Bench, Mine], moment: str) -> None:
    bench, mine = simulated
    for place in range(0, CALLS_MAX, STRIDE):
        bench.tools.calls.clear()
        execution_id = bench.start(NODES, workflow_id="crashing")
        mine.arm(moment, place)
        crashed = drain(bench)
        mine.armed = False
        document = bench.document(execution_id)
        assert (document["status"], document["output"]) == ("completed", {"x": 1}), f"{moment} {place}"
        attempts = sum(node["attempts"] for node in document["node_executions"].values())
        assert len(bench.tools.calls) <= attempts <= 4
        assert bench.receive(DEAD_LETTERS) == []
        check_replay(bench, execution_id)
        if not crashed:
            return


@pytest.mark.parametrize("moment", ["before-call", "after-call"])
def test_p3_p6_p8_a_crash_at_any_aws_call_loses_no_event_and_takes_none_twice(
    simulated: tuple[Bench, Mine], moment: str
) -> None:
    """From the bus by a trigger that starts an execution, to a far timer, to the end."""
    bench, mine = simulated
    for place in range(0, CALLS_MAX, STRIDE if STRIDE == 1 else 2 * STRIDE):
        id = f"{moment[:6]}-{place}"
        bench.runtime.catalog.publish(CHART.format(id=id).encode())
        bench.backend.ports.bus.publish([BusEvent("s", f"{id}.来", '{"k": 1}')] * 2)
        mine.arm(moment, place)
        crashed = [crashes(bench.settle) for _ in range(3)]
        for _ in range(3):
            bench.pass_time(LONGER_THAN_ANY_TIMEOUT_SECONDS)
            crashed += [crashes(bench.backend.scheduler.fire), crashes(bench.settle)]
        mine.armed = False
        [execution] = Stores(bench.backend.ports).listing.page(Wanted(tuple(ExecutionStatus), id), 9).headers
        document = bench.document(execution.execution_id)
        assert (document["status"], document["output"]["moved"]) == ("completed", 2), f"{moment} {place}"
        assert f"{id}.到" in [event["detail-type"] for event in bench.backend.bus_events()]
        assert bench.receive(DEAD_LETTERS) == []
        check_replay(bench, execution.execution_id)
        if not any(crashed):
            return


def crashes(act: Callable[[], Any]) -> bool:
    """Whether it crashed."""
    try:
        act()
    except Crash:
        return True
    return False


def drain(bench: Bench) -> bool:
    crashed = False
    while True:
        try:
            bench.drain()
            return crashed
        except Crash:
            crashed = True


def check_replay(bench: Bench, execution_id: str) -> None:
    ports = bench.backend.ports
    store = bench.runtime.stores.executions
    stored = store.load(execution_id)
    assert stored is not None
    plan = bench.runtime.stores.workflows.plan(stored.state.plan_hash)
    knowledge = Knowledge(ports.table, bench.runtime.stores)
    state = new_execution(plan, execution_id, stored.state.workflow_version, stored.state.started_at)
    journal = store.journal(execution_id)
    assert (
        replay(plan, state, journal, lambda needs: knowledge.fetch(plan, execution_id, needs, NOTHING_KNOWN))
        == stored.state
    )
