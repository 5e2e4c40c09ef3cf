"""Agents in express executions: their calls run in the same invocation, as nodes of their own, too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.model_server import ModelServer, Reply, Request, calls, serving, text

from workflow_runtime.frontends.client import SyncWorkflowEngine

TOOLS = '''
from workflow_runtime.sdk import NodeContext, ToolError, tool

@tool(effects="none")
def look(id: str, context: NodeContext) -> str:
    """Find an order, at the second try."""
    if context.attempt == 1:
        raise ToolError("busy", "later")
    return f"order {id} at {context.path} try {context.attempt}"
'''
WORKFLOW = """
workflow:
  id: quick
  durability: express
  nodes: [{id: a, type: agent, agent: desk, inputs: {q: "${q}"}}]
  outputs: {said: "${a}"}
"""
DEEP = """
workflow:
  id: deep
  durability: express
  input_schema: {type: object, properties: {x: {type: integer}}}
  nodes: [{id: p, type: control, subtype: pass, inputs: {twice: "${x * 2}"}}]
"""


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with serving() as server:
        yield server


@pytest.fixture
def definitions(tmp_path: Path, server: ModelServer) -> Path:
    folder = tmp_path / "definitions"
    retry = {"max_retries": 1, "retry_delay": 1, "jitter": "none"}
    look = {"tool": "look", "as": "node", "timeout": "20s", "retry_policy": retry}
    agents = [
        {"id": "desk", "tools": [look, {"agent": "lawyer", "as": "node"}, {"workflow_id": "deep"}]},
        {"id": "lawyer", "instructions": "law", "session": "${nobody}"},
    ]
    for agent in agents:
        agent |= {"model": "openai:m", "base_url": server.url}
    files = {
        "agents/agents.json": json.dumps({"agents": agents}),
        "tools/look.py": TOOLS,
        "workflows/quick.yaml": WORKFLOW,
        "workflows/deep.yaml": DEEP,
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, "utf-8")
    return folder


def desk(request: Request) -> Reply:
    """Calls all that there is at once, and repeats what it is told."""
    if request["messages"][0]["content"] == "law":
        return text("legal")
    told = [message["content"] for message in request["messages"] if message["role"] == "tool"]
    if not told:
        return calls(("look", {"id": "7"}), ("lawyer", {"prompt": "may we?"}), ("deep", {"x": 4}))
    return text(" | ".join(told))


def test_calls_that_are_nodes_run_in_the_invocation(definitions: Path, server: ModelServer) -> None:
    server.answer(desk)
    with SyncWorkflowEngine.local(definitions) as engine:
        document: Any = engine.wait(engine.execute_workflow("quick", {"q": "?"}), 40)
    assert document["status"] == "completed", document
    assert document["output"] == {"said": 'order 7 at call try 2 | legal | {"twice":8}'}
    assert len(server.requests) == 3
