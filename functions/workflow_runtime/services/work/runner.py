"""The node runner: claim, read, run, record, report, acknowledge; one attempt of one node per order.

A run belongs to whoever wrote its claim. A repeat of a finished run reports its result again; a repeat of one under a
valid lease steps back until the lease ends; an expired lease is never run again but reported as ``worker_lost``, and
only the engine grants another attempt, under another serial. So effects per serial are at most one (promises P2, P3).
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, ParamSpec, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from workflow_runtime.deployment.log_fields import log_fields
from workflow_runtime.deployment.metrics import Metric
from workflow_runtime.deployment.topology import DISPATCH
from workflow_runtime.engine.commands import with_payload
from workflow_runtime.engine.events import Event, NodeFailed, NodeSucceeded, run_event_id
from workflow_runtime.engine.graph.work import OUTPUTS_PATH
from workflow_runtime.engine.values.aggregation import aggregate, operand_values
from workflow_runtime.engine.values.evaluation import NodeValue, evaluate
from workflow_runtime.engine.values.outputs import scope_output
from workflow_runtime.engine.values.pruning import prune
from workflow_runtime.errors import ErrorDocument, InvalidEvent, NodeError, RetryableError
from workflow_runtime.invokers.invocation import Invoker, NodeResult
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.formulas import BindingKind, Formula
from workflow_runtime.plan.graph import GraphBlock, NodePlan
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import AggregationSpec, NodeType, SucceedSpec
from workflow_runtime.ports import Ports
from workflow_runtime.services.dispatch.reads import node_value
from workflow_runtime.services.messages import Order, mail_message
from workflow_runtime.services.work.attempt_metrics import count_attempt
from workflow_runtime.services.work.rendering import Rendering, lacks_names, masked, needs_globals, view_of
from workflow_runtime.storage import keys
from workflow_runtime.storage.executions import ExecutionStore, header_of
from workflow_runtime.storage.payloads import unpack
from workflow_runtime.storage.records import Globals, Run, RunStatus
from workflow_runtime.storage.runs import RunStore
from workflow_runtime.storage.workflows import WorkflowStore

LEASE_SECONDS = 90  # how long a silent worker is believed to live
RENEWAL_SECONDS = 30  # a third of the lease: two renewals may fail
TIMEOUT_MARGIN_SECONDS = 20  # of the function's own timeout, for reading and recording
PAUSES_SECONDS = (1, 2, 4)  # between attempts to record a result; well within that margin
NOTES_MAX = 100  # unresolved paths, warnings: texts for people, in an item of at most 400 KB
VALUES_ATTACHED_BYTES_MAX = 4 * 1024  # decision values that travel with the result; larger ones are read

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class Secrets(Protocol):
    """Where ``${secrets.NAME}`` comes from. Raises `NodeError` (``not_found``) for a name it does not have."""

    def get(self, name: str) -> str: ...


class Postponed(Exception):
    """The order cannot be acknowledged yet; ``seconds``: when to look again."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"again in {seconds} s")
        self.seconds = seconds


class Attempt(msgspec.Struct):
    """An attempt under way: its order, what it runs, and its record as claimed."""

    order: Order
    plan: Plan
    claimed: Run
    rendering: Rendering | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(self.rendering.view.secrets.values()) if self.rendering is not None else ()


