"""The plan: what the compiler makes of a definition and the engine executes. Immutable, named by its hash, stored once.

A plan is a tree of *blocks*; a block is a graph of nodes and edges (`graph`). Nodes and edges refer to each other by
index into their block's tuples, so that the engine's state is a byte per node and its bookkeeping is integer
arithmetic. What a node does is its *spec* (`specs`). Everything that was a template or an expression in the definition
is a *formula* (`formulas`): its source text and, per name in it, a binding that says where the value comes from. Names
are resolved by the compiler, never at run time.

Imports the standard library, msgspec and `expressions` only. A plan never knows how it is stored or run.
"""

from __future__ import annotations

import hashlib
from functools import cached_property

import msgspec

from workflow_runtime.plan.formulas import (
    GLOBAL_KINDS,
    Binding,
    BindingKind,
    Formula,
    Json,
)
from workflow_runtime.plan.graph import (
    OUTPUTS,
    Edge,
    EdgeKind,
    GraphBlock,
    Join,
    JoinKind,
    NodePlan,
    looks_through,
)
from workflow_runtime.plan.specs import (
    AgentSpec,
    AggregationSpec,
    ConditionSpec,
    FailSpec,
    GatherSpec,
    NodeType,
    ParallelSpec,
    PassSpec,
    Spec,
    SucceedSpec,
    SwitchCase,
    SwitchSpec,
    ToolSpec,
)

__all__ = [
    "GLOBAL_KINDS",
    "OUTPUTS",
    "PLAN_SCHEMA",
    "AgentSpec",
    "AggregationSpec",
    "Binding",
    "BindingKind",
    "ConditionSpec",
    "Edge",
    "EdgeKind",
    "FailSpec",
    "Formula",
    "GatherSpec",
    "GraphBlock",
    "Join",
    "JoinKind",
    "Json",
    "NodePlan",
    "NodeType",
    "ParallelSpec",
    "PassSpec",
    "Plan",
    "Spec",
    "SucceedSpec",
    "SwitchCase",
    "SwitchSpec",
    "ToolSpec",
    "Variable",
    "decode_plan",
    "encode_plan",
    "looks_through",
]

PLAN_SCHEMA = 1
"""Number of this layout; a plan with a higher one was written by a newer deployment and is refused."""


class Variable(msgspec.Struct, frozen=True):
    name: str
    value: Formula
    overridable: bool = True  # an input key of this name replaces the value


class Plan(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """A compiled workflow. ``input_paths`` and ``variable_paths``: what the dispatcher's decisions read of them."""

    workflow_id: str
    root: GraphBlock
    schema: int = PLAN_SCHEMA
    workflow_name: str = ""
    workflow_version: str = ""  # the author's free text; stored versions are numbered by the catalogue
    input_schema: Json = None
    output_schema: Json = None
    variables: tuple[Variable, ...] = ()
    timeout_seconds: float | None = None
    max_concurrency: int = 0
    priority: int = 0
    events: tuple[str, ...] = ("execution", "state")
    input_paths: tuple[tuple[str, ...], ...] = ()
    variable_paths: tuple[tuple[str, ...], ...] = ()

    @cached_property
    def hash(self) -> str:
        """The plan's name: 160 bits of the SHA-256 of its canonical encoding, as 40 hex digits."""
        return hashlib.sha256(encode_plan(self)).hexdigest()[:40]


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Plan)


def encode_plan(plan: Plan) -> bytes:
    """The canonical encoding: equal plans give equal bytes."""
    return _encoder.encode(plan)


def decode_plan(data: bytes) -> Plan:
    """The plan of these bytes. Raises `msgspec.ValidationError` for anything that is no plan of this schema."""
    plan = _decoder.decode(data)
    if plan.schema > PLAN_SCHEMA:
        raise msgspec.ValidationError(f"plan schema {plan.schema} is newer than this runtime's {PLAN_SCHEMA}")
    return plan
