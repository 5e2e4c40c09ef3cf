"""What workflows, users and accidents make the functions do: every kind of call that they can make to AWS."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import msgspec
from tests.infra.recorded_aws import RecordedSystem

from workflow_runtime.deployment.settings import RETENTION_DAYS
from workflow_runtime.deployment.topology import DEAD_LETTERS, DISPATCH, EVENTS, LIMITS, SWEEP, TIMERS, node_queue
from workflow_runtime.ports import Message
from workflow_runtime.services.messages import Timer, timer_body
from workflow_runtime.storage.due import Due, DueStore

LARGE = base64.b85encode(random.Random(1).randbytes(300_000)).decode()  # more than an item takes, also compressed
SECRET = "s3cr3t"
MOCKS = """
agents:
  writer: {return: {text: "${topic}"}}
"""
GRAPH = """
workflow:
  id: graph
  nodes:
    - {id: write, type: agent, agent: writer, inputs: {topic: "${text}", key: "${secrets.HOOK_KEY}"}}
    - {id: beside, type: tool, tool: echo, inputs: {ok: true}}
    - {id: copy, type: tool, tool: echo, inputs: {text: "${write.text}", key: "${secrets.HOOK_KEY}"}}
    - {id: tell, type: tool, tool: publish_event, inputs: {topic: told, payload: {n: 1}}, dependencies: [copy]}
    - {id: say, type: tool, tool: publish_event, pool: agent, inputs: {topic: said, payload: {}}, dependencies: [copy]}
  outputs: {text: "${copy.text}"}
"""
PAUSES = """
workflow:
  id: pauses
  nodes:
    - {id: soon, type: control, subtype: wait, duration: 5s}
    - {id: late, type: control, subtype: wait, duration: 2h, dependencies: [soon]}
    - {id: done, type: tool, tool: echo, inputs: {ok: true}, dependencies: [late]}
"""
CHART = """
workflow:
  id: chart
  type: state_machine
  initial_state: open
  variables: {text: ""}
  states:
    - name: open
      on_enter:
        - {start_workflow: {workflow_id: graph, input: {text: "${input.text}"}, result_event: child_done}}
        - {send: {id: later, event: nudge, delay: 2h}}
      transitions:
        - {event: child_done, target: full, actions: [{set_variable: {name: text, value: "${event.data.output.text}"}}]}
    - name: full
      transitions:
        - {event: nudge, target: closed}
    - {name: closed, type: final}
"""
LIMITED = """
workflow:
  id: limited
  limiter: whole
  limits:
    whole: {concurrency: 1}
    agents: {concurrency: 1}
    tools: {concurrency: 1}
    rated_agents: {requests: 1/10s, horizon: 1s}
    rated_tools: {requests: 1/10s, horizon: 1s}
  nodes:
    - {id: a, type: agent, agent: writer, limiter: agents, inputs: {topic: a}}
    - {id: b, type: agent, agent: writer, limiter: agents, inputs: {topic: b}}
    - {id: c, type: tool, tool: echo, limiter: tools}
    - {id: d, type: tool, tool: echo, limiter: tools}
    - {id: e, type: agent, agent: writer, limiter: rated_agents, inputs: {topic: e}}
    - {id: f, type: agent, agent: writer, limiter: rated_agents, inputs: {topic: f}}
    - {id: g, type: tool, tool: echo, limiter: rated_tools}
    - {id: h, type: tool, tool: echo, limiter: rated_tools}
    - {id: before, type: tool, tool: echo}
    - {id: late_agent, type: agent, agent: writer, limiter: agents, inputs: {topic: i}, dependencies: [before]}
    - {id: late_tool, type: tool, tool: echo, limiter: tools, dependencies: [before]}
