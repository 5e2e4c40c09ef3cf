"""Ordering a node from a worker pool: what it may read is fixed here, by the commit that makes it ready."""

from __future__ import annotations

from msgspec.structs import replace

from workflow_runtime.engine.commands import Read, RunNode
from workflow_runtime.engine.events import NodeFailed
from workflow_runtime.engine.state import STATUS_OF_MARK, Mark
from workflow_runtime.engine.turn import Turn
from workflow_runtime.plan import OUTPUTS, AggregationSpec, BindingKind, Formula

COLLECTOR_POOL = "tool"  # runs aggregations, passes and outputs that are too large for the dispatcher
OUTPUTS_PATH = "~outputs"
WORKER_LOST_ATTEMPTS = 2  # extra attempts after a worker died; what it was doing may or may not have happened


def order(turn: Turn, node: int) -> None:
    """Order the first attempt of a ready node."""
    plan = turn.block.nodes[node]
    operands = plan.spec.operands if isinstance(plan.spec, AggregationSpec) else ()
    turn.graph.marks[node] = Mark.READY
    turn.graph.in_flight += 1
    turn.commands.append(
        _run(turn, plan.id, turn.graph.serial(node), plan.pool or COLLECTOR_POOL, plan.worker_formulas, node, operands)
    )
    if "node" in turn.plan.events:
        turn.publish("node.started", path=plan.id, status="running")


def order_outputs(turn: Turn) -> None:
    """Have a worker put the execution's output together."""
    formula, nodes = turn.block.yields(turn.graph.succeeded_by)
    formulas = (formula,) if formula is not None else ()
    command = _run(turn, OUTPUTS_PATH, 1, COLLECTOR_POOL, formulas, OUTPUTS, nodes)
    turn.commands.append(replace(command, succeeded_by=turn.graph.succeeded_by))


def order_again(turn: Turn, failed: NodeFailed) -> bool:
    """Grant another attempt of a run whose worker was lost, with the same reads. False when none is left."""
    if failed.error.type != "worker_lost" or failed.command.attempt > WORKER_LOST_ATTEMPTS:
        return False
    serial = failed.serial + 1
    turn.graph.serials[OUTPUTS if failed.path == OUTPUTS_PATH else turn.block.index[failed.path]] = serial
    turn.commands.append(replace(failed.command, serial=serial, attempt=failed.command.attempt + 1))
    return True


def _run(
    turn: Turn, path: str, serial: int, pool: str, formulas: tuple[Formula, ...], reader: int, operands: tuple[int, ...]
) -> RunNode:
    wanted = dict.fromkeys(operands)
    previous = -1
    for formula in formulas:
        wanted.update(dict.fromkeys(formula.nodes))
        if BindingKind.PREVIOUS in formula.kinds:
            previous = turn.previous(reader)
            if previous >= 0:
                wanted[previous] = None
    reads: list[Read] = []
    statuses: dict[int, str] = {}
    for node in wanted:
        mark = turn.graph.marks[node]
        if mark in (Mark.SUCCESS, Mark.FAILED):
            reads.append(Read(node, turn.graph.serial(node)))
        if mark != Mark.SUCCESS:
            statuses[node] = STATUS_OF_MARK[mark].value
    return RunNode(path, serial, pool, turn.now, reads=tuple(reads), previous=previous, statuses=statuses)
