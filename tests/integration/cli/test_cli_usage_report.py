"""`awr usage`: what models have used, by tenant, workflow, agent and model."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.integration.cli.conftest import Awr, only_document
from tests.model_server import serving, text

WORKFLOW = """
workflow:
  id: {id}
  type: dag
  tenant: "${{customer}}"
  nodes:
    - {{id: a, type: agent, agent: first, inputs: {{q: "${{customer}}"}}}}
    - {{id: b, type: agent, agent: second, inputs: {{q: "${{a}}"}}}}
"""


@pytest.fixture
def runs(tmp_path: Path, awr: Awr) -> None:
    """Three executions of two workflows, of two customers, with two agents each."""
    with serving() as server:
        server.answer(text("ok", model="gpt-4o", tokens=(100, 10)))
        agents = [{"id": id, "model": "openai:gpt-4o", "base_url": server.url} for id in ("first", "second")]
        (tmp_path / "definitions" / "agents").mkdir(parents=True)
        (tmp_path / "definitions" / "agents" / "a.yaml").write_text(yaml.safe_dump({"agents": agents}), "utf-8")
        for id in ("one", "two"):
            (tmp_path / f"{id}.yaml").write_text(WORKFLOW.format(id=id), "utf-8")
        for id, customer in (("one", "王小明"), ("one", "Ann"), ("two", "Ann")):
            ran = awr("run", f"{id}.yaml", "--db", "runs.db", "--input", f'{{"customer": "{customer}"}}')
            assert ran.exit_code == 0, ran.stderr


@pytest.mark.usefixtures("runs")
def test_usage_is_summed_by_tenant_workflow_agent_and_model(awr: Awr) -> None:
    report = only_document(awr("usage", "--db", "runs.db", "--json").stdout)
    assert report["executions"] == 3
    assert report["total"]["requests"] == 6
    requests = {
        name: {value: used["requests"] for value, used in report[name].items()}
        for name in ("by_tenant", "by_workflow", "by_agent", "by_model")
    }
    assert requests == {
        "by_tenant": {"Ann": 4, "王小明": 2},
        "by_workflow": {"one": 4, "two": 2},
        "by_agent": {"first": 3, "second": 3},
        "by_model": {"gpt-4o": 6},
    }
    assert report["by_tenant"]["Ann"]["input_tokens"] == 400


@pytest.mark.usefixtures("runs")
def test_usage_is_shown_of_one_workflow_of_some_time_and_of_so_many_executions(awr: Awr) -> None:
    of_one = awr("usage", "one", "--db", "runs.db")
    assert "王小明" in of_one.stdout
    assert "two" not in of_one.stdout
    newest = awr("usage", "--db", "runs.db", "--limit", "1")
    assert "1 execution " in newest.stdout
    assert "--limit takes more" in newest.stderr
    assert "no model was asked" in awr("usage", "nobody", "--db", "runs.db").stdout
    wrong = awr("usage", "--db", "runs.db", "--since", "soon")
    assert wrong.exit_code == 2
    assert "--since" in wrong.stderr
