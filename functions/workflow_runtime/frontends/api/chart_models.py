"""The parts of answers that tell of charts, as pydantic models, and what all models use."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from workflow_runtime.frontends.api.api_model import ApiModel

JsonObject = dict[str, Any]
Time = Annotated[str, Field(description="UTC, with milliseconds.", examples=["2026-01-31T12:00:00.000Z"])]


class Truncated(ApiModel):
    """Stands in for a value that is too large for the answer: `href` reads the first slice of its JSON text."""

    truncated: Literal[True]
    bytes: int | None = Field(None, description="Size of the JSON text.")
    href: str


class Transition(ApiModel):
    """One event taken to completion: the states left and entered, and the active leaf states afterwards; or the
    `reason` why nothing was taken."""

    event: str | None = Field(description="Null: the chart's start.")
    source: str | None = Field(description="The state whose transition was taken first.")
    exited: list[str]
    entered: list[str]
    configuration: list[str]
    at: Time
    reason: str | None
    failures: list[str] = Field(description="Actions, guards, delays and outputs that failed, each with the reason.")
    warnings: list[str] = Field(description="Comparisons of a text with a number in guards and actions.")
    machine: str = Field(description="The path of the node that holds the chart; empty for the one at the top.")
    version: int = Field(description="The commit that it was part of, as in the history.")


class AvailableEvent(ApiModel):
    """An event that a transition of an active state, or a wait, listens to now."""

    event: str
    schema_: Any = Field(
        alias="schema", description="JSON Schema of its data, where the workflow has one in `event_schemas`."
    )
    source: str = Field(description="The state, or the path of the wait.")
    target: list[str]
    condition: str | None
    enabled: bool | None = Field(description="Whether the condition holds now; null when only the event can tell.")
    why: str | None
    machine: str | None = Field(description="The path of the chart; null for a wait.")


class KeptEvent(ApiModel):
    """An event that came before its wait, which will have it."""

    event: str
    id: str
    at: Time
    source: str | None


class RunningTimer(ApiModel):
    """What happens at a time, unless something comes before."""

    at: Time
    kind: Literal["delay", "send", "wait", "retry", "timeout", "deadline", "stop"]
    source: str
    machine: str | None


class Machine(ApiModel):
    """A chart inside a node."""

    current_states: list[str]
    variables: JsonObject | None


class ChartParts(ApiModel):
    current_states: list[str] = Field([], description="The active leaf states; after the end, the final state.")
    variables: JsonObject | Truncated | None = Field(
        None, description="The chart's variables now. A graph's, when they are included."
    )
    machines: dict[str, Machine] = Field({}, description="Nested charts by path.")
    available_events: list[AvailableEvent] = Field([])
    kept_events: list[KeptEvent] = Field(
        [], description="Events that came before the wait they are for; the newest 100 of at most 1,000, for 30 days."
    )
    timers: list[RunningTimer] = Field([])
