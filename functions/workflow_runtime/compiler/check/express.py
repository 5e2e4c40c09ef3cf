"""Express workflows: what does not fit into one invocation that nothing survives."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.collect.sources import Sources
from workflow_runtime.compiler.kinds.kind import named_ids
from workflow_runtime.compiler.report import DocumentPath, Report
from workflow_runtime.definition.nodes.approval import ApprovalNode
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.loop import LoopNode
from workflow_runtime.definition.nodes.wait import WaitNode
from workflow_runtime.definition.nodes.work import AgentNode, SubWorkflowNode, ToolNode
from workflow_runtime.definition.triggers import EventTrigger
from workflow_runtime.definition.workflow import WorkflowDefinition
from workflow_runtime.plan.catalogue import Catalogue, Effects
from workflow_runtime.plan.express import EXPRESS, EXPRESS_SECONDS_MAX, EXPRESS_WAIT_SECONDS_MAX

NO_SESSION = "an express execution has no sessions, as it may run again from its start"
Problem = tuple[DocumentPath, str]


def check_express(
    definition: WorkflowDefinition,
    sources: Sources,
    catalogue: Catalogue | None,
    pools: Collection[str] | None,
    report: Report,
) -> None:
    """``pools``: the worker pools of a deployment; None: there may be any."""
    if definition.durability != EXPRESS:
        return
    if pools is not None and EXPRESS not in pools:
        message = f"this deployment does not run express workflows: it has no pool `{EXPRESS}`"
        report.add(rules.NO_EXPRESS_HERE, message, ("durability",))
    for path, message in _of_workflow(definition):
        report.add(rules.NOT_EXPRESS, message, path)
    for graph in sources.graphs:
        for position, node in graph.own_nodes:
            for path, message in _of_node(node, catalogue):
                report.add(rules.NOT_EXPRESS, f"`{node.id}`: {message}", graph.at(position, *path))


def _of_workflow(definition: WorkflowDefinition) -> Iterator[Problem]:
    if definition.type != "dag":
        yield ("type",), f"a workflow of type `{definition.type}` waits for events; only `dag` can be express"
    if definition.timeout is not None and definition.timeout > EXPRESS_SECONDS_MAX:
        yield ("timeout",), f"an express execution may take {EXPRESS_SECONDS_MAX:g} s, not {definition.timeout:g} s"
    for position, trigger in enumerate(definition.triggers):
        if isinstance(trigger, EventTrigger) and trigger.correlate is not None:
            yield ("triggers", position, "correlate"), "an event cannot reach an execution that is over at once"


def _of_node(node: NodeDefinition, catalogue: Catalogue | None) -> Iterator[Problem]:
    for number, policy in enumerate(node.retry_policy):
        delay = min(policy.retry_delay, policy.max_delay)
        if delay > EXPRESS_WAIT_SECONDS_MAX:
            message = f"a retry may wait {EXPRESS_WAIT_SECONDS_MAX:g} s, not {delay:g} s"
            yield ("retry_policy", number, "retry_delay"), message
    if node.callback is not None:
        yield ("callback",), "nobody can complete a task token of an execution that is over at once"
    match node:
        case ApprovalNode():
            yield ("type",), "people take longer than an express execution may"
        case WaitNode(event=str()):
            yield ("event",), "an event cannot reach an execution that is over at once"
        case WaitNode(seconds=float() | int() as seconds) if seconds > EXPRESS_WAIT_SECONDS_MAX:
            yield ("seconds",), f"an express execution may wait {EXPRESS_WAIT_SECONDS_MAX:g} s, not {seconds:g} s"
        case LoopNode(distribution="executions"):
            yield ("distribution",), "the passes of an express execution run in its invocation"
        case SubWorkflowNode(wait=True, workflow_id=str() as target):
            entry = (catalogue.workflows or {}).get(target) if catalogue is not None else None
            if entry is not None and not entry.express:
                yield ("workflow_id",), f"`{target}` is not express: nothing would wait for it; write `wait: false`"
        case AgentNode(pool=str()) | ToolNode(pool=str()):
            yield ("pool",), "an express execution runs in the pool `express`"
        case AgentNode(session=str()):
            yield ("session",), NO_SESSION
        case AgentNode():
            yield from _of_agents(node, catalogue)
        case ToolNode(tool=str() as tool):
            known = catalogue.tools.get(tool) if catalogue is not None else None
            if known is not None and known.declares_effects and known.effects is Effects.ONCE:
                yield ("tool",), f"`{tool}` is declared `once`, and an express execution may run twice"
        case _:
            pass


def _of_agents(node: AgentNode, catalogue: Catalogue | None) -> Iterator[Problem]:
    """What is known of those that a node may run."""
    known = catalogue.agents if catalogue is not None else {}
    for field, agent in ((field, known[id]) for field, id in named_ids(node.agent, node.allow, "agent") if id in known):
        if agent.has_session and node.session is None:
            yield (field,), f"`{agent.id}` has a session, and {NO_SESSION}; write `session: false`"
        for terms in agent.call_terms:
            of = f"of a call of `{agent.id}`"
            if terms.pool:
                yield (field,), f"the `pool` {of} is not used: an express execution runs in the pool `express`"
            delay = max((min(policy.delay, policy.max_delay) for policy in terms.retry), default=0)
            if delay > EXPRESS_WAIT_SECONDS_MAX:
                yield (field,), f"a retry {of} may wait {EXPRESS_WAIT_SECONDS_MAX:g} s, not {delay:g} s"
