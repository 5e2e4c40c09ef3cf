"""Reads of fields that do not exist, and comparisons that are never true, as far as schemas tell.

Schemas say so: the workflow's `input_schema` and `event_schemas`, what agents and tools give back (`plan.catalogue`),
and what nodes make of that in `outputs`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.check.events import EventShapes, kept_from_input
from workflow_runtime.compiler.check.shapes import TYPES, Shape, schema_of_template, shape
from workflow_runtime.compiler.collect.formulas import SiteKind, Use
from workflow_runtime.compiler.collect.graphs import GraphSource
from workflow_runtime.compiler.collect.sources import Sources
from workflow_runtime.compiler.kinds import kind_of_node
from workflow_runtime.compiler.names.bindings import Bound, Read
from workflow_runtime.compiler.report import Report
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.control import SwitchNode
from workflow_runtime.definition.workflow import WorkflowDefinition
from workflow_runtime.findings import Rule
from workflow_runtime.language.expressions.comparisons import Comparison, comparisons_in, reference_of
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.suggestions import did_you_mean
from workflow_runtime.plan.catalogue import Catalogue
from workflow_runtime.plan.formulas import BindingKind

SHOWN = {"string": "text", "number": "a number", "boolean": "true or false", "null": "null", "object": "an object",
         "array": "a list"}  # fmt: skip
ORDERED = frozenset({"string", "number"})


def check_values(
    definition: WorkflowDefinition,
    sources: Sources,
    bound: Iterable[Bound],
    firsts: list[int],
    catalogue: Catalogue | None,
    report: Report,
) -> None:
    shapes = Shapes(definition, sources, firsts, catalogue)
    for graph in sources.graphs:
        for position, node in graph.own_nodes:
            _check_output_list(graph, position, node, shapes, report)
    for item in bound:
        known: dict[tuple[str, tuple[str, ...]], Shape] = {}
        for read in item.reads:
            found = _follow(read, shapes.of(read, item), report)
            if found is not None:
                known[read.use.name, read.use.keys] = found
        if known:
            _check_comparisons(item, known, report)
            _check_cases(item, known, report)


class Shapes:
    """The shapes of what formulas read."""

    def __init__(
        self, definition: WorkflowDefinition, sources: Sources, firsts: list[int], catalogue: Catalogue | None
    ) -> None:
        self._input = shape(definition.input_schema)
        self._overridable = declared_or_any(definition)
        self._variables = {name: shape(schema_of_template(value)) for name, value in definition.variables.items()}
        self._sources = sources
        self._raw: dict[int, Shape | None] = {}
        self._shown: dict[int, Shape | None] = {}
        for graph, first in zip(sources.graphs, firsts, strict=True):
            for position, node in enumerate(graph.nodes):
                raw = self._raw[first + position] = shape(kind_of_node(node).output(node, catalogue))
                self._shown[first + position] = raw if node.outputs is None else shaped(node, raw)
        self._firsts = firsts
        self._events = EventShapes(definition, sources)
        self._kept = kept_from_input(definition, sources)

    def raw(self, graph: GraphSource, position: int) -> Shape | None:
        """What a node yields before its `outputs` choose from it."""
        return self._raw[self._firsts[graph.number] + position]

    def of(self, read: Read, item: Bound) -> tuple[Shape, tuple[str, ...]] | None:
        """The shape of what a name means, and the path in it that is read."""
        keys, binding = read.keys, read.binding
        match binding.kind:
            case BindingKind.NODE:
                return _in_output(self._shown[binding.node], keys)
            case BindingKind.NODES if keys[1:2] == ("output",):
                return _pair(self._shown[binding.node], keys[2:])
            case BindingKind.INPUT_KEY:
                is_declared = self._input is not None and self._input.has(binding.name)
                return _pair(self._input.field(binding.name), keys) if self._input and is_declared else None
            case BindingKind.INPUT:
                return _pair(self._input, keys)
            case BindingKind.VARIABLE if binding.name not in self._overridable:
                return _pair(self._variables[binding.name], keys)
            case BindingKind.EVENT:
                return self._events.of_event(item.site, keys)
            case BindingKind.SCOPED if self._input is not None and binding.name in self._kept:
                return _pair(self._input.field(binding.name), keys)
            case BindingKind.SCOPED:
                return self._events.of_name(item.site, binding.name, keys)
            case BindingKind.LOCAL if item.site.kind is SiteKind.NODE:
                assert isinstance(item.place, GraphSource), "nodes stand in graphs"
                return _pair(self._local(binding.name, item, item.place), keys)
            case _:
                return None

    def _local(self, name: str, item: Bound, place: GraphSource) -> Shape | None:
        """Of what a node's formula is told: its own output in `outputs`; in a compensation, of what it undoes."""
        if item.site.path == place.at(item.site.node, "outputs"):
            return self.raw(place, item.site.node) if name == "output" else None
        if place.undoes is None or len(place.undoes.nodes) > 1:
            return None
        (undone,) = place.undoes.nodes
        if name == "inputs":
            return shape(schema_of_template(self._sources.graphs[place.undoes.graph].nodes[undone].inputs))
        return self._shown[self._firsts[place.undoes.graph] + undone] if name == "output" else None


def declared_or_any(definition: WorkflowDefinition) -> frozenset[str]:
    """The variables that an input key may replace, by a value of any type."""
    known = shape(definition.input_schema)
    return frozenset(definition.variables) if known is None else known.names


