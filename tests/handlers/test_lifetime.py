"""What is made once for all events of a process, and how the records of a batch are answered for."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
from collections.abc import Iterator

import pytest

from workflow_runtime.errors import RetryableError
from workflow_runtime.handlers.batches import Record, one_by_one, side_by_side
from workflow_runtime.handlers.lifetime import Handler, LambdaEvent, MadeOnce

RECORDS: list[Record] = [{"messageId": name} for name in ("good", "late", "broken", "good too")]
FAILED = {"batchItemFailures": [{"itemIdentifier": "late"}, {"itemIdentifier": "broken"}]}


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def handler(_event: LambdaEvent, _context: object) -> None:
    raise AssertionError("nobody calls it")


def test_what_is_made_now_is_made_once_without_looking_for_garbage() -> None:
    collects: list[bool] = []

    def make() -> Handler:
        collects.append(gc.isenabled())
        return handler

    made = MadeOnce(make, now=True)
    assert collects == [False]
    assert gc.isenabled()
    assert [made.for_event(), made.for_event()] == [handler, handler]
    assert collects == [False]


def test_garbage_is_looked_for_again_when_nothing_could_be_made() -> None:
    def make() -> Handler:
        raise RetryableError("not now")

    with pytest.raises(RetryableError):
        MadeOnce(make, now=True)
    assert gc.isenabled()


def test_what_is_made_for_the_first_event_is_made_once() -> None:
    made: list[Handler] = []

    def make() -> Handler:
        made.append(handler)
        return handler

    once = MadeOnce(make, now=False)
    assert made == []
    assert [once.for_event(), once.for_event()] == [handler, handler]
    assert made == [handler]


def test_processes_restored_from_one_snapshot_do_not_throw_the_same_dice() -> None:
    def thrown() -> float:
        once = MadeOnce(lambda: handler, now=True)
        random.seed(1)  # as the snapshot has it
        once.for_event()
        return random.random()

    assert thrown() != thrown()


def take(record: Record) -> None:
    if record["messageId"] == "late":
        raise RetryableError("later")
    if record["messageId"] == "broken":
        raise KeyError("a fault of ours")


async def take_async(record: Record) -> None:
    await asyncio.sleep(0)
    take(record)


def test_records_that_were_not_taken_come_again_and_a_fault_of_ours_is_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert one_by_one(RECORDS, take) == FAILED
    assert asyncio.run(side_by_side(RECORDS, take_async)) == FAILED
    assert asyncio.run(side_by_side(RECORDS[1:2], take_async)) == {"batchItemFailures": [{"itemIdentifier": "late"}]}
    assert asyncio.run(side_by_side(RECORDS[:1], take_async)) == one_by_one([], take) == {"batchItemFailures": []}
    faults = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.exc_info[0] for record in faults if record.exc_info] == [KeyError, KeyError]
