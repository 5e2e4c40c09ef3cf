"""Formulas: templates and expressions of a plan, their names resolved to where the values come from."""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from typing import Any

import msgspec

from workflow_runtime.language.enumerations import direct
from workflow_runtime.language.expressions import Expression, Template, compile_expression, compile_template
from workflow_runtime.language.json_values import Json


@direct
class BindingKind(StrEnum):
    """Where the value of a name comes from."""

    NODE = "node"  # output of node `node`
    NODES = "nodes"  # `nodes.<id>…`: status, error and output of node `node`
    PREVIOUS = "previous"  # output of the last alive predecessor in dependency order
    VARIABLE = "variable"  # the workflow variable of that name
    VARIABLES = "variables"  # all of them, as an object
    SCOPED = "scoped"  # variable of the innermost enclosing chart that has it; else workflow variable or input key
    EVENT = "event"  # the event at hand: {name, data, id, source, at}
    INPUT_KEY = "input_key"  # top-level key of the execution input
    INPUT = "input"  # key `input` of the input if it has one, else the whole input
    EXECUTION = "execution"  # {id, input, started_at, attempt}
    WORKFLOW = "workflow"  # {id, name, version}
    TIME = "time"  # `now`, `current_time`
    ENV = "env"  # deployment settings
    SECRETS = "secrets"  # resolved in the worker only
    LOOP = "loop"  # of the innermost loop around: its item, `index`, `previous_iteration`, `iterations`
    LOCAL = "local"  # given by the evaluator: `inputs`, `output`, `error`, `item`


PREVIOUS = BindingKind.PREVIOUS  # asked of every formula; Python 3.11 looks members of enumerations up slowly


GLOBAL_KINDS = frozenset(
    {
        BindingKind.VARIABLE,
        BindingKind.VARIABLES,
        BindingKind.INPUT_KEY,
        BindingKind.INPUT,
        BindingKind.EXECUTION,
        BindingKind.ENV,
    }
)
"""What is fixed when an execution is created: read from its input item, not from node runs."""

CHART_KINDS = frozenset({BindingKind.SCOPED, BindingKind.VARIABLES})
"""What charts may have a value for."""


class Binding(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One root name of a formula and its source. ``node`` is a plan-wide number (NODE and NODES only)."""

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

    def ready(self, compiled: Expression | Template) -> Formula:
        """This formula with what its source has been compiled to, so that nobody compiles it again."""
        self.__dict__["compiled"] = compiled  # where `cached_property` keeps it
        return self

    @cached_property
    def is_constant(self) -> bool:
        """Whether it is a template in which nothing is evaluated."""
        return isinstance(self.compiled, Template) and self.compiled.is_constant

    @cached_property
    def nodes(self) -> tuple[int, ...]:
        """Indices of the nodes it reads, ``previous`` apart, in ascending order."""
        return tuple(sorted({binding.node for binding in self.bindings if binding.node >= 0}))

    @cached_property
    def kinds(self) -> frozenset[BindingKind]:
        return frozenset(binding.kind for binding in self.bindings)

    @cached_property
    def asks_charts(self) -> bool:
        """Whether what it yields may depend on the charts around it."""
        return self.asks_states or not CHART_KINDS.isdisjoint(self.kinds)

    @cached_property
    def asks_states(self) -> bool:
        """Whether it may call ``in_state``."""
        return "in_state" in str(self.source)


def formulas_in(value: msgspec.Struct | tuple[Any, ...]) -> list[Formula]:
    """Every formula in a part of a plan (a struct, or a tuple of them), in the order of the fields.

    So what evaluates a part asks the part itself; no list of its formulas is kept anywhere else.
    """
    found: list[Formula] = []
    _collect(value, found)
    return found


def _collect(value: Any, found: list[Formula]) -> None:
    """Most of what a part holds is no formula and holds none: that is told before it is gone into."""
    if isinstance(value, Formula):
        found.append(value)
        return
    inner = value if isinstance(value, tuple) else [getattr(value, field) for field in value.__struct_fields__]
    for item in inner:
        if isinstance(item, (msgspec.Struct, tuple)):
            _collect(item, found)