def shaped(node: NodeDefinition, raw: Shape | None) -> Shape | None:
    """What others see of a node's output."""
    if not kind_of_node(node).has_shape or node.outputs is None:
        return raw
    if isinstance(node.outputs, dict):
        return shape(schema_of_template(node.outputs))
    if not isinstance(node.outputs, tuple):
        return None
    fields = {name: raw.field(name) if raw is not None else None for name in node.outputs}
    root = raw.root if raw is not None else True
    properties = {name: True if found is None else found.schema for name, found in fields.items()}
    return Shape({"type": "object", "properties": properties, "additionalProperties": False}, root)


def _pair(known: Shape | None, keys: tuple[str, ...]) -> tuple[Shape, tuple[str, ...]] | None:
    return None if known is None else (known, keys)


def _in_output(known: Shape | None, keys: tuple[str, ...]) -> tuple[Shape, tuple[str, ...]] | None:
    """`output` is a field only of outputs that really have one."""
    if known is not None and keys[:1] == ("output",) and known.has("output") is not True:
        keys = keys[1:]
    return _pair(known, keys)


def _follow(read: Read, found: tuple[Shape, tuple[str, ...]] | None, report: Report) -> Shape | None:
    """The shape at the end of the path. A step that leads nowhere is reported."""
    if found is None:
        return None
    here: Shape | None
    here, keys = found
    for number, key in enumerate(keys):
        has = here.has(key) if here is not None else None
        if here is None or has is None:
            return None
        if not has:
            shown = ".".join((read.use.name, *read.use.keys[: len(read.use.keys) - len(keys) + number]))
            _tell(rules.LEADS_NOWHERE, f"`{shown}` has no `{key}`", read.use, report.suggest(key, here.names), report)
            return None
        here = here.field(key)
    return here


def _check_output_list(graph: GraphSource, position: int, node: NodeDefinition, shapes: Shapes, report: Report) -> None:
    raw = shapes.raw(graph, position)
    for number, name in enumerate(node.outputs if raw is not None and isinstance(node.outputs, tuple) else ()):
        if raw is not None and raw.has(name) is False:
            message = f"the output of `{node.id}` has no `{name}`"
            place = graph.at(position, "outputs", number)
            report.add(rules.LEADS_NOWHERE, message, place, report.suggest(name, raw.names))


def _check_comparisons(item: Bound, known: dict[tuple[str, tuple[str, ...]], Shape], report: Report) -> None:
    texts = {read.use.path: read.use for read in item.reads}
    for use in texts.values():
        for comparison in comparisons_in(use.text, is_expression=item.site.is_expression):
            found = known.get((comparison.name, comparison.path))
            if found is not None:
                at = msgspec.structs.replace(use, offset=comparison.offset)
                for message, hint in _never_true(comparison, found):
                    _tell(rules.NEVER_TRUE, message, at, hint, report)


def _never_true(comparison: Comparison, known: Shape) -> Iterator[tuple[str, str | None]]:
    """What is to be said of a comparison whose result is always the same."""
    shown = f"`{'.'.join((comparison.name, *comparison.path))}`"
    types, values = known.types, known.values
    is_equality = comparison.operator in ("==", "!=", "in", "not in")
    always = "always true" if comparison.operator in ("!=", "not in") else "never true"
    for value in comparison.values:
        kind = TYPES[type(value)]
        if types is not None and kind not in types and not (is_equality and kind == "null"):
            text = " or ".join(SHOWN[name] for name in sorted(types))
            yield f"{shown} is {text}, and {_json(value)} is {SHOWN[kind]}: this is {always}", None
        elif not is_equality and kind not in ORDERED:
            yield f"{_json(value)} is neither larger nor smaller than anything: this is never true", None
        elif is_equality and values is not None and value is not None and value not in values:
            texts = [item for item in values if isinstance(item, str)]
            hint = did_you_mean(value, texts) if isinstance(value, str) else None
            yield f"{shown} is never {_json(value)}: this is {always}", hint


def _check_cases(item: Bound, known: dict[tuple[str, tuple[str, ...]], Shape], report: Report) -> None:
    """Cases of a switch that its condition never equals (text also matches numbers and booleans of that text)."""
    place = item.place
    if not isinstance(place, GraphSource) or item.site.path != place.at(item.site.node, "condition"):
        return
    node = place.nodes[item.site.node]
    reference = reference_of(item.site.value) if isinstance(node, SwitchNode) and len(item.reads) == 1 else None
    values = known[reference].values if reference in known else None
    if values is None or not isinstance(node, SwitchNode):
        return
    texts = {_text(value): value for value in values}
    for number, branch in enumerate(node.branches):
        for value in branch.values or ():
            if value is not None and _text(value) not in texts:
                message = f"the condition of `{node.id}` is never {_json(value)}"
                at = place.at(item.site.node, "branches", number, "case")
                report.add(rules.NEVER_TRUE, message, at, did_you_mean(_text(value), texts))


def _text(value: Json) -> str:
    return value if isinstance(value, str) else _json(value)


def _json(value: Json) -> str:
    return msgspec.json.encode(value).decode()


def _tell(rule: Rule, message: str, use: Use, hint: str | None, report: Report) -> None:
    report.add(rule, message, use.path, hint, within=use.text, offset=use.offset)
