"""Time on simulated AWS: the real clock, put ahead by what a test lets pass."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from workflow_runtime.backends.clock import RealClock
from workflow_runtime.backends.simulated_aws import simulated


class AheadClock(RealClock):
    """``ahead_ms``: how far it is ahead of the system's clock."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def now(self) -> int:
        return super().now() + self.ahead_ms

    def pass_time(self, seconds: int) -> None:
        """Put it ahead, and the simulated queues with it."""
        self.ahead_ms += seconds * 1000
        _age_messages(seconds * 1000)

    def seconds_until_visible(self) -> int:
        """When the first of the hidden messages can be received. Raises `ValueError` if none is hidden."""
        now = super().now()
        messages = [message for queue in _queues() for message in queue._messages]
        hidden_ms = [max(message.visible_at, message.delayed_until) - now for message in messages]
        return math.ceil(min(each for each in hidden_ms if each >= 0) / 1000 + 0.001)


def _queues() -> Iterator[Any]:
    """moto's own. ``_messages`` of each are all that it holds; its public ones are those that are visible."""
    from moto.backends import get_backend
    from moto.core import DEFAULT_ACCOUNT_ID

    yield from get_backend("sqs")[DEFAULT_ACCOUNT_ID][simulated.REGION].queues.values()


def _age_messages(milliseconds: int) -> None:
    """moto reads the system's clock; instead of waiting for it, everything in its queues happened earlier."""
    for queue in _queues():
        for message in queue._messages:
            message.visible_at -= milliseconds
            message.delayed_until -= milliseconds
            if queue.fifo_queue:  # deduplication looks at it; what catches events must not lose those of months ago
                message.sent_timestamp -= milliseconds
