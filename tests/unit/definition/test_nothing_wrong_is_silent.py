"""What is easily written wrong is a finding, at its place, beside everything else that is wrong."""

from __future__ import annotations

import pytest

from workflow_runtime.compiler import compile_workflow
from workflow_runtime.findings import Finding

GRAPH = "workflow:\n  id: w\n  nodes:\n    - {id: a, type: tool, tool: t}\n"


CHART = "workflow:\n  id: w\n  type: state_machine\n  states:\n"


def findings(text: str) -> list[Finding]:
    return compile_workflow(text, file="w.yaml").findings


def found(text: str) -> list[tuple[str, int, int]]:
    return [(finding.id, finding.line, finding.column) for finding in findings(text)]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        (f'{GRAPH}  outputs:\n    "key ${{x}}": 1\n', 6, 5),
        (f'{GRAPH}  outputs:\n    deep: [{{"$${{x}}": 1}}]\n', 6, 13),
        (f'{GRAPH}  variables: {{v: {{"k ${{x}}": 2}}}}\n', 5, 19),
        (f'{GRAPH}    - {{id: p, type: control, subtype: pass, inputs: {{"k ${{q}}": 1}}}}\n', 5, 54),
        (f'{GRAPH}    - {{id: p, type: aggregation, strategy: expression, value: {{"${{q}}": 1}}}}\n', 5, 64),
        (f'{GRAPH}  triggers:\n    - {{type: event, topic: t, filters: {{"${{x}}": [1]}}}}\n', 6, 41),
        (f'{CHART}    - {{name: s, on_enter: {{publish_event: t, payload: {{"${{x}}": 1}}}}}}\n', 5, 56),
    ],
)  # fmt: skip
def test_a_template_in_a_key_is_a_finding_at_the_key(text: str, line: int, column: int) -> None:
    assert ("WF210", line, column) in found(text)
    assert [id for id, *_ in found(text)].count("WF210") == 1
    assert "WF401" not in [id for id, *_ in found(text)]


def test_keys_of_schemas_and_metadata_may_hold_anything() -> None:
    schema = 'input_schema: {type: object, patternProperties: {"^\\\\${": {}}}'
    assert found(f'{GRAPH}  metadata: {{"${{x}}": 1}}\n  x-note: {{"${{x}}": 1}}\n  {schema}\n') == []


@pytest.mark.parametrize("time", ["1800000000", "0", "99999999999"])
def test_a_literal_time_in_epoch_seconds_is_refused(time: str) -> None:
    text = f"{GRAPH}    - {{id: w, type: control, subtype: wait, at: {time}}}\n"
    assert [(finding.id, "epoch milliseconds" in finding.message) for finding in findings(text)] == [("WF221", True)]


def test_a_literal_time_may_be_epoch_milliseconds() -> None:
    assert found(f"{GRAPH}    - {{id: w, type: control, subtype: wait, at: 1800000000000}}\n") == []


def test_a_webhook_that_demands_signatures_without_a_secret_is_a_warning() -> None:
    text = f"{GRAPH}  triggers: {{type: webhook, config: {{endpoint: /hook, method: POST, auth_required: true}}}}\n"
    assert [(finding.id, str(finding.severity)) for finding in findings(text)] == [("WF345", "warning")]
    assert found(text.replace("auth_required: true", 'secret: "${secrets.K}"')) == []
    assert found(text.replace("auth_required: true", "auth_required: false")) == []


REGIONS = """workflow:
  id: w
  type: state_machine
  initial_state: p
  final_states: [end]
  states:
    - name: p
      type: parallel
      on_done: end
      states:
        - {name: a, type: final}
        - {name: b, initial: b1, states: [{name: b1, transitions: {event: go, target: b2}}, {name: b2, type: final}]}
"""


def test_a_final_region_of_a_parallel_state_is_refused() -> None:
    assert found(REGIONS) == [("WF216", 11, 27)]
    assert found(REGIONS.replace("{name: a, type: final}", "{name: a, states: [{name: a1, type: final}]}")) == []


def test_a_whole_event_pattern_below_filters_is_a_warning() -> None:
    text = f"{GRAPH}  triggers: {{type: event, topic: t, filters: {{detail-type: [t], detail: {{a: [1]}}}}}}\n"
    assert [id for id, *_ in found(text)] == ["WF346"]


UNKNOWN = "    - {id: b, type: tool, tool: t, dependencies: [ghost]}\n"


@pytest.mark.parametrize(
    ("other", "id"),
    [
        ("    - {id: a, type: tool, tool: t}\n", "WF208"),
        ("    - {id: c, type: tool, tool: t, dependencies: {a: 1}}\n", "WF203"),
        ("    - {id: c, type: tool}\n", "WF202"),
        ("    - {id: c, type: tool, tool: t, tiemout: 5}\n", "WF201"),
        ("  triggers: {type: schedule, cron: 'every day'}\n", "WF340"),
        ("  triggers: [{type: event}, {type: schedule, cron: '99 * * * *'}]\n", "WF340"),
        ("  variables: {x: '${1 +}'}\n", "WF401"),
        ("  unknown: 1\n", "WF201"),
        ("  nods: 1\n", "WF201"),
        ("nods: 1\n", "WF201"),
        ("  edges: [{from: a, to: b, too: c}]\n", "WF201"),
    ],
)
def test_no_mistake_hides_another(other: str, id: str) -> None:
    ids = [id for id, *_ in found(GRAPH + UNKNOWN + other)]
    assert {"WF301", id} <= set(ids)


@pytest.mark.parametrize(
    ("action", "id"),
    [
        ("{log: '${1 +}', x: 1}", "WF201"),
        ("{log: '${1 +}', level: loud}", "WF205"),
        ("{tool: t, inputs: {q: '${1 +}'}, timeout: soon}", "WF212"),
        ("{type: send, event: e, data: '${1 +}', delay: soon}", "WF212"),
        ("[{lgo: x}, {log: '${1 +}'}]", "WF222"),
        ("[5, {log: '${1 +}'}]", "WF203"),
        ("{if: x, then: [{log: '${1 +}', x: 1}]}", "WF201"),
        ("{for_each: '${x}', do: [{log: '${1 +}', x: 1}]}", "WF201"),
    ],
)
@pytest.mark.parametrize(
    "place",
    ["on_enter: %s", "on_exit: %s", "transitions: {event: e, actions: %s}", "on_done: {target: s, actions: %s}"],
)
def test_a_wrong_action_hides_no_other_mistake_in_it_or_beside_it(place: str, action: str, id: str) -> None:
    ids = [id for id, *_ in found(f"{CHART}    - name: s\n      {place % action}\n")]
    assert {"WF401", id} <= set(ids)


def test_an_id_that_stands_twice_hides_no_name_that_nothing_declares() -> None:
    twice, reader = "- {id: a, type: tool, tool: t}", "- {id: b, type: tool, tool: t, inputs: {x: '${c.x}'}}"
    closed = "  input_schema: {type: object, properties: {q: {type: string}}, additionalProperties: false}\n"
    assert [id for id, *_ in found(f"{GRAPH}    {twice}\n    {reader}\n{closed}")] == ["WF208", "WF402"]
