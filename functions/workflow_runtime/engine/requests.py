"""What people ask of an execution as a whole (language §7): who may ask when stands in `lifecycle`."""

from __future__ import annotations

from workflow_runtime.engine import ending
from workflow_runtime.engine.commands import ControlChild
from workflow_runtime.engine.events import CancelRequested
from workflow_runtime.engine.scopes import Scopes
from workflow_runtime.engine.state import PendingKind


def accept_cancel(scopes: Scopes, request: CancelRequested) -> str:
    """End the execution now: what waits is dropped, what runs is told, and so are the children that are awaited."""
    state = scopes.turn.state
    for token, entry in state.pending.items():
        if entry.kind is PendingKind.CHILD and entry.workflow:  # stored by an older deployment: it is not known
            scopes.turn.commands.append(ControlChild(token, entry.workflow, "cancel", request.reason))
    ending.cancel(scopes)
    return ""
