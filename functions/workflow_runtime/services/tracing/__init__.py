"""Executions as OpenTelemetry traces: an execution is a trace, its node runs and agents' steps are spans.

`names` (attributes, by the conventions) → `spans` (records become spans) → `otlp` (spans as an OTLP request) →
`exporting` (sent as things end, where the deployment has a collector). `services.views.traces` renders the same spans
from what is stored. Ids follow from the execution and the record, so whoever renders a span gives it the same ones, and
no message has to carry a context.
"""
