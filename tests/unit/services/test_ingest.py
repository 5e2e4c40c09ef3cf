"""Events in: to executions that are named, to those that wait, and to those that triggers start."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from workflow_runtime.backends.embedded.backend import Backend, open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.compiler import compile_workflow
from workflow_runtime.deployment.topology import DISPATCH, EVENTS
from workflow_runtime.engine.commands import SetStatus
from workflow_runtime.engine.events import SignalReceived
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.errors import RequestError, RetryableError
from workflow_runtime.runtime.environment import EnvironmentSecrets
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.intake.events import HOPS_MAX, EventBatch
from workflow_runtime.services.intake.signals import check_event
from workflow_runtime.services.messages import parse_mail
from workflow_runtime.storage import keys
from workflow_runtime.storage.executions import ExecutionStore
from workflow_runtime.storage.listing import Wanted
from workflow_runtime.storage.payloads import unpack
from workflow_runtime.storage.subscriptions import OwnerStore, SubscriptionStore

START = 1_700_000_000_000
MINUTE = 60_000
STARTER = """
workflow:
  id: orders
  triggers:
    - {type: event, topic: order.created, filters: {amount: [{numeric: [">", 100]}]}}
  nodes: [{id: a, type: tool, tool: echo}]
"""
ROUTER = """
workflow:
  id: 订单
  triggers:
    - type: event
      topic: payment
      event: pay
      correlate: "${detail.order_id}"
      with: "${trigger.order_id}"
      start_if_none: START_IF_NONE
  nodes: [{id: w, type: control, subtype: wait, event: pay}]
"""
WAITER = "workflow: {id: waiter, nodes: [{id: w, type: control, subtype: wait, event: 批准}]}"


def route_of(text: str) -> str:
    """The digest of the only trigger of a workflow that brings events to its executions."""
    compiled = compile_workflow(text).plan
    assert compiled is not None
    [route] = compiled.routes
    return route


class Bus:
    """Events that are delivered to the service as the queue would, and what it did."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.counts: list[str] = []
        self.ids = itertools.count(1)
        self.runtime = Runtime(
            backend.ports, dict, secrets=EnvironmentSecrets({}), count=lambda name, _: self.counts.append(name)
        )
        self.subscriptions = SubscriptionStore(backend.ports.table)
        self.store = ExecutionStore(backend.ports.table, backend.ports.blobs)

    def publish(self, source: str) -> None:
        self.runtime.catalog.publish(source.encode())

    def event(self, detail_type: str, detail: Any, id: str = "", source: str = "shop") -> dict[str, Any]:
        return {
            "version": "0",
            "id": id or f"event-{next(self.ids)}",
            "detail-type": detail_type,
            "source": source,
            "account": "123456789012",
            "time": "2023-11-14T22:13:20Z",
            "region": "eu-central-1",
            "resources": [],
            "detail": detail,
        }

    def deliver(self, *bodies: Any) -> list[str]:
        """Deliver a batch; ids of the messages that would come again."""
        texts = [body if isinstance(body, str) else msgspec.json.encode(body).decode() for body in bodies]
        records = [{"messageId": f"m{number}", "body": text} for number, text in enumerate(texts)]
        batch = EventBatch(self.runtime.ingest, records)
        failed = []
        for record in records:
            try:
                batch.take(record["messageId"])
            except RetryableError:
                failed.append(record["messageId"])
        return failed

    @property
    def clock(self) -> VirtualClock:
        clock = self.backend.ports.clock
        assert isinstance(clock, VirtualClock)
        return clock

    def signals(self) -> list[tuple[str, SignalReceived]]:
        """Signals in mailboxes since the last call, with the executions they are for."""
        found = []
        while records := self.backend.poller.receive(DISPATCH, 10):
            for record in records:
                mail = parse_mail(str(record.event_record["body"]))
                if isinstance(mail.event, SignalReceived):
                    found.append((mail.execution_id, mail.event))
            self.backend.poller.delete(DISPATCH, [record.receipt_handle for record in records])
        return found

    def executions(self, workflow_id: str) -> list[str]:
        wanted = Wanted((ExecutionStatus.PENDING,), workflow_id)
        return [header.execution_id for header in self.runtime.documents.list(wanted, 100).headers]

    def inputs(self, workflow_id: str) -> list[Any]:
        return [self.store.globals(execution_id).input for execution_id in self.executions(workflow_id)]

    def end(self, execution_id: str) -> None:
        """The execution ends, whatever it was doing."""
        header = self.store.header(execution_id)
        assert header is not None
        self.store.set_status(header, [SetStatus("failed", START)], 1)

    def dead_letters(self) -> list[str]:
        items = self.backend.ports.table.query("DEAD")
        return [unpack(item.attributes["letter"])["reason"] for item in items]  # type: ignore[arg-type]


