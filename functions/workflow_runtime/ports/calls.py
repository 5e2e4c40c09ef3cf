"""When and how calls are made: the clock, and how blocking calls of ports are made side by side."""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Cancellable(Protocol):
    """What has been arranged, and may be called off."""

    def cancel(self) -> object: ...


class Clock(Protocol):
    """Time, real or virtual. All times are integers: milliseconds since the epoch, UTC."""

    def now(self) -> int: ...

    async def sleep(self, seconds: float) -> None: ...

    async def within(self, seconds: float, work: Coroutine[Any, Any, Result]) -> Result:
        """Await ``work`` for at most ``seconds`` of this clock's time, then cancel it and raise `TimeoutError`."""

    def later(self, seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> Cancellable:
        """Have ``work`` done in the background after ``seconds``, unless it is cancelled before or meanwhile. What is
        cancelled in time costs no task.
        """

    def working(self) -> AbstractContextManager[None]:
        """Marks a piece of work in progress: virtual time stands still until all work in progress sleeps."""


class Offload(Protocol):
    """How a blocking port call leaves the event loop of a worker: to a thread on AWS; embedded, it just runs."""

    def __call__(
        self, function: Callable[Parameters, Result], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Awaitable[Result]: ...


class Together(Protocol):
    """How blocking port calls that do not depend on each other are made: in threads on AWS; embedded, in turn."""

    def __call__(self, calls: Sequence[Callable[[], None]]) -> None:
        """Make all of them. Raises what the first of them that failed raised, when all have ended."""


def in_turn(calls: Sequence[Callable[[], None]]) -> None:
    """`Together` where a call takes no time that another one could use."""
    failures: list[Exception] = []
    for call in calls:
        try:
            call()
        except Exception as error:
            failures.append(error)
    if failures:
        raise failures[0]


class Grouped(Protocol):
    """What is written by calls that one thread makes may be committed at once, at the end; on AWS, each call is."""

    def __call__(self) -> AbstractContextManager[None]:
        """Raises `RetryableError` at the end if not all of it could be."""


class Begun(Generic[Result]):
    """A coroutine, run up to where it first waits, if it does: so nothing is set up for the waiting of one that does
    not, as most calls of a worker. Raises what it raises until then.

    It goes on in `rest`, which must be awaited by the task that has begun it.
    """

    __slots__ = ("_waits_for", "_work", "result", "waits")

    result: Result
    """What it gave, unless it ``waits``."""

    def __init__(self, work: Coroutine[Any, Any, Result]) -> None:
        self._work = work
        self.waits = True
        try:
            self._waits_for = work.send(None)
        except StopIteration as end:
            self.waits = False
            self.result = end.value

    @types.coroutine
    def rest(self) -> Generator[Any, Any, Result]:
        """What the coroutine gives or raises, once what it waits for has come; as if it had been awaited."""
        work, waits_for = self._work, self._waits_for
        while True:
            try:
                sent = yield waits_for
            except GeneratorExit:
                work.close()
                raise
            except BaseException as error:
                thrown: BaseException | None = error
            else:
                thrown = None
            try:
                waits_for = work.send(sent) if thrown is None else work.throw(thrown)
            except StopIteration as end:
                result: Result = end.value
                return result
