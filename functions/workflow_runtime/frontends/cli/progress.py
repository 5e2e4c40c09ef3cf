"""What people see while an execution runs: a moving table on a terminal, one line per node event elsewhere.

A `Watch` knows the execution. A runtime in this process is read through `views.progress`, from the same event loop
that runs it, so no backend is read from another thread; only the drawing is done by rich's thread, from what was read
last.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from workflow_runtime.errors import error_line
from workflow_runtime.frontends.cli.charts import failure_lines, likeness, stays, transition_spans
from workflow_runtime.frontends.cli.output import Line, Output, Span, styled
from workflow_runtime.frontends.cli.writing import Writing
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.texts import shorten
from workflow_runtime.services.views.progress import progress
from workflow_runtime.storage.stores import Stores

if TYPE_CHECKING:
    from rich.text import Text

LOOK_SECONDS = 0.1  # between two looks, at least
LOOK_SHARE = 10  # and so long that looking takes at most a tenth of the time
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
FRAMES_PER_SECOND = 10
DAYS_FROM_HOURS = 48
HUNDREDTHS_SECONDS_MAX = 600  # how long a moment is told exactly
ROWS_KEPT = 4  # of the screen, for what is around the table
LINES_AT_ONCE_MAX = 100  # without a terminal; a chart may take thousands of transitions in virtual time
LINES_PER_SECOND = 5  # of real time, once these are used up: as many as people read

WRITTEN_COLUMNS = 100  # of what an agent has written, in a line
WRITING_COLUMNS = 60  # of the end of what it is writing, in the table
WATCHED_UNTIL = 10**14  # epoch ms: this process watches to its end, in whatever time that is

MARKS = {
    "waiting": ("·", "dim"),
    "ready": ("○", "cyan"),
    "running": ("●", "cyan"),
    "retrying": ("↻", "yellow"),
    "success": ("✓", "green"),
    "failed": ("✗", "red"),
    "skipped": ("–", "dim"),
    "cancelled": ("⊘", "dim"),
    "compensated": ("↩", "yellow"),
}
UNKNOWN_MARK = ("?", "")
OPEN = ("ready", "running", "retrying")
STATUS_COLUMNS = max(map(len, MARKS))


def mark(status: str) -> Span:
    return MARKS.get(status, UNKNOWN_MARK)


def epoch_ms(text: Json) -> int:
    """Epoch ms of a time in a document; 0 for none."""
    return round(datetime.fromisoformat(text).timestamp() * 1000) if isinstance(text, str) else 0


def duration(entry: Mapping[str, Json]) -> str:
    """How long a node's newest attempt took, with its fallback, as text; empty when it did not run or has not ended."""
    started, ended = epoch_ms(entry["started_at"]), epoch_ms(entry["ended_at"])
    return seconds_text((ended - started) / 1000) if started and ended else ""


def seconds_text(seconds: float) -> str:
    """``210 ms``, ``12.3 s``, ``4 m 05 s``, ``3 h 20 m``, ``7 d 00 h``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    if hours < DAYS_FROM_HOURS:
        return f"{hours} h {minutes:02} m"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours:02} h"


class Change(NamedTuple):
    """A node, by its path, whose status is another (``entry``), or a transition of a chart (``path`` None)."""

    path: str | None
    entry: Mapping[str, Json]


class Watch(Protocol):
    """What is known of an execution's nodes, and of what its agents write."""

    entries: dict[str, Mapping[str, Json]]
    writing: Writing

    def look(self) -> list[Change]:
        """What changed since the last look, in the order in which it happened."""


class LocalWatch:
    """Looks into a runtime in this process."""

    def __init__(self, stores: Stores, execution_id: str) -> None:
        self._stores = stores
        self._execution_id = execution_id
        self._statuses: dict[str, str] = {}
        self._version = 0
        self._deltas: set[tuple[str, int, int]] = set()
        self.entries: dict[str, Mapping[str, Json]] = {}
        self.writing = Writing()
        stores.live.watch(execution_id, WATCHED_UNTIL)

    def look(self) -> list[Change]:
        for delta in self._stores.live.of(self._execution_id):
            place = (delta.path, delta.serial, delta.seq)
            if place not in self._deltas:
                self._deltas.add(place)
                self.writing.wrote(delta.path, delta.parts)
        news = progress(self._stores, self._execution_id, self._statuses, self._version)
        self._version = news.version
        self._statuses.update((path, entry["status"]) for path, entry in news.entries.items())
        self.entries.update(news.entries)
        return in_order(news.entries, news.transitions, news.ordered)


