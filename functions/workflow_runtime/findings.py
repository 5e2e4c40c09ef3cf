"""Findings: what the loader and the compiler have to say about a definition, each with an id, a place and a hint.

Ids are stable and grouped: ``WF1xx`` the file (YAML, sizes), ``WF2xx`` fields and their values, ``WF3xx`` graph
structure,
``WF4xx`` expressions, names and data, ``WF5xx`` what is valid but not in force or not supported yet, ``WF6xx`` agents,
tools and mocks. The catalogue of all rules is ``RULES``; ``definitions/README.md`` prints it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import msgspec


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


class Rule(msgspec.Struct, frozen=True):
    """One kind of finding. ``title`` says what is wrong in general; ``hint`` how it is usually fixed.

    ``about_key``: what is wrong at a path is its last key, whatever stands under it: that is where it points.
    """

    id: str
    severity: Severity
    title: str
    hint: str = ""
    about_key: bool = False


class Finding(msgspec.Struct, frozen=True):
    """One thing to fix. ``path`` is the place in the document (``nodes[2].inputs.text``); line and column count from
    1.
    """

    id: str
    severity: Severity
    message: str
    path: str = ""
    line: int = 0
    column: int = 0
    hint: str = ""
    file: str = ""

    def __str__(self) -> str:
        where = f"{self.file or '<definition>'}:{self.line}:{self.column}"
        text = f"{where}: {self.severity} {self.id}: {self.message}"
        return f"{text}\n    hint: {self.hint}" if self.hint else text


RULES: dict[str, Rule] = {}
"""Every rule by id; modules add theirs with `rule` where they use them."""


def rule(id: str, severity: Severity, title: str, hint: str = "", *, about_key: bool = False) -> Rule:
    """Declare a rule and enter it in the catalogue. Raises `ValueError` when the id is taken."""
    if id in RULES:
        raise ValueError(f"rule {id} is declared twice")
    RULES[id] = Rule(id, severity, title, hint, about_key)
    return RULES[id]


def has_errors(findings: list[Finding]) -> bool:
    return any(finding.severity is Severity.ERROR for finding in findings)


def findings_json(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Findings without what is empty: the file (a request has none), a missing hint or place."""
    return [{key: value for key, value in msgspec.to_builtins(finding).items() if value} for finding in findings]
