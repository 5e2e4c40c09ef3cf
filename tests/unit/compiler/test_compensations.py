"""Promises about what the compiler says of compensations."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workflow_runtime.compiler import compile_workflow
from workflow_runtime.plan.catalogue import Catalogue, CatalogueEntry, Effects

PAY = {"id": "pay", "type": "tool", "tool": "t", "dependencies": ["a"]}


def findings(*nodes: dict[str, Any], catalogue: Catalogue | None = None, **fields: Any) -> list[str]:
    full = [{"type": "tool", "tool": "t", **node} for node in nodes]
    source = json.dumps({"workflow": {"id": "w", "nodes": full, **fields}})
    return [f"{finding.id} {finding.message}" for finding in compile_workflow(source, catalogue=catalogue).findings]


def undone_by(**compensate: Any) -> dict[str, Any]:
    return {"id": "a", "inputs": {"who": "${who}"}, "compensate": {"tool": "u", **compensate}}


def test_a_sound_compensation_is_not_spoken_of() -> None:
    assert findings(undone_by(inputs={"w": "${inputs.who}", "o": "${output.x}", "e": "${error.type}"}), PAY) == []


@pytest.mark.parametrize(("field", "value"), [
    ("fallback", {"value": 1}), ("on_error", "skip"), ("on_error", {"target": "pay"}), ("compensate", {"tool": "x"}),
    ("dependencies", ["pay"]), ("fallback", "pay"),
])  # fmt: skip
def test_fields_that_mean_nothing_in_a_compensation_are_named(field: str, value: Any) -> None:
    assert findings(undone_by(**{field: value}), PAY) == [
        f"WF504 `{field}` has no effect here: the node only runs to undo others"
    ]


@pytest.mark.parametrize(("inputs", "said"), [
    ({"x": "${inputs.whom}"}, "WF413 `inputs` has no `whom`"),
    ({"x": "${error.kind}"}, "WF413 `error` has no `kind`"),
    ({"x": "${nodes.b.output}"}, "WF409 there is no node `b`"),
    ({"x": "${item}"}, "WF406"),
])  # fmt: skip
def test_reads_of_what_does_not_exist_are_found(inputs: dict[str, str], said: str) -> None:
    found = findings(undone_by(inputs=inputs), PAY)
    assert len(found) == 1
    assert found[0].startswith(said)


def test_a_when_is_refused_for_it_would_leave_things_undone() -> None:
    assert findings(undone_by(when="${output.ok}"), PAY)[0].startswith("WF350 a compensation has no `when`")


def test_only_agents_and_tools_undo() -> None:
    wait = {"id": "a", "compensate": {"type": "control", "subtype": "wait", "seconds": 1}}
    assert findings(wait, PAY)[0] == "WF350 a node of type `control` cannot undo others"


def test_an_unknown_target_is_found_with_the_name_that_was_meant() -> None:
    source = json.dumps({"workflow": {"id": "w", "nodes": [
        {"id": "a", "type": "tool", "tool": "t", "compensate": "undu"}, {"id": "undo", "type": "tool", "tool": "u"},
    ]}})  # fmt: skip
    (finding,) = compile_workflow(source).findings
    assert (finding.id, finding.hint) == ("WF301", "Did you mean `undo`?")


def test_a_node_that_undoes_has_no_edges_and_is_called_by_nobody_else() -> None:
    linked = findings({"id": "a", "compensate": "u"}, {"id": "u", "dependencies": ["a"]})
    assert linked == ["WF314 `u`, which undoes `a`, has an edge"]
    called = findings({"id": "a", "compensate": "u", "on_error": {"target": "u"}}, {"id": "u"})
    assert called == ["WF350 `u`, which undoes `a`, is called otherwise, too"]
    assert findings({"id": "a", "compensate": "a"})[0].startswith("WF302")


def test_a_compensation_of_a_node_that_does_nothing_has_no_effect() -> None:
    switch = {"id": "a", "type": "control", "subtype": "condition", "condition": "true", "then": "pay"}
    found = findings({**switch, "compensate": {"tool": "u"}}, {"id": "pay"})
    assert any("`compensate` has no effect here" in text for text in found)


def test_a_compensation_that_concerns_nothing_has_no_effect() -> None:
    assert findings({"id": "a"}, compensation={"order": "parallel"}) == [
        "WF504 no node says what undoes it (`compensate`), so `compensation` has no effect"
    ]


def test_other_nodes_of_an_inner_graph_may_be_gone() -> None:
    run = [
        {"id": "b", "type": "tool", "tool": "t"},
        {"id": "c", "type": "tool", "tool": "t", "dependencies": ["b"],
         "compensate": {"tool": "u", "inputs": {"mine": "${c.x}", "other": "${b.x}"}}},
    ]  # fmt: skip
    source = json.dumps({"workflow": {
        "id": "w", "type": "state_machine", "initial_state": "s", "final_states": ["e"],
        "states": [{"name": "s", "run": run, "on_done": "e"}],
    }})  # fmt: skip
    found = [f"{finding.id} {finding.message}" for finding in compile_workflow(source).findings]
    assert found == ["WF352 `b` may be gone when this runs"]


def test_an_output_of_a_node_that_only_undoes_is_never_there() -> None:
    found = findings({"id": "a", "compensate": "u"}, {"id": "b", "inputs": {"x": "${u.y}"}}, {"id": "u"})
    assert found == ["WF405 `u` only runs to undo others: it reads as null here"]


def test_nodes_with_effects_that_stay_are_named_when_others_are_undone() -> None:
    def entry(id: str, effects: Effects | None) -> CatalogueEntry:
        return CatalogueEntry(id=id, effects=effects)

    tools = [entry("t", Effects.ONCE), entry("u", Effects.IDEMPOTENT), entry("look", Effects.NONE), entry("m", None)]
    catalogue = Catalogue(tools={tool.id: tool for tool in tools})
    nodes = [
        {"id": "a", "compensate": {"tool": "u"}}, {"id": "b"}, {"id": "c", "tool": "look"}, {"id": "d", "tool": "m"},
        {"id": "last", "dependencies": ["a", "b", "c", "d"]},
    ]  # fmt: skip
    said = "WF351 `b` has effects that nothing undoes when others are undone"
    assert findings(*nodes, catalogue=catalogue) == [said], "nothing comes after the last one"
    assert findings(*nodes[1:], catalogue=catalogue)[:1] != [said], "nothing is undone"
