"""Sending in batches, as the batch calls of SQS and EventBridge take them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, TypeVar

from workflow_runtime.ports import BATCH_MESSAGES_MAX, Refusal

Entry = TypeVar("Entry")

Indexed: TypeAlias = tuple[int, Entry]
"""An entry with its place in what the caller sent, by which refusals name it."""


def send_in_batches(
    entries: Sequence[Entry],
    refusal_of: Callable[[Entry], str | None],
    size_of: Callable[[Entry], int],
    bytes_max: int,
    send: Callable[[list[Indexed[Entry]]], list[Refusal]],
) -> list[Refusal]:
    """Send the entries that ``refusal_of`` gives no reason against. Returns all refusals, by place in ``entries``."""
    reasons = [refusal_of(entry) for entry in entries]
    refusals = [Refusal(index, reason) for index, reason in enumerate(reasons) if reason is not None]
    accepted = [(index, entry) for index, entry in enumerate(entries) if reasons[index] is None]
    for batch in _batches(accepted, size_of, bytes_max):
        refusals += send(batch)
    return sorted(refusals, key=lambda refusal: refusal.index)


def _batches(
    entries: Sequence[Indexed[Entry]], size_of: Callable[[Entry], int], bytes_max: int
) -> Iterator[list[Indexed[Entry]]]:
    """In order, cut by `BATCH_MESSAGES_MAX` and by bytes; an entry that is larger alone is a batch of its own."""
    batch: list[Indexed[Entry]] = []
    total = 0
    for index, entry in entries:
        size = size_of(entry)
        if batch and (len(batch) == BATCH_MESSAGES_MAX or total + size > bytes_max):
            yield batch
            batch, total = [], 0
        batch.append((index, entry))
        total += size
    if batch:
        yield batch
