"""The promises of `ports.Schedules` and `ports.ScheduleRunner`."""

from __future__ import annotations

import pytest
from tests.contract.conftest import about

from workflow_runtime.ports import MINUTE_MS, SCHEDULED_TIME, Schedule

HOUR_MS = 60 * MINUTE_MS


def at(harness, milliseconds):
    """A time so far from now, on a whole minute."""
    time = harness.backend.ports.clock.now() + milliseconds
    return time - time % MINUTE_MS


def test_a_one_time_schedule_fires_once_when_it_is_due_and_is_gone(harness):
    due = at(harness, HOUR_MS)
    harness.schedules.put(Schedule("once", "work", '{"text": "好"}', at=due + 59_000))
    assert harness.scheduler.next_at() == due, "down to the minute"
    harness.scheduler.fire()
    assert harness.bodies("work") == []
    harness.pass_time(3600)
    harness.scheduler.fire()
    harness.scheduler.fire()
    assert harness.bodies("work") == ['{"text": "好"}']
    assert harness.scheduler.next_at() is None


def test_a_time_that_has_passed_fires_at_once(harness):
    harness.schedules.put(Schedule("late", "work", "x", at=at(harness, -HOUR_MS)))
    harness.scheduler.fire()
    assert harness.bodies("work") == ["x"]


def test_a_schedule_a_year_ahead_waits_for_a_year(harness):
    due = at(harness, 365 * 24 * HOUR_MS)
    harness.schedules.put(Schedule("far", "work", "x", at=due))
    harness.pass_time(364 * 24 * 3600)
    harness.scheduler.fire()
    assert harness.scheduler.next_at() == due
    harness.pass_time(24 * 3600)
    harness.scheduler.fire()
    assert harness.scheduler.next_at() is None


def test_a_repeating_schedule_fires_again_and_again_and_missed_times_count_once(harness):
    harness.schedules.put(Schedule("often", "work", "x", expression="rate(10 minutes)"))
    assert harness.scheduler.next_at() > harness.backend.ports.clock.now()
    for _ in range(2):
        harness.pass_time(600)
        harness.scheduler.fire()
    assert harness.bodies("work") == ["x", "x"]
    harness.pass_time(24 * 3600)
    harness.scheduler.fire()
    assert len(harness.bodies("work")) >= 1
    assert harness.scheduler.next_at() > harness.backend.ports.clock.now()


def test_the_time_it_was_due_stands_in_the_body(harness):
    harness.schedules.put(Schedule("told", "work", f'{{"at": "{SCHEDULED_TIME}"}}', at=1_699_999_980_000))
    harness.scheduler.fire()
    assert harness.bodies("work") == ['{"at": "2023-11-14T22:13:00Z"}']


def test_a_cron_schedule_is_due_in_its_time_zone(harness):
    harness.schedules.put(Schedule("noon", "work", "x", expression="cron(0 12 * * ? *)", timezone="Asia/Shanghai"))
    assert harness.scheduler.next_at() % (24 * HOUR_MS) == 4 * HOUR_MS


def test_creating_a_schedule_again_changes_nothing(harness):
    first = at(harness, HOUR_MS)
    harness.schedules.create(Schedule("s", "work", "first", at=first))
    harness.schedules.create(Schedule("s", "work", "second", at=first + HOUR_MS))
    assert harness.scheduler.next_at() == first
    harness.pass_time(7200)
    harness.scheduler.fire()
    assert harness.bodies("work") == ["first"]


def test_putting_a_schedule_again_replaces_it(harness):
    old = at(harness, HOUR_MS)
    harness.schedules.put(Schedule("s", "work", "old", at=old))
    harness.schedules.put(Schedule("s", "work", "new", at=old + HOUR_MS))
    assert harness.scheduler.next_at() == old + HOUR_MS
    harness.pass_time(7200)
    harness.scheduler.fire()
    assert harness.bodies("work") == ["new"]


def test_a_deleted_schedule_never_fires_and_deleting_an_absent_one_is_fine(harness):
    harness.schedules.put(Schedule("s", "work", "x", at=at(harness, HOUR_MS)))
    harness.schedules.delete(["s", "absent", "s"])
    harness.schedules.delete([])
    assert harness.scheduler.next_at() is None
    harness.pass_time(7200)
    harness.scheduler.fire()
    assert harness.bodies("work") == []


def test_one_time_schedules_repeating_ones_and_ticks_are_told_apart(ticking):
    ticking.schedules.put(Schedule("often", "work", "x", expression="rate(10 minutes)"))
    assert ticking.scheduler.next_at(recurring=False) is None
    once = at(ticking, HOUR_MS)
    ticking.schedules.put(Schedule("once", "work", "x", at=once))
    assert ticking.scheduler.next_at(recurring=False) == once
    assert ticking.scheduler.next_at() < ticking.scheduler.next_at(ticks=False) < once


def test_ticks_of_the_topology_run_from_the_start(ticking):
    assert ticking.scheduler.next_at() is not None
    assert ticking.scheduler.next_at(ticks=False) is None
    ticking.pass_time(60)
    ticking.scheduler.fire()
    assert ticking.bodies("work") == ["{}"]


REFUSED = [
    (Schedule("", "work", "x", at=1), "name"),
    (Schedule("n" * 65, "work", "x", at=1), "name"),
    (Schedule("名", "work", "x", at=1), "name"),
    (Schedule("a b", "work", "x", at=1), "name"),
    (Schedule("s", "nowhere", "x", at=1), "queue"),
    (Schedule("s", "work", "", at=1), "body"),
    (Schedule("s", "work", "x" * (256 * 1024 + 1), at=1), "body"),
    (Schedule("s", "work", "x", expression="cron(* * * * *)"), "six fields"),
    (Schedule("s", "work", "x", expression="cron(0 0 * * * *)"), "exactly one"),
    (Schedule("s", "work", "x", expression="rate(0 minutes)"), "positive"),
    (Schedule("s", "work", "x", expression="rate(1 minute)", timezone="Mars/Base"), "time zone"),
]


def test_what_the_scheduler_does_not_take_is_refused(harness):
    for schedule, reason in REFUSED:
        with about(schedule), pytest.raises(ValueError, match=reason):
            harness.schedules.put(schedule)
    assert harness.scheduler.next_at() is None
