"""The part of the test kit that plays people."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET

from workflow_runtime.errors import RequestError
from workflow_runtime.language.json_values import Json
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.testing.driver import Driver


class People:
    """Of `kit.WorkflowTester`."""

    _runtime: LocalRuntime
    _driver: Driver

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


def _asked(open: Sequence[dict[str, Json]], path: str | None) -> dict[str, Json]:
    """The approval of the node at ``path``, or the only one. Raises `RequestError` (``not_found``)."""
    found = [approval for approval in open if path in (None, approval["path"])]
    if len(found) == 1:
        return found[0]
    there = ", ".join(sorted(approval["path"] for approval in open)) or "none"
    asked = f"node {path!r} asks nobody now" if path is not None else "which one is meant?"
    raise RequestError("not_found", f"{asked}; open approvals: {there}")
