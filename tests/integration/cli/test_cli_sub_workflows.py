"""The command line and workflows that start others."""

from __future__ import annotations

from pathlib import Path

from tests.integration.cli.conftest import Awr, only_document

PARENT = """\
workflow:
  id: 父
  nodes:
    - {id: 扣款, type: sub_workflow, workflow_id: 付款, inputs: {n: "${n}"}}
    - {id: after, type: control, subtype: pass, inputs: {got: "${扣款.doubled}"}}
"""
CHILD = """\
workflow:
  id: 付款
  input_schema: {type: object, properties: {n: {type: number}}, required: [n], additionalProperties: false}
  output_schema: {type: object, properties: {doubled: {type: number}}, additionalProperties: false}
  nodes: [{id: double, type: control, subtype: pass, inputs: {doubled: "${n * 2}"}}]
"""


def write(*texts: tuple[str, str]) -> None:
    for name, text in texts:
        Path(name).write_text(text, "utf-8")


def test_run_publishes_the_workflows_beside_a_file_that_it_starts(awr: Awr) -> None:
    write(("parent.yaml", PARENT), ("child.yaml", CHILD), ("unused.yaml", "workflow: {id: broken}\n"))
    result = awr("run", "parent.yaml", "--input", '{"n": 4}', "--db", "runs.db", "--json")
    document = only_document(result.stdout)
    assert (result.exit_code, document["output"]) == (0, {"got": 8})
    child = document["node_executions"]["扣款"]["child"]
    shown = only_document(awr("status", child, "--db", "runs.db", "--json").stdout)
    assert shown["parent"] == {"execution_id": document["execution_id"], "node": "扣款"}
    history = awr("history", document["execution_id"], "--db", "runs.db", "--json").stdout
    assert child in history


def test_run_reports_what_is_wrong_with_a_workflow_that_is_started(awr: Awr) -> None:
    write(("parent.yaml", PARENT), ("child.yaml", CHILD.replace("type: control", "type: nothing")))
    result = awr("run", "parent.yaml", "--input", '{"n": 4}')
    assert result.exit_code == 1
    assert "child.yaml:5" in result.stderr


def test_run_says_when_there_is_no_such_workflow(awr: Awr) -> None:
    write(("parent.yaml", PARENT))
    result = awr("run", "parent.yaml", "--input", '{"n": 4}')
    assert result.exit_code == 3
    assert "WF425: there is no workflow `付款`" in result.stderr
    assert "not_found: workflow '付款' is not published" in result.stderr


def test_validate_compares_inputs_and_reads_with_the_schemas_of_the_other_file(awr: Awr) -> None:
    write(("child.yaml", CHILD), ("parent.yaml", PARENT))
    assert awr("validate", "--strict", "parent.yaml").exit_code == 0
    write(("wrong.yaml", PARENT.replace("{n:", "{m:").replace(".doubled", ".double")))
    findings = awr("validate", "wrong.yaml").stdout
    assert "WF426: the workflow `付款` needs `n` in its input" in findings
    assert "WF426: the workflow `付款` takes no `m`" in findings
    assert "WF413: `扣款` has no `double`" in findings
    assert awr("validate", "--strict", "wrong.yaml").exit_code == 1


def test_resume_without_an_id_goes_on_with_the_execution_that_waits_for_others(awr: Awr) -> None:
    slow = CHILD.replace("nodes: [", "nodes: [{id: w, type: control, subtype: wait, duration: 1h}, ").replace(
        "subtype: pass, inputs", "subtype: pass, dependencies: [w], inputs"
    )
    write(("parent.yaml", PARENT), ("child.yaml", slow))
    stopped = awr("run", "parent.yaml", "--input", '{"n": 4}', "--db", "runs.db", "--timeout", "0.5")
    assert stopped.exit_code == 124
    resumed = awr("run", "--resume", "--db", "runs.db", "--skip-time", "--json")
    assert (resumed.exit_code, only_document(resumed.stdout)["output"]) == (0, {"got": 8})
