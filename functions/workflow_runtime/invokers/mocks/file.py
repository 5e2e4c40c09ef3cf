"""The file of mocks, checked and compiled; the package's docstring says what it means."""

from __future__ import annotations

import msgspec

from workflow_runtime.findings import Finding
from workflow_runtime.language.durations import parse_duration
from workflow_runtime.language.expressions import (
    Expression,
    ExpressionSyntaxError,
    Template,
    compile_expression,
    compile_template,
)
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.language.suggestions import did_you_mean
from workflow_runtime.language.texts import quoted
from workflow_runtime.language.yaml.small_files import DECLARED_TWICE, UNKNOWN_KEY, WRONG_FIELD, Document
from workflow_runtime.plan.specs import NodeType

TOP_KEYS = ("agents", "tools", "workflows", "default")
BEHAVIOUR_KEYS = ("return", "raise", "delay", "cases", "default")
CASE_KEYS = ("match", "return", "raise", "delay")
ERROR_KEYS = ("type", "message")

Place = tuple[str | int, ...]


class Case(msgspec.Struct, frozen=True):
    """``behaviour`` when ``match`` holds; ``source`` is the expression as written."""

    source: str
    match: Expression
    behaviour: Behaviour


class Behaviour(msgspec.Struct, frozen=True):
    """Either ``cases`` (with a ``default``, or none), or: wait ``delay_seconds``, then raise ``error`` or yield
    ``result``.

    ``error`` is (type, message); ``result`` None yields null.
    """

    delay_seconds: float = 0.0
    error: tuple[str, str] | None = None
    result: Template | None = None
    cases: tuple[Case, ...] | None = None
    default: Behaviour | None = None


class MockFile(msgspec.Struct, frozen=True):
    """Behaviours by id; more than one are taken call by call."""

    agents: dict[str, tuple[Behaviour, ...]]
    tools: dict[str, tuple[Behaviour, ...]]
    default: Behaviour | None
    workflows: dict[str, tuple[Behaviour, ...]] = {}

    def of(self, kind: NodeType) -> dict[str, tuple[Behaviour, ...]]:
        return {NodeType.AGENT: self.agents, NodeType.SUB_WORKFLOW: self.workflows}.get(kind, self.tools)


def read_mocks(document: Document, findings: list[Finding]) -> MockFile:
    """The mocks in ``document``; what is wrong is added to ``findings``."""
    return _MockReader(document, findings).file()


