"""`awr expand`: a team of agents as the workflow that it is short for."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import typer

from workflow_runtime.compiler import compile_workflow
from workflow_runtime.errors import DefinitionError
from workflow_runtime.findings import Finding
from workflow_runtime.frontends.cli.compilation import Registered, show_warnings
from workflow_runtime.frontends.cli.errors import CliError, ExitCode
from workflow_runtime.frontends.cli.options import Definitions, existing
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.invokers.entries import parse_entry
from workflow_runtime.invokers.teams import Team, workflow_of
from workflow_runtime.language.yaml.small_files import UNKNOWN_KEY, WRONG_FIELD, read_document
from workflow_runtime.language.yaml.writing import yaml_text

MARK = "# It is written over only while this is its digest: "
DIGEST_CHARS = 16  # against slips, not against forgers


def expand(
    file: Annotated[Path, typer.Argument(**existing("FILE", "The team."))],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", dir_okay=False, help="Write it here, not to stdout."),
    ] = None,
    definitions: Definitions = None,
) -> int:
    """Write out a team of agents as a workflow, which validates and runs like any other.

    \b
      team:
        id: support
        kind: handoff            # or supervisor (lead), group_chat (speaker, moderator), debate (rounds, judge)
        agents: [triage, billing, shipping]
        max_turns: 5

    \b
      awr expand support.yaml -o definitions/workflows/support.yaml

    Exit codes: 0 written, 1 the team is not valid, 2 wrong usage.
    """
    team = read_team(file)
    title = f"# Written by `awr expand {file.name}`, from a team of kind {team.kind}."
    text = marked(title, yaml_text(workflow_of(team)))
    out = Output()
    registered = Registered(definitions)
    compilation = compile_workflow(text.encode(), file=str(output or file), catalogue=registered.of(file))
    if compilation.plan is None:
        raise CliError("invalid_definition", "the team comes to no valid workflow", findings=compilation.findings)
    show_warnings(out, [*compilation.findings, *registered.findings])
    if output is None:
        out.text(text)
        return ExitCode.OK
    if output.exists() and not _is_as_written(output.read_text("utf-8", "replace")):
        message = f"{output} exists, and was not written by awr expand, or was changed since"
        raise CliError("exists", message, "-o names another file")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, "utf-8")
    out.line(f"{output}: {len(text.splitlines()):,} lines")
    return ExitCode.OK


def marked(title: str, workflow: str) -> str:
    """The file: its second line tells whether it is still what was written."""
    digest = hashlib.sha256(workflow.encode()).hexdigest()[:DIGEST_CHARS]
    return f"{title}\n{MARK}{digest}\n{workflow}"


def _is_as_written(text: str) -> bool:
    title, _, rest = text.partition("\n")
    _, _, workflow = rest.partition("\n")
    return text == marked(title, workflow)


def read_team(file: Path) -> Team:
    """Raises `DefinitionError` with all that is wrong."""
    document = read_document(file)
    findings: list[Finding] = []
    value = document.value
    if not isinstance(value, dict) or "team" not in value:
        findings.append(document.finding(WRONG_FIELD, "expected a team under `team:`"))
        raise DefinitionError(findings)
    findings += [
        document.finding(UNKNOWN_KEY, f"unknown key {key!r} beside `team`", (key,)) for key in value if key != "team"
    ]
    team = parse_entry(document, ("team",), value["team"], Team, findings)
    if team is None or findings:
        raise DefinitionError(findings)
    return team
