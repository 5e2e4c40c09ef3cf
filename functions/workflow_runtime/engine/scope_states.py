"""What is remembered of a scope under way: a graph, a chart, or a loop (`passes`)."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TypeAlias

import msgspec

from workflow_runtime.engine.awaited import Child, Yields
from workflow_runtime.engine.events import SignalReceived
from workflow_runtime.engine.lifecycle import Mark
from workflow_runtime.engine.macrosteps import Raised
from workflow_runtime.engine.passes import LoopState
from workflow_runtime.engine.tables import forked
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.plan import Plan

Progress: TypeAlias = tuple[int, int, int]
"""How far the join of a waiting node has come: edges that decided, of them alive; edges that order."""


class ToleratedError(msgspec.Struct, frozen=True, array_like=True):
    """A failure that is only a dead edge so far, because a join downstream can do without it."""

    node: int
    error: ErrorDocument


class GraphState(msgspec.Struct, omit_defaults=True, tag_field="is", tag="graph"):
    """A graph scope under way. Everything but ``marks`` is sparse: it has entries for what is open now.

    - ``block``: number of its block in the plan
    - ``first_serial``: of a node's first run in this visit of the scope; ``serials``: current serial where it is
      another. Serials never restart within an execution
    - ``joins``: how far the joins of waiting nodes have come
    - ``queue``: nodes that are ready but not ordered yet, best priority first
    - ``untaken``: edges to waiting nodes that are not alive though their source succeeded
    - ``values``: small decision values kept until their readers have decided, together ``kept_bytes``
    - ``values_bytes``: size of what a decision will read, by reader
    - ``branches``: open nodes left in each active branch of a limited parallel, by head; ``held``: branch heads that
      wait for a free place
    - ``tolerated``, ``failure``: errors that are dead edges so far, and the one that fails the scope
    - ``succeeded_by``: the succeed node that ended it
    - ``pending``: ids of what a node waits for, by node
    - ``next_serials``: where the serials of the scopes inside a node go on when it is visited again
    - ``called``: error documents that called nodes are told; ``given``: inputs rendered ahead; until they are ordered.
      Of a node in whose place another runs, what it yields if that fails and its own rule says so
    - ``begun``: when nodes began that something goes on in: waits, charts, and those in whose place another runs
      (epoch ms)
    - ``retries``: attempts that retry policies have granted in this visit, by node and policy
    - ``undoes``: of a compensation, the place of what it undoes in the execution's ``undo``
    - ``visits``: serial of a node's first run in its current visit, where that is not the scope's
    - ``unresolved``, ``due``: while the execution is suspended, nodes that have ended and whose edges are still to be
      resolved, and nodes whose join is satisfied
    - ``fallbacks``: what runs in the place of nodes that have failed, by those; ``callers``: who called a called node
    - ``notes``: what people should know of open nodes, until it is recorded with their runs
    - ``children``: by node, the execution that it started last, unless that has succeeded
    - ``agents``: by node, agents that have yielded in this visit
    - ``layers``: of a layer, by its first node, how many of the nodes it waits for have ended; less than 0 as long as
      none of those is alive
    """

    marks: bytearray
    open_count: int
    block: int = 0
    first_serial: int = 1
    joins: MutableMapping[int, Progress] = {}
    queue: list[int] = []
    serials: MutableMapping[int, int] = {}
    untaken: MutableMapping[int, bool] = {}
    values: dict[int, Json] = {}
    kept_bytes: int = 0
    values_bytes: MutableMapping[int, int] = {}
    branches: dict[int, int] = {}
    held: list[int] = []
    tolerated: tuple[ToleratedError, ...] = ()
    failure: ErrorDocument | None = None
    succeeded_by: int = -1
    pending: MutableMapping[int, tuple[str, ...]] = {}
    next_serials: MutableMapping[int, int] = {}
    called: dict[int, ErrorDocument] = {}
    given: dict[int, Json] = {}
    begun: MutableMapping[int, int] = {}
    retries: MutableMapping[int, tuple[int, ...]] = {}
    undoes: int = -1
    visits: MutableMapping[int, int] = {}
    unresolved: tuple[int, ...] = ()
    due: tuple[int, ...] = ()
    fallbacks: dict[int, int] = {}
    callers: dict[int, int] = {}
    notes: dict[int, tuple[str, ...]] = {}
    children: MutableMapping[int, Child] = {}
    agents: dict[int, Yields] = {}
    layers: MutableMapping[int, int] = {}

    def copy(self) -> GraphState:
        """An independent state: containers are copied, the values in them are immutable."""
        return GraphState(
            self.marks.copy(), self.open_count, self.block, self.first_serial,
            forked(self.joins) if self.joins else {}, [*self.queue],
            forked(self.serials) if self.serials else {}, forked(self.untaken) if self.untaken else {},
            self.values.copy(), self.kept_bytes, forked(self.values_bytes) if self.values_bytes else {},
            self.branches.copy(), [*self.held] if self.held else [], self.tolerated, self.failure, self.succeeded_by,
            forked(self.pending) if self.pending else {}, forked(self.next_serials) if self.next_serials else {},
            self.called.copy(), self.given.copy(), forked(self.begun) if self.begun else {},
            forked(self.retries) if self.retries else {}, self.undoes, forked(self.visits) if self.visits else {},
            self.unresolved, self.due, self.fallbacks.copy() if self.fallbacks else {},
            self.callers.copy() if self.callers else {}, self.notes.copy() if self.notes else {},
            forked(self.children) if self.children else {}, self.agents.copy() if self.agents else {},
            forked(self.layers) if self.layers else {},
        )  # fmt: skip

    def forget(self, node: int) -> None:
        """Drop what is remembered of a node while it is open: that a table is empty, as most are, is sooner seen than
        that the node is not in it."""
        if self.joins:
            self.joins.pop(node, None)
        if self.values_bytes:
            self.values_bytes.pop(node, None)
        if self.called:
            self.called.pop(node, None)
        if self.given:
            self.given.pop(node, None)
        if self.begun:
            self.begun.pop(node, None)
        if self.retries:
            self.retries.pop(node, None)
        if self.agents:
            self.agents.pop(node, None)
        if self.callers:
            self.callers.pop(node, None)

    def serial(self, node: int) -> int:
        return self.serials.get(node, self.first_serial)

    def visit(self, node: int) -> int:
        """The number of a node's visit: the serial of its first run."""
        return self.visits.get(node, self.first_serial)


