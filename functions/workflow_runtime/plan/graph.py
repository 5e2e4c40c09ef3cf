"""Graph blocks: nodes and `edges` by index, and what can be read off them without running anything."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import TypeVar

import msgspec

from workflow_runtime.plan.edges import ORDER, Edge, EdgeKind, Join, JoinKind, Way, quorum
from workflow_runtime.plan.formulas import PREVIOUS, BindingKind, Formula, formulas_in
from workflow_runtime.plan.policies import ErrorRule, NodeHandler, RetryPolicy
from workflow_runtime.plan.specs import (
    AggregationSpec,
    ApprovalSpec,
    CallbackPlan,
    ConditionSpec,
    GatherSpec,
    LoopSpec,
    MachineSpec,
    NodeType,
    ParallelSpec,
    Spec,
    SucceedSpec,
    SwitchSpec,
    WaitSpec,
)

V = TypeVar("V")

FALLBACK = "~fallback"
"""Ends the id of a node that is defined as another one's fallback."""


class NodePlan(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """One node.

    - ``incoming``: edge indices in dependency order; ``outgoing``: in file order of the targets
    - ``pool``: the worker pool that runs it; None: the dispatcher does, without a queue hop
    - ``decision_paths``: the paths of its output that decisions read (``()`` is the whole): its worker attaches their
      values
    - ``called``: it runs only when another node's rule calls it (it has no edges, and is skipped if nobody does)
    - ``max_wait_seconds``: how long an attempt may wait for a worker to begin it
    - ``limiters``: those that its attempts take of, by name; ``cost_tokens``: how many tokens one is expected to need
    - ``retry``: the first policy that is for an error counts; ``on_error``: the first rule
    - ``handlers``: those of the workflow that are for this node, in order
    - ``fallback``: the node that runs once in its place when it has failed
    - ``compensate``: number of the block that undoes it; -1: nothing does
    - ``output_fields``, ``shape``: the two forms of the definition's ``outputs``; at most one is set
    """

    id: str
    type: NodeType
    spec: Spec
    incoming: tuple[int, ...] = ()
    outgoing: tuple[int, ...] = ()
    join: Join = Join()
    pool: str | None = None
    name: str = ""
    inputs: Formula | None = None
    output_fields: tuple[str, ...] | None = None
    shape: Formula | None = None
    when: Formula | None = None
    continue_on_skip: bool = False
    timeout_seconds: float | None = None
    priority: int = 0
    decision_paths: tuple[tuple[str, ...], ...] = ()
    called: bool = False
    retry: tuple[RetryPolicy, ...] = ()
    on_error: tuple[ErrorRule, ...] = ()
    fallback: int = -1
    handlers: tuple[NodeHandler, ...] = ()
    compensate: int = -1
    max_wait_seconds: float | None = None
    limiters: tuple[str, ...] = ()
    cost_tokens: int = 0
    callback: CallbackPlan | None = None

    @property
    def hidden(self) -> bool:
        """Whether the author has written no such node."""
        return isinstance(self.spec, GatherSpec) or self.is_fallback

    @property
    def is_fallback(self) -> bool:
        """Whether it is defined as another one's fallback."""
        return self.id.endswith(FALLBACK)

    @cached_property
    def decision_formulas(self) -> tuple[Formula, ...]:
        """What the dispatcher evaluates when this node is due, edge conditions apart."""
        rendered: tuple[object, ...] = (self.spec, self.inputs, self.shape)
        if self.pool is not None:
            rendered = () if self.callback is None else (self.shape,)  # by then its worker has gone
        return tuple(formulas_in((self.when, *rendered)))

    @cached_property
    def locals_read(self) -> frozenset[str]:
        """Of a node that others call, or that undoes others: what it reads of those: `inputs`, `output`, `error`."""
        read = (binding for formula in formulas_in((self.inputs, self.spec)) for binding in formula.bindings)
        return frozenset(binding.name for binding in read if binding.kind is BindingKind.LOCAL)

    @property
    def reads_callers_inputs(self) -> bool:
        """Of a node that others call: whether it reads what they were given."""
        return "inputs" in self.locals_read

    @cached_property
    def worker_formulas(self) -> tuple[Formula, ...]:
        """What is evaluated where the node runs: by a worker, or by a collector in the dispatcher's place."""
        return tuple(formulas_in((self.inputs, self.shape, self.spec)))

    @cached_property
    def operands(self) -> tuple[int, ...]:
        """Indices of the nodes that an aggregation puts together."""
        return self.spec.operands if isinstance(self.spec, AggregationSpec) else ()

    @cached_property
    def reads(self) -> bool:
        """Whether it may read anything where it runs, what the node that calls it was given included."""
        return bool(self.worker_formulas or self.operands or self.locals_read)


class ByNode(dict[int, V]):
    """What is derived of the nodes of a graph, of each when it is first asked for: most executions of a large one that
    a process meets go through a part of it only."""

    __slots__ = ("derive",)

    def __init__(self, derive: Callable[[int], V]) -> None:
        super().__init__()
        self.derive = derive

    def __missing__(self, node: int) -> V:
        found = self[node] = self.derive(node)
        return found


def _incoming_counts(nodes: tuple[NodePlan, ...], edges: tuple[Edge, ...], node: int) -> tuple[int, int]:
    incoming = nodes[node].incoming
    ordering = sum(edges[index].kind is ORDER for index in incoming)
    return len(incoming) - ordering, ordering


def _chooses(nodes: tuple[NodePlan, ...], edges: tuple[Edge, ...], node: int) -> bool:
    out = (edges[index] for index in nodes[node].outgoing)
    return any(edge.kind is not EdgeKind.FLOW or edge.condition is not None for edge in out)


class GraphBlock(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """A graph scope: nodes, edges, and what it yields.

    Its nodes have local indices here, and plan-wide numbers (``first`` plus index) wherever formulas and orders name
    them.

    - ``prefix``: starts the paths of its nodes
    - ``chart``: the chart that runs it, -1 at the top
    - ``state``: the state whose `run` it is, or that owns the call it is
    - ``loop``: plan-wide number of the loop whose body it is
    - ``outputs``: the author's template; without it ``sinks`` decide (one: its output; several: an object by node id of
      those that succeeded; none: null)
    """

    nodes: tuple[NodePlan, ...]
    edges: tuple[Edge, ...]
    sinks: tuple[int, ...] = ()
    outputs: Formula | None = None
    first: int = 0
    prefix: str = ""
    chart: int = -1
    state: int = -1
    loop: int = -1

    @cached_property
    def index(self) -> dict[str, int]:
        """Node index by id."""
        return {node.id: position for position, node in enumerate(self.nodes)}

    def callable_by(self, node: int) -> tuple[int, ...]:
        """The nodes that a failure of this one may call."""
        plan = self.nodes[node]
        targets = [plan.fallback, *(own.target for own in plan.handlers), *(rule.target for rule in plan.on_error)]
        if isinstance(plan.spec, WaitSpec | ApprovalSpec):
            targets.append(plan.spec.timeout_target)
        if isinstance(plan.spec, ApprovalSpec):
            targets.append(plan.spec.reject_target)
        return tuple(target for target in targets if target >= 0)

    @cached_property
    def loops(self) -> frozenset[int]:
        """The nodes that are loops."""
        return frozenset(position for position, node in enumerate(self.nodes) if isinstance(node.spec, LoopSpec))

    @cached_property
    def segments(self) -> dict[int, tuple[int, ...]]:
        """What may run in place after a node, as far as anybody has asked for it (`plan.segments`)."""
        return {}

    @cached_property
    def final(self) -> frozenset[int]:
        """The nodes that complete the scope."""
        return frozenset(position for position, node in enumerate(self.nodes) if isinstance(node.spec, SucceedSpec))

    @cached_property
    def contributors(self) -> tuple[int, ...]:
        """The nodes that its output may be made of."""
        numbers = self.outputs.nodes if self.outputs is not None else ()
        named = {number - self.first for number in numbers if 0 <= number - self.first < len(self.nodes)}
        return tuple(sorted({*named, *self.final, *(() if self.outputs is not None else self.sinks)}))

    @cached_property
    def called_count(self) -> int:
        return sum(node.called for node in self.nodes)

    @cached_property
    def incoming_counts(self) -> ByNode[tuple[int, int]]:
        """Per node: how many edges decide (flow and gate), and how many only order."""
        return ByNode(partial(_incoming_counts, self.nodes, self.edges))

    def way(self, index: int) -> Way | None:
        """Of the edge of this index; None of one to a node that is not the first of its layer."""
        edge = self.edges[index]
        layer = self.layer(edge.target)
        if edge.target != layer[0]:
            return None
        join, counts = self.nodes[edge.target].join, self.incoming_counts[edge.target]
        suffices = counts == (1, 0) and join.count <= 1
        return Way(index, edge.target, edge.kind is ORDER, quorum(join, counts[0]), suffices, tuple(layer[1:]))

    @cached_property
    def ways(self) -> ByNode[tuple[Way, ...]]:
        """Per node: those of the edges out of it."""
        return ByNode(lambda node: tuple(filter(None, map(self.way, self.nodes[node].outgoing))))

    def layer(self, node: int) -> range:
        """The nodes next to each other in the file, this one among them, that wait for all of the same nodes, whatever
        those yield: their joins are met, or lost, by the same event, so that one count is enough for all of them.
        """
        found = self._layers.get(node)
        if found is None:
            sources = self._sources(node)
            first = last = node
            if sources:
                while first > 0 and self._sources(first - 1) == sources:
                    first -= 1
                while last + 1 < len(self.nodes) and self._sources(last + 1) == sources:
                    last += 1
            found = range(first, last + 1)
            self._layers.update(dict.fromkeys(found, found))
        return found

    @cached_property
    def _layers(self) -> dict[int, range]:
        """By node, as far as anybody has asked."""
        return {}

    def _sources(self, node: int) -> tuple[int, ...]:
        """What the node waits for, if that is all it needs and nothing but how those end decides; nothing otherwise."""
        plan = self.nodes[node]
        if plan.join.kind is not JoinKind.ALL or len(plan.incoming) < 2:  # of one, nothing is counted
            return ()
        edges = [self.edges[index] for index in plan.incoming]
        if any(edge.kind is not EdgeKind.FLOW or self.choices[edge.source] for edge in edges):
            return ()
        return tuple(sorted(edge.source for edge in edges))

    @cached_property
    def choices(self) -> ByNode[bool]:
        """Per node: whether an edge of it may be dead though it has succeeded."""
        return ByNode(partial(_chooses, self.nodes, self.edges))

    @cached_property
    def limited_heads(self) -> dict[int, int]:
        """Of parallels with ``max_concurrency``: the parallel's index by branch head."""
        return {
            head: index
            for index, node in enumerate(self.nodes)
            if isinstance(node.spec, ParallelSpec) and node.spec.max_concurrency
            for head in node.spec.branches
        }

    @cached_property
    def limited_members(self) -> dict[int, tuple[int, ...]]:
        """Of parallels with ``max_concurrency``: the heads of the branches that a node belongs to."""
        found: dict[int, tuple[int, ...]] = {}
        for head, index in self.limited_heads.items():
            spec = self.nodes[index].spec
            if isinstance(spec, ParallelSpec):
                for member in spec.members[spec.branches.index(head)]:
                    found[member] = (*found.get(member, ()), head)
        return found

    @cached_property
    def readers(self) -> tuple[tuple[int, ...], ...]:
        """Per node: who decides something by its output: nodes (for an edge condition, the edge's source), or
        `OUTPUTS`.
        """
        found: list[set[int]] = [set() for _ in self.nodes]
        for reader, node in enumerate(self.nodes):
            for formula in node.decision_formulas:
                self._note(found, formula, reader)
            if isinstance(node.spec, AggregationSpec):
                for operand in node.spec.operands:
                    found[operand].add(reader)
            if isinstance(node.spec, SucceedSpec):
                found[reader].add(OUTPUTS)
            if isinstance(node.spec, (MachineSpec, LoopSpec)):
                for source in node.spec.reads:
                    self._note_source(found, source, reader)
        for edge in self.edges:
            if edge.condition is not None:
                self._note(found, edge.condition, edge.source)
        if self.outputs is not None:
            self._note(found, self.outputs, OUTPUTS)
        else:
            for sink in self.sinks:
                found[sink].add(OUTPUTS)
        return tuple(tuple(sorted(readers)) for readers in found)

    def _note(self, found: list[set[int]], formula: Formula, reader: int) -> None:
        for binding in formula.bindings:
            if binding.node >= 0:
                self._note_source(found, binding.node, reader)
            elif binding.kind is PREVIOUS and reader != OUTPUTS:
                for source in self.nodes_before(reader):
                    found[source].add(reader)

    def _note_source(self, found: list[set[int]], number: int, reader: int) -> None:
        """Nodes of graphs around this one have the node that holds this one for a reader, there."""
        if 0 <= number - self.first < len(self.nodes):
            found[number - self.first].add(reader)

    def yields(self, succeeded_by: int) -> tuple[Formula | None, tuple[int, ...]]:
        """What the scope's output is made of: a formula, or nodes' outputs (see `sinks`).

        ``succeeded_by``: the succeed node that ended the scope (-1: none did); its own ``output``, if given, is the
        scope's.
        """
        if succeeded_by >= 0:
            spec = self.nodes[succeeded_by].spec
            if isinstance(spec, SucceedSpec) and spec.output is not None:
                return None, (succeeded_by,)
        return self.outputs, () if self.outputs is not None else self.sinks

    def nodes_before(self, node: int) -> tuple[int, ...]:
        """What ``previous`` may mean at ``node``: predecessors in dependency order, control nodes looked through."""
        found: dict[int, None] = {}
        looked_through: set[int] = set()
        pending = list(reversed(self.nodes[node].incoming))
        while pending:
            edge = self.edges[pending.pop()]
            if edge.kind is EdgeKind.ORDER or edge.source in looked_through:
                continue
            if looks_through(self.nodes[edge.source]):
                looked_through.add(edge.source)
                pending += reversed(self.nodes[edge.source].incoming)
            else:
                found[edge.source] = None
        return tuple(found)


OUTPUTS = -1
"""Stands for the scope's outputs where a reader is a node index."""


def looks_through(node: NodePlan) -> bool:
    """Whether ``previous`` and aggregations look through this node, upward to what ran before it."""
    return isinstance(node.spec, (SwitchSpec, ConditionSpec, ParallelSpec, GatherSpec))
