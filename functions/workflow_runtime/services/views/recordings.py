"""Executions as recordings: the journal with all that its decisions read, page by page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from workflow_runtime.engine.codec import encode_state
from workflow_runtime.engine.commands import AskApproval, CancelRun, RecordNode, ReplaceVariables, StorePages
from workflow_runtime.engine.events import NodeFailed, NodeSucceeded, NodeYielded
from workflow_runtime.engine.journal import JournalEntry
from workflow_runtime.engine.portions import runs_read
from workflow_runtime.engine.recording import NO_STATE, RecordedRun, Recording
from workflow_runtime.engine.turn import Visit
from workflow_runtime.engine.values.evaluation import NodeValue
from workflow_runtime.engine.values.pruning import prune
from workflow_runtime.errors import RequestError
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.lookup import node_of
from workflow_runtime.plan.plan import Plan, encode_plan
from workflow_runtime.ports import Item, Ports
from workflow_runtime.services.dispatch.reads import node_value, pruned_globals
from workflow_runtime.storage import keys
from workflow_runtime.storage.payloads import unpack
from workflow_runtime.storage.records import Header, Run, RunStatus
from workflow_runtime.storage.stores import Stores

ENTRIES_READ_AT_ONCE = 25
RECORDED_BYTES_MAX = 2 * 1024 * 1024  # an answer of the API takes twice as much, and one commit may be large


class RecordedPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Commits of a journal with what they came to know. ``head``: a recording without any, on the first page.
    ``state``: the execution's, once its newest commit is on the page. ``next``: the version after which another page
    follows; None: there is none yet."""

    head: Recording | None = None
    entries: tuple[JournalEntry, ...] = ()
    runs: tuple[RecordedRun, ...] = ()
    replaced: dict[int, dict[str, Json]] = {}
    blobs: dict[str, Json] = {}
    state: msgspec.Raw = NO_STATE
    next: int | None = None