@pytest.fixture
def bus() -> Iterator[Bus]:
    with open_backend(None, VirtualClock(START)) as backend:
        yield Bus(backend)


# ── to the execution that the event names ──


def test_an_event_goes_to_the_execution_that_its_detail_names(bus: Bus) -> None:
    bus.publish(WAITER)
    execution_id = bus.runtime.starter.start("waiter")
    mark = {"execution_id": "ex-1", "workflow_id": "x", "hops": 3}
    event = bus.event("批准", {"execution_id": execution_id, "谁": "王", "workflow_runtime": mark})
    assert bus.deliver(event) == []
    [(receiver, signal)] = bus.signals()
    assert receiver == execution_id
    assert (signal.name, signal.data, signal.key, signal.hops) == ("批准", {"谁": "王"}, None, 3)
    assert (signal.event_id, signal.id, signal.source) == (f"signal:{event['id']}", event["id"], "shop")


def test_only_events_that_the_execution_declares_reach_it(bus: Bus) -> None:
    bus.publish(WAITER)
    execution_id = bus.runtime.starter.start("waiter")
    assert bus.deliver(bus.event("approve", {"execution_id": execution_id})) == []
    assert bus.signals() == []


def test_the_bus_and_the_api_accept_the_same_events_of_authors(bus: Bus) -> None:
    """`error.payment` is the author's own; only what the runtime raises itself cannot come from outside."""
    source = b"workflow: {id: payer, nodes: [{id: w, type: control, subtype: wait, event: error.payment}]}"
    plan = bus.runtime.catalog.publish(source).plan
    execution_id = bus.runtime.starter.start("payer")
    check_event(plan, "error.payment", {})
    bus.deliver(bus.event("error.payment", {"execution_id": execution_id}))
    assert [signal.name for _, signal in bus.signals()] == ["error.payment"]
    with pytest.raises(RequestError, match="raises itself"):
        check_event(plan, "error.execution", {})


def test_events_that_name_no_running_execution_are_acknowledged_and_nothing_else(bus: Bus) -> None:
    bus.publish(WAITER)
    ended = bus.runtime.starter.start("waiter")
    bus.end(ended)
    bus.signals()
    named = ["ex-unknown", "", "no id at all!", 5, None, {"a": 1}, "订单", ended]
    assert bus.deliver(*(bus.event("批准", {"execution_id": name}) for name in named)) == []
    assert bus.signals() == []
    assert bus.dead_letters() == []


def test_large_data_travels_beside_the_message(bus: Bus) -> None:
    bus.publish(WAITER)
    execution_id = bus.runtime.starter.start("waiter")
    noise: dict[str, Any] = {"noise": [hash((number, "x")) for number in range(3000)]}
    zeros = {"zeros": "0" * 500_000}  # small when compressed, and yet too long for a message
    for data in (noise, zeros):
        bus.deliver(bus.event("批准", {"execution_id": execution_id, **data}))
        [(_, signal)] = bus.signals()
        assert signal.data is None
        assert signal.blob is not None
        assert unpack(bus.backend.ports.blobs.get(signal.blob)) == data


# ── to those that wait for its key ──


def test_a_routed_event_reaches_those_of_the_workflow_that_wait_for_its_key(bus: Bus) -> None:
    """Those that a trigger of this very wording brings it to; one that subscribed before there were routes decides."""
    bus.publish(ROUTER.replace("START_IF_NONE", "false"))
    route = route_of(ROUTER.replace("START_IF_NONE", "false"))
    for execution_id, workflow_id, name, key in (
        ("ex-1", "订单", "pay", "号-7"),
        ("ex-2", "订单", "pay", "号-7"),
        ("ex-3", "订单", "pay", "号-8"),
        ("ex-4", "订单", "ship", "号-7"),
        ("ex-5", "other", "pay", "号-7"),
    ):
        bus.subscriptions.put(execution_id, workflow_id, [(name, key, route)])
    bus.subscriptions.put("ex-6", "订单", [("pay", "号-7", "another trigger")])
    bus.subscriptions.put("ex-7", "订单", [("pay", "号-7", "")])
    event = bus.event("payment", {"order_id": "号-7", "sum": 5})
    assert bus.deliver(event) == []
    found = bus.signals()
    assert sorted(receiver for receiver, _ in found) == ["ex-1", "ex-2", "ex-7"]
    assert {(signal.name, signal.key, signal.route, signal.event_id) for _, signal in found} == {
        ("pay", "号-7", route, f"signal:{event['id']}:pay")
    }
    assert found[0][1].data == {"order_id": "号-7", "sum": 5}


