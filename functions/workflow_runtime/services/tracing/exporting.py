"""Sends spans as what they tell of ends, if there is a collector. Nothing waits for it, and nothing fails with it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Sequence

import msgspec

from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.plan.plan import Plan
from workflow_runtime.ports import Ports
from workflow_runtime.services.tracing.content import contents_of, output_of, place_of
from workflow_runtime.services.tracing.otlp import otlp_request
from workflow_runtime.services.tracing.spans import NO_CONTENT, Span, execution_span, run_span, step_span
from workflow_runtime.storage.records import Header, Run
from workflow_runtime.storage.steps import Step

OTEL_SDK = "opentelemetry.sdk.trace"

logger = logging.getLogger(__name__)


def export_attempt(ports: Ports, plan: Plan, execution_id: str, run: Run, visit: int, steps: Iterable[Step]) -> None:
    """An attempt that has ended, with the ``steps`` that it took. Where OpenTelemetry's SDK is at work, pydantic-ai
    tells of model requests and tool calls itself."""
    content = ports.traces is not None and ports.traces.content
    span = run_span(plan, execution_id, run, output_of(run.output) if content else NO_CONTENT)
    if span is None:
        return
    told = () if OTEL_SDK in sys.modules else tuple(steps)
    said = contents_of((visit, step) for step in told) if content else {}
    inner = (
        step_span(execution_id, run.path, visit, step, said.get(place_of(visit, step), NO_CONTENT)) for step in told
    )
    export(ports, [span, *(each for each in inner if each is not None)])


def export_commit(
    ports: Ports, plan: Plan, state: ExecutionState, correlation_id: str, runs: Sequence[Run], *, has_ended: bool
) -> None:
    """The ``runs`` that a commit recorded by itself, and the execution if the commit ended it."""
    content = ports.traces is not None and ports.traces.content
    found = [run_span(plan, state.execution_id, run, output_of(run.output) if content else NO_CONTENT) for run in runs]
    spans = [span for span in found if span is not None]
    if has_ended:
        header = Header(
            execution_id=state.execution_id,
            workflow_id=plan.workflow_id,
            workflow_version=state.workflow_version,
            plan_hash=state.plan_hash,
            status=state.status,
            started_at=state.started_at,
            ended_at=state.ended_at,
            error=state.error,
            parent=state.parent,
            correlation=correlation_id,
            tenant=state.tenant,
        )
        spans.append(execution_span(plan, header, state.now))
    export(ports, spans)


def export(ports: Ports, spans: Sequence[Span]) -> None:
    if ports.traces is None or not spans:
        return
    try:
        ports.traces.send(msgspec.json.encode(otlp_request(spans, ports.traces.service)))
    except Exception:
        logger.exception("spans could not be rendered")
