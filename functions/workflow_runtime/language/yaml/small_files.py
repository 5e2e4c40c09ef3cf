"""Files of agents, tools, mocks and scenarios: one YAML document each, with the place of every value.

Read by the same reader, within the same bounds, as workflow files; what these say is checked by their own models.
Workers read them at a cold start, and must not import the compiler's models for it. Rules: ``WF6xx``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from workflow_runtime.errors import DefinitionError
from workflow_runtime.findings import Finding, Rule, Severity, rule
from workflow_runtime.language.json_values import Json, path_text
from workflow_runtime.language.yaml import document as yaml_document
from workflow_runtime.language.yaml.places import Place, locate, position, unpack
from workflow_runtime.language.yaml.text import Unreadable, read_text

UNREADABLE = rule("WF601", Severity.ERROR, "A file of agents, tools, mocks or scenarios cannot be read")
WRONG_FIELD = rule("WF602", Severity.ERROR, "A field of an agent, tool or mock has a wrong value or is missing")
UNKNOWN_KEY = rule("WF603", Severity.ERROR, "An agent, tool or mock has an unknown key", about_key=True)
DECLARED_TWICE = rule(
    "WF604", Severity.ERROR, "Two agents, tools or mocks have the same id", "Rename or remove one of them."
)
UNUSABLE_TOOL = rule("WF605", Severity.ERROR, "A Python tool cannot be used")
UNKNOWN_TOOL = rule("WF606", Severity.ERROR, "A tool definition uses a tool that does not exist")
UNKNOWN_MOCK = rule(
    "WF607",
    Severity.ERROR,
    "A mock or failure of an agent, tool or node that does not exist",
    "Correct the id, or remove it: no call would ever meet it.",
    about_key=True,
)
UNKNOWN_REFERENCE = rule(
    "WF609", Severity.ERROR, "An agent names a tool or an agent that does not exist", "Correct the id, or declare it."
)
AGENT_CIRCLE = rule(
    "WF610",
    Severity.ERROR,
    "Agents that call one another in a circle",
    "Have one of them end the conversation instead of calling another.",
)
NO_PRICE = rule(
    "WF611",
    Severity.ERROR,
    "An agent with a budget in dollars has a model of which nobody knows a price",
    "Have its tokens counted, `budget: {usd: …, unknown_price: tokens}`, or take another model: its requests would be "
    "refused.",
)


class Document(msgspec.Struct, frozen=True):
    """A file's ``value`` (JSON; null for an empty file) and where each part of it stands."""

    value: Json
    file: str = ""
    place: Place = position(1, 1)

    def position(self, path: Sequence[str | int]) -> tuple[int, int]:
        """Line and column (from 1) of the value at ``path``, or of the nearest part above it that the file has."""
        return unpack(locate(self.place, path))

    def finding(self, rule: Rule, message: str, path: Sequence[str | int] = (), hint: str | None = None) -> Finding:
        """A finding at ``path``, with the rule's hint unless another is given."""
        line, column = unpack(locate(self.place, path, at_key=rule.about_key))
        return Finding(rule.id, rule.severity, message, path_text(path), line, column, hint or rule.hint, self.file)


def read_document(file: Path) -> Document:
    """The document in ``file``. Raises `DefinitionError` with everything that keeps it from being read."""
    try:
        data = file.read_bytes()
    except OSError as error:
        _refuse([Unreadable(UNREADABLE, f"the file {file} cannot be read: {error.strerror or error}")], str(file))
    return parse_document(data, str(file))


def parse_document(data: str | bytes, file: str = "") -> Document:
    """The one YAML (or JSON) document in ``data``; an empty one is null. Raises `DefinitionError`."""
    try:
        document = yaml_document.read_document(read_text(data))
    except Unreadable as error:
        _refuse([error], file)
    if document.problems:
        _refuse(
            [
                Unreadable(problem.rule, problem.message, *unpack(problem.position), hint=problem.hint)
                for problem in document.problems
            ],
            file,
        )
    return Document(document.value, file, document.place)


def _refuse(problems: list[Unreadable], file: str) -> NoReturn:
    raise DefinitionError(
        [
            Finding(
                problem.rule.id,
                problem.rule.severity,
                problem.message,
                "",
                problem.line,
                problem.column,
                problem.rule.hint if problem.hint is None else problem.hint,
                file,
            )
            for problem in problems
        ]
    ) from None
