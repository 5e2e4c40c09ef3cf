"""However an agent comes to run, what it does is recorded step by step: there is no way around the log."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.runtime.in_process import LocalRuntime

AGENTS = """
agents:
  - {id: helper, model: test, tools: [look]}
  - {id: chief, model: test, tools: [{agent: helper}]}
"""
TOOLS = """
from workflow_runtime.sdk import tool


@tool(effects="none")
def look(question: str) -> str:
    \"\"\"Look something up.\"\"\"
    return question


@tool
def broken() -> None:
    raise ValueError
"""
NODE = "{id: a, type: agent, agent: helper, inputs: {q: 1}}"
CHART = "workflow: {id: w, type: hybrid, initial_state: s, final_states: [end], states: [{name: s, %s}]}"
LOOP = f"{{id: l, type: control, subtype: loop, times: 1, body: [{NODE}]}}"
FALLBACK = "{id: t, type: tool, tool: broken, inputs: {}, fallback: {agent: helper}}"
ACTION = "on_enter: [{agent: {agent: helper, inputs: {q: 1}, result: r}}], transitions: [{event: go, target: end}]"
WAYS = {
    "a node": f"workflow: {{id: w, nodes: [{NODE}]}}",
    "a pass of a loop": f"workflow: {{id: w, nodes: [{LOOP}]}}",
    "what a state runs": CHART % f"run: {NODE}, on_done: end",
    "an action of a chart": CHART % ACTION,
    "a fallback": f"workflow: {{id: w, nodes: [{FALLBACK}]}}",
    "a tool of an agent": "workflow: {id: w, nodes: [{id: c, type: agent, agent: chief, inputs: {q: 1}}]}",
}


@pytest.mark.parametrize("way", WAYS)
def test_an_agent_is_durable_whichever_way_it_comes_to_run(way: str, tmp_path: Path) -> None:
    for name, content in (("agents/a.yaml", AGENTS), ("tools/t.py", TOOLS)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(content, "utf-8")
    with LocalRuntime(open_backend(), tmp_path, environ={}) as local:
        local.services.catalog.publish(WAYS[way].encode())
        execution_id = local.services.starter.start("w", {})
        status = asyncio.run(local.run_until_ended(execution_id))
        assert status == ("running" if "action" in way else "completed"), "a chart with nothing but an action stays"
        steps = local.services.taken.whole(execution_id).steps
    names = [step.name.rpartition("/")[2] for step in steps]
    assert names.count("tool:look") == 1
    assert names.count("model") >= 2