@pytest.mark.parametrize(
    ("value", "key"), [("7", "7"), (7, "7"), (7.0, "7"), (True, "true"), (None, None), ("", None), ([1], "[1]")]
)
def test_correlation_keys_are_text_and_nothing_is_no_key(bus: Bus, value: Any, key: str | None) -> None:
    bus.publish(ROUTER.replace("START_IF_NONE", "true"))
    if key is not None:
        bus.subscriptions.put("ex-1", "订单", [("pay", key, route_of(ROUTER.replace("START_IF_NONE", "true")))])
    bus.deliver(bus.event("payment", {"order_id": value}))
    found = [(receiver, signal.key) for receiver, signal in bus.signals() if receiver == "ex-1"]
    assert found == ([("ex-1", key)] if key is not None else [])
    if key is None:
        assert bus.executions("订单") == []


def test_routing_goes_on_for_executions_of_a_version_that_was_superseded_or_removed(bus: Bus) -> None:
    bus.publish(ROUTER.replace("START_IF_NONE", "true"))
    bus.subscriptions.put("ex-1", "订单", [("pay", "7", route_of(ROUTER.replace("START_IF_NONE", "true")))])
    bus.publish("workflow: {id: 订单, nodes: [{id: w, type: control, subtype: wait, event: pay}]}")
    for number in range(2):
        bus.deliver(bus.event("payment", {"order_id": "7"}), bus.event("payment", {"order_id": "8"}))
        assert [receiver for receiver, _ in bus.signals()] == ["ex-1"], "and nothing starts"
        if number == 0:
            bus.runtime.publishing.remove("订单", lambda _: True)


# ── start unless one has the key ──


def test_an_event_starts_an_execution_if_none_has_its_key_and_goes_to_it(bus: Bus) -> None:
    bus.publish(ROUTER.replace("START_IF_NONE", "true"))
    first, second = (bus.event("payment", {"order_id": "号-7", "n": number}) for number in (1, 2))
    assert bus.deliver(first) == []
    [execution_id] = bus.executions("订单")
    assert bus.inputs("订单") == [{"trigger": {"order_id": "号-7", "n": 1}}]
    assert [(receiver, signal.name, signal.key) for receiver, signal in bus.signals()] == [
        (execution_id, "pay", "号-7")
    ]
    assert bus.deliver(second) == [], "it runs, and has no subscription yet"
    assert [(receiver, signal.id) for receiver, signal in bus.signals()] == [(execution_id, second["id"])]
    bus.deliver(bus.event("payment", {"order_id": "号-8"}))
    assert len(bus.executions("订单")) == 2


def test_one_that_waits_already_keeps_an_event_from_starting_another(bus: Bus) -> None:
    bus.publish(ROUTER.replace("START_IF_NONE", "true"))
    waiting = bus.runtime.starter.start("订单", {"trigger": {"order_id": "7"}})
    bus.subscriptions.put(waiting, "订单", [("pay", "7", route_of(ROUTER.replace("START_IF_NONE", "true")))])
    bus.deliver(bus.event("payment", {"order_id": "7"}))
    assert bus.executions("订单") == [waiting]
    assert [receiver for receiver, _ in bus.signals()] == [waiting]
    bus.end(waiting)
    bus.deliver(bus.event("payment", {"order_id": "7"}))
    assert len(bus.executions("订单")) == 1
    assert bus.executions("订单") != [waiting]


def test_an_owner_that_ended_is_replaced_and_repeats_of_old_events_start_nothing(bus: Bus) -> None:
    bus.publish(ROUTER.replace("START_IF_NONE", "true"))
    events = [bus.event("payment", {"order_id": "7", "n": number}) for number in range(3)]
    bus.deliver(events[0])
    [first] = bus.executions("订单")
    bus.deliver(events[1])
    bus.end(first)
    bus.deliver(events[0], events[1])
    assert bus.executions("订单") == []
    bus.deliver(events[2])
    [second] = bus.executions("订单")
    assert second != first
    assert OwnerStore(bus.backend.ports.table).of("订单", "7") == second


