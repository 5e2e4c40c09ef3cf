"""An event as a chart takes it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import msgspec

from workflow_runtime.engine.events import RunEnded, SignalReceived
from workflow_runtime.engine.macrosteps import Raised
from workflow_runtime.engine.turn import Turn
from workflow_runtime.engine.values.evaluation import NO_LOCALS, iso_time
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.look_alikes import with_normalized_keys


class ChartEvent(msgspec.Struct, frozen=True, dict=True):
    """An event as a chart takes it.

    - ``runtime``: its data never becomes variables
    - ``state``, ``delay``: of a delay that has run out, whose it is
    """

    name: str
    data: Json = None
    id: str = ""
    source: str = ""
    at: int = 0
    runtime: bool = False
    state: int = -1
    delay: int = -1

    @cached_property
    def overlay(self) -> Mapping[str, Json]:
        """Its data, as far as names may mean parts of it."""
        return with_normalized_keys(self.data) if isinstance(self.data, dict) and self.delay < 0 else NO_LOCALS

    @property
    def value(self) -> dict[str, Json]:
        """``event`` as formulas see it."""
        return {"name": self.name, "data": self.data, "id": self.id, "source": self.source, "at": iso_time(self.at)}


def data_of(turn: Turn, signal: SignalReceived) -> Json:
    """An event's data; of one that waits, large data stays apart until it is read. Raises `ValuesMissing`."""
    return signal.data if signal.blob is None else turn.blob(signal.blob)


def of_signal(turn: Turn, signal: SignalReceived) -> ChartEvent:
    """Raises `ValuesMissing`."""
    return ChartEvent(signal.name, data_of(turn, signal), signal.id, signal.source, signal.at or turn.now)


def of_raised(raised: Raised, now: int) -> ChartEvent:
    return ChartEvent(raised.name, raised.data, at=now, runtime=raised.runtime, state=raised.state, delay=raised.delay)


def of_run(ended: RunEnded, now: int) -> ChartEvent:
    return ChartEvent(ended.name, ended.data, at=now, runtime=True)