class ChartState(msgspec.Struct, omit_defaults=True, tag_field="is", tag="chart"):
    """A chart under way. ``configuration``: active states in document order, the chart itself left out.

    - ``chart``: its number in the plan
    - ``history``: by history state, what was active
    - ``internal``: raised events not taken yet; ``deferred``: external ones that wait for another configuration
    - ``next_serials``: where the serials of a block go on when it is visited again
    - ``pending``: ids of what it waits for, by state; -1 for the chart itself
    - ``brought``: names of the variables that events brought; the others are the workflow's own
    """

    chart: int = 0
    configuration: list[int] = []
    variables: dict[str, Json] = {}
    history: dict[int, list[int]] = {}
    internal: list[Raised] = []
    deferred: list[SignalReceived] = []
    next_serials: dict[int, int] = {}
    pending: MutableMapping[int, tuple[str, ...]] = {}
    first_serial: int = 1
    brought: list[str] = []

    def copy(self) -> ChartState:
        return ChartState(
            self.chart,
            [*self.configuration],
            self.variables.copy(),
            self.history.copy(),
            [*self.internal],
            [*self.deferred],
            self.next_serials.copy(),
            forked(self.pending) if self.pending else {},
            self.first_serial,
            [*self.brought],
        )


ScopeState: TypeAlias = GraphState | ChartState | LoopState


def initial_graph_state(plan: Plan, number: int, first_serial: int = 1) -> GraphState:
    """A scope of this block none of whose nodes has been looked at."""
    block = plan.blocks[number]
    marks = bytearray([Mark.WAITING]) * len(block.nodes)
    return GraphState(marks, len(block.nodes) - block.called_count, number, first_serial)
