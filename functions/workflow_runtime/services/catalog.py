"""The workflow catalogue: publishing a definition, finding the plan of a version."""

from __future__ import annotations

import msgspec

from workflow_runtime.compiler import Known, compile_workflow
from workflow_runtime.errors import DefinitionError, RequestError
from workflow_runtime.findings import Finding
from workflow_runtime.plan import Plan
from workflow_runtime.ports import Clock
from workflow_runtime.storage.workflows import WorkflowStore, WorkflowVersion


class Published(msgspec.Struct, frozen=True):
    """A stored version, its plan, and what the compiler warned about."""

    version: WorkflowVersion
    plan: Plan
    warnings: tuple[Finding, ...] = ()


class Catalog:
    def __init__(self, workflows: WorkflowStore, clock: Clock, known: Known | None = None) -> None:
        self._workflows = workflows
        self._clock = clock
        self._known = known

    def publish(self, source: bytes, file: str = "") -> Published:
        """Compile and store a definition as the next version of its workflow (the same version for the same plan).

        Raises `DefinitionError` with every finding.
        """
        compilation = compile_workflow(source, file=file, known=self._known)
        if compilation.plan is None:
            raise DefinitionError(compilation.findings)
        version = self._workflows.publish(compilation.plan, source, self._clock.now())
        return Published(version, compilation.plan, tuple(compilation.findings))

    def version(self, workflow_id: str, number: int | None = None) -> WorkflowVersion:
        """A stored version, by default the latest. Raises `RequestError` (``not_found``)."""
        found = self._workflows.latest(workflow_id) if number is None else self._workflows.version(workflow_id, number)
        if found is None:
            what = f"workflow {workflow_id!r}" + (f" has no version {number}" if number is not None else " is not published")
            raise RequestError("not_found", what)
        return found

    def plan(self, version: WorkflowVersion) -> Plan:
        return self._workflows.plan(version.plan_hash)
