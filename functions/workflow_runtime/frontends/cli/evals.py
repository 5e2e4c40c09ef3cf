"""Datasets of pydantic-evals on workflows: each case is an execution, in memory; its output is what is judged.

What evaluators see of the way there are spans as pydantic-ai names them: the tool calls of agents and the tools of
nodes, with their arguments, and model requests with their usage. They are made of what is recorded, so that mocked
agents and real ones look alike. Imports pydantic-evals: import it only to evaluate.
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextvars import Context
from pathlib import Path
from typing import Any

import msgspec
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from pydantic_evals import Dataset

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import RealClock, VirtualClock
from workflow_runtime.frontends.cli.errors import CliError
from workflow_runtime.invokers.agents.tool_calls import FAILED, WRONG
from workflow_runtime.invokers.cassettes.file import MODEL
from workflow_runtime.invokers.cassettes.trajectory import arguments_text, calls_asked_for
from workflow_runtime.invokers.invocation import Invoker, InvokerAround, NodeCall, NodeResult
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.invokers.tools.reach import local_reach
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.refusals import refusal
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.runtime.replays import SLACK_MS, publish_with_started, settle_by
from workflow_runtime.services.views.taken import TakenPage, TakenStep

CALLS = ("tool", "workflow", "agent")  # kinds of steps that models call tools


class Suite(msgspec.Struct, frozen=True):
    """``dataset``: of pydantic-evals; its cases are inputs of ``workflow``, an id."""

    workflow: str
    dataset: Dataset[Any, Any, Any]
    mocks: Mocks | None
    definitions: Path | None
    allow_http: Sequence[str]


class CaseFailed(Exception):
    """The execution of a case came to no output; the message says why."""


def read_dataset(file: Path, value: Mapping[str, Any]) -> Dataset[Any, Any, Any]:
    """Raises `CliError` with all that pydantic-evals says of it."""
    problems: Sequence[Exception]
    try:
        return Dataset[Any, Any, Any].from_dict({"name": file.stem, **value})
    except ExceptionGroup as error:
        problems = error.exceptions
    except ValueError as error:
        problems = (error,)
    told = "; ".join(text for problem in problems for text in _problem_texts(problem))
    raise CliError("invalid_suite", f"{file} is not a dataset of pydantic-evals: {told}")


def _problem_texts(problem: Exception) -> Iterator[str]:
    """In the words of whoever wrote the file, without what pydantic-evals advises callers of its Python."""
    details = getattr(problem, "errors", None)  # pydantic's
    if details is not None:
        for error in details(include_url=False, include_input=False):
            yield f"{'.'.join(map(str, error['loc'])) or 'the suite'}: {refusal(error)}"
        return
    text, _, _ = " ".join(str(problem).split()).partition(" If you are trying to use a custom evaluator")
    yield text.rstrip(".").replace("is not in the provided `custom_evaluator_types`", "is not known")


async def evaluated(suite: Suite, concurrency: int, repeat: int) -> dict[str, Any]:
    """The report: each case with what evaluators said of it. Raises `DefinitionError`, `RequestError`."""
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(TracerProvider())
    with _runtime(suite, []) as runtime:  # what is wrong with the definitions is told once
        publish_with_started(runtime, suite.workflow)

    async def execute(inputs: Json) -> Json:
        # The execution's own spans would be counted, too: it runs where nobody collects them.
        output, spans = await asyncio.create_task(_executed(suite, inputs), context=Context())
        _tell(spans)
        return output

    report = await suite.dataset.evaluate(
        execute, task_name=suite.workflow, max_concurrency=concurrency, repeat=repeat, progress=False
    )
    return {
        "workflow_id": suite.workflow,
        "cases": [_case(case) for case in report.cases],
        "failures": [{"name": failed.name, "error": failed.error_message} for failed in report.failures],
    }


def _case(case: Any) -> dict[str, Any]:
    said = [*case.assertions.values(), *case.scores.values(), *case.labels.values()]
    return {
        "name": case.name,
        "passed": all(result.value for result in case.assertions.values()) and not case.evaluator_failures,
        "output": case.output,
        "results": [{"name": result.name, "value": result.value, "reason": result.reason} for result in said],
        "evaluator_failures": [f"{failed.name}: {failed.error_message}" for failed in case.evaluator_failures],
        "metrics": dict(case.metrics),
    }


def _runtime(suite: Suite, seen: list[NodeCall]) -> LocalRuntime:
    """In memory, in virtual time; the calls of its nodes are ``seen``."""
    return LocalRuntime(
        open_backend(clock=VirtualClock(RealClock().now())),
        suite.definitions,
        suite.mocks,
        reach=local_reach(os.environ, suite.allow_http),
        environ=os.environ,
        wrap=lambda invoker: Watched(invoker, seen),
    )


async def _executed(suite: Suite, inputs: Json) -> tuple[Json, list[dict[str, Any]]]:
    """Its output and its spans. Raises `CaseFailed`."""
    seen: list[NodeCall] = []
    with _runtime(suite, seen) as runtime:
        publish_with_started(runtime, suite.workflow)
        id = runtime.services.starter.start(suite.workflow, inputs)
        await settle_by(runtime, id, runtime.ports.clock.now() + SLACK_MS)
        document = runtime.services.documents.document(id)
        if document["status"] != "completed":
            raise CaseFailed(_why(document))
        return document["output"], list(_spans(seen, runtime.services.taken.whole(id)))


def _why(document: Mapping[str, Any]) -> str:
    status, error = document["status"], document["error"]
    if error is not None:
        return f"the execution {status}: {error['type']} at {error['node'] or 'its end'}: {error['message']}"
    nodes = document["node_executions"].items()
    waits = [f"{path} ({entry['waiting_on']})" for path, entry in nodes if entry["waiting_on"]]
    return f"the execution is {status}, and waits for something outside: {', '.join(waits)}"


class Watched(InvokerAround):
    """An invoker that keeps the calls it gets."""

    def __init__(self, invoker: Invoker, seen: list[NodeCall]) -> None:
        super().__init__(invoker)
        self._seen = seen

    async def invoke(self, call: NodeCall) -> NodeResult:
        self._seen.append(call)
        return await self._invoker.invoke(call)


def _spans(seen: Sequence[NodeCall], taken: TakenPage) -> Iterator[dict[str, Any]]:
    """By name and attributes, in order."""
    failed = {(run.path, run.serial) for run in taken.runs if run.status == "failed"}
    usage = {(run.path, run.serial): run.usage or {} for run in taken.runs}
    steps_of: dict[tuple[str, int], list[TakenStep]] = defaultdict(list)
    for step in taken.steps:
        steps_of[step.path, step.visit].append(step)
    told: set[tuple[str, int]] = set()
    for call in seen:
        if call.type is NodeType.TOOL:
            arguments = call.mask.value(call.inputs)
            yield _tool_span(call.target, arguments, failed=(call.path, call.serial) in failed)
        if call.type is not NodeType.AGENT:
            continue
        steps = steps_of[call.path, call.visit]
        if not any(step.name == MODEL for step in steps):
            yield from _requests(usage.get((call.path, call.serial), {}))
        elif (call.path, call.visit) not in told:
            told.add((call.path, call.visit))
            yield from _agent_spans(steps)


def _agent_spans(steps: Sequence[TakenStep]) -> Iterator[dict[str, Any]]:
    results = {(step.log, step.name, step.ordinal): step.result for step in steps}
    counts: dict[tuple[int, str], int] = {}
    for step in sorted(steps, key=lambda step: (step.log, step.ordinal)):
        if step.name != MODEL or not isinstance(step.result, dict):
            continue
        yield from _requests({**(step.usage or {}), "requests": 1})
        for name, arguments in calls_asked_for(step.result):
            number = counts[step.log, name] = counts.get((step.log, name), 0) + 1
            names = [(step.log, f"{kind}:{name}", number) for kind in CALLS]
            result = next((results[place] for place in names if place in results), None)
            is_failed = isinstance(result, dict) and bool({FAILED, WRONG} & result.keys())
            yield _tool_span(name, arguments, failed=is_failed)


def _requests(usage: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One span per request; what they used stands in the first."""
    used = {f"gen_ai.usage.{name}": usage[name] for name in ("input_tokens", "output_tokens") if name in usage}
    if usage.get("usd") is not None:
        used["operation.cost"] = usage["usd"]
    for number in range(int(usage.get("requests") or 0)):
        model = {"gen_ai.operation.name": "chat", "gen_ai.request.model": str(usage.get("model") or "")}
        yield {"name": f"chat {usage.get('model')}", "attributes": {**model, **(used if number == 0 else {})}}


def _tool_span(tool: str, arguments: Json, *, failed: bool) -> dict[str, Any]:
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": tool,
        "gen_ai.tool.call.arguments": arguments_text(arguments),
    }
    return {"name": f"execute_tool {tool}", "attributes": attributes, "failed": failed}


def _tell(spans: Sequence[dict[str, Any]]) -> None:
    tracer = trace.get_tracer("agent-workflow-runtime")
    for span in spans:
        with tracer.start_as_current_span(span["name"], attributes=span["attributes"]) as current:
            if span.get("failed"):
                current.set_status(trace.StatusCode.ERROR)
