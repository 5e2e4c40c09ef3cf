"""What EventBridge does with the rules of `topology`: events that match a rule's pattern go to its queue."""

from __future__ import annotations

from typing import Any

import msgspec

from workflow_runtime.backends.embedded.bus import EmbeddedBus
from workflow_runtime.deployment.topology import Topology
from workflow_runtime.language.patterns import compile_pattern
from workflow_runtime.ports import Message, Queues


def follow_rules(bus: EmbeddedBus, queues: Queues, topology: Topology) -> None:
    """From now on."""
    rules = [(compile_pattern(rule.pattern), rule.queue) for rule in topology.rules]

    def route(event: dict[str, Any]) -> None:
        for pattern, queue in rules:
            if pattern.matches(event):
                queues.send(queue, [Message(msgspec.json.encode(event).decode())])

    bus.subscribe(route)
