"""The journal: what one commit of an execution took and ordered, as it is kept."""

from __future__ import annotations

import msgspec

from workflow_runtime.engine.commands import Command
from workflow_runtime.engine.events import Event
from workflow_runtime.engine.macrosteps import Macrostep
from workflow_runtime.errors import ErrorDocument


class JournalEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One commit: the events it took at time ``now``, what it ordered, what it ignored or refused and why.

    - ``macrosteps``: what charts did
    - ``aborted``: the execution was failed from outside its plan, for this reason
    - ``applied``: identities of the events from outside that it took

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
    applied: tuple[str, ...] = ()
