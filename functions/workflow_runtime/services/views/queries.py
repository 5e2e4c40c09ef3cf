"""What people ask about workflows and executions: lists page by page, one execution, its nodes, its history.

Payloads are handed on as JSON text (`msgspec.Raw`), never decoded: they may have tens of megabytes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from heapq import nlargest

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.preview import Preview, preview
from workflow_runtime.engine.replay import JournalEntry
from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.errors import RequestError
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.plan import Plan
from workflow_runtime.ports import Attribute, Item, Ports
from workflow_runtime.services.views.charts import ChartParts, chart_parts, listens
from workflow_runtime.services.views.nodes import error_json, node_executions
from workflow_runtime.storage import keys
from workflow_runtime.storage.executions import ExecutionStore, header_of
from workflow_runtime.storage.records import Globals, Header, Run, StoredState
from workflow_runtime.storage.runs import RunStore
from workflow_runtime.storage.workflows import Pointer, WorkflowStore, WorkflowVersion

ENTRIES_READ_AT_ONCE = 25  # journal entries per batch read: most executions have fewer


class Execution(msgspec.Struct, frozen=True):
    """An execution's header, and the parts asked for as JSON text. ``nodes``: entries by path, outputs apart."""

    header: Header
    input: bytes | None = None
    output: bytes | None = None
    nodes: dict[str, Json] | None = None
    node_outputs: dict[str, Attribute] = {}
    charts: ChartParts = ChartParts()


class NodeDetail(msgspec.Struct, frozen=True):
    """A node of an execution: its entry, its runs from the first to the last, the newest one's output as JSON text."""

    entry: dict[str, Json]
    runs: tuple[Run, ...]
    output: bytes


class History(msgspec.Struct, frozen=True):
    """Journal entries in order. ``finished``: the execution has ended and nothing follows them."""

    entries: tuple[JournalEntry, ...]
    finished: bool


