"""The end of a node's attempt: what is recorded of it, and what follows, as its `policy` has it."""

from __future__ import annotations

from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine.commands import Read
from workflow_runtime.engine.events import NodeSucceeded
from workflow_runtime.engine.graph import failure as failures
from workflow_runtime.engine.graph import records, retries
from workflow_runtime.engine.graph.concurrency import make_ready
from workflow_runtime.engine.graph.policy import (
    REJECT,
    TIMEOUT,
    Call,
    Case,
    Continue,
    Escalate,
    Excuse,
    Fail,
    Failure,
    Repeat,
    Retry,
    Substitute,
    verdict,
)
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.graph.work import order_again
from workflow_runtime.engine.lifecycle import SUCCEED, SUSPENDED, WAITING, Change
from workflow_runtime.engine.passes import Passes
from workflow_runtime.engine.suspension import Escalation
from workflow_runtime.engine.tables import entered
from workflow_runtime.engine.values.evaluation import error_value
from workflow_runtime.engine.values.pruning import prune
from workflow_runtime.errors import ErrorDocument, NodeError
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.graph import OUTPUTS
from workflow_runtime.plan.specs import AggregationSpec, ApprovalSpec, PassSpec, SucceedSpec, WaitSpec

COLLECTING = (AggregationSpec, PassSpec, SucceedSpec)
"""Specs that put values together, and that a worker runs when those are too large."""


class Yielded(msgspec.Struct, frozen=True):
    """A node that the dispatcher ran itself succeeded with this output, before its `outputs` shape it. ``passes``: of a
    loop."""

    output: Json
    passes: Passes | None = None


class Completed(msgspec.Struct, frozen=True):
    """Somebody has completed the node's task token with this output, before its `outputs` shape it."""

    output: Json


class Given(msgspec.Struct, frozen=True):
    """The node's output is set from outside, whatever the node itself would have produced."""

    output: Json


Result: TypeAlias = NodeSucceeded | Yielded | Completed | Given | Failure
"""How an attempt has ended; by a worker, as that reports and has recorded it."""


def ended(scope: GraphScope, node: int, result: Result) -> None:
    """An attempt has ended. Raises `ValuesMissing`; `EvaluationError` when `outputs` cannot shape what was yielded:
    then the node has not ended yet."""
    match result:
        case NodeSucceeded():
            _reported(scope, node, result)
        case Yielded(output, passes):
            _yielded(scope, node, output, passes)
        case Completed(output):
            _yielded(scope, node, output, completed=True)
        case Given(output):
            _succeed_with(scope, node, output, given=True)
        case Failure():
            _failed(scope, node, result)


def must_wait(scope: GraphScope, node: int, result: Result) -> bool:
    """Whether a result would order or end something, which it may not do while the execution is suspended."""
    return isinstance(result, Failure) and isinstance(verdict(_case(scope, node, result)), (Repeat, Fail, Escalate))


def conclude(scope: GraphScope, node: int, result: Result) -> None:
    """The same for what went on inside a node: its `outputs` may still fail it. Raises `ValuesMissing`."""
    try:
        ended(scope, node, result)
    except EvaluationError as error:
        failed(scope, node, error, "outputs: ")


def failed(scope: GraphScope, node: int, error: EvaluationError | NodeError, prefix: str = "") -> None:
    """A decision at the node could not be taken."""
    began = scope.graph.marks[node] != WAITING
    ended(scope, node, Failure(document(scope, node, error, prefix), began=began))


def document(scope: GraphScope, node: int, error: EvaluationError | NodeError, prefix: str = "") -> ErrorDocument:
    """The error document of a decision at ``node`` that could not be taken."""
    kind, message = (error.type, error.message) if isinstance(error, NodeError) else ("execution_error", str(error))
    return ErrorDocument.of(kind, prefix + message, scope.path(node))


def _reported(scope: GraphScope, node: int, result: NodeSucceeded) -> None:
    scope.turn.state.in_flight -= 1
    if result.has_values:
        scope.keep(node, result.values)
    if result.values_bytes:
        _count_bytes(scope, node, result.values_bytes)
    original = scope.stands_in_for(node)
    _succeeded(scope, node)
    if original >= 0:
        output_of = Read(scope.block.first + node, scope.graph.serial(node), scope.prefix)
        _substituted(scope, original, output_of, result)


