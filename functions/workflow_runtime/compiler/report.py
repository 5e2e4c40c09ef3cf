"""The findings of one compilation, each with its place: a document path, and a character where the source shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import chain
from typing import TypeAlias

import msgspec

from workflow_runtime.compiler.bounds import Spent
from workflow_runtime.definition.source import Source
from workflow_runtime.findings import Finding, Rule, Severity
from workflow_runtime.language.suggestions import did_you_mean

DocumentPath: TypeAlias = tuple[str | int, ...]

SUGGESTIONS_MAX = 20
"""Comparing a name with 10,000 others takes a fifth of a second; nobody reads more hints than these."""

FINDINGS_MAX = 1_000
"""Errors, and as many warnings; more of the same helps nobody, and a hostile file could make millions."""


class Report:
    """Collects findings."""

    def __init__(self, source: Source, text: str) -> None:
        self._source = source
        self._text = text
        self._findings: list[Finding] = []
        self._counts: Counter[Severity] = Counter()
        self._found: set[tuple[str, str, DocumentPath, int]] = set()
        self._places: dict[str, list[DocumentPath]] = {}
        self._suggestions = 0
        self.spent = Spent()

    def add(
        self,
        rule: Rule,
        message: str,
        path: Sequence[str | int],
        hint: str | None = None,
        *,
        within: str | None = None,
        offset: int = 0,
    ) -> None:
        """One finding at ``path``; with ``within`` (the text there) at its ``offset`` if it is on one line. What is
        found a second time, since others take a text over, counts once."""
        found = (rule.id, message, tuple(path), offset)
        if found in self._found:
            return
        self._found.add(found)
        self._counts[rule.severity] += 1
        self._places.setdefault(rule.id, []).append(tuple(path))
        if self._counts[rule.severity] > FINDINGS_MAX:
            return
        finding = self._source.finding(rule, message, path, hint)
        if within is not None:
            column = self._column(finding.line, finding.column, within, offset)
            finding = msgspec.structs.replace(finding, column=column)
        self._findings.append(finding)

    def suggest(self, word: str, *known: Iterable[str]) -> str | None:
        """The "did you mean" for an unknown word, as long as there are not too many of them. Sets are sorted first."""
        self._suggestions += 1
        if self._suggestions > SUGGESTIONS_MAX:
            return None
        groups = (sorted(group) if isinstance(group, frozenset) else group for group in known)
        return did_you_mean(word, chain.from_iterable(groups))

    @property
    def has_errors(self) -> bool:
        return self._counts[Severity.ERROR] > 0

    def places(self, *rules: Rule) -> list[DocumentPath]:
        """Where there are findings of ``rules``."""
        return [path for rule in rules for path in self._places.get(rule.id, ())]

    def findings(self) -> list[Finding]:
        return list(self._findings)

    @cached_property
    def _lines(self) -> list[str]:
        return self._text.splitlines()

    def _column(self, line: int, column: int, text: str, offset: int) -> int:
        """Where character ``offset`` of ``text`` is, when the line shows the text as it is; else the value's start."""
        if not 1 <= line <= len(self._lines):
            return column
        shown = self._lines[line - 1][column - 1 :]
        quoted = shown[:1] in ("'", '"')
        if not shown[quoted:].startswith(text):
            return column
        return column + quoted + offset