class _MockReader:
    def __init__(self, document: Document, findings: list[Finding]) -> None:
        self._document = document
        self._findings = findings

    def file(self) -> MockFile:
        value = {} if self._document.value is None else self._document.value
        if not self._is_object(value, (), TOP_KEYS):
            return MockFile({}, {}, None)
        default = self._behaviour(value["default"], ("default",)) if "default" in value else None
        agents, tools, workflows = (self._section(value, name) for name in ("agents", "tools", "workflows"))
        return MockFile(agents, tools, default, workflows)

    def _section(self, file: dict[str, Json], name: str) -> dict[str, tuple[Behaviour, ...]]:
        section = file.get(name)
        if section is None:
            return {}
        if not isinstance(section, dict):
            self._wrong(f"`{name}` must be a mapping from id to behaviour", (name,))
            return {}
        found: dict[str, tuple[Behaviour, ...]] = {}
        for id, value in section.items():
            behaviours = self._listed(value, (name, id))
            if normalized(id) in found:
                message = f"`{name}` has two mocks of {quoted(id)}: the ids look the same"
                self._findings.append(self._document.finding(DECLARED_TWICE, message, (name, id)))
            found[normalized(id)] = behaviours
        return found

    def _listed(self, value: Json, place: Place) -> tuple[Behaviour, ...]:
        if not isinstance(value, list):
            return (self._behaviour(value, place),)
        if not value:
            self._wrong("the list of behaviours is empty", place)
        return tuple(self._behaviour(item, (*place, index)) for index, item in enumerate(value))

    def _behaviour(self, value: Json, place: Place, keys: tuple[str, ...] = BEHAVIOUR_KEYS) -> Behaviour:
        if not self._is_object(value, place, keys):
            return Behaviour()
        if "cases" in value:
            return self._choice(value, place)
        if "default" in value:
            self._wrong("`default` needs `cases`", (*place, "default"))
        if "return" in value and "raise" in value:
            self._wrong("a mock has `return` or `raise`, not both", place)
        if not value.keys() & {"return", "raise", "delay"}:
            self._wrong("a mock needs `return`, `raise`, `delay` or `cases`", place)
        return Behaviour(
            delay_seconds=self._seconds(value.get("delay", 0), (*place, "delay")),
            error=self._error(value["raise"], (*place, "raise")) if "raise" in value else None,
            result=self._template(value["return"], (*place, "return")) if "return" in value else None,
        )

    def _choice(self, value: dict[str, Json], place: Place) -> Behaviour:
        for key in value.keys() - {"cases", "default"}:
            self._wrong(f"`{key}` cannot stand beside `cases`; put it into a case or into `default`", (*place, key))
        default = None
        if "default" in value:
            default = self._behaviour(value["default"], (*place, "default"), BEHAVIOUR_KEYS[:3])
        cases = value["cases"]
        if not isinstance(cases, list) or not cases:
            self._wrong("`cases` must be a list of at least one case", (*place, "cases"))
            return Behaviour()
        read = [self._case(case, (*place, "cases", index)) for index, case in enumerate(cases)]
        return Behaviour(cases=tuple(case for case in read if case), default=default)

    def _case(self, value: Json, place: Place) -> Case | None:
        if not self._is_object(value, place, CASE_KEYS):
            return None
        source = value.get("match")
        behaviour = self._behaviour({key: item for key, item in value.items() if key != "match"}, place)
        if not isinstance(source, str):
            self._wrong("a case needs `match`: an expression over the inputs", (*place, "match"))
            return None
        try:
            return Case(source, compile_expression(source), behaviour)
        except ExpressionSyntaxError as error:
            self._syntax(error, (*place, "match"))
            return None

    def _template(self, value: Json, place: Place) -> Template | None:
        try:
            return compile_template(value)
        except ExpressionSyntaxError as error:
            self._syntax(error, (*place, *error.path))
            return None

    def _error(self, value: Json, place: Place) -> tuple[str, str]:
        if not self._is_object(value, place, ERROR_KEYS):
            return ("execution_error", "")
        type, message = value.get("type", "execution_error"), value.get("message", "")
        if not isinstance(type, str) or not type:
            self._wrong("`type` must be the name of an error type", (*place, "type"))
        if not isinstance(message, str):
            self._wrong("`message` must be text", (*place, "message"))
        return str(type), str(message)

    def _seconds(self, value: Json, place: Place) -> float:
        try:
            return parse_duration(value)
        except ValueError as error:
            self._wrong(f"`delay`: {error}", place)
            return 0.0

    def _is_object(self, value: Json, place: Place, keys: tuple[str, ...]) -> bool:
        if not isinstance(value, dict):
            self._wrong(f"expected a mapping with {' / '.join(keys)}", place)
            return False
        for key in value:
            if key not in keys:
                message, hint = f"unknown key {key!r}", did_you_mean(str(key), keys)
                self._findings.append(self._document.finding(UNKNOWN_KEY, message, (*place, key), hint))
        return True

    def _wrong(self, message: str, place: Place) -> None:
        self._findings.append(self._document.finding(WRONG_FIELD, message, place))

    def _syntax(self, error: ExpressionSyntaxError, place: Place) -> None:
        message = f"{error.message} (character {error.offset + 1})"
        self._findings.append(self._document.finding(WRONG_FIELD, message, place, error.hint))
