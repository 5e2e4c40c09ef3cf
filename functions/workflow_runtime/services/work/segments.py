"""In the worker: going on in place with the next node of a segment (`plan.segments`), and finding out how far somebody
else has come with one.

The write that ends a run claims the next one (`RunStore`), so that each node of a segment costs one write. A worker
looks before each claim whether it may go on: of an execution that is suspended or has ended it begins nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine.commands import Read
from workflow_runtime.engine.graph.scope import NOTES_MAX
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.values.evaluation import NodeValue, doubt_text, evaluate
from workflow_runtime.errors import RetryableError
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.plan import segments
from workflow_runtime.plan.formulas import PREVIOUS, Formula
from workflow_runtime.plan.graph import NodePlan
from workflow_runtime.plan.plan import Plan
from workflow_runtime.ports import Ports
from workflow_runtime.services.dispatch.reads import node_value
from workflow_runtime.services.looks import Looks
from workflow_runtime.services.messages import Order
from workflow_runtime.services.work.attempt import LEASE_SECONDS
from workflow_runtime.services.work.rendering import view_of
from workflow_runtime.services.work.under_way import Attempt, Segment, Values
from workflow_runtime.storage.executions import ExecutionStore
from workflow_runtime.storage.records import STOP, Claim, Run, RunStatus

SEGMENT_SECONDS_MAX = 60  # then nothing more of it is begun: what comes later has less of its function's time


class Following:
    """``timeout_seconds_max``: how long a run may take; ``may_begin``: whether limiters let an order of the segment
    begin in place."""

    def __init__(
        self,
        ports: Ports,
        executions: ExecutionStore,
        looks: Looks,
        new_owner: Callable[[], str],
        timeout_seconds_max: float,
        may_begin: Callable[[Order, Segment, Plan], bool],
    ) -> None:
        self._ports = ports
        self._executions = executions
        self._looks = looks
        self._new_owner = new_owner
        self._timeout_max = timeout_seconds_max
        self._may_begin = may_begin

    async def next(self, attempt: Attempt, ended: Run) -> tuple[Order, Claim] | None:
        """The order and the claim of the node that its worker may go on with after a run that ends so."""
        left, values = attempt.segment.left, attempt.segment.values
        is_stopped = attempt.stop.requested or attempt.claimed.owner.endswith(STOP)
        if not left or values is None or ended.status is not RunStatus.SUCCESS or is_stopped or _is_known(attempt):
            return None
        now = self._ports.clock.now()
        if not self._has_time_for(attempt.plan.node(left[0]), (now - attempt.segment.began) / 1000):
            return None
        try:
            values.nodes[number_of(attempt.plan, ended.path)] = value_of(ended)
        except ValueError:  # it cannot be recorded either, which fails the node
            return None
        order = _due(attempt.plan, attempt.segment.order, left[0], now, values)
        if order is None:
            return None
        try:
            switches = self._looks.seen
            if switches is None:
                switches = await self._ports.offload(self._looks.read)
            if switches or not self._may_begin(order, attempt.segment, attempt.plan):
                return None
            header = await self._ports.offload(self._executions.header, order.execution_id)
        except RetryableError:
            return None  # what has ended is reported all the same
        if header is None or header.status is not ExecutionStatus.RUNNING:
            return None
        values.header = header
        command = order.command
        return order, Claim(command.path, command.serial, self._new_owner(), now, now + LEASE_SECONDS * 1000)

    def _has_time_for(self, node: NodePlan, elapsed_seconds: float) -> bool:
        if elapsed_seconds > SEGMENT_SECONDS_MAX:
            return False
        return node.timeout_seconds is None or node.timeout_seconds <= self._timeout_max - elapsed_seconds


def _is_known(attempt: Attempt) -> bool:
    """Whether others know of the attempt, so that the dispatcher may order what follows it by now."""
    holds_session = attempt.sessions is not None and attempt.sessions.is_held
    return attempt.is_told or bool(attempt.token.value) or holds_session


def _due(plan: Plan, order: Order, number: int, at: int, values: Values) -> Order | None:
    """The order of a node that is run in place, unless its `when` keeps it from running, or cannot be evaluated: then
    the dispatcher sees the same, and does what is to be done about it."""
    node, own = plan.node(number), follower(plan, order, number, at)
    if node.when is None:
        return own
    asked = follower(plan, order, number, at, (node.when,))
    doubts: dict[str, None] = {}
    nodes = {read.node: values.nodes[read.node] for read in asked.command.reads}
    view = replace(view_of(plan, asked, nodes, values.globals, {}), doubt=doubts.setdefault)
    try:
        if not evaluate(node.when, view):
            return None
    except EvaluationError:
        return None
    warnings = tuple(doubt_text(comparison) for comparison in doubts)[:NOTES_MAX]
    return replace(own, command=replace(own.command, warnings=warnings))


def follower(plan: Plan, order: Order, number: int, at: int, formulas: tuple[Formula, ...] | None = None) -> Order:
    """The order of a node that is run in place for this order, begun at ``at`` (epoch ms). ``formulas``: what is to be
    evaluated for it, unless it is the node's own."""
    command = order.command
    block, index = plan.place(number)
    node = plan.blocks[block].nodes[index]
    formulas = node.worker_formulas if formulas is None else formulas
    first, place = number - index, plan.locate(command.path)
    assert place is not None, "orders with followers are of nodes"
    prefix = command.path.removesuffix(plan.blocks[block].nodes[place.node].id)
    reads = {read.node: read for read in command.reads}
    for each in (first + place.node, *command.followers):
        reads[each] = Read(each, command.serial, prefix)
    asks = any(PREVIOUS in formula.kinds for formula in formulas)
    previous = segments.previous(plan.blocks[block], index) if asks else -1
    wanted = {each for formula in formulas for each in formula.nodes} | {previous}
    own = replace(
        command,
        path=prefix + node.id,
        at=at,
        reads=tuple(read for each, read in reads.items() if each in wanted),
        previous=previous,
        statuses={each: status for each, status in command.statuses.items() if each in wanted},
        claim_by=0,
        suspended_ms=0,
        warnings=(),
        followers=(),
    )
    return replace(order, command=own)


def value_of(run: Run) -> NodeValue:
    """What formulas see of a run that has succeeded: as who reads it from its record sees it. Raises `ValueError` for
    what no record can hold."""
    return node_value(replace(run, output=msgspec.json.decode(msgspec.json.encode(run.output))))


def number_of(plan: Plan, path: str) -> int:
    """The plan-wide number of a node that was ordered."""
    place = plan.locate(path)
    assert place is not None, "only nodes of the plan are ordered"
    return plan.blocks[place.block].first + place.node
