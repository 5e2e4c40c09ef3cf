"""What models have used, and what that costs, in documents and summaries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests import model_server
from tests.integration.cli.conftest import Awr


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    (tmp_path / "definitions" / "workflows").mkdir(parents=True)
    path = tmp_path / "definitions" / "workflows" / "w.yaml"
    path.write_text(
        "workflow:\n  id: w\n  nodes:\n"
        "    - {id: ask, type: agent, agent: asker, retry_policy: {max_retries: 1, retry_delay: 1}}\n"
        "    - {id: judge, type: agent, agent: judge, dependencies: [ask]}\n"
    )
    return path


def agents(workflow: Path, url: str) -> None:
    folder = workflow.parents[1] / "agents"
    folder.mkdir()
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    at = {"base_url": url, "output_retries": 0}
    asker = {"id": "asker", "model": "openai:gpt-4o", "output_schema": schema, **at}
    (folder / "a.json").write_text(json.dumps({"agents": [asker, {"id": "judge", "model": "openai:qwen3", **at}]}))


def output(request: model_server.Request) -> model_server.Reply:
    name = request["tools"][0]["function"]["name"]
    return model_server.calls((name, {"n": 1}), model="gpt-4o", tokens=(1000, 200))


def unfit(request: model_server.Request) -> model_server.Reply:
    name = request["tools"][0]["function"]["name"]
    return model_server.calls((name, {"n": "one"}), model="gpt-4o", tokens=(500, 100))


def test_an_execution_tells_what_its_models_have_used_by_model_and_by_agent(awr: Awr, workflow: Path) -> None:
    with model_server.serving() as server:
        agents(workflow, server.url)
        server.answer(unfit, output, model_server.text("fine", model="qwen3", tokens=(10, 5)))
        document = json.loads(awr("run", workflow, "--json", "--skip-time").stdout)
    nodes = document["node_executions"]
    assert {name: nodes["ask"]["usage"][name] for name in ("input_tokens", "output_tokens", "requests")} == {
        "input_tokens": 1500,
        "output_tokens": 300,
        "requests": 2,
    }
    usage = document["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["requests"]) == (1510, 305, 3)
    assert {model: sums["requests"] for model, sums in usage["by_model"].items()} == {"gpt-4o": 2, "qwen3": 1}
    assert {agent: sums["input_tokens"] for agent, sums in usage["by_agent"].items()} == {"asker": 1500, "judge": 10}


def test_the_summary_shows_what_models_have_used(awr: Awr, workflow: Path) -> None:
    with model_server.serving() as server:
        agents(workflow, server.url)
        server.answer(output, model_server.text("fine", model="qwen3", tokens=(10, 5)))
        shown = awr("run", workflow, "--skip-time").stdout
    assert "models: 2 requests, 1,010 tokens in, 205 out" in shown
    assert "(gpt-4o, qwen3)" in shown


def test_an_execution_without_models_says_nothing_of_them(awr: Awr, tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text("workflow: {id: w, nodes: [{id: a, type: pass}]}")
    assert "usage" not in json.loads(awr("run", path, "--json").stdout)
    assert "models:" not in awr("run", path).stdout
