"""Executions halfway: what stands in the table of one, as a document, and one that goes on from such a document.

The document holds what a deployment of later code finds: the plan and the items as they are stored, the orders, timers
and subscriptions that are out, the runs that are recorded. How an execution goes on is told by steps:
``{succeed: path, output}``, ``{fail: path, type, message}``, ``{collect: path}``, ``{send: name, …}``,
``{elapse: seconds}``, ``{child_ended: n, output | error}`` and ``{poke: true}``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace
from tests.unit.engine.driver import Driver, Failure

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.engine.commands import (
    CancelRun,
    CancelTimer,
    Command,
    Continue,
    Log,
    NotifyParent,
    PublishEvent,
    RecordNode,
    RunNode,
    SendSignal,
    SetStatus,
    StartChild,
    StartTimer,
    Subscribe,
    Unsubscribe,
)
from workflow_runtime.engine.events import ChildEnded, NodeSucceeded, Poked
from workflow_runtime.engine.values.evaluation import NodeValue
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.plan import decode_plan, encode_plan
from workflow_runtime.ports import Item
from workflow_runtime.storage import keys
from workflow_runtime.storage.executions import ExecutionStore
from workflow_runtime.storage.payloads import pack_bytes, unpack_bytes

PACKED_FROM_BYTES = 8 * 1024
"""Stored bodies from this size on stand in a document as they are in the table, compressed; smaller ones as JSON."""


class Halfway(Driver):
    """An execution whose state can be put into a document. ``children``: tokens of executions that it started."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.children: list[str] = []
        self.steps = 0

    def play_step(self, step: dict[str, Any]) -> dict[str, Json]:
        """Carry out one step of a script; returns what followed."""
        taken, ignored, macrosteps = len(self.journal), len(self.ignored), len(self.macrosteps)
        self.steps += 1
        self._play(step)
        entries = self.journal[taken:]
        self.children += [c.token for entry in entries for c in entry.commands if isinstance(c, StartChild)]
        told = {
            "at": self.now,
            "status": self.status,
            "done": sorted(line for entry in entries for line in _told(entry.commands, entry.now)),
            "active": {step.machine: list(step.configuration) for step in self.macrosteps[macrosteps:]},
            "ignored": [reason for _, reason in self.ignored[ignored:]],
        }
        return {name: value for name, value in told.items() if value not in ([], {})}

    def end(self) -> dict[str, Json]:
        """Where the execution stands: its status and output, nodes of the graph at the top, and all recorded runs."""
        return {
            "status": self.status,
            "output": self.output,
            "error": msgspec.to_builtins(self.state.error),
            "nodes": self.nodes,
            "runs": {f"{path}#{serial}": value.status for (path, serial), value in sorted(self.records.items())},
        }

    def _play(self, step: dict[str, Any]) -> None:
        match step:
            case {"succeed": path, "output": output}:
                event = self.success(path, output)
                if "bytes" in step:  # told to be larger than it is, so that the document stays small
                    assert isinstance(event, NodeSucceeded)
                    event = replace(event, values=None, has_values=False, values_bytes=step["bytes"])
                self.take(event)
            case {"fail": path, **rest}:
                self.fail(path, **rest)
            case {"collect": path}:
                outcome = self.collect(path)
                assert not isinstance(outcome, Failure)
                self.succeed(path, outcome)
            case {"send": name, **rest}:
                self.pokes = rest.pop("pokes", True)
                rest.setdefault("id", f"step-{self.state.version}-{self.steps}")
                self.send(name, rest.pop("data", None), **rest)
                self.pokes = True
            case {"elapse": seconds}:
                self.elapse(seconds)
            case {"poke": True}:
                self.take(Poked(f"cmd:e1:{self.state.version}", self.now))
            case {"child_ended": number, **rest}:
                token = self.children[number]
                error = ErrorDocument.of(*rest["error"]) if "error" in rest else None
                status = "failed" if error is not None else "completed"
                self.take(
                    ChildEnded(
                        f"child:c{number}", self.now, token, f"c{number}", status, rest.get("output"), None, error
                    )
                )
            case _:
                raise AssertionError(f"no such step: {step}")


