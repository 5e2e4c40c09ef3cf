"""What is done about a failure of a node: rules, asked in order, innermost first; the first that has an answer decides.

An answer is a value; `outcome` carries it out. Without one the failure stands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from workflow_runtime.engine.commands import RunNode
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.graph import NodePlan
from workflow_runtime.plan.policies import Handler, RetryPolicy, covers, rule_for
from workflow_runtime.plan.specs import ApprovalSpec, ToolSpec, WaitSpec

WORKER_LOST_ATTEMPTS = 2  # extra attempts after a worker died; what it was doing may or may not have happened
TIMEOUT, REJECT = "timeout", "reject"  # failures for which a node may have a rule of its own
DELAY_SECONDS_MAX = 86_400.0  # also of an error that asks for a longer one


class Failure(msgspec.Struct, frozen=True):
    """An attempt that failed.

    - ``order``: of the attempt, if a worker ran it (and recorded the error)
    - ``own``: which of the node's own rules is for it, timeout or reject
    - ``instead``: what the node yields if that rule says so
    - ``began``: False if there was no attempt, because its `when` could not be evaluated
    - ``fallback_error``: of the node that ran in its place, which has failed, too
    - ``started_at``: when it began, if a worker ran it (epoch ms)
    """

    error: ErrorDocument
    order: RunNode | None = None
    own: str = ""
    instead: Json = None
    began: bool = True
    fallback_error: ErrorDocument | None = None
    started_at: int = 0


class Case(msgspec.Struct, frozen=True):
    """A failure and what may be known when it is judged.

    - ``node``: None for the run that puts the outputs together
    - ``handlers``: all of the workflow's
    - ``used``: how often each of the node's retry policies, and of the handlers that are for it, has granted another
      attempt in this visit
    - ``seed``: of the jitter; another one for each attempt
    - ``is_free``: whether a node can still be called
    """

    node: NodePlan | None
    failure: Failure
    used: tuple[int, ...] = ()
    seed: str = ""
    is_free: Callable[[int], bool] = lambda _: False
    handlers: tuple[Handler, ...] = ()


class Repeat(msgspec.Struct, frozen=True):
    """Order the attempt again, at once, as if it had not been made."""

    order: RunNode


class Retry(msgspec.Struct, frozen=True):
    """Another attempt, in ``delay`` ms. ``used``: as in `Case`, this one counted. ``fresh``: as in `RetryPolicy`."""

    delay: int
    used: tuple[int, ...]
    fresh: bool | None = None


class Substitute(msgspec.Struct, frozen=True):
    """The node ``target`` runs, told of the error; if it succeeds, so does the node, with its output."""

    target: int


class Continue(msgspec.Struct, frozen=True):
    """The node succeeds anyway, with this output."""

    output: Json


class Excuse(msgspec.Struct, frozen=True):
    """The node has failed, which its graph does not mind: its edges are ``alive``, with output null, or dead."""

    alive: bool


class Call(msgspec.Struct, frozen=True):
    """The failure is dealt with: the node's edges are dead, and the node ``target`` runs, told of the error."""

    target: int


class Fail(msgspec.Struct, frozen=True):
    """The node has failed for good. ``compensate``: what succeeded is undone, whatever the workflow says of that."""

    compensate: bool = False


class Escalate(msgspec.Struct, frozen=True):
    """A person decides; until then nothing of the execution goes on."""


Verdict: TypeAlias = Repeat | Retry | Substitute | Continue | Excuse | Call | Fail | Escalate


def verdict(case: Case) -> Verdict:
    """What follows from a failure."""
    for rule in _RULES:
        found = rule(case)
        if found is not None:
            return found
    return Fail()


def _lost_worker(case: Case) -> Verdict | None:
    """Attempts that were lost are those that no policy granted, the first one apart."""
    order = case.failure.order
    if order is None or case.failure.error.type != "worker_lost":
        return None
    if case.node is not None and isinstance(case.node.spec, ToolSpec) and case.node.spec.once:
        return None
    return Repeat(order) if order.attempt - sum(case.used) <= WORKER_LOST_ATTEMPTS else None


