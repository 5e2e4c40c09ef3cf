"""Generated files are current, and the schema for editors agrees with the loader."""

import re
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from workflow_runtime import catalogue
from workflow_runtime.definition import load, schema
from workflow_runtime.definition.document import read_document

ROOT = Path(__file__).parents[3]
README = ROOT / "definitions" / "README.md"


def test_the_schema_file_is_current() -> None:
    assert schema.main(["--check"]) == 0, "run python -m workflow_runtime.definition.schema"


def test_the_catalogue_of_findings_is_current() -> None:
    assert catalogue.main(["--check"]) == 0, "run python -m workflow_runtime.catalogue"


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
    - {id: f, type: control, subtype: loop, items: "${x}", body: []}
  edges: [{source: a, target: b}, {from: b, to: c, condition: "x > 1"}]
  error_handlers: [{error_type: timeout, action: {type: retry, max_retries: 1}}]
  triggers: {type: schedule, config: {rate: 5 minutes}}
"""


def test_the_schema_accepts_every_form_that_the_loader_accepts() -> None:
    assert load(FORMS).findings == []
    jsonschema_rs.validate(schema.json_schema(), read_document(FORMS).value)


@pytest.mark.parametrize("name", ["several_mistakes", "policies_and_triggers"])
def test_the_schema_refuses_what_is_wrong(name: str) -> None:
    text = (Path(__file__).parent / "golden" / f"{name}.yaml").read_text("utf-8")
    assert not jsonschema_rs.is_valid(schema.json_schema(), read_document(text).value)


def test_the_guides_examples_are_right() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    whole = [block for block in blocks if block.startswith("workflow:")]
    assert whole
    for block in blocks:
        yaml.safe_load(block)
    for block in whole:
        assert load(block).findings == []
    nodes = [block for block in blocks if block.startswith("- ")]
    assert nodes
    for block in nodes:
        indented = "".join(f"    {line}\n" for line in block.splitlines())
        assert load(f"workflow:\n  id: w\n  nodes:\n{indented}").findings == []
