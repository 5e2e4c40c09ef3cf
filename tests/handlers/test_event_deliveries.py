"""Events over the bus that come twice, too early, too late, or while what they look for changes. On both backends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.handlers.bench import LONGER_THAN_ANY_TIMEOUT_SECONDS
from tests.handlers.town import Town, opened

from workflow_runtime.deployment.topology import DISPATCH, EVENTS
from workflow_runtime.ports import BusEvent, Message

COUNTER = """
workflow:
  id: {id}
  type: state_machine
  initial_state: 数
  variables: {{count: 0}}
  on_unhandled_event: {policy}
  triggers:
    - type: event
      topic: {id}.加
      event: 加
      correlate: "${{detail.k}}"
      with: "${{k}}"
      start_if_none: {starts}
      input: {{k: "${{k}}"}}
  states:
    - name: 数
      transitions:
        - {{event: 加, merge_event_data: false, actions: [{{set_variable: {{name: count, value: "${{count + 1}}"}}}}]}}
        - {{event: 改, merge_event_data: [k]}}
        - {{event: 停, target: 停下}}
    - {{name: 停下, transitions: [{{event: 晚, target: end}}]}}
"""


@pytest.fixture(scope="module", params=["embedded", "moto"])
def town(request: pytest.FixtureRequest) -> Iterator[Town]:
    yield from opened(request.param)


def count(town: Town, execution_id: str) -> Any:
    return town.shown(execution_id)["variables"]["count"]


def publish(town: Town, id: str, *, policy: str = "ignore", starts: str = "false") -> None:
    town.publish(COUNTER.format(id=id, policy=policy, starts=starts))


def emit(town: Town, detail_type: str, detail: str) -> None:
    """On the bus; nobody takes it from the queue yet."""
    assert town.bench.backend.ports.bus.publish([BusEvent("s", detail_type, detail)]) == []


# ── twice ──


def test_an_event_that_the_bus_delivers_twice_moves_a_machine_once(town: Town) -> None:
    """EventBridge may deliver an event again: another message, the same event id."""
    publish(town, "两次")
    execution_id = town.start("两次", {"k": 1})
    emit(town, "两次.加", '{"k": 1}')
    emit(town, "加", f'{{"execution_id": "{execution_id}"}}')
    bodies = [str(record.event_record["body"]) for record in town.bench.receive(EVENTS)]
    assert len(bodies) == 2
    for _ in range(3):
        town.bench.backend.ports.queues.send(EVENTS, [Message(body) for body in bodies])
    town.bench.pass_time(LONGER_THAN_ANY_TIMEOUT_SECONDS)
    town.bench.settle()
    assert count(town, execution_id) == 2
    town.put("两次.加", {"k": 1})
    assert count(town, execution_id) == 3, "another event, though it says the same"


@pytest.mark.parametrize("queue", [EVENTS, DISPATCH])
def test_what_a_queue_delivers_again_moves_a_machine_once(town: Town, queue: str) -> None:
    """The function did its work and died before the messages were deleted."""
    publish(town, "又来", starts="true")
    old = town.start("又来", {"k": f"旧-{queue}"})
    before = set(town.executions("又来"))
    for key in ("旧", "新"):
        emit(town, "又来.加", f'{{"k": "{key}-{queue}"}}')
    if queue == DISPATCH:
        town.bench.invoke(EVENTS, town.bench.receive(EVENTS))
    town.bench.invoke(queue, town.bench.receive(queue), dies=True)
    town.bench.pass_time(LONGER_THAN_ANY_TIMEOUT_SECONDS)
    town.bench.settle()
    [started] = set(town.executions("又来")) - before
    assert (count(town, old), count(town, started)) == (1, 1)
    assert town.dead() == []


def test_what_cannot_be_taken_does_not_hold_up_its_batch(town: Town) -> None:
    publish(town, "半")
    execution_id = town.start("半", {"k": 1})
    for detail in ('{"k": 1}', '{"k": {"not": "a key"}}', '{"k": 1}'):
        emit(town, "半.加", detail)
    town.bench.settle()
    assert count(town, execution_id) == 2


# ── early ──


def test_an_event_before_its_wait_is_kept_and_waits_take_them_in_order(town: Town) -> None:
    town.publish("""
