"""Where OpenTelemetry's SDK is at work, model requests and tool calls are spans of their own, as pydantic-ai tells of
them, below that of the node's run. Import it only to run an agent.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from opentelemetry import context, trace
from pydantic_ai import Agent, InstrumentationSettings

from workflow_runtime.engine.identity import span_id, trace_id
from workflow_runtime.invokers.invocation import NodeCall

OTEL_SDK = "opentelemetry.sdk.trace"


@contextmanager
def below_run(call: NodeCall) -> Iterator[None]:
    """What is traced inside belongs to the run's span, whose ids everybody can tell beforehand."""
    if OTEL_SDK not in sys.modules:  # nobody would take the spans
        yield
        return
    _instrument()
    ids = trace_id(call.execution_id), span_id(call.execution_id, call.path, call.serial)
    own = trace.SpanContext(int(ids[0], 16), int(ids[1], 16), True, trace.TraceFlags(trace.TraceFlags.SAMPLED))
    token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(own)))
    try:
        yield
    finally:
        context.detach(token)


@cache
def _instrument() -> None:
    """Once per process. Spans hold no content: prompts, answers and arguments may be secret."""
    Agent.instrument_all(InstrumentationSettings(include_content=False, include_binary_content=False))
