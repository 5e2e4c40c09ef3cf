"""Scenario files with events: sent, put on the bus, and times that pass."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

WORKFLOW = """
workflow:
  id: door
  type: hybrid
  nodes:
    - id: lock
      type: state_machine
      initial_state: locked
      states: [{name: locked, transitions: [{event: unlock, target: done}]}]
  initial_state: closed
  states:
    - name: closed
      transitions:
        - {event: push, condition: "${force} > 3", target: opened}
      after: [{delay: 2h, target: done}]
    - name: opened
      on_enter: [{publish_event: {topic: door.opened, payload: {force: "${force}"}}}]
  triggers: [{type: event, topic: wind, event: push, correlate: "${detail.house}", with: "${house}"}]
"""
GOOD = """
workflow: ../door.yaml
scenarios:
  - name: 推
    input: {house: h1}
    events:
      - {send: push, data: {force: 1}}
      - {at: 1h}
      - {bus: {source: weather, detail_type: wind, detail: {house: h1, force: 9}}}
    expect:
      status: running
      states: {"": [opened], lock: [locked]}
      transitions: ["push: not taken", {event: push, source: closed}]
      variables: {force: 9}
      published: [{detail_type: door.opened, detail: {force: 9}}]
  - name: left alone
    events: [{at: 2h}]
    expect: {states: [done], transitions: ["timeout: closed -> done"], published: []}
"""


def run(pytester: pytest.Pytester, scenario: str) -> pytest.RunResult:
    (pytester.path / "door.yaml").write_text(WORKFLOW)
    folder = pytester.path / "scenarios"
    folder.mkdir()
    (folder / "one.yaml").write_text(scenario)
    return pytester.runpytest_inprocess("-p", "workflow_runtime.testing.plugin", "-p", "no:schemathesis", "-v")


def test_events_times_and_the_bus_move_a_chart(pytester: pytest.Pytester) -> None:
    run(pytester, GOOD).assert_outcomes(passed=2)


def test_what_is_otherwise_is_told(pytester: pytest.Pytester) -> None:
    expect = "expect: {status: running, states: [opened], transitions: [], variables: {force: 2}, published: [x]}\n"
    result = run(pytester, "workflow: ../door.yaml\nevents: [{send: push, data: {force: 1}}]\n" + expect)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "- expected the states opened, active are closed",
            "- the transitions differ",
            "  transition 1: not expected, is 'push: not taken'",
            "- the variables differ",
            "  variables.force: expected 2, is missing",
            "- workflows published other events",
            "  all: []",
        ]
    )


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("{sent: push}", "*one.yaml:2:*: unknown key 'sent'. Did you mean `send`?*"),
        ("{bus: {detail_type: wind}, at: 1h}", "*a step says one of `send`, `at`, `bus`, `approve`*`at` may go with*"),
        ("{at: tomorrow}", "*not a duration*"),
        ("{at: 1h, data: 1}", "*`data` goes with `send`*"),
    ],
)
def test_a_step_that_says_nothing_clear_is_refused(pytester: pytest.Pytester, step: str, message: str) -> None:
    result = run(pytester, f"workflow: ../door.yaml\nevents: [{step}]\nexpect: {{}}\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])


def test_an_event_that_nothing_listens_to_fails_the_scenario(pytester: pytest.Pytester) -> None:
    result = run(pytester, "workflow: ../door.yaml\nevents: [{send: psuh}]\nexpect: {}\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*did you mean 'push'?*"])


def test_an_event_may_come_at_a_time_of_its_own_while_a_node_runs(pytester: pytest.Pytester) -> None:
    (pytester.path / "stop.yaml").write_text(
        "workflow: {id: stop, type: state_machine, initial_state: a, final_states: [b, c], states: [{name: a, run: "
        "{id: slow, type: tool, tool: slow}, on_done: c, transitions: [{event: stop, target: b}]}]}"
    )
    folder = pytester.mkdir("scenarios")
    (folder / "one.yaml").write_text(
        "workflow: ../stop.yaml\nmocks: {tools: {slow: {delay: 60}}}\n"
        "events: [{at: 2s, send: stop}]\nexpect: {states: [b]}\n"
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=1)
