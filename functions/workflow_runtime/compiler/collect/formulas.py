"""Stage *sites*: every place of a definition that holds a template or an expression, and the names read there.

A site knows where it stands, who evaluates it and which local names it may use; it knows nothing of the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.collect.graphs import GraphSource
from workflow_runtime.compiler.kinds import kind_of_node
from workflow_runtime.compiler.kinds.kind import Over, values_at
from workflow_runtime.compiler.kinds.loop import BODY_FORMULAS
from workflow_runtime.compiler.report import DocumentPath, Report
from workflow_runtime.definition.fields import MISSING
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.control import PassNode
from workflow_runtime.definition.workflow import WorkflowDefinition
from workflow_runtime.language.enumerations import direct
from workflow_runtime.language.expressions import (
    Expression,
    ExpressionSyntaxError,
    Template,
    compile_expression,
    compile_template,
)
from workflow_runtime.language.json_values import Json, walk_texts
from workflow_runtime.language.templates import enclosed_in

SHAPE_LOCALS = frozenset({"output", "inputs"})
TASK_SHAPE_LOCALS = frozenset({"output"})
NO_LOCALS: frozenset[str] = frozenset()
TASK_LOCALS = frozenset({"task_token"})
CALLED_LOCALS = frozenset({"inputs", "output", "error"})
"""Of fallbacks, error targets and compensations: what they see of the node they stand in for, or undo."""
TIMEOUT_LOCALS = frozenset({"inputs", "error"})
"""Of nodes that a wait calls when its time is up."""


@direct
class SiteKind(StrEnum):
    VARIABLE = "variable"
    OUTPUTS = "outputs"  # of the workflow
    EDGE = "edge"
    NODE = "node"
    PASS = "pass"  # of a loop, when a pass has ended: what it contributes, and whether there is another
    CHART = "chart"  # guards, actions, delays and outputs of a chart
    EVENT = "event"  # of a trigger, over the event that comes: every name is one of its own
    KEY = "key"  # of a trigger, over the execution
    START = "start"  # whom an execution is for, and keys of limiters: over the input and the variables


# What is asked of every site: Python 3.11 looks members of enumerations up slowly.
OF_NODE, OF_EDGE = SiteKind.NODE, SiteKind.EDGE


class Site(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a formula stands, and what may be read there.

    - ``path``: of what has the formula; ``written``: where its text stands, if it is taken over from there
    - ``node``: the node that reads, -1 where none does
    - ``source``: the node that an edge leaves
    - ``in_worker``: evaluated by the worker that runs the node, so no decision needs what it reads
    - ``event``: an event is at hand
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
    written: DocumentPath = ()

    @property
    def place(self) -> DocumentPath:
        """Where its text stands."""
        return self.written or self.path


class Use(msgspec.Struct, frozen=True, gc=False):
    """One name read: its root, the static keys after it, and where. ``bare``: outside ``${}`` of an expression."""

    name: str
    keys: tuple[str, ...]
    path: DocumentPath
    text: str
    offset: int
    bare: bool = False


class ReadSite(msgspec.Struct, frozen=True, gc=False):
    """A site, the names that it reads, and its source compiled (None: it does not parse). ``may_ask_states``: whether
    it may call ``in_state``."""

    site: Site
    uses: tuple[Use, ...]
    compiled: Expression | Template | None
    may_ask_states: bool


def read_sites(graph: GraphSource, dormant: frozenset[int], live: frozenset[int], report: Report) -> list[ReadSite]:
    """All sites of a graph, with the names that each reads. ``dormant``, ``live``: see `mentions.Called`."""
    sites = _sites(graph)
    if dormant or live or graph.undoes is not None:
        sites = (_called(site, graph, dormant, live) for site in sites)
    return [read_site(site, report) for site in sites]


def _called(site: Site, graph: GraphSource, dormant: frozenset[int], live: frozenset[int]) -> Site:
    """The site, with what it sees if its node runs only when called."""
    if site.kind is not OF_NODE:
        return site
    if site.node in dormant:
        return msgspec.structs.replace(site, locals=site.locals | CALLED_LOCALS, in_worker=True)
    if site.node in live:
        return msgspec.structs.replace(site, locals=site.locals | TIMEOUT_LOCALS)
    return msgspec.structs.replace(site, locals=site.locals | CALLED_LOCALS) if graph.undoes is not None else site


def variable_sites(definition: WorkflowDefinition, report: Report) -> list[ReadSite]:
    """Those of the workflow's variables."""
    return [
        read_site(Site(kind=SiteKind.VARIABLE, path=("variables", name), value=value), report)
        for name, value in definition.variables.items()
    ]


def read_site(site: Site, report: Report) -> ReadSite:
    """A site with the names that it reads. Raises `TooMuch`."""
    spent, may_ask_states = report.spent, False
    for path, text in walk_texts(site.value, site.path):
        spent.expressions(1 if site.is_expression else text.count("${"), path)
        spent.patterns(text, path)
        may_ask_states = may_ask_states or "in_state" in text
    compiled, uses = _compiled(site, report)
    spent.references(len(uses), site.path)
    return ReadSite(site, uses, compiled, may_ask_states)


