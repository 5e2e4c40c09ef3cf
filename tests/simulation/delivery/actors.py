"""Invocations as threads of which exactly one runs at a time: each waits at every port call until it is its turn.

So a schedule is a list of choices, and a seed is a schedule. No two threads ever run at once, whatever the machine
does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.simulation.delivery.faults import Crash


class Actor:
    """One invocation of a function. ``dead`` once it crashed: nothing of it reaches a port any more."""

    def __init__(self, name: str, body: Callable[[], None]) -> None:
        self.name = name
        self.dead = False
        self.done = False
        self.error: BaseException | None = None
        self._body = body
        self._turn = threading.Semaphore(0)
        self._over = threading.Semaphore(0)
        self._thread: threading.Thread | None = None

    def step(self) -> None:
        """Let it run up to its next port call. Raises what went wrong in it."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
            self._thread.start()
        else:
            self._turn.release()
        self._over.acquire()
        if self.error is not None:
            raise self.error

    def run(self) -> None:
        """Run it at once, in this thread."""
        try:
            self._body()
        except Crash:
            self.dead = True
        finally:
            self.done = True

    def wait_for_turn(self) -> None:
        """In the actor's thread: give the turn back, and wait for the next one."""
        if self._thread is not None:
            self._over.release()
            self._turn.acquire()

    def _run(self) -> None:
        try:
            self.run()
        except BaseException as error:
            self.error = error
        finally:
            self.done = True
            self._over.release()