def test_two_events_at_once_start_one_execution(bus: Bus) -> None:
    """Both have looked before either has started: made so by an owner note that the first could not write yet."""
    bus.publish(ROUTER.replace("START_IF_NONE", "true"))
    first, second = (bus.event("payment", {"order_id": "7", "n": number}) for number in (1, 2))
    bus.deliver(first)
    bus.backend.ports.table.delete_all([keys.owner("订单", "7")])
    assert bus.deliver(second) == []
    [execution_id] = bus.executions("订单")
    assert [(receiver, signal.id) for receiver, signal in bus.signals()] == [
        (execution_id, first["id"]),
        (execution_id, second["id"]),
    ]


# ── start triggers ──


def test_an_event_that_matches_starts_an_execution_once(bus: Bus) -> None:
    bus.publish(STARTER)
    wanted, other = bus.event("order.created", {"amount": 150}), bus.event("order.created", {"amount": 50})
    assert bus.deliver(wanted, other, bus.event("order.shipped", {"amount": 150}), wanted) == []
    assert bus.deliver(wanted) == []
    assert bus.inputs("orders") == [{"trigger": {"amount": 150}}]


def test_the_input_is_rendered_over_the_event_and_the_key_makes_the_start_idempotent(bus: Bus) -> None:
    bus.publish(
        """
workflow:
  id: orders
  triggers:
    - type: event
      source: shop
      key: "${order.id}"
      input: {order: "${order}", who: "${source}", whole: "${detail}", at: "${time}", again: "${trigger.order.id}"}
  nodes: [{id: a, type: tool, tool: echo}]
"""
    )
    details = [{"order": {"id": "号-1"}, "source": "hidden"}, {"order": {"id": "号-1"}, "n": 2}, {"order": {"id": 2}}]
    assert bus.deliver(*(bus.event("anything", detail) for detail in details)) == []
    inputs = sorted(bus.inputs("orders"), key=lambda input: str(input["again"]))
    assert inputs == [
        {"order": {"id": 2}, "who": "shop", "whole": details[2], "at": "2023-11-14T22:13:20Z", "again": 2},
        {
            "order": {"id": "号-1"},
            "who": "shop",
            "whole": details[0],
            "at": "2023-11-14T22:13:20Z",
            "again": "号-1",
        },
    ]


def test_a_start_that_fails_is_recorded_and_the_other_triggers_go_on(bus: Bus) -> None:
    bus.publish(STARTER)
    bus.publish(STARTER.replace("id: orders", "id: strict\n  input_schema: {required: [who]}"))
    bus.publish(STARTER.replace("id: orders", "id: broken").replace("]}]}}", ']}]}, input: {x: "${1 / zero}"}}'))
    assert bus.deliver(bus.event("order.created", {"amount": 150, "zero": 0})) == []
    assert len(bus.executions("orders")) == 1
    assert bus.executions("strict") == bus.executions("broken") == []
    assert sorted(reason.split(":")[0] for reason in bus.dead_letters()) == [
        "a trigger of workflow broken",
        "a trigger of workflow strict",
    ]
    assert bus.counts.count("TriggersFailed") == 2


def test_only_the_newest_version_starts_executions(bus: Bus) -> None:
    bus.publish(STARTER)
    bus.publish(STARTER.replace("order.created", "order.paid"))
    bus.deliver(bus.event("order.created", {"amount": 150}), bus.event("order.paid", {"amount": 150}))
    assert len(bus.executions("orders")) == 1
    bus.runtime.publishing.remove("orders", lambda _: True, force=True)
    bus.deliver(bus.event("order.paid", {"amount": 150}))
    assert len(bus.executions("orders")) == 1
    bus.publish(STARTER)
    bus.deliver(bus.event("order.created", {"amount": 150}))
    assert len(bus.executions("orders")) == 2


# ── schedules ──


