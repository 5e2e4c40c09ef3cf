"""Replay: the journal of an execution, taken again. The state that comes out is the state that was stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from workflow_runtime.engine.advance import NOTHING_KNOWN, abort, advance
from workflow_runtime.engine.commands import Command, without_payload
from workflow_runtime.engine.events import Event
from workflow_runtime.engine.macrosteps import Macrostep
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.turn import Known, Needs
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.plan.plan import Plan


class JournalEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One commit: the events it took at time ``now``, what it ordered, what it ignored or refused and why.

    ``macrosteps``: what charts did. ``aborted``: the execution was failed from outside its plan, for this reason.

    Events carry references and small decision values, never payloads.
    """

    version: int
    commit_id: str
    now: int
    events: tuple[Event, ...] = ()
    commands: tuple[Command, ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    aborted: ErrorDocument | None = None
    macrosteps: tuple[Macrostep, ...] = ()


class ReplayMismatch(Exception):
    """The engine decided otherwise than the journal says: the code or the plan is not what it was."""


def replay(
    plan: Plan,
    state: ExecutionState,
    journal: Iterable[JournalEntry],
    fetch: Callable[[Needs], Known],
) -> ExecutionState:
    """The state after ``journal``, starting from `new_execution`; ``fetch`` reads recorded runs like the dispatcher."""
    for entry in journal:
        state = _retake(plan, state, entry, fetch)
    return state


def _retake(
    plan: Plan,
    state: ExecutionState,
    entry: JournalEntry,
    fetch: Callable[[Needs], Known],
) -> ExecutionState:
    known = NOTHING_KNOWN
    if entry.aborted is not None:
        return abort(plan, state, entry.aborted).state
    while isinstance(decision := advance(plan, state, entry.events, entry.now, known), Needs):
        known = known.with_more(fetch(decision))
    if len(decision.commands) != len(entry.commands) or not all(map(_same, decision.commands, entry.commands)):
        raise ReplayMismatch(f"version {entry.version}: ordered {decision.commands}, the journal has {entry.commands}")
    return decision.state


def _same(ordered: Command, journaled: Command) -> bool:
    """Whether the journal has this command; of a large output it only has where it was stored."""
    blob: str | None = getattr(journaled, "blob", None)
    if blob is not None and type(ordered) is type(journaled):
        return without_payload(ordered, blob) == journaled
    return ordered == journaled
