"""In the worker: runs of agents, which may be followed by others of the same attempt."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine.awaited import Wait
from workflow_runtime.engine.commands import RunNode
from workflow_runtime.errors import NodeError, RetryableError, TransportError
from workflow_runtime.invokers.invocation import NodeCall, NodeResult
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.graph import NodePlan
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.ports import Ports
from workflow_runtime.services.work.callbacks import AttemptToken
from workflow_runtime.services.work.live import LiveWriter
from workflow_runtime.services.work.outbox import Outbox
from workflow_runtime.services.work.sessions import VisitSessions
from workflow_runtime.services.work.steps import VisitSteps
from workflow_runtime.services.work.under_way import Attempt
from workflow_runtime.storage.payloads import pack_bytes
from workflow_runtime.storage.records import Run, RunStatus, Yielded
from workflow_runtime.storage.sessions import User
from workflow_runtime.storage.steps import Visit
from workflow_runtime.storage.stores import Stores

ENDING_SECONDS = 40  # before a run's last moment: an agent begins nothing of which it may not see the end
WAIT_BYTES_MAX = 1024  # of what people are shown of a call: more is stored apart


class AgentRuns:
    """``seconds_max``: how long a run may take; ``lease_seconds``: how long a silent worker is believed to live;
    ``outbox`` commits what tools bring about."""

    def __init__(self, ports: Ports, stores: Stores, seconds_max: float, lease_seconds: int, outbox: Outbox) -> None:
        self._outbox = outbox
        self._lease_seconds = lease_seconds
        self._ports = ports
        self._stores = stores
        self._seconds_max = seconds_max

    def seconds_left(self, node: NodePlan, command: RunNode) -> float:
        """How long a run of the node may take; those of one attempt have its timeout together."""
        if node.timeout_seconds is None:
            return self._seconds_max
        return min(max(node.timeout_seconds - command.used / 1000, 0), self._seconds_max)

    def is_bounded_by_function(self, node: NodePlan, command: RunNode) -> bool:
        """Whether a run of an agent ends although its attempt has time left."""
        if node.type is not NodeType.AGENT:
            return False
        return node.timeout_seconds is None or node.timeout_seconds - command.used / 1000 > self._seconds_max

    def durable(self, call: NodeCall, attempt: Attempt) -> NodeCall:
        """The call of an agent: with its steps, who watches, and the time at which it goes on in another run."""
        order, command, clock = attempt.order, attempt.order.command, self._ports.clock
        visit = Visit(order.execution_id, command.path, command.visit, command.serial)
        ends_at = clock.now() + round(max(self._seconds_max - ENDING_SECONDS, self._seconds_max / 2) * 1000)
        attempt.steps = VisitSteps(
            self._ports, self._stores.steps, visit, self._lease_seconds, self._outbox, attempt.pool
        )
        watched_until = attempt.header.watched_until if attempt.header is not None else 0
        attempt.live = LiveWriter(
            self._ports, self._stores.live, order.execution_id, command.path, command.serial, watched_until
        )
        user = User(order.execution_id, command.path, command.visit, command.serial)
        tenant = attempt.header.tenant if attempt.header is not None else ""
        attempt.sessions = VisitSessions(
            self._ports, self._stores, user, tenant, call.parent, express=attempt.plan.express
        )

        def make_call_token(id: str) -> str:
            token = AttemptToken(order.execution_id, command, self._stores, clock.now, id)
            token.before = attempt.token.before
            return token()

        return replace(
            call,
            steps=attempt.steps,
            sessions=attempt.sessions,
            live=attempt.live,
            is_ending=lambda: call.stop.requested or clock.now() >= ends_at,
            workflow_schema=self._workflow_schema,
            make_call_token=make_call_token,
        )

    async def _workflow_schema(self, id: str) -> Json:
        """Of the newest version's input; whoever calls one that there is not is told when it is to start."""
        version = await self._ports.offload(self._stores.workflows.latest, id)
        if version is None:
            return {"type": "object"}
        plan = await self._ports.offload(self._stores.workflows.plan, version.plan_hash)
        return plan.input_schema or {"type": "object"}

    async def run_that_goes_on(self, attempt: Attempt, result: NodeResult) -> Run:
        """The run of an agent that goes on in another one, as it is recorded: with its order, which is for that one,
        too. Raises `TransportError`, `NodeError` for what an express execution cannot wait for."""
        if attempt.plan.express:
            _check_express(result.waits)
        try:
            waits = [await self._ports.offload(self._stored, attempt, wait) for wait in result.waits]
        except RetryableError as error:
            raise TransportError("execution_error", f"what its calls wait for could not be stored: {error}") from error
        return replace(
            attempt.claimed,
            status=RunStatus.YIELDED,
            order=attempt.order.command,
            yielded=Yielded(waits=tuple(waits), steps=attempt.meter.steps),
            warnings=result.warnings,
        )

    def _stored(self, attempt: Attempt, wait: Wait) -> Wait:
        """What a call waits for, with what is large of it stored apart: it travels in messages, and in the journal."""
        data = self._blob(attempt, wait.data)
        if data is not None:
            wait = replace(wait, data=None, blob=data)
        form = self._blob(attempt, wait.rules.form) if wait.rules is not None else None
        if wait.rules is not None and form is not None:
            wait = replace(wait, rules=replace(wait.rules, form=None, form_blob=form))
        return wait

    def _blob(self, attempt: Attempt, value: Json) -> str | None:
        """Where a large value is stored; None: it is small."""
        data = msgspec.json.encode(value)
        if len(data) <= WAIT_BYTES_MAX:
            return None
        packed = pack_bytes(data)
        digest = hashlib.sha256(packed).hexdigest()[:40]
        blob = f"executions/{attempt.order.execution_id}/calls/{digest}"
        self._ports.blobs.put(blob, packed)
        return blob


def _check_express(waits: Sequence[Wait]) -> None:
    for wait in waits:
        if wait.kind not in ("workflow", "node"):
            what = "its task token" if wait.kind == "callback" else "a person's answer"
            raise NodeError(
                "execution_error",
                f"a call of `{wait.target}` would have to wait for {what}, and an express execution cannot",
            )
