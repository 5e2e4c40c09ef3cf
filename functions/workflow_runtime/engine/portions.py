"""Where an execution begins that runs passes of another one's loop: in the scopes around it, as they stand there.

Nothing else is at work in those scopes: of their nodes only those have ended well that the passes read, and the loop
runs. What those nodes came to is recorded with the new execution, too.
"""

from __future__ import annotations

from msgspec.structs import replace

from workflow_runtime.engine.lifecycle import READABLE_MARKS, Mark
from workflow_runtime.engine.passes import LoopState, Passes, Portion
from workflow_runtime.engine.scope_states import ChartState, GraphState, ScopeState
from workflow_runtime.engine.state import ExecutionState, Part
from workflow_runtime.plan.addresses import TOP_CHART, TOP_GRAPH, ScopeId, static_path
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import LoopSpec

Run = tuple[str, int]
"""Path and serial of a recorded run."""


def part_of(plan: Plan, state: ExecutionState, portion: Portion) -> Part | None:
    """How the execution begins that runs these passes. None: the loop is over."""
    if portion.loop not in state.scopes:
        return None
    place = plan.locate(portion.loop)
    assert place is not None, "the loop is at work"
    spec = plan.blocks[place.block].nodes[place.node].spec
    assert isinstance(spec, LoopSpec)
    scopes: dict[ScopeId, ScopeState] = {}
    for address, held in state.all_scopes():
        if address == portion.loop:
            assert isinstance(held, LoopState)
            scopes[address] = _loop(held, portion)
        elif _is_around(address, portion.loop):
            scopes[address] = _around(plan, address, held, portion.loop, spec)
    return Part(portion.loop, scopes)


def runs_read(plan: Plan, part: Part) -> list[Run]:
    """The runs that its passes read of the scopes around it."""
    return [
        (_prefix(address) + node.id, graph.serial(index))
        for address, graph in part.scopes.items()
        if isinstance(graph, GraphState)
        for index, node in enumerate(plan.blocks[graph.block].nodes)
        if graph.marks[index] in READABLE_MARKS
    ]


def _is_around(address: ScopeId, loop: str) -> bool:
    return address in (TOP_GRAPH, TOP_CHART) or loop.startswith((f"{address}/", f"{address}["))


def _loop(held: LoopState, portion: Portion) -> LoopState:
    items = replace(held.items, first=portion.first) if held.items is not None else None
    passes = Passes(portion.count, first_serial=held.passes.first_serial)
    return LoopState(held.node, passes, items=items, portion=portion)


def _around(plan: Plan, address: ScopeId, held: ScopeState, loop: str, spec: LoopSpec) -> ScopeState:
    match held:
        case ChartState():
            return ChartState(
                held.chart,
                held.configuration[:],
                held.variables,
                first_serial=held.first_serial,
                brought=held.brought[:],
            )
        case LoopState():
            return LoopState(
                held.node,
                Passes(held.passes.count, held.passes.begun, first_serial=held.passes.first_serial),
                items=held.items,
                open_count=1,
                is_over=True,
                collected=held.collected.copy(),
                portion=held.portion,
            )
        case GraphState():
            return _graph(plan, address, held, loop, spec)


def _graph(plan: Plan, address: ScopeId, held: GraphState, loop: str, spec: LoopSpec) -> GraphState:
    """A graph in which nothing runs but what the loop is in."""
    block = plan.blocks[held.block]
    marks = bytearray([Mark.SKIPPED]) * len(block.nodes)
    for number in spec.reads:
        node = number - block.first
        if 0 <= node < len(marks) and held.marks[node] in READABLE_MARKS:
            marks[node] = held.marks[node]
    step = static_path(loop[len(_prefix(address)) :]).partition("/")[0]
    running = next((node for node, each in enumerate(block.nodes) if each.id == step), -1)
    if running >= 0:
        marks[running] = Mark.RUNNING
    return GraphState(
        marks,
        int(running >= 0),
        held.block,
        held.first_serial,
        serials=dict(held.serials),
        visits=dict(held.visits),
        begun={running: held.begun[running]} if running in held.begun else {},
    )


def _prefix(address: ScopeId) -> str:
    return f"{address}/" if address else ""
