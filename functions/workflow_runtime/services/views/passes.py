"""Which scopes and runs of an execution are shown, where its loops have more passes than anybody looks at.

Of a plan without loops that is every block and every run. With loops the runs are asked for one by one, since their
serials are known: of live scopes from the state, of passes that have ended from what is remembered of them, in the
state or with the run of the loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from workflow_runtime.engine.codec import current
from workflow_runtime.engine.passes import LoopState, PassEnd, Passes
from workflow_runtime.engine.scope_states import GraphState, ScopeState
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.waiting import path_in
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.addresses import ScopeId, pass_address, static_path
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import MachineSpec
from workflow_runtime.ports import Attribute
from workflow_runtime.storage.records import Run
from workflow_runtime.storage.runs import RunStore

PASSES_SHOWN = 100  # of a loop, in a document; further ones are asked for page by page
NODES_SHOWN_MAX = 2_000  # in passes, all loops together
RUNS_READ_AT_ONCE = 1_000


class Scope(msgspec.Struct, frozen=True):
    """A graph that is, or was, at work: the number of its block, its address, and its state while it has one.
    ``first_serial``, ``serials``: of the runs in a pass that has succeeded; 0: they are to be looked for."""

    block: int
    address: ScopeId
    graph: GraphState | None = None
    first_serial: int = 0
    serials: Mapping[int, int] = {}


class LoopView(msgspec.Struct, frozen=True):
    """How far a loop is. ``open``: passes at work."""

    passes: Passes
    open: int

    def json(self) -> dict[str, Json]:
        passes = self.passes
        return {
            "total": passes.count if passes.count >= 0 else None,
            "done": passes.succeeded + passes.failed,
            "succeeded": passes.succeeded,
            "failed": passes.failed,
            "running": self.open,
        }


class Page(msgspec.Struct, frozen=True):
    """Passes of the loop at a path: so many, from ``start`` on."""

    loop: str
    start: int
    limit: int


class Shown(msgspec.Struct):
    """``scopes`` in the order they are shown; ``held``: their runs, with what is held of their outputs; ``loops``: by
    path."""

    scopes: list[Scope] = []
    held: list[tuple[Run, Attribute]] = []
    loops: dict[str, LoopView] = {}


class PassFinder:
    """Of the scopes in a state, those that are shown alone are decoded: a loop may have a thousand passes at work."""

    def __init__(self, plan: Plan, state: ExecutionState | None, runs: RunStore, id: str) -> None:
        self._plan = plan
        self._state = current(plan, state) if state is not None else None
        self._runs = runs
        self._execution_id = id
        self._budget = NODES_SHOWN_MAX

    def document(self) -> Shown:
        """All scopes outside of loops, and the first passes of each loop."""
        shown = Shown()
        outside = [number for number, around in enumerate(self._plan.loops_around) if not around]
        scopes = [self._scope(number, self._plan.block_address(number)) for number in outside]
        self._show(shown, scopes, None)
        return shown

    def page(self, page: Page) -> Shown | None:
        """Some passes of a loop, and the first ones of those inside. None: it is not a loop, or has not begun."""
        place = self._plan.locate(page.loop)
        if place is None or place.node not in self._plan.blocks[place.block].loops:
            return None
        held = self._runs.list_held(self._execution_id, page.loop)
        view = self._loop(page.loop, {run.path: run for run, _ in held})
        if view is None:
            return None
        shown = Shown(loops={page.loop: view})
        node = self._plan.blocks[place.block].first + place.node
        self._show(shown, self._passes(node, page.loop, view.passes, page.start, page.limit), page.limit)
        return shown

    def _show(self, shown: Shown, scopes: Sequence[Scope], limit: int | None) -> None:
        pending = deque([scopes])
        while pending:
            group = pending.popleft()
            held = self._read(group)
            shown.scopes += group
            shown.held += held
            newest = {run.path: run for run, _ in held}
            for scope in group:
                pending += self._inside(shown, scope, newest, limit)

    def _inside(
        self, shown: Shown, scope: Scope, newest: Mapping[str, Run], limit: int | None
    ) -> Iterator[Sequence[Scope]]:
        """What is shown of the loops of a scope and, where these are passes, of its charts."""
        block = self._plan.blocks[scope.block]
        for index in sorted(block.loops):
            path = path_in(self._plan, scope.block, scope.address, index)
            view = self._loop(path, newest)
            if view is not None:
                shown.loops[path] = view
                yield self._passes(block.first + index, path, view.passes, 0, limit or PASSES_SHOWN)
        for index, node in enumerate(block.nodes if self._plan.loops_around[scope.block] else ()):
            if isinstance(node.spec, MachineSpec):
                path = path_in(self._plan, scope.block, scope.address, index)
                yield [
                    self._scope(number, path + self._plan.block_address(number)[len(static_path(path)) :])
                    for number, inner in enumerate(self._plan.blocks)
                    if inner.chart == node.spec.chart
                ]

    def _loop(self, path: str, newest: Mapping[str, Run]) -> LoopView | None:
        """What is known of a loop: in the state, or with its run."""
        live = self._live(path)
        if isinstance(live, LoopState):
            return LoopView(live.passes, live.open_count)
        run = newest.get(path)
        return LoopView(run.passes, 0) if run is not None and run.passes is not None else None

    def _passes(self, loop: int, path: str, passes: Passes, start: int, limit: int) -> list[Scope]:
        block, index = self._plan.place(loop)
        spec = self._plan.blocks[block].nodes[index].spec
        number: int = spec.body  # type: ignore[union-attr]  # it is a loop
        size = max(len(self._plan.blocks[number].nodes), 1)
        count = max(min(limit, self._budget // size), 0)
        self._budget -= count * size
        found = []
        for place in range(start, min(start + count, passes.begun)):
            scope = self._scope(number, pass_address(path, place))
            if scope.graph is None:
                first = passes.serial(place) if passes.end(place) is PassEnd.SUCCESS else 0
                scope = msgspec.structs.replace(scope, first_serial=first, serials=passes.serials.get(place, {}))
            found.append(scope)
        return found

    def _scope(self, number: int, address: ScopeId) -> Scope:
        live = self._live(address)
        return Scope(number, address, live if isinstance(live, GraphState) else None)

    def _live(self, address: ScopeId) -> ScopeState | None:
        return self._state.look(address) if self._state is not None and address in self._state.scopes else None

    def _read(self, scopes: Sequence[Scope]) -> list[tuple[Run, Attribute]]:
        wanted: list[tuple[str, int]] = []
        held: list[tuple[Run, Attribute]] = []
        for scope in scopes:
            for index in range(len(self._plan.blocks[scope.block].nodes)):
                path = path_in(self._plan, scope.block, scope.address, index)
                if scope.graph is not None:
                    serial = scope.graph.serial(index)
                    wanted += [(path, serial - 1)] if serial > scope.graph.visit(index) else []
                    wanted.append((path, serial))
                elif scope.first_serial:
                    wanted.append((path, scope.serials.get(index, scope.first_serial)))
                else:
                    held += self._runs.list_held(self._execution_id, path)
        for start in range(0, len(wanted), RUNS_READ_AT_ONCE):
            held += self._runs.held_at(self._execution_id, wanted[start : start + RUNS_READ_AT_ONCE])
        return held


def passes_text(progress: Mapping[str, Json]) -> str:
    """How far a loop is, in few words."""
    total = "" if progress["total"] is None else f" of {progress['total']:,}"
    failed = f", {progress['failed']:,} failed" if progress["failed"] else ""
    return f"{progress['done']:,}{total} done{failed}"
