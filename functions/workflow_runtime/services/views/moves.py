"""What would move an execution that waits, in words."""

from __future__ import annotations

from workflow_runtime.engine.awaited import BUDGET_CALL, SESSION, Approval, Yields
from workflow_runtime.engine.identity import approval_id, child_execution_id
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.plan.edges import Join, JoinKind
from workflow_runtime.storage.freezes import Switch

NAMED_MAX = 3  # of people who have not answered


def thaw_text(switch: Switch) -> str:
    """What ends a freeze, and who wanted it since when and why."""
    by = f" by {switch.by}" if switch.by else ""
    reason = f": {switch.reason}" if switch.reason else ""
    return f"a thaw of `{switch.scope}`, frozen since {iso_time(switch.since)}{by}{reason}"


def join_text(join: Join, count: int) -> str:
    """What a node before which ``count`` nodes are open needs."""
    which = "the end of that node" if count == 1 else f"the ends of these {count} nodes"
    match join.kind:
        case JoinKind.ALL_SUCCESS:
            return f"{which}, with success (join `all_success`)"
        case JoinKind.ANY:
            return "the first success before it (join `any`)"
        case JoinKind.AT_LEAST:
            return f"{join.count} successes before it (join `at_least`)"
        case _:
            return which


def callback_text(heartbeat: int) -> str:
    """That its task token is to be completed; ``heartbeat``: the longest silence (ms)."""
    silence = f", with a heartbeat at least every {heartbeat / 1000:g} s" if heartbeat else ""
    return f"whoever has its task token completes or fails it (`POST /tasks/complete`){silence}"


def calls_text(state: ExecutionState, yields: Yields) -> str:
    """All that the calls of an agent wait for."""
    texts = []
    for id in yields.open.values():
        entry = state.pending[id]
        if entry.approval is not None:
            more = ": whether it may have more of its budget" if entry.approval.call.startswith(BUDGET_CALL) else ""
            texts.append(people_text(state.execution_id, entry.approval) + more)
        elif entry.name.startswith(SESSION):
            texts.append("the end of the visit that works on the session of its agent")
        elif entry.callback is not None:
            texts.append(callback_text(entry.callback.heartbeat))
        else:
            child = child_execution_id(state.execution_id, entry.order or id, entry.workflow)
            texts.append(f"the end of {child}, an execution of `{entry.workflow}`")
    return "; and ".join(dict.fromkeys(texts))


def people_text(execution_id: str, approval: Approval) -> str:
    """Whose answers to which approval are missing."""
    given = sum(answer.approved for answer in approval.answers)
    heard = {answer.by for answer in approval.answers}
    silent = [name for name in approval.assignees if name not in heard]
    more = " …" if len(silent) > NAMED_MAX else ""
    others = "those who are asked later" if approval.assignees else "whoever may call the API"
    who = " or ".join(silent[:NAMED_MAX]) + more if silent else others
    done = f"; {given} of {approval.quorum} have approved" if approval.quorum > 1 else ""
    return f"an answer of {who} to the approval {approval_id(execution_id, approval.number)}{done}"
