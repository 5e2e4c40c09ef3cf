"""Timers and schedules through the real handlers, with AWS's own schedules on moto: near, far, cancelled, repeated."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.handlers.town import Town, opened

DAY = 24 * 3600
CHART = """
workflow:
  id: 计时
  type: state_machine
  initial_state: 短
  variables: {回数: 0}
  states:
    - name: 短
      transitions: [{event: 走, target: 长}]
      after: [{delay: 20m, target: 长}]
    - name: 长
      transitions: [{event: 停, target: 停下}]
      after: [{delay: 30d, target: end}]
    - name: 停下
      after: [{delay: 20m, every: 20m, actions: [{set_variable: {name: 回数, value: "${回数 + 1}"}}]}]
      transitions: [{event: 走, target: end}]
"""


@pytest.fixture(scope="module", params=["embedded", "moto"])
def town(request: pytest.FixtureRequest) -> Iterator[Town]:
    yield from opened(request.param)


@pytest.fixture
def execution_id(town: Town) -> str:
    town.publish(CHART)
    return town.start("计时", {})


def schedules(town: Town, kind: str) -> list[str]:
    """Names of the schedules that there are: ``timer`` or ``trigger``."""
    if town.bench.name == "embedded":
        rows = town.bench.backend.database.read("SELECT name FROM schedules")
        return [name for (name,) in rows if name.startswith(kind)]
    client, group = town.bench.backend.clients.scheduler(), town.bench.backend.settings.schedule_group
    pages = client.get_paginator("list_schedules").paginate(GroupName=group)
    return [schedule["Name"] for page in pages for schedule in page["Schedules"] if schedule["Name"].startswith(kind)]


def test_twenty_minutes_and_thirty_days_pass_to_the_second(town: Town, execution_id: str) -> None:
    before = 5 if town.bench.name == "embedded" else 300  # seconds: on moto, time also passes by itself
    assert len(schedules(town, "timer")) == 1
    town.wait(20 * 60 - before)
    assert town.states(execution_id) == ["短"]
    town.wait(before)
    assert town.states(execution_id) == ["长"]
    assert len(schedules(town, "timer")) == 1, "the first is gone, the next is there"
    town.wait(30 * DAY - before)
    assert town.states(execution_id) == ["长"]
    town.wait(before)
    document = town.shown(execution_id)
    assert (document["status"], document["timers"]) == ("completed", [])
    assert schedules(town, "timer") == []
    assert town.dead() == []


def test_a_timer_that_was_cancelled_takes_no_effect_and_leaves_no_schedule(town: Town, execution_id: str) -> None:
    town.send(execution_id, "走")
    assert len(schedules(town, "timer")) == 1, "of the state that was entered"
    town.send(execution_id, "停")
    town.wait(20 * 60)
    town.wait(20 * 60)
    assert town.shown(execution_id)["variables"]["回数"] == 2
    town.send(execution_id, "走")
    ended = town.shown(execution_id)
    assert ended["status"] == "completed"
    assert schedules(town, "timer") == []
    town.wait(31 * DAY)
    assert town.shown(execution_id) == ended


def test_a_timer_that_is_under_way_when_it_is_cancelled_takes_no_effect(town: Town, execution_id: str) -> None:
    """Its schedule has fired, its message waits for the last minute: nobody can take it back."""
    town.bench.pass_time(20 * 60 - 30)
    town.bench.backend.scheduler.fire()
    town.bench.settle()
    town.send(execution_id, "走")
    town.wait(60)
    document = town.shown(execution_id)
    assert document["current_states"] == ["长"]
    assert [step["event"] for step in document["transitions"]] == [None, "走"]
    town.send(execution_id, "停")
    town.send(execution_id, "走")


def test_a_schedule_stands_while_its_workflow_does_and_starts_one_execution_each_time(town: Town) -> None:
    source = """
workflow:
  id: 定时
  triggers: [{type: schedule, rate: RATE, input: {at: "${trigger.scheduled_at}"}}]
  nodes: [{id: a, type: tool, tool: echo, inputs: {at: "${at}"}}]
"""
    town.publish(source.replace("RATE", "1 hour"))
    [hourly] = schedules(town, "trigger")
    town.publish(source.replace("RATE", "1 hour").replace("id: a", "id: b"))
    assert schedules(town, "trigger") == [hourly], "a new version that keeps it"
    for _ in range(2):
        town.wait(3600)
    executions = [town.shown(execution_id) for execution_id in town.executions("定时")]
    assert [document["status"] for document in executions] == ["completed"] * 2
    assert len({document["output"]["at"] for document in executions}) == 2
    town.publish(source.replace("RATE", "2 hours"))
    [slower] = schedules(town, "trigger")
    assert slower != hourly
    town.bench.runtime.publishing.remove("定时", lambda _: True)
    assert schedules(town, "trigger") == []
    town.wait(2 * 3600)
    assert len(town.executions("定时")) == 2
