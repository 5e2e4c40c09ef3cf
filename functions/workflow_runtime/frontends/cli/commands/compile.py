"""`awr compile`: a workflow's plan, and what follows from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from workflow_runtime.drawing.analysis import critical_path, parallel_groups
from workflow_runtime.frontends.cli.compilation import plan_of
from workflow_runtime.frontends.cli.errors import ExitCode
from workflow_runtime.frontends.cli.options import AsJson, Definitions, WorkflowFile
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.language.texts import columns
from workflow_runtime.plan.plan import Plan, encode_plan

IDS_SHOWN_MAX = 12  # of one group; --json has them all
TEXT_COLUMNS = 64  # beside the labels: together they fit 80
LABEL_COLUMNS = 15


def compile_(file: WorkflowFile, json: AsJson = False, definitions: Definitions = None) -> int:
    """Compile a workflow; print its plan's hash, what can run side by side, and the critical path.

    With --json: the plan itself and its analysis.
    """
    out = Output(json=json)
    plan, warnings = plan_of(out, file, definitions)
    analysis = _analysis(plan)
    out.document(
        {
            "hash": plan.hash,
            "plan": msgspec.json.decode(encode_plan(plan)),
            "analysis": analysis,
            "warnings": [msgspec.to_builtins(finding) for finding in warnings],
        }
    )
    _show_plan(out, plan, analysis)
    return ExitCode.OK


def _analysis(plan: Plan) -> dict[str, Any]:
    groups = parallel_groups(plan)
    decisions = {
        block.prefix + node.id: _paths(node.decision_paths, block.prefix + node.id)
        for block in plan.blocks
        for node in block.nodes
        if node.decision_paths
    }
    if plan.input_paths:
        decisions["input"] = _paths(plan.input_paths, "input")
    if plan.variable_paths:
        decisions["variables"] = _paths(plan.variable_paths, "variables")
    return {
        "nodes": sum(not node.hidden for block in plan.blocks for node in block.nodes),
        "edges": sum(len(block.edges) for block in plan.blocks),
        "states": sum(len(chart.states) - 1 for chart in plan.charts),
        "triggers": len(plan.triggers),
        "parallel_groups": groups,
        "critical_path": msgspec.to_builtins(critical_path(plan)),
        "decision_values": decisions,
    }


def _show_plan(out: Output, plan: Plan, analysis: dict[str, Any]) -> None:
    name = plan.workflow_name if plan.workflow_name != plan.workflow_id else ""
    out.line([(plan.workflow_id, "bold"), f" {name}"])
    out.line()
    _show(out, "plan", [plan.hash])
    if analysis["states"]:
        _show(out, "states", [str(analysis["states"])])
    _show(out, "nodes", [f"{analysis['nodes']}: {_kinds(plan)}" if analysis["nodes"] else "none"])
    _show(out, "edges", [str(analysis["edges"])])
    groups = analysis["parallel_groups"]
    margin = len(str(len(groups))) + 2
    rows = []
    for number, group in enumerate(groups, 1):
        first, *rest = _wrapped(_listed(group))
        rows += [f"{number:>{margin - 2}}  {first}", *(" " * margin + line for line in rest)]
    _show(out, "side by side", rows)
    critical = analysis["critical_path"]
    length = f"{critical['length_seconds']:g} s, where a node without `timeout` counts 1 s"
    if critical["nodes"]:
        path = _wrapped(" → ".join(critical["nodes"]))
        _show(out, "critical path", [f"{len(critical['nodes'])} nodes, {length}", *path])
    read = ", ".join(path for paths in analysis["decision_values"].values() for path in paths)
    _show(out, "decisions read", _wrapped(read or "nothing"))


def _show(out: Output, label: str, lines: Sequence[str]) -> None:
    for number, line in enumerate(lines):
        out.line([(f"{'' if number else label:<{LABEL_COLUMNS}}", "dim"), line])


def _kinds(plan: Plan) -> str:
    kinds = Counter(node.type.value for block in plan.blocks for node in block.nodes if not node.hidden)
    return ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())


def _paths(paths: Sequence[Sequence[str]], root: str) -> list[str]:
    return [".".join((root, *path)) for path in paths]


def _listed(ids: Sequence[str]) -> str:
    more = len(ids) - IDS_SHOWN_MAX
    return ", ".join(ids[:IDS_SHOWN_MAX]) + (f" … and {more} more" if more > 0 else "")


def _wrapped(text: str) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}".lstrip()
        if columns(joined) > TEXT_COLUMNS and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = joined
    return lines
