"""Whatever can be known before anything runs is said before anything runs."""

from __future__ import annotations

from workflow_runtime.compiler import compile_workflow
from workflow_runtime.findings import Finding
from workflow_runtime.plan.catalogue import Catalogue, CatalogueEntry


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


WRITER = CatalogueEntry(
    id="writer",
    output_schema={
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "score": {"type": "number"},
            "mood": {"$ref": "#/$defs/Mood"},
            "who": {"type": "object", "properties": {"name": {"type": "string"}}, "additionalProperties": False},
        },
        "required": ["text"],
        "$defs": {"Mood": {"enum": ["good", "bad"]}},
    },
)
MAIL = CatalogueEntry(
    id="mail",
    input_schema={
        "type": "object",
        "properties": {"to": {"type": "string"}, "retries": {"type": "integer"}, "cc": {"$ref": "#/$defs/People"}},
        "required": ["to"],
        "additionalProperties": False,
        "$defs": {"People": {"type": "array", "items": {"type": "string"}}},
    },
)
CATALOGUE = Catalogue({"writer": WRITER}, {"mail": MAIL})


def of_writer(*nodes: str) -> list[tuple[str, str]]:
    lines = "".join(f"    - {node}\n" for node in nodes)
    found = findings(f"  nodes:\n    - {{id: w, type: agent, agent: writer}}\n{lines}", CATALOGUE)
    return [(finding.path, f"{finding.message} {finding.hint or ''}".strip()) for finding in found]


def test_a_field_that_an_output_does_not_have_is_found_with_its_likely_name() -> None:
    assert of_writer(
        "{id: a, type: control, subtype: pass, inputs: {a: '${w.txt}', b: '${w.text}', c: '${w.output.who.nme}'}}",
        "{id: b, type: control, subtype: pass, inputs: {a: '${nodes.w.output.scores}', b: '${a.d}', c: '${w.text.x}'}}",
        "{id: c, type: agent, agent: writer, outputs: [text, moood]}",
        "{id: d, type: agent, agent: writer, outputs: {short: '${output.text}', x: '${output.tex}'}}",
        "{id: e, type: control, subtype: pass, inputs: {a: '${d.long}', b: '${d.short.any}', c: '${c.score}'}}",
    ) == [
        ("nodes[1].inputs.a", "`w` has no `txt` Did you mean `text`?"),
        ("nodes[1].inputs.c", "`w.output.who` has no `nme` Did you mean `name`?"),
        ("nodes[2].inputs.a", "`nodes.w.output` has no `scores` Did you mean `score`?"),
        ("nodes[2].inputs.b", "`a` has no `d` Known here: `a`, `b`, `c`."),
        ("nodes[2].inputs.c", "`w.text` has no `x` A path that leads nowhere is null."),
        ("nodes[3].outputs[1]", "the output of `c` has no `moood` Did you mean `mood`?"),
        ("nodes[4].outputs.x", "`output` has no `tex` Did you mean `text`?"),
        ("nodes[5].inputs.a", "`d` has no `long` Known here: `short`, `x`."),
        ("nodes[5].inputs.c", "`c` has no `score` Known here: `moood`, `text`."),
    ]


def test_a_comparison_that_can_only_go_one_way_is_found() -> None:
    assert of_writer(
        "{id: a, type: tool, tool: mail, inputs: {to: x}, when: \"w.mood == 'god'\"}",
        "{id: b, type: tool, tool: mail, inputs: {to: x}, when: \"w.mood in ['good', 'evil'] and w.score > '3'\"}",
        "{id: c, type: tool, tool: mail, inputs: {to: \"${w.score == 'x' ? 1 : 2}\"}, when: \"'a' < w.text\"}",
        "{id: d, type: tool, tool: mail, inputs: {to: x}, when: 'w.text != 5 and w.mood != null and w.score == 1.5'}",
    ) == [
        ("nodes[1].when", '`w.mood` is never "god": this is never true Did you mean `good`?'),
        ("nodes[2].when", '`w.mood` is never "evil": this is never true Known here: `good`, `bad`.'),
        (
            "nodes[2].when",
            '`w.score` is a number, and "3" is text: this is never true Correct the value, or the schema.',
        ),
        (
            "nodes[3].inputs.to",
            '`w.score` is a number, and "x" is text: this is never true Correct the value, or the schema.',
        ),
        ("nodes[4].when", "`w.text` is text, and 5 is a number: this is always true Correct the value, or the schema."),
    ]


def test_a_case_that_a_condition_never_has_is_found() -> None:
    assert of_writer(
        "{id: s, type: control, subtype: switch, condition: '${w.mood}',"
        " branches: [{case: [good, bda], target: x}, {case: null, target: x}, {default: x}]}",
        "{id: x, type: control, subtype: pass}",
    ) == [("nodes[1].branches[0].case", 'the condition of `s` is never "bda" Did you mean `bad`?')]


