"""Whatever can be known before anything runs is said before anything runs."""

from __future__ import annotations

from workflow_runtime.compiler import compile_workflow
from workflow_runtime.findings import Finding
from workflow_runtime.plan.catalogue import Catalogue


def findings(text: str, catalogue: Catalogue | None = None) -> list[Finding]:
    return compile_workflow(f"workflow:\n  id: w\n{text}", catalogue=catalogue).findings


def ids(text: str, catalogue: Catalogue | None = None) -> set[str]:
    return {finding.id for finding in findings(text, catalogue)}


def test_a_condition_that_no_branch_reads_is_a_warning() -> None:
    [found] = findings("""
  nodes:
    - {id: a, type: tool, tool: t}
    - {id: s, type: control, subtype: switch, condition: "${a.x}",
       branches: [{when: "${a.y}", target: b}, {default: b}]}
    - {id: b, type: tool, tool: t}
""")
    assert (found.id, found.path, found.severity) == ("WF317", "nodes[1].condition", "warning")


def test_a_duplicate_id_hides_no_unknown_one() -> None:
    found = findings("""
  nodes:
    - {id: b, type: tool, tool: echo, dependencies: [ghost_node]}
    - {id: twin, type: tool, tool: echo}
    - {id: twin, type: tool, tool: echo}
""")
    assert [(finding.id, finding.path) for finding in found] == [
        ("WF301", "nodes[0].dependencies[0]"),
        ("WF208", "nodes[2].id"),
    ]


def test_an_error_in_one_state_hides_no_warning_about_another() -> None:
    assert ids("""
  type: state_machine
  initial_state: a
  states:
    - {name: a, transitions: [{event: go, target: nowhere}, {event: stop, target: done}]}
    - {name: b, transitions: [{event: go, target: a}, {event: go, target: b}]}
""") == {"WF320", "WF329"}
    assert ids("""
  type: state_machine
  initial_state: a
  states:
    - {name: a, transitions: [{event: go, target: f}]}
    - {name: b, transitions: [{event: go, target: a}]}
    - {name: f, type: final, transitions: [{event: go, target: a}]}
""") == {"WF322", "WF328"}


def test_an_error_in_one_node_hides_nothing_about_those_that_do_not_depend_on_it() -> None:
    assert ids("""
  triggers: [{type: schedule, cron: "99 * * * *"}]
  nodes:
    - {id: broken, type: tool, tool: t, dependencies: 5}
    - {id: odd, type: tool, tool: t, inputs: {x: "${1 +}"}, dependencies: [ghost]}
    - {id: a, type: tool, tool: t}
    - {id: b, type: tool, tool: t, dependencies: [a], join: {at_least: 2}}
    - {id: stop, type: control, subtype: fail}
    - {id: never, type: tool, tool: t, dependencies: [stop]}
    - {id: below, type: tool, tool: t, dependencies: [odd], join: {at_least: 2}}
""") == {"WF203", "WF301", "WF307", "WF309", "WF340", "WF401"}


def test_an_error_in_the_graph_hides_nothing_about_a_graph_inside_a_state() -> None:
    assert ids("""
  type: hybrid
  initial_state: s
  nodes: [{id: a, type: tool, tool: t, dependencies: [ghost]}]
  states:
    - name: s
      on_done: done
      run:
        - {id: b, type: tool, tool: t}
        - {id: c, type: tool, tool: t, dependencies: [b], join: {at_least: 2}}
""") == {"WF301", "WF307"}


def test_a_template_in_a_key_is_found_wherever_it_stands() -> None:
    key = '{"key ${x}": 1}'
    for text in (
        f"  nodes: [{{id: a, type: tool, tool: t}}]\n  outputs: {key}",
        f"  nodes: [{{id: a, type: tool, tool: t}}]\n  variables: {{v: {key}}}",
        f"  nodes: [{{id: a, type: tool, tool: t, inputs: {{v: {key}}}}}]",
        f"  nodes: [{{id: a, type: control, subtype: pass, inputs: {key}}}]",
        f"  nodes: [{{id: a, type: aggregation, strategy: expression, value: {key}}}]",
        f"  nodes: [{{id: a, type: control, subtype: wait, event: e, correlate: '${{x}}', with: [{key}]}}]",
        f"  nodes: [{{id: a, type: tool, tool: t}}]\n  triggers: [{{type: event, topic: e, input: {key}}}]",
        *(
            f"  type: state_machine\n  initial_state: a\n  states: [{{name: a, on_enter: [{action}], on_done: done}}]"
            for action in (
                f"{{publish_event: {{topic: t, payload: {key}}}}}",
                f"{{send: {{event: t, data: {key}}}}}",
                f"{{raise: {{event: t, data: {key}}}}}",
                f"{{set_variable: {{name: v, value: {key}}}}}",
                f"{{if: {{condition: 'true', then: [{{start_workflow: {{workflow_id: w, input: {key}}}}}]}}}}",
            )
        ),
    ):
        compilation = compile_workflow(f"workflow:\n  id: w\n{text}")
        assert compilation.plan is None, text
        assert any("key ${x}" in finding.path for finding in compilation.findings), text
