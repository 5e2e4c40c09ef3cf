"""Errors and findings for people: the place, what is wrong, the source line with a caret, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from workflow_runtime.findings import Finding, Severity
from workflow_runtime.frontends.cli.errors import CliError
from workflow_runtime.frontends.cli.files import source_line
from workflow_runtime.frontends.cli.output import Line, Output
from workflow_runtime.language.texts import columns, visible

EXCERPT_COLUMNS = 72  # of the source line: with its number it fits 80
STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow"}


def show_error(out: Output, error: CliError) -> None:
    """Say what went wrong: to people on stderr, to programs as a document."""
    for finding in error.findings:
        for line in finding_lines(finding):
            out.note(line)
        out.note()
    out.note([("error: ", "bold red"), error.message])
    if error.hint:
        out.note([("hint: ", "cyan"), error.hint])
    out.document({"error": error_document(error)})


def error_document(error: CliError) -> dict[str, Any]:
    """An error as one JSON object; ``hint`` and ``findings`` only where there are any."""
    document: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.hint:
        document["hint"] = error.hint
    if error.findings:
        document["findings"] = [msgspec.to_builtins(finding) for finding in error.findings]
    return document


def finding_lines(finding: Finding) -> Iterator[Line]:
    """The lines to print, ``file:line:column`` first, so that editors and terminals can jump there."""
    where = finding.file or "<definition>"
    if finding.line:
        where += f":{finding.line}:{finding.column}"
    yield [
        (where, "bold"),
        ": ",
        (f"{finding.severity} {finding.id}", STYLES[finding.severity]),
        ": ",
        finding.message,
    ]
    source = source_line(finding.file, finding.line) if finding.line else None
    if source is not None and source.strip():
        number = str(finding.line)
        shown, caret = _excerpt(source, max(finding.column, 1) - 1)
        yield [(f"  {number} | ", "dim"), shown]
        yield [(f"  {' ' * len(number)} | ", "dim"), " " * caret, ("^", STYLES[finding.severity])]
    if finding.hint:
        yield ["  ", ("hint: ", "cyan"), finding.hint]


def _excerpt(source: str, column: int) -> tuple[str, int]:
    """The part of a line around ``column`` (from 0) that fits, and how many columns stand before the caret."""
    # A line may be the whole file: of what cannot be shown anyway, nothing is measured.
    before = visible(source[max(column - EXCERPT_COLUMNS, 0) : column])
    after = visible(source[column : column + EXCERPT_COLUMNS + 1])
    cut = column > EXCERPT_COLUMNS
    if not cut and columns(before) + columns(after) <= EXCERPT_COLUMNS:
        return before + after, columns(before)
    room = EXCERPT_COLUMNS // 2 if columns(after) > EXCERPT_COLUMNS // 2 else EXCERPT_COLUMNS - columns(after)
    if cut or columns(before) > room:
        while columns(before) > room - 1:
            before = before[1:]
        before = f"…{before}"
    while columns(before) + columns(after) > EXCERPT_COLUMNS:
        after = after[:-2] + "…"
    return before + after, columns(before)
