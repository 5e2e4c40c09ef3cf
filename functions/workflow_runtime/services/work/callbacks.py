"""In the worker: the task token of an attempt, and what becomes of a run that is left to whoever has it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from threading import Lock

from msgspec.structs import replace

from workflow_runtime.engine.commands import RunNode
from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.tokens import said_times
from workflow_runtime.plan.graph import NodePlan
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import CallbackPlan
from workflow_runtime.sdk import Pending
from workflow_runtime.storage.records import Run, RunStatus, Yielded
from workflow_runtime.storage.stores import Stores
from workflow_runtime.storage.tasks import Task, hash_of

TOKEN_BYTES = 32  # 256 bits, which nobody guesses


class AttemptToken:
    """The token of one attempt, or of one of its calls, made and stored when it is first asked for, after ``before``.
    May be asked in any thread."""

    def __init__(
        self, execution_id: str, command: RunNode, stores: Stores, now: Callable[[], int], call: str = ""
    ) -> None:
        self._execution_id = execution_id
        self._command = command
        self._stores = stores
        self._now = now
        self._call = call
        self.before: Callable[[], None] = lambda: None
        self._lock = Lock()
        self.value = ""

    def __call__(self) -> str:
        """The token. Raises `RetryableError`."""
        with self._lock:
            if not self.value:
                self.before()
                token = secrets.token_urlsafe(TOKEN_BYTES)
                command, at = self._command, self._now()
                task = Task(
                    execution_id=self._execution_id,
                    path=command.path,
                    serial=command.serial,
                    made_at=at,
                    call=self._call,
                )
                self._stores.tasks.put(hash_of(token), task)
                self.value = token
            return self.value


def left_open(plan: Plan, node: NodePlan | None, said: Pending, token: str, claimed: Run) -> Run:
    """The run as it is recorded when its task token is to be completed. Raises `NodeError`."""
    assert node is not None, "only nodes have tokens"
    if not token:
        hint = "its tool must hand `context.task_token` to somebody first"
        raise NodeError("execution_error", f"it returned `pending`, but nobody has its task token: {hint}")
    if plan.express:
        raise NodeError("execution_error", "it returned `pending`, and an express execution cannot wait for its token")
    if node.callback is None and node.shape is not None:
        hint = "give it a `callback`"
        raise NodeError("execution_error", f"a node whose `outputs` are templates cannot wait for its token: {hint}")
    timeout, heartbeat = said_times(said, node.callback or CallbackPlan())
    return replace(claimed, status=RunStatus.YIELDED, yielded=Yielded(hash_of(token), timeout, heartbeat))
