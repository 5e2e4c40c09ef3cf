"""`ports.Schedules` on EventBridge Scheduler."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from workflow_runtime.backends.aws.faults import Patience, error_code, sleep_up_to, translated
from workflow_runtime.backends.limits import check_schedule
from workflow_runtime.language.schedules import next_time
from workflow_runtime.ports import MINUTE_MS, Clock, Schedule

if TYPE_CHECKING:
    from mypy_boto3_scheduler import EventBridgeSchedulerClient


class EventBridgeSchedules:
    """See `ports.Schedules`. ``queue_arns``: the queues that schedules may send to; ``role_arn``: who then sends.

    ``client`` makes the client when the first schedule is put or deleted: most invocations need none.
    """

    def __init__(
        self,
        client: Callable[[], EventBridgeSchedulerClient],
        group: str,
        role_arn: str,
        queue_arns: Mapping[str, str],
        clock: Clock,
        pause: Callable[[float], None] = sleep_up_to,
    ) -> None:
        self._client = client
        self._group = group
        self._role_arn = role_arn
        self._queue_arns = queue_arns
        self._clock = clock
        self._pause = pause

    def put(self, schedule: Schedule) -> None:
        check_schedule(schedule, self._queue_arns)
        request = self._request(schedule)
        patience = Patience(f"putting schedule {schedule.name}", self._pause)
        while not (self._create(request) or self._update(request)):  # gone when updated, there when created: it fired
            patience.wait()

    def create(self, schedule: Schedule) -> None:
        check_schedule(schedule, self._queue_arns)
        self._create(self._request(schedule))

    def _create(self, request: dict[str, Any]) -> bool:
        """False when there is one of this name."""
        return self._done(lambda: self._client().create_schedule(**request), request["Name"], "ConflictException")

    def _update(self, request: dict[str, Any]) -> bool:
        """False when there is none, or another change is under way."""
        update = lambda: self._client().update_schedule(**request)  # noqa: E731
        return self._done(update, request["Name"], "ResourceNotFoundException", "ConflictException")

    def delete(self, names: Sequence[str]) -> None:
        for name in dict.fromkeys(names):
            patience = Patience(f"deleting schedule {name}", self._pause)
            while not self._delete(name):
                patience.wait()

    def _delete(self, name: str) -> bool:
        """False when another change is under way."""
        with translated(f"deleting schedule {name}"):
            try:
                self._client().delete_schedule(GroupName=self._group, Name=name)
            except ClientError as error:
                if error_code(error) != "ResourceNotFoundException":
                    if error_code(error) == "ConflictException":
                        return False
                    raise
        return True

    def _done(self, call: Callable[[], object], name: str, *expected: str) -> bool:
        with translated(f"putting schedule {name}"):
            try:
                call()
            except ClientError as error:
                if error_code(error) not in expected:
                    raise
                return False
        return True

    def _request(self, schedule: Schedule) -> dict[str, Any]:
        once = not schedule.expression
        request: dict[str, Any] = {
            "GroupName": self._group,
            "Name": schedule.name,
            "ScheduleExpression": at_expression(schedule.at) if once else schedule.expression,
            "ScheduleExpressionTimezone": "UTC" if once else schedule.timezone,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE" if once else "NONE",  # one that ends by its year would be deleted
            "Target": {
                "Arn": self._queue_arns[schedule.queue],
                "RoleArn": self._role_arn,
                "Input": schedule.body,
            },
        }
        if schedule.expression.startswith("rate("):  # else it fires as soon as it is there
            first = next_time(schedule.expression, schedule.timezone, self._clock.now())
            request["StartDate"] = datetime.fromtimestamp((first or 0) // 1000, UTC)
        return request


def at_expression(at: int) -> str:
    """A time (epoch ms) down to the minute, as a one-time schedule's expression."""
    return datetime.fromtimestamp((at - at % MINUTE_MS) / 1000, UTC).strftime("at(%Y-%m-%dT%H:%M:%S)")