@pytest.mark.parametrize("overlap", ["allow", "skip"])
def test_a_schedule_starts_executions_once_per_time_and_not_beside_another_with_skip(bus: Bus, overlap: str) -> None:
    bus.publish(
        f"workflow: {{id: 日报, triggers: [{{type: schedule, rate: 1 hour, overlap: {overlap}}}],"
        " nodes: [{id: a, type: tool, tool: echo}]}"
    )
    times = []
    for _ in range(2):
        due = bus.backend.scheduler.next_at(ticks=False)
        assert due is not None
        bus.clock.advance_to(due)
        bus.backend.scheduler.fire()
        times.append(due)
    records = bus.backend.poller.receive(EVENTS, 10)
    bodies = [str(record.event_record["body"]) for record in records]
    assert len(bodies) == 2
    assert times[1] - times[0] == 3_600_000
    assert bus.deliver(*bodies, *bodies) == []
    inputs = sorted(input["trigger"]["scheduled_at"] for input in bus.inputs("日报"))
    assert len(inputs) == (2 if overlap == "allow" else 1)
    if overlap == "skip":
        bus.end(bus.executions("日报")[0])
        assert bus.deliver(bodies[1]) == []
        assert len(bus.executions("日报")) == 1


def test_a_schedule_of_an_older_version_starts_nothing_and_is_deleted(bus: Bus) -> None:
    bus.publish("workflow: {id: w, triggers: [{type: schedule, rate: 1 hour}], nodes: [{id: a, type: tool, tool: x}]}")
    due = bus.backend.scheduler.next_at(ticks=False)
    assert due is not None
    bus.clock.advance_to(due)
    bus.backend.scheduler.fire()
    [record] = bus.backend.poller.receive(EVENTS, 10)
    bus.publish("workflow: {id: w, nodes: [{id: a, type: tool, tool: x}]}")
    assert bus.backend.scheduler.next_at(ticks=False) is None
    assert bus.deliver(str(record.event_record["body"])) == []
    assert bus.executions("w") == []


# ── what is not an event, loops, faults ──

AN_EVENT = '{"id": "1", "detail-type": "x", "source": "s", "time": "2023-11-14T22:13:20Z", "detail": {"a": VALUE}}'


@pytest.mark.parametrize(
    "body",
    [
        "",
        "nonsense",
        "[]",
        "null",
        "{}",
        '{"id": "1", "detail-type": "x", "source": "s", "time": "then", "detail": {}}',
        '{"id": "1", "detail-type": "x", "source": "s", "time": "2023-11-14T22:13:20Z", "detail": []}',
        '{"schedule": {"workflow_id": "w"}}',
        '{"schedule": {"workflow_id": "w", "trigger": 1, "at": "2023-11-14T22:13:20Z"}}',
        "[" * 50_000,
        *(
            AN_EVENT.replace("VALUE", value)
            for value in ("18446744073709551616", "1e400", "NaN", "[" * 200 + "]" * 200)
        ),
    ],
)
def test_what_is_no_event_is_recorded_and_never_comes_again(bus: Bus, body: str) -> None:
    assert bus.deliver(body or "\n") == []
    [reason] = bus.dead_letters()
    assert reason.startswith("not an event")
    assert bus.counts == ["EventsRefused"]


def test_events_that_go_round_are_dropped_after_ten_hops(bus: Bus) -> None:
    bus.publish(STARTER)
    bus.deliver(
        *(
            bus.event("order.created", {"amount": 150, "workflow_runtime": {"hops": hops}})
            for hops in (HOPS_MAX, HOPS_MAX + 5)
        )
    )
    assert bus.executions("orders") == []
    assert bus.counts == ["EventsLooping", "EventsLooping"]
    bus.deliver(bus.event("order.created", {"amount": 150, "workflow_runtime": {"hops": HOPS_MAX - 1}}))
    [execution_id] = bus.executions("orders")
    header = bus.store.header(execution_id)
    assert header is not None
    assert header.hops == HOPS_MAX - 1
    assert bus.inputs("orders") == [{"trigger": {"amount": 150}}]


def test_the_runtimes_own_lifecycle_events_never_come_in(bus: Bus) -> None:
    bus.publish(
        "workflow: {id: w, triggers: [{type: event, source: workflow-runtime}], nodes: [{id: a, type: tool, tool: x}]}"
    )
    bus.deliver(bus.event("execution.completed", {}, source="workflow-runtime"))
    assert bus.executions("w") == []


