"""Publishing for people: callers that replace or remove a workflow say which version they saw, so that nothing is lost.

Versions are never overwritten, and only the latest one's triggers start executions; a removed workflow cannot be
started, its executions go on and stay readable, and publishing it again continues its numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.errors import DefinitionError, RequestError
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.ports import Clock
from workflow_runtime.services.catalog.catalog import Catalog, Published
from workflow_runtime.storage.listing import Wanted
from workflow_runtime.storage.stores import Stores
from workflow_runtime.storage.workflows import VersionMismatch, WorkflowVersion

if TYPE_CHECKING:
    from workflow_runtime.compiler import Compilation

OPEN_STATUSES = tuple(status for status in ExecutionStatus if not status.terminal)
CHANGE_ATTEMPTS_MAX = 3  # against others who publish the same workflow at the same moment

Expected = Callable[[WorkflowVersion | None], bool]
"""Whether the latest version (None: none is published) is one that the caller allows to be replaced."""


class Publishing:
    def __init__(self, clock: Clock, stores: Stores, catalog: Catalog) -> None:
        self._clock = clock
        self._catalog = catalog
        self._workflows = stores.workflows
        self._listing = stores.listing

    def create(self, source: bytes, compilation: Compilation) -> tuple[Published, bool]:
        """Publish a workflow that is not published yet; whether it is new (False: it was there with the same plan).
        ``compilation``: of ``source``, see `Catalog.compile`.

        Raises `DefinitionError`, `RequestError` (``conflict``: there is one with another plan; ``invalid_definition``).
        """
        before = self._latest(compilation)
        try:
            published = self._catalog.store(compilation, source, over=0)
        except VersionMismatch:
            workflow_id = compilation.plan.workflow_id if compilation.plan is not None else ""
            raise RequestError(
                "conflict", f"workflow {workflow_id!r} is published already; replace it instead"
            ) from None
        return published, before is None

    def replace(
        self, workflow_id: str, source: bytes, compilation: Compilation, expected: Expected
    ) -> tuple[Published, bool]:
        """Publish the next version, or the first; whether the workflow is new.

        Raises `DefinitionError`, `RequestError` (``invalid_definition``: another workflow's id;
        ``precondition_failed``: ``expected`` does not allow the latest version).
        """
        if compilation.plan is not None and compilation.plan.workflow_id != normalized(workflow_id):
            found = compilation.plan.workflow_id
            raise RequestError("invalid_definition", f"the definition is of workflow {found!r}, not of {workflow_id!r}")
        for _ in range(CHANGE_ATTEMPTS_MAX):
            latest = self._latest(compilation)
            if not expected(latest):
                raise RequestError("precondition_failed", "the workflow's latest version is another one")
            try:
                published = self._catalog.store(compilation, source, over=latest.number if latest is not None else 0)
            except VersionMismatch:
                continue
            return published, latest is None
        raise RequestError("conflict", f"workflow {workflow_id!r} is being published by others; try again")

    def remove(self, workflow_id: str, expected: Expected, *, force: bool = False) -> None:
        """Take a workflow out of the catalogue.

        Raises `RequestError`: ``not_found``, ``precondition_failed``, ``conflict`` (executions run, unless ``force``).
        An execution started a moment ago may be missed (the index of executions is eventually consistent); it goes on.
        """
        for _ in range(CHANGE_ATTEMPTS_MAX):
            pointer = self._workflows.pointer(workflow_id)
            if pointer is None or pointer.removed_at:
                raise RequestError("not_found", f"workflow {workflow_id!r} is not published")
            version = self._workflows.version(workflow_id, pointer.latest)
            if not expected(version):
                raise RequestError("precondition_failed", "the workflow's latest version is another one")
            if not force and self._listing.page(Wanted(OPEN_STATUSES, workflow_id), 1).headers:
                raise RequestError("conflict", f"executions of workflow {workflow_id!r} are running")
            if self._workflows.remove(pointer, self._clock.now()):
                if version is not None:
                    self._catalog.superseded(version)
                return
        raise RequestError("conflict", f"workflow {workflow_id!r} is being published by others; try again")

    def _latest(self, compilation: Compilation) -> WorkflowVersion | None:
        if compilation.plan is None:
            raise DefinitionError(compilation.findings)
        return self._workflows.latest(compilation.plan.workflow_id)
