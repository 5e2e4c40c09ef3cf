"""How much of each kind one file may hold. Everything costs the compiler something, and most of it every function that
loads the plan; aliases make a small file large.

Nodes, states and edges are counted where they are made (`check.charts`, `shape.walks`), the rest here, before it is
worked on.
"""

from __future__ import annotations

import re

from workflow_runtime.compiler import rules
from workflow_runtime.definition.reading import Place
from workflow_runtime.findings import Rule

TRANSITIONS_MAX = 25_000  # of states there are 10,000 at most
EXPRESSIONS_MAX = 100_000  # `${…}` and conditions, ten per node on average: compiled in a few seconds
REFERENCES_MAX = 250_000  # names in them, each of which is looked up
PATTERNS_MAX = 1_000  # in `matches` and handlers: one may take some milliseconds to compile
MATCHING_STEPS_MAX = 1_000_000  # of handlers' patterns over the ids of all nodes; each takes a few microseconds

_STEP_SHIFT = 9  # re2 tries 2**9 instructions at a character in a step, where it has no memory for its automaton
_MATCHES = re.compile(r"\bmatches\s*\(")


class TooMuch(Exception):
    """The file holds more of a kind than it may. ``rule``, ``place``: of the finding."""

    def __init__(self, rule: Rule, message: str, place: Place) -> None:
        super().__init__(message)
        self.rule = rule
        self.place = place


class Spent:
    """What a file has been found to hold so far."""

    def __init__(self) -> None:
        self._expressions = 0
        self._references = 0
        self._patterns = 0
        self._matching = 0

    def expressions(self, count: int, place: Place) -> None:
        """Raises `TooMuch`."""
        self._expressions += count
        if self._expressions > EXPRESSIONS_MAX:
            raise _too_much(EXPRESSIONS_MAX, "expressions", rules.TOO_MANY_EXPRESSIONS, place)

    def references(self, count: int, place: Place) -> None:
        """Raises `TooMuch`."""
        self._references += count
        if self._references > REFERENCES_MAX:
            raise _too_much(REFERENCES_MAX, "references", rules.TOO_MANY_REFERENCES, place)

    def patterns(self, text: str, place: Place) -> None:
        """Those that an expression may hold. Raises `TooMuch`."""
        if "matches" not in text:
            return
        self._patterns += len(_MATCHES.findall(text))
        if self._patterns > PATTERNS_MAX:
            raise _too_much(PATTERNS_MAX, "patterns", rules.TOO_MANY_PATTERNS, place)

    def match(self, characters: int, program: int) -> None:
        """A handler's pattern is tried on an id. Raises `TooMuch`."""
        self._matching += 1 + (characters * program >> _STEP_SHIFT)
        if self._matching > MATCHING_STEPS_MAX:
            message = "the patterns of the error handlers take too long to be tried on all nodes"
            raise TooMuch(rules.TOO_MANY_PATTERNS, message, ("error_handlers",))


def _too_much(most: int, what: str, rule: Rule, place: Place) -> TooMuch:
    return TooMuch(rule, f"with these there are more than {most:,} {what} in the file", place)
