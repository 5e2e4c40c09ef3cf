"""Events that nobody means well with: names and keys of any script, keys that look like the table's own, data of any
shape and size, circles over the bus. On both backends; on moto they come by `put_events`.
"""

from __future__ import annotations

import random
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from tests.handlers.town import Town, opened

from workflow_runtime.deployment.topology import DISPATCH, EVENTS
from workflow_runtime.engine.events import SignalReceived
from workflow_runtime.ports import BUS_ENTRY_BYTES_MAX, BusEvent, Message
from workflow_runtime.services.dispatch.outbound import SENDS_MAX
from workflow_runtime.services.intake.events import HOPS_MAX
from workflow_runtime.services.messages import mail_message

KEYED = """
workflow:
  id: {id}
  type: state_machine
  initial_state: 等待
  variables: {{count: 0}}
  triggers: [{{type: event, topic: {id}.付款, event: {event}, correlate: "${{detail.编号}}", with: "${{编号}}"}}]
  states:
    - name: 等待
      transitions:
        - event: {event}
          merge_event_data: false
          actions: [{{set_variable: {{name: count, value: "${{count + 1}}"}}}}]
        - {{event: 改号, target: 等待}}
"""
HEARD = """
workflow:
  id: {id}
  type: state_machine
  initial_state: 听
  states:
    - name: 听
      transitions:
        - {{event: 说, actions: [{{set_variable: {{name: 听到, value: "${{event.data}}"}}}}]}}
        - {{event: 完, target: end}}
"""


@pytest.fixture(scope="module", params=["embedded", "moto"])
def town(request: pytest.FixtureRequest) -> Iterator[Town]:
    yield from opened(request.param)


def noise(characters: int) -> str:
    """Text that does not compress well, from U+4E00 to U+9EFF."""
    units = bytearray(random.Random(7).randbytes(2 * characters))
    units[1::2] = units[1::2].translate(bytes(0x4E + byte % 0x51 for byte in range(256)))
    return units.decode("utf-16-le")


def counts(town: Town, *executions: str) -> list[int]:
    return [town.shown(execution_id)["variables"]["count"] for execution_id in executions]


# ── names and keys ──

STRANGE = [
    "甲#乙",
    "甲",
    "SUB#付款#甲",
    "a#b",
    "a",
    "b#EX#ex-1",
    "~",
    "%23",
    "\0",
    "\u202e倒",
    "𠮷",
    "x" * 3000,
    " a",
    "null",
]


def test_each_key_finds_its_own_execution_only_whatever_it_looks_like(town: Town) -> None:
    town.publish(KEYED.format(id="钥匙", event="付"))
    executions = [town.start("钥匙", {"编号": key}) for key in STRANGE]
    town.put("钥匙.付款", *({"编号": key} for key in STRANGE))
    town.put("钥匙.付款", *({"编号": key} for key in STRANGE[::3]))
    town.put("钥匙.付款", *({"编号": key} for key in ("SUB#", "甲#", "", "B", "a ", "~~")))
    assert counts(town, *executions) == [2 if number % 3 == 0 else 1 for number in range(len(STRANGE))]
    assert town.dead() == []


def test_keys_of_other_types_are_their_text_and_none_is_no_key(town: Town) -> None:
    town.publish(KEYED.format(id="数", event="付"))
    number, truth, nothing = (town.start("数", {"编号": key}) for key in (7, True, None))
    town.put("数.付款", *({"编号": key} for key in ("7", 7.0, "true", True, None, "")), {}, {"编号": {}})
    assert counts(town, number, truth, nothing) == [2, 2, 0]


