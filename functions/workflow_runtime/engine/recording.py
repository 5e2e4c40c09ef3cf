"""A recording: an execution's journal with all that its decisions read, so that it can be replayed anywhere.

Of outputs and of the input it holds what the plan's decisions read, nothing more. Recordings of earlier deployments
stay readable as long as their plans and journals do.
"""

from __future__ import annotations

from functools import cached_property

import msgspec

from workflow_runtime.engine.advance import new_execution
from workflow_runtime.engine.codec import decode_state, encode_state
from workflow_runtime.engine.commands import Read, RunNode
from workflow_runtime.engine.journal import JournalEntry
from workflow_runtime.engine.lifecycle import WAITING
from workflow_runtime.engine.replay import (
    Difference,
    ReplayMismatch,
    difference_at,
    first_difference,
    replay,
)
from workflow_runtime.engine.scope_states import GraphState
from workflow_runtime.engine.state import ExecutionState, Parent
from workflow_runtime.engine.turn import Known, Needs, Visit
from workflow_runtime.engine.values.evaluation import NOT_RUN, NodeValue
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.limiters import Share
from workflow_runtime.plan.plan import Plan, decode_plan

RECORDING_SCHEMA = 1
"""Number of this layout; a recording with a higher one was made by a newer version and is refused."""

NO_STATE = msgspec.Raw(b"null")


