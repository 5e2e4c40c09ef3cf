"""The lifetime of a Lambda process: its handler is made once, and a snapshot may be taken before its first event."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, TypeAlias

from workflow_runtime.runtime.startup import nothing_is_garbage

LambdaEvent: TypeAlias = dict[str, Any]
Handler: TypeAlias = Callable[[LambdaEvent, Any], Any]
"""Takes an event and Lambda's context; returns the answer, or a coroutine of it."""


class MadeOnce:
    """A handler that ``make`` makes: ``now``, or for the first event.

    On Lambda it should be now, while the function's module is imported: there is a whole processor for that, whatever
    the function's memory, and SnapStart keeps what was made, clients included.
    """

    def __init__(self, make: Callable[[], Handler], *, now: bool) -> None:
        self._make = make
        self._handler: Handler | None = None
        self._has_begun = False
        if now:
            with nothing_is_garbage():
                self._handler = make()

    def for_event(self) -> Handler:
        """The handler, when an event is there to be handled."""
        if not self._has_begun:
            self._has_begun = True
            random.seed()  # processes restored from one snapshot would all make the same pauses, in the SDK too
        if self._handler is None:
            self._handler = self._make()
        return self._handler