def test_events_and_keys_that_read_alike_when_joined_stay_apart(town: Town) -> None:
    """``a`` under the key ``b#c``, and ``a#b`` under the key ``c``."""
    town.publish(KEYED.format(id="one", event='"a"'))
    town.publish(KEYED.format(id="two", event='"a#b"'))
    one, two = town.start("one", {"编号": "b#c"}), town.start("two", {"编号": "c"})
    town.put("one.付款", {"编号": "b#c"})
    assert counts(town, one, two) == [1, 0]
    town.put("two.付款", {"编号": "c"})
    assert counts(town, one, two) == [1, 1]


@pytest.mark.parametrize(
    "target", ["EX#ex-1", "ex-1/../ex-2", "", "无", "x" * 65, 7, None, ["ex"], {"a": 1}, "J#STATE"]
)
def test_an_address_that_is_none_is_no_execution(town: Town, target: Any) -> None:
    town.bench.counts.clear()
    town.put("说", {"execution_id": target})
    assert ("EventsIgnored", 1) in town.bench.counts
    assert town.dead() == []


def test_events_of_the_runtime_cannot_be_sent_to_it(town: Town) -> None:
    town.publish(HEARD.format(id="听者").replace("event: 完", "event: [完, timeout, done.state.听]"))
    execution_id = town.start("听者", {})
    for name in ("timeout", "done.state.听", "done.run.听", "error.execution", "error.communication"):
        town.put(name, {"execution_id": execution_id})
        assert town.send(execution_id, name)[0] == 422
    assert town.states(execution_id) == ["听"]


# ── data ──


@pytest.mark.parametrize(
    "data", [None, 0, False, "", "文", [], [1, [2]], 1e308, {"": {"": None}}, {"a.b": 1, "${x}": "${y}"}]
)
def test_data_of_any_shape_arrives_as_it_is(town: Town, data: Any) -> None:
    town.publish(HEARD.format(id="形状"))
    execution_id = town.start("形状", {})
    assert town.send(execution_id, "说", data)[0] == 202
    assert town.shown(execution_id)["variables"]["听到"] == data


def test_data_cannot_take_the_place_of_reserved_names(town: Town) -> None:
    town.publish("""
workflow:
  id: 名字
  type: state_machine
  initial_state: 听
  states:
    - name: 听
      transitions:
        - event: 说
          target: end
          actions: [{set_variable: {name: 记下, value: "${[workflow.id, execution.id, event.name]}"}}]
  outputs: {记下: "${记下}"}
""")
    execution_id = town.start("名字", {})
    town.put("说", {"execution_id": execution_id, "workflow": {"id": "假"}, "execution": 1, "event": {"name": "假"}})
    assert town.shown(execution_id)["output"] == {"记下": ["名字", execution_id, "说"]}


def test_a_megabyte_over_the_bus_arrives_whole(town: Town) -> None:
    town.publish(HEARD.format(id="大"))
    execution_id = town.start("大", {})
    text = noise(1_000) + b64encode(random.Random(7).randbytes(750_000)).decode()  # moto escapes other letters
    town.put("说", {"execution_id": execution_id, "文": text})
    variables = town.shown(execution_id)["variables"]
    assert variables["听到"] == {"文": text}
    assert town.send(execution_id, "完")[0] == 202
    assert town.shown(execution_id)["status"] == "completed"
    assert town.dead() == []


def test_an_event_that_waits_weighs_nothing_however_large_it_is(town: Town) -> None:
    """Kept for a wait, or deferred by a chart: its data would be more than an execution's state may be."""
    town.publish("""
workflow:
  id: 留着
  nodes:
    - {id: gate, type: control, subtype: wait, event: go}
    - {id: w, type: control, subtype: wait, event: item, match: "event.data.n == 2", dependencies: [gate]}
    - {id: size, type: control, subtype: pass, inputs: {n: "${w.n}", characters: "${len(w.text)}"}, dependencies: [w]}
""")
    town.publish("""
workflow:
  id: 推迟
  type: state_machine
  initial_state: a
  on_unhandled_event: defer
  states:
    - {name: a, transitions: [{event: go, target: b}]}
    - name: b
      transitions:
        - event: item
          condition: n == 2
          target: end
          merge_event_data: false
          actions: [{set_variable: {name: n, value: "${n}"}}, {set_variable: {name: characters, value: "${len(text)}"}}]
  outputs: {n: "${n}", characters: "${characters}"}
""")
    text = noise(1_700_000)
    for workflow_id in ("留着", "推迟"):
        execution_id = town.start(workflow_id, {})
        for number in (1, 2):
            assert town.send(execution_id, "item", {"n": number, "text": text})[0] == 202
        assert town.shown(execution_id)["status"] == "running"
        town.send(execution_id, "go")
        document = town.shown(execution_id)
        assert (document["status"], document["output"]) == ("completed", {"n": 2, "characters": len(text)})


