"""The typed definition: what a document says once aliases, ``config:``, defaults and single-or-list forms are resolved.

Frozen pydantic models. Durations are seconds; templates and expressions stay as written (the compiler compiles them).
A value that may be null and was not given is `MISSING`.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from workflow_runtime.definition import rules
from workflow_runtime.definition.budgets import BudgetDefinition
from workflow_runtime.definition.charts.states import (
    ChartDefinition,
)
from workflow_runtime.definition.fields import (
    MISSING,
    Duration,
    Expression,
    Kind,
    Label,
    Object,
    Schema,
    Text,
    Value,
    raise_at,
    read_mapping,
    read_schema,
    word,
)
from workflow_runtime.definition.ids import Id, Reference, Variables
from workflow_runtime.definition.limits import LimiterName, Limits
from workflow_runtime.definition.nodes import aggregation, approval, control, loop, wait, work
from workflow_runtime.definition.nodes.common import Node
from workflow_runtime.definition.policies import (
    CompensationDefinition,
    ErrorHandlers,
)
from workflow_runtime.definition.reading import Many, Model, Recovery, problem
from workflow_runtime.definition.timed import read_event_name
from workflow_runtime.definition.triggers import Trigger, recovered_triggers
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.look_alikes import normalized, with_normalized_keys

NODE_MODULES = (aggregation, approval, control, loop, wait, work)
"""Importing them registers the types of node that a document may name."""

MAX_ENTRIES = 100_000
"""Nodes or edges that are looked at; how many a plan may have is the compiler's business."""


def read_event_schemas(value: object) -> dict[str, Json]:
    """A mapping of events to JSON Schemas."""
    schemas: dict[str, Json] = {}
    errors: list[tuple[int | str, PydanticCustomError]] = []
    for name, schema in read_mapping(value).items():
        try:
            event = read_event_name(name)
            if event in schemas:
                raise problem(rules.DUPLICATE_ID, f"`{event}` has a schema already", "Keep one of them.")
            schemas[event] = read_schema(schema)
        except PydanticCustomError as error:
            errors.append((name, error))
    raise_at(errors)
    return schemas


def read_input_schema(value: object) -> Json:
    """A JSON Schema whose properties, which become names, look the same if they are the same."""
    schema = read_schema(value)
    if not isinstance(schema, dict):
        return schema
    made = dict(schema)
    if isinstance(schema.get("properties"), dict):
        made["properties"] = dict(with_normalized_keys(schema["properties"]))
    if isinstance(schema.get("required"), list):
        made["required"] = [normalized(name) for name in schema["required"]]
    return made


Schemas = Annotated[
    dict[str, Json],
    Kind(read_event_schemas, {"type": "object", "additionalProperties": {"type": ["object", "boolean"]}}),
]


InputSchema = Annotated[Json, Kind(read_input_schema, {"type": ["object", "boolean"]})]


class EdgeDefinition(Model):
    """`target` waits for `source`; the edge is alive if the condition holds."""

    noun: ClassVar[str] = "an edge"
    aliases: ClassVar = {"from": "source", "to": "target"}
    preferred: ClassVar = {"source": "from", "target": "to"}

    source: Reference = Field(description="Id of the node that the edge leaves.")
    target: Reference = Field(description="Id of the node that the edge enters.")
    condition: Expression | None = Field(None, description="Expression; the edge is dead when it is false.")


