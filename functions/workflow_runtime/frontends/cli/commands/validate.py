"""`awr validate`: every finding of every workflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from workflow_runtime.compiler import strict as as_errors
from workflow_runtime.definition.identities import same_ids
from workflow_runtime.findings import Finding, Severity
from workflow_runtime.frontends.cli.compilation import Registered, compiled
from workflow_runtime.frontends.cli.errors import ExitCode
from workflow_runtime.frontends.cli.excerpts import finding_lines
from workflow_runtime.frontends.cli.files import read_source, workflow_files
from workflow_runtime.frontends.cli.options import AsJson, Definitions, WorkflowPaths
from workflow_runtime.frontends.cli.output import Output


def validate(
    paths: WorkflowPaths,
    strict: Annotated[bool, typer.Option("--strict", help="Treat warnings as errors.")] = False,
    json: AsJson = False,
    definitions: Definitions = None,
) -> int:
    """Check workflows; print everything that is wrong, with its place and what to do.

    In directories every *.yaml, *.yml and *.json file with a top-level `workflow:` is checked.

    Exit codes: 0 fine, 1 errors (with --strict also warnings), 2 wrong usage.
    """
    out = Output(json=json)
    registered = Registered(definitions)
    files = workflow_files(paths)
    by_file = {str(path): compiled(path, registered.of(path)).findings for path in files}
    for finding in _clashes(files, registered):
        by_file[finding.file].append(finding)
    for finding in registered.findings:
        by_file.setdefault(finding.file, []).append(finding)
    if strict:
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


def _clashes(files: Sequence[Path], registered: Registered) -> Iterator[Finding]:
    """Workflows that two files of one `definitions` directory define. Other directories are other deployments."""
    together: dict[Path | None, list[Path]] = {}
    for path in files:
        together.setdefault(registered.directory(path), []).append(path)
    for group in together.values():
        if len(group) > 1:
            yield from same_ids((read_source(path), str(path)) for path in group)


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
        return [("ok", "bold green"), (f": {checked}, no findings", "")]
    found = " and ".join(_count(number, word) for number, word in ((errors, "error"), (warnings, "warning")) if number)
    style = "bold red" if errors else "bold yellow"
    return [("not valid" if errors else "ok", style), (f": {checked}, {found}", "")]


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
