"""What agents are writing while people watch: the text of each message, as far as it is there."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from workflow_runtime.storage.live import Part


class Reader(msgspec.Struct):
    """Of an execution's stream: where it is."""

    last: str = ""


class Writing:
    """``texts``: what the agent of each path writes at present."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self._written: list[tuple[str, str]] = []

    def wrote(self, path: str, parts: Sequence[Part]) -> None:
        for part in parts:
            if part.kind == "end":
                text = self.texts.pop(path, "").strip()
                self._written += [(path, text)] if text else []
            elif part.kind == "call":
                self.texts[path] = f"{self.texts.get(path, '')} {part.name}"
            elif part.text:
                self.texts[path] = self.texts.get(path, "") + part.text

    def void(self, path: str) -> None:
        """What was not finished will not be."""
        self.texts.pop(path, None)

    def written(self) -> list[tuple[str, str]]:
        """Messages that have ended since this was asked last, each with its path."""
        written, self._written = self._written, []
        return written
