"""Nodes that the dispatcher runs itself: switch, condition, parallel, pass, fail, succeed and aggregation."""

from __future__ import annotations

from workflow_runtime.engine import failure
from workflow_runtime.engine.aggregation import aggregate, operand_values
from workflow_runtime.engine.matching import case_matches
from workflow_runtime.engine.orders import order
from workflow_runtime.engine.recording import COLLECTING, record
from workflow_runtime.engine.scope import GraphScope
from workflow_runtime.engine.state import ALIVE_MARKS, Mark
from workflow_runtime.errors import NodeError
from workflow_runtime.language.expressions import Scope, render_text
from workflow_runtime.plan.specs import (
    AggregationSpec,
    ConditionSpec,
    FailSpec,
    GatherSpec,
    ParallelSpec,
    PassSpec,
    SucceedSpec,
    SwitchSpec,
)

DECISION_BYTES_MAX = 1024 * 1024  # beyond this a worker aggregates, not the dispatcher that all events wait for


def decide(scope: GraphScope, node: int) -> None:
    """Run one such node to its end. Raises `ValuesMissing`, `EvaluationError`, `NodeError`."""
    plan = scope.block.nodes[node]
    if isinstance(plan.spec, COLLECTING) and scope.graph.values_bytes.get(node, 0) > DECISION_BYTES_MAX:
        order(scope, node)
        return
    match plan.spec:
        case SwitchSpec() as switch:
            _select(scope, node, _switch_targets(scope, node, switch))
        case ConditionSpec(condition=condition, then=then, otherwise=otherwise):
            _select(scope, node, then if scope.evaluate(condition, node) else otherwise)
        case ParallelSpec(branches=branches):
            _select(scope, node, branches)
        case GatherSpec() as gather:
            _gather(scope, node, gather)
        case PassSpec():
            record(scope, node, scope.evaluate(plan.inputs, node) if plan.inputs is not None else {})
        case AggregationSpec() as spec:
            view = scope.view(plan.worker_formulas, node, spec.operands)
            record(scope, node, aggregate(spec, operand_values(spec, scope.block, view), view))
        case FailSpec(error=error, message=message):
            kind = render_text(scope.evaluate(error, node), Scope({}))
            raise NodeError(kind or "execution_error", render_text(scope.evaluate(message, node), Scope({})))
        case SucceedSpec(output=output):
            record(scope, node, scope.evaluate(output, node) if output is not None else None)
            succeed_scope(scope, node)


def _switch_targets(scope: GraphScope, node: int, switch: SwitchSpec) -> tuple[int, ...]:
    value = scope.evaluate(switch.condition, node) if switch.condition is not None else None
    for case in switch.cases:
        if case.when is not None:
            matches = bool(scope.evaluate(case.when, node))
        else:
            matches = case.is_default or any(case_matches(value, wanted) for wanted in case.values or ())
        if matches:
            return case.targets
    return ()


def _select(scope: GraphScope, node: int, targets: tuple[int, ...]) -> None:
    scope.selections[node] = targets
    record(scope, node, {"selected": [scope.block.nodes[target].id for target in targets]})


def _gather(scope: GraphScope, node: int, gather: GatherSpec) -> None:
    scope.end(node, Mark.SUCCESS)
    parallel = scope.block.nodes[gather.parallel].spec
    assert isinstance(parallel, ParallelSpec)
    if not parallel.cancel_rest or gather.branch:
        return
    for index, members in zip(scope.block.nodes[node].incoming, parallel.members, strict=True):
        if scope.graph.marks[scope.block.edges[index].source] in ALIVE_MARKS:
            continue  # this branch has succeeded
        for member in members:
            if scope.is_open(member):
                failure.withdraw(scope, member)


def succeed_scope(scope: GraphScope, node: int) -> None:
    """A succeed node ended: its scope completes now, and what is still open in it is cancelled.

    A scope that is failing goes on to fail: the node is one of its ``all_done`` nodes, and the others still run.
    """
    if scope.graph.failure is not None:
        return
    scope.graph.succeeded_by = node
    for other in range(len(scope.block.nodes)):
        if scope.is_open(other):
            failure.withdraw(scope, other)
