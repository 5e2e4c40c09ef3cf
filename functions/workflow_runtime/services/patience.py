"""Port calls that are tried for a while: what they record was done, or paid for, and cannot be done again."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from workflow_runtime.errors import RetryableError, TransportError
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


class PatientCalls:
    """Port calls of an attempt, which cannot go on without them. ``what``: cannot be reached, if they fail."""

    def __init__(self, ports: Ports, what: str) -> None:
        self._ports = ports
        self._what = what

    async def __call__(
        self, call: Callable[Parameters, Result], *args: Parameters.args, **named: Parameters.kwargs
    ) -> Result:
        """What the call gives. Raises `TransportError` after the last try."""
        try:
            return await patiently(self._ports, call, *args, **named)
        except RetryableError as error:
            raise TransportError("execution_error", f"{self._what} cannot be reached: {error}") from error
