"""One mistake in a sound workflow is one finding, on its own line: nothing else is said that merely follows from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from workflow_runtime.compiler import compile_workflow

WORKFLOWS = Path(__file__).parents[3] / "definitions" / "workflows"

SUPPORT = "customer_support"
RESEARCH = "parallel_research"

MISTAKES = [
    # file, text, its replacement, rule; the finding is on the line of the replacement's end
    (SUPPORT, "  name: 客服工单处理", "  nme: 客服工单处理", "WF201"),
    (SUPPORT, "  input_schema:", "  input_shema:", "WF201"),
    (SUPPORT, "  variables:", "  varables:", "WF201"),
    (SUPPORT, "  nodes:", "  nods:", "WF201"),
    (SUPPORT, "  nodes:", "  steps:", "WF201"),
    (SUPPORT, "  outputs:", "  output:", "WF201"),
    (SUPPORT, "workflow:\n  id: customer_support", "workflow:\n  id: customer support", "WF206"),
    (SUPPORT, "workflow:\n  id: customer_support", "workflow:\n  di: customer_support", "WF201"),
    (SUPPORT, "  type: dag", "  type: dagg", "WF205"),
    (SUPPORT, "    type: object\n", "    type: objekt\n", "WF218"),
    (SUPPORT, "    channel: chat", "    now: chat", "WF207"),
    (SUPPORT, "    - id: understand\n", "    - id: under stand\n", "WF206"),
    (SUPPORT, "    - id: understand\n", "    - id: 5\n", "WF206"),
    (SUPPORT, "    - id: understand\n", "    - di: understand\n", "WF201"),
    (SUPPORT, "    - id: understand\n", "    - id: now\n", "WF207"),
    (SUPPORT, "    - id: reply\n", "    - id: 汇合 点\n", "WF206"),
    (SUPPORT, "    - id: verdict\n", "    - id: checks\n", "WF208"),
    (SUPPORT, "    - id: reply\n", "    - id: route\n", "WF208"),
    (SUPPORT, "意图识别\n      type: agent", "意图识别\n      type: agnt", "WF204"),
    (SUPPORT, "意图识别\n      type: agent", "意图识别\n      typ: agent", "WF201"),
    (SUPPORT, "发送回复\n      type: tool", "发送回复\n      type: tol", "WF204"),
    (SUPPORT, "agent: intent_agent", "agnt: intent_agent", "WF201"),
    (SUPPORT, "agent: intent_agent", "agent: [intent_agent]", "WF203"),
    (SUPPORT, "agent: intent_agent", "agent: ${message}", "WF215"),
    (SUPPORT, "tool: send_response", "tol: send_response", "WF201"),
    (SUPPORT, "subtype: switch", "subtype: swich", "WF204"),
    (SUPPORT, "subtype: switch", "subtyp: switch", "WF201"),
    (SUPPORT, "condition: understand.intent", "conditon: understand.intent", "WF201"),
    (SUPPORT, "condition: understand.intent", "condition: [understand.intent]", "WF203"),
    (SUPPORT, "condition: understand.intent", "condition: understand.", "WF401"),
    (SUPPORT, "condition: understand.intent", "condition: undrstand.intent", "WF402"),
    (SUPPORT, "case: feedback, target: feedback_handler", "case: feedback, taget: feedback_handler", "WF201"),
    (SUPPORT, "case: feedback, target: feedback_handler", "case: feedback, target: feedback_handlr", "WF301"),
    (SUPPORT, "case: feedback, target: feedback_handler", "case: feedback, target: 7", "WF203"),
    (SUPPORT, "case: feedback, target: feedback_handler", "case: feedback", "WF202"),
    (SUPPORT, "understand.intent\n      branches:", "understand.intent\n      branchs:", "WF201"),
    (SUPPORT, "default: general_handler}", "default: general_handlr}", "WF301"),
    (SUPPORT, "strategy: first", "strategy: frist", "WF205"),
    (SUPPORT, "strategy: first", "strateg: first", "WF201"),
    (SUPPORT, "dependencies: [reply]", "dependencies: [replay]", "WF301"),
    (SUPPORT, "dependencies: [reply]", "dependencies: {on: reply}", "WF203"),
    (SUPPORT, "dependencies: [reply]", "dependancies: [reply]", "WF201"),
    (SUPPORT, "dependencies: [checks]", "needs: [checks]", "WF201"),
    (SUPPORT, "dependencies: [verdict]", "dependencies: [send]", "WF302"),
    (SUPPORT, "branches: [sentiment_check, compliance_check]", "branches: [sentiment_check, 3]", "WF203"),
    (SUPPORT, "branches: [sentiment_check, compliance_check]", "branches: [sentiment_check, compliance]", "WF301"),
    (SUPPORT, "branches: [sentiment_check, compliance_check]", "branches: []", "WF202"),
    (SUPPORT, 'inputs: {reply: "${reply.text}"}', "inputs: [reply]", "WF203"),
    (SUPPORT, 'inputs: {reply: "${reply.text}"}', 'inputs: {reply: "${reply.text"}', "WF401"),
    (SUPPORT, 'inputs: {reply: "${reply.text}"}', 'input: {reply: "${reply.text}"}', "WF201"),
    (SUPPORT, "text: ${reply.text}", "text: ${reply.text +}", "WF401"),
    (SUPPORT, "text: ${reply.text}", "text: ${nodes.replay.output.text}", "WF409"),
    (SUPPORT, "text: ${reply.text}", "text: ${index}", "WF406"),
    (SUPPORT, "channel: ${channel}", "channel: ${variables.chanel}", "WF410"),
    (SUPPORT, "channel: ${channel}", "channel: ${chanel}", "WF402"),
    (SUPPORT, "tool: send_response", "tool: send_response\n      timeout: soon", "WF212"),
    (SUPPORT, "tool: send_response", "tool: send_response\n      when: ${reply.ok} = true", "WF401"),
    (SUPPORT, "tool: send_response", "tool: send_response\n      join: {at_least: 0}", "WF213"),
    (SUPPORT, "tool: send_response", "tool: send_response\n      join: {at_least: 2}", "WF307"),
    (SUPPORT, "tool: send_response", "tool: send_response\n      tool: send", "WF108"),
    (SUPPORT, "tool: send_response", "tool: send_response\n      x: !!int 3", "WF107"),
    (SUPPORT, "status: ${send.status}", "status: ${sned.status}", "WF402"),
    (SUPPORT, "status: ${send.status}", "status: ${secrets.KEY}", "WF407"),
    (SUPPORT, "  type: dag\n", "  type: dag\n  defaults: {tol: {tool: x}}\n", "WF204"),
    (SUPPORT, "  type: dag\n", "  type: dag\n  defaults: {tool: {timeout: abc}}\n", "WF212"),
    (SUPPORT, "  type: dag\n", "  type: dag\n  edges: [{from: reply, too: send}]\n", "WF201"),
    (SUPPORT, "  type: dag\n", "  type: dag\n  edges: [{from: reply}]\n", "WF202"),
    (SUPPORT, "  type: dag\n", "  type: dag\n  edges: [{from: replay, to: send}]\n", "WF301"),
    (SUPPORT, "  type: dag\n", "  type: dag\n  edges: reply\n", "WF203"),
    (SUPPORT, "  type: dag\n", "  type: dag\n  limits: {max_concurency: 4}\n", "WF201"),
    (SUPPORT, "  type: dag\n", "  type: dag\n  states: [{name: a}]\n", "WF216"),
    (RESEARCH, "branches: [market_view, technical_view, risk_view]", "branches: market", "WF301"),
    (RESEARCH, "branches: [market_view, technical_view, risk_view]", "branchs: [market_view]", "WF201"),
    (RESEARCH, "branches: [market_view, technical_view, risk_view]", "branches: {a: b}", "WF203"),
    (RESEARCH, "branches: [market_view, technical_view, risk_view]", "branches: [risk_view, risk_view]", "WF208"),
    (RESEARCH, "      type: control\n      subtype: parallel", "      type: parallel", "WF204"),
    (RESEARCH, "    - id: risk_view", "    - id: market_view", "WF208"),
    (RESEARCH, "    - id: report", "    - id: conclusion", "WF208"),
    (RESEARCH, "    - id: report", "    - id: -报告", "WF206"),
    (RESEARCH, "min_votes: 2", "min_votes: many", "WF203"),
    (RESEARCH, "min_votes: 2", "min_vots: 2", "WF201"),
    (RESEARCH, "detail: true", "detail: yes", "WF203"),
    (RESEARCH, "agent: risk_researcher", "agent: risk_researcher\n      retry_policy: {max_retries: lots}", "WF203"),
    (RESEARCH, "agent: risk_researcher", "agent: risk_researcher\n      fallback: {agent: x, value: 1}", "WF216"),
    (RESEARCH, "agent: risk_researcher", "agent: risk_researcher\n      on_error: {target: [x]}", "WF203"),
    (RESEARCH, "agent: risk_researcher", "agent: risk_researcher\n      callback: {timeout: soon}", "WF212"),
    (RESEARCH, "agent: risk_researcher", "agent: risk_researcher\n      metadata: 3", "WF203"),
    (RESEARCH, "topic: ${topic}", "topic: ${tpic}", "WF402"),
    (RESEARCH, "votes: ${conclusion.votes}", "votes: ${conclusion.votes == }", "WF401"),
    (RESEARCH, "report: ${report.text}", "report: ${reprt.text}", "WF402"),
    (RESEARCH, "report: ${report.text}", "report: ${output.text}", "WF406"),
]


@pytest.mark.parametrize(
    ("name", "sound", "wrong", "rule"), MISTAKES, ids=[f"{name}: {wrong}" for name, _, wrong, _ in MISTAKES]
)
def test_one_mistake_is_one_finding_on_its_line(name: str, sound: str, wrong: str, rule: str) -> None:
    text = (WORKFLOWS / f"{name}.yaml").read_text("utf-8")
    assert compile_workflow(text).findings == []
    assert sound in text
    start = text.index(sound)
    mistaken = text[:start] + wrong + text[start + len(sound) :]
    line = 1 + mistaken[: start + len(wrong.rstrip("\n"))].count("\n")
    compilation = compile_workflow(mistaken)
    found = [(finding.id, finding.line) for finding in compilation.findings]
    if rule == "WF208":  # the id that is gone is missed where it was meant
        found = [(id, line) for id, line in found if id not in ("WF301", "WF402")]
    assert found == [(rule, line)], "\n".join(map(str, compilation.findings))
    assert compilation.plan is None
