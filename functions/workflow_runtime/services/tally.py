"""What a deployed runtime counts, on its way to the table: executions, attempts, what models have used, what happens.

Lambda keeps no process, so nothing can be asked what it has counted; and a write for each count would cost as much as
the work that is counted. So counts travel. What a worker or any other function counts rides on the next message that it
sends to a mailbox anyway; the dispatcher adds up what comes with the messages and what it sees itself, and writes the
sums when an execution begins or ends, or after a while: one update for each workflow in them, of one of several shards.

The sums are approximate: a message that is delivered again may count twice, and what a process has not passed on when
Lambda drops it is lost: mostly the last seconds of a burst.
"""

from __future__ import annotations

import logging
import threading
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

from workflow_runtime.deployment.metrics import (
    BY_FORMULA,
    DURATION_BUCKETS_SECONDS,
    MILLISECONDS,
    OTHER,
    PERCENT,
    AttemptEnded,
    Bounded,
    Metric,
)
from workflow_runtime.deployment.topology import DISPATCH
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.errors import RetryableError
from workflow_runtime.language.json_values import Json
from workflow_runtime.ports import Message, Queues, Refusal
from workflow_runtime.services.messages import with_counts
from workflow_runtime.storage.counters import SERIES_MAX, CounterStore

logger = logging.getLogger(__name__)

RIDES_MAX = 200  # counts on one message: some 10 KB
FLUSH_SECONDS = 30  # between writes of what no beginning or end of an execution takes along
BURST_WRITES = 10  # at once: with little to do, nothing waits for a later execution
REFILL_SECONDS = 5  # until one more: under load, a process writes a few sums in a minute, whatever it does
DOLLARS = 1_000_000  # micro-dollars in one: counts are whole numbers
CARRIER_CHARS_MAX = 100_000  # a message that is large already takes nothing along
ERRORS_MAX = 50  # error types that one process tells apart
ERRORS_KEPT_MAX = 200  # about so many are told apart in the sums of a workflow: an item has 400 KB
BETWEEN = "\x1f"  # the parts of what names a count; no id has it

STARTED = "started"
SUM = "sum"  # of durations, beside their buckets
ENDS = frozenset(status.value for status in ExecutionStatus if status.terminal)


class Kind(StrEnum):
    """What is counted: the first part of the name of a series."""

    EXECUTIONS = "executions"
    EXECUTION_DURATION = "execution_duration"
    NODE_RUNS = "node_runs"
    NODE_RUN_DURATION = "node_run_duration"
    NODE_ERRORS = "node_errors"
    REQUESTS = "requests"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    MICRO_DOLLARS = "micro_dollars"
    EVENTS = "events"
    LATENESS = "lateness"


class Counted(NamedTuple):
    """What a count is of. ``workflow``: "" for what belongs to none."""

    workflow: str
    series: str

    @classmethod
    def of(cls, workflow: str, kind: Kind, *parts: str) -> Counted:
        return cls(workflow, BETWEEN.join((kind, *parts)))


