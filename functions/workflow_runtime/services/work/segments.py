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
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.values.evaluation import NodeValue
from workflow_runtime.errors import RetryableError
from workflow_runtime.plan import segments
from workflow_runtime.plan.formulas import PREVIOUS
from workflow_runtime.plan.graph import NodePlan
from workflow_runtime.plan.plan import Plan
from workflow_runtime.ports import Ports
from workflow_runtime.services.dispatch.reads import node_value
from workflow_runtime.services.freeze.looks import Looks
from workflow_runtime.services.messages import Order
from workflow_runtime.services.work.attempt import LEASE_SECONDS
from workflow_runtime.services.work.under_way import Attempt
from workflow_runtime.storage.executions import ExecutionStore
from workflow_runtime.storage.records import STOP, Claim, Run, RunStatus

SEGMENT_SECONDS_MAX = 60  # then nothing more of it is begun: what comes later has less of its function's time


class Following:
    """``timeout_seconds_max``: how long a run may take; ``is_limited``: whether an order takes of limiters."""

    def __init__(
        self,
        ports: Ports,
        executions: ExecutionStore,
        looks: Looks,
        new_owner: Callable[[], str],
        timeout_seconds_max: float,
        is_limited: Callable[[Order, Plan], bool],
    ) -> None:
        self._ports = ports
        self._executions = executions
        self._looks = looks
        self._new_owner = new_owner
        self._timeout_max = timeout_seconds_max
        self._is_limited = is_limited

    async def next(self, attempt: Attempt, ended: Run) -> tuple[Order, Claim] | None:
        """The order and the claim of the node that its worker may go on with after a run that ends so."""
        left = attempt.segment.left
        is_stopped = attempt.stop.requested or attempt.claimed.owner.endswith(STOP)
        is_shared = bool(attempt.admitted.uses or attempt.token.value)  # others may still have a say in it
        if not left or ended.status is not RunStatus.SUCCESS or is_stopped or is_shared:
            return None
        now = self._ports.clock.now()
        if not self._has_time_for(attempt.plan.node(left[0]), (now - attempt.segment.began) / 1000):
            return None
        order = follower(attempt.plan, attempt.segment.order, left[0], now)
        try:
            switches = self._looks.seen
            if switches is None:
                switches = await self._ports.offload(self._looks.read)
            if switches or self._is_limited(order, attempt.plan):
                return None
            header = await self._ports.offload(self._executions.header, order.execution_id)
        except RetryableError:
            return None  # what has ended is reported all the same
        if header is None or header.status is not ExecutionStatus.RUNNING:
            return None
        command = order.command
        return order, Claim(command.path, command.serial, self._new_owner(), now, now + LEASE_SECONDS * 1000)

    def _has_time_for(self, node: NodePlan, elapsed_seconds: float) -> bool:
        if elapsed_seconds > SEGMENT_SECONDS_MAX:
            return False
        return node.timeout_seconds is None or node.timeout_seconds <= self._timeout_max - elapsed_seconds


def follower(plan: Plan, order: Order, number: int, at: int) -> Order:
    """The order of a node that is run in place for this order, begun at ``at`` (epoch ms)."""
    command = order.command
    block, index = plan.place(number)
    node = plan.blocks[block].nodes[index]
    first, place = number - index, plan.locate(command.path)
    assert place is not None, "orders with followers are of nodes"
    prefix = command.path.removesuffix(plan.blocks[block].nodes[place.node].id)
    reads = {read.node: read for read in command.reads}
    for each in (first + place.node, *command.followers):
        reads[each] = Read(each, command.serial, prefix)
    asks = any(PREVIOUS in formula.kinds for formula in node.worker_formulas)
    previous = segments.previous(plan.blocks[block], index) if asks else -1
    wanted = {each for formula in node.worker_formulas for each in formula.nodes} | {previous}
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
    """What formulas see of a run that has succeeded: as who reads it from its record sees it."""
    return node_value(replace(run, output=msgspec.json.decode(msgspec.json.encode(run.output))))


def number_of(plan: Plan, path: str) -> int:
    """The plan-wide number of a node that was ordered."""
    place = plan.locate(path)
    assert place is not None, "only nodes of the plan are ordered"
    return plan.blocks[place.block].first + place.node