def test_variables_may_outgrow_an_item_and_the_execution_goes_on(town: Town) -> None:
    town.publish(HEARD.format(id="长大"))
    execution_id = town.start("长大", {})
    for part in range(6):
        assert town.send(execution_id, "说", {f"部分{part}": noise(60_000)})[0] == 202
    variables = town.shown(execution_id)["variables"]
    assert len(msgspec.json.encode(variables)) > 1_000_000
    assert [variables[f"部分{part}"] for part in range(6)] == [noise(60_000)] * 6
    town.send(execution_id, "完")
    assert town.shown(execution_id)["status"] == "completed"


def test_what_is_published_may_be_too_large_for_the_bus_and_fails_its_action_only(town: Town) -> None:
    town.publish("""
workflow:
  id: 大声
  type: state_machine
  initial_state: 听
  states:
    - name: 听
      transitions:
        - event: 说
          target: 说了
          actions: [{publish_event: {topic: 太大, payload: {a: "${text}", b: "${text}"}}}, {publish_event: {topic: 小}}]
    - name: 说了
      transitions:
        - {event: error.execution, target: end, actions: [{set_variable: {name: why, value: "${event.data.message}"}}]}
  outputs: {why: "${why}"}
""")
    execution_id = town.start("大声", {})
    town.send(execution_id, "说", {"text": noise(300_000)})
    document = town.shown(execution_id)
    assert document["status"] == "completed"
    assert "an event takes" in document["output"]["why"]
    topics = [event["detail-type"] for event in town.bench.backend.bus_events()]
    assert {"太大", "小"}.isdisjoint(topics), "a failed action ends its block"


def test_events_as_large_as_the_bus_takes_reach_the_queue_or_are_refused(town: Town) -> None:
    """An event in its envelope is larger than what was published; no size may vanish between bus and queue."""
    town.publish(HEARD.format(id="边"))
    for spare in (-40, 60, 1_000):
        execution_id = town.start("边", {})
        frame = len(msgspec.json.encode({"execution_id": execution_id, "a": ""}))
        detail = msgspec.json.encode({"execution_id": execution_id, "a": "x" * (BUS_ENTRY_BYTES_MAX - frame - spare)})
        refused = town.bench.backend.ports.bus.publish([BusEvent("s", "说", detail.decode())])
        town.bench.settle()
        assert refused or "听到" in town.shown(execution_id)["variables"], spare


# ── circles ──


