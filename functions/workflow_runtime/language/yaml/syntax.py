"""The parser's complaints in an author's words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from workflow_runtime.language.look_alikes import look_alike, named
from workflow_runtime.language.yaml import rules
from workflow_runtime.language.yaml.text import Unreadable

QUOTE_HINT = 'Put the whole value in quotes: "… ${name} …".'
_TAB_HINT = "Indent with spaces; YAML does not allow tabs there."

_MESSAGES = (
    (
        "mapping values are not allowed",
        "there is a second `:` in this value, or the indentation is wrong",
        'Put a value that holds ": " in quotes.',
    ),
    ("cannot start any token", "this character cannot start a value", "Put the value in quotes."),
    ("could not find expected ':'", "a `key: value` was expected, but there is no `:`", None),
    (
        "did not find expected key",
        "the indentation does not fit the lines above, or a quoted value goes on after its quote",
        None,
    ),
    ("did not find expected '-' indicator", "the indentation does not fit the list above", None),
    (
        "did not find expected ',' or ']'",
        "a `[` is not closed, or a `,` is missing",
        "Put values with brackets, braces or commas in quotes.",
    ),
    (
        "did not find expected ',' or '}'",
        "a `{` is not closed, or a `,` is missing",
        "Put values with brackets, braces or commas in quotes.",
    ),
    ("did not find expected node content", "a value is missing here", None),
    ("block sequence entries are not allowed", "a list cannot start here", "Put the first `-` on a line of its own."),
    ("unexpected end of stream", "a quote is opened and never closed", None),
    ("unexpected document indicator", "a quote is opened and never closed", None),
    ("found undefined tag handle", "tags are not allowed", "Remove the tag; quote the value if it is meant as text."),
    (
        "unknown escape character",
        "an unknown escape in a double-quoted text",
        "Write `\\\\` for a backslash, or use single quotes.",
    ),
    ("invalid Unicode character escape", "an escape that is not a character", None),
    ("expected hexdecimal number", "an escape needs hexadecimal digits", None),
    ("incompatible YAML document", "only YAML 1.1 and 1.2 are understood", "Remove the `%YAML` line."),
    (
        "alphabetic or numeric character",
        "a name of letters and digits is expected after `*` or `&`",
        "Put the value in quotes.",
    ),
    ("document start", "something follows the end of the document", "A workflow file holds one mapping."),
)


def syntax_error(error: yaml.YAMLError, lines: Sequence[str]) -> Unreadable:
    """The finding for what the parser raised."""
    mark = getattr(error, "problem_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    said = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be parsed")
    message, hint = next(((text, hint) for part, text, hint in _MESSAGES if part in said), (said, None))
    written = lines[line - 1] if line <= len(lines) else ""
    if written.strip() == "" and line > 1 and mark is not None:
        opened = getattr(error, "context_mark", None)
        line, column = (opened.line + 1, opened.column + 1) if opened is not None else (line, column)
        written = lines[line - 1] if line <= len(lines) else ""
    deceptive = _deceptive_sign(lines, line)
    if deceptive is not None:
        hint = deceptive
    elif "${" in written:
        hint = QUOTE_HINT
    elif "\t" in written[: len(written) - len(written.lstrip())] or "\t" in written[max(0, column - 2) : column]:
        hint = _TAB_HINT
    return Unreadable(rules.SYNTAX, f"not valid YAML: {message}", line, column, hint)


LINES_SEARCHED = 3
"""Above a line at which the parser gives up: it often notices only there what a line before lacks."""
SEARCHED_CHARACTERS_MAX = 10_000

_NO_SIGNS = re.compile(r""" "(?:[^"\\]|\\.)*" | '[^']*' | (?:^|\s)\#.* """, re.VERBOSE)
_DECEPTIVE_SIGN = re.compile("[：，－–—“”‘’｛｝［］【】＃\u00a0\u3000]")


def _deceptive_sign(lines: Sequence[str], line: int) -> str | None:
    """Names the character, nearest above ``line``, that may be meant as one of YAML's signs and is none."""
    for number in range(min(line, len(lines)), max(0, line - LINES_SEARCHED - 1), -1):
        bare = _NO_SIGNS.sub(lambda found: " " * len(found[0]), lines[number - 1][:SEARCHED_CHARACTERS_MAX])
        found = _DECEPTIVE_SIGN.search(bare)
        if found is not None:
            meant = look_alike(found[0])
            wanted = "a plain space" if meant == " " else f"`{meant}`"
            place = f"line {number}, column {found.start() + 1}"
            return f"{named(found[0])} at {place} is not {wanted}: type that, or put the text in quotes."
    return None


def comment_follows(lines: Sequence[str], mark: Any) -> bool:
    """True when a comment follows on the line on which a scalar ends."""
    rest = lines[mark.line][mark.column :] if mark.line < len(lines) else ""
    return re.match(r"\s*#", rest) is not None


def has_comment_after_template(line: str) -> bool:
    """True when a ``#`` that may start a comment follows a ``${`` (quotes are not looked at: this only adds a hint)."""
    start = line.find("${")
    return start >= 0 and re.search(r"\s#", line[start:]) is not None
