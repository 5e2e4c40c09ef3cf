"""One mistake in a sound chart is one finding, on its own line: nothing else is said that merely follows from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from workflow_runtime.compiler import compile_workflow

GOLDEN = Path(__file__).parents[2] / "golden"

MISTAKES = [
    # file, text, its replacement, rule; the finding is on the line of the replacement's end
    ("chart_flat", "initial_state: 已创建", "initial_state: 已創建", "WF320"),
    ("chart_flat", "initial_state: 已创建", "inital_state: 已创建", "WF201"),
    ("chart_flat", "final_states: [completed]", "final_states: [completed, Paid]", "WF321"),
    ("chart_flat", "target: paid}", "target: payed}", "WF320"),
    ("chart_flat", "    - name: paid\n", "    - nam: paid\n", "WF201"),
    ("chart_flat", "      always:", "      allways:", "WF201"),
    ("chart_flat", "target: cancelled, merge", "tragets: cancelled, merge", "WF201"),
    ("chart_flat", "{raise: reminded}", "{rais: reminded}", "WF222"),
    ("chart_flat", '"${amount} == 0"', '"${amount} == "', "WF401"),
    ("chart_flat", "in_state('已创建')", "in_state('创建')", "WF320"),
    ("chart_flat", "${line.sku}", "${item.sku}", "WF406"),
    ("chart_flat", "{x: 1}", "{x: '${secrets.K}'}", "WF407"),
    ("chart_flat", '{order: "${order_id}", attempts', '{order: "${event.data}", attempts', "WF406"),
    ("chart_flat", "type: final, output", "type: final, run: [], always: [{target: paid}], output", "WF322"),
    ("chart_nested", "initial: core", "initial: l1", "WF324"),
    ("chart_nested", "[l1, right_deep]", "[l1, l2]", "WF325"),
    ("chart_nested", "history: deep}", "history: deep, run: {id: n, type: tool, tool: t}}", "WF323"),
    ("chart_nested", "{name: l1,", "{name: l1, type: final,", "WF322"),
    ("chart_runs", '{url: "${url}"', '{url: "${event.url}"', "WF406"),
    ("chart_runs", "dependencies: [both]", "dependencies: [bth]", "WF301"),
    ("chart_runs", "tool: http_get", "tol: http_get", "WF201"),
    ("chart_runs", "on_done: [done]", "on_done: [donne]", "WF320"),
    ("hybrid", "dependencies: [write]", "dependencies: [assess]", "WF301"),
    ("waits", "on_timeout: remind", "on_timeout: remnd", "WF301"),
    ("triggers", 'cron: "0 8 * * 1-5"', 'cron: "0 8 1 * 1-5"', "WF340"),
    ("triggers", '{numeric: [">", 10]}', '{numreic: [">", 10]}', "WF341"),
]


@pytest.mark.parametrize(
    ("name", "sound", "wrong", "rule"), MISTAKES, ids=[f"{name}: {wrong}" for name, _, wrong, _ in MISTAKES]
)
def test_one_mistake_is_one_finding_on_its_line(name: str, sound: str, wrong: str, rule: str) -> None:
    text = (GOLDEN / f"{name}.yaml").read_text("utf-8")
    assert compile_workflow(text).findings == []
    assert sound in text
    start = text.index(sound)
    mistaken = text[:start] + wrong + text[start + len(sound) :]
    line = 1 + mistaken[: start + len(wrong.rstrip("\n"))].count("\n")
    compilation = compile_workflow(mistaken)
    found = [(finding.id, finding.line) for finding in compilation.findings]
    assert found == [(rule, line)], "\n".join(map(str, compilation.findings))
    assert compilation.plan is None
