"""Workflow files as the compiler sees them, with the agents and tools beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workflow_runtime.compiler import Compilation, compile_workflow
from workflow_runtime.errors import DefinitionError
from workflow_runtime.findings import Finding
from workflow_runtime.frontends.cli.errors import CliError
from workflow_runtime.frontends.cli.excerpts import finding_lines
from workflow_runtime.frontends.cli.files import definitions_directory, read_source, workflows_beside
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.plan.catalogue import Catalogue
from workflow_runtime.plan.plan import Plan
from workflow_runtime.runtime.registries import Registries
from workflow_runtime.runtime.workflow_files import WorkflowFiles


class Registered:
    """What may be named in workflows, by `definitions` directory; each is read once, and its own findings kept."""

    def __init__(self, definitions: Path | None) -> None:
        self._definitions = definitions
        self._catalogues: dict[Path | None, Catalogue | None] = {}
        self._compiled: dict[Path, None] = {}
        self.findings: list[Finding] = []

    def directory(self, workflow: Path) -> Path | None:
        """The `definitions` directory that a workflow belongs to."""
        return self._definitions or definitions_directory(workflow)

    def of(self, workflow: Path) -> Catalogue | None:
        """None when the definitions are wrong: then nothing can be said about names."""
        directory = self.directory(workflow)
        self._compiled[workflow] = None
        if directory not in self._catalogues:
            try:
                catalogue = Registries(directory).catalogue
                workflows = WorkflowFiles(lambda: workflows_beside(self._compiled, directory))
                self._catalogues[directory] = catalogue.with_workflows(workflows)
            except DefinitionError as error:
                self._catalogues[directory] = None
                self.findings += error.findings
        return self._catalogues[directory]


def plan_of(out: Output, path: Path, definitions: Path | None) -> tuple[Plan, list[Finding]]:
    """The plan of a file and its warnings, which are printed to stderr. Raises `DefinitionError`."""
    registered = Registered(definitions)
    compilation = compiled(path, registered.of(path))
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


def compiled(path: Path, catalogue: Catalogue | None) -> Compilation:
    """What the compiler makes of a file. Raises `CliError` for one that cannot be read."""
    try:
        source = read_source(path)
    except OSError as error:
        raise CliError("unreadable", f"{path} cannot be read: {error.strerror}") from None
    return compile_workflow(source, file=str(path), catalogue=catalogue)
