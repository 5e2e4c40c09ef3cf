"""`ingest_event`: events put on the bus come through its rule and queue, in the shapes that AWS gives them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.handlers.bench import Bench

from workflow_runtime.deployment.topology import DISPATCH, EVENTS
from workflow_runtime.engine.events import SignalReceived
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.ports import BusEvent, Message, SqsRecord
from workflow_runtime.services.messages import parse_mail
from workflow_runtime.storage.listing import Wanted
from workflow_runtime.storage.stores import Stores
from workflow_runtime.storage.subscriptions import SubscriptionStore

SAMPLES = Path(__file__).parents[2] / "events" / "ingest_event"
STARTER = """
workflow:
  id: {id}
  triggers:
    - type: event
      topic: {id}.订单
      source: 商店
      filters: {{金额: [{{numeric: [">", 100]}}], 状态: [{{anything-but: 取消}}]}}
      key: "${{detail.编号}}"
  nodes: [{{id: a, type: tool, tool: echo}}]
"""


def put(bench: Bench, detail_type: str, *details: Any, source: str = "商店") -> None:
    events = [BusEvent(source, detail_type, json.dumps(detail)) for detail in details]
    assert bench.backend.ports.bus.publish(events) == []


def started(bench: Bench, workflow_id: str) -> list[Any]:
    wanted = Wanted(tuple(ExecutionStatus), workflow_id)
    stores = Stores(bench.backend.ports)
    return [stores.executions.globals(header.execution_id).input for header in stores.listing.page(wanted, 9).headers]


def deliver(bench: Bench) -> list[SqsRecord]:
    records = bench.receive(EVENTS)
    assert bench.invoke(EVENTS, records) == []
    return records


def test_an_event_on_the_bus_starts_the_execution_that_a_trigger_asks_for(bench: Bench) -> None:
    bench.runtime.catalog.publish(STARTER.format(id="甲").encode())
    good = {"金额": 150, "状态": "新", "编号": "号-1"}
    put(bench, "甲.订单", good, {**good, "金额": 5, "编号": 2}, {**good, "状态": "取消", "编号": 3})
    put(bench, "甲.订单", {**good, "编号": 4}, source="别处")
    assert len(deliver(bench)) == 4
    assert started(bench, "甲") == [{"trigger": good}]


def test_an_event_that_is_delivered_again_starts_nothing_more(bench: Bench) -> None:
    bench.runtime.catalog.publish(STARTER.format(id="乙").replace('key: "${detail.编号}"', "").encode())
    put(bench, "乙.订单", {"金额": 150, "状态": "新"})
    records = deliver(bench)
    bench.backend.ports.queues.send(EVENTS, [Message(str(records[0].event_record["body"]))])
    assert len(deliver(bench)) == 1
    assert len(started(bench, "乙")) == 1
    put(bench, "乙.订单", {"金额": 150, "状态": "新"})
    deliver(bench)
    assert len(started(bench, "乙")) == 2, "another event, though it says the same"


def test_a_routed_event_comes_into_the_mailbox_of_who_waits_for_its_key(bench: Bench) -> None:
    source = """
workflow:
  id: 丙
  triggers: [{type: event, topic: 付款, event: pay, correlate: "${detail.编号}", with: "${编号}"}]
  nodes: [{id: w, type: control, subtype: wait, event: pay}]
"""
    catalog = bench.runtime.catalog
    catalog.publish(source.encode())
    [route] = catalog.plan(catalog.version("丙")).routes
    waiting = bench.runtime.starter.start("丙", {"编号": "号-1"})
    SubscriptionStore(bench.backend.ports.table).put(waiting, "丙", [("pay", "号-1", route)])
    put(bench, "付款", {"编号": "号-1", "方式": "card"}, {"编号": "号-2"})
    deliver(bench)
    mails = [parse_mail(str(record.event_record["body"])) for record in bench.receive(DISPATCH)]
    [signal] = [mail.event for mail in mails if mail.execution_id == waiting and isinstance(mail.event, SignalReceived)]
    assert (signal.name, signal.key, signal.data) == ("pay", "号-1", {"编号": "号-1", "方式": "card"})


def test_the_runtimes_own_events_do_not_come_in(bench: Bench) -> None:
    put(bench, "execution.completed", {}, source="workflow-runtime")
    put(bench, "anything", {})
    assert [json.loads(str(record.event_record["body"]))["detail-type"] for record in deliver(bench)] == ["anything"]


def test_what_is_no_event_is_acknowledged_and_counted(bench: Bench) -> None:
    bench.counts.clear()
    bench.backend.ports.queues.send(EVENTS, [Message("no event"), Message("[]")])
    assert len(deliver(bench)) == 2
    assert [name for name, _ in bench.counts] == ["EventsRefused", "EventsRefused", "EventsIngested"]


def test_the_sample_payload_is_what_the_function_takes(bench: Bench) -> None:
    """``events/ingest_event``: an event that starts an execution, one for an execution, a schedule's start."""
    workflow = """
workflow:
  id: orders
  triggers: [{type: event, topic: order.created, source: shop}]
  nodes: [{id: a, type: tool, tool: echo}]
"""
    bench.runtime.catalog.publish(workflow.encode())
    sample = json.loads((SAMPLES / "eventbridge_batch.json").read_text(encoding="utf-8"))
    bodies = [record["body"] for record in sample["Records"]]
    bench.backend.ports.queues.send(EVENTS, [Message(body) for body in bodies])
    records = bench.receive(EVENTS)
    assert set(records[0].event_record) == set(sample["Records"][0]), "the shape that SQS gives a record"
    assert bench.invoke(EVENTS, records) == []
    [body] = [json.loads(body) for body in bodies if '"order.created"' in body]
    assert started(bench, "orders") == [{"trigger": body["detail"]}]


def test_an_event_drives_a_waiting_execution_to_its_end(bench: Bench) -> None:
    source = """
workflow:
  id: 丁
  triggers: [{type: event, topic: 审批, event: approve, correlate: "${detail.编号}", with: "${编号}"}]
  nodes:
    - {id: w, type: control, subtype: wait, event: approve}
    - {id: after, type: tool, tool: echo, inputs: {who: "${w.谁}"}}
"""
    bench.runtime.catalog.publish(source.encode())
    execution_id = bench.runtime.starter.start("丁", {"编号": 7})
    bench.invoke(DISPATCH, bench.receive(DISPATCH))
    put(bench, "审批", {"编号": 8, "谁": "李"}, {"编号": 7, "谁": "王"})
    bench.drain()
    document = bench.document(execution_id)
    assert (document["status"], document["output"]) == ("completed", {"who": "王"})
