"""Spans as an OTLP/HTTP request in JSON: ``POST <collector>/v1/traces``.

Source: opentelemetry.io/docs/specs/otlp (JSON Protobuf encoding: ids in hexadecimal, 64-bit integers as texts). Written
here, as it is these few lines: importing OpenTelemetry's SDK and its exporter takes longer than a dispatcher does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workflow_runtime.ports import SERVICE_DEFAULT
from workflow_runtime.services.tracing import names
from workflow_runtime.services.tracing.spans import Span, Value

INTERNAL = 1  # the kind of a span that crosses no process
ERROR = 2
NANOSECONDS = 1_000_000  # of a millisecond


def otlp_request(spans: Sequence[Span], service: str = SERVICE_DEFAULT) -> dict[str, Any]:
    """``service``: the name of the deployment."""
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [_attribute(names.SERVICE_NAME, service)]},
                "scopeSpans": [{"scope": {"name": names.SCOPE}, "spans": [_span(span) for span in spans]}],
            }
        ]
    }


def _span(span: Span) -> dict[str, Any]:
    found: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": INTERNAL,
        "startTimeUnixNano": str(span.started_at * NANOSECONDS),
        "endTimeUnixNano": str(span.ended_at * NANOSECONDS),
        "attributes": [_attribute(name, value) for name, value in span.attributes.items()],
        "status": {"code": ERROR} if span.failed else {},
    }
    if span.parent_id:
        found["parentSpanId"] = span.parent_id
    if span.links:
        found["links"] = [{"traceId": link.trace_id, "spanId": link.span_id} for link in span.links]
    return found


def _attribute(name: str, value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"key": name, "value": {"boolValue": value}}
    if isinstance(value, int):
        return {"key": name, "value": {"intValue": str(value)}}
    return {"key": name, "value": {"doubleValue" if isinstance(value, float) else "stringValue": value}}
