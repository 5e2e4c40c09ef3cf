"""What is recorded of an execution as spans. Nothing is read and nothing is sent here."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from workflow_runtime.engine.identity import span_id, trace_id
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.state import Parent
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.lookup import node_of
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import AgentSpec, NodeType, ToolSpec
from workflow_runtime.services.tracing import names
from workflow_runtime.storage.records import Header, Run, RunStatus
from workflow_runtime.storage.steps import Step

MODEL_STEP = "model"
TOOL_STEP = "tool:"
ENDED_RUNS = (RunStatus.SUCCESS, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.YIELDED)

Value = str | int | float | bool
NO_CONTENT: Mapping[str, str] = {}


class Link(msgspec.Struct, frozen=True):
    """Another span that has to do with one."""

    trace_id: str
    span_id: str


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A span: where it belongs, what it is called, when it was (epoch ms), and what there is to say of it.

    ``parent_id`` "": it is the root of its trace. ``failed``: its status is an error.
    """

    trace_id: str
    span_id: str
    parent_id: str = ""
    name: str
    started_at: int
    ended_at: int
    attributes: dict[str, Value] = {}
    failed: bool = False
    links: tuple[Link, ...] = ()


def execution_span(plan: Plan, header: Header, now: int) -> Span:
    """The root of an execution's trace. ``now``: its end as far as that is known, while it runs."""
    id = header.execution_id
    attributes: dict[str, Value] = {
        names.OPERATION: names.INVOKE_WORKFLOW,
        names.EXECUTION: id,
        names.WORKFLOW: header.workflow_id,
        names.VERSION: header.workflow_version,
        names.CORRELATION: header.correlation_id,
        names.STATUS: header.status.value,
    }
    if header.tenant:
        attributes[names.TENANT] = header.tenant
    return Span(
        trace_id=trace_id(id),
        span_id=span_id(id),
        name=f"workflow {plan.workflow_name or header.workflow_id}",
        started_at=header.started_at,
        ended_at=header.ended_at or now,
        attributes=attributes | _error(header.error),
        failed=header.status is ExecutionStatus.FAILED,
        links=_parent_link(header.parent),
    )


def run_span(plan: Plan, execution_id: str, run: Run, content: Mapping[str, str] = NO_CONTENT) -> Span | None:
    """A node's run, with its ``content``, if that is wanted; None if it has not ended, or nothing ran."""
    if run.status not in ENDED_RUNS or not run.started_at:
        return None
    node = node_of(plan, run.path)
    attributes: dict[str, Value] = {
        names.EXECUTION: execution_id,
        names.NODE: run.path,
        names.SERIAL: run.serial,
        names.ATTEMPT: run.attempt,
        names.STATUS: run.status.value,
    }
    if node is not None:
        attributes[names.NODE_TYPE] = node.type.value
        if isinstance(node.spec, AgentSpec):
            attributes |= {names.OPERATION: names.INVOKE_AGENT} | _named(names.AGENT, node.spec.agent)
        elif isinstance(node.spec, ToolSpec):
            attributes |= {names.OPERATION: names.EXECUTE_TOOL} | _named(names.TOOL, node.spec.tool)
    if run.child:
        attributes[names.CHILD] = run.child
    return Span(
        trace_id=trace_id(execution_id),
        span_id=span_id(execution_id, run.path, run.serial),
        parent_id=span_id(execution_id),
        name=run.path,
        started_at=run.started_at,
        ended_at=max(run.ended_at, run.started_at),
        attributes={**attributes, **_usage(run.usage), **_error(run.error), **content},
        failed=run.status is RunStatus.FAILED,
        links=(Link(trace_id(run.child), span_id(run.child)),) if run.child else (),
    )


def runs_agent(plan: Plan, path: str) -> bool:
    """Whether the node of this path runs an agent."""
    node = node_of(plan, path)
    return node is not None and node.type is NodeType.AGENT


def step_span(
    execution_id: str, path: str, visit: int, step: Step, content: Mapping[str, str] = NO_CONTENT
) -> Span | None:
    """A model request or tool call of an agent's run, with its ``content``, if that is wanted; None for what is no
    call, or has not ended."""
    if not step.done or not (step.name == MODEL_STEP or step.name.startswith(TOOL_STEP)):
        return None
    attributes: dict[str, Value] = {names.EXECUTION: execution_id, names.NODE: path, names.STEP: step.name}
    if step.name == MODEL_STEP:
        model = str((step.usage or {}).get("model") or "")
        name = f"{names.CHAT} {model}".strip()
        attributes |= {names.OPERATION: names.CHAT, names.RESPONSE_MODEL: model} | _usage(step.usage)
    else:
        tool = step.name.removeprefix(TOOL_STEP)
        name = f"{names.EXECUTE_TOOL} {tool}"
        attributes |= {names.OPERATION: names.EXECUTE_TOOL, names.TOOL: tool}
    return Span(
        trace_id=trace_id(execution_id),
        span_id=span_id(execution_id, path, visit, step.log, step.name, step.ordinal),
        parent_id=span_id(execution_id, path, step.serial),
        name=name,
        started_at=step.at - step.milliseconds,
        ended_at=step.at,
        attributes={**attributes, **content},
    )


def _named(name: str, target: str | Formula) -> dict[str, Value]:
    """Whom a node calls, if that is known beforehand."""
    return {name: target} if isinstance(target, str) else {}


def _parent_link(parent: Parent | None) -> tuple[Link, ...]:
    """To the execution that started it."""
    return (Link(trace_id(parent.execution_id), span_id(parent.execution_id)),) if parent is not None else ()


def _error(error: ErrorDocument | None) -> dict[str, Value]:
    return {names.ERROR_TYPE: error.type} if error is not None else {}


def _usage(usage: Mapping[str, object] | None) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, attribute in names.USAGE.items():
        value = (usage or {}).get(name)
        if isinstance(value, int | float):
            found[attribute] = value
    model = (usage or {}).get("model")
    return found | ({names.RESPONSE_MODEL: model} if isinstance(model, str) else {})