class Recordings:
    """``page_bytes_max``: of a page, one commit more or less. Raises `RequestError` (``not_found``) where an execution
    is asked for that does not exist."""

    def __init__(self, ports: Ports, stores: Stores, page_bytes_max: int = RECORDED_BYTES_MAX) -> None:
        self._page_bytes_max = page_bytes_max
        self._table = ports.table
        self._executions = stores.executions
        self._workflows = stores.workflows
        self._runs = stores.runs

    def whole(self, execution_id: str) -> Recording:
        """All of it."""
        return assembled(self._pages(execution_id))

    def page(self, execution_id: str, after: int = 0) -> RecordedPage:
        """The commits after the version ``after``, as many as fit into it, and at least one if there
        is one."""
        header = self._executions.header(execution_id)
        if header is None:
            raise RequestError("not_found", f"there is no execution {execution_id!r}")
        plan = self._workflows.plan(header.plan_hash)
        entries: list[JournalEntry] = []
        runs = [*self._runs_before(plan, header)] if not after else []
        replaced: dict[int, dict[str, Json]] = {}
        blobs: dict[str, Json] = {}
        size, more = 0, True
        while more and size < self._page_bytes_max:
            start = after + len(entries) + 1
            found = self._executions.entries(execution_id, range(start, start + ENTRIES_READ_AT_ONCE))
            for entry in found:
                ended = self._ended_runs(plan, execution_id, entry)
                data = {key: unpack(self._executions.get_blob(key)) for key in _blobs(entry)}
                entries.append(entry)
                runs += ended
                replaced |= self._replaced(plan, execution_id, entry)
                blobs |= data
                size += len(msgspec.json.encode((entry, ended, data)))
                if size >= self._page_bytes_max:
                    break
            more = len(found) == ENTRIES_READ_AT_ONCE
        last = after + len(entries)
        return RecordedPage(
            self._head(plan, header) if not after else None,
            tuple(entries),
            tuple(runs),
            replaced,
            blobs,
            self._state(execution_id, last) if entries else NO_STATE,
            last if more or size >= self._page_bytes_max else None,
        )

    def _pages(self, execution_id: str) -> Iterator[RecordedPage]:
        after: int | None = 0
        while after is not None:
            page = self.page(execution_id, after)
            yield page
            after = page.next

    def _head(self, plan: Plan, header: Header) -> Recording:
        key = keys.execution(header.execution_id, keys.INPUT)
        return Recording(
            execution_id=header.execution_id,
            workflow_id=header.workflow_id,
            workflow_version=header.workflow_version,
            started_at=header.started_at,
            plan=msgspec.Raw(encode_plan(plan)),
            parent=header.parent,
            hops=header.hops,
            tenant=header.tenant,
            shares=header.shares,
            globals=pruned_globals(plan, self._executions.globals_of(self._table.get([key])[key])),
        )

    def _state(self, execution_id: str, version: int) -> msgspec.Raw:
        """The stored state, if it is of this version."""
        stored = self._executions.load(execution_id)
        if stored is None or stored.state.version != version:
            return NO_STATE
        return msgspec.Raw(encode_state(stored.state))

    def _replaced(self, plan: Plan, execution_id: str, entry: JournalEntry) -> dict[int, dict[str, Json]]:
        """Input and variables as attempts that began in this commit put them in the place of earlier ones."""
        attempts = [command.attempt for command in entry.commands if isinstance(command, ReplaceVariables)]
        return {n: pruned_globals(plan, self._executions.globals(execution_id, n)) for n in attempts}

    def _ended_runs(self, plan: Plan, execution_id: str, entry: JournalEntry) -> Sequence[RecordedRun]:
        """The runs that have ended by this commit, or in it, as far as decisions read them; also those of agents that
        wait for others."""
        ended = (NodeSucceeded, NodeFailed, NodeYielded, RecordNode, CancelRun)
        items = (*entry.events, *entry.commands)
        return self._recorded(plan, execution_id, [(i.path, i.serial) for i in items if isinstance(i, ended)])

    def _runs_before(self, plan: Plan, header: Header) -> Sequence[RecordedRun]:
        """Of an execution that runs passes of another one's loop, the runs around the loop that these read."""
        part = header.parent.part if header.parent is not None else None
        return self._recorded(plan, header.execution_id, runs_read(plan, part)) if part is not None else ()

    def _recorded(self, plan: Plan, execution_id: str, runs: Iterable[tuple[str, int]]) -> Sequence[RecordedRun]:
        items = self._table.get(list(dict.fromkeys(keys.run(execution_id, *run) for run in runs)))
        return [
            RecordedRun(
                run.path, run.serial, _value(plan, run), self._runs.order_of(item), self._visit(plan, run, item)
            )
            for item in items.values()
            if not (run := self._runs.run_of(item)).status.open
        ]

    def _visit(self, plan: Plan, run: Run, item: Item) -> Visit | None:
        """A run, whole, if the dispatcher itself may undo it."""
        node = node_of(plan, run.path)
        number = node.compensate if node is not None else -1
        if number < 0 or run.status is not RunStatus.SUCCESS or plan.blocks[number].nodes[0].pool is not None:
            return None
        return Visit(self._runs.inputs_of(item), run.output)


def assembled(pages: Iterable[RecordedPage]) -> Recording:
    """The recording that these pages are, from the first to the last."""
    head: Recording | None = None
    entries: list[JournalEntry] = []
    runs: list[RecordedRun] = []
    replaced: dict[int, dict[str, Json]] = {}
    blobs: dict[str, Json] = {}
    state: msgspec.Raw = NO_STATE
    for page in pages:
        head = head or page.head
        entries += page.entries
        runs += page.runs
        replaced |= page.replaced
        blobs |= page.blobs
        state = page.state
    assert head is not None, "the first page has it"
    return msgspec.structs.replace(
        head, entries=tuple(entries), runs=tuple(runs), replaced=replaced, blobs=blobs, state=state
    )


def _value(plan: Plan, run: Run) -> NodeValue:
    node = node_of(plan, run.path)
    paths = node.decision_paths if node is not None else ()
    value = node_value(run)
    return msgspec.structs.replace(value, output=prune(value.output, paths) if paths else None)


def _blobs(entry: JournalEntry) -> Iterator[str]:
    """Where the data of the commit's large events, what it stored for loops, and what people are shown is found."""
    for event in entry.events:
        blob: str | None = getattr(event, "blob", None)
        if blob is not None:
            yield blob
        if isinstance(event, NodeYielded):
            yield from (wait.blob for wait in event.waits if wait.blob is not None)
            rules = (wait.rules for wait in event.waits if wait.rules is not None)
            yield from (each.form_blob for each in rules if each.form_blob is not None)
    for command in entry.commands:
        if isinstance(command, StorePages):
            yield from command.keys
        elif isinstance(command, AskApproval) and command.keep:
            yield command.keep
