"""Events from outside take effect once (promise P6), and what an execution has taken costs the next event nothing."""

from __future__ import annotations

import pytest
from tests.handlers.bench import Bench

from workflow_runtime.deployment.topology import DISPATCH
from workflow_runtime.engine.applied import APPLIED_MS
from workflow_runtime.engine.events import SignalReceived
from workflow_runtime.errors import RequestError
from workflow_runtime.services.dispatch.dispatcher import LAG_MS, LAGGING_MS
from workflow_runtime.services.messages import mail_message
from workflow_runtime.storage import keys

CHART = b"""
workflow:
  id: counter
  type: state_machine
  initial_state: on
  variables: {count: 0}
  states:
    - {name: on, transitions: [{event: press, actions: [{set_variable: {name: count, value: "${count + 1}"}}]}]}
"""


@pytest.fixture
def counter(bench: Bench) -> str:
    bench.runtime.catalog.publish(CHART)
    execution_id = bench.runtime.starter.start("counter")
    bench.settle()
    return execution_id


def press(bench: Bench, execution_id: str, number: int, attempt: int = 0) -> None:
    event = SignalReceived(f"signal:{number}", bench.clock.now(), "press", None, id=str(number), source="test")
    bench.runtime.ports.queues.send(DISPATCH, [mail_message(execution_id, event, f"{number}.{attempt}")])


def count(bench: Bench, execution_id: str) -> object:
    stored = bench.runtime.stores.executions.load(execution_id)
    assert stored is not None
    return stored.state.chart().variables["count"]


def state_bytes(bench: Bench, execution_id: str) -> int:
    key = keys.execution(execution_id, keys.STATE)
    body = bench.runtime.ports.table.get([key])[key].attributes["state"]
    assert isinstance(body, bytes)
    return len(body)


def test_a_repeat_has_no_effect_whenever_it_comes(bench: Bench, counter: str) -> None:
    press(bench, counter, 1)
    press(bench, counter, 1, 1)
    bench.settle()
    assert count(bench, counter) == 1, "in one batch"
    press(bench, counter, 1, 2)
    press(bench, counter, 2)
    bench.settle()
    assert count(bench, counter) == 2, "in a later one"


def test_a_repeat_has_no_effect_before_its_commit_was_published(bench: Bench, counter: str) -> None:
    press(bench, counter, 1)
    bench.settle()
    version = bench.runtime.stores.executions.load(counter).state.version
    taken = [item.key for item in bench.runtime.ports.table.query(f"EX#{counter}", "APPLIED#")]
    assert len(taken) == 1
    bench.runtime.ports.table.delete_all([keys.journal(counter, version), *taken])
    with bench.on(bench.backend.ports):  # a process that did not commit it, which would know better
        press(bench, counter, 1, 1)
        bench.settle()
    assert count(bench, counter) == 1


def test_an_id_may_be_used_again_after_a_day(bench: Bench, counter: str) -> None:
    press(bench, counter, 1)
    bench.settle()
    bench.pass_time(APPLIED_MS // 1000 + 2)
    press(bench, counter, 1, 1)
    bench.settle()
    assert count(bench, counter) == 2


def test_the_state_does_not_grow_with_the_events_taken() -> None:
    bench = Bench("embedded")
    bench.runtime.catalog.publish(CHART)
    execution_id = bench.runtime.starter.start("counter")
    bench.settle()
    sizes = []
    for number in range(1000):
        press(bench, execution_id, 10_000 + number)
        if number % 100 == 99:
            bench.settle()
            sizes.append(state_bytes(bench, execution_id))
    assert count(bench, execution_id) == 1000
    assert max(sizes) - min(sizes) < 16
    bench.close()


def test_an_execution_that_is_sent_more_than_it_can_take_refuses_more_until_it_has_caught_up(
    bench: Bench, counter: str
) -> None:
    press(bench, counter, 1)
    bench.pass_time(LAG_MS // 1000 + 1)
    bench.settle()
    with pytest.raises(RequestError, match="more events than it can take"):
        bench.runtime.signalling.send(counter, "press")
    bench.pass_time(LAGGING_MS // 1000 + 1)
    bench.runtime.signalling.send(counter, "press")
    bench.settle()
    assert count(bench, counter) == 2
