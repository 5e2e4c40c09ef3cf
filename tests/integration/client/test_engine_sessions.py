"""The engine lists, shows and deletes sessions of agents: in this process, and over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.dev.dev_process import DevProcess

from workflow_runtime.frontends.client import NotFound, SyncWorkflowEngine

TALK: dict[str, Any] = {
    "id": "talk",
    "tenant": "${tenant}",
    "nodes": [{"id": "say", "type": "agent", "agent": "朋友", "inputs": {"q": "${q}"}, "session": "${who}"}],
}


@pytest.fixture
def definitions(tmp_path: Path) -> Path:
    (tmp_path / "definitions" / "agents").mkdir(parents=True)
    (tmp_path / "definitions" / "agents" / "friend.yaml").write_text("{id: 朋友, model: test}", "utf-8")
    return tmp_path / "definitions"


@pytest.fixture(params=["local", "remote"])
def engine(request: pytest.FixtureRequest, definitions: Path, tmp_path: Path) -> Iterator[SyncWorkflowEngine]:
    if request.param == "local":
        with SyncWorkflowEngine.local(definitions=definitions) as opened:
            yield opened
        return
    with (
        DevProcess(tmp_path / "log", "--definitions", definitions) as process,
        SyncWorkflowEngine.remote(process.url) as opened,
    ):
        yield opened


def talk(engine: SyncWorkflowEngine, who: str, q: str, tenant: str = "acme") -> str:
    id = engine.execute_workflow("talk", {"who": who, "q": q, "tenant": tenant})
    assert engine.wait(id, 100)["status"] == "completed"
    return id


def test_sessions_are_listed_shown_and_deleted(engine: SyncWorkflowEngine) -> None:
    engine.create_workflow(TALK)
    ids = [talk(engine, "a/b 客", str(number)) for number in range(3)]
    talk(engine, "other", "x", "umbrella")
    found = engine.list_sessions()
    assert [(each["tenant"], each["session"], each["turns"]) for each in found] == [
        ("acme", "a/b 客", 3),
        ("umbrella", "other", 1),
    ]
    assert engine.list_sessions("nobody") == []
    assert [each["session"] for each in engine.list_sessions("朋友", tenant="umbrella", limit=1)] == ["other"]
    shown: Any = engine.get_session("朋友", "a/b 客", tenant="acme")
    assert [turn["execution_id"] for turn in shown["told"]] == ids
    assert shown["told"][2]["messages"][0]["parts"][0]["content"] == '{"q":"2"}'
    engine.delete_session("朋友", "a/b 客", tenant="acme")
    for gone in (engine.get_session, engine.delete_session):
        with pytest.raises(NotFound, match="has no session 'a/b 客' of the tenant 'acme'"):
            gone("朋友", "a/b 客", tenant="acme")
    assert [each["session"] for each in engine.list_sessions()] == ["other"]
