"""Stage *names*: every name in a formula gets the source of its value, in the language's order of look-up."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.collect.formulas import ReadSite, Site, SiteKind, Use
from workflow_runtime.compiler.collect.graphs import ChartSource, GraphSource
from workflow_runtime.compiler.collect.sources import Sources
from workflow_runtime.compiler.collect.states import action_blocks, nested_actions
from workflow_runtime.compiler.kinds.loop import CHAINED_NAMES
from workflow_runtime.compiler.names.bindings import Bindings, Bound, Read
from workflow_runtime.compiler.names.schemas import declared_keys, event_names, knows_event_data
from workflow_runtime.compiler.names.vocabulary import (
    ELSEWHERE,
    ERROR_IN_CHART,
    FIELDS,
    GLOBALS,
    LAST,
    NOT_OF_EVENTS,
    PREVIOUS_NAMES,
)
from workflow_runtime.compiler.report import Report
from workflow_runtime.compiler.shape.drafts import Draft
from workflow_runtime.compiler.shape.links import has_unknown_calls
from workflow_runtime.compiler.shape.predecessors import Before, numbers_before
from workflow_runtime.compiler.support import has_own_names
from workflow_runtime.definition.charts.actions import (
    RaiseActionDefinition,
    SendActionDefinition,
    SetVariableActionDefinition,
)
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.loop import LoopNode
from workflow_runtime.definition.recovery import Gaps
from workflow_runtime.definition.workflow import WorkflowDefinition
from workflow_runtime.findings import Rule
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.plan.formulas import Binding, BindingKind, Formula


class Names:
    """What a workflow declares.

    - ``firsts``: per graph, the plan-wide number of its first node
    - ``befores``: per graph, what `previous` may mean; None when the graph is not known
    """

    def __init__(
        self,
        definition: WorkflowDefinition,
        gaps: Gaps,
        sources: Sources,
        firsts: list[int],
        befores: list[Before | None],
        report: Report,
    ) -> None:
        self._gaps = gaps
        self._has_own_names = has_own_names(gaps) or has_unknown_calls(sources)
        self._sources = sources
        self._firsts = firsts
        self._befores = befores
        self._variables = {name: position for position, name in enumerate(definition.variables)}
        self._declared, self._is_open = declared_keys(definition.input_schema)
        self._set = set_names(sources) | event_names(definition.event_schemas)
        self._knows_charts = knows_event_data(definition.input_schema, definition.event_schemas)
        self._report = report
        self._place: GraphSource | ChartSource = sources.graphs[0]

    def bind(self, read: ReadSite, place: GraphSource | ChartSource) -> Bound:
        """The formula of a site, which stands in ``place``. Names without a source are reported and left unbound."""
        self._place = place
        reads = []
        for use in read.uses:
            binding = self._resolve(use, read.site)
            if binding is not None:
                reads.append(Read(binding, use.keys, use))
        bindings = [read.binding for read in reads]
        distinct = dict.fromkeys(bindings) if len(bindings) > 1 else bindings
        formula = Formula(read.site.value, tuple(distinct), read.site.is_expression)
        if read.compiled is not None:
            formula.ready(read.compiled)
        return Bound(read.site, formula, tuple(reads), place, read.may_ask_states)

    def _resolve(self, use: Use, site: Site) -> Binding | None:
        name = use.name
        if name in site.locals:
            if name == "error":
                self._check_field(name, use, use.keys)
            return Binding(name, BindingKind.LOCAL)
        if site.kind is SiteKind.EVENT:
            return self._of_event(use)
        if name in GLOBALS:
            return self._global(use, site)
        looped = self._of_loop(name)
        if looped is not None:
            return self._looped(looped, use)
        if name in PREVIOUS_NAMES:
            return self._previous(use, site)
        if name == "secrets":
            return self._secrets(use, site)
        if name == "nodes":
            return self._nodes(use, site)
        if name == "event" and site.event:
            self._check_field(name, use, use.keys)
            return Binding(name, BindingKind.EVENT)
        if name in ELSEWHERE:
            if self._has_own_names:
                return None
            hint = ERROR_IN_CHART if name == "error" and site.event else None
            return self._refuse(rules.NOT_HERE, ELSEWHERE[name], use, hint)
        node = self._node(name)
        if node is not None:
            if site.kind in NODELESS:
                return self._refuse(NODELESS[site.kind], f"`{name}` is a node", use)
            self._check_hidden(use, "the node", f"nodes.{name}.output", self._variables, self._declared)
            return Binding(name, BindingKind.NODE, node)
        if name in self._variables and not self._is_charted(site):
            self._check_hidden(use, "the variable", f"variables.{name}")
            return Binding(name, BindingKind.VARIABLE) if self._is_set(name, use, site) else None
        return self._input(use, site)

    def _of_loop(self, name: str) -> LoopNode | None:
        """The innermost loop around that gives a name; None: none does."""
        for enclosing in self._place.loops:
            loop = self._sources.loop_at(enclosing)
            if name == "index" or name in CHAINED_NAMES:
                return loop
            if loop.items is not None and name in ("item", "current", loop.item_name):
                return loop
        return None

    def _looped(self, loop: LoopNode, use: Use) -> Binding | None:
        if use.name in CHAINED_NAMES and not loop.runs_in_turn:
            how = "run in executions of their own" if loop.is_distributed else "run at once"
            message = f"`{use.name}` needs passes that follow each other, and those of `{loop.id}` {how}"
            hint = "Say `max_concurrency: 1`" + (", without `distribution`." if loop.is_distributed else ".")
            return self._refuse(rules.NOT_HERE, message, use, hint)
        if use.name == loop.item_name and use.name not in ELSEWHERE:
            node = self._sources.find(self._place.chain, use.name)
            nodes = () if node is None else (use.name,)
            self._check_hidden(use, f"the item of the loop `{loop.id}`", "", self._variables, self._declared, nodes)
        return Binding(use.name, BindingKind.LOOP)

    def _check_hidden(
        self,
        use: Use,
        meant: str,
        otherwise: str,
        variables: Container[str] = (),
        keys: Container[str] = (),
        nodes: Container[str] = (),
    ) -> None:
        """Reports a name that means one thing (``meant``, which may be written ``otherwise``, too) and is also that of
        one of these, or of the whole input. A variable is the default of a key of the input, and hides none."""
        name = use.name
        if name in nodes:
            hidden, other = "the node", f"nodes.{name}.output"
        elif name in variables:
            hidden, other = "the variable", f"variables.{name}"
        elif name in keys:
            hidden, other = f"the key `{name}` of the input", f"execution.input.{name}"
        elif name in LAST:
            hidden, other = LAST[name]
        else:
            return
        message = f"`{name}` is {meant} here, and hides {hidden}"
        ways = f"`{otherwise}` or `{other}`" if otherwise else f"`{other}` for the latter"
        self._tell(rules.HIDES, message, use, f"Rename one of them, or write {ways}.")

    def _node(self, name: str) -> int | None:
        """The plan-wide number of the node that a name means, seen from where the site stands."""
        found = self._sources.find(self._place.chain, name)
        return None if found is None else self._firsts[found[0]] + found[1]

    def _is_charted(self, site: Site) -> bool:
        """Whether a chart's variables may have the name: then it is looked up when it is read."""
        return bool(self._place.charts) and site.kind not in (SiteKind.VARIABLE, SiteKind.START)

    def _of_event(self, use: Use) -> Binding | None:
        if use.name in NOT_OF_EVENTS:
            hint = f"Write `detail.{use.name}` if the event's data has it."
            return self._refuse(rules.NOT_HERE, f"`{use.name}` belongs to executions, not to events", use, hint)
        return Binding(use.name, BindingKind.LOCAL)

    def _global(self, use: Use, site: Site) -> Binding | None:
        name = use.name
        if name == "variables" and use.keys and not self._is_charted(site):
            key = use.keys[0]
            if key not in self._variables:
                if self._gaps.hide_variables:
                    return None
                hint = self._report.suggest(key, self._variables)
                return self._refuse(rules.UNKNOWN_VARIABLE, f"there is no variable `{key}`", use, hint)
            if not self._is_set(key, use, site):
                return None
        self._check_field(name, use, use.keys)
        return Binding(name, GLOBALS[name])

    def _is_set(self, name: str, use: Use, site: Site) -> bool:
        """Whether the variable has its value by then; reported if not."""
        if site.kind is not SiteKind.VARIABLE or self._variables[name] < self._variables[str(site.path[1])]:
            return True
        message = "a variable cannot read itself" if name == site.path[1] else f"`{name}` is set later"
        self._refuse(rules.VARIABLE_ORDER, message, use)
        return False

    def _previous(self, use: Use, site: Site) -> Binding | None:
        if site.kind not in (SiteKind.NODE, SiteKind.EDGE) or not isinstance(self._place, GraphSource):
            return self._refuse(rules.NOT_HERE, f"`{use.name}` exists in nodes only: nothing precedes this place", use)
        before = self._befores[self._place.number]
        if before is None:
            return None
        if site.kind is SiteKind.EDGE:
            return self._previous_of_edge(use, site, before)
        if not numbers_before(self._sources, self._befores, self._firsts, self._place, site.node):
            self._tell(rules.NO_PREVIOUS, f"`{use.name}` is always null here: the node has no predecessor", use)
        return Binding(use.name, BindingKind.PREVIOUS)

    def _previous_of_edge(self, use: Use, site: Site, before: Before) -> Binding | None:
        """On an edge it is the node that the edge leaves, or the one before that when it is a control node."""
        candidates = before.at(site.source)
        if len(candidates) == 1:
            return Binding(use.name, BindingKind.NODE, self._firsts[self._place.number] + candidates[0])
        count = "no node" if not candidates else f"{len(candidates)} nodes"
        return self._refuse(rules.UNCLEAR_PREVIOUS, f"`{use.name}` may mean {count} here", use)

    def _secrets(self, use: Use, site: Site) -> Binding | None:
        if site.secrets:
            return Binding("secrets", BindingKind.SECRETS)
        hint = None
        if site.kind is SiteKind.CHART and site.path[-1] == "inputs":
            hint = "Actions render their inputs themselves; let a node of a `run` graph read the secret."
        return self._refuse(rules.SECRETS, "secrets cannot be read here", use, hint)

    def _nodes(self, use: Use, site: Site) -> Binding | None:
        if site.kind in NODELESS:
            return self._refuse(NODELESS[site.kind], "`nodes` reads nodes", use)
        if not use.keys:
            return self._refuse(rules.DYNAMIC_NODES, "which node is read must be known beforehand", use)
        node = self._node(use.keys[0])
        if node is None and self._hides_id(use.keys[0]):
            return None
        if node is None:
            hint = self._report.suggest(use.keys[0], self._ids())
            return self._refuse(rules.UNKNOWN_NODE_READ, f"there is no node `{use.keys[0]}`", use, hint)
        self._check_field("nodes", use, use.keys[1:])
        return Binding("nodes", BindingKind.NODES, node)

    def _ids(self) -> Iterator[str]:
        """Of all nodes that can be seen."""
        return (id for enclosing in self._place.chain for id in self._sources.graphs[enclosing.graph].index)

    def _hides_id(self, name: str) -> bool:
        """Whether a node that can be read here may have this id, although none is known to."""
        return any(self._sources.graphs[enclosing.graph].gaps.hides_id(name) for enclosing in self._place.chain)

    def _input(self, use: Use, site: Site) -> Binding | None:
        """A name that is not a node: a variable of a chart, or a key of the input."""
        name = use.name
        charted = self._is_charted(site)
        if not self._is_declared(name, charted) and self._is_undeclared(use, site, charted):
            return None
        is_variable = charted and name in self._variables
        if is_variable:
            self._check_hidden(use, "the variable", f"variables.{name}")
        elif name == "input" and name not in self._declared:
            return Binding(name, BindingKind.INPUT)
        return Binding(name, BindingKind.SCOPED if charted else BindingKind.INPUT_KEY)

    def _is_declared(self, name: str, charted: bool) -> bool:
        """Whether it is declared, or may be by something that could not be read."""
        if name in self._declared or name in ("input", "trigger") or self._gaps.hides_name(name):
            return True
        return self._hides_id(name) or (charted and (name in self._set or name in self._variables))

    def _is_undeclared(self, use: Use, site: Site, charted: bool) -> bool:
        """Reports what is to be said of a name that nothing declares; whether it is an error. In a chart it only is if
        what events may bring is known.
        """
        name = use.name
        part = next((part for part in _parts(name) if self._knows(part)), None)
        hint = None
        if part is not None:
            hint = f"Names may contain hyphens: write `{part} - {name[len(part) + 1 :]}` for a minus."
        if not self._is_open and (not charted or self._knows_charts):
            own = self._set if charted else ()
            hint = hint or self._report.suggest(
                name, self._declared, self._variables, own, self._ids(), ("input", "trigger")
            )
            self._tell(rules.UNDECLARED, f"nothing declares `{name}`", use, hint)
            return True
        loop = self._loop_of_node(name)
        if loop is not None:
            message = f"`{name}` is in the body of the loop `{loop}`, so this is read from the input"
            hint = f"Write `${{{loop}}}` for the list of its passes' results, or `input.{name}` for the input."
            self._tell(rules.READS_PASS, message, use, hint)
        elif site.kind is SiteKind.KEY and not self._is_open:
            self._tell(rules.UNKNOWN_KEY, f"nothing declares `{name}`", use, hint)
        elif part is not None:
            self._tell(rules.MINUS, f"`{name}` is one name, and nothing declares it", use, hint)
        elif use.bare:
            source = "an event, a variable or the input" if charted else "the input"
            self._tell(rules.BARE_NAME, f"nothing declares `{name}`: it is read from {source}", use)
        return False

    def _loop_of_node(self, name: str) -> str | None:
        """The loop with a node of this id in its body, which cannot be read from here."""
        graphs = (self._sources.graphs[enclosing.graph] for enclosing in self._place.chain)
        return next((graph.inside[name] for graph in graphs if name in graph.inside), None)

    def _knows(self, name: str) -> bool:
        if name in self._variables or name in self._declared:
            return True
        return self._node(name) is not None or (bool(self._place.charts) and name in self._set)

    def _check_field(self, document: str, use: Use, keys: tuple[str, ...]) -> None:
        fields = FIELDS.get(document)
        if fields is None or not keys or keys[0] in fields:
            return
        shown = document if document != "nodes" else f"nodes.{use.keys[0]}"
        hint = f"It has: {', '.join(fields)}."
        if document == "nodes":
            hint = f"Write `{shown}.output.{keys[0]}` for a field of its output. {hint}"
        elif document == "event":
            hint = f"Write `event.data.{keys[0]}` for a field of its data. {hint}"
        self._tell(rules.LEADS_NOWHERE, f"`{shown}` has no `{keys[0]}`", use, hint)

    def _refuse(self, rule: Rule, message: str, use: Use, hint: str | None = None) -> Binding | None:
        self._tell(rule, message, use, hint)
        return None

    def _tell(self, rule: Rule, message: str, use: Use, hint: str | None = None) -> None:
        self._report.add(rule, message, use.path, hint, within=use.text, offset=use.offset)


