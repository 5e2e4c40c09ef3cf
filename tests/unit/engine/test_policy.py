"""What is done about a failure, as values."""

from __future__ import annotations

import pytest

from workflow_runtime.engine.commands import RunNode
from workflow_runtime.engine.graph.policy import (
    TIMEOUT,
    Call,
    Case,
    Continue,
    Excuse,
    Fail,
    Failure,
    Repeat,
    Retry,
    Verdict,
    verdict,
)
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.plan.graph import NodePlan
from workflow_runtime.plan.policies import ErrorRule, RetryPolicy
from workflow_runtime.plan.specs import NodeType, Spec, ToolSpec, WaitSpec

LOST = ErrorDocument.of("worker_lost", "gone", "a")
LATE = ErrorDocument.of("timeout", "late", "a")
BAD = ErrorDocument.of("execution_error", "bad", "a")


def order(attempt: int = 1) -> RunNode:
    return RunNode("a", attempt, "tool", 0, attempt=attempt)


def node(*retry: RetryPolicy, spec: Spec | None = None, on_error: tuple[ErrorRule, ...] = ()) -> NodePlan:
    return NodePlan("a", NodeType.TOOL, spec or ToolSpec("t"), retry=retry, on_error=on_error)


def plain(max_retries: int = 3, delay: float = 1.0, **fields: object) -> RetryPolicy:
    return RetryPolicy(max_retries, delay, jitter=False, **fields)  # type: ignore[arg-type]


def wait(**fields: object) -> NodePlan:
    return node(spec=WaitSpec(event="e", **fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("node", "failure", "free", "expected"),
    [
        (None, Failure(LOST, order()), True, Repeat(order())),
        (node(), Failure(LOST, order(3)), True, Fail()),
        (node(), Failure(LOST), True, Fail()),
        (node(), Failure(LATE, order()), True, Fail()),
        (wait(on_timeout="continue"), Failure(LATE, own=TIMEOUT, instead={}), True, Continue({})),
        (wait(on_timeout="continue"), Failure(LATE), True, Fail()),
        (wait(on_timeout="call", timeout_target=2), Failure(LATE, own=TIMEOUT, instead={}), True, Call(2)),
        (wait(on_timeout="call", timeout_target=2), Failure(LATE, own=TIMEOUT, instead={}), False, Fail()),
        (wait(), Failure(LATE, own=TIMEOUT, instead={}), True, Fail()),
        (node(on_error=(ErrorRule("skip"),)), Failure(BAD), True, Excuse(alive=False)),
        (node(on_error=(ErrorRule("continue"),)), Failure(BAD), True, Excuse(alive=True)),
        (node(on_error=(ErrorRule("fail"), ErrorRule("skip"))), Failure(BAD), True, Fail()),
        (node(on_error=(ErrorRule("skip", ("timeout",)), ErrorRule("continue"))), Failure(BAD), True, Excuse(True)),
        (node(on_error=(ErrorRule("skip", ("timeout",)),)), Failure(BAD), True, Fail()),
        (node(on_error=(ErrorRule("call", target=4),)), Failure(BAD), True, Call(4)),
        (node(on_error=(ErrorRule("call", target=4),)), Failure(BAD), False, Fail()),
    ],
)
def test_a_failure_has_one_verdict(node: NodePlan | None, failure: Failure, free: bool, expected: Verdict) -> None:
    assert verdict(Case(node, failure, is_free=lambda _: free)) == expected


@pytest.mark.parametrize(
    ("policies", "type", "used", "expected"),
    [
        ((plain(),), "execution_error", (), Retry(1_000, (1,))),
        ((plain(),), "execution_error", (2,), Retry(4_000, (3,))),
        ((plain(),), "execution_error", (3,), Fail()),
        ((plain(0),), "execution_error", (), Fail()),
        ((plain(backoff="linear"),), "timeout", (2,), Retry(3_000, (3,))),
        ((plain(backoff="fixed"),), "timeout", (2,), Retry(1_000, (3,))),
        ((plain(factor=10.0),), "timeout", (2,), Retry(60_000, (3,))),
        ((plain(100, factor=1e300),), "timeout", (99,), Retry(60_000, (100,))),
        ((plain(delay=90.0),), "timeout", (), Retry(60_000, (1,))),
        ((plain(delay=0),), "timeout", (), Retry(0, (1,))),
        ((plain(errors=("timeout",)),), "execution_error", (), Fail()),
        ((plain(errors=("execution_error",)),), "out_of_stock", (), Retry(1_000, (1,))),
        ((plain(errors=("execution_error",)),), "timeout", (), Fail()),
        ((plain(exclude_errors=("缺货",)),), "缺货", (), Fail()),
        ((plain(),), "rejected", (), Fail()),
        ((plain(errors=("execution_error",)),), "budget_exceeded", (), Fail()),
        ((plain(errors=("rejected",)),), "rejected", (), Retry(1_000, (1,))),
        ((plain(errors=("timeout",)), plain(delay=5)), "execution_error", (1, 0), Retry(5_000, (1, 1))),
        ((plain(1), plain(delay=5)), "execution_error", (1, 0), Fail()),
        ((plain(exclude_errors=("timeout",)), plain(delay=5)), "timeout", (), Retry(5_000, (0, 1))),
    ],
)
def test_a_retry_policy_grants_attempts(
    policies: tuple[RetryPolicy, ...], type: str, used: tuple[int, ...], expected: Verdict
) -> None:
    failure = Failure(ErrorDocument.of(type, "bad", "a"), order())
    assert verdict(Case(node(*policies), failure, used)) == expected


def test_retries_come_before_the_rules_of_the_node() -> None:
    both = node(plain(1), on_error=(ErrorRule("skip"),))
    assert verdict(Case(both, Failure(BAD))) == Retry(1_000, (1,))
    assert verdict(Case(both, Failure(BAD), (1,))) == Excuse(alive=False)


def test_a_lost_worker_does_not_use_up_retries() -> None:
    retried = node(plain(3))
    assert verdict(Case(retried, Failure(LOST, order(4)), (2,))) == Repeat(order(4))
    assert verdict(Case(retried, Failure(LOST, order(5)), (2,))) == Retry(4_000, (3,))


def test_what_never_began_is_not_attempted_again() -> None:
    assert verdict(Case(node(plain()), Failure(BAD, began=False))) == Fail()


@pytest.mark.parametrize(("asked", "expected"), [(0.5, 1_000), (30, 30_000), (90, 90_000), (10**6, 86_400_000)])
def test_an_error_may_ask_for_a_longer_delay(asked: float, expected: int) -> None:
    failure = Failure(ErrorDocument.of("rate_limited", "slow down", "a", asked))
    assert verdict(Case(node(plain()), failure)) == Retry(expected, (1,))


@pytest.mark.parametrize("asked", [-1, float("nan"), float("inf"), True, "soon"])
def test_what_is_no_delay_is_not_one(asked: object) -> None:
    assert ErrorDocument.of("rate_limited", "slow down", "a", asked).retry_after == 0  # type: ignore[arg-type]


def test_jitter_spreads_delays_evenly_and_is_always_the_same() -> None:
    cases = [Case(node(RetryPolicy(delay=10)), Failure(BAD), seed=f"e{number}") for number in range(1_000)]
    delays, again = ([found.delay for found in map(verdict, cases) if isinstance(found, Retry)] for _ in range(2))
    assert delays == again
    assert 0 <= min(delays) < 200
    assert 9_800 < max(delays) < 10_000
    assert 4_700 < sum(delays) / len(delays) < 5_300
