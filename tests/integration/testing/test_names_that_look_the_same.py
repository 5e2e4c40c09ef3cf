"""Names that look the same are the same (Unicode NFC), in files and at every door.

Each pair is written in the two forms that Unicode has for an accented letter.
"""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest

from workflow_runtime.errors import RequestError
from workflow_runtime.frontends.client import SyncWorkflowEngine
from workflow_runtime.testing import WorkflowTester

pytest_plugins = ["workflow_runtime.testing.plugin"]


def apart(text: str) -> str:
    """Letters and their accents as characters of their own, as macOS and some keyboards write them."""
    return unicodedata.normalize("NFD", text)


def tool(id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "tool", "tool": "echo", **fields}


def test_nodes_variables_and_the_input_are_found_under_either_form(runtime: WorkflowTester) -> None:
    first = tool("café", inputs={"n": "${" + apart("été") + "}", "v": "${variables['" + apart("prix") + "']}"})
    second = tool("b", inputs={"n": "${nodes." + apart("café") + ".output.n}", "v": "${" + apart("café") + ".v}"})
    schema = {"type": "object", "properties": {apart("été"): {"type": "number"}}, "required": [apart("été")]}
    flow = {"id": "w", "input_schema": schema, "variables": {"prix": 5}, "nodes": [first, second]}
    for key in ("été", apart("été")):
        runtime.run(flow, {key: 7}).assert_completed().assert_output({"n": 7, "v": 5})


def test_two_keys_of_the_input_that_look_the_same_are_refused(runtime: WorkflowTester) -> None:
    with pytest.raises(RequestError, match="two keys that look the same"):
        runtime.run({"id": "w", "nodes": [tool("a")]}, {"été": 1, apart("été"): 2})


CHART = {
    "id": "c",
    "type": "state_machine",
    "initial_state": apart("créé"),
    "event_schemas": {apart("payé"): {"type": "object", "properties": {apart("montant dû"): {"type": "number"}}}},
    "variables": {"été": 0},
    "states": [
        {
            "name": "créé",
            "transitions": [
                {"event": "payé", "condition": f"in_state('{apart('créé')}') and ${{été}} == 0", "target": "fin"},
            ],
        },
        {
            "name": "fin",
            "on_enter": [{"raise": {"event": f"${{'{apart('clôturé')}'}}", "data": {}}}],
            "transitions": [
                {"event": "clôturé", "target": "done", "actions": [{"set_variable": {"name": "é", "value": "${prêt}"}}]}
            ],
        },
    ],
}


@pytest.mark.parametrize("form", [str, apart])
def test_events_are_taken_under_either_form(runtime: WorkflowTester, form: Any) -> None:
    execution_id = runtime.start(CHART)
    result = runtime.send_event(execution_id, form("payé"), {form("prêt"): True, form("été"): 9})
    assert result["outcome"] == "taken"
    runtime.result(execution_id).assert_completed().assert_variables(é=True, été=0, prêt=True)


@pytest.mark.parametrize("form", [str, apart])
def test_topics_of_the_bus_are_taken_under_either_form(runtime: WorkflowTester, form: Any) -> None:
    waits = {"type": "control", "subtype": "wait", "event": apart("payé")}
    wait = {"id": "w", **waits, "correlate": "${detail.id}", "with": "${id}"}
    execution_id = runtime.start({"id": "b", "nodes": [wait]}, {"id": 1})
    runtime.publish_event("shop", form("payé"), {"id": 1})
    runtime.settle()
    runtime.result(execution_id).assert_completed()


def test_workflows_and_nodes_are_found_under_either_form(runtime: WorkflowTester) -> None:
    execution_id = runtime.start({"id": "é", "nodes": [tool("café")]})
    runtime.retry(execution_id, from_node=apart("café"))
    runtime.result(execution_id).assert_completed()
    with SyncWorkflowEngine.local() as engine:
        engine.create_workflow({"id": "é", "nodes": [tool("café")]})
        started = engine.execute_workflow(apart("é"), {}, wait=100, idempotency_key="k")
        assert engine.execute_workflow("é", {}, idempotency_key="k") == started
        assert engine.get_execution_status(started)["workflow_id"] == "é"
        assert [entry["execution_id"] for entry in engine.list_executions(apart("é"))] == [started]


def test_a_handler_is_for_nodes_under_either_form(runtime: WorkflowTester) -> None:
    runtime.fail("café", "broken", "no")
    handlers = [{"node_pattern": apart("café"), "action": "skip"}]
    runtime.run({"id": "w", "nodes": [tool("café")], "error_handlers": handlers}).assert_completed()
