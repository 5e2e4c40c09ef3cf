"""The scopes at work in a turn: loaded when first touched, and marked when there may be something left to do in them.

A scope is an address, a state, and what this turn knows of it. The state of an execution holds its scopes flat, by
address; what encloses a scope follows from its address and its block. `Scopes` loads one when somebody asks for it,
which copies its state (or decodes what was stored): so a turn may change what it has loaded, and everything else stays
as it was. Who leaves work behind in a scope marks it; `settling` goes through the marked ones only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import UNSET

from workflow_runtime.engine.commands import Read
from workflow_runtime.engine.lifecycle import Mark
from workflow_runtime.engine.passes import Page
from workflow_runtime.engine.scope_states import ScopeState
from workflow_runtime.engine.turn import Turn
from workflow_runtime.engine.values.evaluation import NodeValue
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.addresses import TOP_CHART, TOP_GRAPH, ScopeId
from workflow_runtime.plan.plan import Plan

NOT_GIVEN = UNSET
"""Of a name that a loop gives no value."""

Maker = Callable[["Scopes", ScopeId, Any], "Scope"]


class _WithDefaults(msgspec.Struct, eq=False, kw_only=True):
    """Fields of a scope that have a value from the start; by name only, so that the others can be given in order, which
    takes half the time."""

    is_closed: bool = False
    _outer: Scope | None = None


class Scope(_WithDefaults, eq=False):
    """A scope at work: a graph or a chart, which say what is left open here. It is not an abstract base class, since
    asking of what class a scope is, as every turn does, would then take ten times as long.

    - ``id``: its address
    - ``depth``: in how many scopes it is
    - ``prefix``: starts the paths of what is in it
    - ``is_closed``: it ended in this turn
    """

    scopes: Scopes
    turn: Turn
    plan: Plan
    id: ScopeId
    depth: int
    prefix: str

    @property
    def outer(self) -> Scope | None:
        """The scope around this one, whose nodes and variables may be read here."""
        if self._outer is None and self.outer_id is not None:
            self._outer = self.scopes[self.outer_id]
        return self._outer

    def around(self) -> Iterator[Scope]:
        """This scope and those around it, innermost first; last, the chart at the top."""
        scope: Scope | None = self
        last = self
        while scope is not None:
            yield scope
            last, scope = scope, scope.outer
        top = self.scopes.top_chart
        if top is not None and last is not top:
            yield top

    @property
    def outer_id(self) -> ScopeId | None:
        """Address of the scope around this one; None at the top."""
        raise NotImplementedError

    @property
    def pending(self) -> MutableMapping[int, tuple[str, ...]]:
        """Ids of what is waited for here, by owner: a node, a state, or -1 for the scope."""
        raise NotImplementedError

    def find(self, number: int) -> tuple[Mark, Read]:
        """The mark and the run of a node that may be read here, by its plan-wide number."""
        raise NotImplementedError

    def value_of(self, number: int, *, with_error: bool) -> NodeValue | None:
        """What is known of such a node; None, after noting it, when its record must be read first."""
        raise NotImplementedError

    @property
    def variables(self) -> Mapping[str, Json] | None:
        """The variables of a chart; None for other scopes."""
        return None

    @property
    def state_names(self) -> tuple[frozenset[str], frozenset[str]]:
        """Of a chart: the names of all its states, and of those that are active."""
        return frozenset(), frozenset()

    def given(self, _name: str) -> Json | Page:
        """What a loop's name means in a pass of it; `NOT_GIVEN` everywhere else."""
        return NOT_GIVEN

    def begin(self) -> None:
        """What there is to do when it has been opened; for a chart, its interpreter does it."""

    def given_to(self, _index: int, _name: str) -> Json | Page:
        """What a loop gives to one of its passes."""
        return NOT_GIVEN

    def kept_inside(self) -> Iterable[ScopeId]:
        """Addresses of scopes inside that have ended but are still remembered."""
        return ()

    def close(self) -> None:
        """Cancel everything in it, from outside. Its state stays with the caller."""
        raise NotImplementedError

    def next_serial(self) -> int:
        """The first serial that no run in it has had."""
        raise NotImplementedError


