"""What requests may say and what answers hold, as pydantic models: they validate bodies and describe the API."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from workflow_runtime.engine.lifecycle import ExecutionStatus, NodeStatus
from workflow_runtime.findings import Severity
from workflow_runtime.frontends.api.api_model import ApiModel
from workflow_runtime.frontends.api.chart_models import ChartParts, JsonObject, Time, Transition, Truncated
from workflow_runtime.frontends.api.limit_models import Spending


def _an_object(value: Any) -> Any:
    if value is None:
        raise ValueError("must be an object")
    return value


class StartRequest(ApiModel):
    """`context` means the same as `input`; given both, they must be equal."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"not": {"required": ["input", "context"]}})

    input: Annotated[JsonObject, BeforeValidator(_an_object)] = Field(
        {}, description="The execution's input; it must match the workflow's `input_schema`."
    )
    context: Annotated[JsonObject, BeforeValidator(_an_object)] = Field({}, description="Another name of `input`.")

    @model_validator(mode="after")
    def _one_input(self) -> Self:
        if {"input", "context"} <= self.model_fields_set and self.input != self.context:
            raise ValueError("`input` and `context` mean the same and are different")
        return self

    @property
    def given(self) -> JsonObject:
        return self.context if "context" in self.model_fields_set else self.input


class FindingModel(ApiModel):
    """One thing to fix in a definition. Line and column count from 1."""

    id: str = Field(examples=["WF301"])
    severity: Severity
    message: str
    path: str | None = Field(None, examples=["nodes[2].inputs.text"])
    line: int | None = None
    column: int | None = None
    hint: str | None = None


class InvalidValue(ApiModel):
    """A parameter, header or part of the body that is not valid."""

    model_config = ConfigDict(populate_by_name=True)

    place: str = Field(alias="in", examples=["query"])
    name: str
    message: str


class ProblemModel(ApiModel):
    """A problem document (RFC 9457). `code` is stable, for programs."""

    type: str = Field(examples=["urn:agent-workflow-runtime:problem:not-found"])
    title: str
    status: int
    detail: str
    code: str = Field(examples=["not_found"])
    findings: list[FindingModel] | None = Field(None, description="What is wrong with the definition.")
    errors: list[InvalidValue] | None = Field(None, description="What is wrong with the request.")


class Version(ApiModel):
    """A stored version; the runtime numbers them 1, 2, 3 …"""

    workflow_id: str
    version: int
    plan_hash: str
    published_at: Time
    etag: str


class Workflow(Version):
    """A published workflow at its latest version."""

    name: str
    input_schema: Any = None
    event_schemas: dict[str, Any] = Field({}, description="JSON Schemas of the data of events, by event.")
    nodes: int = Field(description="How many nodes it has.")


class Published(Version):
    """What a definition became, and what the compiler warned about."""

    warnings: list[FindingModel]


class WorkflowItem(ApiModel):
    workflow_id: str
    version: int = Field(description="The latest version.")
    created_at: Time


class WorkflowPage(ApiModel):
    items: list[WorkflowItem]
    next_cursor: str | None


class VersionPage(ApiModel):
    items: list[Version]
    next_cursor: str | None


class Validation(ApiModel):
    """What the compiler says: `valid` unless a finding is an error."""

    valid: bool
    workflow_id: str | None
    plan_hash: str | None
    findings: list[FindingModel]


class ErrorCause(ApiModel):
    """Where in its execution the error of a sub-workflow began."""

    execution_id: str
    node: str | None


class ErrorModel(ApiModel):
    type: str
    message: str
    node: str | None = None
    cause: ErrorCause | None = Field(None, description="Of a sub-workflow: where its error began.")


class ExecutionSummary(ApiModel):
    execution_id: str
    workflow_id: str
    workflow_version: int
    correlation_id: str = Field(description="What brought it about: see the header of the start; else its own id.")
    status: ExecutionStatus
    error: ErrorModel | None
    compensation: Literal["completed", "failed"] | None = Field(
        description="Whether all that had succeeded was undone; null if nothing was to be undone, or not yet."
    )
    started_at: Time
    ended_at: Time | None


class ExecutionPage(ApiModel):
    items: list[ExecutionSummary]
    next_cursor: str | None


class LoopProgress(ApiModel):
    """How far a loop is."""

    total: int | None = Field(description="How many passes there are; null while nobody knows.")
    done: int
    succeeded: int
    failed: int
    running: int


class NodeExecution(ApiModel):
    status: NodeStatus
    attempts: int
    output: Any = Field(None, description="The newest run's output, or a note (`Truncated`) where it is too large.")
    error: ErrorModel | None
    handled: bool = Field(description="A rule of the workflow dealt with the error.")
    started_at: Time | None = Field(description="When the newest attempt began; a fallback is part of it.")
    ended_at: Time | None
    waiting_on: str | None = Field(description="Such as `dependency`, `queue`, `concurrency`, `event`, `timer`.")
    unresolved: list[str]
    warnings: list[str]
    fallback_used: bool = Field(description="Its output is that of its fallback.")
    fallback_error: ErrorModel | None = Field(description="How its fallback failed, too.")
    usage: JsonObject | None = Field(None, description="What models have used, in all of its runs.")
    child: str | None = Field(None, description="Of a sub-workflow: the execution that it started.")
    passes: LoopProgress | None = Field(None, description="Of a loop: how far it is.")


class Compensation(ApiModel):
    """A visit of a node that is undone."""

    node: str = Field(description="The path of the node whose success is undone.")
    path: str = Field(description="The path of the node that undoes it.", examples=["book_flight~compensate"])
    status: NodeStatus
    attempts: int
    error: ErrorModel | None
    started_at: Time | None
    ended_at: Time | None


