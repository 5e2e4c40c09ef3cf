"""A best effort at a definition that has errors, so that later stages find what is wrong besides.

Fields that were wrong are dropped to their defaults; nodes and edges keep their positions, so paths stay right. What
could not be read is told by `Gaps`: whether a name exists, or a node waits for nothing, cannot be concluded from its
absence here; in doubt the answer is that it may be there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from pydantic_core import InitErrorDetails

from workflow_runtime.definition import rules
from workflow_runtime.definition.charts.states import StateDefinition
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.registry import CONTROL_TYPES, NODE_TYPES, recovered_node
from workflow_runtime.definition.reading import Model, Place, Reading
from workflow_runtime.definition.workflow import EdgeDefinition, WorkflowDefinition
from workflow_runtime.language.expressions import is_id
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.language.suggestions import nearest
from workflow_runtime.language.texts import QUOTED_COLUMNS, shorten

ANY = "*"
"""Stands for a field that nobody can tell: an unknown key, or fields that do not go together."""

WITHOUT_EDGES = frozenset(
    {
        *("name", "metadata", "priority", "limiter", "callback", "retry_policy", "timeout", "on_skip"),
        *("output_schema", "max_concurrency", "allow", "type"),
    }
)
"""Fields of nodes, and of edges, from which no edge can come and on which no edge's meaning depends."""

CALLS = frozenset({"fallback", "on_error", "on_timeout", "on_reject", "compensate", "error_handlers", ANY})
"""Fields that name nodes which only run when called."""


class Gaps(msgspec.Struct, frozen=True):
    """``fields``: of the workflow. ``nodes``, ``edges``: fields by position; `ANY` alone if nothing is known.

    ``untyped``: nodes of a type that is not known. ``unnamed``: nodes whose id is wrong, or that share it with others.
    ``shared_ids``: the ids that several nodes share; None if the id of a node is not one.
    ``runs``: of the graphs inside states, by path (``("states", 0, "run")``). ``charts``: whether states of a chart
    may have names that cannot be seen, for charts that have errors, by path of their owner (``()`` or a node's).
    """

    fields: frozenset[str] = frozenset()
    nodes: dict[int, frozenset[str]] = {}
    edges: dict[int, frozenset[str]] = {}
    untyped: frozenset[int] = frozenset()
    unnamed: frozenset[int] = frozenset()
    shared_ids: frozenset[str] | None = frozenset()
    runs: dict[Place, Gaps] = {}
    charts: dict[Place, bool] = {}

    def of_run(self, path: Place) -> Gaps:
        """Those of the graph inside a state."""
        return self.runs.get(path, Gaps())

    def is_whole(self, chart: Place) -> bool:
        """Whether everything in a chart could be read."""
        return chart not in self.charts

    def hide_states(self, chart: Place) -> bool:
        """Whether a chart may have states with other names than those that can be seen."""
        return self.charts.get(chart, False)

    @property
    def hide_ids(self) -> bool:
        """Whether there may be nodes with ids that cannot be seen at all."""
        return "nodes" in self.fields or self.shared_ids is None

    def hides_id(self, name: str) -> bool:
        """Whether this may be the id of a node, although no sound node has it."""
        return self.hide_ids or name in (self.shared_ids or ())

    @property
    def hide_variables(self) -> bool:
        return not self.fields.isdisjoint({"variables", ANY})

    def hides_name(self, name: str) -> bool:
        """Whether a name may be declared although nothing that can be seen declares it."""
        return self.hides_id(name) or self.hide_variables or "input_schema" in self.fields

    @property
    def hide_calls(self) -> bool:
        """Whether nodes may be called by others in ways that cannot be seen."""
        wrong = [self.fields, *self.nodes.values()]
        return bool(self.untyped) or any(not fields.isdisjoint(CALLS) for fields in wrong)

    def of_some(self, nodes: Sequence[int]) -> Gaps:
        """Those of a graph that has only these nodes of a list, in this order."""
        places = {position: place for place, position in enumerate(nodes)}
        return msgspec.structs.replace(
            self,
            nodes={places[position]: fields for position, fields in self.nodes.items() if position in places},
            untyped=frozenset(places[position] for position in self.untyped if position in places),
            unnamed=frozenset(places[position] for position in self.unnamed if position in places),
        )

    def has(self, node: int, *fields: str) -> bool:
        """Whether one of ``fields`` of a node could not be read."""
        return not self.nodes.get(node, frozenset()).isdisjoint((ANY, *fields))


Wrong: TypeAlias = dict[int, set[str]]

_NODES: tuple[type[Model], ...] = (NodeDefinition, *NODE_TYPES.values(), *CONTROL_TYPES.values())
_MODELS: tuple[type[Model], ...] = (*_NODES, EdgeDefinition)
_CANONICAL = {written: name for model in _MODELS for written, name in model.aliases.items()}
_NODE_FIELDS = sorted({name for model in _NODES for name in model.written_names()})


