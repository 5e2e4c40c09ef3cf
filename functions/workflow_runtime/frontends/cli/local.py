"""A runtime in this process for a command, and what a database file has that it can go on with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.frontends.cli.errors import CliError, usage_error
from workflow_runtime.frontends.cli.stderr_log import TracedInvoker
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.invokers.tools.reach import local_reach
from workflow_runtime.runtime.in_process import Backend, LocalRuntime
from workflow_runtime.storage.listing import Wanted
from workflow_runtime.storage.records import Header

WORKFLOWS_SEARCHED_MAX = 1_000
OPEN_SHOWN_MAX = 10
OPEN_STATUSES = tuple(status for status in ExecutionStatus if not status.terminal)


def local_runtime(
    backend: Backend,
    definitions: Path | None,
    mocks: Path | None,
    *,
    verbose: bool,
    allow_http: Sequence[str] = (),
    files: Callable[[], Iterable[Path]] | None = None,
) -> LocalRuntime:
    """A runtime on ``backend``, which it closes, also when the definitions or mocks cannot be read: `DefinitionError`.

    ``verbose``: what agents and tools raise is logged with its traceback. ``allow_http``: see `local_reach`.
    ``files``: where workflows are that may be started.
    """
    try:
        loaded = Mocks.load(mocks) if mocks is not None else None
        wrap = TracedInvoker if verbose else None
        reach = local_reach(os.environ, allow_http)
        return LocalRuntime(backend, definitions, loaded, reach=reach, environ=os.environ, wrap=wrap, files=files)
    except BaseException:
        backend.close()
        raise


def only_open_execution(runtime: LocalRuntime, db: Path | None) -> str:
    """The only execution of the file that has not ended, those apart that another one waits for. Raises `CliError` if
    there is none, or more than one."""
    services = runtime.services
    found = [
        header
        for pointer in services.stores.workflows.list(WORKFLOWS_SEARCHED_MAX, None)
        for header in services.documents.list(Wanted(OPEN_STATUSES, pointer.workflow_id), OPEN_SHOWN_MAX + 1).headers
    ]
    open = {header.execution_id for header in found}
    found = [header for header in found if _awaited_by(services.documents.header(header.execution_id)) not in open]
    match found:
        case [header]:
            return str(header.execution_id)
        case []:
            hint = f"awr list WORKFLOW --db {db} shows those that have"
            raise CliError("nothing_open", f"there is no execution in {db} that has not ended", hint)
    shown = [f"{header.execution_id} ({header.workflow_id})" for header in found[:OPEN_SHOWN_MAX]]
    more = " …" if len(found) > OPEN_SHOWN_MAX else ""
    message = f"several executions in {db} have not ended: {', '.join(shown)}{more}"
    raise usage_error(message, f"awr run --resume {found[0].execution_id} --db {db}")


def _awaited_by(header: Header) -> str:
    """The execution that waits for the end of this one; "" if none does."""
    return header.parent.execution_id if header.parent is not None and header.parent.notify else ""
