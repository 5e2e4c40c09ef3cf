"""Where OpenTelemetry's SDK is at work, model requests and tool calls are spans below the run's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from workflow_runtime.engine.identity import span_id, trace_id

ROOT = Path(__file__).parents[2]
# A process of its own: a tracer provider, and what pydantic-ai is told once, are for good.
PROGRAM = """
import json, sys
from pathlib import Path
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.unit.invokers.agents.visits import Scripted, Visits

spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)
model = Scripted([("look", {"q": "canary-4711"})], "done canary-4711")
visits = Visits(Path(sys.argv[1]), model, {"look": lambda q: q})
visits.run(prompt="canary-4711")
print(json.dumps([
    {
        "name": span.name,
        "trace": format(span.context.trace_id, "032x"),
        "id": format(span.context.span_id, "016x"),
        "parent": format(span.parent.span_id, "016x"),
        "text": span.to_json(),
    }
    for span in spans.get_finished_spans()
]))
"""


def test_model_requests_are_below_the_run_and_hold_no_content(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "functions", ROOT)))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    spans = json.loads(done.stdout)
    assert {span["trace"] for span in spans} == {trace_id("e")}
    (root,) = (span for span in spans if span["parent"] not in {other["id"] for other in spans})
    assert root["parent"] == span_id("e", "p", 1)
    assert sum(span["name"].startswith("chat ") for span in spans) == 2
    assert all("canary-4711" not in span["text"] for span in spans)
