"""The JSON Schemas for editors are current, accept the shipped files and refuse mistakes in them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from workflow_runtime.frontends import schemas
from workflow_runtime.language.yaml.small_files import parse_document, read_document

DEFINITIONS = Path(__file__).parents[3] / "definitions"
FOLDERS = {"workflow": "workflows", "agents": "agents", "tools": "tools", "mocks": "mocks"}
SHIPPED = [
    (kind, file)
    for kind, folder in FOLDERS.items()
    for root in (DEFINITIONS, DEFINITIONS / "en")
    for file in sorted((root / folder).glob("*.yaml"))
]
ROOT = DEFINITIONS.parent
SCENARIOS = [
    *sorted((ROOT / "tests" / "scenarios").glob("*.yaml")),
    *sorted((ROOT / "functions/workflow_runtime/frontends/cli/project/tests/scenarios").glob("*.yaml")),
]


@cache
def validators() -> dict[str, Any]:
    return {kind: jsonschema_rs.validator_for(schema) for kind, schema in schemas.json_schemas().items()}


def is_valid(kind: str, value: Any) -> bool:
    return bool(validators()[kind].is_valid(value))


def test_the_schema_files_are_current() -> None:
    assert schemas.main(["--check"]) == 0, "run python -m workflow_runtime.frontends.schemas"


@pytest.mark.parametrize(("kind", "file"), SHIPPED, ids=lambda value: getattr(value, "name", value))
def test_the_shipped_files_fit_their_schemas(kind: str, file: Path) -> None:
    assert is_valid(kind, read_document(file).value)


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: f"{file.parents[2].name}-{file.stem}")
def test_every_shipped_scenario_fits_its_schema(file: Path) -> None:
    assert is_valid("scenario", read_document(file).value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("agents", "agents: [{id: a, model: test, instruction: x}]"),
        ("agents", "agents: {}"),
        ("agents", "id: a"),
        ("agents", "{id: a, model: test, models: [test]}"),
        ("agents", "{id: a, model: gpt-5}"),
        ("agents", "{id: a, models: [{model: 'openai:x', url: x}]}"),
        ("agents", "{id: a, model: test, tools: [{tool: x, aprove: true}]}"),
        ("agents", "{id: a, model: test, guardrails: {output: [{on_fail: retry}]}}"),
        ("limits", "limiters: {}"),
        ("limits", "limits: {openai: {request: 60/min}}"),
        ("limits", "limits: {openai: {requests: often}}"),
        ("tools", "tools: [{id: a}]"),
        ("tools", "{id: a, uses: echo, input: {}}"),
        ("mocks", "agent: {}"),
        ("mocks", "agents: {x: {retrun: 1}}"),
        ("mocks", "agents: {x: {cases: [{return: 1}]}}"),
        ("mocks", "tools: {x: {raise: timeout}}"),
        ("scenario", "workflow: a"),
        ("scenario", "{workflow: a, scenarios: []}"),
        ("scenario", "{workflow: a, inputs: {}, expect: {}}"),
        ("scenario", "{workflow: a, expect: {stauts: failed}}"),
        ("scenario", "{workflow: a, scenarios: [{input: {}}]}"),
        ("scenario", "{workflow: a, scenarios: [{expect: {}}], expect: {}}"),
        ("scenario", "{workflow: a, expect: {}, events: [{send: x, bus: {detail_type: y}}]}"),
        ("scenario", "{workflow: a, expect: {}, events: [{at: 1h, data: {}}]}"),
        ("scenario", "{workflow: a, expect: {}, mocks: {agents: {a: {retrun: 1}}}}"),
    ],
)
def test_a_mistake_is_refused(kind: str, text: str) -> None:
    assert not is_valid(kind, parse_document(text).value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("agents", "{id: a, models: ['openai:x', {model: 'openai:y', base_url: 'http://y'}], fallback_on: [timeout]}"),
        ("agents", "{id: a, model: test, tools: [x, {tool: y, approve: true}, {mcp: z, allow: [u]}], limiter: l}"),
        ("agents", "{id: a, model: test, guardrails: {output: [{check: 'true'}, {check: {agent: b}, on_fail: fix}]}}"),
        ("limits", "{limits: {openai: {requests: 60/min, concurrency: 2, budget: {usd: 20/day}}}, x-note: 1}"),
        ("agents", "{id: a, model: test}"),
        ("tools", "{id: a, uses: echo, inputs: {x: 1}}"),
        ("mocks", "agents: {x: [{return: 1}, {raise: {type: timeout}, delay: 5s}]}\ndefault: {return: '${x}'}"),
        ("mocks", "tools: {x: {cases: [{match: 'a > 1', return: 1}], default: {return: 2}}}"),
        (
            "scenario",
            "{workflow: a, expect: {}, events: [{at: 2s, send: x, data: 1}, {bus: {detail_type: y}}]}",
        ),
        ("scenario", "{workflow: a, expect: {output: null, states: {m: [a]}}, mocks: {agents: {a: {return: 1}}}}"),
    ],
)
def test_what_the_runtime_takes_is_accepted(kind: str, text: str) -> None:
    assert is_valid(kind, parse_document(text).value)
