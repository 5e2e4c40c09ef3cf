"""Nodes that the dispatcher runs itself: switch, condition, parallel, pass, fail, succeed and aggregation."""

from __future__ import annotations

import msgspec

from workflow_runtime.engine import failure
from workflow_runtime.engine.aggregation import aggregate, operand_values
from workflow_runtime.engine.commands import RecordNode
from workflow_runtime.engine.matching import case_matches
from workflow_runtime.engine.orders import order
from workflow_runtime.engine.pruning import prune
from workflow_runtime.engine.state import ALIVE_MARKS, Mark
from workflow_runtime.engine.turn import Turn
from workflow_runtime.errors import NodeError
from workflow_runtime.expressions import Scope, render_text
from workflow_runtime.plan import (
    OUTPUTS,
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
            kind = render_text(turn.evaluate(error, node), Scope({}))
            raise NodeError(kind or "execution_error", render_text(turn.evaluate(message, node), Scope({})))
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
    if not parallel.cancel_rest or gather.branch:
        return
    for index, members in zip(turn.block.nodes[node].incoming, parallel.members, strict=True):
        if turn.graph.marks[turn.block.edges[index].source] in ALIVE_MARKS:
            continue  # this branch has succeeded
        for member in members:
            if turn.is_open(member):
                failure.withdraw(turn, member)


def succeed_scope(turn: Turn, node: int) -> None:
    """A succeed node ended: its scope completes now, and what is still open in it is cancelled.

    A scope that is failing goes on to fail: the node is one of its ``all_done`` nodes, and the others still run.
    """
    if turn.graph.failure is not None:
        return
    turn.graph.succeeded_by = node
    for other in range(len(turn.block.nodes)):
        if turn.is_open(other):
            failure.withdraw(turn, other)


def _record(turn: Turn, node: int, output: Json) -> None:
    plan = turn.block.nodes[node]
    if plan.shape is not None:
        inputs = turn.evaluate(plan.inputs, node) if plan.inputs is not None else {}
        output = turn.evaluate(plan.shape, node, {"inputs": inputs, "output": output})
    elif plan.output_fields is not None:
        fields = output if isinstance(output, dict) else {}
        output = {field: fields.get(field) for field in plan.output_fields}
    turn.commands.append(RecordNode(plan.id, turn.graph.serial(node), turn.now, output=output))
    turn.keep(node, output)
    if any(_collects(turn, reader) for reader in turn.block.readers[node]):
        count_bytes(turn, node, len(msgspec.json.encode(prune(output, plan.decision_paths))))
    turn.end(node, Mark.SUCCESS)


def count_bytes(turn: Turn, node: int, size: int) -> None:
    """Note how much those who put values together will have to read of ``node``."""
    sizes = turn.graph.values_bytes
    for reader in turn.block.readers[node]:
        if _collects(turn, reader):
            sizes[reader] = sizes.get(reader, 0) + size


def _collects(turn: Turn, reader: int) -> bool:
    return reader == OUTPUTS or (isinstance(turn.block.nodes[reader].spec, COLLECTING) and turn.is_open(reader))
