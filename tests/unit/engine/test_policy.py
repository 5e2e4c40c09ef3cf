"""What is done about a failure, as values."""

from __future__ import annotations

import pytest

from workflow_runtime.engine.commands import RunNode
from workflow_runtime.engine.graph.policy import Call, Continue, Fail, Failure, Retry, Verdict, verdict
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.plan.specs import PassSpec, Spec, WaitSpec

LOST = ErrorDocument.of("worker_lost", "gone", "a")
LATE = ErrorDocument.of("timeout", "late", "a")
FIRST, LAST = RunNode("a", 1, "tool", 0), RunNode("a", 3, "tool", 0, attempt=3)


@pytest.mark.parametrize(
    ("spec", "failure", "free", "expected"),
    [
        (None, Failure(LOST, FIRST), True, Retry(FIRST)),
        (PassSpec(), Failure(LOST, LAST), True, Fail()),
        (PassSpec(), Failure(LOST), True, Fail()),
        (PassSpec(), Failure(LATE, FIRST), True, Fail()),
        (WaitSpec(event="e", on_timeout="continue"), Failure(LATE, timed_out=True), True, Continue({})),
        (WaitSpec(event="e", on_timeout="continue"), Failure(LATE), True, Fail()),
        (WaitSpec(event="e", on_timeout="call", timeout_target=2), Failure(LATE, timed_out=True), True, Call(2)),
        (WaitSpec(event="e", on_timeout="call", timeout_target=2), Failure(LATE, timed_out=True), False, Fail()),
        (WaitSpec(event="e"), Failure(LATE, timed_out=True), True, Fail()),
    ],
)
def test_a_failure_has_one_verdict(spec: Spec | None, failure: Failure, free: bool, expected: Verdict) -> None:
    assert verdict(spec, failure, lambda _: free) == expected
