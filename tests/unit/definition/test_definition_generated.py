"""Generated files are current, and the schema for editors agrees with the loader."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from workflow_runtime.compiler import compile_workflow
from workflow_runtime.definition import schema
from workflow_runtime.definition.loader import load
from workflow_runtime.frontends import findings_table as catalogue
from workflow_runtime.language.yaml.document import read_document

ROOT = Path(__file__).parents[3]
README = ROOT / "definitions" / "README.md"


@cache
def validator() -> Any:
    """Of workflows, as editors have it."""
    return jsonschema_rs.validator_for(schema.json_schema())


def test_the_catalogue_of_findings_is_current() -> None:
    assert catalogue.main(["--check"]) == 0, "run python -m workflow_runtime.frontends.findings_table"


FORMS = """
workflow:
  id: 订单
  version: 1.2
  x-note: ignored
  timeout:
  defaults: {tool: {timeout: 30s}, control: {priority: 1}}
  nodes:
    - {id: a, type: agent, config: {agent_id: x}, depends_on: b, retry_policy: {max_retries: 2, retry_on: timeout}}
    - {id: b, type: tool, tool_id: t, on_error: skip, fallback: a, join: {at_least: 1}, compensate: a}
    - {id: c, type: control, config: {subtype: switch, condition: y, branches: [{case: null, target: a}, {default: b}]}}
    - {id: d, type: control, subtype: condition, condition: true, then: a, else: [b]}
    - {id: e, type: aggregation, config: {strategy: vote}, min_votes: "50%", items: "${x}"}
    - {id: f, type: control, subtype: loop, items: "${x}", body: {id: step, type: tool, tool: t}}
    - {id: g, type: control, subtype: wait, duration: "${x}"}
    - {id: h, type: control, config: {subtype: wait, event: e, correlate: x, with: y, timeout: 5m, on_timeout: a}}
    - {id: i, type: state_machine, config: {states: [{name: a}]}}
  edges: [{source: a, target: b}, {from: b, to: c, condition: "x > 1"}]
  error_handlers: [{error_type: timeout, action: {type: retry, max_retries: 1}}]
  triggers: {type: schedule, config: {rate: 5 minutes}}
"""


CHART = """
workflow:
  id: 订单
  type: state_machine
  initial_state: {target: a, actions: {log: x}}
  final_states: done
  merge_event_data: false
  states:
    - name: a
      x-note: ignored
      type: initial
      on_enter:
        - {type: log, params: {message: x, level: debug}, required: false}
        - {type: log, message: x}
        - {log: {message: x}, x-note: ignored}
        - log: x
        - {publish_event: x, payload: {a: 1}}
        - {set_variable: {name: x, value: null}}
        - {raise: x}
        - {send: {event: x, to: {correlate: y}, delay: "${z}"}}
        - {cancel_send: x}
        - {if: x, then: {log: a}, else: [{raise: {event: b}}]}
        - {for_each: [1, 2], as: y, do: {log: a}}
        - {start_workflow: x, result_event: y}
        - {tool: t, inputs: {a: 1}, result: r}
        - {tool: {tool_id: t}}
        - {type: agent, agent: t, prompt: }
      transitions: {event: [x, y.*, "*"], target: [a, b], type: internal, condition: true}
      always: [{condition: x, target: b}]
      after: [{every: 5}, {delay: 5m, target: b}]
      run: {id: n, type: agent, agent: a}
      on_done: b
      on_error: {target: [b]}
    - {name: b, initial: [c], states: [{name: c}, {name: h, type: history, history: deep, default: c}]}
    - {name: p, type: parallel, states: [{name: q}], on_exit: [{log: x}], on_done: [a]}
    - {name: f, type: final, output: null}
    - {name: g, initial: h, states: {h: {type: normal, states: {i: }}, x-note: ignored}}
"""


@pytest.mark.parametrize("text", [FORMS, CHART], ids=["graph", "chart"])
def test_the_schema_accepts_every_form_that_the_loader_accepts(text: str) -> None:
    assert load(text).findings == []
    validator().validate(read_document(text).value)


WRONG_ACTIONS = ["5", "{}", "{lgo: x}", "{type: lgo}", "{log: x, lvl: y}", "{type: log, params: {msg: x}}"]


@pytest.mark.parametrize("action", WRONG_ACTIONS)
def test_the_schema_refuses_actions_that_are_none(action: str) -> None:
    text = f"workflow: {{id: w, type: state_machine, states: [{{name: a, on_enter: [{action}]}}]}}"
    assert not validator().is_valid(read_document(text).value)


@pytest.mark.parametrize("name", ["several_mistakes", "policies_and_triggers", "states", "waits"])
def test_the_schema_refuses_what_is_wrong(name: str) -> None:
    text = (Path(__file__).parent / "golden" / f"{name}.yaml").read_text("utf-8")
    assert not validator().is_valid(read_document(text).value)


_GRAPH = "workflow:\n  id: w\n  nodes:\n"
FRAMES = {
    "- ": (_GRAPH, "    "),
    "triggers:": (f"{_GRAPH}    - {{id: n, type: tool, tool: t}}\n", "  "),
    "on_enter:": ("workflow:\n  id: w\n  type: state_machine\n  states:\n    - name: a\n", "      "),
}
"""What stands around the guide's examples that are parts of a file, by how these start."""


def test_the_guides_examples_are_right() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    whole = [block for block in blocks if block.startswith("workflow:\n")]
    assert whole
    for block in blocks:
        yaml.safe_load(block)
    for block in whole:
        assert compile_workflow(block).findings == []
    for first, frame in FRAMES.items():
        parts = [block for block in blocks if block.startswith(first)]
        assert parts
        for block in parts:
            before, indent = frame
            assert load(before + "".join(f"{indent}{line}\n" for line in block.splitlines())).findings == []
