"""Retries through the real handlers: a short delay is a delayed message, a long one a schedule, the order is kept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.handlers.bench import Bench

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.invocation import NodeCall
from workflow_runtime.storage import keys

LEAD_SECONDS = 61  # a far timer's schedule is set a minute early: see `services.timers`


@pytest.fixture(params=["embedded", "moto"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    opened = Bench(request.param)
    yield opened
    opened.close()


def wait(bench: Bench, seconds: int) -> None:
    bench.pass_time(seconds)
    bench.backend.scheduler.fire()
    bench.settle()


def test_attempts_follow_after_a_short_and_a_long_delay(bench: Bench) -> None:
    seen = []

    def ask(call: NodeCall) -> object:
        seen.append((call.attempt, call.inputs["at"], call.idempotency_key))
        if len(seen) < 3:
            raise NodeError("rate_limited", "稍后再试")
        return {"ok": True}

    bench.tools.tools["ask"] = ask
    policy = "{retry_delay: 20, backoff_factor: 60, max_delay: 2h, jitter: none}"
    execution_id = bench.start(
        f'    - {{id: 问, type: tool, tool: ask, inputs: {{at: "${{now}}"}}, retry_policy: {policy}}}\n'
    )
    bench.settle()
    shown = bench.document(execution_id)["node_executions"]["问"]
    assert (shown["status"], shown["attempts"], shown["waiting_on"]) == ("retrying", 1, "retry")
    wait(bench, 18)
    assert len(seen) == 1
    wait(bench, 4)
    assert len(seen) == 2
    wait(bench, 1200 - LEAD_SECONDS)
    assert len(seen) == 2
    wait(bench, LEAD_SECONDS + 1)
    assert [attempt for attempt, _, _ in seen] == [1, 2, 3]
    assert len({(at, key) for _, at, key in seen}) == 1, "each attempt sees the same"
    assert bench.document(execution_id)["status"] == "completed"


def test_only_a_failed_attempt_that_may_be_repeated_keeps_its_order(bench: Bench) -> None:
    bench.tools.tools["ask"] = lambda call: {} if call.attempt > 1 else fail()
    execution_id = bench.start(
        "    - {id: a, type: tool, tool: ask, retry_policy: {retry_delay: 0}}\n"
        "    - {id: b, type: tool, tool: ask, on_error: skip}\n"
    )
    bench.settle()
    assert bench.document(execution_id)["status"] == "completed"
    wanted = {(path, serial): keys.run(execution_id, path, serial) for path, serial in (("a", 1), ("a", 2), ("b", 1))}
    items = bench.runtime.ports.table.get(list(wanted.values()))
    kept = {run: "order" in items[key].attributes for run, key in wanted.items()}
    assert kept == {("a", 1): True, ("a", 2): False, ("b", 1): False}


def fail() -> object:
    raise NodeError("execution_error", "坏了")
