"""What nodes of all types have in common."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec
from pydantic import BeforeValidator, Field, PlainValidator, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from workflow_runtime.definition import rules
from workflow_runtime.definition.fields import (
    Duration,
    Expression,
    Inputs,
    Kind,
    Label,
    Object,
    Priority,
    integer,
    raise_at,
    read_texts,
    word,
)
from workflow_runtime.definition.ids import Id, Ids, read_reference
from workflow_runtime.definition.limits import CostDefinition, LimiterNames
from workflow_runtime.definition.nodes.registry import TYPES, common_model, read_node
from workflow_runtime.definition.policies import CallbackDefinition, Fallback, OnError, RetryPolicies
from workflow_runtime.definition.reading import Model, Reading, kind_of, problem
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.templates import is_one_template

UNNAMED_COMPENSATION = "compensate"
"""Id of a compensation that is defined without one."""

JOINS = ("all", "all_success", "any", "all_done")


class JoinDefinition(msgspec.Struct, frozen=True):
    """When a node runs, given its edges; ``count`` is the k of ``at_least``."""

    kind: str = "all"
    count: int = 0


_JOIN = word(*JOINS)


def read_join(value: object) -> JoinDefinition:
    """A word, or ``{at_least: k}``."""
    if isinstance(value, dict) and set(value) == {"at_least"}:
        try:
            return JoinDefinition(kind="at_least", count=integer(1)(value["at_least"]))
        except PydanticCustomError as error:
            raise_at([("at_least", error)])
    if value == "at_least":
        raise problem(rules.WRONG_KIND, "`at_least` needs a number", "Write `join: {at_least: 2}`.")
    if isinstance(value, str):
        return JoinDefinition(kind=_JOIN.read(value))
    raise problem(rules.WRONG_KIND, f"`join` is one of {', '.join(JOINS)} or {{at_least: k}}, not {kind_of(value)}")


_AT_LEAST = {"type": "object", "properties": {"at_least": {"type": "integer", "minimum": 1}}, "required": ["at_least"]}
Join = Annotated[JoinDefinition, Kind(read_join, {"anyOf": [{"enum": list(JOINS)}, _AT_LEAST]})]


def read_outputs(value: object) -> Json:
    """A list of field names (given back as a tuple), a mapping of templates, or one ``${…}``."""
    if isinstance(value, list):
        return read_texts(value)
    if isinstance(value, dict) or (isinstance(value, str) and is_one_template(value)):
        return value
    hint = (
        f"Write `outputs: [{value}]` to expose that field." if isinstance(value, str) and value.isidentifier() else None
    )
    text = f"`outputs` is a list of field names or a mapping of templates, not {kind_of(value)}"
    raise problem(rules.WRONG_KIND, text, hint)


_OUTPUTS = {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "object"}, {"type": "string"}]}


def _read_inner(value: object, info: ValidationInfo) -> object:
    """The id of a node, or a node without id or type of its own."""
    if not isinstance(value, dict):
        return read_reference(value)
    kind = next((kind for kind in ("agent", "tool") if kind in value or f"{kind}_id" in value), None)
    kind = "sub_workflow" if kind is None and "workflow_id" in value else kind
    defaults = {"id": UNNAMED_COMPENSATION, **({"type": kind} if kind else {})}
    return read_node({**defaults, **value}, info)


@common_model
class NodeDefinition(Model):
    """What nodes of all types have in common. ``outputs`` is None, a tuple of field names, or a template."""

    noun: ClassVar[str] = "a node"
    aliases: ClassVar[Mapping[str, str]] = {"depends_on": "dependencies"}
    has_config: ClassVar[bool] = True

    id: Id = Field(description="Unique within the graph.")
    type: Annotated[str, word(*TYPES)] = Field(description="What the node is.")
    name: Label = Field("", description="Name for people.")
    dependencies: Ids = Field((), description="Nodes that come before this one.")
    when: Expression | None = Field(None, description="Expression; when false the node is skipped.")
    on_skip: Annotated[str, word("skip", "continue")] = Field(
        "skip", description="What a false `when` means for the edges: dead, or alive with output null."
    )
    inputs: Inputs = Field(default_factory=dict, description="Named templates.")
    outputs: Annotated[Json, Kind(read_outputs, _OUTPUTS)] = Field(
        None, description="Names of the fields exposed, or a mapping of templates over `${output}`."
    )
    timeout: Duration | None = Field(None, description="Time limit of each attempt.")
    max_wait: Duration | None = Field(None, description="How long an attempt may wait in the queue of its workers.")
    retry_policy: RetryPolicies = Field((), description="Attempts after a failure.")
    fallback: Fallback | None = Field(None, description="Tried once when attempts are used up.")
    on_error: OnError = Field((), description="What a failure means for the graph.")
    compensate: Annotated[Json, BeforeValidator(_read_inner)] = Field(
        None, description="Node (id or definition) that undoes this one."
    )
    join: Join = Field(JoinDefinition(), description="When the node runs, given its edges.")
    priority: Priority = Field(0, description="Higher runs first.")
    limiter: LimiterNames = Field((), description="Name of the limiter that its attempts take of, or a list of names.")
    cost: CostDefinition | None = Field(None, description="What an attempt is expected to need of its limiters.")
    callback: CallbackDefinition | None = Field(None, description="Wait until somebody completes the task token.")
    metadata: Object = Field(default_factory=dict, description="Free; any keys.")

    @classmethod
    def with_defaults(cls, fields: dict[str, Any], reading: Reading) -> dict[str, Any]:
        kind = fields.get("type")
        defaults = reading.defaults.get(kind) if isinstance(kind, str) else None
        return {**cls.fitting(defaults, fields), **fields} if defaults else fields

    @classmethod
    def may_lack(cls, fields: Mapping[str, Any], reading: Reading) -> bool:
        return fields.get("type") in reading.unsure_types

    @classmethod
    def fitting(cls, defaults: Mapping[str, Any], _fields: dict[str, Any]) -> dict[str, Any]:
        """Those defaults that make sense for a node with these fields."""
        return {name: value for name, value in defaults.items() if name in cls.model_fields}


Node = Annotated[NodeDefinition, PlainValidator(read_node), WithJsonSchema({"x-ref": "Node"})]
"""A node of the class that its type names."""
