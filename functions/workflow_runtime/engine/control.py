"""Nodes that the dispatcher runs itself: switch, condition, parallel, pass, fail, succeed and aggregation."""

from __future__ import annotations

from workflow_runtime.engine import failure
from workflow_runtime.engine.aggregation import aggregate, operand_values
from workflow_runtime.engine.commands import RecordNode
from workflow_runtime.engine.matching import case_matches
from workflow_runtime.engine.orders import order
from workflow_runtime.engine.state import Mark
from workflow_runtime.engine.turn import Turn
from workflow_runtime.errors import NodeError
from workflow_runtime.plan import (
    AggregationSpec,
    ConditionSpec,
    FailSpec,
    GatherSpec,
    Json,
    ParallelSpec,
    PassSpec,
    SucceedSpec,
    SwitchSpec,
)

DECISION_BYTES_MAX = 1024 * 1024  # beyond this a worker aggregates, not the dispatcher that all events wait for


COLLECTING = (AggregationSpec, PassSpec, SucceedSpec)
"""Specs that put values together, and that a worker runs when those are too large."""


def decide(turn: Turn, node: int) -> None:
    """Run one such node to its end. Raises `ValuesMissing`, `EvaluationError`, `NodeError`."""
    plan = turn.block.nodes[node]
    if isinstance(plan.spec, COLLECTING) and turn.graph.values_bytes.get(node, 0) > DECISION_BYTES_MAX:
        order(turn, node)
        return
    match plan.spec:
        case SwitchSpec() as switch:
            _select(turn, node, _switch_targets(turn, node, switch))
        case ConditionSpec(condition=condition, then=then, otherwise=otherwise):
            _select(turn, node, then if turn.evaluate(condition, node) else otherwise)
        case ParallelSpec(branches=branches):
            _select(turn, node, branches)
        case GatherSpec() as gather:
            _gather(turn, node, gather)
        case PassSpec():
            _record(turn, node, turn.evaluate(plan.inputs, node) if plan.inputs is not None else {})
        case AggregationSpec() as spec:
            view = turn.view(plan.worker_formulas, node, spec.operands)
            _record(turn, node, aggregate(spec, operand_values(spec, turn.block, view), view))
        case FailSpec(error=error, message=message):
            raise NodeError(str(turn.evaluate(error, node)), str(turn.evaluate(message, node)))
        case SucceedSpec(output=output):
            _record(turn, node, turn.evaluate(output, node) if output is not None else None)
            succeed_scope(turn, node)


def _switch_targets(turn: Turn, node: int, switch: SwitchSpec) -> tuple[int, ...]:
    value = turn.evaluate(switch.condition, node) if switch.condition is not None else None
    for case in switch.cases:
        if case.when is not None:
            matches = bool(turn.evaluate(case.when, node))
        else:
            matches = case.is_default or any(case_matches(value, wanted) for wanted in case.values or ())
        if matches:
            return case.targets
    return ()


def _select(turn: Turn, node: int, targets: tuple[int, ...]) -> None:
    turn.selections[node] = targets
    _record(turn, node, {"selected": [turn.block.nodes[target].id for target in targets]})


def _gather(turn: Turn, node: int, gather: GatherSpec) -> None:
    turn.end(node, Mark.SUCCESS)
    parallel = turn.block.nodes[gather.parallel].spec
    assert isinstance(parallel, ParallelSpec)
    if parallel.cancel_rest and not gather.branch:
        for members in parallel.members:
            for member in members:
                if turn.is_open(member):
                    failure.withdraw(turn, member)


def succeed_scope(turn: Turn, node: int) -> None:
    """A succeed node ended: its scope completes now, and what is still open in it is cancelled."""
    turn.graph.succeeded_by = node
    for other in range(len(turn.block.nodes)):
        if turn.is_open(other):
            failure.withdraw(turn, other)


def _record(turn: Turn, node: int, output: Json) -> None:
    plan = turn.block.nodes[node]
    if plan.shape is not None:
        inputs = turn.evaluate(plan.inputs, node) if plan.inputs is not None else {}
        output = turn.evaluate(plan.shape, node, {"inputs": inputs, "output": output})
    turn.commands.append(RecordNode(plan.id, turn.graph.serial(node), turn.now, output=output))
    turn.keep(node, output)
    turn.end(node, Mark.SUCCESS)

