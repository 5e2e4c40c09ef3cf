"""What one entry of the tables holds: `NodeKind` for a type of node, `ActionKind` for an action of a chart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from itertools import chain
from typing import Any, Protocol, TypeAlias

import msgspec

from workflow_runtime.compiler.report import DocumentPath, Report
from workflow_runtime.definition.fields import MISSING
from workflow_runtime.definition.policies import RetryPolicy as RetryPolicyDefinition
from workflow_runtime.definition.reading import Model
from workflow_runtime.language.enumerations import direct
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.templates import has_template
from workflow_runtime.plan.actions import Action
from workflow_runtime.plan.catalogue import Catalogue
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.policies import RetryPolicy
from workflow_runtime.plan.specs import MachineSpec, Spec

Target: TypeAlias = tuple[str, DocumentPath]
"""The id of a node that a node names, and where in it."""


@direct
class Over(Enum):
    """What a formula reads besides the names of its scope."""

    EXECUTION = "execution"
    EVENT_TOO = "event_too"  # an event is at hand, as `event`
    EVENT_ALONE = "event_alone"  # of the bus: every name is one of the event's own


class FormulaField(msgspec.Struct, frozen=True):
    """A field that holds a template or, with ``is_expression``, an expression.

    - ``path``: its place in the model; `EACH` stands for every entry of a list
    - ``locals``: names that exist here only
    - ``or_number``: a number in it is taken as it is, not as a template
    - ``or_id``: so is an id
    """

    path: tuple[str, ...]
    is_expression: bool = False
    locals: frozenset[str] = frozenset()
    over: Over = Over.EXECUTION
    or_number: bool = False
    or_id: bool = False

    def takes(self, value: Json) -> bool:
        """Whether a value in this field is a formula."""
        if self.or_id:
            return has_template(value)
        return not (self.or_number and isinstance(value, int | float))


EACH = "*"


def template(*path: str, over: Over = Over.EXECUTION, or_number: bool = False, or_id: bool = False) -> FormulaField:
    return FormulaField(path, over=over, or_number=or_number, or_id=or_id)


def expression(*path: str, locals: frozenset[str] = frozenset(), over: Over = Over.EXECUTION) -> FormulaField:
    return FormulaField(path, True, locals, over)


def values_at(model: Model, field: FormulaField) -> list[tuple[DocumentPath, Json]]:
    """What the author wrote in a field, with its place in the model; nothing if it is absent or no formula."""
    return _values(model, field, field.path, ())


def _values(
    model: Model, field: FormulaField, path: tuple[str, ...], place: DocumentPath
) -> list[tuple[DocumentPath, Json]]:
    name = path[0]
    value = getattr(model, name)
    if len(path) > 1:
        entries = [_values(item, field, path[2:], (*place, name, number)) for number, item in enumerate(value)]
        return list(chain.from_iterable(entries))
    is_written = value is not MISSING and (value is not None or name in model.keeps_null)
    return [((*place, name), value)] if is_written and field.takes(value) else []


class Body(msgspec.Struct, frozen=True):
    """The graph that a loop repeats: its number, the plan-wide numbers of the nodes outside that are read inside, and
    whether passes read the results of earlier ones."""

    number: int
    reads: tuple[int, ...] = ()
    is_chained: bool = False


class NodeParts(Protocol):
    """What the stages before `build` have settled about one node."""

    @property
    def members(self) -> tuple[tuple[int, ...], ...]:
        """The nodes of each branch of a parallel node."""

    @property
    def operands(self) -> tuple[int, ...]:
        """The nodes before it, control nodes looked through."""

    @property
    def machine(self) -> MachineSpec:
        """Of a state machine: its chart."""

    @property
    def body(self) -> Body:
        """Of a loop: its graph."""

    @property
    def correlated(self) -> int:
        """The number of the trigger that brings events of the bus here; -1: none does."""

    def formula(self, *path: str | int) -> Formula | None:
        """What stands at one of the kind's fields, if anything does."""

    def required(self, *path: str | int) -> Formula:
        """The same of a field that is always there."""

    def nodes(self, names: tuple[str, ...]) -> tuple[int, ...]:
        """The indices of ids, in order, each once."""

    def retries(self, policies: tuple[RetryPolicyDefinition, ...]) -> tuple[RetryPolicy, ...]:
        """Retry policies as a plan has them."""