class WorkflowDefinition(ChartDefinition):
    """A workflow."""

    noun: ClassVar[str] = "a workflow"
    keeps_null: ClassVar = frozenset({"outputs"})
    recoveries: ClassVar[Mapping[str, Recovery]] = {**ChartDefinition.recoveries, "triggers": recovered_triggers}

    id: Id = Field(description="Unique name of the workflow.")
    name: Label = Field("", description="Name for people.")
    description: Value = Field("", description="Free text.")
    metadata: Object = Field({}, description="Free; any keys.")
    version: Label | None = Field(
        None, description="Free text for people; stored versions are numbered by the runtime."
    )
    type: Annotated[str, word("dag", "state_machine", "hybrid")] = Field("dag", description="Kind of workflow.")
    input_schema: InputSchema = Field(None, description="JSON Schema of the input; other input is refused at start.")
    output_schema: Schema = Field(None, description="JSON Schema of the output.")
    variables: Variables = Field({}, description="Named values (templates over the input and earlier variables).")
    defaults: Object = Field({}, description="Per node type: fields of nodes that do not say otherwise.")
    nodes: Annotated[tuple[Node, ...], Many(limit=MAX_ENTRIES)] = Field((), description="The nodes of the graph.")
    edges: Annotated[tuple[EdgeDefinition, ...], Many(limit=MAX_ENTRIES)] = Field(
        (), description="Edges besides `dependencies`."
    )
    event_schemas: Schemas = Field({}, description="JSON Schemas of the data of events, by event.")
    outputs: Value = Field(MISSING, description="The workflow's output: a mapping of templates, or one template.")
    timeout: Duration | None = Field(None, description="Time limit of the whole execution.")
    error_handlers: ErrorHandlers = Field((), description="Rules for nodes that failed; the first match acts.")
    compensation: CompensationDefinition | None = Field(None, description="When and how nodes are undone.")
    triggers: Annotated[tuple[Trigger, ...], Many(single=True)] = Field((), description="What starts executions.")
    limits: Limits = Field(
        default_factory=lambda: Limits.model_validate({}),
        description="Limits of one execution, and limiters of this workflow by name.",
    )
    limiter: LimiterName | None = Field(None, description="Name of the limiter that holds whole executions back.")
    tenant: Text | None = Field(None, description="Template over the input: whom an execution is for.")
    budget: BudgetDefinition | None = Field(
        None, description="What the models of an execution may cost, awaited children included."
    )
    events: Annotated[tuple[Annotated[str, word("execution", "state", "node")], ...], Many(single=True)] = Field(
        ("execution", "state"), description="Lifecycle events that are published."
    )

    durability: Annotated[str, word("standard", "express")] = Field(
        "standard", description="`express`: run the whole execution in one invocation, and record it once, at its end."
    )
    expose: Annotated[tuple[Annotated[str, word("mcp")], ...], Many(single=True)] = Field(
        (), description="`mcp`: the workflow is a tool of the MCP server; it needs an `input_schema`."
    )

    @model_validator(mode="after")
    def _parts_of_type(self) -> Self:
        chart = sorted(self.model_fields_set & {"initial_state", "final_states", "states"})
        if self.type == "dag" and chart:
            hint = "Say `type: state_machine` (or `hybrid`) for a workflow with states."
            raise problem(rules.COMBINATION, f"`{chart[0]}` does not belong to a `dag`", hint, (chart[0],))
        graph = [name for name in ("nodes", "edges") if getattr(self, name)]
        if self.type == "state_machine" and graph:
            hint = "Say `type: hybrid`, or let a state `run` the nodes."
            raise problem(rules.COMBINATION, f"`{graph[0]}` does not belong to a `state_machine`", hint, (graph[0],))
        if self.type == "hybrid" and not self.nodes and not self.states:
            raise problem(rules.REQUIRED, "a `hybrid` needs `nodes` or `states`")
        self.check_chart(needed=self.type == "state_machine")
        return self


def _written_names() -> dict[str, tuple[str, ...]]:
    """Canonical field name → other ways to write it, over all models."""
    names: dict[str, list[str]] = {"values": ["case"], "targets": ["target", "default"]}
    pending: list[type[Model]] = [Model]
    while pending:
        model = pending.pop()
        pending += model.__subclasses__()
        for written, canonical in model.aliases.items():
            if written not in names.setdefault(canonical, []):
                names[canonical].append(written)
    return {canonical: tuple(sorted(written)) for canonical, written in names.items()}


WRITTEN = _written_names()
"""For finding a canonical field in a document: the aliases under which it may stand there."""
