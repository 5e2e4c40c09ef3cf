"""The part of the test kit that plays people and holders of task tokens."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET

from workflow_runtime.engine.waiting import Cause, open_nodes
from workflow_runtime.errors import RequestError
from workflow_runtime.language.json_values import Json
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.testing.driver import Driver
from workflow_runtime.testing.mocks import LayeredMocks


class People:
    """Of `kit.WorkflowTester`."""

    _runtime: LocalRuntime
    _driver: Driver
    _mocks: LayeredMocks

    def approvals(self, execution_id: str) -> Sequence[dict[str, Json]]:
        """What people are asked by an execution now, in this order: ``id``, ``path``, ``prompt``, ``assignees`` …"""
        self._driver.settle()
        return self._runtime.services.approval_views.of_execution(execution_id)

    def approve(
        self,
        execution_id: str,
        path: str | None = None,
        *,
        by: str | None = None,
        data: Json = UNSET,
        comment: str = "",
        approved: bool = True,
        settle: bool = True,
    ) -> None:
        """Answer what the approval node at ``path`` asks (None: the only one that does), in the name of ``by``: one of
        those who are asked, by default the first who has not answered. ``settle`` as in `send_event`. Raises
        `RequestError` (``not_found``, ``forbidden``, ``refused``, ``invalid_request``).
        """
        rest = self._driver.settle_work if settle else self._driver.settle
        rest()
        asked = _asked(self.approvals(execution_id), path)
        heard = [answer["by"] for answer in asked["answers"]]
        silent = next((name for name in asked["assignees"] if name not in heard), "test")
        who = silent if by is None else by
        self._runtime.services.approvals.answer(asked["id"], approved, by=who, data=data, comment=comment)
        rest()

    def reject(
        self,
        execution_id: str,
        path: str | None = None,
        *,
        by: str | None = None,
        data: Json = UNSET,
        comment: str = "",
        settle: bool = True,
    ) -> None:
        """Reject; as `approve`."""
        self.approve(execution_id, path, by=by, data=data, comment=comment, approved=False, settle=settle)

    def delegate(self, execution_id: str, to: str, path: str | None = None, *, by: str) -> None:
        """Have ``to`` asked in the place of ``by``. Raises as `approve` does."""
        asked = _asked(self.approvals(execution_id), path)
        self._runtime.services.approvals.delegate(asked["id"], to, by=by)
        self._driver.settle_work()

    def task_token(self, execution_id: str, path: str | None = None) -> str:
        """The task token of the last attempt of the node at ``path`` (None: of the only node that waits for one).
        Raises `RequestError` (``not_found``).
        """
        self._driver.settle()
        waiting = path if path is not None else self._waiting(execution_id)
        for call in reversed(self._mocks.calls):
            if (call.execution_id, call.path) == (execution_id, waiting):
                return call.make_token()
        raise RequestError("not_found", f"node {waiting!r} has no attempt yet")

    def complete_task(
        self, execution_id: str, path: str | None = None, output: Json = None, *, settle: bool = True
    ) -> None:
        """Complete the task token of a node, as `task_token` finds it, with ``output``. ``settle`` as in `send_event`.
        Raises `RequestError` (``not_found``, ``refused``, ``invalid_request``).
        """
        rest = self._driver.settle_work if settle else self._driver.settle
        rest()
        self._runtime.services.tasks.complete(self.task_token(execution_id, path), output)
        rest()

    def fail_task(
        self,
        execution_id: str,
        path: str | None = None,
        *,
        type: str = "execution_error",
        message: str = "",
        settle: bool = True,
    ) -> None:
        """Fail the attempt of a node; as `complete_task`."""
        rest = self._driver.settle_work if settle else self._driver.settle
        rest()
        self._runtime.services.tasks.fail(self.task_token(execution_id, path), type, message)
        rest()

    def heartbeat_task(self, execution_id: str, path: str | None = None) -> None:
        """Show that the work of a node goes on; as `complete_task`."""
        self._runtime.services.tasks.heartbeat(self.task_token(execution_id, path))

    def _waiting(self, execution_id: str) -> str:
        """The path of the only node that waits for its task token."""
        services = self._runtime.services
        stored = services.stores.executions.load(execution_id)
        if stored is None:
            raise RequestError("not_found", f"there is no execution {execution_id}")
        plan = services.stores.workflows.plan(stored.state.plan_hash)
        paths = [node.path for node in open_nodes(plan, stored.state) if node.cause is Cause.CALLBACK]
        if len(paths) != 1:
            there = ", ".join(sorted(paths)) or "none"
            raise RequestError("not_found", f"which task is meant? Nodes that wait for theirs: {there}")
        return paths[0]


def _asked(open: Sequence[dict[str, Json]], path: str | None) -> dict[str, Json]:
    """The approval of the node at ``path``, or the only one. Raises `RequestError` (``not_found``)."""
    found = [approval for approval in open if path in (None, approval["path"])]
    if len(found) == 1:
        return found[0]
    there = ", ".join(sorted(approval["path"] for approval in open)) or "none"
    asked = f"node {path!r} asks nobody now" if path is not None else "which one is meant?"
    raise RequestError("not_found", f"{asked}; open approvals: {there}")
