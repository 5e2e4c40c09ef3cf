"""One open node, explained: what it waits for, since when, until when, and what would move it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from workflow_runtime.engine.awaited import PendingKind, Purpose
from workflow_runtime.engine.identity import child_execution_id
from workflow_runtime.engine.lifecycle import Mark, NodeStatus
from workflow_runtime.engine.passes import LoopState
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.engine.waiting import Cause, Open, due_of, entries_of, open_sources, path_in
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.graph import GraphBlock, NodePlan
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import WaitSpec
from workflow_runtime.services.views.moves import callback_text, calls_text, join_text, people_text
from workflow_runtime.storage.records import Run, RunStatus

ON_MAX = 10  # of what a node waits for, that are named; the others are counted


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


class Explanation:
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
            Cause.BUDGET: self._for_people,
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
        after = f" after {run.error.text}" if run is not None and run.error is not None else ""
        number = run.attempt + 1 if run is not None else 2
        since = run.ended_at if run is not None else 0
        return self._of(f"attempt {number}, by itself{after}", since=since, until=due_of(self._entries))

    def _for_a_person(self) -> Waiting:
        escalated, suspension = self._state.escalated, self._state.suspension
        assert escalated is not None, "a node that was escalated is the one that suspended the execution"
        failed = f"it failed with {escalated.error.text}"
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
            since = self._run.ended_at if self._run is not None else self._begun
            return self._of(f"the end of `{path}`, which runs in its place", on=[path], since=since)
        if self._open.path in self._state.scopes:
            inside = self._state.look(self._open.path)
            passes = isinstance(inside, LoopState)
            return self._of("the end of its passes" if passes else "the end of the chart inside it", since=self._begun)
        return self._of("the next commit of the execution", since=self._begun)
