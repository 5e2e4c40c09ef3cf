"""Publishing what a local run needs: the files that are given, and those of the workflows that they start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workflow_runtime.errors import DefinitionError
from workflow_runtime.findings import Finding
from workflow_runtime.frontends.cli.compilation import show_warnings
from workflow_runtime.frontends.cli.errors import CliError
from workflow_runtime.frontends.cli.files import read_source
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.client.mock_targets import unknown_mocks
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.plan.plan import Plan
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.storage.workflows import WorkflowVersion


def publish_to_run(
    out: Output, runtime: LocalRuntime, given: Sequence[Path], mocks: Path | None, definitions: Path | None
) -> WorkflowVersion:
    """The version of the first file. Warnings are shown. Raises `CliError` with the errors of all files, or with the
    mocks of what nothing calls."""
    errors: list[Finding] = []
    versions: list[WorkflowVersion] = []
    plans: list[Plan] = []
    files = list(given)
    for path in files:  # which grows by the files of those that are started
        try:
            published = runtime.services.catalog.publish(read_source(path), str(path), scheduled=False)
        except DefinitionError as error:
            errors += error.findings
            continue
        versions.append(published.version)
        plans.append(published.plan)
        show_warnings(out, published.warnings)
        files += _started_by(runtime, published.plan, files)
    if errors:
        raise CliError("invalid_definition", "nothing was started: the definition is not valid", findings=errors)
    unknown = _unknown_mocks(runtime, plans, mocks, definitions) if mocks is not None else []
    if unknown:
        raise CliError("invalid_mocks", "nothing was started: the mocks are not valid", findings=unknown)
    return versions[0]


def _started_by(runtime: LocalRuntime, plan: Plan, files: Sequence[Path]) -> list[Path]:
    """The files of workflows that this one starts, but for ``files``."""
    found = [file for id in sorted(plan.starts) if (file := runtime.workflow_files.file_of(id)) is not None]
    known = {file.absolute() for file in files}
    return [file for file in found if file not in known]


def _unknown_mocks(
    runtime: LocalRuntime, plans: Sequence[Plan], mocks: Path, definitions: Path | None
) -> list[Finding]:
    return unknown_mocks(Mocks.load(mocks), runtime.services.catalog.catalogue, plans, definitions)
