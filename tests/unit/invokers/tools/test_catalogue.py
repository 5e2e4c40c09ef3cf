"""The catalogue: agents and tools as plain data."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import pytest

from workflow_runtime.errors import DefinitionError
from workflow_runtime.invokers.agents import AgentRegistry
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.invokers.tools import ToolRegistry
from workflow_runtime.invokers.tools.tool import describe
from workflow_runtime.plan.catalogue import Argument, Catalogue, CatalogueEntry
from workflow_runtime.runtime.registries import Registries
from workflow_runtime.sdk import NodeContext


def sample(
    订单: str, context: NodeContext, kind: Literal["a", "b"] = "a", ids: list[int] | None = None
) -> dict[str, int]:
    return {订单 + kind + context.path: len(ids or [])}


def definitions(tmp_path: Path) -> Path:
    for name, text in {
        "agents/a.yaml": "{id: 意图, model: test, description: 判断意图, output_schema: {type: object}}",
        "tools/t.yaml": "{id: 搜索, uses: http_request, description: d, inputs: {url: 'https://example.com'}}",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_a_tools_arguments_have_names_types_and_defaults() -> None:
    entry = describe(sample, "sample", "").entry()
    assert entry.arguments == (
        Argument(name="订单", type="string", required=True),
        Argument(name="kind", type='"a" or "b"', required=False, default="a"),
        Argument(name="ids", type="list of integer or null", required=False),
    )
    assert not entry.takes_others
    assert entry.source == f"{__name__}.sample"
    assert entry.output_schema == {"type": "object", "additionalProperties": {"type": "integer"}}


def test_a_type_that_refers_to_itself_is_named() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    schema = {"$defs": {"Node": node}, "properties": {"first": {"$ref": "#/$defs/Node"}}}
    assert [argument.type for argument in CatalogueEntry(id="t", input_schema=schema).arguments] == ["Node"]


def test_a_tool_with_open_arguments_takes_others() -> None:
    echo = ToolRegistry.load(None).describe()["echo"]
    assert echo.takes_others
    assert echo.source == "built-in"


def test_agents_come_with_their_output_schema_and_file(tmp_path: Path) -> None:
    entry = AgentRegistry.load(definitions(tmp_path) / "agents").describe()["意图"]
    assert (entry.description, entry.output_schema) == ("判断意图", {"type": "object"})
    assert entry.source.endswith("a.yaml")


def test_a_catalogue_survives_being_stored(tmp_path: Path) -> None:
    mocks = Mocks.load({"tools": {"发送": {"return": None}, "echo": {"return": 1}}})
    catalogue = Registries(definitions(tmp_path), mocks).catalogue
    assert msgspec.json.decode(msgspec.json.encode(catalogue), type=Catalogue) == catalogue
    assert catalogue.tools["发送"].source == "mock"
    assert catalogue.tools["echo"].source == "built-in"
    assert catalogue.tools["搜索"].source.endswith("t.yaml")
    assert "url" not in {argument.name for argument in catalogue.tools["搜索"].arguments}


def test_an_agent_that_names_what_there_is_not_is_refused_unless_that_is_mocked(tmp_path: Path) -> None:
    folder = definitions(tmp_path)
    agent = "{id: b, model: test, tools: [serach, echo], guardrails: {output: [{check: {agent: judge}}]}}"
    (folder / "agents" / "b.yaml").write_text(agent)
    with pytest.raises(DefinitionError) as caught:
        _ = Registries(folder).catalogue
    assert [(finding.id, finding.path) for finding in caught.value.findings] == [
        ("WF609", "tools[0]"),
        ("WF609", "guardrails.output[0].check"),
    ]
    assert "names the tool 'serach', which does not exist" in caught.value.findings[0].message
    mocks = Mocks.load({"tools": {"serach": {"return": None}}, "agents": {"judge": {"return": {"ok": True}}}})
    assert "b" in Registries(folder, mocks).catalogue.agents


def test_it_is_known_which_workflows_an_agent_may_call_by_itself_or_by_another_agent(tmp_path: Path) -> None:
    folder = definitions(tmp_path)
    (folder / "agents" / "b.yaml").write_text("{id: b, model: test, tools: [{workflow_id: deep_check}]}")
    (folder / "agents" / "c.yaml").write_text("{id: c, model: test, tools: [{agent: b}, {workflow_id: 查}]}")
    agents = Registries(folder).catalogue.agents
    assert (agents["b"].workflows, agents["c"].workflows) == (("deep_check",), ("deep_check", "查"))


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ("model: 'openai:gpt-5', limits: {usd: 1}", False),
        ("model: 'openai:my-own', limits: {usd: 1}", True),
        ("model: 'openai:gpt-5', base_url: 'http://localhost:1/v1', limits: {usd: 1}", True),
        ("models: ['openai:gpt-5', 'openai:my-own'], budget: {usd: 1}", True),
        ("model: 'openai:my-own', budget: {usd: 1, unknown_price: tokens}", False),
        ("model: 'openai:my-own', budget: {tokens: 1000}", False),
        ("model: test, limits: {usd: 1}", False),
        ("model: 'openai:my-own'", False),
    ],
)
def test_a_budget_in_dollars_needs_models_with_a_price(tmp_path: Path, fields: str, *, refused: bool) -> None:
    folder = definitions(tmp_path)
    (folder / "agents" / "b.yaml").write_text(f"{{id: b, {fields}}}")
    if not refused:
        assert "b" in Registries(folder).catalogue.agents
        return
    with pytest.raises(DefinitionError) as caught:
        _ = Registries(folder).catalogue
    (finding,) = caught.value.findings
    assert finding.id == "WF611"
    assert (" at http://localhost:1/v1" in finding.message) == ("base_url" in fields), "prices there are its own"
