"""Everything that is asked of an execution can be asked of a database file, and takes effect there at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli.conftest import Awr, only_document

CHART = """
workflow:
  id: 订单
  type: state_machine
  initial_state: open
  states:
    - name: open
      transitions: [{event: pay, target: paid}]
    - name: paid
      run: {id: ship, type: tool, tool: echo, inputs: {shipped: true}}
      on_done: done
"""


@pytest.fixture
def execution(awr: Awr) -> str:
    Path("w.yaml").write_text(CHART, "utf-8")
    assert awr("run", "w.yaml", "--db", "r.db", "--json").exit_code == 5
    return str(only_document(awr("list", "订单", "--db", "r.db", "--json").stdout)["executions"][0]["execution_id"])


def document(awr: Awr, execution: str) -> Any:
    return only_document(awr("status", execution, "--db", "r.db", "--json").stdout)


def test_requests_take_effect_in_the_file(awr: Awr, execution: str) -> None:
    statuses = []
    for request in ("suspend", "resume", "cancel", "retry", "cancel"):
        result = awr(request, execution, "--db", "r.db", "--reason", "测试")
        assert result.exit_code == 0, result.output
        statuses.append(document(awr, execution)["status"])
    assert statuses == ["suspended", "running", "cancelled", "running", "cancelled"]
    refused = awr("suspend", execution, "--db", "r.db")
    assert (refused.exit_code, "cannot be suspended" in refused.stderr) == (1, True)


def test_many_executions_of_the_file_are_asked(awr: Awr, execution: str) -> None:
    assert awr("cancel", "--workflow", "订单", "--db", "r.db").exit_code == 0
    assert document(awr, execution)["status"] == "cancelled"


def test_an_event_is_taken_in_the_file_and_what_it_orders_runs_when_the_run_goes_on(awr: Awr, execution: str) -> None:
    sent = awr("signal", execution, "pay", "--wait", "100", "--db", "r.db", "--json")
    assert (sent.exit_code, only_document(sent.stdout)["outcome"]) == (0, "taken")
    assert document(awr, execution)["current_states"] == ["paid"]
    assert document(awr, execution)["node_executions"]["paid/ship"]["status"] == "ready"
    done = awr("run", "--resume", "--db", "r.db", "--json")
    assert only_document(done.stdout)["status"] == "completed"


def test_the_file_can_be_frozen(awr: Awr, execution: str) -> None:  # noqa: ARG001  of a workflow that is there
    assert awr("freeze", "--workflow", "订单", "--db", "r.db").exit_code == 0
    assert "workflow:订单" in awr("freeze", "--db", "r.db").stdout
    assert awr("thaw", "--workflow", "订单", "--db", "r.db").exit_code == 0


MACHINE = (
    "{id: m, type: state_machine, initial_state: a, states: [{name: a, transitions: [{event: go, target: done}]}]}"
)
INNER = "{id: in, type: control, subtype: loop, times: 1, body: [{id: w, type: control, subtype: wait, event: go}]}"


@pytest.mark.parametrize(
    ("node", "waiting"),
    [
        (MACHINE, []),
        (f"{{id: out, type: control, subtype: loop, times: 1, body: [{INNER}]}}", ["out[0]/in[0]/w (running)"]),
    ],
    ids=["machine", "loops"],
)
def test_of_what_holds_others_only_those_are_said_to_wait(awr: Awr, node: str, waiting: list[str]) -> None:
    Path("w.yaml").write_text(f"workflow: {{id: w, nodes: [{node}]}}", "utf-8")
    result = awr("run", "w.yaml")
    assert result.exit_code == 5
    lines = result.stderr[result.stderr.index("waiting: ") :].splitlines()
    assert [line.split(" waits ")[0].strip() for line in lines if " waits " in line] == waiting
