"""What operators ask for and get, as pydantic models: journals, what holds an execution up, control, freezes,
dead letters.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.waiting import Cause
from workflow_runtime.frontends.api.api_model import ApiModel
from workflow_runtime.frontends.api.chart_models import (
    AvailableEvent,
    JsonObject,
    KeptEvent,
    Machine,
    RunningTimer,
    Time,
)
from workflow_runtime.frontends.api.models import ExecutionSummary
from workflow_runtime.services.control.operations import OPERATIONS


class JournalPage(ApiModel):
    """Commits as they are stored: `head`, on the first page, says which execution and plan they are of."""

    items: list[JsonObject]
    head: JsonObject | None
    runs: list[JsonObject]
    replaced: JsonObject
    blobs: JsonObject
    state: JsonObject | None = Field(description="The stored state, beside the newest commit.")
    next_cursor: str | None


class StepsPage(ApiModel):
    """Runs by path and serial; behind the first run of an agent's node the steps of that."""

    runs: list[JsonObject] = Field(description="Each with what it came to.")
    steps: list[JsonObject] = Field(description="Model requests and tool calls, with what they came to.")
    next_cursor: str | None


class UsagePage(ApiModel):
    """What the models of some executions have used: `requests`, `input_tokens`, `output_tokens`, and `usd`, where a
    price is known."""

    executions: int = Field(description="How many this page is of.")
    total: JsonObject | None = Field(description="Null: no model was asked.")
    by_tenant: dict[str, JsonObject]
    by_workflow: dict[str, JsonObject]
    by_agent: dict[str, JsonObject]
    by_model: dict[str, JsonObject]
    next_cursor: str | None


class Trace(ApiModel):
    """A part of an OpenTelemetry trace: a collector takes it as it is at `/v1/traces`."""

    resourceSpans: list[JsonObject] = Field(description="As in OTLP's JSON encoding.")
    next_cursor: str | None


class Waiting(ApiModel):
    """A node that has not ended; with an empty path, or that of a chart, the execution or the chart."""

    path: str
    status: str
    waiting_on: Cause | None = Field(description="Null: it runs, or something inside it does.")
    on: list[str] = Field(description="By name: nodes before it, an event, an execution, a worker pool.")
    more: int = Field(description="How many others it waits for.")
    since: Time | None
    until: Time | None = Field(description="When it continues, or gives up, by itself.")
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


class ControlRequest(ApiModel):
    """What the history says beside who asked and when."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field("", max_length=1000, description="Why.", examples=["the order was withdrawn"])


class RetryRequest(ControlRequest):
    """What is to run again: what was lost and, from a node, that and all after it."""

    from_: str = Field(
        "", alias="from", description="A node of the graph at the top. An execution that has completed needs one."
    )
    variables: JsonObject = Field({}, description="Variables of the workflow that have these values from now on.")


class SkipRequest(ControlRequest):
    """A node to go on without."""

    node: str = Field(min_length=1, description="Its path.", examples=["check_stock"])
    output: Any = Field(
        None, description="What it has for an output, as if it had succeeded. Without this field it is skipped."
    )


class BulkRequest(ControlRequest):
    """Which executions of the workflow are meant, and what is asked of each."""

    status: list[ExecutionStatus] = Field(
        [], description="By default those in which the operation changes something, `completed` apart."
    )
    older_than: str = Field(
        "", max_length=32, description="Only executions started so long ago: `1h`, `2d`.", examples=["1h"]
    )
    dry_run: bool = Field(False, description="Only say which executions are meant.")
    fields: JsonObject = Field({}, description="What the operation takes beside the reason.")


class BulkRefusal(ApiModel):
    """Why some executions were refused."""

    code: str
    reason: str
    count: int
    execution_ids: list[str] = Field(description="The first of them.")


class BulkPage(ApiModel):
    """What a page came to. The request goes on with its `next_cursor` and the same body, under the same key."""

    operation: str
    dry_run: bool
    execution_ids: list[str] = Field(description="The executions of this page.")
    changed: int = Field(description="How many requests are on their way.")
    unchanged: int = Field(description="How many executions were as the request wants them already.")
    refused: list[BulkRefusal]
    next_cursor: str | None


class Controlled(ApiModel):
    """A request that is on its way, or was not needed."""

    execution_id: str
    operation: str = Field(json_schema_extra={"enum": [*OPERATIONS]})
    id: str = Field(description="The idempotency key, or made up; the history has the request as `control:<id>`.")
    changed: bool = Field(description="False: the execution was as the request wants it already.")
    attempt: int = Field(description="Which of the execution's it is from then on: 1, and one more when it reopens.")


class DeadLetter(ApiModel):
    """A message that its queue gave up, or an event that could not be taken or sent."""

    id: str
    execution_id: str | None = Field(description="The execution that it names.")
    reason: str
    at: Time = Field(description="When it was given up.")
    redriven_at: Time | None = Field(description="When it was brought back.")


class DeadLetterPage(ApiModel):
    items: list[DeadLetter]
    next_cursor: str | None


class RedriveRequest(ApiModel):
    """Which dead letters are meant: those of an execution, or all."""

    model_config = ConfigDict(extra="forbid")

    execution_id: str | None = Field(None, description="Only those that name this execution.")
    dry_run: bool = Field(False, description="Only say what would be brought back.")


class Redriven(DeadLetter):
    outcome: Literal["sent", "would_send", "left"]
    why: str | None = Field(description="Why it was left.")


class RedrivePage(ApiModel):
    """What became of the letters of this page. The request goes on with its `next_cursor` and the same body."""

    items: list[Redriven]
    next_cursor: str | None


class Freeze(ApiModel):
    """A switch that holds back starts or node runs."""

    scope: str = Field(examples=["agent:writer"])
    since: Time
    by: str = Field(description="Who set it, as far as the API knows.")
    reason: str
    thawed_at: Time | None = Field(description="Since when it holds back nothing more, and what it held is sent on.")


class FreezeList(ApiModel):
    items: list[Freeze]


class Frozen(Freeze):
    changed: bool = Field(description="False: it was as the request wants it already.")


class HeldItem(ApiModel):
    """Something that a freeze holds: the start of an execution, an event for one, or a node run."""

    kind: Literal["start", "event", "order"]
    execution_id: str
    path: str | None = Field(description="The path of the node.")
    at: Time = Field(description="When it was started, came, or was ordered.")


class FreezeDetail(Freeze):
    held: list[HeldItem]
    more: bool = Field(description="Whether it holds more than these.")
