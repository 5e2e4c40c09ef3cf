"""What people and programs see of executions: documents, lists, nodes, history.

There is one execution document. Payloads are handed on as JSON text, not decoded: they may have tens of megabytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from workflow_runtime.engine.journal import JournalEntry
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.passes import PassEnd
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.engine.waiting import moves_by_itself
from workflow_runtime.errors import RequestError
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.plan.addresses import pass_address
from workflow_runtime.plan.plan import Plan
from workflow_runtime.ports import Attribute, Item, Ports
from workflow_runtime.services.looks import Looks
from workflow_runtime.services.views.charts import ENTRIES_READ_MAX, ChartParts, chart_parts, listens
from workflow_runtime.services.views.compensation import compensations
from workflow_runtime.services.views.nodes import error_json, node_executions
from workflow_runtime.services.views.passes import LoopView, Page, PassFinder, Shown, passes_text
from workflow_runtime.services.views.segments import as_it_stands
from workflow_runtime.services.views.usage import usage_json
from workflow_runtime.storage import keys
from workflow_runtime.storage.headers import header_of
from workflow_runtime.storage.listing import Page as ExecutionPage
from workflow_runtime.storage.listing import Wanted
from workflow_runtime.storage.records import Globals, Header, Run, StoredState
from workflow_runtime.storage.stores import Stores

if TYPE_CHECKING:
    from workflow_runtime.drawing import Progress
    from workflow_runtime.engine.preview import Preview
    from workflow_runtime.storage.dead_letters import Letter

ENTRIES_READ_AT_ONCE = 25  # journal entries per batch read: most executions have fewer
PARTS = frozenset({"input", "output", "variables", "nodes"})
"""What of a document may be left out."""


class Execution(msgspec.Struct, frozen=True):
    """An execution as it is now: its header, and the parts asked for, payloads as JSON text. ``nodes``: entries by
    path, without their outputs; ``node_outputs``: what is stored of those; ``compensations``: entries per visit.
    ``suspension``: since when, by whom and why it stands still, how many events are held, and the failure that a person
    decides on, if one suspended it. ``budget``: what its models may use, have used, and have reserved of that.
    ``usage``: what those of the nodes that are shown have used.
    """

    header: Header
    charts: ChartParts
    input: bytes | None = None
    output: bytes | None = None
    variables: dict[str, Json] | None = None
    nodes: dict[str, Json] | None = None
    node_outputs: dict[str, Attribute] = {}
    compensations: list[dict[str, Json]] = []
    suspension: dict[str, Json] | None = None
    budget: dict[str, Json] | None = None
    usage: dict[str, Json] | None = None

    def document(self, value_of: Callable[[bytes], Any]) -> dict[str, Any]:
        """The one execution document, without outputs of nodes. ``value_of`` makes a value of a payload's JSON text."""
        document = header_json(self.header)
        for part, text in (("input", self.input), ("output", self.output)):
            if text is not None:
                document[part] = value_of(text)
        document["parent"] = _parent(self.header)
        document["suspension"] = self.suspension
        document["budget"] = self.budget
        if self.usage is not None:
            document["usage"] = self.usage
        document["variables"] = self.variables
        document |= self.charts.json()
        if self.nodes is not None:
            document["node_executions"] = self.nodes
            document["compensations"] = self.compensations
        return document


_Seen: TypeAlias = tuple[dict[str, Json] | None, dict[str, Attribute], list[dict[str, Json]], dict[str, Json] | None]
_NOTHING: _Seen = (None, {}, [], None)


class NodeDetail(msgspec.Struct, frozen=True):
    """A node of an execution: its entry, its runs from the first to the last, the newest one's output as JSON text."""

    entry: dict[str, Json]
    runs: tuple[Run, ...]
    output: bytes


