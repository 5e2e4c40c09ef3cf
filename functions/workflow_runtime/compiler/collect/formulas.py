"""Stage *sites*: every place of a definition that holds a template or an expression, and the names read there.

A site knows where it stands, who evaluates it and which local names it may use; it knows nothing of the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.collect.sources import GraphSource
from workflow_runtime.compiler.collect.texts import enclosed_in, texts_of
from workflow_runtime.compiler.report import DocumentPath, Report
from workflow_runtime.definition.charts.states import StateMachineNode
from workflow_runtime.definition.nodes.wait import WaitNode
from workflow_runtime.definition.workflow import (
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
from workflow_runtime.language.expressions import ExpressionSyntaxError, compile_expression, compile_template

Json: TypeAlias = Any

SHAPE_LOCALS = frozenset({"output", "inputs"})
SCORE_LOCALS = frozenset({"item"})
CALLED_LOCALS = frozenset({"inputs", "output", "error"})
"""Of fallbacks, error targets and compensations: what they see of the node they stand in for."""
TIMEOUT_LOCALS = frozenset({"inputs", "error"})
"""Of nodes that a wait calls when its time is up."""


class SiteKind(StrEnum):
    VARIABLE = "variable"
    OUTPUTS = "outputs"  # of the workflow
    EDGE = "edge"
    NODE = "node"
    CHART = "chart"  # guards, actions, delays and outputs of a chart
    EVENT = "event"  # of a trigger, over the event that comes: every name is one of its own
    KEY = "key"  # of a trigger, over the execution


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """``node``: the node that reads, -1 where none does. ``source``: the node that an edge leaves.

    ``in_worker``: evaluated by the worker that runs the node, so no decision needs what it reads. ``event``: an event
    is at hand.
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
    event: bool = False


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


def read_sites(graph: GraphSource, dormant: frozenset[int], live: frozenset[int], report: Report) -> list[ReadSite]:
    """All sites of a graph, with the names that each reads. ``dormant``, ``live``: see `mentions.Called`."""
    found: list[ReadSite] = []
    for site in _sites(graph):
        if site.kind is SiteKind.NODE and site.node in dormant:
            site = msgspec.structs.replace(site, locals=site.locals | CALLED_LOCALS, in_worker=True)
        elif site.kind is SiteKind.NODE and site.node in live:
            site = msgspec.structs.replace(site, locals=site.locals | TIMEOUT_LOCALS)
        found.append(read_site(site, report))
    return found


def variable_sites(definition: WorkflowDefinition, report: Report) -> list[ReadSite]:
    """Those of the workflow's variables."""
    return [
        read_site(Site(kind=SiteKind.VARIABLE, path=("variables", name), value=value), report)
        for name, value in definition.variables.items()
    ]


def read_site(site: Site, report: Report) -> ReadSite:
    """A site with the names that it reads."""
    return ReadSite(site, _uses(site, report))


def _sites(graph: GraphSource) -> Iterator[Site]:
    for position, node in enumerate(graph.nodes):
        yield from _node_sites(graph, position, node)
    for position, edge in enumerate(graph.edges):
        if edge.condition is not None and edge.source in graph.index and edge.target in graph.index:
            yield Site(
                kind=SiteKind.EDGE,
                path=("edges", position, "condition"),
                value=edge.condition,
                is_expression=True,
                node=graph.index[edge.target],
                source=graph.index[edge.source],
            )
    if graph.outputs is not MISSING:
        yield Site(kind=SiteKind.OUTPUTS, path=("outputs",), value=graph.outputs)


def _node_sites(graph: GraphSource, position: int, node: NodeDefinition) -> Iterator[Site]:
    works = isinstance(node, AgentNode | ToolNode)
    may_work = works or type(node) is NodeDefinition  # a node whose type could not be read

    def site(*path: str | int, value: Json, expression: bool = False, **options: Any) -> Site:
        place = graph.at(position, *path)
        kind = options.pop("kind", SiteKind.NODE)
        return Site(kind=kind, path=place, value=value, is_expression=expression, node=position, **options)

    if node.when is not None:
        yield site("when", value=node.when, expression=True)
    if node.inputs:
        yield site("inputs", value=node.inputs, secrets=may_work, in_worker=works)
    if node.outputs is not None and not isinstance(node.outputs, tuple) and not isinstance(node, StateMachineNode):
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
        case WaitNode():
            yield from _wait_sites(site, node)
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


def _wait_sites(site: Callable[..., Site], node: WaitNode) -> Iterator[Site]:
    for field in ("seconds", "timeout"):
        value = getattr(node, field)
        if isinstance(value, str):
            yield site(field, value=value)
    if node.at is not None:
        yield site("at", value=node.at)
    if node.match is not None:
        yield site("match", value=node.match, expression=True, event=True)
    if node.correlate is not None:
        yield site("correlate", value=node.correlate, kind=SiteKind.EVENT)
    if node.with_value is not None:
        yield site("with_value", value=node.with_value)


def _uses(site: Site, report: Report) -> tuple[Use, ...]:
    """The names read at a site, in order; what does not parse is reported."""
    uses: list[Use] = []
    for place, text in texts_of(site.value, site.path):
        if not text or (not site.is_expression and "${" not in text):
            continue
        try:
            formula = compile_expression(text) if site.is_expression else compile_template(text)
        except ExpressionSyntaxError as error:
            report.add(rules.SYNTAX, error.message, place, error.hint or None, within=text, offset=error.offset)
            continue
        enclosed = enclosed_in(text) if site.is_expression and formula.references else ()
        for found in formula.references:
            bare = site.is_expression and not any(start <= found.offset < end for start, end in enclosed)
            uses.append(Use(found.name, found.path, place, text, found.offset, bare))
    return tuple(uses)
