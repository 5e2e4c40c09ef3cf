"""What people are asked, as they see it: lists, newest first, and one by its id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import UNSET

from workflow_runtime.engine.awaited import Answer
from workflow_runtime.engine.identity import approval_id
from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.errors import RequestError
from workflow_runtime.language.durations import parse_duration
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.lookup import node_of
from workflow_runtime.plan.specs import ApprovalSpec
from workflow_runtime.ports import Ports
from workflow_runtime.storage.approvals import StoredApproval, parts_of
from workflow_runtime.storage.stores import Stores

NODE = "node"
"""What asks: a node of a workflow; else a call of an agent."""
KINDS = (NODE, "tool", "effect", "guardrail", "budget")

OPEN, ENDED = "open", "ended"
PAGE_READ = 100  # at once
READ_MAX = 1_000  # for one answer, however few of them are wanted


class Wanted(msgspec.Struct, frozen=True):
    """Which approvals: ``assignee``: whom they ask by name, or anybody; ``workflow``: of this one only; ``before``
    (epoch ms): asked before then; ``kind``: of what asks."""

    is_open: bool = True
    assignee: str | None = None
    workflow: str | None = None
    before: int | None = None
    kind: str | None = None

    def takes(self, approval: StoredApproval) -> bool:
        if self.workflow is not None and approval.workflow_id != self.workflow:
            return False
        if self.kind is not None and (approval.kind or NODE) != self.kind:
            return False
        return self.assignee is None or not approval.assignees or self.assignee in approval.assignees


def wanted_of(
    now: int,
    assignee: str | None,
    workflow: str | None,
    older_than: str | None,
    status: str = OPEN,
    kind: str | None = None,
) -> Wanted:
    """Those that were asked so long before ``now`` (``1h``), and so on. Raises `RequestError` (``invalid_request``)."""
    if status not in (OPEN, ENDED):
        raise RequestError("invalid_request", f"`status` is {OPEN} or {ENDED}, not {status!r}")
    if kind is not None and kind not in KINDS:
        raise RequestError("invalid_request", f"`kind` is one of {', '.join(KINDS)}, not {kind!r}")
    try:
        before = now - round(parse_duration(older_than) * 1000) if older_than else None
    except (ValueError, OverflowError) as error:
        raise RequestError("invalid_request", f"`older_than`: {error}") from None
    return Wanted(status == OPEN, assignee, workflow, before, kind)


class ApprovalPage(msgspec.Struct, frozen=True):
    """``next``: the position after which another page follows; None: this is the last."""

    items: list[dict[str, Json]]
    next: str | None = None


class ApprovalViews:
    def __init__(self, ports: Ports, stores: Stores) -> None:
        self._clock = ports.clock
        self._stores = stores

    def list(self, wanted: Wanted, limit: int, after: str | None = None) -> ApprovalPage:
        """Those that are wanted, newest first, without data. A page may have fewer than there are: another follows."""
        items: list[dict[str, Json]] = []
        position = after if after is not None or wanted.before is None else f"{wanted.before:015d}"
        for read, approval in enumerate(self._after(wanted, position), 1):
            position = approval.position
            if wanted.takes(approval):
                items.append(self._json(approval))
            if len(items) == limit or read == READ_MAX:
                return ApprovalPage(items, position)
        return ApprovalPage(items)

    def of_execution(self, execution_id: str) -> Sequence[dict[str, Json]]:
        """Those that an execution asks now, in the order in which they were asked, without data."""
        return [self._json(found) for found in self._stores.approvals.of_execution(execution_id) if not found.outcome]

    def get(self, id: str) -> dict[str, Json]:
        """One with its form, its data and all answers. Raises `RequestError` (``not_found``)."""
        execution_id, number = parts_of(id)
        approval = self._stores.approvals.get(execution_id, number)
        if approval is None:
            raise RequestError("not_found", f"there is no approval {id!r}")
        answers = [self._answer_json(answer, with_data=True) for answer in approval.answers]
        shown = {"form": self._form(approval), "data": self._stores.approvals.data(approval), "answers": answers}
        return {**self._json(approval), **shown}

    def _after(self, wanted: Wanted, position: str | None) -> Iterator[StoredApproval]:
        while page := self._stores.approvals.list(is_open=wanted.is_open, limit=PAGE_READ, before=position):
            yield from page
            position = page[-1].position
            if len(page) < PAGE_READ:
                return

    def _form(self, approval: StoredApproval) -> Json:
        if approval.kind:
            return self._stores.approvals.form(approval)
        node = node_of(self._stores.workflows.plan(approval.plan_hash), approval.path)
        spec = node.spec if node is not None else None
        return spec.form if isinstance(spec, ApprovalSpec) else None

    def _json(self, approval: StoredApproval) -> dict[str, Json]:
        return {
            "id": approval_id(approval.execution_id, approval.number),
            "kind": approval.kind or NODE,
            "tool": approval.tool or None,
            "status": approval.outcome or OPEN,
            "execution_id": approval.execution_id,
            "workflow_id": approval.workflow_id,
            "workflow_version": approval.workflow_version,
            "path": approval.path,
            "prompt": approval.prompt,
            "assignees": list(approval.assignees),
            "quorum": approval.quorum,
            "asked_at": iso_time(approval.asked_at),
            "escalates_at": _time(approval.escalates_at),
            "expires_at": _time(approval.expires_at),
            "ended_at": _time(approval.ended_at),
            "answers": [self._answer_json(answer) for answer in approval.answers],
        }

    def _answer_json(self, answer: Answer, *, with_data: bool = False) -> dict[str, Json]:
        shown: dict[str, Json] = {
            "by": answer.by or None,
            "approved": answer.approved,
            "at": iso_time(answer.at),
            "comment": answer.comment,
        }
        data = self._stores.approvals.said(answer) if with_data else UNSET
        return shown if data is UNSET else {**shown, "data": data}


def _time(epoch_ms: int) -> str | None:
    return iso_time(epoch_ms) if epoch_ms else None
