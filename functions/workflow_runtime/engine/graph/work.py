"""Ordering a node from a worker pool: what it may read is fixed here, by the commit that makes it ready."""

from __future__ import annotations

from collections.abc import Container, Iterable

from msgspec.structs import replace

from workflow_runtime.engine.commands import Read, RunNode
from workflow_runtime.engine.graph import retries
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.lifecycle import (
    ALIVE_MARKS,
    OPEN_MARKS,
    ORDER,
    READABLE_MARKS,
    STATUS_OF_MARK,
    SUCCESS,
    WAITING,
)
from workflow_runtime.engine.tables import included
from workflow_runtime.engine.values.pruning import prune
from workflow_runtime.engine.values.visibility import loops_seen
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan import segments
from workflow_runtime.plan.formulas import PREVIOUS, Formula
from workflow_runtime.plan.graph import OUTPUTS, GraphBlock, NodePlan

COLLECTOR_POOL = "tool"  # runs aggregations, passes and outputs that are too large for the dispatcher
OUTPUTS_PATH = "~outputs"


def order(scope: GraphScope, node: int) -> None:
    """Order an attempt of a ready node: another one as the one that failed. Raises `ValuesMissing`."""
    graph, turn, plan = scope.graph, scope.turn, scope.block.nodes[node]
    state = turn.state
    command = _next_order(scope, node) if graph.agents or graph.retries or graph.visits else None
    if command is None:
        command = _plain_order(scope, node, scope.prefix + plan.id, plan.pool or COLLECTOR_POOL)
        if plan.reads or state.segments:
            command = _reading_order(scope, node, plan, command)
        if graph.given and node in graph.given:
            command = replace(command, inputs=graph.given.pop(node), has_inputs=True)
    if plan.max_wait_seconds is not None:
        command = _bounded(scope, node, command)
    if graph.notes and (notes := graph.notes.pop(node, ())):
        command = replace(command, warnings=notes)
    scope.change(node, ORDER)
    state.in_flight += 1
    turn.commands.append(command)
    if state.segments:
        turn.ordered = included(turn.ordered, (command.path, command.serial))
    if "node" in turn.plan.events and command.serial == command.visit:
        turn.publish("node.started", path=command.path, status="running")


def _next_order(scope: GraphScope, node: int) -> RunNode | None:
    """The order of a node that goes on in another run, or is tried again; None of any other. Raises `ValuesMissing`."""
    again = retries.next_run(scope, node) or retries.order_as_before(scope, node)
    return replace(again, followers=()) if again is not None else None


def _reading_order(scope: GraphScope, node: int, plan: NodePlan, command: RunNode) -> RunNode:
    """The order with what its formulas read, those of the nodes that its worker may run in place included."""
    first, turn = scope.block.first, scope.turn
    followers: tuple[int, ...] = ()
    if turn.state.segments and (command.path, command.serial) not in turn.reported:  # else it is ordered no longer
        followers = _followers(scope, node)
    caller = scope.graph.callers.get(node, -1) if plan.reads_callers_inputs else -1
    inputs = scope.block.nodes[caller].inputs if caller >= 0 else None
    formulas = plan.worker_formulas if inputs is None else (*plan.worker_formulas, inputs)
    if formulas or plan.operands or followers:
        command = _reading(scope, command, formulas, node, plan.operands, followers=followers)
    if followers:
        command = replace(command, followers=tuple(first + each for each in followers))
    return command if inputs is None else replace(command, caller=first + caller)


def _followers(scope: GraphScope, node: int) -> tuple[int, ...]:
    """The nodes that a worker may run in place after this one: as far as none of them has a history, and all that they
    need from outside has ended, so that it makes no difference when they are ordered."""
    graph, block = scope.graph, scope.block
    if node in graph.serials:
        return ()
    found = [node]
    for each in segments.after(block, node):
        if graph.marks[each] != WAITING or each in graph.serials or each in graph.notes:
            break
        read = {number for formula in segments.formulas_of(block.nodes[each]) for number in formula.nodes}
        others = read - {block.first + member for member in found}
        if any(scope.find(number)[0] in OPEN_MARKS for number in others):
            break
        if any(graph.marks[source] not in ALIVE_MARKS for source in segments.outside(block, each, found)):
            break
        found.append(each)
    return tuple(found[1:])


def order_outputs(scope: GraphScope) -> None:
    """Have a worker put the execution's output together."""
    formula, nodes = scope.block.yields(scope.graph.succeeded_by)
    formulas = (formula,) if formula is not None else ()
    command = _reading(scope, _plain_order(scope, OUTPUTS, OUTPUTS_PATH, COLLECTOR_POOL), formulas, OUTPUTS, nodes)
    scope.commands.append(replace(command, succeeded_by=scope.graph.succeeded_by))


