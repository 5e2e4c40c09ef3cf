"""What is done about a failure of a node: rules, asked in order, innermost first; the first that has an answer decides.

An answer is a value; `outcome` carries it out. Without one the failure stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec

from workflow_runtime.engine.commands import RunNode
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.specs import Spec, WaitSpec

WORKER_LOST_ATTEMPTS = 2  # extra attempts after a worker died; what it was doing may or may not have happened


class Failure(msgspec.Struct, frozen=True):
    """An attempt that failed.

    ``order``: of the attempt, if a worker ran it (and recorded the error). ``timed_out``: the time that a wait was
    given has run out.
    """

    error: ErrorDocument
    order: RunNode | None = None
    timed_out: bool = False


class Retry(msgspec.Struct, frozen=True):
    """Order the attempt again, at once."""

    order: RunNode


class Continue(msgspec.Struct, frozen=True):
    """The node succeeds all the same, with this output."""

    output: Json


class Call(msgspec.Struct, frozen=True):
    """The failure is dealt with: the node's edges are dead, and the node ``target`` runs, told of the error."""

    target: int


class Fail(msgspec.Struct, frozen=True):
    """The node has failed for good."""


Verdict: TypeAlias = Retry | Continue | Call | Fail
Rule: TypeAlias = Callable[[Spec | None, Failure, Callable[[int], bool]], Verdict | None]


def verdict(spec: Spec | None, failure: Failure, is_free: Callable[[int], bool]) -> Verdict:
    """What follows from a failure of a node (``spec`` None: of the run that puts the outputs together).

    ``is_free``: whether a node can still be called.
    """
    for rule in _RULES:
        found = rule(spec, failure, is_free)
        if found is not None:
            return found
    return Fail()


def _lost_worker(_: Spec | None, failure: Failure, __: Callable[[int], bool]) -> Verdict | None:
    order = failure.order
    if order is None or failure.error.type != "worker_lost" or order.attempt > WORKER_LOST_ATTEMPTS:
        return None
    return Retry(order)


def _on_timeout(spec: Spec | None, failure: Failure, is_free: Callable[[int], bool]) -> Verdict | None:
    if not failure.timed_out or not isinstance(spec, WaitSpec):
        return None
    if spec.on_timeout == "continue":
        return Continue({})
    if spec.on_timeout == "call" and spec.timeout_target >= 0 and is_free(spec.timeout_target):
        return Call(spec.timeout_target)
    return None


_RULES: tuple[Rule, ...] = (_lost_worker, _on_timeout)
