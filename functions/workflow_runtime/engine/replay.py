"""Replay: the journal of an execution, taken again. The state that comes out is the state that was stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from workflow_runtime.engine.advance import NOTHING_KNOWN, advance
from workflow_runtime.engine.commands import Command
from workflow_runtime.engine.events import Event
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.turn import Known, Needs
from workflow_runtime.plan import Plan


class JournalEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One commit: the events it took at time ``now``, what it ordered, what it ignored or refused and why.

    Events carry references and small decision values, never payloads.
    """

    version: int
    commit_id: str
    now: int
    events: tuple[Event, ...] = ()
    commands: tuple[Command, ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()
    refused: tuple[tuple[str, str], ...] = ()


class ReplayMismatch(Exception):
    """The engine decided otherwise than the journal says: the code or the plan is not what it was."""


def replay(
    plan: Plan,
    state: ExecutionState,
    journal: Iterable[JournalEntry],
    fetch: Callable[[Needs], Known],
) -> ExecutionState:
    """The state after ``journal``, starting from `new_execution`. ``fetch`` reads recorded runs, as the dispatcher did."""
    for entry in journal:
        state = _retake(plan, state, entry.events, entry, fetch)
    return state


def _retake(
    plan: Plan,
    state: ExecutionState,
    events: Sequence[Event],
    entry: JournalEntry,
    fetch: Callable[[Needs], Known],
) -> ExecutionState:
    known = NOTHING_KNOWN
    while isinstance(decision := advance(plan, state, events, entry.now, known), Needs):
        known = fetch(decision)
    if decision.commands != entry.commands:
        raise ReplayMismatch(f"version {entry.version}: ordered {decision.commands}, the journal has {entry.commands}")
    return decision.state
