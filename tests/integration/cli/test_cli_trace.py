"""`awr trace` shows an execution as a trace, writes it, and sends it to a collector."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.cli.conftest import Awr
from tests.integration.tracing.collector import collecting


def test_a_trace_is_shown_written_and_sent(awr: Awr, chain: Path, tmp_path: Path) -> None:
    db, file = tmp_path / "x.db", tmp_path / "trace.json"
    execution_id = json.loads(awr("run", chain, "--db", db, "--json").stdout)["execution_id"]
    shown = awr("trace", execution_id, "--db", db)
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("workflow chain")
    assert all(line.startswith("  ") for line in lines[1:])
    assert all(" ms  " in line for line in lines)
    with collecting() as collector:
        sent = awr("trace", execution_id, "--db", db, "--otlp", collector.url, "--file", file)
        assert sent.exit_code == 0
        assert len(collector.spans) == len(lines)
        collector.status = 500
        refused = awr("trace", execution_id, "--db", db, "--otlp", f"{collector.url}/v1/traces")
    assert json.loads(file.read_text())["resourceSpans"] == collector.requests[0]["resourceSpans"]
    assert f"{len(lines)} spans of trace" in sent.stdout
    assert refused.exit_code == 6
    assert "does not take the trace: 500" in refused.stderr


def test_what_cannot_be_traced_is_said(awr: Awr, chain: Path, tmp_path: Path) -> None:
    db = tmp_path / "x.db"
    awr("run", chain, "--db", db)
    assert awr("trace", "ex-0", "--db", db).exit_code == 1
    wrong = awr("trace", "ex-0", "--db", db, "--otlp", "localhost:4317")
    assert wrong.exit_code == 2
    assert "http://" in wrong.stderr
