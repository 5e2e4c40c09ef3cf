"""Events: which descriptors hear which, which the runtime alone may raise, and how large one for the bus may be."""

from __future__ import annotations

TOPIC_CHARACTERS_MAX = 128  # EventBridge: DetailType
PAYLOAD_BYTES_MAX = 1019 * 1024  # EventBridge: 1 MiB, less 5 KiB for names, mark and envelope

RUNTIME_EVENTS = frozenset({"timeout", "error.execution", "error.communication"})
RUNTIME_EVENT_PREFIXES = ("done.state.", "done.run.", "error.run.")


def is_runtime_event(name: str) -> bool:
    """Whether the runtime raises events of this name itself, so that none can come from outside."""
    return name in RUNTIME_EVENTS or name.startswith(RUNTIME_EVENT_PREFIXES)


def descriptors(event: str) -> list[str]:
    """All descriptors that hear ``event``: those for which `matches` holds."""
    if "." not in event:
        return [event, "*", f"{event}.*"]
    parts = event.split(".")
    return [event, "*", *(".".join(parts[:count]) + ".*" for count in range(1, len(parts) + 1))]


def matches(descriptor: str, event: str) -> bool:
    """Whether a transition that listens to ``descriptor`` hears ``event``.

    ``order.*`` hears ``order`` and all below it, ``*`` everything, any other descriptor the event of that very name.
    """
    if descriptor == event or descriptor == "*":
        return True
    return descriptor.endswith(".*") and (event.startswith(descriptor[:-1]) or event == descriptor[:-2])
