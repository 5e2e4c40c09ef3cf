"""What happened in an execution since somebody last looked."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from workflow_runtime.engine.commands import CancelRun, RecordNode, RunNode
from workflow_runtime.engine.events import NodeFailed, NodeSucceeded, RunStopped
from workflow_runtime.engine.journal import JournalEntry
from workflow_runtime.engine.lifecycle import STATUS_OF_MARK, NodeStatus
from workflow_runtime.language.json_values import Json
from workflow_runtime.services.views.charts import transitions_of
from workflow_runtime.services.views.compensation import statuses_of_undone
from workflow_runtime.services.views.nodes import live_graphs, node_executions
from workflow_runtime.services.views.segments import as_it_stands
from workflow_runtime.storage.executions import ExecutionStore
from workflow_runtime.storage.stores import Stores

ENTRIES_READ_AT_ONCE = 25


class News(msgspec.Struct, frozen=True):
    """What happened up to the commit ``version``: nodes whose status changed, and transitions, as they stand in the
    document. ``ordered``: by path of a node, the commit after which its newest status holds."""

    entries: dict[str, Json] = {}
    transitions: list[dict[str, Json]] = []
    version: int = 0
    ordered: dict[str, int] = {}


def progress(stores: Stores, execution_id: str, known: Mapping[str, str], since: int = 0) -> News:
    """What is new since the commit ``since``, for a caller who has seen everything until then: ``known`` holds the
    statuses by path that it knows.

    One read of the state, of the journal's new entries, and of the runs of nodes whose status may have changed; outputs
    are left out. Nothing before the first commit, nor of an express execution before its end.
    """
    if not since:
        stores.executions.header(execution_id)  # with that of an express execution comes all that was recorded of it
    stored = stores.executions.load(execution_id)
    if stored is None:
        return News()
    plan = stores.workflows.plan(stored.state.plan_hash)
    state, claimed = as_it_stands(stores.runs, plan, stored.state)
    fresh = _entries_after(stores.executions, execution_id, since)
    ordered = _ordered(fresh)
    changed = {path: serial for path, (serial, _) in ordered.items()}
    for graph in live_graphs(plan, state).values():
        block = plan.blocks[graph.block]
        for index, node in enumerate(block.nodes):
            path, status = block.prefix + node.id, STATUS_OF_MARK[graph.marks[index]]
            if status is NodeStatus.READY or status.value != known.get(path, NodeStatus.WAITING.value):
                changed[path] = graph.serial(index)
    for (path, serial), undone in statuses_of_undone(plan, state).items():
        if known.get(path) != undone.value:
            changed[path] = max(serial, changed.get(path, 0))
    seen = [*stores.runs.get_all(execution_id, list(changed.items())).values(), *claimed.values()]
    entries: dict[str, Json] = {}
    for path, entry in node_executions(plan, state, seen, changed.keys()).items():
        if known.get(path, NodeStatus.WAITING.value) != entry["status"]:
            entries[path] = {**entry, "output": None}
    versions = {path: version for path, (_, version) in ordered.items()}
    return News(entries, transitions_of(fresh), fresh[-1].version if fresh else since, versions)


def _entries_after(executions: ExecutionStore, execution_id: str, version: int) -> list[JournalEntry]:
    found: list[JournalEntry] = []
    while True:
        start = version + len(found) + 1
        page = executions.entries(execution_id, range(start, start + ENTRIES_READ_AT_ONCE))
        found += page
        if len(page) < ENTRIES_READ_AT_ONCE:
            return found


def _ordered(entries: list[JournalEntry]) -> dict[str, tuple[int, int]]:
    """Newest serial by path of the nodes that these commits ordered, recorded or cancelled, or were told of; and the
    commit after which that was."""
    found: dict[str, tuple[int, int]] = {}

    def note(path: str, serial: int, version: int) -> None:
        if path not in found or serial >= found[path][0]:
            found[path] = serial, version

    for entry in entries:
        for event in entry.events:
            if isinstance(event, (NodeSucceeded, NodeFailed, RunStopped)):
                note(event.path, event.serial, entry.version - 1)
        for command in entry.commands:
            if isinstance(command, (RunNode, RecordNode, CancelRun)):
                note(command.path, command.serial, entry.version)
    return found
