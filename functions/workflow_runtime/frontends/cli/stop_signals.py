"""SIGTERM and SIGHUP end a command in order, as Ctrl-C does, where they would end the process without a word."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NUMBERS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))  # Windows has one


class StopSignals:
    """``received``: the signal that came first; None: none did. ``task``: what it cancels, while that is at work."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.task: asyncio.Task[Any] | None = None

    @contextmanager
    def caught(self) -> Iterator[None]:
        """While inside, one of them cancels the task, or is a ``KeyboardInterrupt`` where none is at work; a second one
        ends the process at once. Those that are ignored (``nohup``) stay so; only the main thread can catch any."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in NUMBERS}
        caught = [number for number, handler in before.items() if handler is signal.SIG_DFL]
        for number in caught:
            signal.signal(number, self._stop)
        try:
            yield
        finally:
            for number in caught:
                signal.signal(number, before[number])

    def _stop(self, number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        self.received = self.received or signal.Signals(number)
        if self.task is None or self.task.done():
            raise KeyboardInterrupt
        self.task.cancel()
        self.task.get_loop().call_soon_threadsafe(lambda: None)  # it may be waiting for something else to happen
