"""Blocking functions in threads of their own: daemons, so that one that never returns cannot keep the process alive."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import Any


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

    async def run(self, function: Callable[[], Any], name: str) -> Any:
        """The function's result. Cancelled, it returns at once; the thread runs on and counts as abandoned."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()

        def settle(result: Any, error: BaseException | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        def work() -> None:
            result: Any = None
            error: BaseException | None = None
            try:
                result = context.run(function)
            except (StopIteration, StopAsyncIteration, SystemExit, KeyboardInterrupt) as stopped:
                # A future cannot carry these, and sys.exit() in a tool must not end the worker.
                error = RuntimeError(f"{type(stopped).__name__}: {stopped}")
            except BaseException as raised:
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
                loop.call_soon_threadsafe(settle, result, error)

        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        try:
            return await future
        except asyncio.CancelledError:
            with self._lock:
                self._abandoned.add(thread)
            raise
