"""Visits that can be undone, and what becomes of them: the parts of a state that `compensation` works on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import overload

import msgspec

from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.errors import ErrorDocument


class Undoable(msgspec.Struct, frozen=True, array_like=True):
    """A visit that succeeded and can be undone: the node's plan-wide number, the serial of the run that succeeded, and
    what starts the node's path there."""

    number: int
    serial: int
    prefix: str = ""


_BRACKETS = 1  # of a list, on each side
_BYTES_MIN = len(b'[0,1,""],')  # of a visit

_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(list[Undoable])


class Undoables(Sequence[Undoable]):
    """Visits in the order of their completion, kept as the text that is stored. It is never changed.

    An execution may have thousands of them, of which most events only add another one: so they are not read before
    somebody asks for them. ``text``: as in a JSON list, without the brackets.
    """

    __slots__ = ("_read", "_text")

    def __init__(self, text: bytes = b"") -> None:
        self._text = text
        self._read: list[Undoable] | None = None

    @classmethod
    def of(cls, visits: Iterable[Undoable]) -> Undoables:
        """These visits."""
        return NOTHING_TO_UNDO + visits

    @classmethod
    def stored(cls, stored: bytes) -> Undoables:
        """Those that were stored. Raises `msgspec.ValidationError` for what is not a list."""
        if not (stored.startswith(b"[") and stored.endswith(b"]")):
            raise msgspec.ValidationError("Expected `array` - at `$.undo`")
        text = stored[_BRACKETS:-_BRACKETS].strip()
        return cls(text) if text else NOTHING_TO_UNDO

    def to_store(self) -> msgspec.Raw:
        return msgspec.Raw(b"[" + self._text + b"]")

    def __add__(self, visits: Iterable[Undoable]) -> Undoables:
        """With more of them at the end."""
        added = [_encode(visit) for visit in visits]
        if not added:
            return self
        return Undoables(b",".join([self._text, *added] if self._text else added))

    def __bool__(self) -> bool:
        return bool(self._text)

    def __len__(self) -> int:
        return len(self._visits)

    @overload
    def __getitem__(self, place: int) -> Undoable: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Undoable]: ...
    def __getitem__(self, place: int | slice) -> Undoable | Sequence[Undoable]:
        return self._visits[place]

    def are_more_than(self, count: int) -> bool:
        """Whether there are more than so many, which is mostly told without reading them."""
        return len(self._text) > count * _BYTES_MIN and len(self) > count

    @property
    def _visits(self) -> list[Undoable]:
        if self._read is None:
            self._read = _decoder.decode(self.to_store())
        return self._read


NOTHING_TO_UNDO = Undoables()


class Original(msgspec.Struct, frozen=True, array_like=True):
    """A node that has failed, and in whose place another one runs: its path, the serial of the run that its success
    would be, since when that goes on (epoch ms), which attempt it is, and the execution that the node started."""

    path: str
    serial: int
    started_at: int
    attempt: int
    child: str = ""


def awaited_as(stopping: Mapping[str, int], path: str, serial: int) -> str:
    """Under which name a run is awaited that was told to stop: its path or, if an earlier run of that was awaited then,
    ``path#serial``. ``""``: it is not."""
    if not stopping:  # as nearly always
        return ""
    if stopping.get(path) == serial:
        return path
    later = f"{path}#{serial}"
    return later if later in stopping else ""


class Fate(msgspec.Struct, frozen=True, array_like=True):
    """What became of undoing a visit: the mark of its compensation, and the serial of that one's last run."""

    mark: int
    serial: int


class Undoing(msgspec.Struct, omit_defaults=True):
    """A compensation under way, or over.

    - ``status``, ``error``: how the execution ends then, and what its compensations are told
    - ``left``: places in the state's ``undo`` below this one have not been looked at
    - ``open``: how many visits are being undone; ``held``: places of those whose compensation runs for another visit
    - ``serial``: the first serial that no compensation has had
    - ``again``: it was asked for after the end
    - ``closes``: what was told to stop has had its time, and is being closed
    """

    status: ExecutionStatus
    error: ErrorDocument | None = None
    left: int = 0
    open: int = 0
    held: list[int] = []
    serial: int = 1
    again: bool = False
    closes: bool = False

    def is_of(self, status: ExecutionStatus, error: ErrorDocument | None) -> bool:
        """Whether it is of an execution's end as this status, with this error, and not of one before a retry."""
        return self.status is status and (status is not ExecutionStatus.FAILED or self.error == error)

    def copy(self) -> Undoing:
        copied = copy(self)
        copied.held = self.held[:]
        return copied
