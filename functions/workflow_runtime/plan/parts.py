"""The plan of an execution that runs passes of a loop: that of the workflow, with nothing beside the loop."""

from __future__ import annotations

from msgspec.structs import replace

from workflow_runtime.plan.chart import ChartPlan
from workflow_runtime.plan.graph import GraphBlock, NodePlan
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import LoopSpec
from workflow_runtime.plan.triggers import EventTrigger, Trigger


def part_plan(plan: Plan, loop: int) -> Plan:
    """``loop``: plan-wide number of the loop. All numbers and paths stay as they are.

    The loop runs its passes itself, and leaves to the execution that waits for it what is done about their failure, and
    with their output. Nothing follows it, charts around it hear nothing, and no time is counted.
    """
    number, index = plan.place(loop)
    blocks = list(plan.blocks)
    blocks[number] = _alone(blocks[number], index)
    deaf = _charts_around(plan, number)
    return replace(
        plan,
        root=blocks[0],
        inner=tuple(blocks[1:]),
        input_schema=None,
        output_schema=None,
        timeout_seconds=None,
        triggers=tuple(_unkeyed(trigger) for trigger in plan.triggers),
        charts=tuple(_deaf(chart) if n in deaf else chart for n, chart in enumerate(plan.charts)),
        limits=replace(plan.limits, executions=""),
    )


def _alone(block: GraphBlock, loop: int) -> GraphBlock:
    nodes = tuple(
        _bare(node) if index == loop else replace(node, incoming=(), outgoing=(), called=True)
        for index, node in enumerate(block.nodes)
    )
    return replace(block, nodes=nodes, edges=(), outputs=None, sinks=(loop,))


def _bare(node: NodePlan) -> NodePlan:
    spec = node.spec
    assert isinstance(spec, LoopSpec)
    return NodePlan(
        node.id,
        node.type,
        replace(spec, is_distributed=False),
        name=node.name,
        priority=node.priority,
        decision_paths=node.decision_paths,
    )


def _unkeyed(trigger: Trigger) -> Trigger:
    return replace(trigger, with_key=None) if isinstance(trigger, EventTrigger) else trigger


def _charts_around(plan: Plan, block: int) -> set[int]:
    found: set[int] = set()
    while True:
        around = plan.blocks[block]
        if around.loop >= 0:
            block = plan.place(around.loop)[0]
        elif around.chart >= 0:
            found.add(around.chart)
            node = plan.charts[around.chart].node
            if node < 0:
                return found
            block = plan.place(node)[0]
        else:
            return found | ({0} if plan.has_chart else set())


def _deaf(chart: ChartPlan) -> ChartPlan:
    states = tuple(replace(state, transitions=()) for state in chart.states)
    return replace(chart, states=states, on_unhandled_event="ignore")
