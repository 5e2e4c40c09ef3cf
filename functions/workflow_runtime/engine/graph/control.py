"""Nodes that the dispatcher runs itself: switch, condition, parallel, pass, fail, succeed and aggregation.

Each function runs one such node to its end. Raises `ValuesMissing`, `EvaluationError`, `NodeError`.
"""

from __future__ import annotations

from collections.abc import Callable

from workflow_runtime.engine.graph.failure import withdraw
from workflow_runtime.engine.graph.outcome import Yielded, ended
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.graph.work import order
from workflow_runtime.engine.lifecycle import ALIVE_MARKS, Change
from workflow_runtime.engine.tables import entered
from workflow_runtime.engine.values.aggregation import aggregate, operand_values
from workflow_runtime.errors import NodeError
from workflow_runtime.language.expressions import Scope, equals, render_text
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.edges import EdgeKind
from workflow_runtime.plan.specs import (
    AggregationSpec,
    ConditionSpec,
    FailSpec,
    GatherSpec,
    ParallelSpec,
    SucceedSpec,
    SwitchSpec,
)

DECISION_BYTES_MAX = 1024 * 1024  # beyond this a worker puts values together, not the dispatcher that events wait for


def unless_large(start: Callable[[GraphScope, int], None]) -> Callable[[GraphScope, int], None]:
    """The same for a node that puts values together: a worker does it when they are too large."""

    def start_here_or_order(scope: GraphScope, node: int) -> None:
        if scope.graph.values_bytes.get(node, 0) > DECISION_BYTES_MAX:
            order(scope, node)
        else:
            start(scope, node)

    return start_here_or_order


def switch(scope: GraphScope, node: int) -> None:
    spec = scope.block.nodes[node].spec
    assert isinstance(spec, SwitchSpec)
    _select(scope, node, _switch_targets(scope, node, spec))


def condition(scope: GraphScope, node: int) -> None:
    spec = scope.block.nodes[node].spec
    assert isinstance(spec, ConditionSpec)
    _select(scope, node, spec.then if scope.evaluate(spec.condition, node) else spec.otherwise)


def parallel(scope: GraphScope, node: int) -> None:
    spec = scope.block.nodes[node].spec
    assert isinstance(spec, ParallelSpec)
    _select(scope, node, spec.branches)


def pass_on(scope: GraphScope, node: int) -> None:
    inputs = scope.block.nodes[node].inputs
    ended(scope, node, Yielded(scope.evaluate(inputs, node) if inputs is not None else {}))


def aggregation(scope: GraphScope, node: int) -> None:
    plan = scope.block.nodes[node]
    assert isinstance(plan.spec, AggregationSpec)
    view = scope.view(plan.worker_formulas, node, plan.spec.operands)
    ended(scope, node, Yielded(aggregate(plan.spec, operand_values(plan.spec, scope.block, view), view)))


def fail(scope: GraphScope, node: int) -> None:
    spec = scope.block.nodes[node].spec
    assert isinstance(spec, FailSpec)
    kind = render_text(scope.evaluate(spec.error, node), Scope({}))
    raise NodeError(kind or "execution_error", render_text(scope.evaluate(spec.message, node), Scope({})))


def succeed(scope: GraphScope, node: int) -> None:
    spec = scope.block.nodes[node].spec
    assert isinstance(spec, SucceedSpec)
    ended(scope, node, Yielded(scope.evaluate(spec.output, node) if spec.output is not None else None))


def gather(scope: GraphScope, node: int) -> None:
    spec = scope.block.nodes[node].spec
    assert isinstance(spec, GatherSpec)
    scope.end(node, Change.SUCCEED)
    fork = scope.block.nodes[spec.parallel].spec
    assert isinstance(fork, ParallelSpec)
    if not fork.cancel_rest or spec.branch:
        return
    for index, members in zip(scope.block.nodes[node].incoming, fork.members, strict=True):
        if scope.graph.marks[scope.block.edges[index].source] in ALIVE_MARKS:
            continue  # this branch has succeeded
        for member in members:
            if scope.is_open(member):
                withdraw(scope, member)


def _switch_targets(scope: GraphScope, node: int, spec: SwitchSpec) -> tuple[int, ...]:
    value = scope.evaluate(spec.condition, node) if spec.condition is not None else None
    for case in spec.cases:
        if case.when is not None:
            matches = bool(scope.evaluate(case.when, node))
        else:
            matches = case.is_default or any(case_matches(value, wanted) for wanted in case.values or ())
        if matches:
            return case.targets
    return ()


def _select(scope: GraphScope, node: int, targets: tuple[int, ...]) -> None:
    scope.selections = entered(scope.selections, node, targets)
    ended(scope, node, Yielded({"selected": [scope.block.nodes[target].id for target in targets]}))
    for index in scope.block.nodes[node].outgoing:
        edge = scope.block.edges[index]
        if edge.kind is EdgeKind.GATE and edge.target not in targets:
            scope.graph.untaken[index] = True  # also of a target that no longer waits: it may run again later


def case_matches(value: Json, wanted: Json) -> bool:
    """Whether a case equals the value it is compared with.

    By JSON value; a string also matches a number or boolean of the same text, both ways; only null matches null.
    """
    if equals(value, wanted):
        return True
    if isinstance(value, str):
        return isinstance(wanted, (bool, int, float)) and value == _text(wanted)
    return isinstance(wanted, str) and isinstance(value, (bool, int, float)) and wanted == _text(value)


def _text(value: bool | float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
