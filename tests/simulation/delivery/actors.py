"""Invocations as threads of which exactly one runs at a time: each waits at every port call until it is its turn.

So a schedule is a list of choices, and a seed is a schedule. No two threads ever run at once, whatever the machine
does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.simulation.delivery.faults import Crash


class Stage:
    """A thread on which one actor after the other appears. Whose turn it is not, waits for a lock that the other lets
    go: nothing that Python has to switch between threads costs less.
    """

    def __init__(self) -> None:
        self._body: Callable[[], None] | None = None
        self._turn, self._over = threading.Lock(), threading.Lock()
        self._turn.acquire()
        self._over.acquire()
        threading.Thread(target=self._live, daemon=True).start()

    def begin(self, body: Callable[[], None]) -> None:
        """The next turn begins to run this."""
        self._body = body

    def turn(self) -> None:
        """Let what appears here run until it gives its turn back, or to its end."""
        self._turn.release()
        self._over.acquire()

    def give_back(self) -> None:
        """In this thread: wait for the next turn."""
        self._over.release()
        self._turn.acquire()

    def _live(self) -> None:
        self._turn.acquire()
        while self._body is not None:
            self._body()
            self.give_back()


_free: list[Stage] = []


class Actor:
    """One invocation of a function. ``dead`` once it crashed: nothing of it reaches a port any more."""

    def __init__(self, name: str, body: Callable[[], None]) -> None:
        self.name = name
        self.dead = False
        self.done = False
        self.error: BaseException | None = None
        self._body = body
        self._stage: Stage | None = None

    def step(self) -> None:
        """Let it run up to its next port call. Raises what went wrong in it."""
        stage = self._stage
        if stage is None:
            stage = self._stage = _free.pop() if _free else Stage()
            stage.begin(self._run)
        stage.turn()
        if self.done:
            _free.append(stage)
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
        if self._stage is not None:
            self._stage.give_back()

    def _run(self) -> None:
        try:
            self.run()
        except BaseException as error:
            self.error = error
