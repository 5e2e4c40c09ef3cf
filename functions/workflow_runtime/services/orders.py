"""Sending orders to the worker pools' queues."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from workflow_runtime.deployment.topology import serving_queue
from workflow_runtime.engine.commands import RunNode
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.ports import Ports
from workflow_runtime.services.messages import Order, order_message


class RefusedOrder(msgspec.Struct, frozen=True):
    """An order that its queue will never take; ``body`` is the message's."""

    command: RunNode
    body: str
    reason: str


def send_orders(
    ports: Ports,
    pools: Collection[str],
    state: ExecutionState,
    commands: Sequence[RunNode],
    correlation_id: str,
) -> list[RefusedOrder]:
    """Send orders of one execution, each pool's together. Returns those that were refused for good.

    ``pools``: those that have a queue. Raises `RetryableError`.
    """
    refused: list[RefusedOrder] = []
    by_pool: dict[str, list[RunNode]] = {}
    for command in commands:
        by_pool.setdefault(command.pool, []).append(command)
    for pool, ordered in by_pool.items():
        messages = [order_message(_order(state, command, correlation_id)) for command in ordered]
        refused += [
            RefusedOrder(ordered[refusal.index], messages[refusal.index].body, refusal.reason)
            for refusal in ports.queues.send(serving_queue(pool, pools), messages)
        ]
    return refused


def _order(state: ExecutionState, command: RunNode, correlation_id: str) -> Order:
    return Order(
        state.execution_id,
        state.plan_hash,
        state.workflow_version,
        state.started_at,
        command,
        state.hops,
        correlation_id,
    )