def order_again(scope: GraphScope, node: int, failed: RunNode) -> None:
    """Order another attempt of a run as it was, with the same reads."""
    serial = failed.serial + 1
    scope.graph.serials[node] = serial
    if node != OUTPUTS:
        scope.change(node, ORDER)
    again = replace(failed, serial=serial, attempt=failed.attempt + 1, followers=())
    scope.commands.append(_bounded(scope, node, again) if node != OUTPUTS else again)


def _bounded(scope: GraphScope, node: int, command: RunNode) -> RunNode:
    """The order with the time by which a worker must have begun it, if that is bounded."""
    seconds = scope.block.nodes[node].max_wait_seconds
    if seconds is None:
        return command
    state = scope.turn.state
    return replace(command, claim_by=state.now + round(seconds * 1000), suspended_ms=state.suspended_ms)


def loop_order(scope: GraphScope, node: int, body: GraphBlock) -> RunNode:
    """The order to put the output of a loop together; what it reads of the passes is not among its reads."""
    formulas = (body.outputs,) if body.outputs is not None else ()
    inside = range(body.first, body.first + len(body.nodes))
    return _reading(scope, _plain_order(scope, node, scope.path(node), COLLECTOR_POOL), formulas, node, inside=inside)


def order_items(scope: GraphScope, node: int, file: dict[str, Json]) -> None:
    """Have a worker read the items of a loop that has begun from a file."""
    command = _plain_order(scope, node, scope.path(node), COLLECTOR_POOL)
    scope.change(node, ORDER)
    scope.turn.state.in_flight += 1
    scope.commands.append(replace(command, inputs=file, has_inputs=True, reads_file=True))


def _plain_order(scope: GraphScope, node: int, path: str, pool: str) -> RunNode:
    """The order of a run that reads nothing. ``node`` may be `OUTPUTS`."""
    graph, state = scope.graph, scope.turn.state
    first = graph.first_serial
    command = RunNode(
        path,
        graph.serials.get(node, first) if graph.serials else first,
        pool,
        state.now,
        graph.visits.get(node, first) if graph.visits else first,
        scope.attempt(node) if graph.retries else 1,
        replaced=state.replaced,
        reopened=state.attempt - 1,
    )
    if graph.called or graph.undoes >= 0:
        command = replace(command, undoes=scope.undone, names=scope.told(node))
    return command


def _reading(
    scope: GraphScope,
    command: RunNode,
    formulas: tuple[Formula, ...],
    reader: int,
    operands: tuple[int, ...] = (),
    inside: Container[int] = (),
    followers: tuple[int, ...] = (),
) -> RunNode:
    """The order with what these formulas and the nodes ``operands`` read. ``inside``: numbers of nodes that are read
    otherwise. ``followers``: nodes that may read what is listed, too."""
    wanted = dict.fromkeys([scope.block.first + operand for operand in operands]) if operands else {}
    previous = -1
    for formula in formulas:
        wanted.update(dict.fromkeys(formula.nodes))
        if PREVIOUS in formula.kinds:
            previous = scope.previous(reader)
            if previous >= 0:
                wanted[previous] = None
    if followers:
        inside = [scope.block.first + each for each in (reader, *followers)]
        formulas += tuple(formula for each in followers for formula in segments.formulas_of(scope.block.nodes[each]))
        wanted.update(dict.fromkeys(number for formula in formulas for number in formula.nodes))
    reads, statuses = _known(scope, [number for number in wanted if number not in inside])
    seen = scope.seen(formulas)
    given, pages = loops_seen(scope.around(), formulas) if scope.plan.has_loops else ({}, {})
    names = pruned_names({**seen.names, **given}, formulas) if seen.names or given else {}
    return replace(
        command,
        reads=reads,
        previous=previous,
        statuses=statuses,
        names=names | command.names,
        states=tuple(sorted(seen.states)) if seen.states else (),
        pages=pages,
    )


def _known(scope: GraphScope, numbers: Iterable[int]) -> tuple[tuple[Read, ...], dict[int, str]]:
    """What may be read of nodes, and the status of those that have not succeeded."""
    reads: list[Read] = []
    statuses: dict[int, str] = {}
    for number in numbers:
        mark, read = scope.find(number)
        if mark in READABLE_MARKS:
            reads.append(read)
        if mark != SUCCESS:
            statuses[number] = STATUS_OF_MARK[mark].value
    return tuple(reads), statuses


def pruned_names(names: dict[str, Json], formulas: tuple[Formula, ...]) -> dict[str, Json]:
    """Of variables, the parts that these formulas read."""
    return {name: prune(value, _paths_read(name, formulas)) for name, value in names.items()}


def _paths_read(name: str, formulas: tuple[Formula, ...]) -> list[tuple[str, ...]]:
    paths = sorted({r.path for formula in formulas for r in formula.compiled.references if r.name == name})
    kept: list[tuple[str, ...]] = []
    for path in paths:
        if not kept or path[: len(kept[-1])] != kept[-1]:
            kept.append(path)
    return kept or [()]
