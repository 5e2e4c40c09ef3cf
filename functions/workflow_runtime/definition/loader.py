"""Loading: text → values and places → typed definition, with everything that is wrong reported at once."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

import msgspec
from pydantic import ValidationError
from pydantic_core import InitErrorDetails

from workflow_runtime.definition import rules
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.registry import NODE_TYPES, TYPES
from workflow_runtime.definition.reading import MAX_PROBLEMS, Model, Reading, details, kind_of
from workflow_runtime.definition.recovery import Gaps, recover
from workflow_runtime.definition.source import Source
from workflow_runtime.definition.workflow import WorkflowDefinition
from workflow_runtime.findings import RULES, Finding
from workflow_runtime.language.json_values import path_text
from workflow_runtime.language.look_alikes import look_alike_hint, normalized
from workflow_runtime.language.suggestions import did_you_mean, nearest
from workflow_runtime.language.texts import quoted
from workflow_runtime.language.yaml import rules as file_rules
from workflow_runtime.language.yaml.document import Document, read_document
from workflow_runtime.language.yaml.places import MappingPlace, unpack
from workflow_runtime.language.yaml.text import Unreadable, read_text

MAX_FINDINGS = 200
"""Findings shown of one file; more are shown once these are fixed."""


class Loaded(msgspec.Struct, frozen=True):
    """What a file says. ``definition`` is a best effort when a finding is an error; ``gaps`` then tells what it lacks.

    ``definition`` is None when YAML cannot give the values as written, when there is no mapping below `workflow:`, and
    when more is wrong than can be shown.
    """

    definition: WorkflowDefinition | None
    findings: list[Finding]
    source: Source
    gaps: Gaps = Gaps()


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
    source = Source(content, file, document)
    if document.problems:  # values are not those that are written: whatever else seems wrong may follow from it
        problems = [
            source.finding_at(problem.rule, problem.message, *unpack(problem.position), hint=problem.hint)
            for problem in document.problems
        ]
        return Loaded(None, in_order(problems), source)
    body, source, beside, findings = _workflow(document, source)
    definition = None
    gaps = Gaps()
    if isinstance(body, dict) and body:
        definition, gaps, found = _read(body, beside, source)
        findings += [*found, *(_templates_in_keys(source, found) if document.templates_in_keys else ())]
    shown = in_order(findings)
    if len(shown) > MAX_FINDINGS:
        return Loaded(None, _cut(shown, source), source)
    return Loaded(definition, shown, source, gaps)


def _failed(source: Source, error: Unreadable) -> Loaded:
    return Loaded(
        None, [source.finding_at(error.rule, error.message, error.line, error.column, hint=error.hint)], source
    )


def in_order(findings: list[Finding]) -> list[Finding]:
    """By place, each once."""
    return sorted(dict.fromkeys(findings), key=lambda finding: (finding.line, finding.column, finding.id))


def _cut(findings: list[Finding], source: Source) -> list[Finding]:
    last = findings[MAX_FINDINGS - 1]
    text = f"only the first {MAX_FINDINGS} findings are shown"
    return [*findings[:MAX_FINDINGS], source.finding_at(file_rules.MORE_FINDINGS, text, last.line, last.column)]


def _workflow(document: Document, source: Source) -> tuple[Any, Source, list[str], list[Finding]]:
    """The mapping below ``workflow:``, its source, the keys beside it, and what is wrong around it."""
    value = document.value
    if document.is_empty or value is None:
        return None, source, [], [source.finding(file_rules.EMPTY, "the file holds no workflow")]
    if not isinstance(value, dict):
        return (
            None,
            source,
            [],
            [
                source.finding(
                    file_rules.NOT_A_WORKFLOW, f"the file holds {kind_of(value)}, not a workflow", hint=_deceived(value)
                )
            ],
        )
    findings = []
    beside = [key for key in value if key != "workflow" and not key.startswith("x-")]
    if "workflow" not in value:
        near = next(
            (hint for key in value if (hint := did_you_mean(key, ["workflow"])) and hint.startswith("Did")), None
        )
        return (
            None,
            source,
            [],
            [source.finding(file_rules.NOT_A_WORKFLOW, "the top-level `workflow:` is missing", hint=near)],
        )
    for key in beside[:MAX_FINDINGS]:
        assert isinstance(document.place, MappingPlace), "it has keys"
        text = f"{quoted(key)} stands beside `workflow:`"
        is_field = key in WorkflowDefinition.model_fields
        hint = _deceived(key) or ("Indent it below `workflow:`." if is_field else rules.UNKNOWN_FIELD.hint)
        findings.append(source.finding_at(rules.UNKNOWN_FIELD, text, *unpack(document.place.keys[key]), hint=hint))
    inner = Source(source.text, source.file, document, "workflow")
    body = value["workflow"]
    if body is None or body == {}:
        findings.append(
            inner.finding(file_rules.EMPTY, "`workflow:` is empty", hint="Indent the workflow's fields below it.")
        )
    elif not isinstance(body, dict):
        findings.append(
            inner.finding(
                file_rules.NOT_A_WORKFLOW, f"`workflow:` must be a mapping, not {kind_of(body)}", hint=_deceived(body)
            )
        )
    return body, inner, beside, findings


def _deceived(value: object) -> str | None:
    return look_alike_hint(value) if isinstance(value, str) else None


def _read(
    body: Mapping[str, Any], beside: list[str], source: Source
) -> tuple[WorkflowDefinition | None, Gaps, list[Finding]]:
    defaults, unsure, findings = _defaults(body, beside, source)
    reading = Reading(defaults, unsure)
    duplicates = _duplicate_ids(body.get("nodes"), source)
    lines: list[InitErrorDetails] = []
    try:
        definition = WorkflowDefinition.model_validate(body, context=reading)
    except ValidationError as error:
        lines = [line for line in details(error) if not (beside and line["loc"] == ("id",) and "id" not in body)]
        findings += _findings(lines, source)
    if lines or beside or duplicates or unsure:
        if reading.problems > MAX_PROBLEMS or len(beside) > MAX_FINDINGS:
            return None, Gaps(), findings + duplicates
        definition, gaps = recover(body, lines, beside, reading)
        return definition, gaps, findings + duplicates
    return definition, Gaps(), findings


def _findings(lines: list[InitErrorDetails], source: Source, prefix: tuple[str | int, ...] = ()) -> list[Finding]:
    found = []
    for line in lines[: MAX_FINDINGS * 5]:
        kind = line["type"]
        context = getattr(kind, "context", None) or {}
        hint = context.get("hint")
        if hint is None and context.get("near") is not None:
            hint = did_you_mean(*context["near"])
        path = (*prefix, *line["loc"], *context.get("at", ()))
        found.append(source.finding(RULES[getattr(kind, "type", "")], context["text"], path, hint))
    return found


def _templates_in_keys(source: Source, found: list[Finding]) -> list[Finding]:
    """A finding for every key with a ``${``, escaped or not, of which nothing is said yet."""
    said = {(finding.line, finding.column) for finding in found}
    text = "keys are taken literally, but this one holds `${`: "
    return [
        source.finding_at(
            rules.TEMPLATE_IN_LITERAL, text + quoted(str(path[-1])), *unpack(at), path_text(path), KEY_HINT
        )
        for path, at in islice(source.keys_with("${"), MAX_FINDINGS)
        if unpack(at) not in said
    ]


KEY_HINT = "Write the key itself; a tool or the function `merge` can make an object with computed keys."
NOT_DEFAULTS = ("id", "type", "subtype", "dependencies", "depends_on", "config")
"""Fields that belong to one node only."""


def _defaults(
    body: Mapping[str, Any], beside: list[str], source: Source
) -> tuple[dict[str, dict[str, Any]], frozenset[str], list[Finding]]:
    """Defaults by node type, in canonical fields, the types whose defaults are not known, and what is wrong with them.

    Only sound defaults are given to nodes.
    """
    sound: dict[str, dict[str, Any]] = {}
    findings: list[Finding] = []
    unsure: set[str] = set()
    written = body.get("defaults")
    slips = [] if written is not None else [key for key in body if key not in WorkflowDefinition.model_fields]
    if (written is not None and not isinstance(written, dict)) or any(
        nearest(key, ["defaults"]) for key in (*slips[:MAX_FINDINGS], *beside[:MAX_FINDINGS])
    ):
        unsure.update(TYPES)
    for kind, fields in written.items() if isinstance(written, dict) else ():
        path = ("defaults", kind)
        if kind.startswith("x-") or fields is None:
            continue
        if kind not in TYPES:
            text = f"{quoted(kind)} is not a type of node"
            findings.append(source.finding(rules.UNKNOWN_TYPE, text, path, did_you_mean(kind, TYPES)))
            unsure.update(TYPES)
        elif not isinstance(fields, dict):
            text = f"defaults are a mapping of fields, not {kind_of(fields)}"
            findings.append(source.finding(rules.WRONG_KIND, text, path))
            unsure.add(kind)
        else:
            model = NODE_TYPES.get(kind, NodeDefinition)
            wrong = _wrong_defaults(kind, model, fields, source)
            findings += wrong
            sound[kind] = {} if wrong else model.canonical(fields)[0]
            unsure.update([kind] if wrong else [])
    return sound, frozenset(unsure), findings


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
            for finding, line in zip(_findings(details(error), source, prefix), details(error), strict=True)
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
        name = normalized(name)
        if name in first:
            line, column = source.position(("nodes", first[name], "id"))
            text = f"the id {quoted(name)} already stands at line {line}, column {column}"
            findings.append(source.finding(rules.DUPLICATE_ID, text, ("nodes", index, "id")))
        first.setdefault(name, index)
    return findings
