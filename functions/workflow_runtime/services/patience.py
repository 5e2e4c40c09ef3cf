"""Port calls that are tried for a while: what they record was done, or paid for, and cannot be done again."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from workflow_runtime.errors import RetryableError
from workflow_runtime.ports import Ports

PAUSES_SECONDS = (1, 2, 4)  # between tries: well within what a worker keeps of its time for recording

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


async def patiently(
    ports: Ports, call: Callable[Parameters, Result], *args: Parameters.args, **named: Parameters.kwargs
) -> Result:
    """What the call gives. Raises `RetryableError` after the last try."""
    for seconds in PAUSES_SECONDS:
        try:
            return await ports.offload(call, *args, **named)
        except RetryableError:
            await ports.clock.sleep(seconds)
    return await ports.offload(call, *args, **named)