def _yielded(
    scope: GraphScope, node: int, output: Json, passes: Passes | None = None, *, completed: bool = False
) -> None:
    """``completed``: through its task token; its inputs, which may hold secrets, stay with its worker's record."""
    plan = scope.block.nodes[node]
    inputs: Json = None
    if plan.inputs is not None and not completed and (plan.shape is not None or plan.compensate >= 0):
        inputs = scope.evaluate(plan.inputs, node)
    if plan.shape is not None:
        inputs = inputs if plan.inputs is not None else {}
        output = scope.evaluate(plan.shape, node, {"inputs": inputs, "output": output})
    elif plan.output_fields is not None:
        fields = output if isinstance(output, dict) else {}
        output = {field: fields.get(field) for field in plan.output_fields}
    _succeed_with(scope, node, output, inputs, completed=completed, passes=passes)


def _succeed_with(
    scope: GraphScope,
    node: int,
    output: Json,
    inputs: Json = None,
    *,
    given: bool = False,
    fallback_used: bool = False,
    completed: bool = False,
    passes: Passes | None = None,
) -> None:
    """Record an output that no worker has recorded."""
    plan = scope.block.nodes[node]
    record = records.record(scope, node, output=output, given=given, fallback_used=fallback_used, passes=passes)
    if fallback_used:
        record = records.with_earlier_inputs(scope, node, record)
    elif completed and plan.compensate >= 0:
        record = replace(record, inputs_of=Read(scope.block.first + node, record.serial, scope.prefix))
    elif plan.compensate >= 0:
        record = replace(record, inputs=inputs)
    scope.commands.append(record)
    scope.keep(node, output)
    if any(_collects(scope, reader) for reader in scope.block.readers[node]):
        _count_bytes(scope, node, len(msgspec.json.encode(prune(output, plan.decision_paths))))
    original = scope.stands_in_for(node)
    _succeeded(scope, node)
    if original >= 0:
        _succeed_with(scope, original, output, fallback_used=True)


def _substituted(scope: GraphScope, node: int, output_of: Read, result: NodeSucceeded) -> None:
    """What ran in the place of ``node`` has succeeded, by a worker; its output becomes that of both."""
    record = records.record(scope, node, output_of=output_of, fallback_used=True)
    scope.commands.append(records.with_earlier_inputs(scope, node, record))
    if result.has_values:
        scope.keep(node, result.values)
    else:
        scope.stand_ins = entered(scope.stand_ins, node, output_of.node - scope.block.first)
    if result.values_bytes:
        _count_bytes(scope, node, result.values_bytes)
    original = scope.stands_in_for(node)
    _succeeded(scope, node)
    if original >= 0:
        _substituted(scope, original, output_of, result)


def _succeeded(scope: GraphScope, node: int) -> None:
    scope.end(node, SUCCEED)
    if type(scope.block.nodes[node].spec) is SucceedSpec:
        _succeed_scope(scope, node)


def _succeed_scope(scope: GraphScope, node: int) -> None:
    """A succeed node ended: its scope completes now, and what is still open in it is cancelled.

    A scope that is failing goes on to fail: the node is one of its ``all_done`` nodes, and the others still run.
    """
    if scope.graph.failure is not None:
        return
    scope.graph.succeeded_by = node
    for other in range(len(scope.block.nodes)):
        if scope.is_open(other):
            failures.withdraw(scope, other)


def _failed(scope: GraphScope, node: int, failure: Failure) -> None:
    found = verdict(_case(scope, node, failure))
    original = scope.stands_in_for(node)
    if original >= 0 and not isinstance(found, (Repeat, Retry, Substitute, Continue)):
        _fallback_failed(scope, original, node, failure)
        return
    match found:
        case Repeat(order):
            order_again(scope, node, order)
        case Retry() as retry:
            _try_again(scope, node, failure, retry)
        case Substitute(target):
            _record_failure(scope, node, failure, handled=False, falls_back=True)
            if failure.instead:
                scope.graph.given[node] = failure.instead
            _substitute(scope, node, target, failure)
        case Continue(output):
            _yielded(scope, node, output)
        case Excuse(alive):
            _end_failed(scope, node, failure, Change.EXCUSE if alive else Change.HANDLE, handled=True)
        case Call(target):
            _end_failed(scope, node, failure, Change.HANDLE, handled=True)
            _call(scope, node, target, failure.error)
        case Fail(compensate):
            scope.turn.state.undo_anyway = scope.turn.state.undo_anyway or compensate
            _record_failure(scope, node, failure, handled=False)
            fail_for_good(scope, node, failure.error)
        case Escalate() if scope.plan.express:
            error = failure.error
            message = f"{error.message} (an express execution cannot wait until a person decides)"
            _record_failure(scope, node, failure, handled=False)
            fail_for_good(scope, node, ErrorDocument.of(error.type, message, error.node, cause=error.cause))
        case Escalate():
            _escalate(scope, node, failure)


