"""Visits that can be undone, and what becomes of them: the parts of a state that `compensation` works on."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy

import msgspec

from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.errors import ErrorDocument


class Undoable(msgspec.Struct, frozen=True, array_like=True):
    """A visit that succeeded and can be undone: the node's plan-wide number, the serial of the run that succeeded, and
    what starts the node's path there."""

    number: int
    serial: int
    prefix: str = ""


class Original(msgspec.Struct, frozen=True, array_like=True):
    """A node that has failed, and in whose place another one runs: its path, the serial of the run that its success
    would be, since when that goes on (epoch ms), which attempt it is, and the execution that the node started."""

    path: str
    serial: int
    started_at: int
    attempt: int
    child: str = ""


def awaited_as(stopping: Mapping[str, int], path: str, serial: int) -> str:
    """Under which name a run is awaited that was told to stop: its path or, if an earlier run of that was awaited then,
    ``path#serial``. ``""``: it is not."""
    if not stopping:  # as nearly always
        return ""
    if stopping.get(path) == serial:
        return path
    later = f"{path}#{serial}"
    return later if later in stopping else ""


class Fate(msgspec.Struct, frozen=True, array_like=True):
    """What became of undoing a visit: the mark of its compensation, and the serial of that one's last run."""

    mark: int
    serial: int


class Undoing(msgspec.Struct, omit_defaults=True):
    """A compensation under way, or over.

    - ``status``, ``error``: how the execution ends then, and what its compensations are told
    - ``left``: places in the state's ``undo`` below this one have not been looked at
    - ``open``: how many visits are being undone; ``held``: places of those whose compensation runs for another visit
    - ``serial``: the first serial that no compensation has had
    - ``again``: it was asked for after the end
    - ``closes``: what was told to stop has had its time, and is being closed
    """

    status: ExecutionStatus
    error: ErrorDocument | None = None
    left: int = 0
    open: int = 0
    held: list[int] = []
    serial: int = 1
    again: bool = False
    closes: bool = False

    def copy(self) -> Undoing:
        copied = copy(self)
        copied.held = self.held[:]
        return copied
