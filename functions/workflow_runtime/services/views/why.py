"""Why an execution does not go on: what each open node waits for, since when, until when, and what would move it.

All of it follows from the state, the runs of the nodes shown, and the end of the journal, where it was ordered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from workflow_runtime.engine.codec import current
from workflow_runtime.engine.commands import RunNode
from workflow_runtime.engine.graph.work import OUTPUTS_PATH
from workflow_runtime.engine.identity import child_execution_id
from workflow_runtime.engine.lifecycle import NodeStatus
from workflow_runtime.engine.preview import Preview
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.suspension import Suspension
from workflow_runtime.engine.waiting import Cause, Open, children, open_nodes, open_sources, path_in
from workflow_runtime.errors import RequestError
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.plan.addresses import TOP_CHART
from workflow_runtime.plan.express import EXPRESS
from workflow_runtime.plan.lookup import node_of
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.ports import Ports
from workflow_runtime.services.limits.explaining import BudgetViews, LineViews
from workflow_runtime.services.looks import Looks
from workflow_runtime.services.views.charts import ahead_parts, look_ahead
from workflow_runtime.services.views.executions import header_json
from workflow_runtime.services.views.explanation import Explanation, Waiting
from workflow_runtime.services.views.moves import thaw_text
from workflow_runtime.services.views.nodes import node_executions
from workflow_runtime.services.views.segments import NO_RUNS, as_it_stands
from workflow_runtime.storage.records import Header, Run, RunStatus
from workflow_runtime.storage.stores import Stores

BLOCKERS_MAX = 100  # nodes that a node waits for, directly or not
ENTRIES_PAGE = 25
ENTRIES_SEARCHED_MAX = 500  # newest commits in which it is looked up when nodes were ordered

RUNS = "the end of the invocation that runs it, which tells what it has done; if that is lost, another one begins"


class Why(msgspec.Struct, frozen=True):
    """``ahead``: on the first page, what charts are in and listen to, kept events, timers. ``next``: how many nodes
    come before the next page; None: there is none. ``total``: how many nodes have not ended."""

    header: Header
    waits: tuple[Waiting, ...]
    ahead: dict[str, Json] = {}
    next: int | None = None
    total: int = 0

    def json(self) -> dict[str, Json]:
        """But for the next page."""
        waits = [waiting.json() for waiting in self.waits]
        return {**header_json(self.header), "waits": waits, "open_nodes": self.total, **self.ahead}


class Explanations:
    """Raises `RequestError` (``not_found``) where an execution or node is asked for that does not exist."""

    def __init__(self, ports: Ports, stores: Stores, looks: Looks) -> None:
        self._looks = looks
        self._lines = LineViews(ports.clock, stores.limiters)
        self._budgets = BudgetViews(stores)
        self._clock = ports.clock
        self._workflows = stores.workflows
        self._executions = stores.executions
        self._runs = stores.runs

    def why(self, execution_id: str, limit: int, after: int = 0) -> Why:
        """What keeps an execution, at most ``limit`` nodes after the first ``after``: first those that run or wait for
        something outside their graph, then those that wait for other nodes. Pages are as the execution is when each is
        read."""
        header, plan, state, claimed = self._load(execution_id)
        if state is None or state.status.terminal:
            return self._without_nodes(header, plan, state)
        open = sorted(open_nodes(plan, state), key=_position)
        own = () if after else (*_suspension(state), *self._output(state), *self._children(state))
        waits = (*own, *self._explained(plan, header, state, open[after : after + limit], claimed))
        next = after + limit if len(open) > after + limit else None
        return Why(header, waits, self._ahead(plan, state) if not after else {}, next, len(open))

    def why_node(self, execution_id: str, path: str) -> Why:
        """What keeps one node, followed by the nodes that it waits for, directly or not, nearest first."""
        path = normalized(path)
        header, plan, state, claimed = self._load(execution_id)
        nodes = {node.path: node for node in open_nodes(plan, state)} if state is not None else {}
        if state is None or state.status.terminal or path not in nodes:
            return Why(header, (self._not_open(header, plan, state, path),))
        found = {path: nodes[path]}
        for node in islice(_blockers(plan, state, nodes, path), BLOCKERS_MAX):
            found[node.path] = node
        return Why(header, tuple(self._explained(plan, header, state, list(found.values()), claimed)), total=len(nodes))

    def _load(self, execution_id: str) -> tuple[Header, Plan, ExecutionState | None, Mapping[str, Run]]:
        """With the runs, by path, that have no record yet."""
        header = self._executions.header(execution_id)
        if header is None:
            raise RequestError("not_found", f"there is no execution {execution_id!r}")
        plan, stored = self._workflows.plan(header.plan_hash), self._executions.load(execution_id)
        if stored is None:
            return header, plan, None, NO_RUNS
        return header, plan, *as_it_stands(self._runs, plan, current(plan, stored.state))

    def _without_nodes(self, header: Header, plan: Plan, state: ExecutionState | None) -> Why:
        """Of an execution that has ended, or was not begun."""
        if state is not None:
            return Why(header, (), self._ahead(plan, state))
        switch = self._looks.holding_start(header.workflow_id)
        waiting = Waiting(
            path="",
            status=header.status,
            waiting_on=Cause.QUEUE if switch is None else Cause.FROZEN,
            on=(switch.scope,) if switch is not None else (),
            since=header.started_at,
            moves=_start_text(header) if switch is None else thaw_text(switch),
        )
        if header.begun:
            waiting = msgspec.structs.replace(waiting, waiting_on=None, on=(), moves=RUNS)
        elif switch is None:
            waiting = msgspec.structs.replace(waiting, **self._lines.of_start(plan, header))
        return Why(header, (waiting,), ahead_parts(plan, Preview(), ()))

    def _not_open(self, header: Header, plan: Plan, state: ExecutionState | None, path: str) -> Waiting:
        """Of a node that has ended, or whose scope is not at work."""
        held = self._runs.list_held(header.execution_id, path)
        entry = node_executions(plan, state, [run for run, _ in held], (path,)).get(path)
        if entry is None:
            raise RequestError("not_found", f"execution {header.execution_id!r} has no node {path!r}")
        status = str(entry["status"])
        node = node_of(plan, path)
        if status != NodeStatus.WAITING:
            return Waiting(path=path, status=status, waiting_on=None, moves="nothing: it has ended")
        if node is not None and node.called:
            return Waiting(path=path, status=status, waiting_on=None, moves="a rule of another node that calls it")
        if header.begun:
            return Waiting(path=path, status=status, waiting_on=None, moves=RUNS)
        outer = path.rpartition("/")[0]
        moves = f"the execution comes to `{outer}`, which holds it" if outer else "the execution begins"
        return Waiting(path=path, status=status, waiting_on=None, moves=moves)

    def _ahead(self, plan: Plan, state: ExecutionState) -> dict[str, Json]:
        ahead = look_ahead(plan, state, self._clock.now(), lambda: self._executions.globals(state.execution_id))
        return ahead_parts(plan, ahead, state.kept)

    def _output(self, state: ExecutionState) -> Iterator[Waiting]:
        """Its output, if a worker is putting that together."""
        if state.collecting:
            moves = "a worker puts the output together"
            yield Waiting(path=OUTPUTS_PATH, status=NodeStatus.READY, waiting_on=Cause.QUEUE, moves=moves)

    def _children(self, state: ExecutionState) -> Iterator[Waiting]:
        """The executions that its charts wait for."""
        awaited = list(islice(children(state), BLOCKERS_MAX))
        ids = [child_execution_id(state.execution_id, token, entry.workflow) for token, entry in awaited]
        headers = self._executions.headers(ids)
        for id, (_, entry) in zip(ids, awaited, strict=True):
            child = headers.get(id)
            is_now = f", which is {child.status}" if child is not None else ""
            yield Waiting(
                path="" if entry.scope == TOP_CHART else entry.scope,
                status=NodeStatus.RUNNING,
                waiting_on=Cause.CHILD,
                on=(id,),
                since=child.started_at if child is not None else 0,
                moves=f"the end of that execution of `{entry.workflow}`{is_now}; it becomes the event `{entry.name}`",
            )

    def _budget_waits(
        self, plan: Plan, header: Header, nodes: Sequence[Open], runs: Mapping[str, Run]
    ) -> Mapping[str, dict[str, Any]]:
        """Of agents at work, those that wait for a budget; a read, if there are such agents."""
        agents = [node.path for node in nodes if plan.blocks[node.block].nodes[node.index].type is NodeType.AGENT]
        at_work = [runs[path] for path in agents if path in runs and runs[path].status is RunStatus.RUNNING]
        return self._budgets.of_runs(header, at_work) if at_work else {}

    def _explained(
        self, plan: Plan, header: Header, state: ExecutionState, nodes: Sequence[Open], claimed: Mapping[str, Run]
    ) -> Iterator[Waiting]:
        """The nodes with what their runs and orders tell."""
        asked = {node.path: _serial_to_ask(state, node) for node in nodes if node.status is not NodeStatus.WAITING}
        found = self._runs.get_all(state.execution_id, list(asked.items()))
        runs = {**claimed, **{path: run for (path, _), run in found.items()}}
        waits = self._budget_waits(plan, header, nodes, runs)
        unbegun = {node.path for node in nodes if node.cause is Cause.QUEUE and node.path not in runs}
        ordered = self._ordered(state, unbegun)
        for node in nodes:
            waiting = Explanation(plan, state, node, runs.get(node.path), ordered.get(node.path, 0)).waiting()
            waiting = msgspec.structs.replace(waiting, **self._lines.of_run(runs.get(node.path)))
            waiting = msgspec.structs.replace(waiting, **waits.get(node.path, {}))
            is_held = node.path in ordered or waiting.waiting_on == Cause.FROZEN
            switch = self._looks.holding_run(plan, node.path) if is_held else None
            if switch is not None:
                on, moves = (switch.scope,), thaw_text(switch)
                waiting = msgspec.structs.replace(waiting, waiting_on=Cause.FROZEN, on=on, moves=moves)
            yield waiting

    def _ordered(self, state: ExecutionState, wanted: Iterable[str]) -> dict[str, int]:
        """When these nodes were ordered (epoch ms), if that is not long ago."""
        missing = set(wanted)
        found: dict[str, int] = {}
        oldest = max(state.version - ENTRIES_SEARCHED_MAX, 0)
        for top in range(state.version, oldest, -ENTRIES_PAGE):
            if not missing:
                break
            versions = range(max(top - ENTRIES_PAGE, oldest) + 1, top + 1)
            for entry in reversed(self._executions.entries(state.execution_id, versions)):
                for command in entry.commands:
                    if isinstance(command, RunNode) and command.path in missing:
                        missing.discard(command.path)
                        found[command.path] = command.at
        return found


def _start_text(header: Header) -> str:
    """What begins an execution that nothing holds back."""
    if header.express:
        return f"an invocation of the pool `{EXPRESS}`, to which the dispatcher hands it"
    return "the dispatcher takes its start from the mailbox"


def _suspension(state: ExecutionState) -> Iterator[Waiting]:
    """The execution itself, while it is suspended."""
    if state.suspension is not None:
        yield Waiting(
            path="",
            status=state.status,
            waiting_on=Cause.SUSPENDED,
            since=state.suspension.at,
            moves=f"`resume`: {_described(state.suspension)}; events held: {state.held:,}",
        )


def _described(suspension: Suspension) -> str:
    by = f" by {suspension.by}" if suspension.by else ""
    return f"it was suspended{by}" + (f", because: {suspension.reason}" if suspension.reason else "")


def _blockers(plan: Plan, state: ExecutionState, nodes: dict[str, Open], path: str) -> Iterator[Open]:
    """The open nodes before a node, nearest first; all of them are in its scope."""
    found = {path}
    level = [nodes[path]]
    while level:
        following = []
        for node in level:
            graph = state.graph(node.scope)
            for source in open_sources(plan.blocks[node.block], graph, node.index):
                before = nodes.get(path_in(plan, node.block, node.scope, source))
                if before is not None and before.path not in found:
                    found.add(before.path)
                    following.append(before)
                    yield before
        level = following


def _serial_to_ask(state: ExecutionState, node: Open) -> int:
    """Of the run that says more: of a node between attempts, or in whose place another runs, the one that failed."""
    is_between = node.cause is Cause.RETRY or node.index in state.graph(node.scope).fallbacks
    return node.serial - 1 if is_between else node.serial


def _position(node: Open) -> tuple[bool, str, int]:
    return node.cause is Cause.DEPENDENCY, node.scope, node.index
