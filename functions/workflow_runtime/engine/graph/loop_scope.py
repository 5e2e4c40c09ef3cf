"""A loop at work: its state, and its passes as far as this turn has touched them."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

import msgspec

from workflow_runtime.engine import pending
from workflow_runtime.engine.commands import Read
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.lifecycle import Mark
from workflow_runtime.engine.passes import Log, LoopState, Page, PassEnd
from workflow_runtime.engine.scope_states import GraphState, initial_graph_state
from workflow_runtime.engine.scopes import NOT_GIVEN, Scope, Scopes
from workflow_runtime.engine.values.evaluation import NodeValue
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.addresses import ScopeId, pass_address
from workflow_runtime.plan.graph import GraphBlock
from workflow_runtime.plan.specs import LoopSpec


class LoopScope(Scope, kw_only=True):
    """A loop at work.

    - ``node``: index of the loop in the graph around it
    - ``body``: the graph that it repeats
    - ``ended``: passes that succeeded in this turn
    """

    node: int
    body: GraphBlock
    spec: LoopSpec
    loop: LoopState
    ended: dict[int, GraphScope] = msgspec.field(default_factory=dict)

    @classmethod
    def of(cls, scopes: Scopes, id: ScopeId, loop: LoopState) -> LoopScope:
        """The loop at this address, in this state."""
        turn, plan = scopes.turn, scopes.turn.plan
        number, node = plan.place(loop.node)
        spec = plan.blocks[number].nodes[node].spec
        assert isinstance(spec, LoopSpec)
        return cls(
            scopes=scopes,
            turn=turn,
            plan=plan,
            id=id,
            depth=plan.standings[number][1] + 1,
            prefix=f"{id}/",
            node=node,
            body=plan.blocks[spec.body],
            spec=spec,
            loop=loop,
        )

    @property
    def outer_id(self) -> ScopeId | None:
        return self.id.rpartition("/")[0]

    @property
    def around_it(self) -> GraphScope:
        """The graph that the loop is a node of."""
        outer = self.outer
        assert isinstance(outer, GraphScope)
        return outer

    @property
    def pending(self) -> MutableMapping[int, tuple[str, ...]]:
        """By pass."""
        return self.loop.pending

    def find(self, number: int) -> tuple[Mark, Read]:
        return self.around_it.find(number)

    def value_of(self, number: int, *, with_error: bool) -> NodeValue | None:
        return self.around_it.value_of(number, with_error=with_error)

    def begin(self) -> None:
        self.scopes.mark(self)

    def pass_id(self, index: int) -> ScopeId:
        return pass_address(self.id, index)

    def pass_state(self, index: int) -> GraphState:
        """A pass none of whose nodes has been looked at."""
        return initial_graph_state(self.plan, self.spec.body, self.loop.passes.serial(index))

    def look(self, index: int, state: GraphState) -> GraphScope:
        """A pass as it would be in this state: to be looked at only, it is not at work."""
        return GraphScope.of(self.scopes, self.pass_id(index), state)

    def open_passes(self) -> Iterator[int]:
        """Those that are at work, in order."""
        left = self.loop.open_count
        for index in self.loop.passes.having(PassEnd.NONE) if left else ():
            if self.pass_id(index) in self.scopes:
                yield index

    def given_to(self, index: int, name: str) -> Json | Page:
        """What a name means that the loop gives to a pass; see `plan.BindingKind.LOOP`."""
        items = self.loop.items
        if name == "index":
            return index + (items.first if items is not None else 0)
        if name == "iterations":
            return self.values(self.loop.collected)
        if name == "previous_iteration":
            return self._last(self.loop.collected)
        if items is None or name not in ("item", "current", self.spec.name):
            return NOT_GIVEN
        return items.of(index)

    def values(self, log: Log) -> list[Json]:
        """All values of a log. Raises `ValuesMissing`."""
        return [value for key in log.pages for value in self.turn.blob(key)] + log.tail

    def _last(self, log: Log) -> Json:
        if log.tail:
            return log.tail[-1]
        return self.turn.blob(log.pages[-1])[-1] if log.pages else None

    def fail(self, index: int, error: ErrorDocument) -> None:
        """The failure of a pass fails the loop when it is settled; of several, that of the lowest pass."""
        if self.loop.failure is None or index < self.loop.failed_pass:
            self.loop.failed_pass, self.loop.failure = index, error

    def close(self) -> None:
        """Cancel its passes. What it remembers stays, so that it can go on later."""
        for index in list(self.open_passes()):
            self.close_pass(self.scopes[self.pass_id(index)])
        pending.drop_all(self)
        self.loop.failed_pass, self.loop.failure = -1, None
        self.loop.retries.clear()
        state = self.turn.state
        state.queued.pop(self.id, None)
        state.crowded.pop(self.id, None)
        state.open_passes -= self.loop.open_count
        self.loop.open_count = 0
        self.is_closed = True

    def close_pass(self, scope: Scope) -> None:
        """A pass is over, however it ended; it still counts as open."""
        assert isinstance(scope, GraphScope)
        self.scopes.close(scope)
        self.loop.next_serial = max(self.loop.next_serial, scope.next_serial())  # what ended inside counts by now

    def next_serial(self) -> int:
        return max(self.loop.next_serial, self.loop.passes.first_serial + 1)
