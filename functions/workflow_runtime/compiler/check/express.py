"""Express workflows: what does not fit into one invocation that nothing survives."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.check.express_charts import stuck_states
from workflow_runtime.compiler.collect.sources import Sources
from workflow_runtime.compiler.kinds.kind import named_ids
from workflow_runtime.compiler.report import DocumentPath, Report
from workflow_runtime.definition.nodes.approval import ApprovalNode
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.loop import LoopNode
from workflow_runtime.definition.nodes.wait import WaitNode
from workflow_runtime.definition.nodes.work import AgentNode, SubWorkflowNode, ToolNode
from workflow_runtime.definition.policies import ErrorHandler, RetryPolicy
from workflow_runtime.definition.triggers import EventTrigger
from workflow_runtime.definition.workflow import WorkflowDefinition
from workflow_runtime.plan import policies
from workflow_runtime.plan.catalogue import Catalogue, Effects
from workflow_runtime.plan.express import EXPRESS, EXPRESS_SECONDS_MAX, EXPRESS_WAIT_SECONDS_MAX

PEOPLE = "people take longer than an express execution may"
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
    found = [*_of_workflow(definition), *_of_handlers(definition.error_handlers, sources, catalogue)]
    for chart in sources.charts:
        if chart.node is not None and chart.is_whole:
            found += stuck_states(chart, sources)
    for path, message in found:
        report.add(rules.NOT_EXPRESS, message, path)
    for graph in sources.graphs:
        for position, node in graph.own_nodes:
            if position in graph.handled.values():
                continue  # it stands in no node
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
    if definition.budget is not None and definition.budget.on_exceeded == "ask":
        yield ("budget", "on_exceeded"), f"nobody can be asked for more: {PEOPLE}"


def _of_handlers(handlers: Sequence[ErrorHandler], sources: Sources, catalogue: Catalogue | None) -> Iterator[Problem]:
    """Each by itself: it may be for many nodes."""
    workflows = {workflow for graph in sources.graphs for _, workflow in graph.handled}
    for number, handler in enumerate(handlers):
        place, action = ("error_handlers", number, "action"), handler.action
        if action.type == "escalate":
            yield (*place, "type"), f"nobody can decide about a failure: {PEOPLE}"
        elif action.type == "retry":
            yield from _of_retries(action, place)
        elif action.target in workflows and not _may_await(action.target, catalogue):
            yield (*place, "target"), f"`{action.target}` is not express: nothing would wait for it"


def _of_retries(policy: RetryPolicy, place: DocumentPath) -> Iterator[Problem]:
    delay = _certain_delay(policy.planned)
    if delay > EXPRESS_WAIT_SECONDS_MAX:
        first = policy.planned.delay_before(1)
        field, which = ("retry_delay", "a retry") if first == delay else ("max_retries", "also its last retry")
        yield (*place, field), f"{which} may wait {EXPRESS_WAIT_SECONDS_MAX:g} s, not {delay:g} s"


def _certain_delay(policy: policies.RetryPolicy) -> float:
    """The longest of its delays that it may come to, in seconds. Of delays that are spread at random only the first
    counts, before which no other has taken time."""
    if not policy.max_retries:
        return 0.0
    return policy.delay_before(1) if policy.jitter else policy.longest_delay


def _may_await(workflow: str, catalogue: Catalogue | None) -> bool:
    """Whether it is express, as far as is known."""
    entry = (catalogue.workflows or {}).get(workflow) if catalogue is not None else None
    return entry is None or entry.express


def _of_node(node: NodeDefinition, catalogue: Catalogue | None) -> Iterator[Problem]:
    for number, policy in enumerate(node.retry_policy):
        yield from _of_retries(policy, ("retry_policy", number))
    if node.callback is not None:
        yield ("callback",), "nobody can complete a task token of an execution that is over at once"
    match node:
        case ApprovalNode():
            yield ("type",), PEOPLE
        case WaitNode(event=str()):
            yield ("event",), "an event cannot reach an execution that is over at once"
        case WaitNode(seconds=float() | int() as seconds) if seconds > EXPRESS_WAIT_SECONDS_MAX:
            yield ("seconds",), f"an express execution may wait {EXPRESS_WAIT_SECONDS_MAX:g} s, not {seconds:g} s"
        case LoopNode(distribution="executions"):
            yield ("distribution",), "the passes of an express execution run in its invocation"
        case SubWorkflowNode(wait=True):
            for field, target in named_ids(node.workflow_id, node.allow, "workflow_id"):
                if not _may_await(target, catalogue):
                    yield (field,), f"`{target}` is not express: nothing would wait for it; write `wait: false`"
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
            delay = max(map(_certain_delay, terms.retry), default=0.0)
            if delay > EXPRESS_WAIT_SECONDS_MAX:
                yield (field,), f"a retry {of} may wait {EXPRESS_WAIT_SECONDS_MAX:g} s, not {delay:g} s"