workflow:
  id: 等
  triggers: [{type: event, topic: 等.物, event: 物, correlate: "${detail.k}", with: "${k}"}]
  nodes:
    - {id: gate, type: control, subtype: wait, event: 开}
    - {id: one, type: control, subtype: wait, event: 物, dependencies: [gate]}
    - {id: red, type: control, subtype: wait, event: 物, match: "event.data.色 == '红'", dependencies: [one]}
    - {id: two, type: control, subtype: wait, event: 物, dependencies: [red]}
    - {id: all, type: aggregation, strategy: collect, dependencies: [one, red, two]}
""")
    execution_id = town.start("等", {"k": "甲"})
    town.put("等.物", {"k": "甲", "色": "蓝", "n": 1}, {"k": "乙", "n": 0}, {"k": "甲", "色": "绿", "n": 2})
    town.put("物", {"execution_id": execution_id, "色": "红", "n": 3})
    assert town.shown(execution_id)["status"] == "running"
    town.put("开", {"execution_id": execution_id})
    document = town.shown(execution_id)
    assert document["status"] == "completed"
    assert [taken["n"] for taken in document["output"]] == [1, 3, 2]


def test_a_deferred_event_of_the_bus_is_taken_when_the_state_is_another(town: Town) -> None:
    publish(town, "推", policy="defer")
    execution_id = town.start("推", {"k": 1})
    town.put("晚", {"execution_id": execution_id})
    assert town.states(execution_id) == ["数"]
    town.put("停", {"execution_id": execution_id})
    assert town.shown(execution_id)["status"] == "completed"


def test_an_event_before_the_execution_it_names_is_nobodys(town: Town) -> None:
    town.bench.counts.clear()
    town.put("加", {"execution_id": "ex-comes-later"})
    assert ("EventsIgnored", 1) in town.bench.counts


def test_events_right_behind_the_start_find_an_execution_that_has_done_nothing_yet(town: Town) -> None:
    publish(town, "刚")
    execution_id = town.bench.runtime.starter.start("刚", {"k": 1})
    town.put("加", {"execution_id": execution_id}, {"execution_id": execution_id})
    assert count(town, execution_id) == 2


# ── late, and while things change ──


def test_an_event_after_the_end_is_nobodys_and_its_key_is_free(town: Town) -> None:
    publish(town, "迟", starts="true")
    town.put("迟.加", {"k": "甲"})
    [first] = town.executions("迟")
    town.put("停", {"execution_id": first})
    town.put("晚", {"execution_id": first})
    assert town.shown(first)["status"] == "completed"
    ended = town.shown(first)
    town.put("加", {"execution_id": first})
    town.put("迟.加", {"k": "甲"})
    assert town.shown(first) == ended
    assert len(town.executions("迟")) == 2


def test_an_event_under_a_key_that_changes_meanwhile_is_not_taken_under_the_old_one(town: Town) -> None:
    publish(town, "改号")
    execution_id = town.start("改号", {"k": "旧"})
    signalling = town.bench.runtime.signalling
    signalling.send(execution_id, "改", {"k": "新"})
    emit(town, "改号.加", '{"k": "旧"}')
    town.bench.invoke(EVENTS, town.bench.receive(EVENTS))  # it found the execution under its old key
    town.bench.settle()
    assert count(town, execution_id) == 0
    town.put("改号.加", {"k": "旧"})
    assert count(town, execution_id) == 0
    town.put("改号.加", {"k": "新"})
    assert count(town, execution_id) == 1
    signalling.send(execution_id, "改", {"k": "旧"})
    signalling.send(execution_id, "改", {"k": "新"})  # away and back, perhaps in one commit
    town.bench.settle()
    town.put("改号.加", {"k": "新"}, {"k": "旧"})
    assert count(town, execution_id) == 2
    signalling.send(execution_id, "改", {"k": None})
    town.bench.settle()
    town.put("改号.加", {"k": "新"}, {"k": None}, {})
    assert count(town, execution_id) == 2