class Queries:
    def __init__(self, ports: Ports, workflows: WorkflowStore) -> None:
        self._table = ports.table
        self._clock = ports.clock
        self._workflows = workflows
        self._executions = ExecutionStore(ports.table, ports.blobs)
        self._runs = RunStore(ports.table, ports.blobs)

    def workflows(self, limit: int, before: str | None) -> Sequence[Pointer]:
        """Published workflows, newest first, older than the position ``before``."""
        return self._workflows.list(limit, before)

    def versions(self, latest: WorkflowVersion, limit: int, before: int | None) -> list[WorkflowVersion]:
        """Versions of a workflow, newest first, older than the number ``before``."""
        newest = min(before - 1, latest.number) if before is not None else latest.number
        numbers = range(newest, max(newest - limit, 0), -1)
        found = self._workflows.versions(latest.workflow_id, numbers)
        return [found[number] for number in numbers if number in found]

    def executions(
        self, workflow_id: str, statuses: Collection[ExecutionStatus], limit: int, before: str | None
    ) -> list[Header]:
        """Executions of a workflow, newest first, older than the `position` ``before``.

        One query per status, in the order of life: an execution that moves on between two of them is found twice,
        never missed.
        """
        found: dict[str, Header] = {}
        for status in ExecutionStatus:
            if status in statuses:
                end = f"{status}#{before}" if before is not None else None
                for header in self._executions.list(workflow_id, status, limit, end):
                    found[header.execution_id] = header
        return nlargest(limit, found.values(), key=position)

    def header(self, execution_id: str) -> Header:
        """Raises `RequestError` (``not_found``)."""
        header = self._executions.header(execution_id)
        if header is None:
            raise _no_execution(execution_id)
        return header

    def execution(self, execution_id: str, parts: Collection[str]) -> Execution:
        """An execution with some of its ``input``, ``output``, ``nodes``, ``variables`` (those of a chart come in any
        case). Raises `RequestError` (``not_found``)."""
        header_key = keys.execution(execution_id, keys.HEADER)
        input_key = keys.execution(execution_id, keys.INPUT)
        items = self._table.get([header_key, input_key] if "input" in parts else [header_key])
        if header_key not in items:
            raise _no_execution(execution_id)
        header = header_of(execution_id, items[header_key])
        plan = self._workflows.plan(header.plan_hash)
        stored = self._executions.load(execution_id) if "nodes" in parts or listens(plan) else None
        nodes, outputs = self._nodes(plan, stored, execution_id) if "nodes" in parts else (None, {})
        charts = self._charts(plan, stored, execution_id)
        if charts.variables is None and "variables" in parts:
            charts = replace(charts, variables=self._executions.globals(execution_id).variables)
        return Execution(
            header,
            input=self._executions.input_json(items[input_key]) if "input" in parts else None,
            output=self._output(header, items[header_key]) if "output" in parts else None,
            nodes=nodes,
            node_outputs=outputs,
            charts=charts,
        )

    def statuses(self, header: Header) -> dict[str, str]:
        """The statuses of an execution's nodes, by path."""
        plan, stored = self._workflows.plan(header.plan_hash), self._executions.load(header.execution_id)
        return {path: entry["status"] for path, entry in self._nodes(plan, stored, header.execution_id)[0].items()}

    def current_states(self, header: Header) -> dict[str, tuple[str, ...]]:
        """The active leaf states by path of their chart (``""``: the one at the top)."""
        return {chart.path: chart.states for chart in self.ahead(header).charts}

    def ahead(self, header: Header) -> Preview:
        """What an execution's charts and timers are at now."""
        stored = self._executions.load(header.execution_id)
        if stored is None:
            return Preview()
        return preview(self._workflows.plan(header.plan_hash), stored.state, self._clock.now())

    def plan(self, plan_hash: str) -> Plan:
        return self._workflows.plan(plan_hash)

    def node_output(self, held: Attribute) -> bytes:
        """The JSON text of an output among `Execution.node_outputs`."""
        return self._runs.output_json(held)

    def node(self, execution_id: str, path: str) -> NodeDetail:
        """Raises `RequestError` (``not_found``): no such execution, or no such node in it."""
        header = self.header(execution_id)
        plan, stored = self._workflows.plan(header.plan_hash), self._executions.load(execution_id)
        held = self._runs.list_held(execution_id, path)
        runs = tuple(run for run, _ in held)
        state = stored.state if stored is not None else None
        entry = node_executions(plan, state, runs, (path,)).get(path)
        if entry is None:
            raise RequestError("not_found", f"execution {execution_id!r} has no node {path!r}")
        return NodeDetail(entry, runs, self._runs.output_json(held[-1][1]) if held else b"null")

    def history(self, execution_id: str, after: int, limit: int) -> History:
        """The journal after the version ``after``. Raises `RequestError` (``not_found``)."""
        header = self.header(execution_id)  # before the entries: once it says ended, they are all there
        entries: list[JournalEntry] = []
        while len(entries) < limit:
            start = after + len(entries) + 1
            wanted = range(start, start + min(limit - len(entries), ENTRIES_READ_AT_ONCE))
            found = self._executions.entries(execution_id, wanted)
            entries += found
            if len(found) < len(wanted):
                break
        last = after + len(entries)
        ended = ExecutionStatus(header.status).terminal and last >= header.state_version
        return History(tuple(entries), ended and len(entries) < limit)

    def has_entry(self, execution_id: str, version: int) -> bool:
        """Whether the journal has this version: a cheap read for who waits for it."""
        key = keys.journal(execution_id, version)
        return key in self._table.get([key])

    def _nodes(
        self, plan: Plan, stored: StoredState | None, execution_id: str
    ) -> tuple[dict[str, Json], dict[str, Attribute]]:
        held = self._runs.list_held(execution_id)
        entries = node_executions(plan, stored.state if stored is not None else None, [run for run, _ in held])
        return entries, {
            run.path: output for run, output in held if run.path in entries and entries[run.path]["started_at"]
        }

    def _charts(self, plan: Plan, stored: StoredState | None, execution_id: str) -> ChartParts:
        def globals() -> Globals:
            return self._executions.globals(execution_id)

        return chart_parts(self._executions, plan, stored, self._clock.now(), globals)

    def _output(self, header: Header, item: Item) -> bytes:
        return self._executions.output_json(header.execution_id, item)


def position(header: Header) -> str:
    """An execution's place among those of its workflow, whatever its status: it never changes."""
    return f"{header.started_at:015d}#{header.execution_id}"


def header_json(header: Header) -> dict[str, Json]:
    """What a list shows of an execution."""
    return {
        "execution_id": header.execution_id,
        "workflow_id": header.workflow_id,
        "workflow_version": header.workflow_version,
        "correlation_id": header.correlation_id,
        "status": header.status,
        "error": error_json(header.error),
        "started_at": iso_time(header.started_at),
        "ended_at": iso_time(header.ended_at) if header.ended_at else None,
    }


def _no_execution(execution_id: str) -> RequestError:
    return RequestError("not_found", f"there is no execution {execution_id!r}")
