"""What moto holds, without a call of AWS: in this process it costs microseconds, where a call costs a millisecond."""

from __future__ import annotations

from typing import Any


def queues_in(region: str) -> Any:
    """moto's SQS: it has the methods behind the service's operations."""
    return _backend("sqs", region)


def schedules_in(region: str, group: str) -> list[Any]:
    """moto's schedules of a group: a snapshot, for other threads may create some meanwhile."""
    return list(_backend("scheduler", region).schedule_groups[group].schedules.values())


def _backend(service: Any, region: str) -> Any:
    from moto.backends import get_backend  # only here: moto is an optional dependency and slow to import
    from moto.core.models import DEFAULT_ACCOUNT_ID

    return get_backend(service)[DEFAULT_ACCOUNT_ID][region]
