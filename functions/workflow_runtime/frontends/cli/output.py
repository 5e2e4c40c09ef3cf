"""What `awr` prints: results to stdout, everything else to stderr; styled on terminals, plain elsewhere.

A line is a sequence of spans ``(text, style)``. Rich draws them on a terminal, and is imported only for one: what is
piped into a file or another program is bare text. With ``--json`` stdout gets one JSON document, for errors too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from workflow_runtime.language.texts import visible, visible_lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Span = tuple[str, str]
Line = Sequence[Span | str] | str

PIPED_COLUMNS = 160  # what is not a terminal has no width: enough for a table, short enough for a log


class Output:
    """Both streams as they are now; what later replaces ``sys.stdout`` does not move results elsewhere."""

    def __init__(self, *, json: bool = False) -> None:
        self.json = json
        self._stdout = sys.stdout
        self._stderr = sys.stderr
        for stream in (self._stdout, self._stderr):
            if hasattr(stream, "reconfigure"):  # any script may be in ids and texts, whatever the terminal can show
                stream.reconfigure(errors="backslashreplace")

    @cached_property
    def console(self) -> Console | None:
        """Rich's console on stdout; None when that is not a terminal."""
        return _console(self._stdout)

    @cached_property
    def error_console(self) -> Console | None:
        """The same on stderr."""
        return _console(self._stderr)

    @property
    def columns(self) -> int:
        """Width of stdout."""
        return self.console.width if self.console is not None else PIPED_COLUMNS

    def line(self, line: Line = "") -> None:
        """A line of the result, on stdout; with ``--json`` there are none."""
        if not self.json:
            _write(self.console, self._stdout, line)

    def note(self, line: Line = "") -> None:
        """A line beside the result, on stderr."""
        _write(self.error_console, self._stderr, line)

    def note_text(self, text: str) -> None:
        """Finished text on stderr as it is."""
        self._stderr.write(visible_lines(text) + "\n")

    def text(self, text: str) -> None:
        """Finished text (a drawing), on stdout as it is."""
        if self._stdout.isatty():
            self._stdout.write(text)
        else:
            self._bytes(text.encode("utf-8", "replace"))

    def document(self, value: Any) -> None:
        """The one JSON document on stdout, UTF-8 whatever the locale; only with ``--json``."""
        if self.json:
            self._bytes(msgspec.json.format(msgspec.json.encode(_encodable(value)), indent=2) + b"\n")

    def _bytes(self, data: bytes) -> None:
        self._stdout.flush()
        self._stdout.buffer.write(data)
        self._stdout.flush()


def styled(line: Line) -> Text:
    """A line for rich."""
    from rich.text import Text

    return Text.assemble(*((visible(text), style) for text, style in _spans(line)))


def plain(line: Line) -> str:
    """A line without its styles."""
    return "".join(visible(text) for text, _ in _spans(line)).rstrip()


def _spans(line: Line) -> list[Span]:
    if isinstance(line, str):
        return [(line, "")]
    return [(span, "") if isinstance(span, str) else span for span in line]


def _console(stream: TextIO) -> Console | None:
    forced = os.environ.get("FORCE_COLOR", "") not in ("", "0")
    if not (forced or stream.isatty()) or os.environ.get("TERM") == "dumb":
        return None
    from rich.console import Console

    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    return console if console.is_terminal else None


def _write(console: Console | None, stream: TextIO, line: Line) -> None:
    if console is not None:
        console.print(styled(line), soft_wrap=True)
    else:
        stream.write(plain(line) + "\n")
        stream.flush()


def _encodable(value: Any) -> Any:
    """Without lone surrogates (file names that are no UTF-8), which JSON cannot carry."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace") if not value.isascii() else value
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encodable(item) for item in value]
    return value