def test_executions_that_answer_each_other_over_the_bus_are_stopped(town: Town) -> None:
    for own, other in (("乒", "乓"), ("乓", "乒")):
        town.publish(f"""
workflow:
  id: {own}
  type: state_machine
  initial_state: 等
  variables: {{count: 0}}
  triggers: [{{type: event, topic: 球.{own}, event: 球, correlate: "${{detail.桌}}", with: "${{桌}}"}}]
  states:
    - name: 等
      transitions:
        - event: 球
          merge_event_data: false
          actions:
            - set_variable: {{name: count, value: "${{count + 1}}"}}
            - publish_event: {{topic: 球.{other}, payload: {{桌: "${{桌}}"}}}}
""")
    table = {"桌": 1}
    ping, pong = town.start("乒", table), town.start("乓", table)
    town.bench.counts.clear()
    town.put("球.乒", table)
    assert counts(town, ping, pong) == [HOPS_MAX // 2, HOPS_MAX // 2]
    assert [name for name, _ in town.bench.counts].count("EventsLooping") == 1
    town.put("球.乓", table)
    assert counts(town, ping, pong) == [HOPS_MAX, HOPS_MAX], "a new event goes round again"


def test_executions_that_send_each_other_events_without_end_are_told(town: Town) -> None:
    town.publish("""
workflow:
  id: 来回
  type: state_machine
  initial_state: 等
  states:
    - name: 等
      transitions:
        - {event: 球, actions: [{send: {event: 球, to: "${event.data.from}", data: {from: "${execution.id}"}}}]}
        - {event: error.communication, target: end}
""")
    one, two = town.start("来回", {}), town.start("来回", {})
    signal = SignalReceived("signal:last", 0, "球", {"from": two}, id="last", hops=SENDS_MAX - 3)
    town.bench.backend.ports.queues.send(DISPATCH, [mail_message(one, signal, "x")])
    town.bench.settle()
    documents = [town.shown(execution_id) for execution_id in (one, two)]
    assert [document["status"] for document in documents] == ["running", "completed"]
    balls = [[step for step in document["transitions"] if step["event"] == "球"] for document in documents]
    assert [len(taken) for taken in balls] == [2, 2]


def test_a_workflow_that_starts_itself_by_its_own_events_is_stopped(town: Town) -> None:
    town.publish("""
workflow:
  id: 自己
  type: state_machine
  initial_state: a
  triggers: [{type: event, topic: 自己.完成}]
  states: [{name: a, on_exit: [{publish_event: {topic: 自己.完成}}], always: [{target: end}]}]
""")
    town.start("自己", {})
    executions = town.executions("自己")
    assert len(executions) == HOPS_MAX
    assert {town.shown(execution_id)["status"] for execution_id in executions} == {"completed"}


# ── what is not an event, and charts that cannot begin ──


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        '"text"',
        "{" * 5_000,
        '{"id":1}',
        '{"id":"x","source":"s","detail-type":"说","time":"not a time","detail":{}}',
        '{"id":"x","source":"s","detail-type":"说","time":"2024-01-01T00:00:00Z","detail":[1]}',
        '{"id":"x","source":"s","detail-type":"说","time":"2024-01-01T00:00:00Z","detail":{"execution_id":"\\ud800"}}',
        '{"schedule":{"workflow_id":"nobody","trigger":"t","at":"never"}}',
    ],
)
def test_what_is_no_event_never_comes_again(town: Town, body: str) -> None:
    if body:
        town.bench.backend.ports.queues.send(EVENTS, [Message(body)])
    records = town.bench.receive(EVENTS)
    assert len(records) == bool(body)
    if records:
        assert town.bench.invoke(EVENTS, records) == []
    assert town.bench.receive(EVENTS) == []


def test_a_chart_whose_first_entry_fails_fails_visibly_and_takes_no_more(town: Town) -> None:
    town.publish("""
workflow:
  id: 开头
  type: state_machine
  initial_state: a
  triggers:
    - type: event
      topic: 开头.来
      event: 来
      correlate: "${detail.k}"
      with: "${k}"
      start_if_none: true
      input: {k: "${k}"}
  states:
    - name: a
      on_enter: [{set_variable: {name: x, value: "${1 / 0}"}}]
      transitions: [{event: 来, target: end}]
""")
    town.put("开头.来", {"k": "一"})
    [first] = town.executions("开头")
    document = town.shown(first)
    assert document["status"] == "failed"
    assert "division" in document["error"]["message"].lower()
    assert town.send(first, "来")[0] == 409
    town.put("开头.来", {"k": "一"})
    assert len(town.executions("开头")) == 2, "the first one has ended"
    assert town.dead() == []
