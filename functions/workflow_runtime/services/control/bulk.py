"""One request about many executions of a workflow, page by page.

What is asked of each carries a key made from the request's own, so that a page that is asked for again, or a whole
request that begins again, repeats nothing. Which executions are meant is fixed when the request begins: those that were
started before a time, in some statuses, each looked at once, the newest first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping

import msgspec

from workflow_runtime.engine.lifecycle import EXECUTION_ROWS, ExecutionStatus
from workflow_runtime.errors import RequestError
from workflow_runtime.language.durations import parse_duration
from workflow_runtime.language.json_values import Json
from workflow_runtime.ports import Clock
from workflow_runtime.services.catalog.catalog import Catalog
from workflow_runtime.services.control.operations import OPERATIONS
from workflow_runtime.services.control.requests import NOTHING, Control
from workflow_runtime.services.views.executions import Documents
from workflow_runtime.storage.listing import Wanted, position

ASKING_SECONDS_MAX = 15  # of a page: an answer of the API has 29 s
KEY_DIGITS = 32  # of a request's key, as it is carried on
MANY = tuple(name for name in OPERATIONS if name != "skip")  # which is about a node of one execution
EXAMPLES_MAX = 10  # executions named for each reason of refusals


class Selection(msgspec.Struct, frozen=True):
    """Which executions of a workflow are meant: those in one of these ``statuses`` (none: those in which the operation
    changes something) that were started ``older_than`` ago (a duration) or earlier. ``dry_run``: only look at them."""

    workflow_id: str
    statuses: tuple[str, ...] = ()
    older_than: str = ""
    dry_run: bool = False


class Refused(msgspec.Struct):
    """Why some executions were refused: the error's code and words, and which, the first of them."""

    code: str
    reason: str
    count: int = 0
    execution_ids: list[str] = []


class Batch(msgspec.Struct, frozen=True):
    """What a page came to. ``execution_ids``: those that it asked, or would ask (``dry_run``). ``next``: the place at
    which another page begins; None: there is none."""

    operation: str
    dry_run: bool
    execution_ids: tuple[str, ...]
    changed: int
    unchanged: int
    refused: tuple[Refused, ...]
    next: str | None

    def json(self) -> dict[str, Json]:
        """But for the next page."""
        document: dict[str, Json] = msgspec.to_builtins(self)
        del document["next"]
        return document | {"execution_ids": list(self.execution_ids), "refused": list(document["refused"])}


class Bulk:
    """``new_id`` gives a fresh identity per call. Raises `RequestError`: ``not_found`` (the workflow),
    ``invalid_request``; `RetryableError`."""

    def __init__(
        self, clock: Clock, catalog: Catalog, documents: Documents, control: Control, new_id: Callable[[], str]
    ) -> None:
        self._new_id = new_id
        self._clock = clock
        self._catalog = catalog
        self._documents = documents
        self._control = control

    def ask(
        self,
        operation: str,
        selection: Selection,
        key: str | None,
        limit: int,
        place: str | None = None,
        *,
        reason: str = "",
        by: str = "",
        said: Mapping[str, Json] = NOTHING,
    ) -> Batch:
        """Ask for one of `OPERATIONS` at most ``limit`` executions, from a ``place`` on. ``key``: of the whole request;
        its places carry it on. The other arguments are as in `Control.ask`."""
        if operation not in MANY:
            raise RequestError("invalid_request", f"of many executions one may ask {', '.join(MANY)}; not {operation}")
        statuses = _statuses(operation, selection.statuses)
        if place is None:
            self._catalog.known(selection.workflow_id)
            before = f"{self._clock.now() - _milliseconds(selection.older_than) + 1:015d}"
            key = hashlib.sha256((key or self._new_id()).encode()).hexdigest()[:KEY_DIGITS]
        else:
            key, _, before = place.partition("|")
        found = self._documents.list(Wanted(statuses, selection.workflow_id, before), limit)
        page = found.headers
        if selection.dry_run:
            ids = tuple(header.execution_id for header in page)
            return Batch(operation, True, ids, 0, 0, (), _place(key, found.next))
        end = self._clock.now() + ASKING_SECONDS_MAX * 1000
        asked: list[str] = []
        changed = unchanged = 0
        refused: dict[tuple[str, str], Refused] = {}
        for header in page:
            if asked and self._clock.now() >= end:
                break
            asked.append(header.execution_id)
            try:
                answer = self._control.ask(operation, header.execution_id, reason, f"bulk:{key}", by=by, said=said)
            except RequestError as error:
                one = refused.setdefault((error.code, error.message), Refused(error.code, error.message))
                one.count += 1
                one.execution_ids = [*one.execution_ids, header.execution_id][:EXAMPLES_MAX]
            else:
                changed += answer.changed
                unchanged += not answer.changed
        next = position(page[len(asked) - 1]) if len(asked) < len(page) else found.next
        return Batch(operation, False, tuple(asked), changed, unchanged, tuple(refused.values()), _place(key, next))


def _place(key: str, next: str | None) -> str | None:
    """Where the request's next page begins."""
    return f"{key}|{next}" if next is not None else None


def statuses_of(operation: str) -> tuple[ExecutionStatus, ...]:
    """Those in which an operation changes something; what has completed is left alone unless somebody names it."""
    event = OPERATIONS[operation].event
    rows = {status: EXECUTION_ROWS.get((status, event)) for status in ExecutionStatus}
    return tuple(
        status
        for status, row in rows.items()
        if row is not None and row.status is not None and status is not ExecutionStatus.COMPLETED
    )


def _statuses(operation: str, wanted: Collection[str]) -> tuple[ExecutionStatus, ...]:
    """Raises `RequestError` (``invalid_request``)."""
    try:
        return tuple(ExecutionStatus(status) for status in dict.fromkeys(wanted)) or statuses_of(operation)
    except ValueError as error:
        known = ", ".join(ExecutionStatus)
        raise RequestError("invalid_request", f"status: {error}; an execution is {known}") from None


def _milliseconds(older_than: str) -> int:
    """Raises `RequestError` (``invalid_request``) for anything but a duration."""
    try:
        return round(parse_duration(older_than or 0) * 1000)
    except ValueError as error:
        raise RequestError("invalid_request", f"older_than: {error}") from None