class Scopes(msgspec.Struct, eq=False):
    """``marked``: scopes in which something may be left to do, in the order it came up; ``loaded``: those that this
    turn has touched and that are still there."""

    turn: Turn
    _makers: Mapping[type[ScopeState], Maker]
    marked: dict[ScopeId, Scope] = {}
    loaded: dict[ScopeId, Scope] = {}

    def __contains__(self, id: ScopeId) -> bool:
        return id in self.turn.state.scopes

    def __getitem__(self, id: ScopeId) -> Scope:
        """A live scope, loaded if it was not yet. Raises `KeyError`."""
        scope = self.loaded.get(id)
        return self._make(id, self.turn.state.touch(id)) if scope is None else scope

    def get(self, id: ScopeId) -> Scope | None:
        scope = self.loaded.get(id)
        if scope is None and id in self.turn.state.scopes:
            scope = self._make(id, self.turn.state.touch(id))
        return scope

    def touched(self, id: ScopeId) -> Scope | None:
        """A scope that this turn has touched; None if it has not, or if there is none."""
        return self.loaded.get(id)

    @property
    def root(self) -> Scope:
        """The graph at the top."""
        return self[TOP_GRAPH]

    @property
    def top_chart(self) -> Scope | None:
        """The chart at the top while it is at work."""
        chart = self.get(TOP_CHART) if self.turn.plan.has_chart else None
        return chart if chart is not None and not chart.is_closed else None

    def catch_up(self) -> None:
        """Order what the commits before had no room for."""
        if self.turn.state.unannounced:
            self.mark(self.root)  # its end may have waited for them
        self.turn.catch_up()

    def open(self, id: ScopeId, state: ScopeState) -> Scope:
        """A new scope begins. None is there under this address."""
        assert id not in self.turn.state.scopes, f"scope {id!r} is at work already"
        self.turn.state.scopes[id] = state
        scope = self._make(id, state)
        scope.begin()
        return scope

    def close(self, scope: Scope) -> None:
        """A scope ends, and is forgotten."""
        scope.close()
        self.forget(scope)

    def forget(self, scope: Scope) -> None:
        """Nothing of a scope that has ended is needed any more, nor of what has ended inside it."""
        for inner in scope.kept_inside():
            self.forget(self[inner])
        del self.turn.state.scopes[scope.id]
        del self.loaded[scope.id]
        self.turn.state.queued.pop(scope.id, None)
        self.turn.state.crowded.pop(scope.id, None)
        self.marked.pop(scope.id, None)

    def mark(self, scope: Scope) -> None:
        """There may be something left to do in it."""
        self.marked[scope.id] = scope

    def unmark(self, scope: Scope) -> None:
        """All that was left to do in it is done."""
        self.marked.pop(scope.id, None)

    def take_marked(self, kind: type[Scope]) -> list[Any]:
        """The marked scopes of a kind, whose work the caller does; outer ones first."""
        marked = self.marked
        found = [*marked.values()]
        if len(found) == 1:  # as nearly always
            if type(found[0]) is not kind:
                return []
            marked.clear()
            return found
        found = [scope for scope in found if type(scope) is kind]
        if len(found) == len(marked):
            marked.clear()
        else:
            for scope in found:
                del marked[scope.id]
        if len(found) > 1:
            found.sort(key=_depth)
        return found

    def release(self) -> None:
        """The turn is over. Scopes and this refer to each other; without that, their memory is free at once instead of
        when the garbage is next collected, which costs more than a turn may.
        """
        self.marked.clear()
        self.loaded.clear()

    def _make(self, id: ScopeId, state: ScopeState) -> Scope:
        scope = self.loaded[id] = self._makers[type(state)](self, id, state)
        return scope


_depth = attrgetter("depth")