def _sites(graph: GraphSource) -> Iterator[Site]:
    for position, node in graph.own_nodes:
        yield from _node_sites(graph, position, node)
    for position, edge in graph.numbered_edges:
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
        kind = SiteKind.OUTPUTS if graph.body_of is None else SiteKind.PASS
        yield Site(kind=kind, path=graph.outputs_place, value=graph.outputs)
    if graph.body_of is not None:
        for field in BODY_FORMULAS:
            for path, value in values_at(graph.body_of, field):
                place = (*graph.outputs_place[:-1], *path)
                yield Site(kind=SiteKind.PASS, path=place, value=value, is_expression=field.is_expression)


def has_inputs(graph: GraphSource, position: int) -> bool:
    """Whether the node has inputs to be rendered; the value of a fallback may be anything."""
    node = graph.nodes[position]
    return bool(node.inputs) or (position in graph.fallbacks and isinstance(node, PassNode))


def _node_sites(graph: GraphSource, position: int, node: NodeDefinition) -> Iterator[Site]:
    kind = kind_of_node(node)
    works, replaces = kind.pool is not None, position in graph.fallbacks

    def site(path: DocumentPath, value: Json, kind: SiteKind = OF_NODE, **options: Any) -> Site:
        written = graph.written_at(position, *path) if replaces else ()
        return Site(kind=kind, path=graph.at(position, *path), value=value, node=position, written=written, **options)

    if node.when is not None:
        yield site(("when",), node.when, is_expression=True)
    if has_inputs(graph, position):
        told = position in graph.fallback_of and isinstance(graph.nodes[graph.fallback_of[position]], PassNode)
        locals = TASK_LOCALS if works and node.callback is not None else NO_LOCALS
        yield site(("inputs",), node.inputs, secrets=kind.may_read_secrets, in_worker=works and not told, locals=locals)
    if node.outputs is not None and not isinstance(node.outputs, tuple) and kind.has_shape:
        waits = works and node.callback is not None  # what comes then is not shaped by a worker
        locals = TASK_SHAPE_LOCALS if waits else SHAPE_LOCALS
        yield site(("outputs",), node.outputs, locals=locals, in_worker=works and not waits)
    for field in kind.formulas:
        for path, value in values_at(node, field):
            yield site(
                path,
                value,
                kind=SiteKind.EVENT if field.over is Over.EVENT_ALONE else OF_NODE,
                is_expression=field.is_expression,
                locals=field.locals,
                event=field.over is Over.EVENT_TOO,
                in_worker=works,
            )


def _compiled(site: Site, report: Report) -> tuple[Expression | Template | None, tuple[Use, ...]]:
    """The site's source, compiled, and the names read there, in order; what does not parse is reported."""
    try:
        if site.is_expression:
            expression = compile_expression(site.value)
            return expression, tuple(_expression_uses(site, expression))
        template = compile_template(site.value)
        return template, tuple(_template_uses(template, site.value, site.place))
    except ExpressionSyntaxError as error:
        if site.is_expression:
            report.add(
                rules.SYNTAX, error.message, site.place, error.hint or None, within=site.value, offset=error.offset
            )
            return None, ()
        uses, faults = _uses_of_texts(site, report)
        if not faults:  # no text of it is to blame: it is nested too deeply
            report.add(rules.SYNTAX, error.message, (*site.place, *error.path), error.hint or None)
        return None, uses


def _template_uses(template: Template, value: Json, path: DocumentPath) -> Iterator[Use]:
    for found in template.references:
        text = value
        for key in found.where:
            text = text[key]
        yield Use(found.name, found.path, (*path, *found.where), text, found.offset)


def _expression_uses(site: Site, expression: Expression) -> Iterator[Use]:
    text, place = site.value, site.place
    opens = "${" in text
    enclosed: Sequence[tuple[int, int]] | None = None
    for found in expression.references:
        bare = not opens or not text.startswith("${", max(found.offset - 2, 0))  # in which the name then is
        if bare and opens:
            enclosed = enclosed_in(text) if enclosed is None else enclosed
            bare = not any(start <= found.offset < end for start, end in enclosed)
        yield Use(found.name, found.path, place, text, found.offset, bare)


def _uses_of_texts(site: Site, report: Report) -> tuple[tuple[Use, ...], int]:
    """Of a template that does not compile: what its sound texts read, and how many are not; those are reported."""
    uses: list[Use] = []
    faults = 0
    for path, text, is_key in _texts_and_keys(site.value, site.place):
        if is_key:
            faults += "${" in text  # the loader reports those in keys
            continue
        try:
            uses += _template_uses(compile_template(text), text, path)
        except ExpressionSyntaxError as error:
            faults += 1
            report.add(rules.SYNTAX, error.message, path, error.hint or None, within=text, offset=error.offset)
    return tuple(uses), faults


def _texts_and_keys(value: Json, path: DocumentPath) -> Iterator[tuple[DocumentPath, str, bool]]:
    """Every text in a JSON value, with its document path, and whether it is the key that the path ends with."""
    if isinstance(value, str):
        yield path, value, False
    elif isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key), key, True
            yield from _texts_and_keys(item, (*path, key))
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from _texts_and_keys(item, (*path, position))
