"""Faults between the services and their ports: what a call may suffer, and who decides it.

How much is tried is for the environment to say: with ``DELIVERY_EVERY_FAULT=crash`` tests crash at every single call,
with ``=1`` every call suffers every kind of fault; otherwise a part of the calls crashes, for each tale other ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Sequence
from enum import Enum
from functools import cache
from random import Random
from typing import Any, Protocol
from zlib import crc32

from workflow_runtime.errors import RetryableError


class Crash(BaseException):
    """The process dies here. No `except Exception` swallows it."""


class Fault(Enum):
    CRASH_BEFORE = "crash before the call"
    CRASH_AFTER = "crash after the call"
    REFUSED_NOW = "throttled: not applied"
    LOST = "the answer is lost, the SDK calls again"
    LOST_AND_GIVEN_UP = "applied, but reported as failed"
    PARTLY = "the first half applied, then failed"


CRASHES = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER)
WANTED = os.environ.get("DELIVERY_EVERY_FAULT", "")
FAULTS: tuple[Fault, ...] = tuple(Fault) if WANTED == "1" else CRASHES


def every(step: int) -> int:
    """At each of how many calls there is a fault, if it is at this one of them when nothing else is wanted."""
    return 1 if WANTED else step


READS = frozenset({"get", "query", "query_index"})
BATCHES = frozenset({"put_all", "send", "publish"})
OF_READS = (Fault.CRASH_BEFORE, Fault.REFUSED_NOW)
OF_WRITES = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.REFUSED_NOW, Fault.LOST, Fault.LOST_AND_GIVEN_UP)


def possible(method: str) -> tuple[Fault, ...]:
    if method in READS:
        return OF_READS
    return (*OF_WRITES, Fault.PARTLY) if method in BATCHES else OF_WRITES


class Plan(Protocol):
    """Decides the fault of the next port call, if any."""

    def next(self, method: str) -> Fault | None: ...


class NoFaults:
    """Counts the calls and leaves them alone."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def next(self, method: str) -> Fault | None:
        self.calls.append(method)
        return None


class FaultAt:
    """One fault, at the ``place``-th (from 0) of the calls that can suffer it."""

    def __init__(self, place: int, fault: Fault) -> None:
        self._left = place
        self._fault = fault
        self.happened = False

    def next(self, method: str) -> Fault | None:
        if self._fault not in possible(method):
            return None
        self._left -= 1
        if self._left != -1:
            return None
        self.happened = True
        return self._fault


def places(calls: Sequence[str], fault: Fault, step: int, *about: Hashable) -> range:
    """Where there is a fault in one run after the other that makes these calls: at every ``step``-th of those that can
    suffer it (once at least, if there are any), from another one on for each thing that it is ``about``."""
    able = sum(fault in possible(method) for method in calls)
    step = min(every(step), able) or 1
    return range(crc32(repr((fault.name, *about)).encode()) % step, able, step)


@cache
def without_faults(tale: Callable[..., object], *about: Hashable) -> tuple[object, list[str]]:
    """What a tale (of a seed, a plan and what it is about) returns without faults, and the calls that lead to it."""
    faults = NoFaults()
    return tale(0, faults, *about), faults.calls


def at_every_call(tale: Callable[..., object], fault: Fault, *about: Hashable, step: int = 1) -> None:
    """Tell a tale again and again, with a fault at another of its calls each time, which is at each ``step``-th unless
    more is wanted: it returns what it always does."""
    expected, calls = without_faults(tale, *about)
    for place in places(calls, fault, step, *about):
        assert tale(place, FaultAt(place, fault), *about) == expected, f"{fault.value} at call {place}"


class RandomFaults:
    """At most ``budget`` faults, each call suffering one with ``probability``."""

    def __init__(self, random: Random, probability: float, budget: int) -> None:
        self._random = random
        self._probability = probability
        self._budget = budget

    def next(self, method: str) -> Fault | None:
        if self._budget == 0 or self._random.random() >= self._probability:
            return None
        self._budget -= 1
        return self._random.choice(possible(method))


class FaultyPort:
    """A port whose calls first wait for their turn (``point``) and then suffer what ``suffer`` decides."""

    def __init__(
        self, port: Any, point: Callable[[], None], suffer: Callable[[str], Fault | None], die: Callable[[], None]
    ):
        self._port = port
        self._point = point
        self._suffer = suffer
        self._die = die

    def __getattr__(self, method: str) -> Any:
        function = getattr(self._port, method)

        def call(*args: Any, **named: Any) -> Any:
            self._point()
            return self._call(method, function, args, named)

        return call

    def _call(self, method: str, function: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        fault = self._suffer(method)
        if fault is None:
            return function(*args, **named)
        if fault is Fault.CRASH_BEFORE:
            self._die()
        if fault is Fault.REFUSED_NOW:
            raise RetryableError("throttled")
        if fault is Fault.PARTLY:
            *before, batch = args
            function(*before, _half(batch), **named)
            raise RetryableError("partly done")
        answer = function(*args, **named)
        if fault is Fault.LOST:
            return function(*args, **named)
        if fault is Fault.CRASH_AFTER:
            self._die()
        if fault is Fault.LOST_AND_GIVEN_UP:
            raise RetryableError("timed out")
        return answer


def _half(batch: Sequence[Any]) -> Sequence[Any]:
    return batch[: len(batch) // 2]
