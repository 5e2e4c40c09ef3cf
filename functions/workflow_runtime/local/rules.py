"""What EventBridge does with the rules of `topology`: events that match a rule's pattern go to its queue."""

from __future__ import annotations

from typing import Any

import msgspec

from workflow_runtime.local.bus import EmbeddedBus
from workflow_runtime.patterns import compile_pattern
from workflow_runtime.ports import Message, Queues
from workflow_runtime.topology import Topology


def follow_rules(bus: EmbeddedBus, queues: Queues, topology: Topology) -> None:
    """From now on."""
    rules = [(compile_pattern(rule.pattern), rule.queue) for rule in topology.rules]

    def route(event: dict[str, Any]) -> None:
        for pattern, queue in rules:
            if pattern.matches(event):
                queues.send(queue, [Message(msgspec.json.encode(event).decode())])

    bus.subscribe(route)
