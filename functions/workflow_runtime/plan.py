"""The plan: what the compiler makes of a definition and the engine executes. Immutable, named by its hash, stored once.

A plan is a tree of *blocks*; a block is a graph of nodes and edges. Nodes and edges refer to each other by index into
their block's tuples, so that the engine's state is a byte per node and its bookkeeping is integer arithmetic.
Everything that was a template or an expression in the definition is a `Formula` here: its source text and, per name in
it, a `Binding` that says where the value comes from. Names are resolved by the compiler, never at run time.

Imports the standard library, msgspec and `expressions` only. A plan never knows how it is stored or run.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from functools import cached_property
from typing import Any, TypeAlias

import msgspec

from workflow_runtime.expressions import Expression, Template, compile_expression, compile_template

Json: TypeAlias = Any
"""A JSON value: None, bool, int, float, str, list of Json, dict of str to Json."""

PLAN_SCHEMA = 1
"""Number of this layout; a plan with a higher one was written by a newer deployment and is refused."""


class BindingKind(StrEnum):
    """Where the value of a name comes from (language §3)."""

    NODE = "node"  # output of node `node`
    NODES = "nodes"  # `nodes.<id>…`: status, error and output of node `node`
    PREVIOUS = "previous"  # output of the last alive predecessor in dependency order
    VARIABLE = "variable"  # the workflow variable of that name
    VARIABLES = "variables"  # all of them, as an object
    INPUT_KEY = "input_key"  # top-level key of the execution input
    INPUT = "input"  # key `input` of the input if it has one, else the whole input
    EXECUTION = "execution"  # {id, input, started_at, attempt}
    WORKFLOW = "workflow"  # {id, name, version}
    TIME = "time"  # `now`, `current_time`
    ENV = "env"  # deployment settings
    SECRETS = "secrets"  # resolved in the worker only
    LOCAL = "local"  # given by whoever evaluates: `inputs`, `output`, `error`, `item`


class Binding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One root name of a formula and its source. ``node`` is an index into the block's nodes (NODE and NODES only)."""

    name: str
    kind: BindingKind
    node: int = -1


