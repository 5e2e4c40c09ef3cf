"""The ledger of a turn: what a single `advance` orders, what it would have to read first, and what its charts did.

A turn ends in one of two ways: every decision that the events made possible is taken, or some need values that nobody
has at hand (`Needs`); then the whole turn is thrown away and taken again with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence, Set

import msgspec

from workflow_runtime.engine.awaited import Pending
from workflow_runtime.engine.commands import (
    CancelRun,
    Command,
    Deferrable,
    PublishEvent,
    Read,
    RunNode,
    StopRun,
    StorePages,
)
from workflow_runtime.engine.lifecycle import SUSPENDED, ExecutionStatus
from workflow_runtime.engine.macrosteps import Macrostep
from workflow_runtime.engine.passes import Page
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.tables import NO_ENTRIES, NO_MEMBERS, appended
from workflow_runtime.engine.values.evaluation import NodeValue
from workflow_runtime.engine.visits import Original, awaited_as
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.plan import Plan

COMMANDS_MAX = 500  # per commit: far below the 400 KB of an item, and carried out in a few seconds; the rest waits
VALUE_KEPT_BYTES_MAX = 256  # a decision value that may wait in the state for its readers
VALUES_KEPT_BYTES_MAX = 1_024  # all of them together: a write unit of the state's item


class Needs(msgspec.Struct, frozen=True):
    """What must be read before the events can be decided on.

    - ``reads``: recorded runs
    - ``globals``: whether input, variables and env
    - ``blobs``: payloads of signals
    - ``orders``: of failed runs
    - ``replaced``: the number of the variables in force, if others replaced the first
    - ``visits``: successful runs of which inputs and output must be read whole
    - ``passes``: runs in passes that have ended, where they are recorded; of a node that did not run, nothing is
    - ``segments``: runs, by path and serial, that are about to be cancelled, and after which their workers may have
      gone on in place: what of that has succeeded is to come first, as events
    """

    reads: tuple[Read, ...]
    globals: bool = False
    blobs: tuple[str, ...] = ()
    orders: tuple[Read, ...] = ()
    replaced: int = 0
    visits: tuple[Read, ...] = ()
    passes: tuple[Read, ...] = ()
    segments: tuple[tuple[str, int], ...] = ()


class Visit(msgspec.Struct, frozen=True):
    """What a successful run that can be undone was given, and what it yielded."""

    inputs: Json = None
    output: Json = None


class Known(msgspec.Struct, frozen=True):
    """Values fetched for a turn: recorded runs, pruned to their decision paths; ``globals`` as in `View`; payloads of
    signals by where they are stored; orders of failed runs, None of one that kept none; whole visits; of the events at
    hand, the identities of those that were taken before (``applied``); ``segments`` that were looked at: what was found
    is among the events."""

    nodes: Mapping[Read, NodeValue] = {}
    globals: dict[str, Json] | None = None
    blobs: Mapping[str, Json] = {}
    orders: Mapping[Read, RunNode | None] = {}
    visits: Mapping[Read, Visit] = {}
    applied: frozenset[str] = frozenset()
    segments: frozenset[tuple[str, int]] = frozenset()

    def with_more(self, more: Known) -> Known:
        """Both together."""
        globals_ = more.globals if more.globals is not None else self.globals
        return Known(
            {**self.nodes, **more.nodes},
            globals_,
            {**self.blobs, **more.blobs},
            {**self.orders, **more.orders},
            {**self.visits, **more.visits},
            self.applied | more.applied,
            self.segments | more.segments,
        )


class Missing:
    """What a turn lacks, as it comes up, each once: see `Needs`."""

    __slots__ = ("blobs", "globals", "nodes", "orders", "passes", "segments", "visits")

    def __init__(self) -> None:
        self.nodes: dict[Read, None] = {}
        self.globals = False
        self.blobs: dict[str, None] = {}
        self.orders: dict[Read, None] = {}
        self.visits: dict[Read, None] = {}
        self.passes: dict[Read, None] = {}
        self.segments: dict[tuple[str, int], None] = {}

    def needs(self, replaced: int) -> Needs:
        reads = sorted(self.nodes, key=lambda read: (read.node, read.prefix or ""))
        return Needs(
            tuple(reads),
            self.globals,
            tuple(self.blobs),
            tuple(self.orders),
            replaced,
            tuple(self.visits),
            tuple(self.passes),
            tuple(self.segments),
        )


class ValuesMissing(Exception):
    """Inside the engine only: the decision at hand cannot be taken yet; what it needs is noted on the turn."""


class Turn(msgspec.Struct, eq=False):
    """What a turn works on.

    - ``state``: the copy that it changes
    - ``pending_before``: what the execution waited for when the turn began; ``listened_before``: the same of the events
      alone that it listens to otherwise by now, None of those that it did not listen to
    - ``evaluations``: how many formulas of charts were evaluated; seeds ``uuid()``
    - ``status_at_start``, ``status_before``: the execution's when the turn began, and when the event at hand came
    - ``replacing``: variables that this turn replaces; ``replaced_before``: the state's ``replaced`` when it began
    - ``missing``: what must be read before it can be decided, once something must; ``stored``: by key, what it has
      stored apart itself
    - ``reason``: why someone asked for the execution to end, in their words
    - ``applied``: identities of events from outside that it takes
    - ``reported``: runs whose success is among its events, by path and serial; ``going_on``: those of them after which
      their workers have gone on in place
    - ``ordered``: runs that it orders, by path and serial, of an execution with segments; ``followers``: by path and
      serial of what it cancels, those of what its worker may run in place, if that can be undone
    - ``idle``: paths and serials of what it cancels and no worker has a run of: another node runs in its place, or the
      next attempt is yet to come; ``originals``: by path and serial of what it cancels, the node in whose place that
      runs, if that can be undone
    - ``breaks_off``: it ends the execution whatever anybody has recorded
    """

    plan: Plan
    state: ExecutionState
    known: Known
    pending_before: Mapping[str, Pending]
    status_at_start: ExecutionStatus
    status_before: ExecutionStatus
    replaced_before: int
    commands: list[Command] = []
    macrosteps: list[Macrostep] = []
    missing: Missing | None = None
    evaluations: int = 0
    listened_before: Mapping[str, Pending | None] = NO_ENTRIES
    replacing: Mapping[str, Json] = NO_ENTRIES
    reason: str = ""
    applied: Mapping[str, None] = NO_ENTRIES
    reported: Set[tuple[str, int]] = frozenset()
    going_on: Set[tuple[str, int]] = frozenset()
    ordered: Set[tuple[str, int]] = NO_MEMBERS
    followers: Mapping[tuple[str, int], list[tuple[str, int]]] = NO_ENTRIES
    idle: Set[tuple[str, int]] = NO_MEMBERS
    originals: Mapping[tuple[str, int], Original] = NO_ENTRIES
    stored: dict[str, Json] = {}
    breaks_off: bool = False

    @classmethod
    def on(cls, plan: Plan, state: ExecutionState, known: Known) -> Turn:
        """A turn that begins in this state, of which it works on a copy."""
        status = state.status
        return cls(plan, state.copy(), known, state.pending, status, status, state.replaced)

    @property
    def now(self) -> int:
        return self.state.now

    def store(self, pages: Sequence[Json]) -> str:
        """Have values stored apart, each page under the key that is given back and its number.

        The key is made of what they are: the same key means the same values, no matter who commits first.
        """
        digest = hashlib.sha256(msgspec.json.encode(pages)).hexdigest()[:40]
        key = f"executions/{self.state.execution_id}/pages/{digest}"
        command = StorePages(key, len(pages), tuple(pages))
        self.commands.append(command)
        self.stored.update(zip(command.keys, pages, strict=True))
        return key

    def blob(self, key: str) -> Json:
        """A value that was stored apart. Raises `ValuesMissing`."""
        if key in self.stored:
            return self.stored[key]
        if key not in self.known.blobs:
            self.lacks().blobs[key] = None
            raise ValuesMissing
        return self.known.blobs[key]

    def read(self, pages: Mapping[str, Page]) -> dict[str, Json]:
        """Values that were stored apart, by name. Raises `ValuesMissing`."""
        return {name: self.blob(page.key)[page.place] for name, page in pages.items()}

    @property
    def is_suspended(self) -> bool:
        """Whether nothing new may be decided."""
        return self.state.status is SUSPENDED

    def lacks(self) -> Missing:
        """Where to note what must be read first."""
        if self.missing is None:
            self.missing = Missing()
        return self.missing

    def needs(self) -> Needs:
        """What must be read first. Only for a turn that lacks something."""
        assert self.missing is not None, "who cannot decide says what is missing"
        return self.missing.needs(self.replaced_before)

    @property
    def globals(self) -> dict[str, Json] | None:
        found = self.known.globals if self.known.globals is not None else self.state.globals
        if found is None or not self.replacing:
            return found
        return {**found, "variables": {**found["variables"], **self.replacing}}

    def need_globals(self) -> dict[str, Json]:
        """Input, variables and env. Raises `ValuesMissing` when they must be read first."""
        if self.globals is None:
            self.lacks().globals = True
            raise ValuesMissing
        return self.globals

    @property
    def has_room(self) -> bool:
        """Whether this commit may still order something."""
        return len(self.commands) + len(self.state.backlog) < COMMANDS_MAX

    def bound(self) -> None:
        """Leave to the commits to come what is too much for this one; what earlier ones left comes first."""
        state = self.state
        if not state.backlog and len(self.commands) <= COMMANDS_MAX:
            return
        deferrable = [*state.backlog, *(command for command in self.commands if isinstance(command, Deferrable))]
        self.commands = [command for command in self.commands if not isinstance(command, Deferrable)]
        room = max(COMMANDS_MAX - len(self.commands), 0)  # a backlog keeps nodes from beginning, so that there is some
        self.commands += deferrable[:room]
        state.backlog = tuple(deferrable[room:])

    def catch_up(self) -> None:
        """Order what the commits before had no room for."""
        state = self.state
        withdrawn, state.withdrawn = state.withdrawn, []
        for path, serial in withdrawn:
            self.cancel(path, serial)
        unannounced, state.unannounced = state.unannounced, []
        for path, status in unannounced:
            self.announce(path, status)

    def look_at_segment(self, path: str, serial: int) -> None:
        """Have what a worker has run in place after a run be known before that is cancelled, unless the order is of
        this very turn."""
        run = path, serial
        if not self.breaks_off and run not in self.known.segments and run not in self.ordered:
            self.lacks().segments[run] = None

    def order_no_longer(self, path: str, serial: int) -> None:
        """Nobody is to begin a run any more: it has come to an end, or yielded, in place after another one, or is
        cancelled."""
        if not self.ordered or (path, serial) not in self.ordered:
            return
        for place in range(len(self.commands) - 1, -1, -1):
            command = self.commands[place]
            if isinstance(command, RunNode) and (command.path, command.serial) == (path, serial):
                del self.commands[place]
                return

    def cancel(self, path: str, serial: int, started_at: int = 0, child: str = "") -> None:
        """Order the end of a node's run, or tell it to stop if it is awaited. ``started_at``: when the dispatcher began
        it, if it did; ``child``: the execution that it started."""
        if self.has_room:
            undoing = self.state.undoing
            if awaited_as(self.state.stopping, path, serial):
                self.commands.append(StopRun(path, serial, undoing is not None and undoing.closes))
            else:
                self.commands.append(CancelRun(path, serial, started_at, child))
        else:
            self.state.withdrawn = appended(self.state.withdrawn, (path, serial))

    def announce(self, path: str, status: str) -> None:
        """Publish how a node ended, if the workflow wants that."""
        if "node" not in self.plan.events:
            return
        if self.has_room:
            verb = "succeeded" if status == "success" else status
            self.publish(f"node.{verb}", path=path, status=status)
        else:
            self.state.unannounced = appended(self.state.unannounced, (path, status))

    def publish(self, detail_type: str, **detail: Json) -> None:
        self.commands.append(PublishEvent(detail_type, {**detail, "at": self.now}))

    def next_number(self) -> int:
        """A number that nothing else of this execution has."""
        self.state.made += 1
        return self.state.made
