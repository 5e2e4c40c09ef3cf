"""`awr why`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.integration.cli.conftest import Awr, only_document

WORKFLOW = """
workflow:
  id: 审批流
  nodes:
    - {id: 问, type: tool, tool: echo}
    - {id: 审批, type: control, subtype: wait, event: 批准, timeout: 10m, dependencies: [问]}
    - {id: 忙, type: tool, tool: http_request, retry_policy: {retry_delay: 1h, max_delay: 1h, jitter: none}}
    - {id: 发送, type: tool, tool: echo, dependencies: [审批, 忙]}
"""
MOCKS = "tools: {http_request: {raise: {type: rate_limited, message: 稍后再试}}}"


@pytest.fixture
def execution(awr: Awr) -> str:
    Path("w.yaml").write_text(WORKFLOW, encoding="utf-8")
    Path("m.yaml").write_text(MOCKS, encoding="utf-8")
    ran = awr("run", "w.yaml", "--mocks", "m.yaml", "--db", "x.db", "--event", "@1ms", "--json")
    assert ran.exit_code == 5, ran.stderr
    (item,) = only_document(awr("list", "审批流", "--db", "x.db", "--json").stdout)["executions"]
    return str(item["execution_id"])


def shown(text: str) -> list[str]:
    """The lines without their times."""
    return [re.sub(r"20\d\d-\S+Z \([^)]+\)", "…", line) for line in text.splitlines()]


def test_it_shows_what_waits_since_when_until_when_and_what_would_move_it(awr: Awr, execution: str) -> None:
    done = awr("why", execution, "--db", "x.db")
    assert done.exit_code == 0
    assert shown(done.stdout) == [
        f"审批流 version 1 running  {execution}",
        "",
        "审批  waits: event  since …  until …",
        "      moved by the event `批准` or its timeout",
        "忙    waits: retry  since …  until …",
        "      moved by attempt 2, by itself after rate_limited: 稍后再试",
        "发送  waits for 审批, 忙",
    ]


def test_it_shows_one_node_with_all_before_it_and_a_part_of_many(awr: Awr, execution: str) -> None:
    one = shown(awr("why", execution, "发送", "--db", "x.db").stdout)
    assert one[2] == "发送  waits for 审批, 忙"
    assert [line.split()[0] for line in one[3::2]] == ["审批", "忙"]
    assert "more node" not in awr("why", execution, "审批", "--db", "x.db").stdout
    part = shown(awr("why", execution, "--db", "x.db", "--limit", "2").stdout)
    assert part[-1] == "… and 1 more node; --limit shows more"


def test_json_is_the_document_and_unknown_ones_are_told(awr: Awr, execution: str) -> None:
    document = only_document(awr("why", execution, "--db", "x.db", "--json").stdout)
    assert [waiting["waiting_on"] for waiting in document["waits"]] == ["event", "retry", "dependency"]
    unknown = awr("why", execution, "无", "--db", "x.db")
    assert (unknown.exit_code, "has no node '无'" in unknown.stderr) == (1, True)


def test_a_run_that_a_failure_suspends_says_who_can_take_it_up(awr: Awr) -> None:
    source = "{id: 付, error_handlers: [{action: escalate}], nodes: [{id: 收款, type: tool, tool: http_request}]}"
    Path("p.yaml").write_text(f"workflow: {source}", encoding="utf-8")
    Path("m.yaml").write_text("tools: {http_request: {raise: {type: declined, message: 余额不足}}}", encoding="utf-8")
    ran = awr("run", "p.yaml", "--mocks", "m.yaml", "--db", "p.db")
    assert ran.exit_code == 5, ran.stderr
    assert "the node `收款` failed with declined, and a person decides what follows" in ran.stdout
    assert "hint: awr retry, awr skip or awr resume takes it up, through an API: awr dev --db p.db" in ran.stderr
    execution = ran.stdout.split()[4]
    explained = awr("why", execution, "--db", "p.db").stdout
    assert "moved by a person, by `retry`, `skip` or, to let it fail, `resume`" in explained