def recover(
    body: Mapping[str, Any], lines: Iterable[InitErrorDetails], beside: Iterable[str], reading: Reading
) -> tuple[WorkflowDefinition, Gaps]:
    """The definition as far as ``body`` is sound, and what it lacks.

    ``lines``: what is wrong in it. ``beside``: unknown keys beside `workflow:`, which may belong below it.
    """
    reading.limit = math.inf  # what is read again was counted before
    absent = {"nodes"} - body.keys()  # an unknown key may be meant as them, however it is called
    fields = {meant for key in beside for meant in _meant(key, body)} | (absent if beside else set())
    nodes, edges, variables = _listed(body, "nodes"), _listed(body, "edges"), set()
    if reading.unsure_types:
        fields.add("defaults")
    wrong_nodes: Wrong = {}
    wrong_edges: Wrong = {}
    inner = Inner()
    for line in lines:
        place = (*line["loc"], *_context(line).get("at", ()))
        inner.take(line, place)
        match place:
            case ("nodes", int(position), *rest) if nodes is not None:
                wrong_nodes.setdefault(position, set()).add(_field(line, rest, _NODE_FIELDS))
            case ("edges", int(position), *rest) if edges is not None:
                known = ["source", "target", "from", "to", "condition"]
                wrong_edges.setdefault(position, set()).add(_field(line, rest, known))
            case ("variables", str(name)):
                variables.add(name)
                fields.add("variables")
            case (str(name), *_):
                is_unknown = len(place) == 1 and _is_unknown(line)
                fields |= {*_meant(name, body), *absent} if is_unknown else {name}
            case _:
                fields.add(ANY)
    unnamed = _unnamed(nodes or (), wrong_nodes)
    named = [_written_id((nodes or ())[at]) for at in unnamed if "id" not in wrong_nodes.get(at, ())]
    read_nodes = tuple(_node(position, item, wrong_nodes, reading) for position, item in enumerate(nodes or ()))
    read_edges = tuple(_edge(item, wrong_edges.get(position, ()), reading) for position, item in enumerate(edges or ()))
    definition = WorkflowDefinition.recovered(_kept(body, fields, variables), reading).model_copy(
        update={"nodes": read_nodes, "edges": read_edges}
    )
    gaps = Gaps(
        frozenset(fields),
        {position: frozenset(names) for position, names in wrong_nodes.items()},
        {position: frozenset(names) for position, names in wrong_edges.items()},
        _untyped_nodes(definition.nodes),
        unnamed,
        _shared(named, len(unnamed)),
        inner.runs(definition),
        inner.charts,
    )
    return definition, gaps


def _kept(body: Mapping[str, Any], wrong: Collection[str], variables: Collection[str]) -> dict[str, Any]:
    """The fields of a workflow, besides nodes and edges, as far as they are sound or recoverable."""
    kept = {
        name: item
        for name, item in WorkflowDefinition.canonical(body)[0].items()
        if name not in ("nodes", "edges")
        and (name == "variables" or name in WorkflowDefinition.recoveries or name not in wrong)
        and (item is not None or name in WorkflowDefinition.keeps_null)
    }
    if variables:
        kept["variables"] = {name: item for name, item in body["variables"].items() if name not in variables}
    return kept


class Inner:
    """Sorts what is wrong inside states by the chart and the graph that it is in."""

    def __init__(self) -> None:
        self.charts: dict[Place, bool] = {}
        self._nodes: dict[Place, Wrong] = {}

    def take(self, line: InitErrorDetails, place: Place) -> None:
        """Sort in one line, which is wrong for every chart and graph around its ``place``."""
        owner: Place = ()
        if place[:1] == ("nodes",) and len(place) > 1:
            owner, place = self._in_bodies(line, place[:2], place[2:])
        while place[:1] == ("states",):
            start = owner
            while place[:1] == ("states",) and len(place) > 1:
                start, place = (*start, *place[:2]), place[2:]
            names_may_hide = place[:1] in ((), ("name",)) or (place == ("states",) and _is_of_wrong_kind(line))
            names_may_hide |= len(place) == 1 and _is_unknown(line) and _may_be(str(place[0]), "name", "states")
            self.charts[owner] = self.charts.get(owner, False) or names_may_hide
            if place[:1] != ("run",) or len(place) < 2:
                return
            graph, position = (*start, "run"), place[1]
            assert isinstance(position, int)
            owner, place = (*graph, position), place[2:]
            self._note(line, graph, position, place)
            owner, place = self._in_bodies(line, owner, place)

    def _in_bodies(self, line: InitErrorDetails, owner: Place, place: Place) -> tuple[Place, Place]:
        """Sort in the line for the bodies of loops that it is in; the innermost node around, and where in that it is
        wrong."""
        while True:
            inner = place[1:] if place[:1] == ("config",) else place
            if inner[:1] != ("body",) or len(inner) < 2 or not isinstance(inner[1], int):
                return owner, place
            graph, position = (*owner, "body"), inner[1]
            owner, place = (*graph, position), inner[2:]
            self._note(line, graph, position, place)

    def _note(self, line: InitErrorDetails, graph: Place, position: int, place: Place) -> None:
        wrong = self._nodes.setdefault(graph, {})
        wrong.setdefault(position, set()).add(_field(line, place, _NODE_FIELDS))

    def runs(self, definition: WorkflowDefinition) -> dict[Place, Gaps]:
        """What the graphs of states lack."""
        found: dict[Place, Gaps] = {}
        for graph, wrong in self._nodes.items():
            nodes = tuple(node for node in _at(definition, graph) if isinstance(node, NodeDefinition))
            count = Counter(node.id for node in nodes)
            unnamed = [
                position
                for position, node in enumerate(nodes)
                if "id" in wrong.get(position, ()) or not is_id(node.id) or count[node.id] > 1
            ]
            fields = {position: frozenset(names) for position, names in wrong.items()}
            ids = [nodes[position].id for position in unnamed if "id" not in wrong.get(position, ())]
            found[graph] = Gaps(
                nodes=fields,
                untyped=_untyped_nodes(nodes),
                unnamed=frozenset(unnamed),
                shared_ids=_shared(ids, len(unnamed)),
            )
        return found


