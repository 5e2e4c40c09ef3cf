"""Batch processors of Powertools, kept from one batch to the next: making one costs as much as a step of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Processor = TypeVar("Processor")


class SpareProcessors(Generic[Processor]):
    """Lends a processor to one batch at a time; batches that overlap, as workers' do, get one each.

    A processor begins each batch without results, and takes any handler of records.
    """

    def __init__(self, make: Callable[[], Processor]) -> None:
        self._make = make
        self._spare: list[Processor] = []

    @contextmanager
    def lent(self) -> Iterator[Processor]:
        """A processor; of a batch that raised, it is not used again."""
        processor = self._spare.pop() if self._spare else self._make()
        yield processor
        self._spare.append(processor)