class PassPage(msgspec.Struct, frozen=True):
    """Passes of a loop from ``start`` on, with the entries of their nodes by path. ``next``: the first pass of the next
    page; None: no further one has begun."""

    loop: LoopView
    start: int
    nodes: dict[str, Json]
    node_outputs: dict[str, Attribute]
    next: int | None

    def json(self, path: str) -> list[dict[str, Json]]:
        """The passes, one by one."""
        found: dict[int, dict[str, Json]] = {}
        for node, entry in self.nodes.items():
            index = int(node[len(path) + 1 :].partition("]")[0])
            shown = found.setdefault(index, {"index": index, "status": self._status(index), "nodes": {}})
            shown["nodes"][node] = entry
        return [found[index] for index in sorted(found)]

    def _status(self, index: int) -> str:
        still = "running" if self.loop.open else "cancelled"
        known = {PassEnd.SUCCESS: "success", PassEnd.FAILED: "failed"}
        return known.get(self.loop.passes.end(index), still)


class History(msgspec.Struct, frozen=True):
    """Journal entries in order. ``finished``: the execution has ended and nothing follows them."""

    entries: tuple[JournalEntry, ...]
    finished: bool


class Documents:
    """Raises `RequestError` (``not_found``) where an execution is asked for that does not exist."""

    def __init__(self, ports: Ports, stores: Stores, looks: Looks) -> None:
        self._looks = looks
        self._stores = stores
        self._table = ports.table
        self._clock = ports.clock
        self._workflows = stores.workflows
        self._executions = stores.executions
        self._listing = stores.listing
        self._runs = stores.runs
        self._stores = stores

    def list(self, wanted: Wanted, limit: int) -> ExecutionPage:
        """Executions, newest first, at most ``limit``. One that was started a moment ago may be missing (indexes are
        eventually consistent); the status of each is that of now."""
        return self._listing.page(wanted, limit)

    def header(self, execution_id: str) -> Header:
        header = self._executions.header(execution_id)
        if header is None:
            raise _no_execution(execution_id)
        return header

    def status(self, execution_id: str) -> ExecutionStatus:
        return self.header(execution_id).status

    def rests(self, execution_id: str, until: int) -> bool:
        """Whether nothing more happens before ``until`` (epoch ms) without an event: it has ended, or only waits."""
        if self.status(execution_id).terminal:
            return True
        stored = self._executions.load(execution_id)
        return stored is not None and stored.published and not moves_by_itself(stored.state, until)

    def document(self, execution_id: str) -> dict[str, Json]:
        """The whole document, all values in it."""
        found = self.execution(execution_id, PARTS)
        document = found.document(msgspec.json.decode)
        for path, held in found.node_outputs.items():
            document["node_executions"][path]["output"] = msgspec.json.decode(self.node_output(held))
        return document

    def execution(self, execution_id: str, parts: Collection[str]) -> Execution:
        """An execution with some of `PARTS`. The variables of a chart come in any case: they change with its states."""
        header_key = keys.execution(execution_id, keys.HEADER)
        input_key = keys.execution(execution_id, keys.INPUT)
        items = self._table.get([header_key, input_key] if {"input", "variables"} & set(parts) else [header_key])
        if header_key not in items:
            raise _no_execution(execution_id)
        header = header_of(execution_id, items[header_key])
        plan = self._workflows.plan(header.plan_hash)
        looks = "nodes" in parts or listens(plan) or header.status is ExecutionStatus.SUSPENDED
        stored = self._executions.load(execution_id) if looks else None
        seen = self._nodes(plan, stored, execution_id) if "nodes" in parts else _NOTHING
        charts = self._charts(plan, stored, execution_id)
        variables = charts.variables
        if variables is None and "variables" in parts:
            variables = self._variables(header, items[input_key])
        return Execution(
            header,
            charts,
            self._executions.input_json(items[input_key]) if "input" in parts else None,
            self._executions.output_json(execution_id, items[header_key]) if "output" in parts else None,
            variables,
            *seen[:-1],
            _suspension(stored),
            self._budget(plan, execution_id),
            seen[-1],
        )

    def _budget(self, plan: Plan, execution_id: str) -> dict[str, Json] | None:
        if plan.limits.budget is None:
            return None
        from workflow_runtime.services.views.budgets import budget_json  # few workflows have one

        return budget_json(plan.limits.budget, self._stores.budgets.balance(keys.budget(execution_id)))

    def drawn_progress(self, header: Header) -> Progress:
        """How far an execution is, for drawings; of charts, what the newest `ENTRIES_READ_MAX` commits tell."""
        from workflow_runtime.drawing import Progress  # few requests draw, and it takes its time to import

        plan, stored = self._workflows.plan(header.plan_hash), self._executions.load(header.execution_id)
        nodes, *_ = self._nodes(plan, stored, header.execution_id)
        nodes = nodes or {}
        entries = self._executions.newest_entries(header.execution_id, ENTRIES_READ_MAX) if plan.charts else []
        entered: dict[str, set[str]] = defaultdict(set)
        taken: dict[str, set[str]] = defaultdict(set)
        for step in (step for entry in entries for step in entry.macrosteps):
            entered[step.machine].update(step.entered)
            taken[step.machine].update(step.taken)
        return Progress(
            {path: entry["status"] for path, entry in nodes.items()},
            {chart.path: chart.states for chart in self.ahead(header).charts},
            entered,
            taken,
            {path: passes_text(entry["passes"]) for path, entry in nodes.items() if entry.get("passes")},
        )

    def ahead(self, header: Header) -> Preview:
        """What an execution's charts and timers are at now."""
        from workflow_runtime.engine.preview import Preview, preview  # with it comes the engine

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
        """Raises `RequestError` (``not_found``) also when the execution has no such node."""
        path = normalized(path)
        header = self.header(execution_id)
        plan, stored = self._workflows.plan(header.plan_hash), self._executions.load(execution_id)
        state, claimed = self._stands(plan, stored)
        held = [*self._runs.list_held(execution_id, path), *((run, None) for run in claimed if run.path == path)]
        runs = tuple(run for run, _ in held)
        entry = node_executions(plan, state, runs, (path,), self._frozen_in(plan)).get(path)
        if entry is None:
            raise RequestError("not_found", f"execution {execution_id!r} has no node {path!r}")
        return NodeDetail(entry, runs, self._runs.output_json(held[-1][1]) if held else b"null")

    def history(self, execution_id: str, after: int, limit: int) -> History:
        """The journal after the version ``after``."""
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
        ended = header.status.terminal and last >= header.state_version
        return History(tuple(entries), ended and len(entries) < limit)

    def has_entry(self, execution_id: str, version: int) -> bool:
        """Whether the journal has this version: a cheap read for callers that wait for it."""
        key = keys.journal(execution_id, version)
        return key in self._table.get([key])

    def _nodes(self, plan: Plan, stored: StoredState | None, execution_id: str) -> _Seen:
        state, claimed = self._stands(plan, stored)
        if plan.has_loops:
            shown = self._finder(plan, state, execution_id).document()
        else:
            shown = Shown(held=[*self._runs.list_held(execution_id)])
        shown.held += [(run, None) for run in claimed]
        return self._entries(plan, state, shown)

    def _stands(self, plan: Plan, stored: StoredState | None) -> tuple[ExecutionState | None, Collection[Run]]:
        """The state, and runs that have no record yet."""
        if stored is None:
            return None, ()
        state, claimed = as_it_stands(self._runs, plan, stored.state)
        return state, claimed.values()

    def _finder(self, plan: Plan, state: ExecutionState | None, execution_id: str) -> PassFinder:
        return PassFinder(plan, state, self._runs, execution_id)

    def _entries(self, plan: Plan, state: ExecutionState | None, shown: Shown) -> _Seen:
        runs = [run for run, _ in shown.held]
        scopes = shown.scopes if plan.has_loops else None
        entries = node_executions(plan, state, runs, None, self._frozen_in(plan), scopes)
        for path, loop in shown.loops.items():
            if path in entries:
                entries[path]["passes"] = loop.json()
        outputs = {
            run.path: output for run, output in shown.held if run.path in entries and entries[run.path]["started_at"]
        }
        return entries, outputs, compensations(plan, state, runs), usage_json(plan, runs)

    def passes(self, execution_id: str, page: Page) -> PassPage:
        """Some passes of a loop. Raises `RequestError` (``not_found``) also if it is not a loop, or has not begun."""
        header = self.header(execution_id)
        plan, stored = self._workflows.plan(header.plan_hash), self._executions.load(execution_id)
        state, claimed = self._stands(plan, stored)
        shown = self._finder(plan, state, execution_id).page(page)
        if shown is None:
            message = f"execution {execution_id!r} has no loop {page.loop!r}, or it has not begun"
            raise RequestError("not_found", message)
        shown.held += [(run, None) for run in claimed]
        nodes, outputs, *_ = self._entries(plan, state, shown)
        loop = shown.loops[page.loop]
        after = page.start + sum(scope.address == pass_address(page.loop, page.start + place)
                                 for place, scope in enumerate(shown.scopes[: page.limit]))  # fmt: skip
        return PassPage(loop, page.start, nodes or {}, outputs, after if after < loop.passes.begun else None)

    def _frozen_in(self, plan: Plan) -> Callable[[str], bool]:
        return lambda path: self._looks.holding_run(plan, path) is not None

    def _charts(self, plan: Plan, stored: StoredState | None, execution_id: str) -> ChartParts:
        def globals() -> Globals:
            return self._executions.globals(execution_id, stored.state.replaced if stored is not None else 0)

        return chart_parts(self._executions, plan, stored, self._clock.now(), globals)

    def _variables(self, header: Header, input: Item) -> dict[str, Json]:
        """Of an execution whose input item is at hand."""
        if header.replaced:
            return self._executions.globals(header.execution_id, header.replaced).variables
        return self._executions.globals_of(input).variables

    def dead_letters(self, execution_id: str) -> Sequence[dict[str, Json]]:
        """What could not be taken or sent for this execution: ``{reason, body}`` each."""
        self._executions.header(execution_id)  # with that of an express execution come the letters in its record
        return self._stores.dead_letters.documents(execution_id)

    def list_dead_letters(
        self, execution_id: str | None, limit: int, after: str | None
    ) -> tuple[Sequence[Letter], str | None]:
        """See `LetterStore.list`; of an execution (None: of all), also those in the record of an express one."""
        if execution_id is not None:
            self._executions.header(execution_id)
        return self._stores.dead_letters.list(execution_id, limit, after)


