"""An execution as it happens: its commits, and what its agents are writing, from where a reader left off.

A reader's `Position` says all that it has seen: commits up to a version, and of each agent's run that is open how many
deltas. So whoever answers the next time goes on without loss and without repeats, and needs to remember nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping

import msgspec

from workflow_runtime.engine.commands import CancelRun, RunNode, SetStatus
from workflow_runtime.engine.events import NodeFailed, NodeSucceeded, NodeYielded, RunStopped
from workflow_runtime.engine.journal import JournalEntry
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.errors import RequestError
from workflow_runtime.plan import segments
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.ports import Ports
from workflow_runtime.services.tracing.spans import runs_agent
from workflow_runtime.services.views.executions import Documents
from workflow_runtime.storage.live import Delta, Part, left_open
from workflow_runtime.storage.records import Header, RunStatus
from workflow_runtime.storage.stores import Stores

ENTRIES_AT_ONCE = 50
OPEN_MAX = 40  # agents' runs of which a reader is told what they write: their places stand in the reader's position
ENDS = (NodeSucceeded, NodeFailed, NodeYielded, RunStopped)
WATCH_SECONDS = 60  # that a reader is believed to be there
RENEWAL_SECONDS = 30  # of that, before it is renewed
RUN_DIGITS = 8  # of a run's name in a position

POSITION_PATTERN = rf"^([0-9]{{1,12}})((?:\.[0-9a-f]{{{RUN_DIGITS}}}-[0-9]{{1,9}}){{0,{OPEN_MAX}}})$"

_position = re.compile(POSITION_PATTERN)


class Position(msgspec.Struct, frozen=True):
    """``version``: of the last commit seen; ``seen``: deltas of each agent's run that is open, by its name."""

    version: int = 0
    seen: Mapping[str, int] = {}

    def __str__(self) -> str:
        return f"{self.version}" + "".join(f".{name}-{count}" for name, count in self.seen.items())

    @classmethod
    def of(cls, text: str) -> Position:
        """Raises `RequestError` (``invalid_request``)."""
        found = _position.fullmatch(text)
        if found is None:
            raise RequestError("invalid_request", "not a position of this stream: take it as it was given")
        pairs = (pair.split("-") for pair in found[2].split(".")[1:])
        return cls(int(found[1]), {name: int(count) for name, count in pairs})


class Wrote(msgspec.Struct, frozen=True):
    """An agent's run wrote this. ``superseded``: the message that it had not finished is void, as the run was lost;
    then these are the ends that are missing."""

    path: str
    serial: int
    parts: tuple[Part, ...] = ()
    superseded: bool = False


News = JournalEntry | Wrote


class Told(msgspec.Struct, frozen=True):
    """What is new, in order, each with where a reader is then. ``ended``: nothing comes after it."""

    header: Header
    plan: Plan
    news: tuple[tuple[News, Position], ...]
    ended: bool


class Streams:
    """Raises `RequestError` (``not_found``) where an execution is asked for that does not exist."""

    def __init__(self, ports: Ports, stores: Stores, documents: Documents) -> None:
        self._clock = ports.clock
        self._stores = stores
        self._documents = documents

    def watch(self, execution_id: str, seconds: int = WATCH_SECONDS) -> None:
        """Let agents know that somebody reads along for so long."""
        header, now = self._documents.header(execution_id), self._clock.now()
        if header.status.terminal or header.watched_until - now > (seconds - RENEWAL_SECONDS) * 1000:
            return
        plan = self._stores.workflows.plan(header.plan_hash)
        held = self._stores.runs.list_held(execution_id) if _has_agents(plan) else ()
        runs = [run for run, _ in held if run.status is RunStatus.RUNNING]
        self._stores.live.watch(execution_id, now + seconds * 1000, runs)

    def told(self, execution_id: str, position: Position) -> Told:
        header = self._documents.header(execution_id)
        plan = self._stores.workflows.plan(header.plan_hash)
        history = self._documents.history(execution_id, position.version, ENTRIES_AT_ONCE)
        reading = _Reading(plan, position, self._stores.live.of(execution_id) if _has_agents(plan) else [])
        news = [(each, reading.position) for entry in history.entries for each in reading.took(entry)]
        news += [(each, reading.position) for each in reading.written()]
        return Told(header, plan, tuple(news), history.finished)


class _Reading:
    """One answer in the making."""

    def __init__(self, plan: Plan, position: Position, deltas: list[Delta]) -> None:
        self._plan = plan
        self._version = position.version
        self._seen = dict(position.seen)
        self._deltas: dict[str, list[Delta]] = {}
        for delta in deltas:
            self._deltas.setdefault(_name(delta.path, delta.serial), []).append(delta)

    @property
    def position(self) -> Position:
        """After what was told last."""
        return Position(self._version, dict(self._seen))

    def took(self, entry: JournalEntry) -> Iterator[News]:
        """What a commit tells: first what the agents whose runs it closes wrote until then."""
        ended = [event for event in entry.events if isinstance(event, ENDS)]
        for event in ended:
            yield from self._closed(event.path, event.serial)
        for event in ended:
            self._forget_after(event.path, event.serial)
        for command in entry.commands:
            if isinstance(command, CancelRun):
                for path in (command.path, *segments.paths_after(self._plan, command.path)):
                    yield from self._closed(path, command.serial)
        for command in entry.commands:
            if isinstance(command, RunNode):
                self._open(command)
            elif isinstance(command, SetStatus) and ExecutionStatus(command.status).terminal:
                self._seen.clear()
        self._version = entry.version
        yield entry

    def _open(self, order: RunNode) -> None:
        """What is ordered, and what its worker may go on with in place, may write from now on."""
        after = segments.paths_after(self._plan, order.path) if order.followers else ()
        for path in (order.path, *after):
            if len(self._seen) < OPEN_MAX and runs_agent(self._plan, path):
                self._seen.setdefault(_name(path, order.serial), 0)

    def _forget_after(self, path: str, serial: int) -> None:
        """What could have been run in place after a run that has ended, and has written nothing, was not begun: it may
        write once it is ordered by itself."""
        for later in segments.paths_after(self._plan, path):
            name = _name(later, serial)
            if self._seen.get(name) == 0:
                del self._seen[name]

    def written(self) -> Iterator[Wrote]:
        """What open runs have written since."""
        for name in list(self._seen):
            yield from self._new(name)

    def _closed(self, path: str, serial: int) -> Iterator[Wrote]:
        name = _name(path, serial)
        if name not in self._seen:
            return
        yield from self._new(name)
        parts = [part for delta in self._deltas.get(name, ()) for part in delta.parts]
        if parts and parts[-1].kind != "end":
            yield Wrote(path, serial, left_open(parts), superseded=True)
        del self._seen[name]

    def _new(self, name: str) -> Iterator[Wrote]:
        """Deltas in their order, as far as none is missing."""
        for delta in self._deltas.get(name, ()):
            if delta.seq == self._seen[name] + 1:
                self._seen[name] = delta.seq
                yield Wrote(delta.path, delta.serial, delta.parts)


def _has_agents(plan: Plan) -> bool:
    return any(node.type is NodeType.AGENT for block in plan.blocks for node in block.nodes)


def _name(path: str, serial: int) -> str:
    """Of a run in a position: short, as all of them travel in a header."""
    return hashlib.sha256(f"{path}#{serial}".encode()).hexdigest()[:RUN_DIGITS]
