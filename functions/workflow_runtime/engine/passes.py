"""What is remembered of the passes of a loop: how each ended, in two bits, and little more.

What a pass came to lies with the runs of its nodes; this says which those are. A loop of ten thousand passes costs a
state two and a half kilobytes, and a few bytes more for each pass that something out of the ordinary happened in.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from copy import copy
from enum import IntEnum

import msgspec

from workflow_runtime.engine.tables import forked
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.enumerations import direct
from workflow_runtime.language.json_values import Json

_PASSES_A_BYTE = 4


@direct
class PassEnd(IntEnum):
    """How a pass ended, in two bits."""

    NONE = 0  # it has not ended, or not begun
    SUCCESS = 1
    FAILED = 2


class Page(msgspec.Struct, frozen=True, array_like=True):
    """One of the values that are stored apart together: under which key, and its place there."""

    key: str
    place: int


class Items(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the passes of a loop are for, one by one: ``values``, or pages of so many (``page_size``) that are stored
    apart; ``key`` starts the pages' keys. ``first``: the place of the first pass's item, in a part of a loop."""

    values: list[Json] | None = None
    key: str = ""
    page_size: int = 0
    first: int = 0

    def page(self, index: int) -> Page:
        place = self.first + index
        return Page(f"{self.key}.{place // self.page_size}", place % self.page_size)

    def of(self, index: int) -> Json | Page:
        """What a pass is for, or where that is stored."""
        return self.values[self.first + index] if self.values is not None else self.page(index)


class Log(msgspec.Struct, omit_defaults=True):
    """Values that come one after the other: the last ones, ``tail``, of ``tail_bytes`` together, and keys of the
    ``pages`` before, which are stored apart."""

    pages: list[str] = []
    tail: list[Json] = []
    tail_bytes: int = 0

    def copy(self) -> Log:
        return Log(self.pages[:], self.tail[:], self.tail_bytes)


class Passes(msgspec.Struct, omit_defaults=True):
    """The passes of a loop.

    - ``count``: how many there are; -1: nobody knows yet. ``begun``: passes below this one have begun
    - ``ends``: how they ended, four passes a byte; ``succeeded``, ``failed``: how many of each
    - ``first_serial``: of the nodes' first runs, where a pass has none of its own in ``firsts``
    - ``serials``: by pass, the serials of nodes whose last run is not their first
    - ``errors``: of passes whose error stands in their place, ``[index, error]`` each; the last one counts
    """

    count: int = -1
    begun: int = 0
    ends: bytearray = msgspec.field(default_factory=bytearray)
    succeeded: int = 0
    failed: int = 0
    first_serial: int = 1
    firsts: MutableMapping[int, int] = {}
    serials: MutableMapping[int, dict[int, int]] = {}
    errors: Log = msgspec.field(default_factory=Log)

    def copy(self) -> Passes:
        copied = copy(self)
        copied.ends = self.ends[:]
        copied.firsts = forked(self.firsts) if self.firsts else {}
        copied.serials = forked(self.serials) if self.serials else {}
        copied.errors = self.errors.copy()
        return copied

    def as_ordered(self) -> Passes:
        """The passes as orders and records have them: for good, and in plain tables."""
        copied = self.copy()
        copied.firsts, copied.serials = dict(self.firsts), dict(self.serials)
        return copied

    def end(self, index: int) -> PassEnd:
        """How a pass ended."""
        place, shift = divmod(index, _PASSES_A_BYTE)
        return PassEnd(self.ends[place] >> 2 * shift & 3) if place < len(self.ends) else PassEnd.NONE

    def set_end(self, index: int, end: PassEnd) -> None:
        """A pass has ended, or is to run again."""
        place, shift = divmod(index, _PASSES_A_BYTE)
        if place >= len(self.ends):
            self.ends.extend(bytes(place + 1 - len(self.ends)))
        before = self.end(index)
        self.succeeded += (end is PassEnd.SUCCESS) - (before is PassEnd.SUCCESS)
        self.failed += (end is PassEnd.FAILED) - (before is PassEnd.FAILED)
        self.ends[place] = self.ends[place] & ~(3 << 2 * shift) | end << 2 * shift

    def having(self, *ends: PassEnd) -> Iterator[int]:
        """The passes that have begun and ended so, in order."""
        return (index for index in range(self.begun) if self.end(index) in ends)

    def serial(self, index: int) -> int:
        """Of the nodes' first runs in a pass."""
        return self.firsts.get(index, self.first_serial)


class Portion(msgspec.Struct, frozen=True, omit_defaults=True):
    """Passes of the loop at this path that an execution of their own runs: so many (``count``), from ``first`` on.

    - ``max_concurrency``: how many of them may run at once; 0: as many as an execution carries
    - ``tolerated``: how many passes of the whole loop may fail; -1: any number
    """

    loop: str
    first: int
    count: int
    max_concurrency: int = 0
    tolerated: int = -1


class Parts(msgspec.Struct, omit_defaults=True):
    """The executions that run the passes of a loop.

    - ``ends``: of them all; ``again``: those that are to go on
    - ``orders``: tokens of the orders that started them
    - ``outputs``: where what they came to is stored; ``failures``: how many of their passes have failed
    """

    ends: Passes = msgspec.field(default_factory=Passes)
    again: list[int] = []
    orders: MutableMapping[int, str] = {}
    outputs: MutableMapping[int, str] = {}
    failures: MutableMapping[int, int] = {}

    def copy(self) -> Parts:
        return Parts(
            self.ends.copy(),
            self.again[:],
            forked(self.orders) if self.orders else {},
            forked(self.outputs) if self.outputs else {},
            forked(self.failures) if self.failures else {},
        )


class LoopState(msgspec.Struct, omit_defaults=True, tag_field="is", tag="loop"):
    """A loop under way, or one that failed or was cancelled and may go on later.

    - ``node``: its plan-wide number
    - ``passes``: what is remembered of them; ``again``: those that run once more, before new ones begin
    - ``items``: what they are for, if it is a loop over items
    - ``open_count``: passes that have begun and not ended, those that wait for their next attempt among them
    - ``is_over``: no pass begins any more, though there may be more of them
    - ``retries``: attempts that its retry policies have granted, by pass and policy
    - ``pending``: ids of what a pass waits for, by pass
    - ``collected``: of a loop whose passes read each other, what they contributed
    - ``bytes``: size of what is going to be read to put its output together
    - ``next_serial``: the first serial that no run in it has had
    - ``failure``: of the pass ``failed_pass``, which fails the loop as soon as that may decide anything
    - ``parts``: of a loop whose passes run in executions of their own; none of them ever begins here
    - ``portion``: of a loop in such an execution, which passes they are
    """

    node: int
    passes: Passes = msgspec.field(default_factory=Passes)
    again: list[int] = []
    items: Items | None = None
    open_count: int = 0
    is_over: bool = False
    retries: dict[int, tuple[int, ...]] = {}
    pending: MutableMapping[int, tuple[str, ...]] = {}
    collected: Log = msgspec.field(default_factory=Log)
    bytes: int = 0
    next_serial: int = 0
    failed_pass: int = -1
    failure: ErrorDocument | None = None
    parts: Parts | None = None
    portion: Portion | None = None

    def copy(self) -> LoopState:
        copied = copy(self)
        copied.passes = self.passes.copy()
        copied.again = self.again[:]
        copied.retries = self.retries.copy()
        copied.pending = forked(self.pending) if self.pending else {}
        copied.collected = self.collected.copy()
        copied.parts = self.parts.copy() if self.parts is not None else None
        return copied
