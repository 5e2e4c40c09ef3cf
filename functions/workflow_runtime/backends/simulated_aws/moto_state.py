"""What moto holds, looked at in this process: that costs microseconds, where an AWS call costs a millisecond.

For whoever looks again and again and mostly finds nothing. What is found, is received and changed by AWS calls.
"""

from __future__ import annotations

from typing import Any


def queue_in(region: str, name: str) -> Any:
    """moto's queue; its ``messages`` are those that are visible."""
    return _backend("sqs", region).queues[name]


def schedules_in(region: str, group: str) -> list[Any]:
    """moto's schedules of a group: a snapshot, for other threads may create some meanwhile."""
    return list(_backend("scheduler", region).schedule_groups[group].schedules.values())


def _backend(service: Any, region: str) -> Any:
    from moto.backends import get_backend  # only here: moto is an optional dependency and slow to import
    from moto.core.models import DEFAULT_ACCOUNT_ID

    return get_backend(service)[DEFAULT_ACCOUNT_ID][region]
