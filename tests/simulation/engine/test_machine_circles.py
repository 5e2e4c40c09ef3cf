"""Charts that would go on forever by themselves are stopped, with what goes round."""

from __future__ import annotations

import pytest
from tests.unit.engine.driver import Driver

from workflow_runtime.compiler import compile_or_raise
from workflow_runtime.engine.chart.interpreter import UNPROMPTED_MAX

AGAIN = """
workflow:
  id: again
  type: state_machine
  events: []
  initial_state: a
  states: [{name: a, STATE}]
"""


@pytest.mark.parametrize(
    ("state", "event"),
    [
        ("run: [{id: n, type: control, subtype: pass}], on_done: a", "done.run.a"),
        ("on_enter: [{send: again}], transitions: [{event: again, target: a}]", "again"),
    ],
)
def test_events_that_only_follow_from_each_other_fail_the_execution(state: str, event: str) -> None:
    driver = Driver(compile_or_raise(AGAIN.replace("STATE", state)), {}, checked=False).start()
    assert driver.state.status == "failed"
    assert driver.state.error is not None
    assert f"more than {UNPROMPTED_MAX:,}): the last is `{event}`" in driver.state.error.message
