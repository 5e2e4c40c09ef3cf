"""What EventBridge Scheduler is asked for, and what becomes of its faults."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from workflow_runtime.backends.aws.schedules import EventBridgeSchedules
from workflow_runtime.backends.clock import RealClock
from workflow_runtime.errors import RetryableError
from workflow_runtime.ports import Schedule

ONCE = Schedule("s", "timers", "{}", at=1_700_000_059_999)


class Clock(RealClock):
    def now(self) -> int:
        return 1_700_000_000_000


class Scheduler:
    """Answers calls with what was prepared for them: nothing, or an error's code."""

    def __init__(self, **answers: list[str]) -> None:
        self.answers = answers
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        def call(**request: Any) -> dict[str, Any]:
            self.calls.append((name, request))
            codes = self.answers.get(name, [])
            code = codes.pop(0) if codes else ""
            if code:
                raise ClientError({"Error": {"Code": code, "Message": code}}, name)
            return {}

        return call

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]


def schedules(scheduler: Scheduler) -> EventBridgeSchedules:
    client: Any = scheduler
    return EventBridgeSchedules(lambda: client, "group", "arn:role", {"timers": "arn:timers"}, Clock(), lambda _: None)


def test_a_one_time_schedule_is_set_to_the_minute_and_deletes_itself() -> None:
    scheduler = Scheduler()
    schedules(scheduler).put(ONCE)
    assert scheduler.calls == [
        (
            "create_schedule",
            {
                "GroupName": "group",
                "Name": "s",
                "ScheduleExpression": "at(2023-11-14T22:14:00)",
                "ScheduleExpressionTimezone": "UTC",
                "FlexibleTimeWindow": {"Mode": "OFF"},
                "ActionAfterCompletion": "DELETE",
                "Target": {"Arn": "arn:timers", "RoleArn": "arn:role", "Input": "{}"},
            },
        )
    ]


def test_a_repeating_schedule_keeps_its_expression_and_zone_and_is_never_deleted() -> None:
    scheduler = Scheduler()
    schedules(scheduler).put(Schedule("s", "timers", "{}", expression="cron(0 9 * * ? *)", timezone="Asia/Tokyo"))
    ((_, request),) = scheduler.calls
    assert request["ScheduleExpression"] == "cron(0 9 * * ? *)"
    assert request["ScheduleExpressionTimezone"] == "Asia/Tokyo"
    assert request["ActionAfterCompletion"] == "NONE"


def test_a_rate_counts_from_now_and_does_not_fire_at_once() -> None:
    scheduler = Scheduler()
    schedules(scheduler).put(Schedule("s", "timers", "{}", expression="rate(10 minutes)"))
    assert scheduler.calls[0][1]["StartDate"].timestamp() == 1_700_000_600


def test_one_of_the_same_name_is_updated() -> None:
    scheduler = Scheduler(create_schedule=["ConflictException"])
    schedules(scheduler).put(ONCE)
    assert scheduler.names == ["create_schedule", "update_schedule"]


def test_one_that_fired_between_creating_and_updating_is_created_after_all() -> None:
    scheduler = Scheduler(create_schedule=["ConflictException"], update_schedule=["ResourceNotFoundException"])
    schedules(scheduler).put(ONCE)
    assert scheduler.names == ["create_schedule", "update_schedule", "create_schedule"]


def test_putting_gives_up_at_some_point() -> None:
    scheduler = Scheduler(create_schedule=["ConflictException"] * 99, update_schedule=["ConflictException"] * 99)
    with pytest.raises(RetryableError, match="not done after"):
        schedules(scheduler).put(ONCE)


def test_deleting_what_is_not_there_is_fine_and_a_change_under_way_is_waited_for() -> None:
    scheduler = Scheduler(delete_schedule=["ResourceNotFoundException", "ConflictException", ""])
    schedules(scheduler).delete(["a", "b", "a"])
    assert [request["Name"] for _, request in scheduler.calls] == ["a", "b", "b"]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("ThrottlingException", RetryableError),
        ("ServiceQuotaExceededException", RetryableError),
        ("AccessDeniedException", RetryableError),
        ("ValidationException", ValueError),
    ],
)
def test_faults_mean_what_the_ports_promise(code: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        schedules(Scheduler(create_schedule=[code])).put(ONCE)
    with pytest.raises(error):
        schedules(Scheduler(delete_schedule=[code])).delete(["s"])


def test_no_client_is_made_before_it_is_needed() -> None:
    def never() -> Any:
        raise AssertionError("a client costs a cold start some milliseconds")

    unused = EventBridgeSchedules(never, "group", "arn:role", {"timers": "arn:timers"}, Clock())
    unused.delete([])
    with pytest.raises(ValueError, match="queue"):
        unused.put(Schedule("s", "dispatch.fifo", "{}", at=1))