class Formula(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """An expression (``source`` is its text) or a template (``source`` is any JSON with ``${…}`` in its strings)."""

    source: Json
    bindings: tuple[Binding, ...] = ()
    is_expression: bool = False

    @cached_property
    def compiled(self) -> Expression | Template:
        """Ready to ``evaluate(scope)``; compiled at first use and kept as long as the plan."""
        return compile_expression(self.source) if self.is_expression else compile_template(self.source)

    @cached_property
    def nodes(self) -> tuple[int, ...]:
        """Indices of the nodes it reads, ``previous`` apart, in ascending order."""
        return tuple(sorted({binding.node for binding in self.bindings if binding.node >= 0}))

    @cached_property
    def kinds(self) -> frozenset[BindingKind]:
        return frozenset(binding.kind for binding in self.bindings)


class NodeType(StrEnum):
    AGENT = "agent"
    TOOL = "tool"
    CONTROL = "control"
    AGGREGATION = "aggregation"


class AgentSpec(msgspec.Struct, frozen=True, omit_defaults=True, tag="agent"):
    """Run an agent. ``agent`` is an id, or a formula that may only yield one of ``allow``."""

    agent: str | Formula
    allow: tuple[str, ...] = ()
    prompt: Formula | None = None
    output_schema: Json = None


class ToolSpec(msgspec.Struct, frozen=True, omit_defaults=True, tag="tool"):
    """Run a tool. ``tool`` is an id, or a formula that may only yield one of ``allow``."""

    tool: str | Formula
    allow: tuple[str, ...] = ()


class SwitchCase(msgspec.Struct, frozen=True, omit_defaults=True):
    """Selects ``targets`` (node indices) when the condition equals one of ``values``, or when ``when`` holds, or (neither given) by default."""

    targets: tuple[int, ...]
    values: tuple[Json, ...] | None = None
    when: Formula | None = None

    @property
    def is_default(self) -> bool:
        return self.values is None and self.when is None


class SwitchSpec(msgspec.Struct, frozen=True, omit_defaults=True, tag="switch"):
    """First matching case wins. The default case, if any, stands last whatever its place in the file."""

    condition: Formula | None
    cases: tuple[SwitchCase, ...]


class ConditionSpec(msgspec.Struct, frozen=True, omit_defaults=True, tag="condition"):
    condition: Formula
    then: tuple[int, ...] = ()
    otherwise: tuple[int, ...] = ()


class ParallelSpec(msgspec.Struct, frozen=True, omit_defaults=True, tag="parallel"):
    """Starts its branches. ``members[i]``: the nodes of branch i (its head first and what only it leads to).

    Whoever waits for the parallel node has edges from the branches' ends, or from one `GatherSpec` node
    (``wait_all: false``), made by the compiler. ``cancel_rest``: the first branch to succeed cancels the others.
    """

    branches: tuple[int, ...]
    members: tuple[tuple[int, ...], ...]
    max_concurrency: int = 0
    wait_all: bool = True
    cancel_rest: bool = False


class GatherSpec(msgspec.Struct, frozen=True, omit_defaults=True, tag="gather"):
    """Made by the compiler, never by an author, and hidden from documents (its id starts with ``~``).

    With ``branch`` False it stands for "the first branch of ``parallel`` to succeed" and has join ``any``; with ``branch``
    True it stands for the end of one branch that has several end nodes and has join ``all_success``.
    """

    parallel: int
    branch: bool = False


class PassSpec(msgspec.Struct, frozen=True, tag="pass"):
    """Output: its rendered inputs."""


class FailSpec(msgspec.Struct, frozen=True, omit_defaults=True, tag="fail"):
    error: Formula
    message: Formula


class SucceedSpec(msgspec.Struct, frozen=True, omit_defaults=True, tag="succeed"):
    """Completes its scope now; the scope's output is ``output`` when given, else what the scope's outputs say."""

    output: Formula | None = None


class AggregationSpec(msgspec.Struct, frozen=True, omit_defaults=True, tag="aggregation"):
    """Combines ``operands`` (nodes in dependency order, control nodes looked through) or the list ``items``."""

    strategy: str
    operands: tuple[int, ...] = ()
    items: Formula | None = None
    field: str | None = None
    score: Formula | None = None
    value: Formula | None = None
    ties: str = "first"
    min_votes: str | int | None = None
    detail: bool = False
    default: Formula | None = None


Spec: TypeAlias = (
    AgentSpec
    | ToolSpec
    | SwitchSpec
    | ConditionSpec
    | ParallelSpec
    | GatherSpec
    | PassSpec
    | FailSpec
    | SucceedSpec
    | AggregationSpec
)


class JoinKind(StrEnum):
    ALL = "all"
    ALL_SUCCESS = "all_success"
    ANY = "any"
    AT_LEAST = "at_least"
    ALL_DONE = "all_done"


class Join(msgspec.Struct, frozen=True, omit_defaults=True):
    kind: JoinKind = JoinKind.ALL
    count: int = 0


class EdgeKind(StrEnum):
    FLOW = "flow"  # alive when its source succeeded and its condition holds
    GATE = "gate"  # from a switch or condition to a target: alive when selected
    ORDER = "order"  # neither alive nor dead: the target only waits for the source's end


class Edge(msgspec.Struct, frozen=True, omit_defaults=True):
    source: int
    target: int
    kind: EdgeKind = EdgeKind.FLOW
    condition: Formula | None = None


class NodePlan(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """One node. ``incoming`` (edge indices) is in dependency order; ``outgoing`` in file order of the targets.

    ``pool`` names the worker pool that runs it; None means that the dispatcher does, without a queue hop.
    ``decision_paths`` are the paths of its output that decisions read (``()`` is the whole): its worker attaches their values.
    ``output_fields`` and ``shape`` are the two forms of the definition's ``outputs``; at most one is set.
    """

    id: str
    type: NodeType
    spec: Spec
    incoming: tuple[int, ...] = ()
    outgoing: tuple[int, ...] = ()
    join: Join = Join()
    pool: str | None = None
    name: str = ""
    inputs: Formula | None = None
    output_fields: tuple[str, ...] | None = None
    shape: Formula | None = None
    when: Formula | None = None
    continue_on_skip: bool = False
    timeout_seconds: float | None = None
    priority: int = 0
    decision_paths: tuple[tuple[str, ...], ...] = ()

    @property
    def hidden(self) -> bool:
        return isinstance(self.spec, GatherSpec)

    @cached_property
    def decision_formulas(self) -> tuple[Formula, ...]:
        """What the dispatcher evaluates when this node is due, edge conditions apart."""
        formulas: list[Formula | None] = [self.when]
        match self.spec:
            case SwitchSpec(condition=condition, cases=cases):
                formulas += [condition, *(case.when for case in cases)]
            case ConditionSpec(condition=condition):
                formulas += [condition]
            case PassSpec():
                formulas += [self.inputs]
            case FailSpec(error=error, message=message):
                formulas += [error, message]
            case SucceedSpec(output=output):
                formulas += [output]
            case AggregationSpec(items=items, score=score, value=value, default=default):
                formulas += [items, score, value, default]
        if self.pool is None:
            formulas += [self.shape]
        return tuple(formula for formula in formulas if formula is not None)

    @cached_property
    def worker_formulas(self) -> tuple[Formula, ...]:
        """What the worker evaluates when it runs this node."""
        if self.pool is None:
            return tuple(formula for formula in self.decision_formulas if formula is not self.when)
        formulas: list[Formula | None] = [self.inputs, self.shape]
        match self.spec:
            case AgentSpec(agent=target, prompt=prompt):
                formulas += [prompt, target if isinstance(target, Formula) else None]
            case ToolSpec(tool=target):
                formulas += [target if isinstance(target, Formula) else None]
        return tuple(formula for formula in formulas if formula is not None)


class GraphBlock(msgspec.Struct, frozen=True, dict=True):
    """A graph scope: nodes, edges, and what it yields.

    ``outputs``: the author's template; without it ``sinks`` decide (one: its output; several: an object by node id of
    those that succeeded; none: null).
    """

    nodes: tuple[NodePlan, ...]
    edges: tuple[Edge, ...]
    sinks: tuple[int, ...] = ()
    outputs: Formula | None = None

    @cached_property
    def index(self) -> dict[str, int]:
        """Node index by id."""
        return {node.id: position for position, node in enumerate(self.nodes)}

    @cached_property
    def incoming_counts(self) -> tuple[tuple[int, int], ...]:
        """Per node: how many edges decide (flow and gate), and how many only order."""
        counts = [[0, 0] for _ in self.nodes]
        for edge in self.edges:
            counts[edge.target][edge.kind is EdgeKind.ORDER] += 1
        return tuple((deciding, ordering) for deciding, ordering in counts)


    @cached_property
    def limited_heads(self) -> dict[int, int]:
        """Of parallels with ``max_concurrency``: the parallel's index by branch head."""
        return {
            head: index
            for index, node in enumerate(self.nodes)
            if isinstance(node.spec, ParallelSpec) and node.spec.max_concurrency
            for head in node.spec.branches
        }

    @cached_property
    def limited_members(self) -> dict[int, tuple[int, ...]]:
        """Of parallels with ``max_concurrency``: the heads of the branches that a node belongs to."""
        found: dict[int, tuple[int, ...]] = {}
        for head, index in self.limited_heads.items():
            spec = self.nodes[index].spec
            if isinstance(spec, ParallelSpec):
                for member in spec.members[spec.branches.index(head)]:
                    found[member] = (*found.get(member, ()), head)
        return found

    @cached_property
    def readers(self) -> tuple[tuple[int, ...], ...]:
        """Per node: who decides something by its output: nodes (for an edge condition, the edge's source), or `OUTPUTS`."""
        found: list[set[int]] = [set() for _ in self.nodes]
        for reader, node in enumerate(self.nodes):
            for formula in node.decision_formulas:
                self._note(found, formula, reader)
            if isinstance(node.spec, AggregationSpec):
                for operand in node.spec.operands:
                    found[operand].add(reader)
            if isinstance(node.spec, SucceedSpec):
                found[reader].add(OUTPUTS)
        for edge in self.edges:
            if edge.condition is not None:
                self._note(found, edge.condition, edge.source)
        if self.outputs is not None:
            self._note(found, self.outputs, OUTPUTS)
        else:
            for sink in self.sinks:
                found[sink].add(OUTPUTS)
        return tuple(tuple(sorted(readers)) for readers in found)

    def _note(self, found: list[set[int]], formula: Formula, reader: int) -> None:
        for source in formula.nodes:
            found[source].add(reader)
        if BindingKind.PREVIOUS in formula.kinds and reader != OUTPUTS:
            for source in self.nodes_before(reader):
                found[source].add(reader)

    def yields(self, succeeded_by: int) -> tuple[Formula | None, tuple[int, ...]]:
        """What the scope's output is made of: a formula, or nodes' outputs (see `sinks`).

        ``succeeded_by``: the succeed node that ended the scope (-1: none did); its own ``output``, if given, is the scope's.
        """
        if succeeded_by >= 0:
            spec = self.nodes[succeeded_by].spec
            if isinstance(spec, SucceedSpec) and spec.output is not None:
                return None, (succeeded_by,)
        return self.outputs, () if self.outputs is not None else self.sinks

    def nodes_before(self, node: int) -> tuple[int, ...]:
        """What ``previous`` may mean at ``node``: its predecessors in dependency order, control nodes looked through."""
        found: dict[int, None] = {}
        pending = list(reversed(self.nodes[node].incoming))
        while pending:
            edge = self.edges[pending.pop()]
            if edge.kind is EdgeKind.ORDER:
                continue
            if looks_through(self.nodes[edge.source]):
                pending += reversed(self.nodes[edge.source].incoming)
            else:
                found[edge.source] = None
        return tuple(found)


OUTPUTS = -1
"""Stands for the scope's outputs where a reader is a node index."""


def looks_through(node: NodePlan) -> bool:
    """Whether ``previous`` and aggregations look through this node, upward to what ran before it (language §2.2)."""
    return isinstance(node.spec, (SwitchSpec, ConditionSpec, ParallelSpec, GatherSpec))


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
