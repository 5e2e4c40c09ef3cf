"""What the definition of an agent says of its tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workflow_runtime.errors import DefinitionError
from workflow_runtime.invokers.agents import AgentDefinition, AgentRegistry
from workflow_runtime.plan.catalogue import Effects


def agent(**fields: Any) -> AgentDefinition:
    return AgentDefinition.model_validate({"id": "a", "model": "test", **fields}, strict=True)


def test_an_id_alone_is_a_tool() -> None:
    (tool,) = agent(tools=["查询订单"]).tools
    assert (tool.kind, tool.id, tool.runs_as_node) == ("tool", "查询订单", False)


def test_an_entry_says_what_is_called_and_on_which_terms() -> None:
    refund, server, workflow, lawyer = agent(
        tools=[
            {"tool": "refund", "effects": "once", "approve": "${args.amount > 100}", "limit": 1, "on_unknown": "fail"},
            {"mcp": "github", "allow": ["search_issues"], "pin": False},
            {"workflow_id": "deep_check", "approve": True},
            {"agent": "lawyer", "as": "node"},
        ]
    ).tools
    assert (refund.effects, refund.approve and refund.approve.when, refund.limit, refund.on_unknown) == (
        Effects.ONCE,
        "${args.amount > 100}",
        1,
        "fail",
    )
    assert (server.kind, server.id, server.allow, server.pin) == ("mcp", "github", ("search_issues",), False)
    assert (workflow.kind, workflow.runs_as_node, workflow.approve and workflow.approve.when) == (
        "workflow_id",
        True,
        "true",
    )
    assert (lawyer.kind, lawyer.id, lawyer.runs_as_node) == ("agent", "lawyer", True)


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        ("[{tol: x}]", "a.yaml:3:10: error WF603: unknown key 'tol'\n    hint: Did you mean `tool`?"),
        ("[{tool: x, aprove: true}]", "Did you mean `approve`?"),
        ("[{tool: x, approve: 'arg.x'}]", "`approve`: `arg` is not known here. Did you mean `args`?"),
        ("[{tool: x, approve: 'args.x >'}]", "`approve`: the expression ends too early (character 9)"),
        ("[{tool: x, approve: 1}]", "`approve`: an expression is needed"),
        ("[{tool: x, effects: twice}]", "`effects`: must be `none`, `idempotent` or `once`"),
        ("[{tool: x, as: nod}]", "`as`: must be 'inline' or 'node'"),
        ("[{tool: x, limit: 0}]", "`limit`"),
        ("[{tool: x, allow: [y]}]", "`allow` is for MCP servers"),
        ("[{agent: x, pin: false}]", "`pin` is for MCP servers"),
        ("[{agent: x, effects: none}]", "`effects` is for tools"),
        ("[{workflow_id: x, on_unknown: ask}]", "`on_unknown` is for tools"),
        ("[{workflow_id: x, as: inline}]", "a workflow never runs `as: inline`"),
        ("[{mcp: x, as: node}]", "tools of an MCP server run inline"),
        ("[{tool: x, agent: y}]", "one of `tool`, `workflow_id`, `agent` and `mcp`"),
        ("[{limit: 1}]", "one of `tool`, `workflow_id`, `agent` and `mcp`"),
        ("[7]", "an entry is the id of a tool, or a mapping"),
        ("x", "`tools`: must be a list"),
        ("[{tool: x, pool: gpu}]", "`pool` is for tools and agents that run `as: node`"),
        ("[{workflow_id: x, timeout: 5}]", "`timeout` is for tools and agents that run `as: node`"),
        ("[{tool: x, as: node, retry_policy: {max_retry: 1}}]", "Did you mean `max_retries`?"),
        ("[{tool: x, as: node, effects: once, retry_policy: {}}]", "is not made again after a failure"),
        ("[{tool: x, approve: {assignees: [ann], quorum: 2}}]", "`quorum`: 2 must approve, but only 1 is asked"),
        ("[{tool: x, approve: {escalate_after: 1h}}]", "`escalate_after` needs `escalate_to`"),
        ("[{tool: x, approve: {veto: false}}]", "without `assignees` nobody can tell"),
        ("[{tool: x, approve: {on_timeout: fail}}]", "without a `timeout` it is never too late"),
        ("[{tool: x, approve: {form: {type: strin}}}]", "not a JSON Schema"),
        ("[{tool: x, approve: {data: 1}}]", "is not a field of an approval of calls"),
        ("[{tool: x, approve: {timeout: '${ags.t}'}}]", "`timeout`: `ags` is not known here. Did you mean `args`?"),
        ("[x, {agent: x}]", "'x' is listed twice"),
    ],
)
def test_a_wrong_entry_says_what_and_where(tmp_path: Path, tools: str, expected: str) -> None:
    (tmp_path / "a.yaml").write_text(f"id: a\nmodel: test\ntools: {tools}\n")
    with pytest.raises(DefinitionError) as caught:
        _ = AgentRegistry.load(tmp_path).ids
    assert expected in str(caught.value)


def test_a_tool_and_a_server_may_have_the_same_id() -> None:
    assert [tool.kind for tool in agent(tools=["github", {"mcp": "github"}]).tools] == ["tool", "mcp"]