def test_a_fault_returns_the_record_and_only_that(bus: Bus) -> None:
    bus.publish(STARTER)
    ports = bus.backend.ports

    class FailingTable:
        def __getattr__(self, name: str) -> Any:
            return getattr(ports.table, name)

        def query(self, partition: str, *args: Any, **options: Any) -> Any:
            if partition == keys.triggers("unlucky"):
                raise RetryableError("throttled")
            return ports.table.query(partition, *args, **options)

    table: Any = FailingTable()
    bus.runtime = Runtime(msgspec.structs.replace(ports, table=table), dict, secrets=EnvironmentSecrets({}))
    assert bus.deliver(bus.event("unlucky", {}), bus.event("order.created", {"amount": 150})) == ["m0"]
    assert len(bus.executions("orders")) == 1


def test_a_fault_of_one_trigger_does_not_hold_up_the_others(bus: Bus) -> None:
    bus.publish(ROUTER.replace("START_IF_NONE", "true"))
    bus.publish(ROUTER.replace("START_IF_NONE", "true").replace("id: 订单", "id: other"))
    ports = bus.backend.ports
    faults = [RetryableError("throttled"), RuntimeError("a bug")]

    class FailingTable:
        def __getattr__(self, name: str) -> Any:
            return getattr(ports.table, name)

        def query(self, partition: str, prefix: str = "", **options: Any) -> Any:
            if faults and prefix.startswith("other#"):
                raise faults.pop()
            return ports.table.query(partition, prefix, **options)

    table: Any = FailingTable()
    bus.runtime = Runtime(msgspec.structs.replace(ports, table=table), dict, secrets=EnvironmentSecrets({}))
    event = bus.event("payment", {"order_id": "7"})
    for failed, other in ((["m0"], 0), (["m0"], 0), ([], 1), ([], 1)):
        assert bus.deliver(event) == failed
        assert (len(bus.executions("订单")), len(bus.executions("other"))) == (1, other)
    assert {receiver for receiver, _ in bus.signals()} == {*bus.executions("订单"), *bus.executions("other")}


def test_a_mailbox_that_cannot_be_reached_returns_every_record_with_mail(bus: Bus) -> None:
    bus.publish(WAITER)
    execution_id = bus.runtime.starter.start("waiter")
    ports = bus.backend.ports

    class NoQueues:
        def send(self, _: str, messages: Any) -> Any:
            if messages:
                raise RetryableError("away")
            return []

    queues: Any = NoQueues()
    bus.runtime = Runtime(msgspec.structs.replace(ports, queues=queues), dict, secrets=EnvironmentSecrets({}))
    event = bus.event("批准", {"execution_id": execution_id})
    assert bus.deliver(event, bus.event("other", {})) == ["m0"]


def test_a_batch_reads_the_triggers_of_each_topic_once(bus: Bus) -> None:
    bus.publish(STARTER)
    ports = bus.backend.ports
    queried: list[str] = []

    class CountingTable:
        def __getattr__(self, name: str) -> Any:
            return getattr(ports.table, name)

        def query(self, partition: str, *args: Any, **options: Any) -> Any:
            queried.append(partition)
            return ports.table.query(partition, *args, **options)

    table: Any = CountingTable()
    bus.runtime = Runtime(msgspec.structs.replace(ports, table=table), dict, secrets=EnvironmentSecrets({}))
    bus.deliver(*(bus.event(topic, {"amount": 1}) for topic in ("order.created", "order.created", "b", "b", "b")))
    assert sorted(queried) == [keys.triggers("*"), keys.triggers("b"), keys.triggers("order.created")]


# ── crashes and encounters ──


class Crash(BaseException):
    """What no `except Exception` stops, as when the process dies."""


class Interrupted:
    """A port whose calls go on as ``interrupt`` lets them."""

    def __init__(self, port: Any, interrupt: Callable[[], None]) -> None:
        self._port = port
        self._interrupt = interrupt

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)

        def call(*arguments: Any, **options: Any) -> Any:
            self._interrupt()
            answer = method(*arguments, **options)
            self._interrupt()
            return answer

        return call


def interrupted(bus: Bus, number: int, what: Callable[[], None]) -> Callable[[], int]:
    """Before and after each port call counts as a moment; at the ``number``-th, ``what`` happens, once. Returns what
    tells how many moments there were."""
    moments = itertools.count(1)
    last = [0]

    def interrupt() -> None:
        last[0] = next(moments)
        if last[0] == number:
            what()

    ports = bus.backend.ports
    table, queues, blobs = (Interrupted(port, interrupt) for port in (ports.table, ports.queues, ports.blobs))
    changed: Any = {"table": table, "queues": queues, "blobs": blobs}
    bus.runtime = Runtime(msgspec.structs.replace(ports, **changed), dict, secrets=EnvironmentSecrets({}))
    return lambda: last[0]