def _at(definition: WorkflowDefinition, path: Place) -> tuple[NodeDefinition, ...]:
    """The nodes at ``path``; none if something on the way could not be read."""
    value: Any = definition
    for step in path:
        if isinstance(step, str):
            value = getattr(value, step, ())
        elif not isinstance(value, tuple) or step >= len(value):
            return ()
        else:
            value = value[step]
    return value if isinstance(value, tuple) else ()


def _is_of_wrong_kind(line: InitErrorDetails) -> bool:
    return getattr(line["type"], "type", "") in (rules.WRONG_KIND.id, rules.TOO_MANY.id)


def _may_be(key: str, *names: str) -> bool:
    """Whether an unknown key of a state may be meant as one of ``names``."""
    return (nearest(key, StateDefinition.model_fields) or names[0]) in names


def _listed(body: Mapping[str, Any], field: str) -> Sequence[Any] | None:
    items = body.get(field)
    return items if isinstance(items, list) else None


def _context(line: InitErrorDetails) -> Mapping[str, Any]:
    return getattr(line["type"], "context", None) or {}


def _is_unknown(line: InitErrorDetails) -> bool:
    return getattr(line["type"], "type", "") == rules.UNKNOWN_FIELD.id


def _field(line: InitErrorDetails, place: Sequence[str | int], known: Sequence[str]) -> str:
    """The canonical field that is wrong at ``place`` in a node or edge."""
    inner: Place = tuple(place)
    if inner[:1] == ("config",) and len(inner) > 1:
        inner = inner[1:]
    if not inner or inner == ("config",):
        return ANY
    name = str(inner[0])
    if len(inner) == 1 and _is_unknown(line):
        meant = nearest(name, known)
        return _CANONICAL.get(meant, meant) if meant else ANY
    return _CANONICAL.get(name, name)


def _meant(key: str, body: Mapping[str, Any]) -> set[str]:
    """What an unknown key of the workflow may be meant as: nothing, if that is there besides."""
    return {nearest(key, WorkflowDefinition.model_fields) or ANY} - body.keys()


def _unnamed(nodes: Sequence[Any], wrong: Wrong) -> frozenset[int]:
    ids = [node.get("id") if isinstance(node, dict) else None for node in nodes]
    count = Counter(normalized(id) for id in ids if isinstance(id, str))
    return frozenset(
        position
        for position, id in enumerate(ids)
        if not isinstance(id, str) or count[normalized(id)] > 1 or "id" in wrong.get(position, ())
    )


def _shared(ids: list[str], unnamed: int) -> frozenset[str] | None:
    """What ``unnamed`` nodes are called; None if not all of them have an id that could be one."""
    return frozenset(ids) if len(ids) == unnamed and all(map(is_id, ids)) else None


def _written_id(node: Any) -> str:
    """The id of a node as it is written; empty if it has none that could be one."""
    name = node.get("id") if isinstance(node, dict) else None
    return normalized(name) if isinstance(name, str) else ""


def _node(position: int, written: Any, wrong: Wrong, reading: Reading) -> NodeDefinition:
    name = written.get("id") if isinstance(written, dict) else None
    shown = shorten(name, QUOTED_COLUMNS) if name and isinstance(name, str) else f"nodes[{position}]"
    node = recovered_node(written, wrong.get(position, ()), shown, reading)
    assert isinstance(node, NodeDefinition)
    return node


def _edge(written: Any, wrong: Collection[str], reading: Reading) -> EdgeDefinition:
    fields = EdgeDefinition.canonical(written)[0] if isinstance(written, dict) else {}
    kept = {name: item for name, item in fields.items() if item is not None and name not in wrong}
    return EdgeDefinition.recovered(kept, reading)


def _untyped_nodes(nodes: Collection[NodeDefinition]) -> frozenset[int]:
    return frozenset(position for position, node in enumerate(nodes) if type(node) is NodeDefinition)
