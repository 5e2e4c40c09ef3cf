"""One turn of the engine: the working set of a single `advance`, and the only place that changes a state.

A turn ends in one of two ways: every decision that the events made possible is taken, or some need values that nobody
has at hand (`Needs`); then the whole turn is thrown away and taken again with them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import msgspec

from workflow_runtime.engine.commands import CancelRun, Command, PublishEvent, Read
from workflow_runtime.engine.names import NodeValue, View, error_value, evaluate
from workflow_runtime.engine.state import ALIVE_MARKS, OPEN_MARKS, STATUS_OF_MARK, ExecutionState, Mark
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.plan import GLOBAL_KINDS, OUTPUTS, BindingKind, EdgeKind, Formula, Json, Plan, looks_through

COMMANDS_MAX = 500  # per commit: keeps a commit far below the 400 KB of an item; the rest waits for the next turn
VALUE_KEPT_BYTES_MAX = 256  # a decision value that may wait in the state for its readers
VALUES_KEPT_BYTES_MAX = 1_024  # all of them together: a write unit of the state's item


class Needs(msgspec.Struct, frozen=True):
    """Recorded runs, and perhaps the globals, that must be read before the events can be decided on."""

    reads: tuple[Read, ...]
    globals: bool = False


class Known(msgspec.Struct, frozen=True):
    """Values fetched for a turn: nodes by index, pruned to their decision paths; ``globals`` as in `View`."""

    nodes: Mapping[int, NodeValue] = {}
    globals: dict[str, Json] | None = None


class ValuesMissing(Exception):
    """Inside the engine only: the decision at hand cannot be taken yet; what it needs is noted on the turn."""


class Turn:
    """See the module. ``ended``: nodes whose outgoing edges are to be resolved; ``due``: nodes whose join is satisfied.

    ``fresh``, ``errors``: outputs and errors of this turn, by node.
    """

    __slots__ = (
        "block", "commands", "due", "ended", "errors", "fresh", "graph", "known", "needs_globals", "needs_nodes",
        "plan", "selections", "state",
    )  # fmt: skip

    def __init__(self, plan: Plan, state: ExecutionState, known: Known) -> None:
        self.plan = plan
        self.block = plan.root
        self.state = state
        self.graph = state.root
        self.known = known
        self.commands: list[Command] = []
        self.ended: deque[int] = deque()
        self.due: deque[int] = deque()
        self.fresh: dict[int, Json] = {}
        self.errors: dict[int, ErrorDocument] = {}
        self.selections: dict[int, tuple[int, ...]] = {}
        self.needs_nodes: set[int] = set()
        self.needs_globals = False

    @property
    def now(self) -> int:
        return self.state.now

    @property
    def needs(self) -> Needs | None:
        if not self.needs_nodes and not self.needs_globals:
            return None
        reads = tuple(Read(node, self.graph.serial(node)) for node in sorted(self.needs_nodes))
        return Needs(reads, self.needs_globals)

    def is_open(self, node: int) -> bool:
        return self.graph.marks[node] in OPEN_MARKS

    def end(self, node: int, mark: Mark) -> None:
        """A node reaches a terminal mark; its edges are resolved later in the turn."""
        graph = self.graph
        graph.marks[node] = mark
        graph.open_count -= 1
        graph.joins.pop(node, None)
        graph.values_bytes.pop(node, None)
        self.ended.append(node)
        if "node" in self.plan.events and not self.block.nodes[node].hidden:
            if self.has_room:
                self._announce(node)
            else:
                graph.unannounced.append(node)

    def cancel(self, node: int) -> None:
        """Order the end of a node's run."""
        if self.has_room:
            self.commands.append(CancelRun(self.block.nodes[node].id, self.graph.serial(node)))
        else:
            self.graph.withdrawn.append(node)

    def catch_up(self) -> None:
        """Order what the commits before had no room for."""
        graph = self.graph
        if graph.withdrawn or graph.unannounced:
            withdrawn, graph.withdrawn = graph.withdrawn, []
            for node in withdrawn:
                self.cancel(node)
            room = max(COMMANDS_MAX - len(self.commands), 0)
            for node in graph.unannounced[:room]:
                self._announce(node)
            del graph.unannounced[:room]

    @property
    def has_room(self) -> bool:
        """Whether this commit may still order something."""
        return len(self.commands) < COMMANDS_MAX

    def _announce(self, node: int) -> None:
        mark = self.graph.marks[node]
        status = STATUS_OF_MARK[mark].value
        verb = "succeeded" if mark == Mark.SUCCESS else status
        self.publish(f"node.{verb}", path=self.block.nodes[node].id, status=status)

    def publish(self, detail_type: str, **detail: Json) -> None:
        self.commands.append(PublishEvent(detail_type, {**detail, "at": self.now}))

    def keep(self, node: int, values: Json) -> None:
        """Remember a node's decision values for this turn."""
        self.fresh[node] = values

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
        nodes: dict[int, NodeValue] = {}
        missing = False
        previous = -1
        wanted = set(operands)
        for formula in formulas:
            wanted.update(formula.nodes)
            if BindingKind.PREVIOUS in formula.kinds:
                previous = self.previous(reader, behind=behind)
                wanted.add(previous)
            if formula.kinds & GLOBAL_KINDS and self.globals is None:
                self.needs_globals = missing = True
        wanted.discard(-1)
        for node in wanted:
            value = self.value(node, any(BindingKind.NODES in formula.kinds for formula in formulas))
            if value is None:
                self.needs_nodes.add(node)
                missing = True
            else:
                nodes[node] = value
        if missing:
            raise ValuesMissing
        place = "~outputs" if reader == OUTPUTS else self.block.nodes[reader].id
        return View(
            plan=self.plan,
            execution_id=self.state.execution_id,
            workflow_version=self.state.workflow_version,
            started_at=self.state.started_at,
            now=self.now,
            place=place,
            nodes=nodes,
            globals=self.globals or {},
            previous=previous,
        )

    @property
    def globals(self) -> dict[str, Json] | None:
        return self.known.globals if self.known.globals is not None else self.state.globals

    def value(self, node: int, with_error: bool) -> NodeValue | None:
        """What is known of a node, or None when its record must be read first."""
        mark = self.graph.marks[node]
        status = STATUS_OF_MARK[mark].value
        if mark == Mark.SUCCESS:
            if node in self.fresh:
                return NodeValue(status, self.fresh[node])
            if node in self.graph.values:
                return NodeValue(status, self.graph.values[node])
            return self.known.nodes.get(node)
        if mark == Mark.FAILED and with_error:
            if node in self.errors:
                return NodeValue(status, error=error_value(self.errors[node]))
            return self.known.nodes.get(node)
        return NodeValue(status)

    def previous(self, node: int, *, behind: bool = False) -> int:
        """The last alive predecessor in dependency order, looking through control nodes; -1 when there is none.

        ``behind``: as a successor of ``node`` sees it, so that it may be the node itself.
        """
        if node == OUTPUTS:
            return -1
        pending = [node] if behind else self._alive_sources(node)
        seen: set[int] = set()
        while pending:
            source = pending.pop()
            if not looks_through(self.block.nodes[source]):
                return source
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