NODELESS = {
    SiteKind.VARIABLE: rules.NODE_IN_VARIABLE,
    SiteKind.KEY: rules.NODE_IN_KEY,
    SiteKind.START: rules.NODE_AT_START,
}
"""Sites that cannot read nodes, and what to say then."""


def set_names(sources: Sources) -> frozenset[str]:
    """Names that charts give a value, besides input, variables and events from outside: by actions, by the data of
    events of their own, and by inputs of their nodes.
    """
    found: set[str] = set()
    for chart in sources.charts:
        if isinstance(chart.definition, NodeDefinition):
            found.update(map(normalized, chart.definition.inputs))
        found.update(call.action.result for call in chart.calls.values() if call.action.result)
        for state in chart.states:
            for place, actions, _ in action_blocks(state):
                for action, _ in nested_actions(actions, place):
                    if isinstance(action, SetVariableActionDefinition):
                        found.add(action.name)
                    elif isinstance(action, RaiseActionDefinition | SendActionDefinition):
                        found.update(map(normalized, action.data) if isinstance(action.data, dict) else ())
    return frozenset(found)


def _parts(name: str) -> Iterator[str]:
    """What stands before each hyphen of a name, the longest first."""
    position = name.rfind("-")
    while position > 0:
        yield name[:position]
        position = name.rfind("-", 0, position)


def bind_all(
    names: Names,
    sources: Sources,
    drafts: Sequence[Draft],
    charts: Sequence[list[ReadSite]],
    others: Sequence[ReadSite],
) -> Bindings:
    """In the order of the file's parts; names without a source are reported."""
    return Bindings(
        others=[names.bind(read, sources.graphs[0]) for read in others],
        graphs=[[names.bind(read, draft.source) for read in draft.sites] for draft in drafts],
        charts=[
            [names.bind(read, chart) for read in sites] for chart, sites in zip(sources.charts, charts, strict=True)
        ],
    )
