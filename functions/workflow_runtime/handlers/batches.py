"""Answers to batches of SQS, by record: Lambda deletes what was taken and delivers the others again.

Powertools has a processor of batches of every kind; it and the events of all services that it knows are fifty modules
to import, and one batch through it costs as much as a step of the engine.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from workflow_runtime.errors import RetryableError

Record: TypeAlias = Mapping[str, Any]
"""As Lambda delivers it."""

Answer: TypeAlias = dict[str, list[dict[str, str]]]

logger = logging.getLogger("workflow_runtime.handlers")


def answer_with(failed: Iterable[Record]) -> Answer:
    """The answer that has these records of the batch delivered again."""
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in failed]}


def one_by_one(records: Iterable[Record], take: Callable[[Record], None]) -> Answer:
    """Whatever ``take`` raises, its record is delivered again; the next one is taken."""

    def is_taken(record: Record) -> bool:
        try:
            take(record)
        except Exception as error:
            return _failed(error)
        return True

    return answer_with([record for record in records if not is_taken(record)])


async def side_by_side(records: Sequence[Record], take: Callable[[Record], Awaitable[None]]) -> Answer:
    """As `one_by_one`, all at once."""

    async def is_taken(record: Record) -> bool:
        try:
            await take(record)
        except Exception as error:
            return _failed(error)
        return True

    taken = [await is_taken(records[0])] if len(records) == 1 else await asyncio.gather(*map(is_taken, records))
    return answer_with(record for record, was in zip(records, taken, strict=True) if not was)


def _failed(error: Exception) -> bool:
    is_known = isinstance(error, RetryableError)  # then whoever raised it has told the log what there is to tell
    logger.log(logging.DEBUG if is_known else logging.ERROR, "a record is delivered again", exc_info=error)
    return False