def header_json(header: Header) -> dict[str, Json]:
    """What a list shows of an execution."""
    return {
        "execution_id": header.execution_id,
        "workflow_id": header.workflow_id,
        "workflow_version": header.workflow_version,
        "correlation_id": header.correlation_id,
        "status": header.status,
        "attempt": header.attempt,
        "error": error_json(header.error),
        "compensation": header.compensation or None,
        "started_at": iso_time(header.started_at),
        "ended_at": iso_time(header.ended_at) if header.ended_at else None,
    }


def _parent(header: Header) -> dict[str, Json] | None:
    """The execution that started this one, and the node there, unless an action did."""
    parent = header.parent
    return {"execution_id": parent.execution_id, "node": parent.node or None} if parent is not None else None


def _suspension(stored: StoredState | None) -> dict[str, Json] | None:
    suspension = stored.state.suspension if stored is not None else None
    if stored is None or suspension is None:
        return None
    who = {"since": iso_time(suspension.at), "by": suspension.by or None, "reason": suspension.reason or None}
    escalated = stored.state.escalated
    failure = {"node": escalated.path, "error": error_json(escalated.error)} if escalated is not None else None
    return {**who, "held": stored.state.held, "escalated": failure}


def _no_execution(execution_id: str) -> RequestError:
    return RequestError("not_found", f"there is no execution {execution_id!r}")