def test_inputs_are_held_against_what_a_tool_takes() -> None:
    assert of_writer(
        "{id: a, type: tool, tool: mail}",
        "{id: b, type: tool, tool: mail, inputs: {to: 5, retrys: 2, retries: two, cc: [a, 1]}}",
        "{id: c, type: tool, tool: mail, inputs: {to: '${w.text}', retries: '${w.score}', cc: ['${w.text}']}}",
    ) == [
        ("nodes[1].tool", "tool `mail` needs `to` (string) Add `to` to `inputs`."),
        ("nodes[2].inputs.to", 'tool `mail` does not take this as `to`: 5 is not of type "string" It takes: string.'),
        ("nodes[2].inputs.retrys", "tool `mail` takes no `retrys` Did you mean `retries`?"),
        (
            "nodes[2].inputs.retries",
            'tool `mail` does not take this as `retries`: "two" is not of type "integer" It takes: integer.',
        ),
        (
            "nodes[2].inputs.cc",
            'tool `mail` does not take this as `cc`: cc/1: 1 is not of type "string" It takes: People.',
        ),
    ]


def test_an_input_is_read_as_its_schema_says() -> None:
    assert ids("""
  input_schema:
    type: object
    properties:
      order: {type: object, properties: {total: {type: number}, state: {enum: [new, paid]}}}
      note: true
  nodes:
    - {id: a, type: tool, tool: t, inputs: {x: "${order.totl}", y: "${note.any}"}}
    - {id: b, type: tool, tool: t, when: "order.state == 'payed'"}
""") == {"WF413", "WF421"}


def test_a_reference_of_a_schema_that_leads_nowhere_is_found_where_it_stands() -> None:
    found = findings("""
  input_schema: {type: object, properties: {a: {$ref: "#/definitions/T"}, b: {$ref: "#/properties/a"}, c: {$ref: "#"}}}
  output_schema: {$ref: "https://example.com/schema.json"}
  event_schemas: {pay: {properties: {x: {$ref: "#/$defs/x"}}, $defs: {x: {type: string}}}, go: {$ref: "#/nowhere"}}
  nodes: [{id: a, type: agent, agent: x, output_schema: {items: {$ref: "#/$defs/y"}}}]
""")
    assert [(finding.id, finding.path) for finding in found] == [
        ("WF218", 'input_schema.properties.a["$ref"]'),
        ("WF218", 'output_schema["$ref"]'),
        ("WF218", 'event_schemas.go["$ref"]'),
        ("WF218", 'nodes[0].output_schema.items["$ref"]'),
    ]


CHART = """
  type: state_machine
  variables: {limit: 3}
  initial_state: a
  states:
    - name: a
      transitions:
        - {event: pay, condition: "${amount} > limit and ${amuont} > 0", target: done}
"""


def test_names_in_charts_are_checked_once_it_is_known_what_events_bring() -> None:
    named = "  input_schema: {properties: {order: true}}\n"
    schemas = "  event_schemas: {pay: {properties: {amount: {type: number}}}}\n"
    assert ids(named + CHART) == set()
    assert ids(schemas + CHART) == set(), "the input may bring anything"
    [found] = findings(named + schemas + CHART)
    assert (found.id, found.message, found.hint) == ("WF402", "nothing declares `amuont`", "Did you mean `amount`?")
    closed = "  input_schema: {properties: {order: true}, additionalProperties: false}\n"
    assert [finding.message for finding in findings(closed + CHART)] == [
        "nothing declares `amount`",
        "nothing declares `amuont`",
    ]


def test_the_schema_of_an_event_that_nothing_listens_to_is_a_warning() -> None:
    [found] = findings("  event_schemas: {pya: {type: object}, pay: true}\n" + CHART)
    assert (found.id, found.path, found.hint) == ("WF423", "event_schemas.pya", "Did you mean `pay`?")


def test_what_events_may_overwrite_is_part_of_the_plan() -> None:
    def overwrites(written: str) -> tuple[bool, object]:
        text = f"workflow:\n  id: w\n{CHART}".replace("target: done}", f"target: done{written}}}")
        plan = compile_workflow(text).plan
        assert plan is not None
        [transition] = plan.charts[0].states[1].transitions
        return transition.merge, transition.overwrites

    assert overwrites("") == (True, ())
    assert overwrites(", merge_event_data: true") == (True, True)
    assert overwrites(", merge_event_data: false") == (False, ())
    assert overwrites(", merge_event_data: [limit, 数量]") == (True, ("limit", "数量"))


def test_an_output_schema_that_no_model_can_be_given_is_found_at_the_node() -> None:
    node = "{id: a, type: agent, agent: x, output_schema: {type: object, properties: {y: %s}, $defs: {n: %s}}}"
    anchor = "{$anchor: n, $dynamicAnchor: n}"
    for part, reason in (('{$ref: "#n"}', "use #/$defs/…"), ('{$dynamicRef: "#n"}', "use `$ref`")):
        [found] = findings(f"  nodes: [{node % (part, anchor)}]")
        assert (found.id, found.path, found.severity) == ("WF424", "nodes[0].output_schema", "error")
        assert reason in found.message
    reference = '{$ref: "#/$defs/n"}'
    assert not ids(f"  nodes: [{node % (reference, f'{{properties: {{again: {reference}}}}}')}]")


def test_the_output_schema_of_an_agent_that_a_state_runs_is_checked_too() -> None:
    assert "WF424" in ids("""
  type: state_machine
  initial_state: a
  states:
    - name: a
      run: {id: x, type: agent, agent: x, output_schema: {$ref: "#n", $defs: {n: {$anchor: n}}}}
      on_done: done
""")