def store(driver: Halfway) -> dict[str, Json]:
    """The document of an execution as it stands now."""
    key = keys.execution("e1", keys.STATE)
    with open_backend(None, VirtualClock(driver.now)) as backend:
        table = backend.ports.table
        table.put(Item(key, {"v": driver.state.version - 1}))
        assert ExecutionStore(table, backend.ports.blobs).commit(driver.state, driver.journal[-1])
        item = table.get([key])[key].attributes
    return {
        "plan": msgspec.json.decode(encode_plan(driver.plan)),
        "input": driver.globals["input"],
        "now": driver.now,
        "item": {name: _readable(value) if isinstance(value, bytes) else value for name, value in item.items()},
        "records": [[path, serial, msgspec.to_builtins(value)] for (path, serial), value in driver.records.items()],
        "ordered": msgspec.to_builtins(list(driver.ordered.values())),
        "timers": driver.timers,
        "subscribed": sorted(map(list, driver.subscribed)),
        "children": driver.children,
        "blobs": driver.blobs,
    }


def resume(document: dict[str, Any]) -> Halfway:
    """The execution of a document, loaded as the dispatcher loads it."""
    plan = decode_plan(msgspec.json.encode(document["plan"]))
    driver = Halfway(plan, document["input"])
    item = {name: _packed(value) if name in ("state", "last") else value for name, value in document["item"].items()}
    with open_backend(None, VirtualClock(document["now"])) as backend:
        backend.ports.table.put(Item(keys.execution("e1", keys.STATE), item))
        stored = ExecutionStore(backend.ports.table, backend.ports.blobs).load("e1")
    assert stored is not None
    driver.first = driver.state = stored.state
    driver.now = document["now"]
    driver.records = {(path, serial): msgspec.convert(value, NodeValue) for path, serial, value in document["records"]}
    orders = msgspec.json.decode(msgspec.json.encode(document["ordered"]), type=list[RunNode])
    driver.ordered = {order.path: order for order in orders}
    driver.timers = dict(document["timers"])
    driver.subscribed = {(event, key, "".join(route)) for event, key, *route in document["subscribed"]}
    driver.children = list(document["children"])
    driver.blobs = document["blobs"]
    return driver


def _readable(packed: bytes) -> Json:
    if len(data := unpack_bytes(packed)) > PACKED_FROM_BYTES:
        return base64.b64encode(packed).decode()
    return msgspec.json.decode(data)


def _packed(value: Json) -> bytes:
    return base64.b64decode(value) if isinstance(value, str) else pack_bytes(msgspec.json.encode(value))


def _told(commands: Sequence[Command], now: int) -> Iterator[str]:
    """What was ordered that somebody outside notices; not that something is not needed any more, nor that a
    subscription from before there were routes gets one."""
    changed = [{(c.event, c.key) for c in commands if isinstance(c, kind)} for kind in (Subscribe, Unsubscribe)]
    rerouted = changed[0] & changed[1]
    for command in commands:
        match command:
            case RunNode(path=path, attempt=attempt, inputs=inputs):
                yield f"run {path}, attempt {attempt}" + (f", {inputs}" if command.has_inputs else "")
            case RecordNode(path=path, output=output, error=error):
                yield f"record {path} {error.type if error is not None else output}"
            case CancelRun(path=path):
                yield f"cancel {path}"
            case StartTimer(due=due):
                yield f"timer in {(due - now) / 1000:g} s"
            case PublishEvent(detail_type=name, detail=detail):
                yield f"publish {name} {detail.get('path', '')}".rstrip()
            case Log(message=message):
                yield f"log {message}"
            case Subscribe(event=event, key=key) | Unsubscribe(event=event, key=key) if (event, key) in rerouted:
                pass
            case Subscribe(event=event, key=key):
                yield f"subscribe {event} {key}"
            case Unsubscribe(event=event, key=key):
                yield f"unsubscribe {event} {key}"
            case SendSignal(name=name, to=to, key=key, data=data):
                yield f"send {name} to {to or key} {data}"
            case StartChild(workflow_id=workflow, input=input):
                yield f"start {workflow} {input}"
            case NotifyParent(execution_id=parent, token=token):
                yield f"notify {parent} {token}"
            case SetStatus(status=status):
                yield f"status {status}"
            case _:
                assert isinstance(command, (CancelTimer, Continue))