class Checking(msgspec.Struct, frozen=True):
    """One node to be checked. ``catalogue`` None: which agents and tools there are is not known.

    - ``place``: where the node stands
    - ``unread``: whether one of these fields could not be read
    - ``is_call``: it stands for an action, which has its inputs
    """

    place: DocumentPath
    catalogue: Catalogue | None
    report: Report
    unread: Callable[..., bool]
    is_call: bool = False


def named_ids(id: str, allow: tuple[str, ...], field: str) -> list[tuple[str, str]]:
    """The ids of something else that may be meant, each with the field that names it; an empty one could not be
    read."""
    named = [("allow", item) for item in allow] if allow else [(field, id)]
    return [(field, item) for field, item in named if item and not has_template(item)]


def _no_targets(_: Any) -> Iterator[Target]:
    return iter(())


def _no_check(_: Any, __: Checking) -> None:
    return None


def _unknown(_: Any, __: Catalogue | None) -> Json:
    return None


def _no_spec(node: Any, _: NodeParts) -> Spec:
    raise AssertionError(f"a node of type {node.type} has passed the stage that refuses it")


class NodeKind(msgspec.Struct, frozen=True, kw_only=True):
    """A type of node.

    - ``formulas``: its own fields, besides `when`, `inputs` and `outputs`, which all nodes have
    - ``targets``: the nodes that it selects or starts, in file order
    - ``gates``: only one that it selects runs
    - ``calls``: the nodes that it may call, which have no edges
    - ``check``: what one node alone tells
    - ``output``: the JSON Schema of its output, before `outputs` choose from it; None: it is not known
    - ``pool``: the worker pool that runs it unless it names another; None: the dispatcher runs it
    - ``may_read_secrets``: in its inputs
    - ``reads_inputs``, ``has_fields``: whether `inputs` and a list of `outputs` mean something
    - ``has_shape``: whether `outputs` shapes the output of the node itself
    - ``takes_time``: whether `timeout` means something
    - ``own_timeout``: a field of the type itself
    - ``yields``: whether a sink of this type contributes to what the graph yields
    - ``is_looked_through``: by `previous` and aggregations
    - ``ends_scope``: nothing behind it runs
    - ``combines``: it takes the outputs of those before it
    - ``has_policies``: whether `retry_policy`, `on_error` and `compensate` mean something
    - ``may_undo``: whether it may be a compensation
    """

    formulas: tuple[FormulaField, ...] = ()
    targets: Callable[[Any], Iterator[Target]] = _no_targets
    gates: bool = True
    calls: Callable[[Any], Iterator[Target]] = _no_targets
    check: Callable[[Any, Checking], None] = _no_check
    output: Callable[[Any, Catalogue | None], Json] = _unknown
    spec: Callable[[Any, NodeParts], Spec] = _no_spec
    pool: str | None = None
    may_read_secrets: bool = False
    reads_inputs: bool = False
    has_fields: bool = False
    has_shape: bool = True
    takes_time: bool = False
    own_timeout: bool = False
    yields: bool = True
    is_looked_through: bool = False
    ends_scope: bool = False
    combines: Callable[[Any], bool] = lambda _: False
    has_policies: bool = False
    may_undo: bool = False


class ActionParts(Protocol):
    """What the stages before `build` have settled about one action."""

    @property
    def call(self) -> int:
        """Of an action that calls an agent or a tool: the number of the call in its chart."""

    def formula(self, name: str) -> Formula | None:
        """What stands in one of the kind's fields, if anything does."""

    def required(self, name: str) -> Formula:
        """The same of a field that is always there."""

    def actions(self, name: str) -> tuple[Action, ...]:
        """Those nested in a field."""


def _no_action(action: Any, _: ActionParts) -> Action:
    raise AssertionError(f"an action {type(action).__name__} has passed the loader")


class ActionKind(msgspec.Struct, frozen=True, kw_only=True):
    """An action of a chart.

    - ``blocks``: the fields that hold further actions
    - ``gives``: the names that those see besides the others
    """

    formulas: tuple[FormulaField, ...] = ()
    blocks: tuple[str, ...] = ()
    gives: Callable[[Any], frozenset[str]] = lambda _: frozenset()
    build: Callable[[Any, ActionParts], Action] = _no_action
