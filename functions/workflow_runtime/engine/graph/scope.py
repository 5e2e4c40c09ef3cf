"""A graph scope at work: its nodes on their way, and what formulas in it see."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Set
from functools import partial

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine import pending
from workflow_runtime.engine.commands import Command, RecordNode
from workflow_runtime.engine.graph.undone import seen_of
from workflow_runtime.engine.graph.values import GraphValues
from workflow_runtime.engine.identity import child_execution_id
from workflow_runtime.engine.lifecycle import (
    NEXT_MARKS,
    OPEN_MARKS,
    SKIPPED_MARKS,
    STATUS_OF_MARK,
    WAITING,
    Change,
    Mark,
)
from workflow_runtime.engine.tables import NO_ENTRIES, NO_MEMBERS, entered, included
from workflow_runtime.engine.turn import ValuesMissing
from workflow_runtime.engine.values.evaluation import View, doubt_text, error_value, evaluate
from workflow_runtime.engine.values.visibility import NOTHING_SEEN, Seen, charts_seen, loops_seen
from workflow_runtime.engine.visits import Original, Undoable
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan import segments
from workflow_runtime.plan.addresses import ScopeId
from workflow_runtime.plan.edges import Edge
from workflow_runtime.plan.formulas import GLOBAL_KINDS, PREVIOUS, BindingKind, Formula
from workflow_runtime.plan.graph import OUTPUTS
from workflow_runtime.plan.specs import LoopSpec

NOTES_MAX = 10  # of a node, and
NOTED_NODES_MAX = 100  # of a graph: they are for people, and the state has more important things to hold

_GLOBAL_KINDS_IN_CHARTS = GLOBAL_KINDS - {BindingKind.VARIABLES}


class GraphScope(GraphValues):
    """A graph scope and what is left to do in it. Nodes are local indices, unless they are called numbers.

    - ``moved``: nodes whose mark has changed in this turn
    - ``covered``: nodes that have succeeded by others, which have compensations of their own
    - ``ended``: nodes whose outgoing edges are to be resolved
    - ``due``: nodes whose join is satisfied
    - ``selections``: by node that chooses, the nodes that it has chosen in this turn
    """

    moved: set[int] = msgspec.field(default_factory=set)
    covered: Set[int] = NO_MEMBERS
    ended: deque[int] = msgspec.field(default_factory=deque)
    due: deque[int] = msgspec.field(default_factory=deque)
    selections: Mapping[int, tuple[int, ...]] = NO_ENTRIES

    @property
    def commands(self) -> list[Command]:
        return self.turn.commands

    @property
    def pending(self) -> MutableMapping[int, tuple[str, ...]]:
        return self.graph.pending

    @property
    def global_kinds(self) -> frozenset[BindingKind]:
        """What is read from the globals here: all variables are the innermost chart's, where there is one."""
        return GLOBAL_KINDS if self.block.chart < 0 and not self.plan.has_chart else _GLOBAL_KINDS_IN_CHARTS

    def is_open(self, node: int) -> bool:
        return self.graph.marks[node] in OPEN_MARKS

    def is_uncalled(self, node: int) -> bool:
        """Whether the node is only there to be called, and nobody has."""
        return self.block.nodes[node].called and self.graph.marks[node] == WAITING

    def change(self, node: int, change: Change) -> None:
        """The node moves on in its lifecycle. A change that is not in the table is a bug of the engine: `KeyError`."""
        self.moved.add(node)
        marks = self.graph.marks
        marks[node] = NEXT_MARKS[change][marks[node]]

    def begin(self) -> None:
        """Every node without edges is due."""
        self.due.extend(node for node, plan in enumerate(self.block.nodes) if not plan.incoming and not plan.called)
        self.scopes.mark(self)

    def end(self, node: int, change: Change) -> None:
        """A node's visit ends; its edges are resolved later in the turn."""
        graph, plan = self.graph, self.block.nodes[node]
        if not (plan.called and self.is_uncalled(node)):
            graph.open_count -= 1  # a called node that nobody called was never counted
        self.change(node, change)
        graph.forget(node)
        if graph.children and change is Change.SUCCEED:
            graph.children.pop(node, None)
        is_covered = bool(graph.fallbacks) and self._is_undone_by_fallback(node)
        if is_covered:
            self.covered = included(self.covered, node)
        if type(plan.spec) is LoopSpec and change not in (Change.FAIL, Change.CANCEL):
            self.forget_inside(node)
        if graph.notes:
            self._record_notes(node)
        self.ended.append(node)
        self.scopes.mark(self)
        if plan.compensate >= 0 and change is Change.SUCCEED and not is_covered:
            self.turn.state.undo += (Undoable(self.block.first + node, graph.serial(node), self.prefix),)
        if "node" in self.plan.events and not plan.hidden:
            self.turn.announce(self.path(node), STATUS_OF_MARK[graph.marks[node]].value)

    def _is_undone_by_fallback(self, node: int) -> bool:
        """Whether what ran in the place of a node that ends, if anything did, has a compensation of its own."""
        fallback = self.graph.fallbacks.pop(node, -1)
        return fallback >= 0 and (self.block.nodes[fallback].compensate >= 0 or fallback in self.covered)

    def _record_notes(self, node: int) -> None:
        """What was noted of a node that was skipped has no run to be recorded with, and a record of its own."""
        graph = self.graph
        notes = graph.notes.pop(node, ())
        if notes and graph.marks[node] in SKIPPED_MARKS and self.turn.has_room:
            skip = RecordNode(self.path(node), graph.serial(node), self.turn.now, warnings=notes, skipped=True)
            self.commands.append(skip)
            graph.serials[node] = skip.serial + 1  # if it runs later, it has another record

    def attempt(self, node: int) -> int:
        """The number of the attempt at hand, of a node that the dispatcher runs itself."""
        retries = self.graph.retries
        return 1 + sum(retries[node]) if node in retries else 1

    def cancel_run(self, node: int) -> None:
        """Have the run of a node that has begun, or was ordered, recorded as cancelled."""
        path, graph = self.path(node), self.graph
        run = path, graph.serial(node)
        if self.turn.state.segments and graph.marks[node] == Mark.READY and node not in graph.serials:
            after = [each for each in segments.after(self.block, node) if each not in graph.serials]
            if after:
                self.turn.look_at_segment(*run)
            undone = [(self.path(each), graph.serial(each)) for each in after if self.block.nodes[each].compensate >= 0]
            self.turn.followers = entered(self.turn.followers, run, undone)
            self.renumber(after)
        if self.turn.state.takes_early:
            self.turn.order_no_longer(*run)
        if node in graph.fallbacks or graph.marks[node] in (Mark.RETRYING, Mark.QUEUED):
            self.turn.idle = included(self.turn.idle, run)
        original = self.stands_in_for(node)
        while original >= 0 and self.block.nodes[original].compensate < 0:
            original = self.stands_in_for(original)
        if original >= 0:
            begun = graph.begun.get(original, 0)
            stood_in_for = Original(
                self.path(original), graph.serial(original), begun, self.attempt(original), self.child(original)
            )
            self.turn.originals = entered(self.turn.originals, run, stood_in_for)
        self.turn.cancel(*run, graph.begun.get(node, 0), self.child(node))

    def renumber(self, nodes: Iterable[int]) -> None:
        """Give what nodes have not done yet another record than the one that a worker may have made of it in place."""
        for node in nodes:
            if node not in self.graph.serials:
                self.graph.serials[node] = self.graph.visits[node] = self.graph.first_serial + 1

    def child(self, node: int) -> str:
        """The execution that the node has started; "" if there is none."""
        child = self.graph.children.get(node)
        if child is None:
            return ""
        return child_execution_id(self.turn.state.execution_id, child.order, child.workflow_id)

    def stop(self, node: int) -> None:
        """End what a running or retrying node waits for, and the scope inside it. The node itself keeps its mark.

        The progress of a loop is remembered if its graph fails, or ends early: it may go on later.
        """
        pending.drop_owned(self, node)
        inner = self.scopes.get(self.path(node))
        if inner is None or inner is self:  # a called tool or agent, and a compensation, has the path of its scope
            return
        if isinstance(self.block.nodes[node].spec, LoopSpec) and (self.is_closed or self.graph.failure is not None):
            inner.close()
        else:
            self.scopes.close(inner)
        self.graph.next_serials[node] = inner.next_serial()

    def kept_inside(self) -> Iterator[ScopeId]:
        return (self.path(node) for node in self.block.loops if self.path(node) in self.scopes)

    def forget_inside(self, node: int) -> None:
        """A loop of this graph does not go on where it was."""
        inner = self.scopes.get(self.path(node))
        if inner is not None:
            self.graph.next_serials[node] = inner.next_serial()
            self.scopes.forget(inner)

    def put_aside(self) -> None:
        """The execution is suspended: what is left to do here waits until it is resumed."""
        self.graph.unresolved += tuple(self.ended)
        self.graph.due += tuple(self.due)

    def take_up(self) -> None:
        """The execution goes on, with what was left to do."""
        self.ended.extend(self.graph.unresolved)
        self.due.extend(self.graph.due)
        self.graph.unresolved = self.graph.due = ()

    def close(self) -> None:
        graph = self.graph
        self.is_closed = True
        for node, mark in enumerate(graph.marks if graph.open_count else ()):
            if mark not in OPEN_MARKS:
                continue
            if mark == Mark.READY:
                self.turn.state.in_flight -= 1
            elif mark in (Mark.RUNNING, Mark.RETRYING):
                self.stop(node)
            elif mark == Mark.ESCALATED:
                self.turn.state.escalated = None
            if mark in (Mark.READY, Mark.RUNNING) or node in graph.retries:
                self.cancel_run(node)
            self.change(node, Change.DROP if mark == WAITING else Change.CANCEL)
            if mark != WAITING:
                self.turn.announce(self.path(node), "cancelled")
        graph.open_count = 0
        graph.queue.clear()
        graph.unresolved = graph.due = ()
        graph.values_bytes.clear()
        graph.begun.clear()
        graph.retries.clear()
        graph.agents.clear()
        graph.fallbacks.clear()
        graph.callers.clear()
        graph.notes.clear()
        self.forget_values()
        self.due.clear()
        self.ended.clear()

    def forget_values(self) -> None:
        """Nobody decides anything by the outputs of its nodes any more."""
        self.turn.state.kept_bytes -= self.graph.kept_bytes
        self.graph.kept_bytes = 0
        self.graph.values.clear()

    def next_serial(self) -> int:
        graph = self.graph
        return max([max([graph.first_serial, *graph.serials.values()]) + 1, *graph.next_serials.values()])

    def keep(self, node: int, values: Json) -> None:
        """Remember a node's decision values for this turn."""
        self.fresh = entered(self.fresh, node, values)

    def note(self, node: int, text: str) -> None:
        """Something that the run of an open node is to tell people."""
        notes = self.graph.notes
        if node == OUTPUTS or not self.is_open(node) or (node not in notes and len(notes) >= NOTED_NODES_MAX):
            return
        if len(found := notes.get(node, ())) < NOTES_MAX and text not in found:
            notes[node] = (*found, text)

    def evaluate(self, formula: Formula, reader: int, locals: Mapping[str, Json] | None = None) -> Json:
        """The formula's value as ``reader`` sees it. Raises `ValuesMissing`, `EvaluationError`."""
        return evaluate(formula, self.view((formula,), reader), locals or {})

    def holds(self, edge: Edge) -> bool:
        """Whether the condition of an edge, if it has one, is true. Raises `ValuesMissing`, `EvaluationError`."""
        if edge.condition is None:
            return True
        view = self.view((edge.condition,), edge.source, behind=True)
        return bool(evaluate(edge.condition, replace(view, doubt=partial(self._doubt, edge.target))))

    def _doubt(self, node: int, comparison: str) -> None:
        self.note(node, doubt_text(comparison))

    def view(
        self, formulas: tuple[Formula, ...], reader: int, operands: tuple[int, ...] = (), *, behind: bool = False
    ) -> View:
        """What these formulas see now, as ``reader`` sees it (``behind``: as an edge out of it does). Raises
        `ValuesMissing` after noting everything that is missing."""
        first = self.block.first
        previous = -1
        wanted = {first + operand for operand in operands}
        with_errors = False
        missing = False
        for formula in formulas:
            wanted.update(formula.nodes)
            if PREVIOUS in formula.kinds:
                previous = self.previous(reader, behind=behind)
                wanted.add(previous)
            with_errors = with_errors or BindingKind.NODES in formula.kinds
            if formula.kinds & self.global_kinds and self.turn.globals is None:
                self.turn.lacks().globals = missing = True
        wanted.discard(-1)
        seen = self.seen(formulas)
        if seen.lacks and self.turn.globals is None:
            self.turn.lacks().globals = missing = True
        given, pages = loops_seen(self.around(), formulas) if self.plan.has_loops else ({}, {})
        nodes = self.nodes(wanted, with_errors=with_errors)
        if missing or nodes is None:
            raise ValuesMissing
        state = self.turn.state
        return View(
            plan=self.turn.plan,
            execution_id=state.execution_id,
            workflow_version=state.workflow_version,
            reopened=state.attempt - 1,
            started_at=state.started_at,
            now=state.now,
            place=f"{self.prefix}~outputs" if reader == OUTPUTS else self.path(reader),
            nodes=nodes,
            globals=self.turn.globals or {},
            previous=previous,
            names={**seen.names, **given, **self.turn.read(pages), **self.told(reader)},
            states=seen.states,
            doubt=partial(self._doubt, reader),
        )

    def seen(self, formulas: tuple[Formula, ...]) -> Seen:
        """What these formulas see of the charts around."""
        return charts_seen(self.plan, self.around(), formulas) if self.plan.charts else NOTHING_SEEN

    def told(self, node: int) -> dict[str, Json]:
        """What a called node sees of the one that called it; a compensation, of the execution's end."""
        if self.graph.undoes >= 0:
            undoing = self.turn.state.undoing
            assert undoing is not None, "compensations run while the execution is being compensated"
            seen = self._seen_of_undone(node)
            return {"error": error_value(undoing.error) if undoing.error is not None else None, **seen}
        error = self.graph.called.get(node)
        if error is None:
            return {}
        plan, inputs = self.block.nodes[node], {}
        caller = self.block.nodes[self.graph.callers[node]] if node in self.graph.callers else None
        if plan.pool is None and plan.reads_callers_inputs and caller is not None and caller.inputs is not None:
            inputs = self.evaluate(caller.inputs, self.graph.callers[node])
        return {"error": error_value(error), "inputs": inputs}

    def _seen_of_undone(self, node: int) -> dict[str, Json]:
        """What a compensation that the dispatcher runs itself sees of the visit that it undoes. Raises
        `ValuesMissing`."""
        plan, undone = self.block.nodes[node], self.undone
        is_asked = plan.pool is None and undone is not None and plan.locals_read
        return seen_of(self.turn, undone) if is_asked and undone is not None else {}
