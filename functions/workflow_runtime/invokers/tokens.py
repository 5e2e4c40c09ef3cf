"""What a tool says of the task token that somebody else is to complete."""

from __future__ import annotations

from workflow_runtime.errors import NodeError
from workflow_runtime.language.durations import parse_duration
from workflow_runtime.plan.specs import CALLBACK_SECONDS, CallbackPlan
from workflow_runtime.sdk import Pending


def said_times(said: Pending, plan: CallbackPlan) -> tuple[int, int]:
    """How long it is waited for, and the longest silence, in milliseconds; what the tool says goes before what its node
    says. Raises `NodeError`."""
    timeout = plan.timeout_seconds if said.timeout is None else _seconds(said.timeout, "timeout")
    heartbeat = plan.heartbeat_seconds if said.heartbeat is None else _seconds(said.heartbeat, "heartbeat")
    return round((timeout or CALLBACK_SECONDS) * 1000), round((heartbeat or 0) * 1000)


def _seconds(value: str | float, name: str) -> float:
    try:
        seconds = float(parse_duration(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise NodeError("validation_error", f"pending({name}=…): {error}") from None
    if seconds <= 0:
        raise NodeError("validation_error", f"pending({name}=…): a duration of 0 leaves no time at all")
    return seconds