class Tally:
    """Of one process; used by any thread. ``now``: epoch ms, asked first when there is something to count: a process
    may be restored from a snapshot that was taken long before.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._counts: Counter[Counted] = Counter()
        self._error = Bounded(ERRORS_MAX)  # types of errors are the authors', who may make up any number of them
        self._has_news = False
        self._written_at: int | None = None  # or when it began to count; None: it has not
        self._writes = float(BURST_WRITES)
        self._filled_at = 0

    def lifecycle(self, workflow_id: str, detail_type: str, milliseconds: int) -> None:
        """An execution began or came to an end, as the lifecycle event says, so long after its start."""
        status = detail_type.removeprefix("execution.")
        if status == STARTED:
            counts = {Counted.of(workflow_id, Kind.EXECUTIONS, status): 1}
        elif status in ENDS:
            counts = _duration(workflow_id, Kind.EXECUTION_DURATION, status, milliseconds=milliseconds)
            counts[Counted.of(workflow_id, Kind.EXECUTIONS, status)] = 1
        else:
            return
        self._add(counts)
        self._has_news = True

    def attempt_ended(self, ended: AttemptEnded) -> None:
        """An attempt of an agent or a tool came to an end, or has used something of a model."""
        workflow, counts = ended.workflow_id, dict[Counted, int]()
        if ended.usage:
            agent, model = ended.target or BY_FORMULA, str(ended.usage.get("model") or "")
            for kind in (Kind.REQUESTS, Kind.INPUT_TOKENS, Kind.OUTPUT_TOKENS):
                counts[Counted.of(workflow, kind, agent, model)] = _whole(ended.usage.get(kind))
            if "usd" in ended.usage:
                counts[Counted.of(workflow, Kind.MICRO_DOLLARS, agent, model)] = _whole(ended.usage["usd"], DOLLARS)
        if not ended.goes_on:
            status = "success" if ended.error is None else "failed"
            counts[Counted.of(workflow, Kind.NODE_RUNS, ended.node_type, status)] = 1
            kind = Kind.NODE_RUN_DURATION
            counts |= _duration(workflow, kind, ended.node_type, status, milliseconds=ended.milliseconds)
            if ended.error is not None:
                counts[Counted.of(workflow, Kind.NODE_ERRORS, ended.node_type, self._error(ended.error))] = 1
        self._add(counts)

    def count(self, name: str, value: int) -> None:
        """Something of the catalogue of metrics."""
        unit = Metric(name).unit
        if unit == MILLISECONDS:
            self._add(_duration("", Kind.LATENESS, name, milliseconds=value))
        elif unit != PERCENT:  # of which only the last one means something
            self._add({Counted.of("", Kind.EVENTS, name): value})

    def _add(self, counts: Mapping[Counted, int]) -> None:
        with self._lock:
            self._counts.update({counted: value for counted, value in counts.items() if value})
            if self._written_at is None:
                self._written_at = self._filled_at = self._now()

    def ride(self) -> dict[str, dict[str, int]]:
        """Some of what was counted, to go with a message: by workflow and series. It is counted here no more."""
        with self._lock:
            riding = dict(list(self._counts.items())[:RIDES_MAX])
            for counted in riding:
                del self._counts[counted]
        return _by_workflow(riding)

    def take(self, ridden: Mapping[str, Mapping[str, int]]) -> None:
        """Count what came with a message, or could not be passed on."""
        self._add({Counted(workflow, series): value for workflow, of in ridden.items() for series, value in of.items()})

    def due(self) -> dict[str, dict[str, int]]:
        """What is to be written now, by workflow and series, if anything is. It is counted here no more."""
        now = self._now()
        with self._lock:
            if self._written_at is None:
                return {}
            waited = now >= self._written_at + FLUSH_SECONDS * 1000
            self._writes = min(BURST_WRITES, self._writes + (now - self._filled_at) / 1000 / REFILL_SECONDS)
            self._filled_at = now
            if not self._counts or not (waited or (self._has_news and self._writes >= 1)):
                return {}
            counts, self._counts = self._counts, Counter()
            self._has_news, self._written_at = False, now
            self._writes = max(self._writes - 1, 0)
        return _merged(_by_workflow(counts))


class CountingQueues:
    """Queues whose messages to mailboxes take along what was counted."""

    def __init__(self, queues: Queues, tally: Tally) -> None:
        self._queues = queues
        self._tally = tally
        self.set_visibility = queues.set_visibility

    def send(self, queue: str, messages: Sequence[Message]) -> list[Refusal]:
        """As `Queues.send`: what cannot be sent stays counted here."""
        if queue != DISPATCH or not messages or len(messages[0].body) > CARRIER_CHARS_MAX:
            return self._queues.send(queue, messages)
        riding = self._tally.ride()
        if not riding:
            return self._queues.send(queue, messages)
        first, *others = messages
        try:
            refusals = self._queues.send(queue, [with_counts(first, riding), *others])
        except BaseException:
            self._tally.take(riding)
            raise
        if any(refusal.index == 0 for refusal in refusals):
            self._tally.take(riding)
        return refusals


class Sums:
    """What the processes of a deployment have counted, in ``store``."""

    def __init__(self, store: CounterStore) -> None:
        self._store = store
        self._errors: dict[str, frozenset[str]] = {}

    def add(self, due: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
        """Add what is due, by workflow and series; what could not be written now."""
        waiting = deque(_parts(due))
        while waiting:
            workflow, counts = waiting[0]
            try:
                sums = self._store.add(workflow, self._bounded(workflow, counts))
            except RetryableError as error:
                logger.warning("counts are written later", extra={"reason": str(error)})
                break
            except ValueError:
                logger.exception("counts could not be written")
            else:
                self._errors[workflow] = frozenset(filter(_is_of_errors, sums))
            waiting.popleft()
        left: dict[str, dict[str, int]] = {}
        for workflow, counts in waiting:
            left.setdefault(workflow, {}).update(counts)
        return left

    def _bounded(self, workflow: str, counts: Mapping[str, int]) -> Mapping[str, int]:
        """With types of errors that are new as one, if there are many: each process brings along its own."""
        if not any(map(_is_of_errors, counts)):
            return counts
        if workflow not in self._errors:
            self._errors[workflow] = frozenset(filter(_is_of_errors, self._store.own(workflow)))
        known = self._errors[workflow]
        if len(known) < ERRORS_KEPT_MAX:
            return counts
        bounded: Counter[str] = Counter()
        for series, value in counts.items():
            is_new = _is_of_errors(series) and series not in known
            bounded[BETWEEN.join((*series.split(BETWEEN)[:-1], OTHER)) if is_new else series] += value
        return bounded


def _is_of_errors(series: str) -> bool:
    return series.startswith(Kind.NODE_ERRORS + BETWEEN)


def _parts(due: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[str, dict[str, int]]]:
    """In parts that one update takes, errors last: which there are, the update before tells."""
    for workflow, counts in due.items():
        for are_errors in (False, True):
            some = iter([(series, value) for series, value in counts.items() if _is_of_errors(series) is are_errors])
            while part := dict(islice(some, SERIES_MAX)):
                yield workflow, part


def _merged(counts: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    """What belongs to no workflow goes along with some workflow's: the sum over all is the same, at no update more."""
    common = counts.pop("", {})
    if not counts:
        return {"": common}
    first = next(iter(counts))
    return {**counts, first: {**counts[first], **common}}


def _by_workflow(counts: Mapping[Counted, int]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for counted, value in counts.items():
        found.setdefault(counted.workflow, {})[counted.series] = value
    return found


def _duration(workflow: str, kind: Kind, *parts: str, milliseconds: int) -> dict[Counted, int]:
    """A bucket of a histogram (each by itself, not with the smaller ones), and the sum in milliseconds."""
    milliseconds = max(milliseconds, 0)
    bucket = bisect_left(DURATION_BUCKETS_SECONDS, milliseconds / 1000)
    return {Counted.of(workflow, kind, *parts, str(bucket)): 1, Counted.of(workflow, kind, *parts, SUM): milliseconds}


def _whole(value: Json, times: int = 1) -> int:
    return max(0, round(float(value or 0) * times))
