"""Loading: text → values and places → typed definition, with everything that is wrong reported at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic import ValidationError

from workflow_runtime.definition import rules
from workflow_runtime.definition.base import Model, Reading, details, did_you_mean, kind_of, shorten
from workflow_runtime.definition.document import Document, read_document
from workflow_runtime.definition.model import WorkflowDefinition
from workflow_runtime.definition.node import TYPES, NodeDefinition
from workflow_runtime.definition.nodes import BY_TYPE
from workflow_runtime.definition.places import MappingPlace, unpack
from workflow_runtime.definition.source import Source
from workflow_runtime.definition.text import Unreadable, read_text
from workflow_runtime.findings import RULES, Finding, has_errors

MAX_FINDINGS = 200
"""Findings shown of one file; whoever has more mends some first."""


class Loaded(msgspec.Struct, frozen=True):
    """What a file says. ``definition`` is None when any finding is an error."""

    definition: WorkflowDefinition | None
    findings: list[Finding]
    source: Source


def load(text: str | bytes, file: str = "") -> Loaded:
    """Load a workflow definition. Never raises: whatever is wrong with ``text`` is a finding.

    ``file`` is for messages only.
    """
    try:
        content = read_text(text)
    except Unreadable as error:
        return _failed(Source(file=file), error)
    try:
        document = read_document(content)
    except Unreadable as error:
        return _failed(Source(content, file), error)
    source = Source(content, file, document.place)
    findings = [
        source.finding_at(problem.rule, problem.message, *unpack(problem.position), hint=problem.hint)
        for problem in document.problems
    ]
    body, source, found = _workflow(document, source)
    findings += found
    definition = None
    if isinstance(body, dict):
        definition, found = _read(body, source)
        findings += found
    return Loaded(None if has_errors(findings) else definition, _sorted(findings, source), source)


def _failed(source: Source, error: Unreadable) -> Loaded:
    return Loaded(
        None, [source.finding_at(error.rule, error.message, error.line, error.column, hint=error.hint)], source
    )


def _sorted(findings: list[Finding], source: Source) -> list[Finding]:
    unique = list(dict.fromkeys(findings))
    unique.sort(key=lambda finding: (finding.line, finding.column, finding.id))
    if len(unique) <= MAX_FINDINGS:
        return unique
    last = unique[MAX_FINDINGS - 1]
    text = f"only the first {MAX_FINDINGS} findings are shown"
    return [*unique[:MAX_FINDINGS], source.finding_at(rules.MORE_FINDINGS, text, last.line, last.column)]


def _workflow(document: Document, source: Source) -> tuple[Any, Source, list[Finding]]:
    """The mapping below ``workflow:``, its source, and what is wrong around it."""
    value, place = document.value, document.place
    if document.is_empty or value is None:
        return None, source, [source.finding(rules.EMPTY, "the file holds no workflow")]
    if not isinstance(value, dict) or not isinstance(place, MappingPlace):
        return None, source, [source.finding(rules.NOT_A_WORKFLOW, f"the file holds {kind_of(value)}, not a workflow")]
    findings = []
    if "workflow" not in value:
        near = next(
            (hint for key in value if (hint := did_you_mean(key, ["workflow"])) and hint.startswith("Did")), None
        )
        return None, source, [source.finding(rules.NOT_A_WORKFLOW, "the top-level `workflow:` is missing", hint=near)]
    for key in value:
        if key != "workflow" and not key.startswith("x-"):
            text = f"`{shorten(key)}` stands beside `workflow:`"
            hint = (
                "Indent it below `workflow:`." if key in WorkflowDefinition.model_fields else rules.UNKNOWN_FIELD.hint
            )
            findings.append(source.finding_at(rules.UNKNOWN_FIELD, text, *unpack(place.keys[key]), hint=hint))
    inner = Source(source.text, source.file, place.children["workflow"], place.keys["workflow"])
    body = value["workflow"]
    if body is None or body == {}:
        findings.append(
            inner.finding(rules.EMPTY, "`workflow:` is empty", hint="Indent the workflow's fields below it.")
        )
    elif not isinstance(body, dict):
        findings.append(inner.finding(rules.NOT_A_WORKFLOW, f"`workflow:` must be a mapping, not {kind_of(body)}"))
    return body, inner, findings


def _read(body: Mapping[str, Any], source: Source) -> tuple[WorkflowDefinition | None, list[Finding]]:
    if not body:
        return None, []
    defaults, findings = _defaults(body.get("defaults"), source)
    definition = None
    try:
        definition = WorkflowDefinition.model_validate(body, context=Reading(defaults))
    except ValidationError as error:
        findings += _findings(error, source)
    return definition, findings + _duplicate_ids(body.get("nodes"), source)


def _findings(error: ValidationError, source: Source, prefix: tuple[str | int, ...] = ()) -> list[Finding]:
    found = []
    for line in details(error)[: MAX_FINDINGS * 5]:
        kind = line["type"]
        context = getattr(kind, "context", None) or {}
        hint = context.get("hint")
        if hint is None and context.get("near") is not None:
            hint = did_you_mean(*context["near"])
        path = (*prefix, *line["loc"], *context.get("at", ()))
        found.append(source.finding(RULES[getattr(kind, "type", "")], context["text"], path, hint))
    return found


NOT_DEFAULTS = ("id", "type", "subtype", "dependencies", "depends_on", "config")
"""Fields that belong to one node only."""


def _defaults(written: Any, source: Source) -> tuple[dict[str, dict[str, Any]], list[Finding]]:
    """Defaults by node type, in canonical fields, and what is wrong with them (only sound ones are given to nodes)."""
    sound: dict[str, dict[str, Any]] = {}
    findings: list[Finding] = []
    for kind, fields in written.items() if isinstance(written, dict) else ():
        path = ("defaults", kind)
        if kind.startswith("x-") or fields is None:
            continue
        if kind not in TYPES:
            text = f"`{shorten(kind)}` is not a type of node"
            findings.append(source.finding(rules.UNKNOWN_TYPE, text, path, did_you_mean(kind, TYPES)))
        elif not isinstance(fields, dict):
            text = f"defaults are a mapping of fields, not {kind_of(fields)}"
            findings.append(source.finding(rules.WRONG_KIND, text, path))
        else:
            model = BY_TYPE.get(kind, NodeDefinition)
            wrong = _wrong_defaults(kind, model, fields, source)
            findings += wrong
            sound[kind] = {} if wrong else model.canonical(fields)[0]
    return sound, findings


def _wrong_defaults(kind: str, model: type[Model], fields: dict[str, Any], source: Source) -> list[Finding]:
    prefix = ("defaults", kind)
    stray = [key for key in fields if key in NOT_DEFAULTS]
    findings = [
        source.finding(rules.UNKNOWN_FIELD, f"`{key}` cannot have a default", (*prefix, key), "Say it on each node.")
        for key in stray
    ]
    try:
        model.model_validate({**fields, "id": "x", "type": kind})
    except ValidationError as error:
        lines = [line for line in error.errors() if line["loc"] and line["type"] != "missing"]
        named = {line["loc"] for line in lines}
        findings += [
            finding
            for finding, line in zip(_findings(error, source, prefix), details(error), strict=True)
            if line["loc"] in named and line["loc"][0] not in stray and finding.id != rules.REQUIRED.id
        ]
    return findings


def _duplicate_ids(nodes: Any, source: Source) -> list[Finding]:
    findings = []
    first: dict[str, int] = {}
    for index, node in enumerate(nodes if isinstance(nodes, list) else ()):
        name = node.get("id") if isinstance(node, dict) else None
        if not isinstance(name, str):
            continue
        if name in first:
            line, column = source.position(("nodes", first[name], "id"))
            text = f"the id `{shorten(name)}` already stands at line {line}, column {column}"
            findings.append(source.finding(rules.DUPLICATE_ID, text, ("nodes", index, "id")))
        first.setdefault(name, index)
    return findings
