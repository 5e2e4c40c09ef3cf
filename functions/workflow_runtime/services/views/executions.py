"""The execution document: what people see of an execution, put together from header, state, input and runs."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from workflow_runtime.engine.commands import CancelRun, RecordNode, RunNode
from workflow_runtime.engine.events import NodeFailed, NodeSucceeded
from workflow_runtime.engine.lifecycle import STATUS_OF_MARK, NodeStatus
from workflow_runtime.engine.replay import JournalEntry
from workflow_runtime.errors import RequestError
from workflow_runtime.language.json_values import Json
from workflow_runtime.ports import Ports
from workflow_runtime.services.views.charts import chart_parts, transitions_of
from workflow_runtime.services.views.nodes import live_graphs, node_executions
from workflow_runtime.services.views.queries import header_json
from workflow_runtime.storage import keys
from workflow_runtime.storage.executions import ExecutionStore, header_of
from workflow_runtime.storage.runs import RunStore
from workflow_runtime.storage.workflows import WorkflowStore

ENTRIES_READ_AT_ONCE = 25


class News(msgspec.Struct, frozen=True):
    """What happened in an execution up to the commit ``version``: nodes whose status is another, and transitions, as
    they stand in the document. ``ordered``: the commit after which a node's newest news is."""

    entries: dict[str, Json] = {}
    transitions: list[dict[str, Json]] = []
    version: int = 0
    ordered: dict[str, int] = {}


class Documents:
    def __init__(self, ports: Ports, workflows: WorkflowStore) -> None:
        self._table = ports.table
        self._clock = ports.clock
        self._workflows = workflows
        self._executions = ExecutionStore(ports.table, ports.blobs)
        self._runs = RunStore(ports.table, ports.blobs)

    def status(self, execution_id: str) -> str:
        """Raises `RequestError` (``not_found``)."""
        header = self._executions.header(execution_id)
        if header is None:
            raise RequestError("not_found", f"there is no execution {execution_id!r}")
        return header.status

    def document(self, execution_id: str) -> dict[str, Json]:
        """The whole document. Raises `RequestError` (``not_found``)."""
        header_key = keys.execution(execution_id, keys.HEADER)
        input_key = keys.execution(execution_id, keys.INPUT)
        items = self._table.get([header_key, input_key])
        if header_key not in items:
            raise RequestError("not_found", f"there is no execution {execution_id!r}")
        header = header_of(execution_id, items[header_key])
        data = self._executions.globals_of(items[input_key])
        plan = self._workflows.plan(header.plan_hash)
        stored = self._executions.load(execution_id)
        runs = self._runs.list(execution_id)
        charts = chart_parts(self._executions, plan, stored, self._clock.now(), lambda: data)
        return {
            **header_json(header),
            "input": data.input,
            "output": self._executions.output(execution_id, items[header_key]),
            "variables": charts.variables if charts.variables is not None else data.variables,
            **charts.json(),
            "node_executions": node_executions(plan, stored.state if stored is not None else None, runs),
        }

    def progress(self, execution_id: str, known: Mapping[str, str], since: int = 0) -> News:
        """What is new since the commit ``since``, for who has seen it all until then and ``known``, statuses by path.

        For who watches an execution: one read of the state, of the journal's new entries, and of the runs of nodes
        whose status may have changed; outputs apart. Nothing before the first commit.
        """
        stored = self._executions.load(execution_id)
        if stored is None:
            return News()
        state = stored.state
        plan = self._workflows.plan(state.plan_hash)
        fresh = self._entries_after(execution_id, since)
        ordered = _ordered(fresh)
        changed = {path: serial for path, (serial, _) in ordered.items()}
        for graph in live_graphs(plan, state).values():
            block = plan.blocks[graph.block]
            for index, node in enumerate(block.nodes):
                path, status = block.prefix + node.id, STATUS_OF_MARK[graph.marks[index]]
                if status is NodeStatus.READY or status.value != known.get(path, NodeStatus.WAITING.value):
                    changed[path] = graph.serial(index)
        runs = self._runs.get_all(execution_id, list(changed.items()))
        entries: dict[str, Json] = {}
        for path, entry in node_executions(plan, state, runs.values(), changed.keys()).items():
            if known.get(path, NodeStatus.WAITING.value) != entry["status"]:
                entries[path] = {**entry, "output": None}
        versions = {path: version for path, (_, version) in ordered.items()}
        return News(entries, transitions_of(fresh), fresh[-1].version if fresh else since, versions)

    def _entries_after(self, execution_id: str, version: int) -> list[JournalEntry]:
        found: list[JournalEntry] = []
        while True:
            start = version + len(found) + 1
            page = self._executions.entries(execution_id, range(start, start + ENTRIES_READ_AT_ONCE))
            found += page
            if len(page) < ENTRIES_READ_AT_ONCE:
                return found

    def dead_letters(self, execution_id: str) -> list[dict[str, Json]]:
        """What could not be taken or sent for this execution: ``{reason, body}`` each."""
        return self._executions.dead_letters(execution_id)


def _ordered(entries: list[JournalEntry]) -> dict[str, tuple[int, int]]:
    """Newest serial by path of the nodes that these commits ordered, recorded or cancelled, or were told of; and the
    commit after which that was."""
    found: dict[str, tuple[int, int]] = {}
    for entry in entries:
        for event in entry.events:
            if isinstance(event, (NodeSucceeded, NodeFailed)):
                found[event.path] = event.serial, entry.version - 1
        for command in entry.commands:
            if isinstance(command, (RunNode, RecordNode, CancelRun)):
                found[command.path] = command.serial, entry.version
    return found
