"""What all drawings share: nodes and arrows as people see them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

import msgspec
from msgspec.structs import replace

from workflow_runtime.drawing.analysis import critical_path, levels
from workflow_runtime.language.texts import shorten
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.graph import Edge, EdgeKind, GraphBlock, NodePlan
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import (
    AgentSpec,
    ConditionSpec,
    GatherSpec,
    NodeType,
    SwitchCase,
    SwitchSpec,
    ToolSpec,
)


class Box(msgspec.Struct, frozen=True):
    """A node. ``kind``: agent, tool, aggregation or a control node's subtype; ``detail``: what runs."""

    id: str
    title: str
    kind: str
    detail: str
    status: str
    level: int


class Arrow(msgspec.Struct, frozen=True):
    """``source`` and ``target`` are positions in the picture's boxes. ``orders``: it only makes the target wait.
    ``critical``: it lies on the critical path.
    """

    source: int
    target: int
    label: str = ""
    orders: bool = False
    critical: bool = False


class Picture(msgspec.Struct, frozen=True):
    """``critical``: ids of the nodes on the critical path, from its start."""

    title: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    critical: tuple[str, ...] = ()


def picture(plan: Plan, statuses: Mapping[str, str]) -> Picture:
    """Hidden nodes come last in a plan, so positions of boxes are those of the plan's nodes."""
    depth = levels(plan)
    boxes = tuple(
        Box(
            node.id,
            shorten(node.name or node.id),
            kind_of(node),
            shorten(detail_of(node)),
            statuses.get(node.id, ""),
            depth[position],
        )
        for position, node in enumerate(plan.root.nodes)
        if not node.hidden
    )
    critical = tuple(critical_path(plan).nodes)
    steps = {(plan.root.index[source], plan.root.index[target]) for source, target in pairwise(critical)}
    arrows = dict.fromkeys(
        replace(arrow, critical=(arrow.source, arrow.target) in steps)
        for edge in plan.root.edges
        for arrow in arrows_of(plan.root, edge)
    )
    return Picture(plan.workflow_name or plan.workflow_id, boxes, tuple(arrows), critical)


def kind_of(node: NodePlan) -> str:
    """Agent, tool, aggregation, or a control node's subtype."""
    if node.type is not NodeType.CONTROL:
        return node.type.value
    return str(msgspec.structs.asdict(node.spec) and type(node.spec).__struct_config__.tag)


def detail_of(node: NodePlan) -> str:
    """What a node runs."""
    match node.spec:
        case AgentSpec(agent=target) | ToolSpec(tool=target):
            return str(target.source) if isinstance(target, Formula) else target
    return ""


def arrows_of(block: GraphBlock, edge: Edge) -> Iterator[Arrow]:
    """The arrows of an edge that ends at an authored node; from a hidden one, an arrow from each branch's end."""
    nodes = block.nodes
    if nodes[edge.target].hidden:
        return
    label = _label(block, edge)
    orders = edge.kind is EdgeKind.ORDER
    for source in _visible_sources(block, edge.source):
        first = "first" if source != edge.source else ""
        yield Arrow(source, edge.target, ", ".join(part for part in (first, label) if part), orders)


def _visible_sources(block: GraphBlock, node: int) -> Iterator[int]:
    if not isinstance(block.nodes[node].spec, GatherSpec):
        yield node
        return
    for index in block.nodes[node].incoming:
        yield from _visible_sources(block, block.edges[index].source)


def _label(block: GraphBlock, edge: Edge) -> str:
    parts = []
    if edge.kind is EdgeKind.GATE:
        match block.nodes[edge.source].spec:
            case SwitchSpec(cases=cases):
                parts += [_case(case) for case in cases if edge.target in case.targets]
            case ConditionSpec(then=then, otherwise=otherwise):
                parts += [word for word, targets in (("true", then), ("false", otherwise)) if edge.target in targets]
    gate = " | ".join(parts)
    condition = "" if edge.condition is None else f"if {edge.condition.source}"
    return shorten(" ".join(part for part in (gate, condition) if part))


def _case(case: SwitchCase) -> str:
    if case.when is not None:
        return str(case.when.source)
    if case.values is None:
        return "default"
    return " | ".join(value if isinstance(value, str) else msgspec.json.encode(value).decode() for value in case.values)