def fail_for_good(scope: GraphScope, node: int, error: ErrorDocument) -> None:
    """Nobody deals with the failure of an attempt, which is recorded."""
    scope.end(node, Change.FAIL)
    scope.errors = entered(scope.errors, node, error)
    failures.failed(scope, node, error)


def _escalate(scope: GraphScope, node: int, failure: Failure) -> None:
    """Decide nothing more in this turn; `suspending` makes a suspension of it."""
    _record_failure(scope, node, failure, handled=False)
    scope.graph.begun.pop(node, None)
    scope.graph.retries.pop(node, None)
    scope.change(node, Change.ESCALATE)
    state = scope.turn.state
    state.escalated = Escalation(scope.path(node), failure.error, failure.began)
    state.status = SUSPENDED


def _try_again(scope: GraphScope, node: int, failure: Failure, retry: Retry) -> None:
    """The attempt has failed, and another one follows."""
    attempt = failure.order.attempt if failure.order is not None else scope.attempt(node)
    if failure.fallback_error is None:
        _record_failure(scope, node, failure, handled=False)
    else:
        scope.graph.serials[node] = scope.graph.serial(node) - 1  # nothing has run under the one at hand
    if "node" in scope.plan.events:
        error, delay = error_value(failure.error), retry.delay / 1000
        path = scope.path(node)
        scope.turn.publish("node.retrying", path=path, status="retrying", attempt=attempt, delay=delay, error=error)
    retries.wait(scope, node, retry)


def _substitute(scope: GraphScope, node: int, target: int, failure: Failure) -> None:
    """Have another node run in the place of this one, which goes on meanwhile, under a serial of its own: its end is
    another than that of the attempt which failed. It began with that attempt, if that has begun."""
    graph = scope.graph
    graph.fallbacks[node] = target
    graph.serials[node] = graph.serial(node) + 1
    graph.begun[node] = failure.started_at or graph.begun.get(node, scope.turn.now)
    scope.change(node, Change.START)
    _call(scope, node, target, failure.error)


def _fallback_failed(scope: GraphScope, node: int, fallback: int, failure: Failure) -> None:
    """What ran in the place of ``node`` has failed, too: that node's own error stands."""
    error = scope.graph.called[fallback]
    _end_failed(scope, fallback, failure, Change.HANDLE, handled=True)
    del scope.graph.fallbacks[node]
    own = _OWN.get(error.type, "") if isinstance(scope.block.nodes[node].spec, WaitSpec | ApprovalSpec) else ""
    instead = scope.graph.given.pop(node, {})
    _failed(scope, node, Failure(error, own=own, instead=instead, fallback_error=failure.error))


_OWN = {"timeout": TIMEOUT, "rejected": REJECT}
"""Which of a node's own rules is for an error of a type."""


def _case(scope: GraphScope, node: int, failure: Failure) -> Case:
    return Case(
        scope.block.nodes[node],
        failure,
        scope.graph.retries.get(node, ()),
        retries.seed(scope, node),
        lambda target: scope.graph.marks[target] == WAITING,
        scope.plan.handlers,
    )


def _end_failed(scope: GraphScope, node: int, failure: Failure, change: Change, *, handled: bool) -> None:
    _record_failure(scope, node, failure, handled=handled)
    scope.end(node, change)
    scope.errors = entered(scope.errors, node, failure.error)


def _record_failure(scope: GraphScope, node: int, failure: Failure, *, handled: bool, falls_back: bool = False) -> None:
    """Record an attempt that the dispatcher made itself; a worker has recorded its own. ``falls_back``: another node is
    to run in its place, and may have to be undone with the inputs of this one."""
    if failure.order is not None:
        scope.turn.state.in_flight -= 1
    else:
        said = {"error": failure.error, "handled": handled, "fallback_error": failure.fallback_error}
        record = records.record(scope, node, **said)
        scope.commands.append(records.with_own_inputs(scope, node, record) if falls_back else record)


def _call(scope: GraphScope, node: int, target: int, error: ErrorDocument) -> None:
    """Have a node run that is only there to be called."""
    scope.graph.open_count += 1
    scope.graph.called[target] = error
    scope.graph.callers[target] = node
    make_ready(scope, target)


def _count_bytes(scope: GraphScope, node: int, size: int) -> None:
    """Note how much those who put values together will have to read of ``node``."""
    sizes = scope.graph.values_bytes
    for reader in scope.block.readers[node]:
        if _collects(scope, reader):
            sizes[reader] = sizes.get(reader, 0) + size


def _collects(scope: GraphScope, reader: int) -> bool:
    return reader == OUTPUTS or (isinstance(scope.block.nodes[reader].spec, COLLECTING) and scope.is_open(reader))
