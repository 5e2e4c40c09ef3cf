"""Stage *sites*: every place of a definition that holds a template or an expression, and the names read there.

A site knows where it stands, who evaluates it and which local names it may use; it knows nothing of the graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.report import Report
from workflow_runtime.definition.model import (
    MISSING,
    AgentNode,
    AggregationNode,
    ConditionNode,
    FailNode,
    NodeDefinition,
    SucceedNode,
    SwitchNode,
    ToolNode,
    WorkflowDefinition,
)
from workflow_runtime.expressions import ExpressionSyntaxError, compile_expression, compile_template

DocumentPath: TypeAlias = tuple[str | int, ...]
Json: TypeAlias = Any

SHAPE_LOCALS = frozenset({"output", "inputs"})
SCORE_LOCALS = frozenset({"item"})
CALLED_LOCALS = frozenset({"inputs", "output", "error"})
"""Of fallbacks, error targets and compensations: what they see of the node they stand in for."""


class SiteKind(StrEnum):
    VARIABLE = "variable"
    OUTPUTS = "outputs"  # of the workflow
    EDGE = "edge"
    NODE = "node"


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """``node``: the node that reads, -1 for variables and outputs. ``source``: the node that an edge leaves.

    ``in_worker``: evaluated by the worker that runs the node, so no decision needs what it reads.
    """

    kind: SiteKind
    path: DocumentPath
    value: Json
    is_expression: bool = False
    node: int = -1
    source: int = -1
    locals: frozenset[str] = frozenset()
    secrets: bool = False
    in_worker: bool = False


class Use(msgspec.Struct, frozen=True):
    """One name read: its root, the static keys after it, and where. ``bare``: outside ``${}`` of an expression."""

    name: str
    keys: tuple[str, ...]
    path: DocumentPath
    text: str
    offset: int
    bare: bool = False


class ReadSite(msgspec.Struct, frozen=True):
    site: Site
    uses: tuple[Use, ...]


def read_sites(
    definition: WorkflowDefinition, index: dict[str, int], called: frozenset[int], report: Report
) -> list[ReadSite]:
    """All sites, with the names that each reads. ``called``: see `only_called`."""
    found: list[ReadSite] = []
    for site in _sites(definition, index):
        if site.kind is SiteKind.NODE and site.node in called:
            site = msgspec.structs.replace(site, locals=site.locals | CALLED_LOCALS, in_worker=True)
        found.append(ReadSite(site, _uses(site, report)))
    return found


def _sites(definition: WorkflowDefinition, index: dict[str, int]) -> Iterator[Site]:
    for name, value in definition.variables.items():
        yield Site(kind=SiteKind.VARIABLE, path=("variables", name), value=value)
    for position, node in enumerate(definition.nodes):
        yield from _node_sites(position, node)
    for position, edge in enumerate(definition.edges):
        if edge.condition is not None and edge.source in index and edge.target in index:
            yield Site(
                kind=SiteKind.EDGE,
                path=("edges", position, "condition"),
                value=edge.condition,
                is_expression=True,
                node=index[edge.target],
                source=index[edge.source],
            )
    if definition.outputs is not MISSING:
        yield Site(kind=SiteKind.OUTPUTS, path=("outputs",), value=definition.outputs)


def _node_sites(position: int, node: NodeDefinition) -> Iterator[Site]:
    works = isinstance(node, AgentNode | ToolNode)
    may_work = works or type(node) is NodeDefinition  # a node whose type could not be read

    def site(*path: str | int, value: Json, expression: bool = False, **options: Any) -> Site:
        place = ("nodes", position, *path)
        return Site(kind=SiteKind.NODE, path=place, value=value, is_expression=expression, node=position, **options)

    if node.when is not None:
        yield site("when", value=node.when, expression=True)
    yield site("inputs", value=node.inputs, secrets=may_work, in_worker=works)
    if node.outputs is not None and not isinstance(node.outputs, tuple):
        yield site("outputs", value=node.outputs, locals=SHAPE_LOCALS, in_worker=works)
    match node:
        case AgentNode():
            yield site("agent", value=node.agent, in_worker=True)
            if node.prompt is not None:
                yield site("prompt", value=node.prompt, in_worker=True)
        case ToolNode():
            yield site("tool", value=node.tool, in_worker=True)
        case ConditionNode():
            yield site("condition", value=node.condition, expression=True)
        case SwitchNode():
            if node.condition is not None:
                yield site("condition", value=node.condition, expression=True)
            for number, branch in enumerate(node.branches):
                if branch.when is not None:
                    yield site("branches", number, "when", value=branch.when, expression=True)
        case FailNode():
            yield site("error", value=node.error)
            yield site("message", value=node.message)
        case SucceedNode() if node.output is not MISSING:
            yield site("output", value=node.output)
        case AggregationNode():
            if node.items is not None:
                yield site("items", value=node.items)
            if node.score is not None:
                yield site("score", value=node.score, expression=True, locals=SCORE_LOCALS)
            if node.value is not None and node.value is not MISSING:
                yield site("value", value=node.value)
            if node.default is not MISSING:
                yield site("default", value=node.default)
        case _:
            pass


def _uses(site: Site, report: Report) -> tuple[Use, ...]:
    """The names read at a site, in order; what does not parse is reported."""
    uses: list[Use] = []
    for place, text in _texts(site.value, site.path):
        if not text or (not site.is_expression and "${" not in text):
            continue
        try:
            formula = compile_expression(text) if site.is_expression else compile_template(text)
        except ExpressionSyntaxError as error:
            report.add(rules.SYNTAX, error.message, place, error.hint or None, within=text, offset=error.offset)
            continue
        enclosed = _enclosed(text) if site.is_expression and formula.references else ()
        for found in formula.references:
            bare = site.is_expression and not any(start <= found.offset < end for start, end in enclosed)
            uses.append(Use(found.name, found.path, place, text, found.offset, bare))
    return tuple(uses)


def _texts(value: Json, path: DocumentPath) -> Iterator[tuple[DocumentPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from _texts(item, (*path, position))


def _enclosed(text: str) -> list[tuple[int, int]]:
    """The stretches of an expression that stand inside ``${…}``. The text is known to parse."""
    found: list[tuple[int, int]] = []
    opened: list[int | None] = []  # start of each open brace that is a `${`, None for a `{`
    quote = ""
    position = 0
    while position < len(text):
        character = text[position]
        if quote:
            if character == "\\":
                position += 1
            elif character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        elif character == "$" and text.startswith("${", position):
            opened.append(position)
            position += 1
        elif character == "{":
            opened.append(None)
        elif character == "}" and opened:
            start = opened.pop()
            if start is not None:
                found.append((start, position))
        position += 1
    return found