"""
LISTENER = """
workflow:
  id: listener
  triggers:
    - {type: event, topic: order.created, key: "${detail.id}",
       input: {order_id: "${detail.id}", text: "${detail.text}"}}
    - {type: event, topic: order.opened, event: opened, correlate: "${detail.id}", with: "${order_id}",
       start_if_none: true, input: {order_id: "${detail.id}", text: ""}}
    - {type: schedule, rate: 5 minutes, overlap: skip, input: {order_id: scheduled, text: ""}}
    - {type: webhook, endpoint: 订单, secret: "${secrets.HOOK_KEY}", input: {order_id: "${body.id}", text: ""}}
  nodes:
    - {id: paid, type: control, subtype: wait, event: order.paid, correlate: "${detail.id}", with: "${order_id}",
       timeout: 30d, on_timeout: continue}
    - {id: thank, type: tool, tool: echo, inputs: {by: "${order_id}"}, dependencies: [paid]}
"""


def play(system: RecordedSystem) -> None:
    """Everything, one after the other."""
    publish(system)
    run_a_graph_with_large_values(system)
    pass_time_in_waits(system)
    run_a_chart(system)
    react_to_events(system)
    take_webhooks_and_schedules(system)
    bury_the_dead(system)
    bring_the_dead_back(system)
    lose_messages_and_sweep(system)
    freeze_and_thaw(system)
    run_into_limits(system)
    look_at_everything(system)
    live_for_long(system)


def publish(system: RecordedSystem) -> None:
    with system.failing(after_a_schedule()), suppress(AssertionError):
        system.ask("POST", "/workflows", LISTENER)
    for source in (GRAPH, PAUSES, CHART, LISTENER):
        system.ask("POST", "/workflows", source)
        system.ask("PUT", f"/workflows/{_id(source)}", source)
    for changed in ("order.begun", "order.opened"):  # what a version listens to, another does not
        system.ask("PUT", "/workflows/listener", LISTENER.replace("order.opened", changed))
    system.ask("POST", "/workflows/validate", GRAPH)


def run_a_graph_with_large_values(system: RecordedSystem) -> None:
    start(system, "graph", {"text": LARGE}, idempotency_key="once")
    start(system, "graph", {"text": LARGE}, idempotency_key="once")
    start(system, "graph", {"text": "small"})
    system.drain()


def pass_time_in_waits(system: RecordedSystem) -> None:
    first = start(system, "pauses", {})
    system.settle()
    system.pass_time(6)
    system.settle()
    pass_two_hours(system)
    assert system.ask("GET", f"/executions/{first}")["status"] == "completed"


def run_a_chart(system: RecordedSystem) -> None:
    """Its child is a graph, its state large. A dispatcher dies after it made the far timer's schedule, so another makes
    it again.
    """
    execution_id = start(system, "chart", {"text": LARGE})
    with system.failing(after_a_schedule()):
        system.settle()
    system.drain()
    sweep(system)
    pass_two_hours(system)
    assert system.ask("GET", f"/executions/{execution_id}")["status"] == "completed"


def sweep(system: RecordedSystem) -> None:
    """When every execution that runs is due to be looked after, also those that were before."""
    for _ in range(2):
        system.pass_time(400)
        system.backend.ports.queues.send(SWEEP, [Message("{}")])
        system.settle()


def pass_two_hours(system: RecordedSystem) -> None:
    """A far timer's schedule comes a minute early."""
    system.pass_time(7140)
    system.settle()
    system.pass_time(65)
    system.drain()


def react_to_events(system: RecordedSystem) -> None:
    put_event(system, "order.created", {"id": "n-1", "text": LARGE})
    put_event(system, "order.created", {"id": "n-1", "text": LARGE})
    put_event(system, "order.opened", {"id": "n-2"})
    system.settle()
    put_event(system, "order.paid", {"id": "n-1", "text": LARGE})
    put_event(system, "order.opened", {"id": "n-2"})
    put_event(system, "nobody.listens", {"id": "n-1", "execution_id": newest(system, "listener")})
    put_event(system, "order.paid", {"execution_id": newest(system, "listener")})
    system.settle()


