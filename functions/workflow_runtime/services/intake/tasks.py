"""What others say with a task token: a run is completed, has failed, or is still at work.

A token proves itself: whoever has it may say so. It comes in bodies only. What is said is mailed before the token is
marked used, so that a repeat of the same, whose first answer was lost, is sent again.
"""

from __future__ import annotations

import hashlib

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine.codec import current
from workflow_runtime.engine.events import TaskCompleted, TaskFailed
from workflow_runtime.engine.graph.agents import cannot_take as cannot_take_of_call
from workflow_runtime.engine.graph.callbacks import cannot_take
from workflow_runtime.engine.holding import HELD_MAX
from workflow_runtime.engine.lifecycle import ExecutionStatus, Mark
from workflow_runtime.engine.scope_states import GraphState
from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.errors import ErrorDocument, RequestError
from workflow_runtime.invokers.masking import Mask
from workflow_runtime.language.json_values import Json, NotJson, to_json
from workflow_runtime.ports import Ports
from workflow_runtime.services.intake.starts import INPUT_BYTES_MAX
from workflow_runtime.services.mail import Mailer
from workflow_runtime.storage.payloads import is_large, pack_bytes
from workflow_runtime.storage.records import RunStatus
from workflow_runtime.storage.stores import Stores
from workflow_runtime.storage.tasks import Task, hash_of

TOKEN_CHARS_MAX = 200  # ours have 43
TYPE_CHARS_MAX = 128
MESSAGE_CHARS_MAX = 2_000
COMPLETED, FAILED = "it was completed", "it was failed"


