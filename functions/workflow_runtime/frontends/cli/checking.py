"""The commands that only read definitions: validate, compile; and the plan that is drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from workflow_runtime.errors import DefinitionError
from workflow_runtime.findings import Finding, Severity
from workflow_runtime.frontends.cli.excerpts import finding_lines
from workflow_runtime.frontends.cli.files import definitions_directory, read_source, workflow_files
from workflow_runtime.frontends.cli.output import CliError, ExitCode, Output
from workflow_runtime.language.texts import columns

if TYPE_CHECKING:
    from workflow_runtime.compiler import Compilation, Known
    from workflow_runtime.plan.plan import Plan

IDS_SHOWN_MAX = 12  # of one group; --json has them all
TEXT_COLUMNS = 64  # beside the labels: together they fit 80
LABEL_COLUMNS = 15


class Registered:
    """What may be named in workflows, by `definitions` directory; each is read once, and its own findings kept."""

    def __init__(self, definitions: Path | None) -> None:
        self._definitions = definitions
        self._known: dict[Path | None, Known | None] = {}
        self.findings: list[Finding] = []

    def of(self, workflow: Path) -> Known | None:
        """None when the definitions are wrong: then nothing can be said about names."""
        from workflow_runtime.runtime.aws import known_ids

        directory = self._definitions or definitions_directory(workflow)
        if directory not in self._known:
            try:
                self._known[directory] = known_ids(directory)
            except DefinitionError as error:
                self._known[directory] = None
                self.findings += error.findings
        return self._known[directory]


def validate(out: Output, paths: Sequence[Path], definitions: Path | None, strict: bool) -> ExitCode:
    """Print every finding of every workflow, and of the agents and tools beside them."""
    registered = Registered(definitions)
    files = workflow_files(paths)
    by_file = {str(path): _compiled(path, registered.of(path)).findings for path in files}
    for finding in registered.findings:
        by_file.setdefault(finding.file, []).append(finding)
    if strict:
        from workflow_runtime.compiler import strict as as_errors

        by_file = {file: as_errors(findings) for file, findings in by_file.items()}
    counts = Counter(finding.severity for findings in by_file.values() for finding in findings)
    for findings in by_file.values():
        for finding in findings:
            for line in finding_lines(finding):
                out.line(line)
            out.line()
    out.line(_verdict(len(files), counts))
    valid = not counts[Severity.ERROR]
    out.document(
        {
            "valid": valid,
            "errors": counts[Severity.ERROR],
            "warnings": counts[Severity.WARNING],
            "files": [_file_document(file, findings) for file, findings in by_file.items()],
        }
    )
    return ExitCode.OK if valid else ExitCode.INVALID


def compile_file(out: Output, path: Path, definitions: Path | None) -> ExitCode:
    """Print what the compiler made of a workflow: the plan and its analysis."""
    from workflow_runtime.plan.plan import encode_plan

    plan, warnings = plan_of(out, path, definitions)
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
    from workflow_runtime.drawing.analysis import critical_path, parallel_groups

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


def plan_of(out: Output, path: Path, definitions: Path | None) -> tuple[Plan, list[Finding]]:
    """The plan of a file and its warnings, which are printed to stderr. Raises `DefinitionError`."""
    registered = Registered(definitions)
    compilation = _compiled(path, registered.of(path))
    findings = [*compilation.findings, *registered.findings]
    if compilation.plan is None or registered.findings:
        message = "the workflow is not valid" if compilation.plan is None else "its agents or tools are not valid"
        raise CliError("invalid_definition", f"{message}: {path}", findings=findings)
    show_warnings(out, findings)
    return compilation.plan, findings


def show_warnings(out: Output, findings: Sequence[Finding]) -> None:
    """Warnings on stderr, with their source lines."""
    for finding in findings:
        for line in finding_lines(finding):
            out.note(line)
        out.note()


def _compiled(path: Path, known: Known | None) -> Compilation:
    from workflow_runtime.compiler import compile_workflow

    try:
        source = read_source(path)
    except OSError as error:
        raise CliError("unreadable", f"{path} cannot be read: {error.strerror}") from None
    return compile_workflow(source, file=str(path), known=known)


def _file_document(file: str, findings: Sequence[Finding]) -> dict[str, Any]:
    return {
        "file": file,
        "valid": all(finding.severity is not Severity.ERROR for finding in findings),
        "findings": [msgspec.to_builtins(finding) for finding in findings],
    }


def _verdict(files: int, counts: Counter[Severity]) -> list[tuple[str, str]]:
    checked = _count(files, "workflow")
    errors, warnings = counts[Severity.ERROR], counts[Severity.WARNING]
    if not errors and not warnings:
        return [("ok", "bold green"), (f": {checked}, nothing to mend", "")]
    found = " and ".join(_count(number, word) for number, word in ((errors, "error"), (warnings, "warning")) if number)
    style = "bold red" if errors else "bold yellow"
    return [("not valid" if errors else "ok", style), (f": {checked}, {found}", "")]


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


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
