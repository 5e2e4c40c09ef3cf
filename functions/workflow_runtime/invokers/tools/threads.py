"""Blocking functions in threads of their own: daemons, so that one that never returns cannot keep the process alive."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

from workflow_runtime.invokers.containment import Outcome

Result = TypeVar("Result")


class Threads:
    """Runs blocking functions. ``abandoned``: how many threads still run although their caller stopped waiting."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._abandoned: set[threading.Thread] = set()

    @property
    def abandoned(self) -> int:
        with self._lock:
            self._abandoned = {thread for thread in self._abandoned if thread.is_alive()}
            return len(self._abandoned)

    async def run(
        self, function: Callable[[], Result], name: str, late: Callable[[Outcome[Result]], None] | None = None
    ) -> Outcome[Result]:
        """What the function gave. Cancelled, it returns at once; the thread runs on and counts as abandoned, and what
        it gives is ``late``, if the loop still runs by then."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome[Result]] = loop.create_future()
        context = contextvars.copy_context()

        def settle(outcome: Outcome[Result]) -> None:
            if not future.done():
                future.set_result(outcome)
            elif late is not None:
                late(outcome)

        def work() -> None:
            outcome: Outcome[Result]
            try:
                outcome = Outcome(context.run(function))
            except BaseException as error:  # in this thread, KeyboardInterrupt is the function's own
                outcome = Outcome(error=error)
            with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
                loop.call_soon_threadsafe(settle, outcome)

        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        try:
            return await future
        except asyncio.CancelledError:
            with self._lock:
                self._abandoned.add(thread)
            raise
