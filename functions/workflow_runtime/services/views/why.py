"""Why an execution does not go on: what each open node waits for, since when, until when, and what would move it.

All of it follows from the state, the runs of the nodes shown, and the end of the journal, where it was ordered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from workflow_runtime.engine.awaited import PendingKind, Purpose
from workflow_runtime.engine.codec import current
from workflow_runtime.engine.commands import RunNode
from workflow_runtime.engine.graph.work import OUTPUTS_PATH
from workflow_runtime.engine.identity import child_execution_id
from workflow_runtime.engine.lifecycle import Mark, NodeStatus
from workflow_runtime.engine.passes import LoopState
from workflow_runtime.engine.preview import Preview
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.suspension import Suspension
from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.engine.waiting import Cause, Open, children, due_of, entries_of, open_nodes, open_sources, path_in
from workflow_runtime.errors import RequestError
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.plan.addresses import TOP_CHART
from workflow_runtime.plan.graph import GraphBlock, NodePlan
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import WaitSpec
from workflow_runtime.ports import Ports
from workflow_runtime.services.freeze.looks import Looks
from workflow_runtime.services.limits.explaining import LineViews
from workflow_runtime.services.views.charts import ahead_parts, look_ahead
from workflow_runtime.services.views.executions import header_json
from workflow_runtime.services.views.moves import callback_text, calls_text, join_text, people_text, thaw_text
from workflow_runtime.services.views.nodes import node_executions
from workflow_runtime.storage.records import Header, Run, RunStatus
from workflow_runtime.storage.stores import Stores

ON_MAX = 10  # of what a node waits for, that are named; the others are counted
BLOCKERS_MAX = 100  # nodes that a node waits for, directly or not
ENTRIES_PAGE = 25
ENTRIES_SEARCHED_MAX = 500  # newest commits in which it is looked up when nodes were ordered


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A node, or the execution or a chart itself (its path, ``""`` at the top), that has not ended.

    - ``on``: what it waits for, by name: nodes before it, an event, an execution, active states; ``more`` others
    - ``since``, ``until``: epoch ms, 0 where there is none; ``until``: when it goes on or gives up by itself
    - ``moves``: what would move it, in words
    """

    path: str
    status: str
    waiting_on: str | None
    moves: str
    on: tuple[str, ...] = ()
    more: int = 0
    since: int = 0
    until: int = 0

    def json(self) -> dict[str, Json]:
        times = {name: iso_time(time) if (time := getattr(self, name)) else None for name in ("since", "until")}
        return {**msgspec.to_builtins(self), "on": list(self.on), **times}


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
        self._lines = LineViews(ports.clock, stores.limiters, looks)
        self._clock = ports.clock
        self._workflows = stores.workflows
        self._executions = stores.executions
        self._runs = stores.runs

    def why(self, execution_id: str, limit: int, after: int = 0) -> Why:
        """What keeps an execution, at most ``limit`` nodes after the first ``after``: first those that run or wait for
        something outside their graph, then those that wait for other nodes. Pages are as the execution is when each is
        read."""
        header, plan, state = self._load(execution_id)
        if state is None or state.status.terminal:
            return self._without_nodes(header, plan, state)
        open = sorted(open_nodes(plan, state), key=_position)
        own = () if after else (*_suspension(state), *self._output(state), *self._children(state))
        waits = (*own, *self._explained(plan, state, open[after : after + limit]))
        next = after + limit if len(open) > after + limit else None
        return Why(header, waits, self._ahead(plan, state) if not after else {}, next, len(open))

    def why_node(self, execution_id: str, path: str) -> Why:
        """What keeps one node, followed by the nodes that it waits for, directly or not, nearest first."""
        path = normalized(path)
        header, plan, state = self._load(execution_id)
        nodes = {node.path: node for node in open_nodes(plan, state)} if state is not None else {}
        if state is None or state.status.terminal or path not in nodes:
            return Why(header, (self._not_open(header, plan, state, path),))
        found = {path: nodes[path]}
        for node in islice(_blockers(plan, state, nodes, path), BLOCKERS_MAX):
            found[node.path] = node
        return Why(header, tuple(self._explained(plan, state, list(found.values()))), total=len(nodes))

    def _load(self, execution_id: str) -> tuple[Header, Plan, ExecutionState | None]:
        header = self._executions.header(execution_id)
        if header is None:
            raise RequestError("not_found", f"there is no execution {execution_id!r}")
        plan, stored = self._workflows.plan(header.plan_hash), self._executions.load(execution_id)
        return header, plan, current(plan, stored.state) if stored is not None else None

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
            moves="the dispatcher takes its start from the mailbox" if switch is None else thaw_text(switch),
        )
        if switch is None:
            waiting = msgspec.structs.replace(waiting, **self._lines.of_start(plan, header))
        return Why(header, (waiting,), ahead_parts(plan, Preview(), ()))

    def _not_open(self, header: Header, plan: Plan, state: ExecutionState | None, path: str) -> Waiting:
        """Of a node that has ended, or whose scope is not at work."""
        held = self._runs.list_held(header.execution_id, path)
        entry = node_executions(plan, state, [run for run, _ in held], (path,)).get(path)
        if entry is None:
            raise RequestError("not_found", f"execution {header.execution_id!r} has no node {path!r}")
        status = str(entry["status"])
        place = plan.locate(path)
        node = plan.blocks[place.block].nodes[place.node] if place is not None else None
        if status != NodeStatus.WAITING:
            return Waiting(path=path, status=status, waiting_on=None, moves="nothing: it has ended")
        if node is not None and node.called:
            return Waiting(path=path, status=status, waiting_on=None, moves="a rule of another node that calls it")
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

    def _explained(self, plan: Plan, state: ExecutionState, nodes: Sequence[Open]) -> Iterator[Waiting]:
        """The nodes with what their runs and orders tell."""
        asked = {node.path: _serial_to_ask(node) for node in nodes if node.status is not NodeStatus.WAITING}
        runs = {path: run for (path, _), run in self._runs.get_all(state.execution_id, list(asked.items())).items()}
        unbegun = {node.path for node in nodes if node.cause is Cause.QUEUE and node.path not in runs}
        ordered = self._ordered(state, unbegun)
        for node in nodes:
            waiting = _Explanation(plan, state, node, runs.get(node.path), ordered.get(node.path, 0)).waiting()
            waiting = msgspec.structs.replace(waiting, **self._lines.of_run(runs.get(node.path)))
            switch = self._looks.holding_run(plan, node.path) if node.path in ordered else None
            if switch is not None:
                frozen = {"waiting_on": Cause.FROZEN, "on": (switch.scope,), "moves": thaw_text(switch)}
                waiting = msgspec.structs.replace(waiting, **frozen)
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


