"""A graph scope at work: one block, its state, and what this turn knows of its nodes."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

from workflow_runtime.engine.commands import Command
from workflow_runtime.engine.names import NodeValue, View, error_value, evaluate
from workflow_runtime.engine.sight import charts_seen
from workflow_runtime.engine.state import ALIVE_MARKS, OPEN_MARKS, STATUS_OF_MARK, ExecutionState, GraphState, Mark
from workflow_runtime.engine.turn import Turn, ValuesMissing
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.formulas import GLOBAL_KINDS, BindingKind, Formula
from workflow_runtime.plan.graph import OUTPUTS, EdgeKind, GraphBlock, looks_through
from workflow_runtime.plan.plan import Plan

if TYPE_CHECKING:
    from workflow_runtime.engine.machine_scope import MachineScope


_GLOBAL_KINDS_IN_CHARTS = GLOBAL_KINDS - {BindingKind.VARIABLES}


class GraphScope:
    """``ended``: nodes whose outgoing edges are to be resolved; ``due``: nodes whose join is satisfied.

    ``fresh``, ``errors``: outputs and errors of this turn, by node. ``machine``: the chart whose graph this is; None at
    the top. ``number``: of its block. Nodes are local indices, unless they are called numbers.
    """

    __slots__ = (
        "block", "due", "ended", "errors", "fresh", "graph", "is_closed", "machine", "number", "selections", "turn",
    )  # fmt: skip

    def __init__(self, turn: Turn, number: int, graph: GraphState, machine: MachineScope | None) -> None:
        self.turn = turn
        self.number = number
        self.block: GraphBlock = turn.plan.blocks[number]
        self.graph = graph
        self.machine = machine
        self.ended: deque[int] = deque()
        self.due: deque[int] = deque()
        self.fresh: dict[int, Json] = {}
        self.errors: dict[int, ErrorDocument] = {}
        self.selections: dict[int, tuple[int, ...]] = {}
        self.is_closed = False

    @property
    def plan(self) -> Plan:
        return self.turn.plan

    @property
    def state(self) -> ExecutionState:
        return self.turn.state

    @property
    def commands(self) -> list[Command]:
        return self.turn.commands

    @property
    def now(self) -> int:
        return self.turn.state.now

    @property
    def has_room(self) -> bool:
        return self.turn.has_room

    @property
    def outer(self) -> GraphScope | None:
        """The graph around this one, whose nodes it may read."""
        return self.machine.outer if self.machine is not None else None

    @property
    def depth(self) -> int:
        return self.machine.depth + 1 if self.machine is not None else 0

    @property
    def global_kinds(self) -> frozenset[BindingKind]:
        """What is read from the globals here: all variables are the innermost chart's, where there is one."""
        return GLOBAL_KINDS if self.machine is None and not self.plan.has_chart else _GLOBAL_KINDS_IN_CHARTS

    def path(self, node: int) -> str:
        return self.block.prefix + self.block.nodes[node].id

    def is_open(self, node: int) -> bool:
        return self.graph.marks[node] in OPEN_MARKS

    def start(self) -> None:
        """Begin the scope: every node without edges is due."""
        for node, (deciding, ordering) in enumerate(self.block.incoming_counts):
            if deciding == ordering == 0 and not self.block.nodes[node].called:
                self.due.append(node)

    def end(self, node: int, mark: Mark) -> None:
        """A node reaches a terminal mark; its edges are resolved later in the turn."""
        graph = self.graph
        if graph.marks[node] != Mark.WAITING or not self.block.nodes[node].called:
            graph.open_count -= 1  # a called node that nobody called was never counted
        graph.marks[node] = mark
        graph.joins.pop(node, None)
        graph.values_bytes.pop(node, None)
        graph.called.pop(node, None)
        self.ended.append(node)
        if "node" in self.turn.plan.events and not self.block.nodes[node].hidden:
            self.turn.announce(self.path(node), STATUS_OF_MARK[mark].value)

    def keep(self, node: int, values: Json) -> None:
        """Remember a node's decision values for this turn."""
        self.fresh[node] = values

    def locate(self, number: int) -> tuple[GraphScope, int]:
        """The scope and local index of a node that is read here: one of this graph or of one around it."""
        scope = self
        while not 0 <= number - scope.block.first < len(scope.block.nodes):
            outer = scope.outer
            assert outer is not None, "the compiler binds names to nodes of enclosing graphs only"
            scope = outer
        return scope, number - scope.block.first

    def evaluate(
        self, formula: Formula, reader: int, locals: Mapping[str, Json] | None = None, *, behind: bool = False
    ) -> Json:
        """The formula's value as ``reader`` sees it (``behind``: as an edge out of it does). Raises `ValuesMissing`,
        `EvaluationError`."""
        return evaluate(formula, self.view((formula,), reader, behind=behind), locals or {})

    def view(
        self, formulas: tuple[Formula, ...], reader: int, operands: tuple[int, ...] = (), *, behind: bool = False
    ) -> View:
        """What these formulas see now. Raises `ValuesMissing` after noting everything that is missing."""
        first = self.block.first
        previous = -1
        wanted = {first + operand for operand in operands}
        with_errors = False
        missing = False
        for formula in formulas:
            wanted.update(formula.nodes)
            if BindingKind.PREVIOUS in formula.kinds:
                previous = self.previous(reader, behind=behind)
                wanted.add(previous)
            with_errors = with_errors or BindingKind.NODES in formula.kinds
            if formula.kinds & self.global_kinds and self.turn.globals is None:
                self.turn.needs_globals = missing = True
        wanted.discard(-1)
        seen = charts_seen(self.turn, self.machine, formulas)
        if seen.lacks and self.turn.globals is None:
            self.turn.needs_globals = missing = True
        nodes = self.nodes(wanted, with_errors=with_errors)
        if missing or nodes is None:
            raise ValuesMissing
        state = self.turn.state
        return View(
            plan=self.turn.plan,
            execution_id=state.execution_id,
            workflow_version=state.workflow_version,
            started_at=state.started_at,
            now=state.now,
            place=f"{self.block.prefix}~outputs" if reader == OUTPUTS else self.path(reader),
            nodes=nodes,
            globals=self.turn.globals or {},
            previous=previous,
            names={**seen.names, **self.told(reader)},
            states=seen.states,
        )

    def told(self, node: int) -> dict[str, Json]:
        """What a called node sees of the one that called it."""
        error = self.graph.called.get(node)
        return {"error": error_value(error), "inputs": {}} if error is not None else {}

    def nodes(self, wanted: set[int], *, with_errors: bool) -> dict[int, NodeValue] | None:
        """What is known of these nodes, by number; None, after noting it, when something must be read first."""
        found: dict[int, NodeValue] | None = {}
        for number in wanted:
            scope, node = self.locate(number)
            value = scope.value(node, with_errors)
            if value is None:
                self.turn.needs_nodes[number] = scope.graph.serial(node)
                found = None
            elif found is not None:
                found[number] = value
        return found

    def value(self, node: int, with_error: bool) -> NodeValue | None:
        """What is known of a node, or None when its record must be read first."""
        mark = self.graph.marks[node]
        status = STATUS_OF_MARK[mark].value
        if mark == Mark.SUCCESS:
            if node in self.fresh:
                return NodeValue(status, self.fresh[node])
            if node in self.graph.values:
                return NodeValue(status, self.graph.values[node])
            return self.turn.known.nodes.get(self.block.first + node)
        if mark == Mark.FAILED and with_error:
            if node in self.errors:
                return NodeValue(status, error=error_value(self.errors[node]))
            return self.turn.known.nodes.get(self.block.first + node)
        return NodeValue(status)

    def previous(self, node: int, *, behind: bool = False) -> int:
        """The number of the last alive predecessor in dependency order, looking through control nodes; -1: none.

        ``behind``: as a successor of ``node`` sees it, so that it may be the node itself.
        """
        if node == OUTPUTS:
            return -1
        pending = [node] if behind else self._alive_sources(node)
        seen: set[int] = set()
        while pending:
            source = pending.pop()
            if not looks_through(self.block.nodes[source]):
                return self.block.first + source
            if source not in seen:
                seen.add(source)
                pending += self._alive_sources(source)
        return -1

    def _alive_sources(self, node: int) -> list[int]:
        """Predecessors over alive edges, in dependency order."""
        found: list[int] = []
        for index in self.block.nodes[node].incoming:
            edge = self.block.edges[index]
            alive = self.graph.marks[edge.source] in ALIVE_MARKS and index not in self.graph.untaken
            if alive and edge.kind is not EdgeKind.ORDER:
                found.append(edge.source)
        return found
