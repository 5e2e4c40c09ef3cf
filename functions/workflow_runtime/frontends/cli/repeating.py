"""When a run has shown enough: nothing is left but timers that repeat, or the execution goes round in circles
by its own timers and events.

Read from the journal, commit by commit, and from the state: what is left to come must be repeating timers only, so that
a delay of a year is waited for, whatever repeats meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from workflow_runtime.engine.events import SELF, Event, Poked, SignalReceived, TimerFired
from workflow_runtime.engine.journal import JournalEntry
from workflow_runtime.engine.preview import RunningTimer
from workflow_runtime.frontends.cli.output import Line
from workflow_runtime.frontends.cli.progress import seconds_text
from workflow_runtime.plan.formulas import Formula

if TYPE_CHECKING:
    from workflow_runtime.runtime.in_process import LocalRuntime

REPEATS_MAX = 20  # that change nothing at all: the next ones will not either
ATTEMPTS_MAX = 1_000  # that set variables or call something, as a counter or a poll does, but leave no state
TURNS_MAX = 5_000  # taken because of its own timers and events, nothing from outside between: it will take them forever
UNCHANGING = frozenset({"log", "publish_event", "if", "for_each"})  # actions; what the last two do is named beside them
ENTRIES_READ_AT_ONCE = 4  # mostly there is one new


class Repetition:
    """Looks at one execution from its next commit on. Once it is `seen`: ``timers``, those that repeat, or
    ``endless``, the turns it took."""

    def __init__(self, runtime: LocalRuntime, execution_id: str, turns_max: int = TURNS_MAX) -> None:
        self._documents = runtime.services.documents
        self._pump = runtime.pump
        self._clock = runtime.backend.ports.clock
        self._id = execution_id
        self._version = self._documents.header(execution_id).state_version
        self._repeats = 0
        self._attempts = 0
        self._turns = 0
        self._turns_max = turns_max
        self._once_at = 0  # before, there is nothing to find out
        self.timers: tuple[RunningTimer, ...] = ()
        self.endless = 0

    def seen(self) -> bool:
        """Whether the last timers only repeated themselves and no others are to come."""
        while entries := self._documents.history(self._id, self._version, ENTRIES_READ_AT_ONCE).entries:
            self._version = entries[-1].version
            for entry in entries:
                self._count(entry)
        if self._turns >= self._turns_max:
            self.endless = self._turns
            return True
        if self._repeats < REPEATS_MAX and self._attempts < ATTEMPTS_MAX:
            return False
        if self._clock.now() < self._once_at or not self._pump.rests:
            return False
        timers = self._documents.ahead(self._documents.header(self._id)).timers
        self._once_at = min((timer.due for timer in timers if timer.every is None), default=0)
        if not timers or self._once_at:
            return False
        self.timers = timers
        return True

    def _count(self, entry: JournalEntry) -> None:
        self._turns += sum(map(_by_itself, entry.events))
        if any(map(_from_outside, entry.events)):
            self._turns = 0
        moved = any(step.exited or step.entered for step in entry.macrosteps)
        if moved or any(isinstance(event, SignalReceived) for event in entry.events):
            self._repeats = self._attempts = self._once_at = 0
            return
        self._attempts += sum(isinstance(event, TimerFired) for event in entry.events)
        self._repeats = self._repeats + len(entry.macrosteps) if _changes_nothing(entry) else 0


def _by_itself(event: Event) -> bool:
    return isinstance(event, TimerFired) or (isinstance(event, SignalReceived) and event.source == SELF)


def _from_outside(event: Event) -> bool:
    return isinstance(event, SignalReceived) and event.source != SELF


def _changes_nothing(entry: JournalEntry) -> bool:
    """A transition that was refused may be taken later: its condition may look at the time."""
    return all(isinstance(event, (TimerFired, Poked)) for event in entry.events) and all(
        not step.reason and UNCHANGING.issuperset(step.actions) for step in entry.macrosteps
    )


def repeat_lines(timers: Sequence[RunningTimer]) -> Iterator[Line]:
    """What repeats how often, and what could end it; nothing without timers."""
    for timer in timers:
        every = str(timer.every.source) if isinstance(timer.every, Formula) else seconds_text(timer.every or 0)
        yield ["  ", (timer.source, "bold"), f" repeats every {every}"]
    if timers:
        yield [("hint: ", "cyan"), "send an event, or let time pass with --event @24h"]
