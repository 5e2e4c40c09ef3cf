"""A worker's side of its queue: an order is acknowledged, postponed, or given back with growing delays."""

from __future__ import annotations

import logging
from typing import NoReturn

from workflow_runtime.deployment.topology import Function
from workflow_runtime.errors import ConflictError, InvalidEvent, RetryableError
from workflow_runtime.ports import DELAY_SECONDS_MAX, VISIBILITY_SECONDS_MAX, Message, Ports
from workflow_runtime.services.dispatch.dispatcher import backoff_seconds
from workflow_runtime.services.messages import UnknownMessage, parse_order
from workflow_runtime.services.upkeep.dead_letters import DeadLetters
from workflow_runtime.services.work.runner import NodeRunner, Postponed

WAITING_RECEIVES_MAX = 3  # then a copy waits in its place: an order that only waits must not become a dead letter

logger = logging.getLogger(__name__)


class Worker:
    """Takes the orders of ``function``'s queue; what is none goes to ``dead_letters``."""

    def __init__(self, runner: NodeRunner, ports: Ports, function: Function, dead_letters: DeadLetters) -> None:
        self._runner = runner
        self._ports = ports
        self._dead_letters = dead_letters
        self._queue = function.sources[0].queue

    async def take(self, message_id: str, body: str, receipt_handle: str, receives: int) -> None:
        """Carry out one order. Returning acknowledges it; raises `RetryableError` when it must be delivered again.

        A body that nobody can read is a dead letter at first sight.
        """
        try:
            order = parse_order(body)
        except UnknownMessage as error:
            await self._again(error, receipt_handle, receives, {})
        except InvalidEvent as error:
            await self._ports.offload(self._dead_letters.record, message_id, body, str(error))
            return
        try:
            await self._runner.run(order)
        except Postponed as error:
            if receives >= WAITING_RECEIVES_MAX:
                await self._send_again(body, error.seconds)
                return
            await self._hide(receipt_handle, error.seconds)
            raise RetryableError(str(error)) from error
        except (RetryableError, ConflictError, InvalidEvent) as error:
            await self._again(error, receipt_handle, receives, order.log_fields)

    async def _again(self, error: Exception, receipt_handle: str, receives: int, ids: dict[str, str]) -> NoReturn:
        """Have an order delivered again, after a while. Raises `RetryableError`."""
        logger.warning("an order is delivered again later", extra={**ids, "reason": str(error), "receives": receives})
        await self._hide(receipt_handle, backoff_seconds(receives))
        raise RetryableError(str(error)) from error

    async def _send_again(self, body: str, seconds: int) -> None:
        copy = Message(body, delay_seconds=min(seconds, DELAY_SECONDS_MAX))
        if await self._ports.offload(self._ports.queues.send, self._queue, [copy]):
            raise RetryableError("an order that has to wait was refused")

    async def _hide(self, receipt_handle: str, seconds: int) -> None:
        seconds = min(seconds, VISIBILITY_SECONDS_MAX)
        await self._ports.offload(self._ports.queues.set_visibility, self._queue, receipt_handle, seconds)