class _Explanation:
    """One open node, explained. ``run``: of its newest attempt; ``ordered``: when that was ordered (0: unknown)."""

    def __init__(self, plan: Plan, state: ExecutionState, node: Open, run: Run | None, ordered: int) -> None:
        self._plan = plan
        self._state = state
        self._open = node
        self._run = run
        self._ordered = ordered
        self._graph = state.graph(node.scope)
        self._block: GraphBlock = plan.blocks[node.block]
        self._node: NodePlan = self._block.nodes[node.index]
        self._entries = entries_of(state, self._graph, node.index)
        self._begun = self._graph.begun.get(node.index, 0)

    def waiting(self) -> Waiting:
        causes: dict[Cause | None, Callable[[], Waiting]] = {
            Cause.DEPENDENCY: self._for_nodes,
            Cause.CONCURRENCY: self._for_a_place,
            Cause.QUEUE: self._for_a_worker,
            Cause.RETRY: self._for_its_next_attempt,
            Cause.TIMER: self._for_a_time,
            Cause.EVENT: self._for_an_event,
            Cause.CHILD: self._for_an_execution,
            Cause.APPROVAL: self._for_people,
            Cause.CALLBACK: self._for_its_token,
            Cause.SUSPENDED: self._for_the_resumption,
            None: self._for_what_is_inside,
        }
        yields = self._graph.agents.get(self._open.index)
        if yields is not None and yields.open and self._open.status is NodeStatus.RUNNING:
            return self._of(calls_text(self._state, yields), since=self._begun, until=due_of(self._entries))
        return causes[self._open.cause]()

    def _of(self, moves: str, *, on: Sequence[str] = (), since: int = 0, until: int = 0) -> Waiting:
        return Waiting(
            path=self._open.path,
            status=self._open.status,
            waiting_on=self._open.cause,
            moves=moves,
            on=tuple(on[:ON_MAX]),
            more=max(len(on) - ON_MAX, 0),
            since=since,
            until=until,
        )

    def _for_nodes(self) -> Waiting:
        sources = dict.fromkeys(open_sources(self._block, self._graph, self._open.index))
        paths = [path_in(self._plan, self._open.block, self._open.scope, source) for source in sources]
        return self._of(join_text(self._node.join, len(paths)), on=paths)

    def _for_a_place(self) -> Waiting:
        if self._open.index in self._graph.held:
            parallel = self._block.limited_heads[self._open.index]
            path = path_in(self._plan, self._open.block, self._open.scope, parallel)
            return self._of(f"the end of a branch of `{path}`, which runs few at once (`max_concurrency`)", on=[path])
        place = self._graph.queue.index(self._open.index) + 1
        limit = self._plan.max_concurrency
        return self._of(f"the end of one of {limit} nodes at work (`max_concurrency`); its place in line is {place}")

    def _for_a_worker(self) -> Waiting:
        run = self._run
        if run is not None and run.status is RunStatus.RUNNING:
            timeout = self._node.timeout_seconds
            return Waiting(
                path=self._open.path,
                status=NodeStatus.RUNNING,
                waiting_on=None,
                since=run.started_at,
                until=run.started_at + round(timeout * 1000) if timeout else 0,
                moves=f"the result of its worker, which shows until {iso_time(run.lease_until)} that it is alive",
            )
        if self._graph.marks[self._open.index] == Mark.QUEUED:
            return self._of("the next commit of the execution")
        pool = self._node.pool or "tool"
        return self._of(f"a worker of the pool `{pool}` that takes its order", on=[pool], since=self._ordered)

    def _for_the_resumption(self) -> Waiting:
        if self._graph.marks[self._open.index] == Mark.ESCALATED:
            return self._for_a_person()
        if self._run is not None and self._run.status is RunStatus.RUNNING:
            return self._for_a_worker()
        return self._of("the execution is resumed")

    def _for_its_next_attempt(self) -> Waiting:
        run = self._run
        after = f" after {run.error.type}: {run.error.message}" if run is not None and run.error is not None else ""
        number = run.attempt + 1 if run is not None else 2
        since = run.ended_at if run is not None else 0
        return self._of(f"attempt {number}, by itself{after}", since=since, until=due_of(self._entries))

    def _for_a_person(self) -> Waiting:
        escalated, suspension = self._state.escalated, self._state.suspension
        assert escalated is not None, "a node that was escalated is the one that suspended the execution"
        failed = f"it failed with {escalated.error.type}: {escalated.error.message}"
        moves = f"a person, by `retry`, `skip` or, to let it fail, `resume`; {failed}"
        return self._of(moves, since=suspension.at if suspension is not None else 0)

    def _for_a_time(self) -> Waiting:
        return self._of("time: it goes on by itself", since=self._begun, until=due_of(self._entries))

    def _for_an_event(self) -> Waiting:
        spec = self._node.spec
        assert isinstance(spec, WaitSpec)
        key = next((entry.key for entry in self._entries if entry.kind is PendingKind.EVENT), None)
        words = [f"the event `{spec.event}`"]
        words += [f"under the key {key!r}"] if key is not None else []
        words += [f"with `{spec.match.source}`"] if spec.match is not None else []
        due = due_of(self._entries)
        words += ["or its timeout"] if due else []
        return self._of(" ".join(words), on=[spec.event], since=self._begun, until=due)

    def _for_an_execution(self) -> Waiting:
        child, due = self._graph.children[self._open.index], due_of(self._entries)
        id = child_execution_id(self._state.execution_id, child.order, child.workflow_id)
        moves = f"the end of {id}, an execution of `{child.workflow_id}`" + (", or the node's `timeout`" if due else "")
        return self._of(moves, on=[id], since=self._begun, until=due)

    def _for_its_token(self) -> Waiting:
        callback = next(entry.callback for entry in self._entries if entry.callback is not None)
        due = min(entry.due for entry in self._entries if entry.purpose is Purpose.TIMEOUT)
        return self._of(callback_text(callback.heartbeat), since=self._begun, until=due)

    def _for_people(self) -> Waiting:
        approval = next(entry.approval for entry in self._entries if entry.approval is not None)
        moves, due = people_text(self._state.execution_id, approval), due_of(self._entries)
        return self._of(moves, on=approval.assignees, since=self._begun, until=due)

    def _for_what_is_inside(self) -> Waiting:
        fallback = self._graph.fallbacks.get(self._open.index, -1)
        if fallback >= 0:
            path = path_in(self._plan, self._open.block, self._open.scope, fallback)
            return self._of(f"the end of `{path}`, which runs in its place", on=[path], since=self._begun)
        if self._open.path in self._state.scopes:
            inside = self._state.look(self._open.path)
            passes = isinstance(inside, LoopState)
            return self._of("the end of its passes" if passes else "the end of the chart inside it", since=self._begun)
        return self._of("the next commit of the execution", since=self._begun)


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


def _serial_to_ask(node: Open) -> int:
    """Of the run that says more: of a node between attempts, the one that failed."""
    return node.serial - 1 if node.cause is Cause.RETRY else node.serial


def _position(node: Open) -> tuple[bool, str, int]:
    return node.cause is Cause.DEPENDENCY, node.scope, node.index
