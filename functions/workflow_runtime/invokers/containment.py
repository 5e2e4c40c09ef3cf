"""Authors' code, contained: whatever it raises ends its attempt and nothing else.

``SystemExit`` and ``KeyboardInterrupt`` go through an event loop and end it; a ``CancelledError`` of a task that the
code cancelled itself looks like the cancellation of its awaiter; groups of these are not an ``Exception`` either. So
foreign coroutines run in tasks of their own, which give back what was raised instead of raising it, and so do the tasks
that these start. What cancels the caller still cancels the foreign task, whose own view of it counts for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

import msgspec

from workflow_runtime.errors import NodeError

Result = TypeVar("Result")

STOP_SECONDS = 5.0  # for a cancelled coroutine to come to its end; one that goes on is left behind
LEAVES_SHOWN = 3  # of an exception group
_UNPRINTABLE = "an error that cannot be printed"

_foreign: ContextVar[bool] = ContextVar("foreign", default=False)


class ForeignExit(Exception):
    """In place of a ``SystemExit`` or ``KeyboardInterrupt`` that a foreign task raised."""


class Outcome(msgspec.Struct, Generic[Result], frozen=True):
    """What foreign code gave: ``value``, or the ``error`` it raised."""

    value: Any = None
    error: BaseException | None = None

    def result(self) -> Result:
        """The value. Raises the error."""
        if self.error is not None:
            raise self.error
        value: Result = self.value
        return value


def attempt(function: Callable[[], Result]) -> Outcome[Result]:
    """Call foreign code that does not await. Ctrl-C is let through: it may be meant for us."""
    try:
        return Outcome(function())
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return Outcome(error=error)


class Containment:
    """Runs foreign coroutines. ``abandoned``: how many still run although their caller was cancelled."""

    def __init__(self, stop_seconds: float = STOP_SECONDS) -> None:
        self._stop_seconds = stop_seconds
        self._abandoned: set[asyncio.Task[Any]] = set()

    @property
    def abandoned(self) -> int:
        return len(self._abandoned)

    async def run(self, work: Coroutine[Any, Any, Result]) -> Outcome[Result]:
        """What ``work`` gave. Raises `asyncio.CancelledError` only when the caller is cancelled; then ``work`` is
        cancelled too, and waited for, but not forever.
        """
        _tame_tasks_of(asyncio.get_running_loop())
        task = asyncio.create_task(given(work))
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            await self._stop(task)
            raise
        finally:
            if task.cancelled():  # before it began, or by a loop that closes
                work.close()
        return Outcome(error=asyncio.CancelledError()) if task.cancelled() else task.result()

    async def _stop(self, task: asyncio.Task[Any]) -> None:
        task.cancel()
        try:
            await asyncio.wait((task,), timeout=self._stop_seconds)
        finally:
            if not task.done():
                self._abandoned.add(task)
                task.add_done_callback(self._abandoned.discard)


async def given(work: Coroutine[Any, Any, Result]) -> Outcome[Result]:
    """What foreign work gave. Never raises."""
    _foreign.set(True)
    try:
        return Outcome(await work)
    except BaseException as error:
        return Outcome(error=error)


def _tame_tasks_of(loop: asyncio.AbstractEventLoop) -> None:
    """From now on, tasks that foreign code starts cannot end the loop. Other tasks are made as before."""
    factory = loop.get_task_factory()
    if not isinstance(factory, _TaskFactory):
        loop.set_task_factory(_TaskFactory(factory))


class _TaskFactory:
    """A task factory around another one (None: the loop's own way)."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __call__(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> Any:
        work = tamed(work) if _foreign.get() else work
        return self._inner(loop, work, **options) if self._inner else asyncio.Task(work, loop=loop, **options)


async def tamed(work: Coroutine[Any, Any, Result] | Generator[Any, Any, Result]) -> Result:
    """Foreign work that cannot end the loop."""
    try:
        return await work  # type: ignore[misc,no-any-return]  # old, generator-based coroutines can be awaited too
    except (SystemExit, KeyboardInterrupt) as error:
        raise ForeignExit(described(error)) from error


def node_failure(error: BaseException, what: str) -> NodeError:
    """The failure of an attempt for which ``what`` (``tool 'x'``) raised ``error``.

    A `NodeError` keeps its type, also as the only one in a group; a ``TimeoutError`` is a ``timeout``.
    """
    error = _only_leaf(error)
    if isinstance(error, NodeError):
        return _sound(error)
    if isinstance(error, TimeoutError):
        return NodeError("timeout", f"{what}: {printed(error) or 'timed out'}")
    return NodeError("execution_error", f"{what}: {described(error)}")


def _sound(error: NodeError) -> NodeError:
    """``error`` with texts in it, whatever its author put there."""
    texts = attempt(lambda: isinstance(error.type, str) and isinstance(error.message, str))
    if texts.value:
        return error
    found = attempt(lambda: (printed(error.type), printed(error.message))).value
    return NodeError(*(found or ("execution_error", _UNPRINTABLE)))


def described(error: BaseException) -> str:
    """``ValueError: bad``; of a group, its first leaves too. Never raises."""
    error = _only_leaf(error)
    if isinstance(error, ForeignExit):
        return printed(error)
    name = type(error).__name__
    if isinstance(error, BaseExceptionGroup):
        leaves = _leaves(error)
        more = "; …" if len(leaves) > LEAVES_SHOWN else ""
        return f"{name}: " + "; ".join(described(leaf) for leaf in leaves[:LEAVES_SHOWN]) + more
    text = printed(error)
    return f"{name}: {text}" if text else name


def printed(value: object) -> str:
    """``str(value)``, also when that raises."""
    text: object = attempt(lambda: str(value)).value
    return text if isinstance(text, str) else _UNPRINTABLE


def _only_leaf(error: BaseException) -> BaseException:
    """The error in a group of one; else ``error``."""
    leaves = _leaves(error) if isinstance(error, BaseExceptionGroup) else []
    return leaves[0] if len(leaves) == 1 else error


def _leaves(group: BaseException) -> list[BaseException]:
    """The errors in a group and in the groups in it, in order."""
    leaves, left = [], [group]
    while left:
        error = left.pop()
        if isinstance(error, BaseExceptionGroup):
            left.extend(reversed(error.exceptions))
        else:
            leaves.append(error)
    return leaves
