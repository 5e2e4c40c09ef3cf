"""What is known of events before any comes: the shape of their data, by `event_schemas`, where formulas have one at
hand; and names of `merge_event_data` that are nothing to overwrite.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.check.shapes import Shape, shape
from workflow_runtime.compiler.collect.formulas import Site
from workflow_runtime.compiler.collect.graphs import ChartSource
from workflow_runtime.compiler.collect.sources import Sources
from workflow_runtime.compiler.collect.states import TransitionSource, transitions_of
from workflow_runtime.compiler.names.names import set_names
from workflow_runtime.compiler.names.schemas import declared_keys
from workflow_runtime.compiler.report import DocumentPath, Report
from workflow_runtime.definition.nodes.wait import WaitNode
from workflow_runtime.definition.workflow import WorkflowDefinition
from workflow_runtime.language.suggestions import did_you_mean, nearest

_DATA = ("data",)


class EventShapes:
    """The shapes of what formulas read of the event at hand.

    That is known in the guards and actions of transitions, and in the `match` of waits, for events with exact names; in
    what entering and leaving a state does, it may be any event.
    """

    def __init__(self, definition: WorkflowDefinition, sources: Sources) -> None:
        self._schemas = definition.event_schemas
        self._own = _own_names(definition, sources)
        self._knows_own = not declared_keys(definition.input_schema)[1]
        self._heard: dict[DocumentPath, tuple[str, ...]] = {}
        for _, transition in _transitions(sources) if self._schemas else ():
            self._heard[transition.place] = transition.events
        for graph in sources.graphs if self._schemas else ():
            for position, node in graph.own_nodes:
                if isinstance(node, WaitNode) and node.event is not None:
                    self._heard[graph.at(position)] = (node.event,)

    def of_event(self, site: Site, keys: tuple[str, ...]) -> tuple[Shape, tuple[str, ...]] | None:
        """Of `event` and these keys: the shape of the event's data, and the path in it that is read."""
        known = self._data(site) if keys[:1] == _DATA else None
        return (known, keys[1:]) if known is not None else None

    def of_name(self, site: Site, name: str, keys: tuple[str, ...]) -> tuple[Shape, tuple[str, ...]] | None:
        """Of a name that can only mean a field of the event's data: one that every such event has, and that nothing
        else gives a value."""
        known = self._data(site) if self._knows_own and name not in self._own else None
        if known is None or not isinstance(known.schema, dict) or name not in known.schema.get("required", ()):
            return None
        field = known.field(name)
        return (field, keys) if field is not None else None

    def _data(self, site: Site) -> Shape | None:
        """Of the data of the event that a site has at hand; None: it is not known, or differs from event to event."""
        events = next((self._heard[place] for place in _places(site.path) if place in self._heard), ())
        schemas = [self._schemas.get(event) for event in events]
        same = bool(schemas) and all(schema == schemas[0] for schema in schemas)
        return shape(schemas[0]) if same else None


def _places(path: DocumentPath) -> Iterator[DocumentPath]:
    """Of a site, and of all that it stands in, innermost first."""
    return (path[:length] for length in range(len(path), 0, -1))


def _transitions(sources: Sources) -> Iterator[tuple[ChartSource, TransitionSource]]:
    for chart in sources.charts:
        for state in chart.states:
            for transition in transitions_of(state.definition, state.place) if state.definition is not None else ():
                yield chart, transition


def _own_names(definition: WorkflowDefinition, sources: Sources) -> frozenset[str]:
    """The names that the workflow itself gives a value, as far as it says so."""
    return set_names(sources) | definition.variables.keys() | declared_keys(definition.input_schema)[0]


def kept_from_input(definition: WorkflowDefinition, sources: Sources) -> frozenset[str]:
    """The keys of the input that are always given, and that neither actions nor events change in a chart."""
    schema = definition.input_schema
    required = schema.get("required", ()) if isinstance(schema, dict) else ()
    changed = set_names(sources) | definition.variables.keys()
    for names, _, _ in _merging(sources):
        if names is True:
            return frozenset()
        changed |= set(names or ())
    return frozenset(name for name in required if isinstance(name, str)) - changed


def _merging(sources: Sources) -> Iterator[tuple[bool | tuple[str, ...] | None, DocumentPath, bool]]:
    """What is written as `merge_event_data`, where, and whether its chart could be read whole."""
    for chart in sources.charts:
        yield chart.definition.merge_event_data, chart.place, chart.is_whole
    for chart, transition in _transitions(sources):
        yield transition.definition.merge_event_data, transition.place, chart.is_whole


def check_merging(definition: WorkflowDefinition, sources: Sources, report: Report) -> None:
    """Names in `merge_event_data` that the workflow does not own: events may set these anyhow.

    Where the input may have any key, only of names that look like one of the workflow's own.
    """
    own = _own_names(definition, sources)
    is_open = declared_keys(definition.input_schema)[1]
    for names, place, is_whole in _merging(sources):
        for position, name in enumerate(names if isinstance(names, tuple) and is_whole else ()):
            _check_merged(name, (*place, "merge_event_data", position), own, is_open=is_open, report=report)


def _check_merged(name: str, place: DocumentPath, own: Set[str], *, is_open: bool, report: Report) -> None:
    if name not in own and (not is_open or nearest(name, own) is not None):
        message = f"the workflow has no `{name}` of its own that an event could overwrite"
        report.add(rules.NOTHING_TO_OVERWRITE, message, place, did_you_mean(name, own))