def _retry_policy(case: Case) -> Verdict | None:
    if case.node is None or not case.failure.began:
        return None
    policies, type = case.node.retry, case.failure.error.type
    number = next((number for number, policy in enumerate(policies) if policy.retries(type)), -1)
    return _retry(case, policies[number], number) if number >= 0 else None


def _retry(case: Case, policy: RetryPolicy, place: int) -> Verdict | None:
    """Another attempt, if the policy has one left; ``place``: of its count."""
    assert case.node is not None
    used = case.used or (0,) * (len(case.node.retry) + len(case.node.handlers))
    return _granted(policy, used, place, case.failure.error, case.seed)


def pass_retry(
    policies: tuple[RetryPolicy, ...], used: tuple[int, ...], error: ErrorDocument, seed: str
) -> Retry | None:
    """Another attempt of a pass of a loop, if one of its policies is for the error and has one left.
    ``used``: how often each of them has granted one."""
    place = next((number for number, policy in enumerate(policies) if policy.retries(error.type)), -1)
    return _granted(policies[place], used or (0,) * len(policies), place, error, seed) if place >= 0 else None


def _granted(policy: RetryPolicy, used: tuple[int, ...], place: int, error: ErrorDocument, seed: str) -> Retry | None:
    if used[place] >= policy.max_retries:
        return None
    counts = [*used]
    counts[place] += 1
    delay = policy.delay_before(counts[place])
    if policy.jitter:
        delay *= _uniform(seed)
    return Retry(round(min(max(delay, error.retry_after), DELAY_SECONDS_MAX) * 1000), tuple(counts), policy.fresh)


def _fallback(case: Case) -> Verdict | None:
    """Tried once: after that, it is not free any more."""
    if case.node is None or not case.failure.began or case.node.fallback < 0:
        return None
    return Substitute(case.node.fallback) if case.is_free(case.node.fallback) else None


def _own_rule(case: Case) -> Verdict | None:
    """What a wait or an approval says of its time running out, and an approval of a rejection."""
    spec = case.node.spec if case.node is not None else None
    if not case.failure.own or not isinstance(spec, WaitSpec | ApprovalSpec):
        return None
    do, target = spec.on_timeout, spec.timeout_target
    if case.failure.own == REJECT and isinstance(spec, ApprovalSpec):
        do, target = spec.on_reject, spec.reject_target
    if do == "continue":
        return Continue(case.failure.instead)
    return Call(target) if do == "call" and case.is_free(target) else None


def _on_error(case: Case) -> Verdict | None:
    rule = rule_for(case.node.on_error, case.failure.error.type) if case.node is not None else None
    if rule is None or rule.do == "fail":
        return None
    if rule.do == "call":
        return Call(rule.target) if case.is_free(rule.target) else None
    return Excuse(alive=rule.do == "continue")


def _handlers(case: Case) -> Verdict | None:
    """The first of the workflow's handlers that is for the node and the error, and still has an answer."""
    for place, own in enumerate(case.node.handlers if case.node is not None else ()):
        handler = case.handlers[own.number]
        found = _handled(case, handler, own.target, place) if covers(handler.errors, case.failure.error.type) else None
        if found is not None:
            return found
    return None


def _handled(case: Case, handler: Handler, target: int, place: int) -> Verdict | None:
    assert case.node is not None
    match handler.do:
        case "retry":
            policy, type = handler.retry, case.failure.error.type
            if policy is None or not case.failure.began or not policy.retries(type, handler.errors):
                return None
            return _retry(case, policy, len(case.node.retry) + place)
        case "fallback":
            return Substitute(target) if case.failure.began and target >= 0 and case.is_free(target) else None
        case "skip" | "continue":
            return Excuse(alive=handler.do == "continue")
        case "escalate":
            return Escalate()
        case _:
            return Fail(compensate=handler.do == "compensate")


def _uniform(seed: str) -> float:
    """A number from 0 to 1 that is always the same for a seed, and evenly spread over seeds."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:6]) / 2**48


_RULES: tuple[Callable[[Case], Verdict | None], ...] = (
    _lost_worker,
    _retry_policy,
    _fallback,
    _own_rule,
    _on_error,
    _handlers,
)
