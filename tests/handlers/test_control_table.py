"""Golden table: what every request about an execution does in every status, through the API's real handler.

``REWRITE_GOLDEN=1`` writes it anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.handlers.bench import Bench
from tests.handlers.http_requests import ask
from tests.handlers.test_events_to_executions import send, work

from workflow_runtime.deployment.topology import DISPATCH
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.errors import NodeError
from workflow_runtime.services.control.operations import OPERATIONS

GOLDEN = Path(__file__).parents[1] / "golden" / "control.txt"
WORKFLOW = b"""
workflow:
  id: w
  error_handlers: [{errors: [card_declined], action: escalate}]
  nodes:
    - {id: first, type: tool, tool: echo, compensate: {tool: echo}}
    - {id: wait, type: control, subtype: wait, event: go, dependencies: [first]}
    - {id: last, type: tool, tool: last, dependencies: [wait]}
"""
ROWS = {name: (name, {}) for name in OPERATIONS} | {
    "retry from": ("retry", {"from": "first"}),
    "skip": ("skip", {"node": "wait"}),
    "skip failed": ("skip", {"node": "last"}),
    "give failed": ("skip", {"node": "last", "output": {"x": 1}}),
}
"""By name: what is asked, and what is said with it."""
ESCALATED = "escalated"
COLUMNS: tuple[str, ...] = (*ExecutionStatus, ESCALATED)
"""Statuses; last, that of an execution that a failure has suspended."""


@pytest.fixture
def bench() -> Any:
    bench = Bench("embedded")
    bench.runtime.catalog.publish(WORKFLOW)
    yield bench
    bench.close()


def brought_to(bench: Bench, status: str) -> str:
    """An execution in this status."""

    def last(_: Any) -> None:
        if status == ExecutionStatus.FAILED:
            raise NodeError("broken", "as it should be")
        if status == ESCALATED:
            raise NodeError("card_declined", "as it should be")

    bench.tools.tools["last"] = last
    execution_id = bench.runtime.starter.start("w", {})
    if status == ExecutionStatus.PENDING:
        return execution_id
    work(bench)
    match status:
        case ExecutionStatus.SUSPENDED:
            ask(bench, "POST", f"/executions/{execution_id}/suspend")
        case ExecutionStatus.COMPENSATING | ExecutionStatus.CANCELLED:
            ask(bench, "POST", f"/executions/{execution_id}/cancel")
        case ExecutionStatus.COMPLETED | ExecutionStatus.FAILED | "escalated":
            send(bench, execution_id, "go")
    decide(bench) if status == ExecutionStatus.COMPENSATING else work(bench)
    return execution_id


def decide(bench: Bench) -> None:
    """Have the dispatcher take what there is; workers do nothing."""
    while records := bench.receive(DISPATCH):
        bench.invoke(DISPATCH, records)


def cell(bench: Bench, row: str, status: str) -> str:
    """What is answered, and where that leads when the dispatcher has taken it."""
    operation, body = ROWS[row]
    execution_id = brought_to(bench, status)
    assert bench.document(execution_id)["status"] == (status if status != ESCALATED else ExecutionStatus.SUSPENDED)
    code, answer = ask(bench, "POST", f"/executions/{execution_id}/{operation}", body)
    decide(bench)
    after = bench.document(execution_id)["status"]
    work(bench)
    if code == 409:
        assert answer["detail"]
        return f"409 {answer['code']}"
    assert answer["changed"] == (code == 202)
    return f"{code} {after}" if code == 202 else "200"


def test_every_request_in_every_status_does_what_the_table_says(bench: Bench) -> None:
    lines = [["", *COLUMNS]]
    lines += [[row, *(cell(bench, row, status) for status in COLUMNS)] for row in ROWS]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rows = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    table = "\n".join(rows) + "\n"
    if os.environ.get("REWRITE_GOLDEN"):
        GOLDEN.write_text(table, encoding="utf-8")
    assert table == GOLDEN.read_text(encoding="utf-8")