class Tasks:
    """Raises `RequestError`: ``not_found`` (there is no such token), ``refused`` (it counts no more, and why),
    ``invalid_request``, ``too_many``; `RetryableError`."""

    def __init__(self, ports: Ports, stores: Stores, mailer: Mailer) -> None:
        self._clock = ports.clock
        self._blobs = ports.blobs
        self._stores = stores
        self._mailer = mailer

    def complete(self, token: str, output: Json = None, *, by: str = "") -> bool:
        """End the run with this output. False if the same was said before."""
        return self.complete_with(token, completion(token, output), by=by)

    def complete_with(self, token: str, data: bytes, *, by: str = "") -> bool:
        """End the run with this `completion`. False if the same was said before."""
        hash, task = self._task(token)
        use = f"complete#{hashlib.sha256(data).hexdigest()[:32]}"
        lost = self._check(task, use)
        packed, blob = pack_bytes(data), None
        if is_large(data, packed):
            blob = f"executions/{task.execution_id}/tasks/{hash[:16]}.{hashlib.sha256(packed).hexdigest()[:40]}"
            self._blobs.put(blob, packed)
        value = msgspec.json.decode(data) if blob is None else None
        event = TaskCompleted(f"task:{hash}", self._clock.now(), task.path, task.serial, hash, value, blob, lost, by)
        event = replace(event, call=task.call)
        self._mailer.send(task.execution_id, event)
        return self._use(hash, task, use, COMPLETED)

    def fail(self, token: str, type: str = "execution_error", message: str = "", *, by: str = "") -> bool:
        """Fail the run. False if the same was said before."""
        if not isinstance(type, str) or not 0 < len(type) <= TYPE_CHARS_MAX:
            raise RequestError("invalid_request", f"`type` is a text of 1 to {TYPE_CHARS_MAX} characters")
        if not isinstance(message, str) or len(message) > MESSAGE_CHARS_MAX:
            raise RequestError("invalid_request", f"`message` is a text of at most {MESSAGE_CHARS_MAX:,} characters")
        hash, task = self._task(token)
        digest = hashlib.sha256(msgspec.json.encode([type, message])).hexdigest()
        use = f"fail#{digest[:32]}"
        lost = self._check(task, use)
        error = ErrorDocument.of(type, str(Mask([token]).value(message)), task.path)
        event = TaskFailed(f"task:{hash}", self._clock.now(), task.path, task.serial, hash, error, lost, by)
        event = replace(event, call=task.call)
        self._mailer.send(task.execution_id, event)
        return self._use(hash, task, use, FAILED)

    def heartbeat(self, token: str) -> None:
        """Show that the work goes on: one write."""
        hash = hash_of(_checked(token))
        if not self._stores.tasks.heard(hash, self._clock.now()):
            _, task = self._task(token)
            raise RequestError("refused", _closed(task))

    def _task(self, token: str) -> tuple[str, Task]:
        hash = hash_of(_checked(token))
        task = self._stores.tasks.get(hash)
        if task is None:
            raise RequestError("not_found", "there is no such task token")
        return hash, task

    def _use(self, hash: str, task: Task, use: str, closed: str) -> bool:
        return self._stores.tasks.use(hash, use, closed, self._clock.now()) and not task.use

    def _check(self, task: Task, use: str) -> bool:
        """Whether the run was lost with its worker. Raises `RequestError` (``refused``, ``too_many``)."""
        if task.closed and task.use != use:
            raise RequestError("refused", _closed(task))
        if task.use == use:
            return False  # the engine knows whether it has taken that
        stored = self._stores.executions.load(task.execution_id)
        if stored is None:
            raise RequestError("refused", "its execution is gone")
        state = stored.state
        if state.status.terminal:
            raise RequestError("refused", f"the execution has ended, it is {state.status}")
        plan = self._stores.workflows.plan(state.plan_hash)
        state = current(plan, state)
        place = plan.locate(task.path)
        if place is None or place.scope not in state.scopes:
            raise RequestError("refused", "the node has ended")
        graph = state.graph(place.scope)
        if task.call:
            return self._check_call(graph, place.node, task)
        lost = task.serial < graph.serial(place.node) and self._was_lost(task)
        reason = cannot_take(graph, place.node, task.serial, lost=lost)
        if reason and not (state.segments and graph.marks[place.node] == Mark.WAITING and self._runs_in_place(task)):
            raise RequestError("refused", reason)
        if state.status is ExecutionStatus.SUSPENDED and state.held >= HELD_MAX:
            message = f"the execution is suspended and holds {HELD_MAX:,} events already; resume it first"
            raise RequestError("too_many", message)
        return lost

    def _check_call(self, graph: GraphState, node: int, task: Task) -> bool:
        """Tokens of calls count as long as their visit is open. Raises `RequestError` (``refused``)."""
        reason = cannot_take_of_call(graph, node, task.serial)
        if reason:
            raise RequestError("refused", reason)
        return False

    def _runs_in_place(self, task: Task) -> bool:
        """Whether the run goes on, though the dispatcher has not ordered it yet: by the time that it looks at what is
        said, it has."""
        run = self._stores.runs.get(task.execution_id, task.path, task.serial)
        return run is not None and run.status in (RunStatus.RUNNING, RunStatus.YIELDED)

    def _was_lost(self, task: Task) -> bool:
        run = self._stores.runs.get(task.execution_id, task.path, task.serial)
        return run is not None and run.error is not None and run.error.type == "worker_lost"


def completion(token: str, output: Json) -> bytes:
    """An output as JSON, without the token: for which a large one is searched, as no event loop should. Raises
    `RequestError` (``invalid_request``)."""
    try:
        data = msgspec.json.encode(Mask([token]).value(to_json(output, "output")))
    except NotJson as error:
        raise RequestError("invalid_request", str(error)) from None
    if len(data) > INPUT_BYTES_MAX:
        message = f"the output has {len(data):,} bytes; at most {INPUT_BYTES_MAX:,} are taken"
        raise RequestError("invalid_request", message)
    return data


def _checked(token: str) -> str:
    if not isinstance(token, str) or not 0 < len(token) <= TOKEN_CHARS_MAX:
        raise RequestError("invalid_request", f"a task token is a text of 1 to {TOKEN_CHARS_MAX} characters")
    return token


def _closed(task: Task) -> str:
    return f"the task token counts no more: {task.closed or 'it was used'} at {iso_time(task.closed_at)}"