class Escalation(ApiModel):
    """A failure that a person decides on."""

    node: str = Field(description="The path of the node that failed.")
    error: ErrorModel


class Suspension(ApiModel):
    """Why a suspended execution stands still."""

    since: Time
    by: str | None
    reason: str | None
    held: int = Field(description="Events that came since, and are taken when it is resumed.")
    escalated: Escalation | None = Field(
        None, description="The failure that suspended it: `retry` and `skip` of that node, or `resume`, end that."
    )


class Parent(ApiModel):
    """The execution that started this one. `node`: the path of the node that did; null if an action did."""

    execution_id: str
    node: str | None


class Execution(ExecutionSummary, ChartParts):
    """An execution; `input`, `output` and `node_executions` when they are included."""

    input: Any = None
    output: Any = None
    parent: Parent | None = None
    suspension: Suspension | None = Field(None, description="While it is suspended.")
    usage: JsonObject | None = Field(
        None, description="What models have used in the nodes that are shown: in all, `by_model` and `by_agent`."
    )
    budget: Spending | None = Field(None, description="What its models may use and have used, if it has a budget.")
    transitions: list[Transition] = Field([], description="The last 100; the history has them all.")
    node_executions: dict[str, NodeExecution] | Truncated | None = None
    compensations: list[Compensation] | Truncated | None = Field(
        None, description="What is undone, an entry per visit, the one that completed last first."
    )


class EventRequest(ApiModel):
    """An event for an execution. Guards see `data`, an object, by its own names."""

    model_config = ConfigDict(extra="forbid")

    event: str = Field(min_length=1, description="Its name, one that the workflow listens to.", examples=["pay"])
    data: Any = Field(None, examples=[{"payment_method": "card"}])


class BusEventRequest(ApiModel):
    """An event for the embedded bus of `awr dev`."""

    model_config = ConfigDict(extra="forbid")

    source: str = Field(min_length=1, max_length=256)
    detail_type: str = Field(min_length=1, max_length=128)
    detail: JsonObject = Field({})


class EventAccepted(ApiModel):
    execution_id: str
    event: str
    id: str = Field(description="What formulas see as `event.id`: the idempotency key, or made up.")


class EventResult(EventAccepted, ChartParts):
    """What the event did: `deferred` ones are offered again when the states are others, `kept` ones wait for a wait
    that has not begun, `held` ones for the execution to be resumed; with `ignored`, `reason` says why."""

    outcome: Literal["taken", "ignored", "deferred", "kept", "held", "failed"]
    reason: str | None
    transition: Transition | None
    status: ExecutionStatus


class LateResult(ApiModel):
    """What the code of a run came to after the run had ended: cancelled, or given up for lost. It decides nothing."""

    status: Literal["success", "failed"]
    at: Time
    output: Any = Field(None, description="Null also where it is larger than 4 KB.")
    output_bytes: int
    error: ErrorModel | None


class NodeRun(ApiModel):
    serial: int
    attempt: int
    status: str
    error: ErrorModel | None
    started_at: Time | None
    ended_at: Time | None
    late: LateResult | None = Field(description="Of code that ran on after the end.")
    child: str | None = Field(None, description="Of a sub-workflow: the execution that it started.")


class Node(NodeExecution):
    """A node of an execution and all its runs, from the first to the last."""

    execution_id: str
    path: str
    runs: list[NodeRun]


class Reason(ApiModel):
    event: str
    reason: str


class HistoryEntry(ApiModel):
    """One commit: the events it took, what it ordered, what it ignored or refused and why."""

    version: int
    at: Time
    events: list[JsonObject]
    commands: list[JsonObject]
    ignored: list[Reason]
    refused: list[Reason]
    transitions: list[Transition]


class LoopPass(ApiModel):
    """A pass of a loop."""

    index: int
    status: str = Field(description="`running`, `success`, `failed` or `cancelled`.")
    nodes: dict[str, NodeExecution] = Field(description="By path; of a loop inside, the first passes only.")


class PassPage(LoopProgress):
    """Passes of a loop, in order."""

    items: list[LoopPass] | Truncated
    next_cursor: str | None


class HistoryPage(ApiModel):
    items: list[HistoryEntry]
    next_cursor: str | None = Field(
        description="Reads on from here; null when the execution has ended and all is read."
    )


class GraphNode(ApiModel):
    """A node, or a state of a chart (`kind` is then one of `state`, `compound`, `regions`, `final`, `shallow_history`,
    `deep_history`); or `gathered`, where many branches come together before many nodes wait for the first."""

    id: str
    title: str
    kind: str
    detail: str
    status: str | None = Field(description="Of a node its status; of a state `active`, or `visited` if it was active.")
    level: int | None = Field(None, description="Of a graph without states: the row it is drawn in.")
    inside: str | None = Field(None, description="The state or node around it, where there are states.")
    notes: list[str] = Field([], description="What a state reacts to without being left.")


class GraphEdge(ApiModel):
    """`orders`: it only makes the target wait."""

    source: str
    target: str
    label: str
    orders: bool
    mark: Literal["taken", "dead"] | None = Field(
        None,
        description="Of an execution: whether it was taken, or never will be; null where nobody can tell.",
    )


class Graph(ApiModel):
    workflow_id: str
    title: str
    nodes: list[GraphNode]
    edges: list[GraphEdge]
    initial: list[str] = Field([], description="The states in which charts and states with states begin.")
    event_schemas: dict[str, Any] = Field({}, description="JSON Schemas of the data of events, by event.")


class Health(ApiModel):
    status: Literal["ok"]
    frozen: list[str] = Field(description="What is frozen: `all`, `workflow:ID`, `agent:ID`.")


class Triggered(ApiModel):
    """The execution that a webhook started."""

    execution_id: str
