"""The execution document: what people see of an execution, put together from header, state, input and runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from workflow_runtime.engine.lifecycle import NodeStatus
from workflow_runtime.engine.names import iso_time
from workflow_runtime.engine.state import OPEN_MARKS, STATUS_OF_MARK, ExecutionState, Mark
from workflow_runtime.errors import ErrorDocument, RequestError
from workflow_runtime.plan import Json, Plan
from workflow_runtime.ports import Ports
from workflow_runtime.storage import keys
from workflow_runtime.storage.executions import ExecutionStore, header_of
from workflow_runtime.storage.records import Run
from workflow_runtime.storage.runs import RunStore
from workflow_runtime.storage.workflows import WorkflowStore


class Documents:
    def __init__(self, ports: Ports, workflows: WorkflowStore) -> None:
        self._table = ports.table
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
        return {
            "execution_id": execution_id,
            "workflow_id": header.workflow_id,
            "workflow_version": header.workflow_version,
            "status": header.status,
            "input": data.input,
            "output": self._executions.output(execution_id, items[header_key]),
            "error": error_json(header.error),
            "started_at": iso_time(header.started_at),
            "ended_at": iso_time(header.ended_at) if header.ended_at else None,
            "variables": data.variables,
            "node_executions": node_executions(plan, stored.state if stored is not None else None, runs),
        }

    def progress(self, execution_id: str, known: Mapping[str, str]) -> dict[str, Json]:
        """What is new since ``known`` (statuses by node id): entries as in the document, outputs apart.

        For who watches an execution: one read of the state, and of the runs of nodes whose status may have changed.
        Nothing before the first commit.
        """
        stored = self._executions.load(execution_id)
        if stored is None:
            return {}
        state = stored.state
        plan = self._workflows.plan(state.plan_hash)
        changed: dict[int, NodeStatus] = {}
        for index, node in enumerate(plan.root.nodes):
            status = STATUS_OF_MARK[state.root.marks[index]]
            if not node.hidden and known.get(node.id, NodeStatus.WAITING.value) != status.value:
                changed[index] = status
        places = {index: (plan.root.nodes[index].id, state.root.serial(index)) for index in changed}
        runs = self._runs.get_all(execution_id, list(places.values()))
        entries: dict[str, Json] = {}
        for index, status in changed.items():
            id, taken = plan.root.nodes[index].id, runs.get(places[index])
            if status is NodeStatus.READY and taken is not None and taken.status == "running":
                status = NodeStatus.RUNNING
            if known.get(id) != status.value:
                entry = _entry(status, taken, None)
                entry["output"] = None
                entries[id] = entry
        return entries

    def dead_letters(self, execution_id: str) -> list[dict[str, Json]]:
        """What could not be taken or sent for this execution: ``{reason, body}`` each."""
        return self._executions.dead_letters(execution_id)


def node_executions(plan: Plan, state: ExecutionState | None, runs: Iterable[Run]) -> dict[str, Json]:
    """One entry per node that was looked at, in file order: its newest run, and the status that the state gives it."""
    newest: dict[str, Run] = {}
    for run in runs:
        newest[run.path] = run
    entries: dict[str, Json] = {}
    for index, node in enumerate(plan.root.nodes):
        if node.hidden:
            continue
        mark = state.root.marks[index] if state is not None else Mark.WAITING
        status = STATUS_OF_MARK[mark]
        taken = newest.get(node.id)
        if status is NodeStatus.READY and taken is not None and taken.status == "running":
            status = NodeStatus.RUNNING
        entries[node.id] = _entry(status, taken, _waiting_on(plan, state, index, status, taken))
    return entries


def error_json(error: ErrorDocument | None) -> dict[str, Json] | None:
    return {"type": error.type, "message": error.message, "node": error.node or None} if error is not None else None


def _entry(status: NodeStatus, run: Run | None, waiting_on: str | None) -> dict[str, Json]:
    return {
        "status": status.value,
        "attempts": run.attempt if run is not None else 0,
        "output": run.output if run is not None else None,
        "error": {"type": run.error.type, "message": run.error.message} if run is not None and run.error else None,
        "started_at": iso_time(run.started_at) if run is not None else None,
        "ended_at": iso_time(run.ended_at) if run is not None and run.ended_at else None,
        "waiting_on": waiting_on,
        "unresolved": list(run.unresolved) if run is not None else [],
        "warnings": list(run.warnings) if run is not None else [],
        "fallback_used": False,
        "usage": run.usage if run is not None else None,
    }


def _waiting_on(
    plan: Plan, state: ExecutionState | None, index: int, status: NodeStatus, run: Run | None
) -> str | None:
    """What an open node waits for (language §7); None for one that runs or has ended."""
    if state is None or state.status.terminal:
        return None
    if status is NodeStatus.WAITING:
        sources = (plan.root.edges[edge].source for edge in plan.root.nodes[index].incoming)
        return "dependency" if any(state.root.marks[source] in OPEN_MARKS for source in sources) else None
    if status is NodeStatus.READY and run is None and (index in state.root.queue or index in state.root.held):
        return "concurrency"
    return None
