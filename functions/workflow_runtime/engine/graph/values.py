"""A graph at work as others read it: its block and state, what is known of its nodes, what `${previous}` means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from workflow_runtime.engine.commands import Read
from workflow_runtime.engine.lifecycle import (
    ALIVE_MARKS,
    FAILED_MARKS,
    MARKS,
    STATUS_OF_MARK,
    SUCCESS,
    WAITING,
    Mark,
)
from workflow_runtime.engine.passes import Page
from workflow_runtime.engine.scope_states import GraphState
from workflow_runtime.engine.scopes import NOT_GIVEN, Scope, Scopes
from workflow_runtime.engine.tables import NO_ENTRIES
from workflow_runtime.engine.values.evaluation import NodeValue, error_value
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.addresses import TOP_CHART, ScopeId, pass_of
from workflow_runtime.plan.edges import EdgeKind
from workflow_runtime.plan.graph import OUTPUTS, GraphBlock, looks_through


class GraphValues(Scope):
    """A graph scope, as others read it. Nodes are local indices, unless they are called numbers.

    - ``fresh``, ``errors``: outputs and errors of this turn, by node
    - ``stand_ins``: nodes whose output is that of another
    """

    block: GraphBlock
    graph: GraphState
    fresh: Mapping[int, Json] = NO_ENTRIES
    errors: Mapping[int, ErrorDocument] = NO_ENTRIES
    stand_ins: Mapping[int, int] = NO_ENTRIES

    @classmethod
    def of(cls, scopes: Scopes, id: ScopeId, graph: GraphState) -> Self:
        """The graph at this address, in this state."""
        turn = scopes.turn
        plan = turn.plan
        block, depth, is_lone = plan.standings[graph.block]
        prefix = f"{id}/" if id else ""
        if is_lone:
            prefix = id[: len(id) - len(block.nodes[0].id)]
        return cls(scopes, turn, plan, id, depth, prefix, block, graph)

    @property
    def outer_id(self) -> ScopeId | None:
        """The loop whose pass this is, or the chart that runs this graph: its prefix is this one's without the name of
        the state. Of a compensation, the chart at the top, as it is when the execution ends."""
        if self.graph.undoes >= 0:
            return TOP_CHART if self.plan.has_chart else None
        if self.block.loop >= 0:
            return pass_of(self.id)[0]
        if self.block.chart < 0:
            return None
        named = len(self.block.prefix) - len(self.plan.charts[self.block.chart].prefix)
        return self.prefix[: len(self.prefix) - named].rstrip("/") or TOP_CHART

    def path(self, node: int) -> str:
        return self.prefix + self.block.nodes[node].id

    def stands_in_for(self, node: int) -> int:
        """The node in whose place this one runs, as its fallback; -1: it runs for itself."""
        if not self.graph.fallbacks:
            return -1
        return next((own for own, other in self.graph.fallbacks.items() if other == node), -1)

    def given(self, name: str) -> Json | Page:
        if self.block.loop < 0 or self.graph.undoes >= 0:
            return NOT_GIVEN
        loop, index = pass_of(self.id)
        loop_scope = self.scopes[loop]
        return loop_scope.given_to(index, name)

    def nodes(self, wanted: set[int], *, with_errors: bool) -> dict[int, NodeValue] | None:
        """What is known of these nodes, by number; None, after noting it, when something must be read first."""
        found: dict[int, NodeValue] = {}
        complete = True
        for number in wanted:
            value = self.value_of(number, with_error=with_errors)
            if value is None:
                complete = False
            else:
                found[number] = value
        return found if complete else None

    def _holds(self, number: int) -> bool:
        return 0 <= number - self.block.first < len(self.block.nodes)

    def _enclosing(self) -> Scope:
        outer = self.outer
        assert outer is not None, "the compiler binds names to nodes of enclosing graphs only"
        return outer

    @property
    def undone(self) -> Read | None:
        """Of a compensation: the run that it undoes."""
        if self.graph.undoes < 0:
            return None
        visit = self.turn.state.undo[self.graph.undoes]
        return Read(visit.number, visit.serial, visit.prefix)

    def _found_by_compensation(self, number: int, undone: Read) -> tuple[Mark, Read]:
        """A node that a compensation names: the one that it undoes, or one of the graph at the top. Another that it can
        undo has not run, as far as this visit is concerned."""
        if number == undone.node:
            return SUCCESS, undone
        root = self.scopes.root
        assert isinstance(root, GraphValues)
        return root.find(number) if root._holds(number) else (WAITING, Read(number, 0))

    def find(self, number: int) -> tuple[Mark, Read]:
        if (undone := self.undone) is not None and not self._holds(number):
            return self._found_by_compensation(number, undone)
        if not self._holds(number):
            return self._enclosing().find(number)
        node = number - self.block.first
        return MARKS[self.graph.marks[node]], Read(number, self.graph.serial(node), self.prefix)

    def value_of(self, number: int, *, with_error: bool) -> NodeValue | None:
        if not self._holds(number):
            return self._enclosing().value_of(number, with_error=with_error)
        node = number - self.block.first
        mark = self.graph.marks[node]
        status = STATUS_OF_MARK[mark].value
        if mark == SUCCESS:
            if node in self.fresh:
                return NodeValue(status, self.fresh[node])
            if node in self.graph.values:
                return NodeValue(status, self.graph.values[node])
            if node in self.stand_ins:
                return self.value_of(self.block.first + self.stand_ins[node], with_error=with_error)
            return self._recorded(number, node)
        if mark in FAILED_MARKS and with_error:
            if node in self.errors:
                return NodeValue(status, error=error_value(self.errors[node]))
            return self._recorded(number, node)
        return NodeValue(status)

    def _recorded(self, number: int, node: int) -> NodeValue | None:
        read = Read(number, self.graph.serial(node), self.prefix)
        value = self.turn.known.nodes.get(read)
        if value is None:
            self.turn.lacks().nodes[read] = None
        return value

    def previous(self, node: int, *, behind: bool = False) -> int:
        """The number of what ``${previous}`` means at a node; -1: nothing. ``behind``: as a successor of the node sees
        it, so that it may be the node itself. At the start of a pass it is what it means at the loop."""
        if node == OUTPUTS:
            return -1
        original = self.stands_in_for(node)
        found = previous(self.block, self.graph, original if original >= 0 else node, behind=behind)
        if found >= 0 or self.block.loop < 0:
            return found
        around = self._enclosing().outer
        assert isinstance(around, GraphValues)
        return around.previous(self.plan.place(self.block.loop)[1])


def previous(block: GraphBlock, graph: GraphState, node: int, *, behind: bool) -> int:
    """The number of the last alive predecessor in dependency order, looking through control nodes; -1: none.

    ``behind``: as a successor of ``node`` sees it, so that it may be the node itself.
    """
    pending = [node] if behind else _alive_sources(block, graph, node)
    seen: set[int] = set()
    while pending:
        source = pending.pop()
        if not looks_through(block.nodes[source]):
            return block.first + source
        if source not in seen:
            seen.add(source)
            pending += _alive_sources(block, graph, source)
    return -1


def _alive_sources(block: GraphBlock, graph: GraphState, node: int) -> list[int]:
    """Predecessors over alive edges, in dependency order."""
    found: list[int] = []
    for index in block.nodes[node].incoming:
        edge = block.edges[index]
        alive = graph.marks[edge.source] in ALIVE_MARKS and index not in graph.untaken
        if alive and edge.kind is not EdgeKind.ORDER:
            found.append(edge.source)
    return found
