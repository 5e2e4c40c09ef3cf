"""X-Ray: what a function sends carries the trace that it runs in, so that traces go on behind queues and the bus."""

from __future__ import annotations

from typing import Any

from workflow_runtime.backends.aws.backend import build_ports
from workflow_runtime.backends.aws.tracing import HEADER_CHARS_MAX, VARIABLE, trace_in
from workflow_runtime.backends.simulated_aws import simulated
from workflow_runtime.deployment.topology import DISPATCH, TIMERS
from workflow_runtime.ports import BusEvent, Message

TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


def test_messages_carry_the_trace_of_the_invocation_that_sends_them() -> None:
    """Looked at on their way out: moto takes the attribute, and drops it of messages that are sent in batches."""
    environ = {VARIABLE: TRACE}
    sent: list[Any] = []
    with simulated.open_backend() as backend:
        clients = backend.clients
        ports = build_ports(backend.settings, clients, trace=trace_in(environ))
        clients.sqs.meta.events.register(
            "provide-client-params.sqs.SendMessageBatch", lambda params, **_: sent.extend(params["Entries"])
        )
        assert ports.queues.send(DISPATCH, [Message("one", group="g", deduplication_id="d")]) == []
        assert ports.queues.send(TIMERS, [Message("two"), Message("three")]) == []
        environ.clear()
        assert ports.queues.send(TIMERS, [Message("outside Lambda")]) == []
    carried = {"AWSTraceHeader": {"DataType": "String", "StringValue": TRACE}}
    assert [(entry["MessageBody"], entry.get("MessageSystemAttributes")) for entry in sent] == [
        ("one", carried),
        ("two", carried),
        ("three", carried),
        ("outside Lambda", None),
    ]


def test_events_carry_the_trace_of_the_invocation_that_publishes_them() -> None:
    environ = {VARIABLE: TRACE}
    sent: list[Any] = []
    with simulated.open_backend() as backend:
        clients = backend.clients
        ports = build_ports(backend.settings, clients, trace=trace_in(environ))
        clients.events.meta.events.register(
            "provide-client-params.events.PutEvents", lambda params, **_: sent.append(params["Entries"][0])
        )
        assert ports.bus.publish([BusEvent("shop", "订单", "{}")]) == []
        environ.clear()
        assert ports.bus.publish([BusEvent("shop", "订单", "{}")]) == []
        assert len(backend.bus_events()) == 2
    assert [entry.get("TraceHeader") for entry in sent] == [TRACE, None]


def test_a_header_that_no_service_takes_is_not_sent() -> None:
    assert trace_in({VARIABLE: "x" * (HEADER_CHARS_MAX + 1)})() is None
    assert trace_in({VARIABLE: ""})() is None
