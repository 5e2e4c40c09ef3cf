"""The plan of an execution that makes one call of an agent: of a tool, or of another agent, as a node."""

from __future__ import annotations

from msgspec.structs import replace

from workflow_runtime.plan.formulas import Binding, BindingKind, Formula
from workflow_runtime.plan.graph import GraphBlock, NodePlan
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.policies import CallTerms
from workflow_runtime.plan.specs import AgentSpec, NodeType, ToolSpec

CALL = "call"
"""Id of its only node."""
TOOL, AGENT, ONCE = "tool", "agent", "once"
"""What is called, as orders say it: a tool, an agent, or a tool whose call must not happen twice; its id follows, after
a colon."""
_INPUT = (Binding("execution", BindingKind.EXECUTION),)


def call_plan(workflow_id: str, call: str, terms: CallTerms, *, express: bool) -> Plan:
    """It has one node, so that it has a pool, a queue, attempts and a timeout like any other. Its input are the
    arguments, its output is what the call gives."""
    kind, _, target = call.partition(":")
    if kind == AGENT:
        agent = AgentSpec(target, prompt=Formula("${execution.input.prompt}", _INPUT), has_no_session=True)
        node = NodePlan(CALL, NodeType.AGENT, agent)
    else:
        tool = ToolSpec(target, once=kind == ONCE)
        node = NodePlan(CALL, NodeType.TOOL, tool, inputs=Formula("${execution.input}", _INPUT))
    node = replace(
        node,
        pool=terms.pool or node.type.value,
        timeout_seconds=terms.timeout_seconds,
        retry=terms.retry,
        decision_paths=((),),
    )
    return Plan(workflow_id, GraphBlock((node,), (), sinks=(0,)), express=express)
