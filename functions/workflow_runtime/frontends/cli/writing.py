"""What agents are writing while people watch: the text of each message, as far as it is there."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from workflow_runtime.language.texts import spelled_out
from workflow_runtime.storage.live import Part


class Reader(msgspec.Struct):
    """Of an execution's stream: where it is."""

    last: str = ""


class Writing:
    """What is being written, by the path of its agent."""

    def __init__(self) -> None:
        self._open: dict[str, list[Part]] = {}
        self._written: list[tuple[str, str]] = []

    @property
    def texts(self) -> dict[str, str]:
        """What the agent of each path writes at present."""
        return {path: _text(parts) for path, parts in self._open.items()}

    def wrote(self, path: str, parts: Sequence[Part]) -> None:
        for part in parts:
            if part.kind == "end":
                text = _text(self._open.pop(path, ())).strip()
                self._written += [(path, text)] if text else []
            elif part.kind == "call" or part.text:
                _add(self._open.setdefault(path, []), part)

    def void(self, path: str) -> None:
        """What was not finished will not be."""
        self._open.pop(path, None)

    def written(self) -> list[tuple[str, str]]:
        """Messages that have ended since this was asked last, each with its path."""
        written, self._written = self._written, []
        return written


def _add(message: list[Part], part: Part) -> None:
    last = message[-1] if message else None
    if last is not None and (last.kind, last.part) == (part.kind, part.part):
        message[-1] = msgspec.structs.replace(last, text=last.text + part.text)
    else:
        message.append(part)


def _text(message: Sequence[Part]) -> str:
    """A message: its texts, and its calls with their arguments."""
    shown = {"call": lambda part: f" {part.name}", "arguments": lambda part: spelled_out(part.text)}
    return "".join(shown[part.kind](part) if part.kind in shown else part.text for part in message)
