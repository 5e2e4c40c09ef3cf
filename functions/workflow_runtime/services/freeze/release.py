"""Releasing: after a thaw, what the switch held is sent on, in order, page by page, by the function `sweep`.

See the package for why nothing is lost or done twice on the way.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from workflow_runtime.deployment.topology import PLUMBING_TIMEOUT_SECONDS, SWEEP, serving_queue
from workflow_runtime.engine.events import Poked
from workflow_runtime.errors import RetryableError
from workflow_runtime.ports import Message, Ports, Refusal
from workflow_runtime.services.freeze.looks import SEEN_MS
from workflow_runtime.services.mail import Mailer
from workflow_runtime.services.messages import Mail, order_message, parse_mail, parse_order
from workflow_runtime.storage.freezes import FreezeStore, Held, HeldKind, Switch

RELEASE = "release"
"""Body of the message that has the function `sweep` send on what thawed switches held, and nothing else."""
PAGE = 100
RELEASE_SECONDS_MAX = PLUMBING_TIMEOUT_SECONDS // 6  # beside a sweep; for the rest another message is sent
SETTLED_MS = 2 * SEEN_MS  # after a thaw, until nobody takes the switch for one that holds

logger = logging.getLogger(__name__)


class Releaser:
    """``pools``: those that have a queue."""

    def __init__(self, ports: Ports, freezes: FreezeStore, mailer: Mailer, pools: Collection[str]) -> None:
        self._clock = ports.clock
        self._queues = ports.queues
        self._freezes = freezes
        self._mailer = mailer
        self._pools = pools

    def request(self, delay_seconds: float = 0) -> None:
        """Have it done, soon. Raises `RetryableError`."""
        if self._queues.send(SWEEP, [Message(RELEASE, delay_seconds=delay_seconds)]):
            raise RetryableError("the sweep's queue refused a message")

    def release(self) -> int:
        """Send on what all thawed switches hold, within `RELEASE_SECONDS_MAX`; another message has the rest sent on,
        and the switches closed. Returns how much was sent. Raises `RetryableError`."""
        sent = 0
        end = self._clock.now() + RELEASE_SECONDS_MAX * 1000
        thawed = [switch for switch in self._freezes.switches() if not switch.holds]
        for switch in thawed:
            sent += self._release(switch, end)
        if self._clock.now() >= end:
            self.request()
        elif any(self._clock.now() < switch.thawed_at + SETTLED_MS for switch in thawed):
            self.request(SETTLED_MS / 1000)
        return sent

    def _release(self, switch: Switch, end: int) -> int:
        """Send on what one switch holds. A worker that took it for one that holds may still come, and goes on by
        itself; what it has put under the switch is looked for until none can any more."""
        sent = 0
        while self._clock.now() < end:
            page = self._freezes.held(switch, PAGE)
            newest = self._freezes.switch(switch.scope)
            if newest is None or newest.generation != switch.generation:
                return sent  # it was set anew, and what is left is held by that
            if not page:
                if self._clock.now() >= switch.thawed_at + SETTLED_MS:
                    self._freezes.close(switch, self._clock.now())
                return sent
            self._send(page)
            self._freezes.drop(switch, page)
            sent += len(page)
            logger.info("frozen work goes on", extra={"scope": switch.scope, "count": len(page)})
        return sent

    def _send(self, page: Sequence[Held]) -> None:
        now = self._clock.now()
        mails: list[Mail] = []
        orders: dict[str, list[Message]] = {}
        for held in page:
            match held.kind:
                case HeldKind.START:
                    mails.append(Mail(held.execution_id, Poked(f"thaw:{held.generation}", now)))
                case HeldKind.EVENT:
                    mails.append(parse_mail(self._freezes.body(held).decode()))
                case HeldKind.ORDER:
                    order = parse_order(self._freezes.body(held).decode())
                    queue = serving_queue(order.command.pool, self._pools)
                    orders.setdefault(queue, []).append(order_message(order))
        _check(self._mailer.send_all(mails))
        for queue, messages in orders.items():
            _check(self._queues.send(queue, messages))


def _check(refusals: Sequence[Refusal]) -> None:
    if refusals:
        raise RetryableError(f"frozen work was refused by its queue: {refusals[0].reason}")
