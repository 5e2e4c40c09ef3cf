"""What operators ask for and get, as pydantic models: journals, reasons why an execution does not go on,
freezes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from workflow_runtime.engine.waiting import Cause
from workflow_runtime.frontends.api.models import (
    AvailableEvent,
    ExecutionSummary,
    JsonObject,
    KeptEvent,
    Machine,
    RunningTimer,
    Time,
)


class JournalPage(BaseModel):
    """Commits as they are stored: `head`, on the first page, says which execution and plan they are of."""

    items: list[JsonObject]
    head: JsonObject | None
    runs: list[JsonObject]
    blobs: JsonObject
    state: JsonObject | None = Field(description="The stored state, beside the newest commit.")
    next_cursor: str | None


class Waiting(BaseModel):
    """A node that has not ended; with an empty path, or that of a chart, the execution or the chart."""

    path: str
    status: str
    waiting_on: Cause | None = Field(description="Null: it runs, or something goes on inside it.")
    on: list[str] = Field(description="By name: nodes before it, an event, an execution, a worker pool.")
    more: int = Field(description="How many others it waits for.")
    since: Time | None
    until: Time | None = Field(description="When it goes on, or gives up, by itself.")
    moves: str = Field(description="What would move it, in words.")


class Why(ExecutionSummary):
    """What an execution waits for. The parts about events are on the first page of the whole execution."""

    waits: list[Waiting]
    open_nodes: int = Field(description="How many nodes have not ended.")
    current_states: list[str] = Field([])
    machines: dict[str, Machine] = Field({}, description="Nested charts by path.")
    available_events: list[AvailableEvent] = Field([])
    kept_events: list[KeptEvent] = Field([], description="Events that came before the wait they are for.")
    timers: list[RunningTimer] = Field([])
    next_cursor: str | None


class Freeze(BaseModel):
    """A switch that holds back starts or node runs."""

    scope: str = Field(examples=["agent:writer"])
    since: Time
    by: str = Field(description="Who set it, as far as the API knows.")
    reason: str
    thawed_at: Time | None = Field(description="Since when it holds back nothing more, and what it held is sent on.")


class FreezeList(BaseModel):
    items: list[Freeze]


class Frozen(Freeze):
    changed: bool = Field(description="False: it was as the request wants it already.")


class HeldItem(BaseModel):
    """Something that a freeze holds: the start of an execution, an event for one, or a node run."""

    kind: Literal["start", "event", "order"]
    execution_id: str
    path: str | None = Field(description="The path of the node.")
    at: Time = Field(description="When it was started, came, or was ordered.")


class FreezeDetail(Freeze):
    held: list[HeldItem]
    more: bool = Field(description="Whether it holds more than these.")