def take_webhooks_and_schedules(system: RecordedSystem) -> None:
    body = json.dumps({"id": "n-3"})
    now = str(system.clock.now() // 1000)
    signature = hmac.new(
        SECRET.encode(), f"{now}.POST /hooks/listener/订单.{body}".encode(), hashlib.sha256
    ).hexdigest()
    path = f"/hooks/listener/{quote('订单')}"
    system.ask("POST", path, json.loads(body), x_timestamp=now, x_signature=signature)
    for _ in range(2):
        system.pass_time(301)
        system.settle()


def bury_the_dead(system: RecordedSystem) -> None:
    queues = system.backend.ports.queues
    execution_id = start(system, "graph", {"text": "dies"})
    start(system, "graph", {"text": LARGE})
    assert dispatched(system)
    lost, repeated = system.backend.poller.receive(node_queue("agent"), 2)
    system.invoke("run_node_agent", {"Records": [repeated.event_record]})
    queues.send(DEAD_LETTERS, [Message(str(order.event_record["body"])) for order in (lost, repeated)])
    queues.send(DEAD_LETTERS, [Message(LARGE)])
    queues.send(DEAD_LETTERS, [Message(timer_body(Timer(execution_id, "no-such-timer", 0)))])
    queues.send(TIMERS, [Message(LARGE), Message(timer_body(Timer(execution_id, "t", system.clock.now() + 5000)))])
    queues.send(EVENTS, [Message("no event"), Message(LARGE)])
    queues.send(DISPATCH, [Message("no mail", group=execution_id, deduplication_id="1")])
    newer = msgspec.json.encode({"execution_id": execution_id, "command": {"command": "invented_later"}}).decode()
    queues.send(node_queue("tool"), [Message("no order"), Message(newer)])
    queues.send(node_queue("agent"), [Message("no order"), Message(newer)])
    system.drain()


def bring_the_dead_back(system: RecordedSystem) -> None:
    """A timer of an execution that still waits goes where it was to go."""
    execution_id = start(system, "pauses", {})
    system.settle()
    later = system.clock.now() + 60_000
    system.backend.ports.queues.send(DEAD_LETTERS, [Message(timer_body(Timer(execution_id, "no-such-timer", later)))])
    system.settle()
    redriven = system.ask("POST", "/dead-letters/redrive", {})["items"]
    assert "sent" in {letter["outcome"] for letter in redriven}
    system.settle()


def live_for_long(system: RecordedSystem) -> None:
    """What lives is kept for another retention, with its large values."""
    execution_id = start(system, "graph", {"text": LARGE})
    system.ask("POST", f"/executions/{execution_id}/suspend", {})
    system.settle()
    system.pass_time((RETENTION_DAYS + 1) * 24 * 3600)
    sweep(system)
    system.drain()


def lose_messages_and_sweep(system: RecordedSystem) -> None:
    ended = start(system, "graph", {"text": "ends"})
    system.drain()
    DueStore(system.backend.ports.table).put(Due.first(ended, system.clock.now()))  # as if its end had not been told
    start(system, "graph", {"text": "lost"})
    assert dispatched(system)
    for queue in (node_queue("agent"), node_queue("tool")):  # both orders are taken and never carried out
        records = system.backend.poller.receive(queue, 10)
        assert records
        system.backend.poller.delete(queue, [record.receipt_handle for record in records])
    sweep(system)
    system.drain()


def freeze_and_thaw(system: RecordedSystem) -> None:
    """Starts are held, then the run of an agent, whose order is large; both go on."""
    system.ask("PUT", "/freezes/workflow:graph", {"reason": "too much"})
    execution_id = start(system, "graph", {"text": LARGE})
    unwanted = start(system, "graph", {"text": "never mind"})
    system.settle()
    system.ask("POST", f"/executions/{unwanted}/cancel", {})
    system.settle()
    system.ask("PUT", "/freezes/agent:writer", {})
    for scope in ("workflow:graph", "agent:writer"):
        assert system.ask("GET", f"/freezes/{scope}")["held"]
        system.ask("DELETE", f"/freezes/{scope}")
        system.settle()
    system.drain()
    assert system.ask("GET", f"/executions/{execution_id}")["status"] == "completed"
    assert system.ask("GET", "/freezes")["items"] == []


def run_into_limits(system: RecordedSystem) -> None:
    """Nodes wait in two lines, and an execution in a third; the late ones find the lines and look whether they are
    still there. A pump's message gets lost, and is sent again by the sweep; then each makes room for the next.
    """
    system.ask("POST", "/workflows", LIMITED)
    for limiter in ("agents", "tools"):
        system.ask("PUT", f"/limits/limited/{limiter}", {"paused": True})
    executions = [start(system, "limited", {}) for _ in range(2)]
    for _ in range(20):
        system.deliver()
        lost = system.backend.poller.receive(LIMITS, 10)
        system.backend.poller.delete(LIMITS, [record.receipt_handle for record in lost])
    sweep(system)
    assert system.ask("GET", "/limits/limited/agents")["gauges"][0]["waiting"] == 3
    for limiter in ("agents", "tools"):
        system.ask("PUT", f"/limits/limited/{limiter}", {"paused": False})
    system.drain()
    assert [system.ask("GET", f"/executions/{id}")["status"] for id in executions] == ["completed"] * 2


def look_at_everything(system: RecordedSystem) -> None:
    system.ask("GET", "/workflows")
    system.ask("GET", "/workflows/graph")
    system.ask("GET", "/workflows/graph/versions")
    system.ask("GET", "/executions?workflow=graph")
    execution_id = newest(system, "graph")
    system.ask("GET", f"/executions/{execution_id}?include=nodes,input,output")
    system.ask("GET", f"/executions/{execution_id}/history")
    system.ask("GET", f"/executions/{execution_id}/nodes/write")
    system.ask("GET", f"/executions/{execution_id}/why")
    system.ask("GET", f"/executions/{execution_id}/journal")
    system.ask("DELETE", "/workflows/listener?force=true")


def after_a_schedule() -> Callable[[str, str], bool]:
    """The table is out of order as soon as a schedule was made."""
    made: list[str] = []

    def fails(service: str, operation: str) -> bool:
        made.extend([operation] if service == "scheduler" else [])
        return bool(made) and service == "dynamodb"

    return fails


def start(system: RecordedSystem, workflow_id: str, input: Any, **headers: str) -> str:
    answer = system.ask("POST", f"/workflows/{workflow_id}/execute", {"input": input}, **headers)
    return str(answer["execution_id"])


def newest(system: RecordedSystem, workflow_id: str) -> str:
    return str(system.ask("GET", f"/executions?workflow={workflow_id}")["items"][0]["execution_id"])


def put_event(system: RecordedSystem, kind: str, detail: Any) -> None:
    """As another service puts it; a detail that is too large for the bus travels by the queue alone."""
    body = {
        "version": "0",
        "id": hashlib.sha256(msgspec.json.encode((kind, detail))).hexdigest()[:32],
        "detail-type": kind,
        "source": "shop",
        "account": "123456789012",
        "time": "2026-01-01T00:00:00Z",
        "region": "eu-central-1",
        "resources": [],
        "detail": detail,
    }
    system.backend.ports.queues.send(EVENTS, [Message(json.dumps(body, ensure_ascii=False))])


def dispatched(system: RecordedSystem) -> bool:
    """Whether the dispatcher had anything to take."""
    records = system.backend.poller.receive(DISPATCH, 10)
    system.invoke("dispatch", {"Records": [record.event_record for record in records]})
    system.backend.poller.delete(DISPATCH, [record.receipt_handle for record in records])
    return bool(records)


def _id(source: str) -> str:
    return source.split("id: ", 1)[1].split("\n", 1)[0]
