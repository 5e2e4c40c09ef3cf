"""The order in which the timers of an execution fire, kept as the text that is stored.

An execution may have thousands of timers, and an event concerns one or two of them: mostly the first, which has fired,
and one that begins. So the list is never read as a whole; what is asked of it is found in the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

_BRACKETS = 1  # of a list, on each side


class Alarms:
    """Ids of timers, the next one to fire first. It is never changed: what would change it gives another one.

    ``text``: the ids as in a JSON list, without the brackets. They are letters and digits (``t17``), so each stands
    there as it is, in quotes, and between two commas but for the first and the last.
    """

    __slots__ = ("_text",)

    def __init__(self, text: bytes = b"") -> None:
        self._text = text

    @classmethod
    def of(cls, ids: Iterable[str]) -> Alarms:
        """Those of these timers, which are in order."""
        return cls(b",".join(map(_quoted, ids)))

    @classmethod
    def stored(cls, stored: bytes) -> Alarms:
        """Those that were stored. Raises `msgspec.ValidationError` for what is not a list."""
        if not (stored.startswith(b"[") and stored.endswith(b"]")):
            raise msgspec.ValidationError("Expected `array` - at `$.alarms`")
        if b" " in stored or b"\n" in stored:  # somebody has laid out the JSON
            stored = b"".join(stored.split())
        return cls(stored[_BRACKETS:-_BRACKETS])

    def to_store(self) -> msgspec.Raw:
        return msgspec.Raw(b"[" + self._text + b"]")

    def __bool__(self) -> bool:
        return bool(self._text)

    @property
    def ids(self) -> list[str]:
        """All of them."""
        found: list[str] = msgspec.json.decode(self.to_store(), type=list[str])
        return found

    @property
    def first(self) -> str:
        """The one that fires next. There is one."""
        return self._id(0)

    def with_one(self, id: str, order: Any, order_of: Callable[[str], Any]) -> Alarms:
        """With another one, which comes before those of a greater ``order``."""
        text, new = self._text, _quoted(id)
        if not text:
            return Alarms(new)
        if order < order_of(self.first):
            return Alarms(new + b"," + text)
        if order > order_of(self._id(text.rfind(b",") + 1)):
            return Alarms(text + b"," + new)
        place = self._place(order, order_of)
        return Alarms(text[:place] + new + b"," + text[place:])

    def without(self, id: str) -> Alarms:
        """Without one of them."""
        text, gone = self._text, _quoted(id)
        if text.startswith(gone):
            return Alarms(text[len(gone) + 1 :])
        if text.endswith(gone):
            return Alarms(text[: -len(gone) - 1])
        before, found, after = text.partition(b"," + gone + b",")
        assert found, f"the timer {id} is not among them"
        return Alarms(before + b"," + after)

    def _place(self, order: Any, order_of: Callable[[str], Any]) -> int:
        """Where the first id begins that has a greater order; there is one.

        By halving the stretch of text in which it is: ``low`` and ``high`` are where ids begin, all before ``low`` have
        a smaller order, that of ``high`` and all behind it a greater one. The id at the middle begins before ``high``
        and ends at the middle or behind it, so either way the stretch becomes shorter.
        """
        text, low, high = self._text, 0, len(self._text)
        while low < high:
            begins = max(text.rfind(b",", low, (low + high) // 2) + 1, low)
            id = self._id(begins)
            if order_of(id) < order:
                low = begins + len(_quoted(id)) + 1
            else:
                high = begins
        return low

    def _id(self, begins: int) -> str:
        """The id whose quote stands at ``begins``."""
        return self._text[begins + 1 : self._text.index(b'"', begins + 1)].decode("ascii")


def _quoted(id: str) -> bytes:
    return f'"{id}"'.encode("ascii")
