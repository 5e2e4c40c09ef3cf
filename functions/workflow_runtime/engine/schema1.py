"""States of schema 1, where scopes lay inside each other and each kept what it waited for.

They say where a scope is by the number of its block or chart, so the plan is needed to give it its address: a state
that was read is `unplaced` until it is `placed`. Nothing writes this schema any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from workflow_runtime.engine import schema2
from workflow_runtime.engine.awaited import Pending, PendingKind, Purpose, Sent
from workflow_runtime.engine.events import SignalReceived
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.macrosteps import Raised
from workflow_runtime.engine.scope_states import ChartState, GraphState, Progress, ScopeState, ToleratedError
from workflow_runtime.engine.state import UNNUMBERED_SCHEMA, ExecutionState, Parent
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.addresses import TOP_CHART, TOP_GRAPH, ScopeId
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import MachineSpec, WaitSpec
from workflow_runtime.plan.triggers import EventTrigger


class _Wait(msgspec.Struct, frozen=True):
    timer: str = ""
    key: str | None = None


class _Graph(msgspec.Struct, frozen=True):
    marks: bytearray
    open_count: int
    first_serial: int = 1
    joins: dict[int, Progress] = {}
    queue: list[int] = []
    serials: dict[int, int] = {}
    untaken: dict[int, bool] = {}
    values: dict[int, Json] = {}
    values_bytes: dict[int, int] = {}
    branches: dict[int, int] = {}
    held: list[int] = []
    tolerated: list[ToleratedError] = []
    failure: ErrorDocument | None = None
    succeeded_by: int = -1
    waits: dict[int, _Wait] = {}
    machines: dict[int, _Machine] = {}
    next_serials: dict[int, int] = {}
    called: dict[int, ErrorDocument] = {}
    given: dict[int, Json] = {}


class _Machine(msgspec.Struct, frozen=True):
    configuration: list[int] = []
    variables: dict[str, Json] = {}
    history: dict[int, list[int]] = {}
    internal: list[Raised] = []
    deferred: list[SignalReceived] = []
    runs: dict[int, _Graph] = {}
    next_serials: dict[int, int] = {}
    delays: dict[str, tuple[int, int]] = {}
    sends: dict[str, Sent] = {}
    children: dict[str, str] = {}
    first_serial: int = 1


class _Execution(msgspec.Struct, frozen=True):
    execution_id: str
    plan_hash: str
    workflow_version: int
    root: _Graph
    version: int = 0
    status: ExecutionStatus = ExecutionStatus.PENDING
    now: int = 0
    started_at: int = 0
    ended_at: int = 0
    error: ErrorDocument | None = None
    globals: dict[str, Json] | None = None
    collecting: bool = False
    machine: _Machine | None = None
    in_flight: int = 0
    withdrawn: list[tuple[str, int]] = []
    unannounced: list[tuple[str, str]] = []
    timers: dict[str, int] = {}
    made: int = 0
    subscriptions: dict[int, str] = {}
    outbox: list[SignalReceived] = []
    kept: list[SignalReceived] = []
    applied: dict[str, int] = {}
    hops: int = 0
    unprompted: int = 0
    parent: Parent | None = None


_decoder = msgspec.json.Decoder(_Execution)


def unplaced(data: bytes) -> ExecutionState:
    """What can be said of a state without its plan: all but its scopes, and of what it waits for the timers
    and children.

    It holds the bytes themselves, for `placed`. Raises `msgspec.ValidationError`.
    """
    old = _decoder.decode(data)
    pending = {id: Pending(PendingKind.TIMER, Purpose.WAIT, due=due) for id, due in old.timers.items()}
    pending |= dict(_children([old.machine] if old.machine is not None else [], [old.root]))
    return _execution(old, {TOP_GRAPH: msgspec.Raw(data)}, pending, UNNUMBERED_SCHEMA)


def _children(machines: list[_Machine], graphs: list[_Graph]) -> Iterator[tuple[str, Pending]]:
    for machine in machines:
        for token, event in machine.children.items():
            yield token, Pending(PendingKind.CHILD, Purpose.RESULT, name=event)
        yield from _children([], list(machine.runs.values()))
    for graph in graphs:
        yield from _children(list(graph.machines.values()), [])


def placed(plan: Plan, state: ExecutionState) -> ExecutionState:
    """The state in the layout of schema 2."""
    held = state.scopes[TOP_GRAPH]
    assert isinstance(held, msgspec.Raw), "what `unplaced` gave"
    old = _decoder.decode(bytes(held))
    found = _Placing(plan, old)
    found.graph(TOP_GRAPH, 0, old.root)
    if plan.has_chart and old.machine is not None:
        found.chart(TOP_CHART, 0, old.machine)
    for number, key in old.subscriptions.items():
        trigger = plan.triggers[number]
        if isinstance(trigger, EventTrigger) and trigger.with_key is not None:
            entry = Pending(PendingKind.EVENT, Purpose.TRIGGER, name=trigger.event, key=key)
            found.pending[f"trigger:{number}"] = entry
    new = _execution(old, found.scopes, found.pending, schema2.SCHEMA)
    new.kept_bytes = sum(scope.kept_bytes for scope in found.scopes.values() if isinstance(scope, GraphState))
    new.queued = {id: True for id, scope in found.scopes.items() if isinstance(scope, GraphState) and scope.queue}
    new.cut_short = bool(new.queued)
    return new


def _execution(
    old: _Execution,
    scopes: Mapping[ScopeId, ScopeState | msgspec.Raw],
    pending: dict[str, Pending],
    schema: int,
) -> ExecutionState:
    return ExecutionState(
        old.execution_id,
        old.plan_hash,
        old.workflow_version,
        {**scopes},
        schema,
        old.version,
        old.status,
        old.now,
        old.started_at,
        old.ended_at,
        old.error,
        old.globals,
        collecting=old.collecting,
        in_flight=old.in_flight,
        pending=pending,
        withdrawn=old.withdrawn,
        unannounced=old.unannounced,
        made=old.made,
        outbox=list(old.outbox),
        kept=tuple(old.kept),
        applied=old.applied,
        hops=old.hops,
        unprompted=old.unprompted,
        parent=old.parent,
    )


class _Placing:
    """Scopes by address and what they wait for, as they are found. Addresses have no pass numbers: there were none."""

    def __init__(self, plan: Plan, old: _Execution) -> None:
        self.plan = plan
        self.timers = old.timers
        self.scopes: dict[ScopeId, ScopeState | msgspec.Raw] = {}
        self.pending: dict[str, Pending] = {}

    def graph(self, id: ScopeId, number: int, old: _Graph) -> None:
        block = self.plan.blocks[number]
        pending: dict[int, tuple[str, ...]] = {}
        for node, wait in old.waits.items():
            pending[node] = tuple(self._wait(id, number, node, wait))
        self.scopes[id] = GraphState(
            old.marks,
            old.open_count,
            number,
            old.first_serial,
            old.joins,
            old.queue,
            old.serials,
            old.untaken,
            old.values,
            sum(len(msgspec.json.encode(value)) for value in old.values.values()),
            old.values_bytes,
            old.branches,
            old.held,
            tuple(old.tolerated),
            old.failure,
            old.succeeded_by,
            pending,
            old.next_serials,
            old.called,
            old.given,
        )
        for node, machine in old.machines.items():
            spec = block.nodes[node].spec
            assert isinstance(spec, MachineSpec)
            self.chart(block.prefix + block.nodes[node].id, spec.chart, machine)

    def _wait(self, id: ScopeId, number: int, node: int, wait: _Wait) -> Iterator[str]:
        plan = self.plan.blocks[number].nodes[node]
        assert isinstance(plan.spec, WaitSpec)
        if plan.spec.event:
            name = f"event:{self.plan.blocks[number].prefix}{plan.id}"
            self.pending[name] = Pending(PendingKind.EVENT, Purpose.WAIT, id, node, name=plan.spec.event, key=wait.key)
            yield name
        if wait.timer in self.timers:
            purpose = Purpose.TIMEOUT if plan.spec.event else Purpose.WAIT
            self.pending[wait.timer] = Pending(PendingKind.TIMER, purpose, id, node, self.timers[wait.timer])
            yield wait.timer

    def chart(self, id: ScopeId, number: int, old: _Machine) -> None:
        pending: dict[int, tuple[str, ...]] = {}
        for timer, (state, delay) in old.delays.items():
            entry = Pending(PendingKind.TIMER, Purpose.DELAY, id, state, self.timers.get(timer, 0), number=delay)
            self._open(pending, timer, entry)
        for timer, sent in old.sends.items():
            entry = Pending(PendingKind.TIMER, Purpose.SEND, id, -1, self.timers.get(timer, 0), sent=sent)
            self._open(pending, timer, entry)
        for token, event in old.children.items():
            self._open(pending, token, Pending(PendingKind.CHILD, Purpose.RESULT, id, name=event))
        self.scopes[id] = ChartState(
            number,
            old.configuration,
            old.variables,
            old.history,
            old.internal,
            old.deferred,
            old.next_serials,
            pending,
            old.first_serial,
            list(old.variables),  # schema 1 did not note which are its own: events go on changing all of them
        )
        for block, run in old.runs.items():
            self.graph(self.plan.block_address(block), block, run)

    def _open(self, pending: dict[int, tuple[str, ...]], id: str, entry: Pending) -> None:
        if entry.kind is PendingKind.TIMER and id not in self.timers:
            return
        self.pending[id] = entry
        pending[entry.owner] = (*pending.get(entry.owner, ()), id)
