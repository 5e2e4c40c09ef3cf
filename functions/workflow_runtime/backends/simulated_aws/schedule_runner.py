"""`ports.ScheduleRunner` for simulated AWS, which keeps schedules but never fires them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from workflow_runtime.backends.aws.faults import translated
from workflow_runtime.backends.limits import scheduled_body
from workflow_runtime.backends.simulated_aws.moto_state import schedules_in
from workflow_runtime.language.schedules import next_time
from workflow_runtime.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_scheduler import EventBridgeSchedulerClient
    from mypy_boto3_sqs import SQSClient


class _Due(msgspec.Struct):
    at: int | None
    repeats: bool


class SimulatedScheduleRunner:
    """See `ports.ScheduleRunner`. Looks each time anew what schedules ``group`` has; ``ticks``: the names of
    those that the topology asks for.
    """

    def __init__(
        self,
        client: EventBridgeSchedulerClient,
        sqs: SQSClient,
        group: str,
        clock: Clock,
        ticks: Collection[str] = (),
    ) -> None:
        self._client = client
        self._sqs = sqs
        self._group = group
        self._clock = clock
        self._ticks = frozenset(ticks)
        self._known: dict[tuple[str, float], _Due] = {}  # by name and time of its last change

    def next_at(self, *, recurring: bool = True, ticks: bool = True) -> int | None:
        times = (
            due.at
            for (name, _), due in self._look().items()
            if (recurring or not due.repeats) and ((recurring and ticks) or name not in self._ticks)
        )
        return min((at for at in times if at is not None), default=None)

    def fire(self) -> None:
        now = self._clock.now()
        for (name, _), due in self._look().items():
            if due.at is not None and due.at <= now:
                self._fire(name, due, due.at, now)

    def _look(self) -> dict[tuple[str, float], _Due]:
        found: dict[tuple[str, float], _Due] = {}
        for schedule in schedules_in(self._client.meta.region_name, self._group):
            place = schedule.name, schedule.last_modified_date
            found[place] = self._known.get(place) or self._first_due(schedule.name)
        self._known = found
        return found

    def _first_due(self, name: str) -> _Due:
        schedule = self._client.get_schedule(GroupName=self._group, Name=name)
        expression = schedule["ScheduleExpression"]
        if expression.startswith("at("):
            time = datetime.strptime(expression, "at(%Y-%m-%dT%H:%M:%S)").replace(tzinfo=UTC)
            return _Due(int(time.timestamp()) * 1000, repeats=False)
        if "StartDate" in schedule:
            return _Due(int(schedule["StartDate"].timestamp()) * 1000, repeats=True)
        return _Due(next_time(expression, schedule["ScheduleExpressionTimezone"], self._clock.now()), repeats=True)

    def _fire(self, name: str, due: _Due, at: int, now: int) -> None:
        with translated(f"firing schedule {name}"):
            schedule = self._client.get_schedule(GroupName=self._group, Name=name)
            target = schedule["Target"]
            url = self._sqs.get_queue_url(QueueName=target["Arn"].rpartition(":")[2])["QueueUrl"]
            self._sqs.send_message(QueueUrl=url, MessageBody=scheduled_body(target["Input"], at))
            if due.repeats:
                due.at = next_time(schedule["ScheduleExpression"], schedule["ScheduleExpressionTimezone"], now)
            else:
                self._client.delete_schedule(GroupName=self._group, Name=name)