class RecordedRun(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a node run ended, as decisions see it. ``order``: of a failed attempt, and of one that goes on in another
    run, what it carried out. ``visit``: of one that the dispatcher undoes itself, what it was given and yielded."""

    path: str
    serial: int
    value: NodeValue
    order: RunNode | None = None
    visit: Visit | None = None


class Recording(msgspec.Struct, frozen=True, omit_defaults=True, dict=True, kw_only=True):
    """An execution until now.

    - ``plan``: as it was stored; ``entries``: the journal from the first commit on
    - ``runs``: those that these commits knew of
    - ``globals``: input, variables and env; ``replaced``: those that an attempt of the execution put in their place
    - ``blobs``: data of large events by where it was stored
    - ``state``: what was stored after the last entry, if that was the newest
    - ``tenant``, ``shares``: see `ExecutionState`
    """

    execution_id: str
    workflow_id: str
    workflow_version: int
    started_at: int
    plan: msgspec.Raw
    schema: int = RECORDING_SCHEMA
    parent: Parent | None = None
    hops: int = 0
    entries: tuple[JournalEntry, ...] = ()
    runs: tuple[RecordedRun, ...] = ()
    globals: dict[str, Json] | None = None
    replaced: dict[int, dict[str, Json]] = {}
    blobs: dict[str, Json] = {}
    state: msgspec.Raw = NO_STATE
    tenant: str = ""
    shares: dict[str, Share] = {}

    @cached_property
    def compiled(self) -> Plan:
        """The plan. Raises `msgspec.ValidationError`."""
        return decode_plan(bytes(self.plan))


class NotRecorded(Exception):
    """A decision needs what the recording lacks: the journal's own decisions did not read it."""


_decoder = msgspec.json.Decoder(Recording)
_encoder = msgspec.json.Encoder()


def encode_recording(recording: Recording) -> bytes:
    return _encoder.encode(recording)


def decode_recording(data: bytes) -> Recording:
    """Raises `msgspec.DecodeError` for anything that is not a recording, or for one written by newer code."""
    recording = _decoder.decode(data)
    if recording.schema > RECORDING_SCHEMA:
        newer = f"recording schema {recording.schema} is newer than this runtime's {RECORDING_SCHEMA}"
        raise msgspec.ValidationError(newer)
    return recording


def first_deviation(recording: Recording) -> Difference | None:
    """The first place where this engine decides otherwise than the recorded one did; None if there is none.

    Whatever the engine raises is a difference, too. Raises `msgspec.ValidationError` for an invalid plan or state.
    """
    plan = recording.compiled
    known = _Known(recording, plan)
    state = new_execution(
        plan,
        recording.execution_id,
        recording.workflow_version,
        recording.started_at,
        recording.parent,
        recording.hops,
        recording.tenant,
        recording.shares,
    )
    for entry in recording.entries:
        try:
            state = replay(plan, state, (entry,), known.fetch)
        except ReplayMismatch as mismatch:
            return mismatch.difference
        except NotRecorded as error:
            return difference_at(entry, "reads", "", str(error))
        except Exception as error:  # a fault of the engine is what a replay is to find
            return difference_at(entry, "events", "", f"the engine failed: {type(error).__name__}: {error}")
    return _state_difference(recording, state)


def _state_difference(recording: Recording, state: ExecutionState) -> Difference | None:
    if bytes(recording.state) == bytes(NO_STATE) or not recording.entries:
        return None
    stored = decode_state(bytes(recording.state))
    if stored.alarms is None:  # as older code stored it; the order follows from the timers
        stored.alarms = state.alarms
    if stored.schema != state.schema:  # of another layout, only decisions can be compared
        return None
    recorded, replayed = (_as_json(_comparable(recording.compiled, one)) for one in (stored, state))
    if recorded == replayed:
        return None
    found = first_difference(recorded, replayed, "state") or ("state", "", "")
    return difference_at(recording.entries[-1], *found)


def _as_json(state: ExecutionState) -> dict[str, Json]:
    """As it is stored, with what stands apart under ``marks``."""
    stored = msgspec.json.decode(encode_state(state))
    marks, rest = stored if isinstance(stored, list) else ("", stored)
    return {**rest, "marks": marks}


def _comparable(plan: Plan, state: ExecutionState) -> ExecutionState:
    """A copy without what decides nothing: empty tables, which a state that was never stored may have where another has
    none, and the progress of joins and layers that nobody asks for any more, which depends on the code at work."""
    copied = state.whole()
    for address in list(copied.scopes):
        scope = copied.touch(address)
        if isinstance(scope, GraphState):
            waiting = {node for node, mark in enumerate(scope.marks) if mark == WAITING}.difference(scope.due)
            layer = plan.blocks[scope.block].layer
            scope.joins = {node: progress for node, progress in scope.joins.items() if node in waiting}
            open_layers = {first for first in scope.layers if not waiting.isdisjoint(layer(first))}
            scope.layers = {first: count for first, count in scope.layers.items() if first in open_layers}
    return copied


class _Known:
    """What the dispatcher would read, from a recording."""

    def __init__(self, recording: Recording, plan: Plan) -> None:
        self._plan = plan
        self._recording = recording
        self._runs = {(run.path, run.serial): run for run in recording.runs}

    def fetch(self, needs: Needs) -> Known:
        """Raises `NotRecorded`."""
        globals = self._recording.replaced.get(needs.replaced) if needs.replaced else self._recording.globals
        if needs.globals and globals is None:
            raise NotRecorded("the input and variables, which are not recorded")
        missing = [blob for blob in needs.blobs if blob not in self._recording.blobs]
        if missing:
            raise NotRecorded(f"the data of an event, which is not recorded: {missing[0]}")
        return Known(
            {read: self._run(read).value for read in needs.reads}
            | {read: self._value_in_pass(read) for read in needs.passes},
            globals if needs.globals else None,
            {blob: self._recording.blobs[blob] for blob in needs.blobs},
            {read: self._order(read) for read in needs.orders},
            {read: self._visit(read) for read in needs.visits},
            segments=frozenset(needs.segments),  # what was found then is among the events of the commit
        )

    def _visit(self, read: Read) -> Visit:
        visit = self._run(read).visit
        if visit is None:
            raise NotRecorded(
                f"what run {read.serial} of node `{read.path(self._plan)}` was given, which is not recorded"
            )
        return visit

    def _value_in_pass(self, read: Read) -> NodeValue:
        """Of a node that did not run in its pass, nothing is recorded."""
        found = self._runs.get((read.path(self._plan), read.serial))
        return found.value if found is not None else NOT_RUN

    def _order(self, read: Read) -> RunNode | None:
        """The order of a run: kept with it, or, of what an action called, in the journal."""
        run = self._run(read)
        is_ordered = self._plan.place(read.node)[0] in self._plan.lone_blocks or self._plan.node(read.node).pool
        if run.order is not None or not is_ordered:
            return run.order
        return next(
            (
                command
                for entry in self._recording.entries
                for command in entry.commands
                if isinstance(command, RunNode) and (command.path, command.serial) == (run.path, run.serial)
            ),
            None,
        )

    def _run(self, read: Read) -> RecordedRun:
        path = read.path(self._plan)
        if (path, read.serial) not in self._runs:
            raise NotRecorded(f"run {read.serial} of node `{path}`, which is not recorded")
        return self._runs[path, read.serial]
