"""What the errors of AWS mean to a caller, and how long to go on trying."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from workflow_runtime.errors import RetryableError
from workflow_runtime.ports import ConditionFailed

ATTEMPTS_MAX = 6  # in a row without any progress; with the pauses below about 3 s on average, of a dispatcher's 15
PAUSE_SECONDS_FIRST = 0.05
PAUSE_SECONDS_MAX = 2.0

# Refused for good: the request itself is wrong. All else passes: a throttle, an outage, even a missing right, which an
# operator fixes while the queue keeps the work.
_REFUSALS = frozenset(
    {
        "ValidationException",
        "InvalidParameterValue",
        "InvalidParameterCombination",
        "MissingParameter",
        "InvalidMessageContents",
        "BatchRequestTooLong",
        "AWS.SimpleQueueService.BatchRequestTooLong",
        "KeyTooLongError",
        "EntityTooLarge",
        "RequestEntityTooLargeException",
    }
)


def error_code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turns what boto3 raises into what `ports` promises. ``what`` says in the message what was being done."""
    try:
        yield
    except ParamValidationError as error:
        raise ValueError(f"{what}: {error}") from error
    except ClientError as error:
        code = error_code(error)
        if code == "ConditionalCheckFailedException":
            raise ConditionFailed(f"{what}: the condition failed") from error
        if code in _REFUSALS:
            raise ValueError(f"{what}: {error}") from error
        raise RetryableError(f"{what}: {error}") from error
    except BotoCoreError as error:  # connections, timeouts, missing credentials
        raise RetryableError(f"{what}: {error}") from error


class Patience:
    """Counts the attempts of one call that made no progress, with full-jitter pauses between them.

    The SDK retries throttles, outages and lost connections by itself; this is for what it does not see: entries of a
    batch that were not processed, and conflicts with transactions.
    """

    def __init__(self, what: str, pause: Callable[[float], None]) -> None:
        self._what = what
        self._pause = pause
        self._attempts = 0

    def wait(self, *, progress: bool = False) -> None:
        """Pause before the next attempt; none after progress. Raises `RetryableError` when it is enough."""
        if progress:
            self._attempts = 0
            return
        self._attempts += 1
        if self._attempts >= ATTEMPTS_MAX:
            raise RetryableError(f"{self._what}: not done after {ATTEMPTS_MAX} attempts")
        self._pause(min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_FIRST * 2 ** (self._attempts - 1)))


def sleep_up_to(seconds: float) -> None:
    """Full jitter: anything from nothing to ``seconds``, so that rivals do not come back together."""
    time.sleep(random.uniform(0, seconds))
