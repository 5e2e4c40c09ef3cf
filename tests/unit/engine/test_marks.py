"""The lifecycle of a node's mark: every row of the table is reached, and by the engine itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from string import ascii_lowercase
from types import FrameType
from typing import Any

from tests.unit.engine.driver import START, Driver, Failure, aggregation, control, loop, plan_of

from workflow_runtime.engine import lifecycle
from workflow_runtime.engine.events import CancelRequested, NodeYielded, ResumeRequested, RetryRequested, SkipRequested
from workflow_runtime.engine.graph.collecting import RUNS_READ_MAX
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.lifecycle import MARK_ROWS, Change, Mark

Row = tuple[Mark, Change]


def both(**first: Any) -> Driver:
    """Two nodes of which one depends on the other."""
    return Driver(plan_of([{"id": "a", **first}, {"id": "b", "dependencies": ["a"]}]))


def failed(driver: Driver) -> Driver:
    driver.fail("a")
    return driver


def with_wait(**fields: Any) -> Driver:
    return Driver(plan_of([control("w", "wait", event="go", **fields), {"id": "a"}]))


def lost() -> None:
    driver = both().start()
    driver.fail("a", "worker_lost")


def withdrawn() -> None:
    """One branch has won: of the other, one node waits, one is ordered, one has no place."""
    nodes = [{"id": "a"}, {"id": "b"}, {"id": "c"}, {"id": "d", "dependencies": ["b"]}]
    Driver(plan_of(nodes, limits={"max_concurrency": 2})).start().fail("a")


DIVISION = aggregation("d", "collect", items="${[1]}", outputs={"x": "${1 / 0}"})


def withdrawn_between_attempts() -> None:
    driver = Driver(plan_of([{"id": "a", "retry_policy": {"retry_delay": 9, "jitter": False}}, {"id": "b"}])).start()
    driver.fail("a")
    driver.fail("b")


def skipped(driver: Driver, path: str, **fields: Any) -> None:
    driver.take(SkipRequested("control:k", START, node=path, **fields))


GIVEN = {"output": 1}
RETRIED = {"retry_policy": {"retry_delay": 9, "jitter": False}}


def reopened(driver: Driver, node: str = "") -> None:
    driver.take(RetryRequested("control:r", START, node=node))


def skipped_without_a_place() -> None:
    driver = Driver(plan_of([{"id": "a"}, {"id": "b"}], limits={"max_concurrency": 1})).start()
    skipped(driver, "b")


def all_run_again() -> None:
    """Nodes after the first, ended in every way, run again with it."""
    nodes = [
        {"id": "a"},
        {"id": "excused", "dependencies": ["a"], "on_error": "continue"},
        {"id": "handled", "dependencies": ["a"], "on_error": "skip"},
        {"id": "skipped", "dependencies": ["a"], "when": "${false}"},
        {"id": "passed_over", "dependencies": ["a"], "when": "${false}", "on_skip": "continue"},
    ]
    driver = Driver(plan_of(nodes)).play({"excused": Failure(), "handled": Failure()})
    reopened(driver, "a")


def lost_run_again() -> None:
    driver = Driver(plan_of([{"id": "a"}, {"id": "b"}, {"id": "c", "dependencies": ["b"]}])).start()
    driver.fail("a")
    reopened(driver)


def put_together_by_a_worker() -> None:
    """The output of a loop that has had more passes before its last one than the dispatcher reads at once."""
    each = loop("each", {"id": "a"}, items="${xs}", max_concurrency=100)
    Driver(plan_of([each]), {"xs": [*range(RUNS_READ_MAX + 2)]}, checked=False).play()


ASKED = {"error_handlers": [{"action": "escalate"}]}


def escalated(first: dict[str, Any]) -> Driver:
    """A person is asked what becomes of the failure of a node."""
    return Driver(plan_of([first], **ASKED)).start()


def yielded() -> None:
    """An agent goes on in another run."""
    driver = both().start()
    driver.orders["a", 1] = driver.ordered.pop("a")
    driver.take(NodeYielded("run:a#1", START, "a", 1, steps=1))


SCENARIOS: tuple[Callable[[], object], ...] = (
    lambda: both().play(),
    lambda: both(when="${1 / 0}").start(),
    lambda: both(when="${false}").start(),
    lambda: both(when="${false}", on_skip="continue").start(),
    lambda: Driver(plan_of([control("f", "fail", error="e", message="m")])).start(),
    lambda: with_wait().start().send("go"),
    lambda: with_wait(timeout=5).start().elapse(6),
    lambda: with_wait().start().fail("a"),
    lambda: Driver(plan_of([control("p", "pass")])).start(),
    lambda: both().start().fail("a"),
    lost,
    yielded,
    withdrawn,
    lambda: both(retry_policy={"max_retries": 1}).start().fail("a"),
    lambda: both(on_error="continue").start().fail("a"),
    lambda: both(when="${1 / 0}", on_error="continue").start(),
    lambda: with_wait(timeout=5, on_error="continue").start().elapse(6),
    lambda: with_wait(timeout=5, retry_policy={"jitter": False}).start().elapse(8),
    lambda: Driver(plan_of([DIVISION | {"on_error": "continue"}])).start(),
    lambda: Driver(plan_of([DIVISION | {"retry_policy": {"max_retries": 1}}])).start(),
    withdrawn_between_attempts,
    lambda: both(on_error="skip").start().fail("a"),
    lambda: both(when="${1 / 0}", on_error="skip").start(),
    lambda: with_wait(timeout=5, on_error="skip").start().elapse(6),
    lambda: Driver(plan_of([DIVISION | {"on_error": "skip"}])).start(),
    lambda: skipped(both().start(), "b", **GIVEN),
    lambda: skipped(with_wait().start(), "w"),
    skipped_without_a_place,
    lambda: skipped(failed(both(**RETRIED).start()), "a"),
    lambda: skipped(failed(both(**RETRIED).start()), "a", **GIVEN),
    lambda: both(fallback={"value": 1}).start().fail("a"),
    lambda: with_wait(timeout=5, fallback={"value": 1}).start().elapse(6),
    all_run_again,
    lost_run_again,
    lambda: failed(escalated({"id": "a"})).take(ResumeRequested("control:u", START)),
    lambda: failed(escalated({"id": "a"})).take(CancelRequested("control:c", START)),
    lambda: reopened(failed(escalated({"id": "a"}))),
    lambda: skipped(failed(escalated({"id": "a"})), "a"),
    lambda: skipped(failed(escalated({"id": "a"})), "a", **GIVEN),
    lambda: reopened(escalated({"id": "a", "when": "${1 / 0}"})),
    lambda: escalated(control("w", "wait", event="go", timeout=5)).elapse(6),
    lambda: escalated(DIVISION),
    put_together_by_a_worker,
)


def test_every_row_is_reached() -> None:
    reached: set[Row] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code is GraphScope.change.__code__:
            scope, node = frame.f_locals["self"], frame.f_locals["node"]
            reached.add((Mark(scope.graph.marks[node]), frame.f_locals["change"]))

    sys.setprofile(note)
    try:
        for scenario in SCENARIOS:
            scenario()
    finally:
        sys.setprofile(None)
    assert reached == MARK_ROWS.keys()


def test_only_a_new_visit_leads_out_of_an_end() -> None:
    ended = {(mark, change) for mark, change in MARK_ROWS if mark not in lifecycle.OPEN_MARKS}
    assert {change for _, change in ended} == {Change.REOPEN}
    assert {mark for mark, _ in ended} == set(Mark) - set(lifecycle.OPEN_MARKS)


def test_marks_are_letters_which_stand_in_a_stored_state_as_they_are() -> None:
    assert {chr(mark) for mark in Mark} <= set(ascii_lowercase)