class NodeRunner:
    """``invokers`` run agents and tools; ``function_timeout_seconds`` is the Lambda's own; ``count`` takes
    metrics.
    """

    def __init__(
        self,
        ports: Ports,
        workflows: WorkflowStore,
        invokers: Mapping[NodeType, Invoker],
        secrets: Secrets,
        new_id: Callable[[], str],
        function_timeout_seconds: int,
        count: Callable[[str, int], None],
    ) -> None:
        self._ports = ports
        self._workflows = workflows
        self._invokers = invokers
        self._secrets = secrets
        self._new_id = new_id
        self._count = count
        self._timeout_max = function_timeout_seconds - TIMEOUT_MARGIN_SECONDS
        self._executions = ExecutionStore(ports.table, ports.blobs)
        self._runs = RunStore(ports.table, ports.blobs)

    async def run(self, order: Order) -> None:
        """Carry out one order. Raises `Postponed` when it must stay in the queue, `RetryableError`."""
        with self._ports.clock.working(), log_fields(**order.log_fields):
            plan = await self._ports.offload(self._plan, order.plan_hash)
            claimed = self._claim_of(order)
            existing = await self._claim(order, claimed)
            if existing is None:
                await self._attempt(Attempt(order, plan, claimed))
            else:
                await self._met(order, plan, existing, claimed.owner)

    def _plan(self, plan_hash: str) -> Plan:
        try:
            return self._workflows.plan(plan_hash)
        except KeyError as error:
            raise RetryableError(str(error)) from error

    def _claim_of(self, order: Order) -> Run:
        now = self._ports.clock.now()
        return Run(
            path=order.command.path,
            serial=order.command.serial,
            status=RunStatus.RUNNING,
            owner=f"{self._ports.boot}/{self._new_id()}",
            attempt=order.command.attempt,
            started_at=now,
            lease_until=now + LEASE_SECONDS * 1000,
        )

    async def _claim(self, order: Order, claimed: Run) -> Run | None:
        """Claim the run. Returns whoever has it; None when it is ours, also if the answer to our own claim was lost."""
        execution_id = order.execution_id
        if await self._ports.offload(self._runs.claim, execution_id, claimed):
            return None
        existing = await self._ports.offload(self._runs.get, execution_id, claimed.path, claimed.serial)
        if existing is None:
            raise RetryableError("a claim was refused and is not there")
        if existing.owner == claimed.owner:
            return None
        if existing.status is not RunStatus.RELEASED:
            return existing
        if not await self._ports.offload(self._runs.finish, execution_id, claimed, existing.owner):
            raise RetryableError("another worker took a released run")
        return None

    async def _met(self, order: Order, plan: Plan, existing: Run, finder: str) -> None:
        """The run is claimed or ended already: report again, step back, or declare its worker lost.

        The lost run changes its owner: a worker that only seemed dead must find that the run is no longer its own.
        """
        if existing.status is RunStatus.CANCELLED:
            return
        if existing.status is RunStatus.RUNNING:
            now = self._ports.clock.now()
            if existing.lease_until > now and existing.owner.split("/")[0] == self._ports.boot:
                raise Postponed((existing.lease_until - now) // 1000 + 1)
            error = ErrorDocument.of("worker_lost", "the worker stopped without a result", order.command.path)
            lost = replace(existing, status=RunStatus.FAILED, owner=finder, ended_at=now, error=error)
            if not await self._ports.offload(self._runs.finish, order.execution_id, lost, existing.owner):
                raise RetryableError("the run ended while its worker was declared lost")
            self._count(Metric.WORKERS_LOST, 1)
            existing = lost
        await self._report(order, plan, existing)

    async def _attempt(self, attempt: Attempt) -> None:
        """Read, run and record a claimed run; then report its result."""
        order = attempt.order
        renewal = asyncio.ensure_future(self._renew(attempt))
        try:
            ended = await self._outcome(attempt)
        except (RetryableError, InvalidEvent):
            await self._release(attempt)
            raise
        finally:
            renewal.cancel()
        recorded, ended = await self._record(attempt, ended)
        if not recorded:
            stored = await self._patiently(self._runs.get, order.execution_id, ended.path, ended.serial)
            if stored is None:
                raise RetryableError("a claimed run is not there")
            if stored.owner != ended.owner:  # who gave it up may have died before reporting that
                logger.warning("a result came after its lease had ended", extra=_ids(order))
                await self._met(order, attempt.plan, stored, f"{self._ports.boot}/{self._new_id()}")
                return
        if ended.status is not RunStatus.CANCELLED:
            await self._report(order, attempt.plan, ended)
        fields = {"status": ended.status, "ms": ended.ended_at - ended.started_at, "attempt": ended.attempt}
        error = {"error": ended.error.type} if ended.error is not None else {}
        logger.info("node ended", extra={**_ids(order), **fields, **error})
        if (node := _node_of(attempt.plan, ended.path)) is not None:
            count_attempt(self._count, node.type, ended)

    async def _record(self, attempt: Attempt, ended: Run) -> tuple[bool, Run]:
        """Record how the run ended, if it is still ours; an output that cannot be stored is a failure."""
        execution_id, owner = attempt.order.execution_id, attempt.claimed.owner
        try:
            return await self._patiently(self._runs.finish, execution_id, ended, owner), ended
        except (NodeError, ValueError) as error:
            message = error.message if isinstance(error, NodeError) else "the result does not fit into the table"
            document = ErrorDocument.of("execution_error", message, ended.path)
            failed = replace(ended, status=RunStatus.FAILED, output=None, usage=None, error=document)
            return await self._patiently(self._runs.finish, execution_id, failed, owner), failed

    async def _patiently(
        self, call: Callable[Parameters, Result], *args: Parameters.args, **named: Parameters.kwargs
    ) -> Result:
        """A port call tried for a while: what it records has been run and may not be run again."""
        for seconds in PAUSES_SECONDS:
            try:
                return await self._ports.offload(call, *args, **named)
            except RetryableError:
                await self._ports.clock.sleep(seconds)
        return await self._ports.offload(call, *args, **named)

    async def _release(self, attempt: Attempt) -> None:
        """Give up the claim of a run that could not even begin, so that its order can be carried out when it comes
        again.
        """
        released = replace(attempt.claimed, status=RunStatus.RELEASED)
        with suppress(RetryableError):  # then the lease runs out, and the engine grants another attempt
            await self._ports.offload(self._runs.finish, attempt.order.execution_id, released, attempt.claimed.owner)

    async def _outcome(self, attempt: Attempt) -> Run:
        """How the run ended, as it will be recorded."""
        claimed = attempt.claimed
        try:
            running = await self._prepare(attempt)
            if not running:
                return replace(claimed, status=RunStatus.CANCELLED, ended_at=self._ports.clock.now())
            output, warnings, usage = await self._run_within_timeout(attempt)
            output = masked(output, attempt.secrets)
            ended = replace(
                claimed, status=RunStatus.SUCCESS, output=output, warnings=warnings[:NOTES_MAX], usage=usage
            )
        except (RetryableError, InvalidEvent):
            raise
        except Exception as error:
            ended = replace(claimed, status=RunStatus.FAILED, error=_error_of(attempt, error))
        unresolved = tuple(dict.fromkeys(attempt.rendering.unresolved)) if attempt.rendering is not None else ()
        return replace(ended, ended_at=self._ports.clock.now(), unresolved=unresolved[:NOTES_MAX])

    async def _prepare(self, attempt: Attempt) -> bool:
        """Read inputs and header in one batch; False when the execution no longer runs."""
        plan = attempt.plan
        order = await self._ports.offload(self._whole, attempt.order)
        command = order.command
        node = _node_of(plan, command.path)
        formulas = node.worker_formulas if node is not None else _output_formulas(plan, order)
        header_key = keys.execution(order.execution_id, keys.HEADER)
        input_key = keys.execution(order.execution_id, keys.INPUT)
        run_keys = {keys.run(order.execution_id, read.path(plan), read.serial): read.node for read in command.reads}
        reads_input = needs_globals(formulas) or lacks_names(plan, command, formulas)
        wanted = [header_key, *run_keys, *([input_key] if reads_input else [])]
        items = await self._ports.offload(self._ports.table.get, wanted)
        if header_key not in items:
            raise InvalidEvent(f"there is no execution {order.execution_id}")
        if header_of(order.execution_id, items[header_key]).status.terminal:
            return False
        nodes: dict[int, NodeValue] = {}
        for key, index in run_keys.items():
            nodes[index] = node_value(await self._ports.offload(self._runs.run_of, items[key]))
        data: Globals | None = None
        if input_key in items:
            data = await self._ports.offload(self._executions.globals_of, items[input_key])
        secrets = await self._ports.offload(self._resolve_secrets, node)
        view = view_of(plan, order, nodes, data, secrets)
        attempt.rendering = Rendering(node if node is not None else plan.root.nodes[0], view, command)
        return True

    def _whole(self, order: Order) -> Order:
        """The order with what was stored apart, because it is large."""
        command = order.command
        if command.blob is None:
            return order
        return replace(order, command=with_payload(command, unpack(self._executions.get_blob(command.blob))))

    def _resolve_secrets(self, node: NodePlan | None) -> dict[str, str]:
        if node is None or node.inputs is None or BindingKind.SECRETS not in node.inputs.kinds:
            return {}
        names = [reference.path[0] for reference in node.inputs.compiled.references if reference.name == "secrets"]
        return {name: self._secrets.get(name) for name in names}

    async def _run_within_timeout(self, attempt: Attempt) -> tuple[Json, tuple[str, ...], dict[str, Any] | None]:
        """Output, warnings and usage. Raises `NodeError`."""
        rendering = attempt.rendering
        assert rendering is not None
        plan, order, node = attempt.plan, attempt.order, rendering.node
        if order.command.path == OUTPUTS_PATH:
            return scope_output(plan, plan.root, order.command.succeeded_by, rendering.view), (), None
        if node.pool is None:
            return _decided(plan, rendering), (), None
        seconds = min(node.timeout_seconds or self._timeout_max, self._timeout_max)
        call = rendering.call(order, plan.workflow_id, self._ports.clock.now() + int(seconds * 1000))
        work: Coroutine[Any, Any, NodeResult] = self._invokers[node.type].invoke(call)
        try:
            result = await self._ports.clock.within(seconds, work)
        except TimeoutError:
            raise NodeError("timeout", f"no result within {seconds:g} s") from None
        except (RetryableError, InvalidEvent) as error:  # the node's own: it has run, and may not be run again
            raise NodeError("execution_error", str(error)) from error
        output, warnings = rendering.shaped(call.inputs, result.output)
        return output, warnings, result.usage

    async def _renew(self, attempt: Attempt) -> None:
        """Keep the lease of a run that takes long; stops when the run is no longer ours."""
        ours = True
        while ours:
            await self._ports.clock.sleep(RENEWAL_SECONDS)
            until = self._ports.clock.now() + LEASE_SECONDS * 1000
            try:
                ours = await self._ports.offload(self._runs.renew, attempt.order.execution_id, attempt.claimed, until)
            except RetryableError:
                logger.warning("a lease could not be renewed", extra=_ids(attempt.order))

    async def _report(self, order: Order, plan: Plan, run: Run) -> None:
        message = mail_message(order.execution_id, _result_event(order, plan, run), self._new_id())
        refusals = await self._ports.offload(self._ports.queues.send, DISPATCH, [message])
        if refusals:
            raise RetryableError(f"the result was refused: {refusals[0].reason}")


def _error_of(attempt: Attempt, error: Exception) -> ErrorDocument:
    """What an attempt failed with. Secrets never stand in it, and values never in the log."""
    if isinstance(error, NodeError):
        kind, message = error.type, error.message
    elif isinstance(error, EvaluationError):
        kind, message = "execution_error", str(error)
    else:
        place = traceback.extract_tb(error.__traceback__)[-1]
        fields = {"error": type(error).__name__, "at": f"{place.filename}:{place.lineno}"}
        logger.error("a node raised", extra={**_ids(attempt.order), **fields})
        kind, message = "execution_error", f"{type(error).__name__}: {error}"
    return ErrorDocument.of(kind, masked(message, attempt.secrets), attempt.order.command.path)


def _output_formulas(plan: Plan, order: Order) -> tuple[Formula, ...]:
    formula, _ = plan.root.yields(order.command.succeeded_by)
    return (formula,) if formula is not None else ()


def _decided(plan: Plan, rendering: Rendering) -> Json:
    """The output of a node that the dispatcher would run itself if its values were smaller."""
    node, view = rendering.node, rendering.view
    inputs = rendering.inputs()
    match node.spec:
        case AggregationSpec() as spec:
            output = aggregate(spec, operand_values(spec, _block_of(plan, rendering.command.path), view), view)
        case SucceedSpec(output=formula) if formula is not None:
            output = evaluate(formula, view, unresolved=rendering.unresolved)
        case _:
            output = inputs
    return rendering.shaped(inputs, output)[0]


def _node_of(plan: Plan, path: str) -> NodePlan | None:
    """The node of this path; None for the scope's outputs."""
    place = plan.locate(path)
    return plan.blocks[place.block].nodes[place.node] if place is not None else None


def _block_of(plan: Plan, path: str) -> GraphBlock:
    place = plan.locate(path)
    assert place is not None, "only outputs have no node, and they are not aggregated"
    return plan.blocks[place.block]


def _result_event(order: Order, plan: Plan, run: Run) -> Event:
    event_id = run_event_id(run.path, run.serial)
    if run.error is not None:
        return NodeFailed(event_id, run.ended_at, run.path, run.serial, run.error, order.command)
    node = _node_of(plan, run.path)
    if node is None or not node.decision_paths:
        return NodeSucceeded(event_id, run.ended_at, run.path, run.serial)
    values = prune(run.output, node.decision_paths)
    size = len(msgspec.json.encode(values))
    small = size <= VALUES_ATTACHED_BYTES_MAX
    return NodeSucceeded(event_id, run.ended_at, run.path, run.serial, values if small else None, small, size)


def _ids(order: Order) -> dict[str, Any]:
    return {"execution_id": order.execution_id, "node": order.command.path, "serial": order.command.serial}