def fresh(backend: Backend, source: str) -> Bus:
    bus = Bus(backend)
    bus.publish(source)
    return bus


SCHEDULED = """
workflow:
  id: orders
  triggers: [{type: schedule, rate: 1 hour, overlap: skip}]
  nodes: [{id: a, type: tool, tool: echo}]
"""


@pytest.mark.parametrize("kind", ["start", "owner", "schedule"])
def test_a_crash_at_any_moment_and_a_repeat_have_the_effect_of_one_delivery(kind: str) -> None:
    source = {"start": STARTER, "owner": ROUTER.replace("START_IF_NONE", "true"), "schedule": SCHEDULED}[kind]
    workflow_id = "订单" if kind == "owner" else "orders"
    for moment in itertools.count(1):
        with open_backend(None, VirtualClock(START)) as backend:
            bus = fresh(backend, source)
            body: Any = bus.event("order.created", {"amount": 150})
            if kind == "owner":
                body = bus.event("payment", {"order_id": "号-7", "noise": [hash((n, "x")) for n in range(3000)]})
            if kind == "schedule":
                [row] = backend.database.read("SELECT body FROM schedules WHERE name LIKE 'trigger-%'", ())
                body = row[0].replace("<aws.scheduler.scheduled-time>", "2023-11-14T23:13:20Z")
            calm = bus.runtime

            def crash() -> None:
                raise Crash

            moments = interrupted(bus, moment, crash)
            try:
                bus.deliver(body)
            except Crash:
                bus.runtime = calm
                assert bus.deliver(body) == []
            else:
                assert moments() < moment
                return
            [execution_id] = bus.executions(workflow_id)
            signals = bus.signals()
            assert {receiver for receiver, _ in signals} == ({execution_id} if kind == "owner" else set())
            assert len({signal.event_id for _, signal in signals}) == (kind == "owner")


def test_two_events_that_meet_at_any_moment_start_one_execution_and_both_reach_it() -> None:
    for moment in itertools.count(1):
        with open_backend(None, VirtualClock(START)) as backend:
            bus, other = fresh(backend, ROUTER.replace("START_IF_NONE", "true")), Bus(backend)
            first, second = (bus.event("payment", {"order_id": "号-7", "n": number}) for number in (1, 2))
            left: list[Any] = []

            def meet(other: Bus = other, second: Any = second, left: list[Any] = left) -> None:
                left += other.deliver(second)

            moments = interrupted(bus, moment, meet)
            again = bus.deliver(first)
            if moments() < moment:
                return
            for event, failed in ((first, again), (second, left)):
                if failed:
                    assert other.deliver(event) == []
            [execution_id] = bus.executions("订单")
            assert {(receiver, signal.id) for receiver, signal in bus.signals()} == {
                (execution_id, first["id"]),
                (execution_id, second["id"]),
            }


def test_events_that_nobody_wants_are_counted(bus: Bus) -> None:
    bus.publish(STARTER)
    bus.publish(ROUTER.replace("START_IF_NONE", "false"))
    bus.deliver(bus.event("nobody.listens", {}))
    bus.deliver(bus.event("payment", {"order_id": "nobody waits for it"}))
    assert bus.counts == ["EventsIgnored", "EventsIgnored"]
    bus.deliver(bus.event("order.created", {"amount": 200}))
    assert bus.counts[2:] == ["ExecutionsTriggered"]


def test_an_executions_events_pass_on_its_correlation_id(bus: Bus) -> None:
    bus.publish(STARTER)
    mark = {"execution_id": "ex-1", "workflow_id": "w", "hops": 1, "correlation_id": "order-4711"}
    forged = {**mark, "correlation_id": "a line\nof a log"}
    bus.deliver(bus.event("order.created", {"amount": 200, "workflow_runtime": mark}))
    bus.deliver(bus.event("order.created", {"amount": 300, "workflow_runtime": forged}))
    headers = [bus.store.header(execution_id) for execution_id in bus.executions("orders")]
    assert {header.correlation for header in headers if header is not None} == {"order-4711", ""}
