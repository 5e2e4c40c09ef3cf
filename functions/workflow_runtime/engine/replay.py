"""Replay: the journal of an execution, taken again.

The engine is pure, so the same events at the same times lead to the same commands and the same state; where they do
not, the code or the plan is not what it was. `Difference` says where that shows first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine import applied
from workflow_runtime.engine.advance import Decision, abort, advance
from workflow_runtime.engine.commands import CancelChild, Command, ControlChild, RecordNode, StorePages
from workflow_runtime.engine.events import Event
from workflow_runtime.engine.journal import JournalEntry
from workflow_runtime.engine.payloads import without_payload
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.turn import Known, Needs
from workflow_runtime.errors import InvalidEvent
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.plan import Plan

SHOWN_CHARS_MAX = 300  # of a value in a difference

Fetch = Callable[[Needs], Known]


class Difference(msgspec.Struct, frozen=True):
    """The first place where the engine decides otherwise than a journal says.

    - ``version``: of the commit; ``events``: what it took, by name and id
    - ``place``: where in the commit, such as ``commands[2].due``; ``events`` if the engine does not take them
    - ``recorded``, ``replayed``: what the journal has there and what the engine gives, as texts; ``""``: nothing
    """

    version: int
    events: tuple[str, ...]
    place: str
    recorded: str
    replayed: str

    def __str__(self) -> str:
        recorded, replayed = (text or "nothing" for text in (self.recorded, self.replayed))
        return f"version {self.version}: {self.place}: the journal has {recorded}, the engine gives {replayed}"


class ReplayMismatch(Exception):
    """The engine decided otherwise than the journal says: the code or the plan is not what it was."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(str(difference))
        self.difference = difference


def replay(plan: Plan, state: ExecutionState, journal: Iterable[JournalEntry], fetch: Fetch) -> ExecutionState:
    """The state after ``journal``, starting from `new_execution`; ``fetch`` reads recorded runs like the dispatcher.

    Raises `ReplayMismatch` at the first commit that comes out differently.
    """
    for entry in journal:
        decision = _retake(plan, state, entry, fetch)
        found = _first_difference(entry, decision)
        if found is not None:
            raise ReplayMismatch(difference_at(entry, *found))
        state = decision.state
    return state


def difference_at(entry: JournalEntry, place: str, recorded: str, replayed: str) -> Difference:
    """A difference in this commit."""
    events = tuple(_name(event) for event in entry.events)
    return Difference(entry.version, events, place, recorded, replayed)


def first_difference(recorded: Json, replayed: Json, place: str = "") -> tuple[str, str, str] | None:
    """Where two JSON values first differ, and what is there in each, as texts; None if they are equal."""
    if isinstance(recorded, dict) and isinstance(replayed, dict):
        start = f"{place}." if place else ""
        return _first_of(recorded, replayed, {key: f"{start}{key}" for key in (*recorded, *replayed)})
    if isinstance(recorded, list) and isinstance(replayed, list):
        places = {index: f"{place}[{index}]" for index in range(max(len(recorded), len(replayed)))}
        return _first_of(dict(enumerate(recorded)), dict(enumerate(replayed)), places)
    same = recorded == replayed and type(recorded) is type(replayed)
    return None if same else (place, _shown(recorded), _shown(replayed))


def _first_of(
    recorded: dict[Any, Json], replayed: dict[Any, Json], places: dict[Any, str]
) -> tuple[str, str, str] | None:
    for key, place in places.items():
        if key not in recorded or key not in replayed:
            shown = ["" if key not in value else _shown(value[key]) for value in (recorded, replayed)]
            return place, shown[0], shown[1]
        if found := first_difference(recorded[key], replayed[key], place):
            return found
    return None


def _retake(plan: Plan, state: ExecutionState, entry: JournalEntry, fetch: Fetch) -> Decision:
    """What the engine decides on the events of a commit."""
    if entry.aborted is not None:
        return abort(plan, state, entry.aborted)
    if entry.refused:  # the commit of an event that could not be taken changes nothing else
        after = state.copy()
        after.version += 1
        return Decision(after, ())
    known = Known(applied=_taken_before(entry))
    try:
        while isinstance(decision := advance(plan, state, entry.events, entry.now, known), Needs):
            known = known.with_more(fetch(decision))
    except InvalidEvent as error:
        names = ", ".join(_name(event) for event in entry.events)
        raise ReplayMismatch(difference_at(entry, "events", names, f"a refusal: {error}")) from error
    return decision


def _taken_before(entry: JournalEntry) -> frozenset[str]:
    """Which of a commit's events had been taken by an earlier one: none of their copies had an effect, and one was told
    to be a repeat. The others may have been ignored for what the execution did by then."""
    ignored, came = Counter(id for id, _ in entry.ignored), Counter(event.event_id for event in entry.events)
    repeats = {id for id, reason in entry.ignored if reason in (applied.TAKEN, applied.REQUEST_TAKEN)}
    return frozenset(applied.identity(id) for id in repeats if ignored[id] >= came[id])


def _first_difference(entry: JournalEntry, decision: Decision) -> tuple[str, str, str] | None:
    """Where a decision differs from what the journal says of it."""
    same_commands = len(decision.commands) == len(entry.commands) and all(map(_same, decision.commands, entry.commands))
    if same_commands and (decision.ignored, decision.macrosteps) == (entry.ignored, entry.macrosteps):
        return None
    commands = [
        _as_journaled(command, entry.commands[place] if place < len(entry.commands) else None)
        for place, command in enumerate(decision.commands)
    ]
    return first_difference(
        _json({"commands": entry.commands, "ignored": entry.ignored, "macrosteps": entry.macrosteps}),
        _json({"commands": commands, "ignored": decision.ignored, "macrosteps": decision.macrosteps}),
    )


def _same(ordered: Command, journaled: Command) -> bool:
    """Whether the journal has this command; of a large output it only has where it was stored."""
    return _as_journaled(ordered, journaled) == journaled


def _as_journaled(ordered: Command, journaled: Command | None) -> Command:
    """The command as it would stand where the journal has ``journaled``: without a payload that was stored apart, and
    in the form that older deployments gave it."""
    if isinstance(journaled, CancelChild) and isinstance(ordered, ControlChild) and ordered.operation == "cancel":
        return CancelChild(ordered.token, ordered.workflow_id, ordered.reason)
    if isinstance(ordered, RecordNode) and isinstance(journaled, RecordNode) and journaled.inputs_blob is not None:
        ordered = replace(ordered, inputs=None, inputs_blob=journaled.inputs_blob)
    if isinstance(ordered, StorePages) and isinstance(journaled, StorePages):
        ordered = replace(ordered, pages=journaled.pages)
    blob: str | None = getattr(journaled, "blob", None)
    return without_payload(ordered, blob) if blob is not None and type(ordered) is type(journaled) else ordered


def _name(event: Event) -> str:
    return f"{event.__struct_config__.tag} {getattr(event, 'event_id', '')}"


def _json(value: Any) -> Json:
    return msgspec.json.decode(msgspec.json.encode(value))


def _shown(value: Json) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 1] + "…"
