"""The plan as a whole: its blocks and charts, how it is encoded, and its name."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from functools import cached_property

import msgspec

from workflow_runtime.language.json_values import Json
from workflow_runtime.language.schemas import violation
from workflow_runtime.plan.addresses import TOP_CHART, Place, ScopeId, passes_in, static_path
from workflow_runtime.plan.chart import ChartPlan
from workflow_runtime.plan.events import descriptors, is_runtime_event
from workflow_runtime.plan.exposure import Exposure
from workflow_runtime.plan.formulas import BindingKind, Formula
from workflow_runtime.plan.graph import GraphBlock, NodePlan
from workflow_runtime.plan.limiters import NO_LIMITS, PlanLimits
from workflow_runtime.plan.policies import BY_DEFAULT, Compensation, Handler
from workflow_runtime.plan.specs import ApprovalSpec, SubWorkflowSpec, WaitSpec
from workflow_runtime.plan.triggers import EventTrigger, Trigger, digest

PLAN_SCHEMA = 1
"""Number of this layout; a plan with a higher one was written by a newer deployment and is refused."""


class Variable(msgspec.Struct, frozen=True):
    name: str
    value: Formula
    overridable: bool = True  # an input key of this name replaces the value


class CorrelatedWait(msgspec.Struct, frozen=True):
    """A wait for an event under a correlation key: ``node`` of ``block``, and what it says."""

    block: int
    node: int
    spec: WaitSpec


class Plan(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """A compiled workflow: a ``root`` graph (empty when there is none), a chart at the top (``charts[0]``, if
    ``has_chart``), or both, and in ``inner`` and ``charts`` what they hold.

    - ``event_schemas``: of the data of events, by name; ``express``: executions run in one invocation each
    - ``input_paths`` and ``variable_paths``: what the dispatcher's decisions read of them
    - ``exposed``: what it is as a tool of the MCP server; None: it is none
    """

    workflow_id: str
    root: GraphBlock
    schema: int = PLAN_SCHEMA
    workflow_name: str = ""
    workflow_version: str = ""  # the author's free text; stored versions are numbered by the catalogue
    input_schema: Json = None
    output_schema: Json = None
    event_schemas: dict[str, Json] = {}
    variables: tuple[Variable, ...] = ()
    timeout_seconds: float | None = None
    max_concurrency: int = 0
    priority: int = 0
    events: tuple[str, ...] = ("execution", "state")
    input_paths: tuple[tuple[str, ...], ...] = ()
    variable_paths: tuple[tuple[str, ...], ...] = ()
    inner: tuple[GraphBlock, ...] = ()
    charts: tuple[ChartPlan, ...] = ()
    has_chart: bool = False
    triggers: tuple[Trigger, ...] = ()
    handlers: tuple[Handler, ...] = ()
    compensation: Compensation = BY_DEFAULT
    limits: PlanLimits = NO_LIMITS
    express: bool = False
    exposed: Exposure | None = None

    @cached_property
    def blocks(self) -> tuple[GraphBlock, ...]:
        """All graphs by number; 0 is the root."""
        return (self.root, *self.inner)

    @cached_property
    def undoing_nodes(self) -> frozenset[int]:
        """Plan-wide numbers of the nodes of graphs that only undo others: there they are skipped, and run in blocks of
        their own."""
        written = {block.prefix + node.id for number in self.undo_blocks
                   for block in (self.blocks[number],) for node in block.nodes}  # fmt: skip
        return frozenset(
            block.first + index
            for number, block in enumerate(self.blocks)
            if written and number not in self.undo_blocks
            for index, node in enumerate(block.nodes)
            if block.prefix + node.id in written
        )

    def place(self, number: int) -> tuple[int, int]:
        """Block and local index of a node, by its plan-wide number."""
        block = bisect_right(self._firsts, number) - 1
        return block, number - self.blocks[block].first

    def node(self, number: int) -> NodePlan:
        """A node by its plan-wide number."""
        block, index = self.place(number)
        return self.blocks[block].nodes[index]

    def path(self, number: int) -> str:
        """The path of a node, by its plan-wide number."""
        block, index = self.place(number)
        return self.blocks[block].prefix + self.blocks[block].nodes[index].id

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Plan-wide number by path. A node that only undoes others has that path in its own block, which comes later
        than the graph where it is written and skipped."""
        return {block.prefix + node.id: block.first + i for block in self.blocks for i, node in enumerate(block.nodes)}

    @cached_property
    def _places(self) -> dict[str, Place]:
        """Places by path, as far as anybody has asked for them; of paths without pass numbers, so that they are few."""
        return {}

    def locate(self, path: str) -> Place | None:
        """Where the node of this path of an execution is; None if the plan has no such node."""
        found = self._places.get(path)
        if found is not None:
            return found
        written = static_path(path)
        number = self.numbers.get(written)
        if number is None:
            return None
        block, node = self.place(number)
        if self.loops_around[block] > passes_in(path):
            return None
        found = Place(path if block in self.lone_blocks else path.rpartition("/")[0], block, node)
        if written == path:
            self._places[path] = found
        return found

    def block_address(self, number: int) -> ScopeId:
        """The address of a block, where it stands in the plan."""
        block = self.blocks[number]
        return block.prefix + block.nodes[0].id if number in self.lone_blocks else block.prefix[:-1]

    @cached_property
    def lone_blocks(self) -> frozenset[int]:
        """Numbers of the blocks of one node whose address is that node's path: agents and tools called by actions, and
        compensations."""
        return self.undo_blocks.union(call.block for chart in self.charts for call in chart.calls)

    @cached_property
    def undo_blocks(self) -> frozenset[int]:
        """Numbers of the blocks that are compensations."""
        return frozenset(node.compensate for block in self.blocks for node in block.nodes if node.compensate >= 0)

    @cached_property
    def owned_blocks(self) -> dict[tuple[int, int], tuple[int, ...]]:
        """Blocks that a state of a chart runs or calls, by the numbers of chart and state."""
        found: dict[tuple[int, int], tuple[int, ...]] = {}
        for number, block in enumerate(self.blocks):
            if block.chart >= 0:
                owner = (block.chart, block.state)
                found[owner] = (*found.get(owner, ()), number)
        return found

    @cached_property
    def standings(self) -> tuple[tuple[GraphBlock, int, bool], ...]:
        """Per block: itself, in how many scopes it is, and whether its address is the path of its only node."""
        return tuple((block, self._depth_of_block(n), n in self.lone_blocks) for n, block in enumerate(self.blocks))

    @cached_property
    def chart_depths(self) -> tuple[int, ...]:
        """Per chart: in how many scopes it is."""
        return tuple(map(self._depth_of_chart, range(len(self.charts))))

    def _depth_of_block(self, number: int) -> int:
        block = self.blocks[number]
        if block.loop >= 0:
            return self._depth_of_block(self.place(block.loop)[0]) + 2
        return self._depth_of_chart(block.chart) + 1 if block.chart >= 0 else 0

    def _depth_of_chart(self, number: int) -> int:
        node = self.charts[number].node
        return self._depth_of_block(self.place(node)[0]) + 1 if node >= 0 else 0

    @cached_property
    def loops_around(self) -> tuple[int, ...]:
        """Per block: how many passes of loops it is in, which its prefix tells: compensations stand in no other scope,
        but have the paths of what they undo."""
        bodies = {block.prefix for block in self.blocks if block.loop >= 0}
        if not bodies:
            return (0,) * len(self.blocks)
        return tuple(
            sum(block.prefix[: end + 1] in bodies for end, letter in enumerate(block.prefix) if letter == "/")
            for block in self.blocks
        )

    @cached_property
    def has_loops(self) -> bool:
        return any(block.loop >= 0 for block in self.blocks)

    @cached_property
    def chart_numbers(self) -> dict[str, int]:
        """Numbers of nested charts by the path of the node that holds them."""
        return {self.path(chart.node): number for number, chart in enumerate(self.charts) if chart.node >= 0}

    @cached_property
    def chart_addresses(self) -> dict[ScopeId, int]:
        """Numbers of all charts by the address that each has in the plan."""
        return ({TOP_CHART: 0} if self.has_chart else {}) | self.chart_numbers

    @cached_property
    def charts_minding(self) -> dict[ScopeId, int]:
        """Those of the `chart_addresses` that do not ignore events which they have no transition for."""
        charts = self.chart_addresses.items()
        return {address: number for address, number in charts if self.charts[number].on_unhandled_event != "ignore"}

    @cached_property
    def _charts_by_event(self) -> dict[str, dict[ScopeId, int]]:
        """Some of the `chart_addresses`, by each descriptor of events that they listen to."""
        found: dict[str, dict[ScopeId, int]] = {}
        for address, number in self.chart_addresses.items():
            for descriptor in self.charts[number].events:
                found.setdefault(descriptor, {})[address] = number
        return found

    def charts_hearing(self, event: str) -> dict[ScopeId, int]:
        """Those of the `chart_addresses` that listen to events of this name."""
        found: dict[ScopeId, int] = {}
        for descriptor in descriptors(event):
            found.update(self._charts_by_event.get(descriptor, {}))
        return found

    @cached_property
    def declared_events(self) -> frozenset[str]:
        """Descriptors of the events that its charts and waits listen to."""
        return frozenset(self.waits_by_event).union(*(chart.events for chart in self.charts))

    def event_problem(self, event: str, data: Json) -> str | None:
        """How the data of an event fails the schema that the workflow has for it; None if it does not."""
        problem = violation(self.event_schemas[event], data) if event in self.event_schemas else None
        return f"the data of `{event}` does not match its schema in event_schemas: {problem}" if problem else None

    def declares(self, event: str) -> bool:
        """Whether anything in it may ever listen to an event of this name that comes from outside.

        What the runtime raises itself cannot come from there.
        """
        if is_runtime_event(event):
            return False
        return not self.declared_events.isdisjoint(descriptors(event))

    @cached_property
    def has_waits(self) -> bool:
        """Whether it has waits at all, for events or for a time."""
        return any(isinstance(node.spec, WaitSpec) for block in self.blocks for node in block.nodes)

    @cached_property
    def approvals(self) -> tuple[str, ...]:
        """Paths of the nodes that ask people."""
        return tuple(
            block.prefix + node.id for block in self.blocks for node in block.nodes
            if isinstance(node.spec, ApprovalSpec)
        )  # fmt: skip

    @cached_property
    def waits_by_event(self) -> dict[str, tuple[str, ...]]:
        """Paths of its waits by the descriptor of the events that they listen to."""
        found: dict[str, list[str]] = {}
        for block in self.blocks:
            for node in block.nodes:
                if isinstance(node.spec, WaitSpec) and node.spec.event:
                    found.setdefault(node.spec.event, []).append(block.prefix + node.id)
        return {event: tuple(paths) for event, paths in found.items()}

    def waits_hearing(self, event: str) -> list[str]:
        """Paths of its waits, at work or not, that listen to events of this name."""
        if not self.waits_by_event:
            return []
        return [path for descriptor in descriptors(event) for path in self.waits_by_event.get(descriptor, ())]

    def is_awaited(self, event: str) -> bool:
        """Whether one of its waits, at work or not, listens to events of this name."""
        return bool(self.waits_hearing(event))

    @cached_property
    def routes(self) -> dict[str, int]:
        """Numbers of the triggers that bring events to running executions, by their digest."""
        return {
            digest(trigger): number
            for number, trigger in enumerate(self.triggers)
            if isinstance(trigger, EventTrigger) and trigger.event
        }

    @cached_property
    def route_digests(self) -> dict[int, str]:
        """The same the other way round. Equal triggers, as of two waits for one event, share a digest."""
        return {
            number: digest(trigger)
            for number, trigger in enumerate(self.triggers)
            if isinstance(trigger, EventTrigger) and trigger.event
        }

    @cached_property
    def triggers_by_event(self) -> dict[str, list[int]]:
        """Numbers of the triggers that bring events to running executions, by the name of the event there."""
        found: dict[str, list[int]] = {}
        for number, trigger in enumerate(self.triggers):
            if isinstance(trigger, EventTrigger) and trigger.event:
                found.setdefault(trigger.event, []).append(number)
        return found

    @cached_property
    def keyed_triggers(self) -> tuple[tuple[int, EventTrigger], ...]:
        """The triggers of the workflow that bring events to running executions, with their numbers."""
        return tuple(
            (number, trigger)
            for number, trigger in enumerate(self.triggers)
            if isinstance(trigger, EventTrigger) and trigger.event and trigger.with_key is not None
        )

    @cached_property
    def keys_tell_time(self) -> bool:
        """Whether an execution's side of a correlation has the time in it."""
        keys = [*(trigger.with_key for _, trigger in self.keyed_triggers), *(w.spec.key for w in self.correlated_waits)]
        return any(BindingKind.TIME in key.kinds for key in keys if key is not None)

    def varies(self, key: Formula) -> bool:
        """Whether the execution's side of a correlation may change though no node has ended."""
        return BindingKind.TIME in key.kinds or (self.has_chart and key.asks_charts)

    @cached_property
    def varying_waits(self) -> tuple[CorrelatedWait, ...]:
        """Those of the `correlated_waits` whose key varies."""
        return tuple(wait for wait in self.correlated_waits if wait.spec.key is not None and self.varies(wait.spec.key))

    @cached_property
    def waits_keyed_by(self) -> dict[int, list[CorrelatedWait]]:
        """The `correlated_waits` by the plan-wide numbers of the nodes at the top on which their key depends: those
        that it names, and the wait itself, which has one beforehand only until it begins."""
        found: dict[int, list[CorrelatedWait]] = {}
        for wait in self.correlated_waits:
            named = wait.spec.key.nodes if wait.spec.key is not None else ()
            for number in (*named, self.root.first + wait.node) if wait.block == 0 else ():
                found.setdefault(number, []).append(wait)
        return found

    @cached_property
    def correlated_by_event(self) -> dict[str, list[CorrelatedWait]]:
        """The `correlated_waits` by the name of their event."""
        found: dict[str, list[CorrelatedWait]] = {}
        for wait in self.correlated_waits:
            found.setdefault(wait.spec.event, []).append(wait)
        return found

    @cached_property
    def correlated_routes(self) -> frozenset[int]:
        """Numbers of the triggers that waits have for themselves."""
        return frozenset(wait.spec.correlated for wait in self.correlated_waits)

    @cached_property
    def starts(self) -> frozenset[str]:
        """The workflows that its nodes and actions may start, as far as their ids are written."""
        specs = [node.spec for block in self.blocks for node in block.nodes if isinstance(node.spec, SubWorkflowSpec)]
        found = (spec.allow if isinstance(spec.workflow, Formula) else (spec.workflow,) for spec in specs)
        return frozenset[str]().union(*found, *(chart.starts for chart in self.charts))

    @cached_property
    def correlated_waits(self) -> tuple[CorrelatedWait, ...]:
        """The waits to which a trigger of their own brings events of the bus."""
        return tuple(
            CorrelatedWait(number, node, plan.spec)
            for number, block in enumerate(self.blocks)
            for node, plan in enumerate(block.nodes)
            if isinstance(plan.spec, WaitSpec) and plan.spec.correlated >= 0
        )

    @cached_property
    def _firsts(self) -> tuple[int, ...]:
        return tuple(block.first for block in self.blocks)

    @cached_property
    def hash(self) -> str:
        """The plan's name: 160 bits of the SHA-256 of its canonical encoding, as 40 hex digits."""
        return hashlib.sha256(encode_plan(self)).hexdigest()[:40]


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Plan)


def encode_plan(plan: Plan) -> bytes:
    """The canonical encoding: equal plans give equal bytes."""
    return _encoder.encode(plan)


def decode_plan(data: bytes) -> Plan:
    """The plan of these bytes. Raises `msgspec.ValidationError` for anything that is not a plan of this schema."""
    plan = _decoder.decode(data)
    if plan.schema > PLAN_SCHEMA:
        raise msgspec.ValidationError(f"plan schema {plan.schema} is newer than this runtime's {PLAN_SCHEMA}")
    return plan