def in_order(
    entries: Mapping[str, Mapping[str, Json]],
    transitions: Iterable[Mapping[str, Json]],
    ordered: Mapping[str, int],
) -> list[Change]:
    """Nodes by when they ended, or else began, and transitions by when they were taken. Of what happened at one time,
    the commit decides: its transitions, then the nodes it ``ordered`` (version by path)."""
    times = [
        *((step["at"], step["version"], 0, Change(None, step)) for step in transitions),
        *(
            (entry["ended_at"] or entry["started_at"] or "~", ordered.get(path, 0), 1, Change(path, entry))
            for path, entry in entries.items()
        ),
    ]
    return [change for *_, change in sorted(times, key=lambda item: item[:3])]


class Pace:
    """How many lines may be shown: some at once, then as many as people read. ``clock`` gives real seconds.

    ``missed``: those that were too many since the last that was shown.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = float(LINES_AT_ONCE_MAX)
        self._at = clock()
        self.missed = 0

    def allows(self) -> bool:
        now = self._clock()
        self._left = min(self._left + (now - self._at) * LINES_PER_SECOND, LINES_AT_ONCE_MAX)
        self._at = now
        if self._left < 1:
            self.missed += 1
            return False
        self._left -= 1
        return True


def _is_news(entry: Mapping[str, Json]) -> bool:
    """Whether anything began: nodes of a state that is left go back to waiting for the next time."""
    return bool(entry["status"] != "waiting")


class Progress:
    """Shows an execution on stderr while it runs. ``ids``: its nodes, as the table has them; ``now`` and ``started``,
    when it did: epoch ms. ``all_at``: where people see the lines that were too many to show.
    """

    def __init__(
        self,
        out: Output,
        watch: Watch,
        ids: Sequence[str],
        now: Callable[[], int],
        started: int,
        all_at: str,
        pace: Pace | None = None,
    ) -> None:
        self._out = out
        self._watch = watch
        self._now = now
        self._ids = ids
        self._started = started
        self._all_at = all_at
        self._pace = pace or Pace()
        self._last: Line = ""  # of those that were too many
        self._transition: Line = ""  # the last one
        self._alike: tuple[Json, ...] | None = None  # what the last line would share with its repetition
        self._again: list[Json] = []  # when it was repeated since

    @contextmanager
    def shown(self) -> Iterator[None]:
        """While inside, the table moves; afterwards it is gone: the summary takes its place."""
        console = self._out.error_console
        if console is None:
            yield
            return
        from rich.live import Live

        with Live(get_renderable=self._drawn, console=console, transient=True, refresh_per_second=FRAMES_PER_SECOND):
            yield

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            began = time.monotonic()
            self._look()
            await asyncio.sleep(max(LOOK_SECONDS, (time.monotonic() - began) * LOOK_SHARE))

    def look(self) -> None:
        """Look once; without a terminal, say what is new, and how much was left out. The next line stands alone."""
        self._look()
        self._say_again()
        self._alike = None
        if self._pace.missed > 1:
            self._out.note([f"{'':>10}  ", (f"… {self._pace.missed - 1:,} more lines: {self._all_at}", "dim")])
        if self._pace.missed:
            self._out.note(self._last)
        self._pace.missed = 0

    def _look(self) -> None:
        """Repetitions of the last line wait for what comes next: then they are one line."""
        for path, entry in self._watch.look():
            if path is None:
                self._transition = transition_spans(entry)
            if self._out.error_console is not None:
                continue
            if path is None:
                self._say_transition(entry)
            elif entry["status"] != "ready" and _is_news(entry):
                self._say_written()
                self._say_again()
                self._alike = None
                self._say(self._event(path, entry))
        self._say_written()

    def _say_written(self) -> None:
        for path, text in self._watch.writing.written():
            if self._out.error_console is None:
                self._say([f"{'':>12}", (f"{path}: {shorten(text, WRITTEN_COLUMNS)}", "dim")])

    def _say(self, line: Line) -> None:
        """A line, unless there are too many."""
        missed = self._pace.missed
        if not self._pace.allows():
            self._last = line
            return
        if missed:
            self._out.note([f"{'':>10}  ", (f"… {missed:,} more lines", "dim")])
            self._pace.missed = 0
        self._out.note(line)

    def _say_transition(self, transition: Mapping[str, Json]) -> None:
        alike = likeness(transition) if stays(transition) else None
        if alike is not None and alike == self._alike:
            self._again.append(transition["at"])
            return
        self._say_again()
        self._alike = alike
        self._say([f"{self._since(transition['at']):>10}  ", *transition_spans(transition)])
        for line in failure_lines(transition):
            self._say([f"{'':>12}", *line])

    def _say_again(self) -> None:
        if self._again:
            times = f", {len(self._again)} times" if len(self._again) > 1 else ""
            self._say([f"{self._since(self._again[-1]):>10}  ", (f"… again{times}", "dim")])
            self._again.clear()

    def _since(self, time: Json) -> str:
        if not time:  # what never ran has none
            return ""
        seconds = (epoch_ms(time) - self._started) / 1000
        return f"{seconds:.2f} s" if seconds < HUNDREDTHS_SECONDS_MAX else seconds_text(seconds)

    def _event(self, id: str, entry: Mapping[str, Json]) -> Line:
        since = self._since(entry["ended_at"] or entry["started_at"])
        spans = [f"{since:>10}  ", f"{entry['status']:<{STATUS_COLUMNS}}  ", id]
        took = duration(entry)
        if took:
            spans.append(f"  ({took})")
        if entry["error"]:
            spans.append(f"  {error_line(entry['error'])}")
        return spans

    def _drawn(self) -> Text:
        """The table as it is now: what runs, what ended last, how much there is."""
        console = self._out.error_console
        assert console is not None
        entries = dict(self._watch.entries)  # the event loop's thread may add some meanwhile
        now = max(self._now(), self._started)  # a server's clock may be ahead
        rows = [(id, entries[id]) for id in self._ids if id in entries]
        room = max(console.height - ROWS_KEPT, 1)
        if len(rows) > room:
            is_open = [row for row in rows if row[1]["status"] in OPEN][:room]
            ended = [row for row in rows if row[1]["status"] not in OPEN]
            ended.sort(key=lambda row: row[1]["ended_at"] or "")
            rows = ended[len(ended) - (room - len(is_open)) :] + is_open
        lines = [self._row(id, entry, now) for id, entry in rows]
        text = styled("")
        for line in [*lines, *([self._transition] if self._transition else []), self._footer(entries, now)]:
            shown = styled(line)
            shown.truncate(console.width, overflow="ellipsis")
            text.append_text(shown)
            text.append("\n")
        text.right_crop(1)
        return text

    def _row(self, id: str, entry: Mapping[str, Json], now: int) -> Line:
        status = entry["status"]
        symbol, style = mark(status)
        took = duration(entry)
        if status in OPEN:
            began = epoch_ms(entry["started_at"])
            took = seconds_text((now - began) / 1000) if began else ""
            symbol = FRAMES[int(time.monotonic() * FRAMES_PER_SECOND) % len(FRAMES)] if began else symbol
        text = self._watch.writing.texts.get(id, "")
        end = [(f"  {shorten(text[-WRITING_COLUMNS:], WRITING_COLUMNS)}", "dim")] if text else []
        return [(f"{symbol} ", style), (f"{status:<{STATUS_COLUMNS}}", style), (f"{took:>10}", "dim"), "  ", id, *end]

    def _footer(self, entries: Mapping[str, Mapping[str, Json]], now: int) -> Line:
        ended = sum(entry["status"] not in OPEN for entry in entries.values())
        return [(f"{ended} of {len(self._ids)} nodes, {seconds_text((now - self._started) / 1000)}", "dim")]
