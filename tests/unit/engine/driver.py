"""Drives the pure engine by hand: plays the workers, the table of recorded runs and the journal, for one execution.

Every step is checked on the way: `advance` leaves its argument alone, and puts nothing into the empty tables that it
shares with its copy; it decides the same twice, obeys the bound of a commit, the state survives its encoding, and what
is kept to save a search is what the search would find.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import msgspec
from msgspec.structs import replace

from workflow_runtime.compiler import compile_or_raise
from workflow_runtime.engine import settling
from workflow_runtime.engine.advance import NOTHING_KNOWN, Decision, advance, new_execution
from workflow_runtime.engine.codec import decode_state, encode_state
from workflow_runtime.engine.commands import (
    AskApproval,
    CancelRun,
    CancelTimer,
    Command,
    Continue,
    Log,
    PublishEvent,
    RecordNode,
    ReplaceVariables,
    RunNode,
    SetStatus,
    StartTimer,
    StopRun,
    StorePages,
    Subscribe,
    Unsubscribe,
)
from workflow_runtime.engine.events import (
    Event,
    ExecutionStarted,
    NodeFailed,
    NodeSucceeded,
    Poked,
    SignalReceived,
    TimerFired,
    run_event_id,
)
from workflow_runtime.engine.graph.work import OUTPUTS_PATH
from workflow_runtime.engine.journal import JournalEntry
from workflow_runtime.engine.lifecycle import STATUS_OF_MARK, ExecutionStatus
from workflow_runtime.engine.macrosteps import Macrostep
from workflow_runtime.engine.passes import PassEnd
from workflow_runtime.engine.replay import replay
from workflow_runtime.engine.scope_states import GraphState
from workflow_runtime.engine.state import ExecutionState, Parent
from workflow_runtime.engine.subscriptions import open_routes, subscriptions
from workflow_runtime.engine.turn import COMMANDS_MAX, VALUE_KEPT_BYTES_MAX, Known, Needs, Turn, ValuesMissing
from workflow_runtime.engine.values.aggregation import aggregate, operand_values
from workflow_runtime.engine.values.evaluation import NOT_RUN, NodeValue, View, error_value, evaluate
from workflow_runtime.engine.values.outputs import scope_output
from workflow_runtime.engine.values.passes import contribution, runs_of
from workflow_runtime.engine.values.pruning import prune
from workflow_runtime.errors import ErrorDocument, NodeError
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.graph import NodePlan
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import AggregationSpec, LoopSpec, SucceedSpec

START = 1_700_000_000_000
ATTACHED_BYTES_MAX = 4 * 1024  # as workers do: larger decision values are read
SLACK = 4  # commands that a commit may have beyond its bound: the end, its event, a poke


class Failure(msgspec.Struct, frozen=True):
    """What a worker answers instead of an output."""

    type: str = "execution_error"
    message: str = "it failed"


def plan_of(nodes: Sequence[dict[str, Any]], **fields: Any) -> Plan:
    """The plan of a workflow ``w`` with these nodes; those without a type are tools."""
    return compile_or_raise(json.dumps({"workflow": {"id": "w", "nodes": [*map(_typed, nodes)], **fields}}))


def _typed(node: Any) -> Any:
    if isinstance(node, str):
        return node
    full = {"type": "tool", "tool": "t", **node} if "type" not in node else node
    return {**full, "body": [*map(_typed, full["body"])]} if "body" in full else full


def control(id: str, subtype: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "control", "subtype": subtype, **fields}


def loop(id: str, *body: Any, **fields: Any) -> dict[str, Any]:
    """A loop with this body: nodes, or ids."""
    return control(id, "loop", body=list(body), **fields)


def aggregation(id: str, strategy: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "aggregation", "strategy": strategy, **fields}


def chart_of(states: Sequence[dict[str, Any]], **fields: Any) -> Plan:
    """The plan of a state machine ``w`` with these states, of which the first is entered; without state events."""
    given = {"type": "state_machine", "initial_state": states[0]["name"], "events": ["execution"], **fields}
    return compile_or_raise(json.dumps({"workflow": {"id": "w", "states": list(states), **given}}))


def state(name: str, *transitions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": name, "transitions": list(transitions), **fields}


def on(event: str | list[str], target: str | None = None, *actions: Any, **fields: Any) -> dict[str, Any]:
    """A transition; without a target it stays."""
    found: dict[str, Any] = {"event": event, "actions": list(actions), **fields}
    return found if target is None else {**found, "target": target}


def _refuse(*_: Any) -> NoReturn:
    raise AssertionError("put into an empty table that copies of the state share: see `tables.entered`")


class SharedTable(dict[Any, Any]):
    __setitem__ = setdefault = update = __ior__ = _refuse  # type: ignore[assignment]


class SharedList(list[Any]):
    __setitem__ = append = extend = insert = __iadd__ = _refuse  # type: ignore[assignment]


def _shared_fields() -> tuple[str, ...]:
    """Of a state, the tables and lists that its copies share while they are empty."""
    empty = ExecutionState("e", "p", 1)
    return tuple(name for name in empty.__struct_fields__ if getattr(empty, name) in ({}, []) and name != "pending")


SHARED_FIELDS = _shared_fields()


def guarded(state: ExecutionState) -> ExecutionState:
    """A state that tells when something is put into what its copies share."""
    found = replace(state)
    for name in SHARED_FIELDS:
        if not (value := getattr(state, name)):
            setattr(found, name, SharedList() if isinstance(value, list) else SharedTable())
    return found


def unguarded(state: ExecutionState) -> ExecutionState:
    """The opposite, of what is still empty."""
    for name in SHARED_FIELDS:
        if type(value := getattr(state, name)) in (SharedTable, SharedList):
            setattr(state, name, [] if isinstance(value, list) else {})
    return state


def assert_timers_in_order(state: ExecutionState) -> None:
    """The order in which timers fire, kept from turn to turn, is the one that their times and ids give."""
    timers = {id: entry.due for id, entry in state.pending.items() if entry.kind == "timer"}
    if state.alarms is not None:  # older code did not keep it
        assert state.alarms.ids == sorted(timers, key=lambda id: (timers[id], int(id[1:])))


def assert_marks_are_stored(state: ExecutionState) -> None:
    """Also those of the graph at the top, which stand apart if it is long."""
    stored = decode_state(encode_state(state))
    for address, scope in state.all_scopes():
        if isinstance(scope, GraphState):
            assert stored.graph(address).marks == scope.marks


class Driver:
    """One execution. ``ordered``: runs that were ordered and not answered yet, by path, in order; ``told``: those
    that were told to stop. ``timers``: due
    times of those that are going; ``subscribed``: events, their correlation keys and routes; ``pokes``: whether it is
    poked at once when it asks for it."""

    def __init__(
        self,
        plan: Plan,
        input: Json = None,
        *,
        attach: bool = True,
        checked: bool = True,
        parent: Parent | None = None,
        hops: int = 0,
    ) -> None:
        self.plan = plan
        self.globals: dict[str, Json] = {"input": input, "variables": self._variables(input), "env": {}}
        self.nodes_count = sum(len(block.nodes) for block in plan.blocks)
        self.replaced: dict[int, dict[str, Json]] = {0: self.globals["variables"]}
        self.first = new_execution(plan, "e1", 1, START, parent, hops)
        self.state = self.first
        self.now = START
        self.attach = attach
        self.checked = checked
        self.pokes = True
        self.records: dict[tuple[str, int], NodeValue] = {}
        self.ordered: dict[str, RunNode] = {}
        self.cancelled: list[str] = []
        self.told: list[str] = []
        self.given: dict[tuple[str, int], Json] = {}
        self.published: list[PublishEvent] = []
        self.logs: list[str] = []
        self.timers: dict[str, int] = {}
        self.subscribed: set[tuple[str, str, str]] = set()
        self.macrosteps: list[Macrostep] = []
        self.blobs: dict[str, Json] = {}
        self.orders: dict[tuple[str, int], RunNode] = {}
        self.ignored: list[tuple[str, str]] = []
        self.applied: set[str] = set()
        self.journal: list[JournalEntry] = []
        self.commits: list[tuple[Command, ...]] = []
        self.sent: list[Event] = []
        self.reads = 0
        self.output: Json = None

    def start(self) -> Driver:
        self.take(ExecutionStarted("start", START))
        return self

    def take(self, *events: Event, at: int | None = None) -> Decision:
        """Have the engine take the events in one batch, commit and carry out what it ordered. ``at``: the time by
        then; by default a second later than the last."""
        self.now = self.now + 1000 if at is None else at
        before = encode_state(self.state) if self.checked else b""
        decision = self._decide(self.state, events, self._known)
        if self.checked:
            assert encode_state(self.state) == before, "advance changed its argument"
            assert self._decide(self.state, events, self._known) == decision, (
                "advance decided otherwise the second time"
            )
            assert len(decision.commands) <= COMMANDS_MAX + SLACK
            assert decode_state(encode_state(decision.state)) == decision.state
            assert_marks_are_stored(decision.state)
            assert_timers_in_order(decision.state)
        self.ignored += decision.ignored
        self.sent += events
        self.applied |= set(decision.applied)
        if not decision.changed:
            return decision
        self.state = decode_state(encode_state(decision.state)) if self.checked else decision.state
        self.macrosteps += decision.macrosteps
        entry = JournalEntry(
            self.state.version,
            "c",
            self.now,
            tuple(map(_without_values, events)),
            decision.commands,
            decision.ignored,
            macrosteps=decision.macrosteps,
            applied=decision.applied,
        )
        self.journal.append(msgspec.json.decode(msgspec.json.encode(entry), type=JournalEntry))
        self.commits.append(decision.commands)
        for command in decision.commands:
            self.carry_out(command)
        if self.checked and self.status == "running":
            self._assert_routes_open()
        if self.pokes and decision.commands and isinstance(decision.commands[-1], Continue):
            self.take(Poked(f"cmd:e1:{self.state.version}", self.now))
        return decision

    def send(self, name: str, data: Json = None, **fields: Any) -> Decision:
        """An event from outside, a second later; its id is new unless ``id`` is given."""
        return self.take(self.signal(name, data, **fields))

    def signal(self, name: str, data: Json = None, **fields: Any) -> SignalReceived:
        id = fields.pop("id", f"s{len(self.sent)}")
        return SignalReceived(f"signal:{id}", self.now, name, data, id=id, source="test", **fields)

    def elapse(self, seconds: float) -> Driver:
        """Let time pass: the timers that become due in it fire, each at its time."""
        end = self.now + round(seconds * 1000)
        while self.timers and (due := min(self.timers.values())) <= end:
            timer = next(name for name, time in self.timers.items() if time == due)
            self.fire(timer, max(due, self.now))
        self.now = end
        return self

    def fire(self, timer: str, at: int) -> Decision:
        """Have a timer fire, also one that was cancelled."""
        self.timers.pop(timer, None)
        return self.take(TimerFired(f"timer:{timer}", at, timer), at=at)

    def succeed(self, path: str, output: Json = None) -> Decision:
        return self.take(self.success(path, output))

    def fail(self, path: str, type: str = "execution_error", message: str = "it failed", **fields: Any) -> Decision:
        return self.take(self.failure(path, type, message, **fields))

    def success(self, path: str, output: Json = None) -> NodeSucceeded:
        """Record a run's output; the event that reports it."""
        self._give(path)
        command = self.ordered.pop(path)
        self.records[path, command.serial] = NodeValue("success", output)
        event_id = run_event_id(path, command.serial)
        node = self.node(path) if path != OUTPUTS_PATH else None
        if node is None or not node.decision_paths:
            return NodeSucceeded(event_id, self.now, path, command.serial)
        values = prune(output, node.decision_paths)
        size = len(msgspec.json.encode(values))
        small = self.attach and size <= ATTACHED_BYTES_MAX
        return NodeSucceeded(event_id, self.now, path, command.serial, values if small else None, small, size)

    def failure(
        self, path: str, type: str = "execution_error", message: str = "it failed", **fields: Any
    ) -> NodeFailed:
        """Record a run's error and its order; the event that reports it."""
        self._give(path)
        command = self.ordered.pop(path)
        error = ErrorDocument.of(type, message, path, **fields)
        self.records[path, command.serial] = NodeValue("failed", error=error_value(error))
        return NodeFailed(run_event_id(path, command.serial), self.now, path, command.serial, error, command)

    def _give(self, path: str) -> None:
        """Record what a run that can be undone was given."""
        if path != OUTPUTS_PATH and self.node(path).compensate >= 0:
            self.given[path, self.ordered[path].serial] = self.inputs(path)

    def answer(self, path: str, outcome: Json | Failure) -> Event:
        """The event of a run that ends so."""
        if isinstance(outcome, Failure):
            return self.failure(path, outcome.type, outcome.message)
        return self.success(path, outcome)

    def play(self, outcomes: Mapping[str, Json | Failure] | None = None) -> Driver:
        """Start, and answer runs in the order they were ordered until none is left. What ``outcomes`` lacks gives
        ``{}``.
        """
        if self.state.version == 0:
            self.start()
        while self.ordered:
            path = next(iter(self.ordered))
            self.take(
                self.answer(path, self.collect(path) if self._is_collected(path) else (outcomes or {}).get(path, {}))
            )
        return self

    @property
    def listens(self) -> set[tuple[str, str]]:
        """The events that are waited for, and their correlation keys."""
        return {(event, key) for event, key, _ in self.subscribed}

    @property
    def status(self) -> str:
        return self.state.status.value

    @property
    def error(self) -> tuple[str, str] | None:
        """Type and node of the execution's error."""
        return (self.state.error.type, self.state.error.node) if self.state.error is not None else None

    @property
    def nodes(self) -> dict[str, str]:
        """Status by id, of authored nodes."""
        return {
            node.id: STATUS_OF_MARK[mark].value
            for node, mark in zip(self.plan.root.nodes, self.state.graph().marks, strict=True)
            if not node.hidden
        }

    def result(self, path: str) -> Json:
        """The recorded output of a node's newest run."""
        return self.records[path, max(serial for known, serial in self.records if known == path)].output

    def node(self, path: str) -> NodePlan:
        place = self.plan.locate(path)
        assert place is not None
        return self.plan.blocks[place.block].nodes[place.node]

    @property
    def configuration(self) -> list[str]:
        """The active leaf states of the chart at the top, as its last macrostep left them."""
        return list(next(step for step in reversed(self.macrosteps) if not step.machine).configuration)

    @property
    def variables(self) -> dict[str, Json]:
        """Of the chart at the top."""
        return self.state.chart().variables

    def inputs(self, path: str) -> Json:
        """The inputs of an ordered run, rendered with the reads that its command lists and nothing else."""
        if self.ordered[path].has_inputs:
            return self.ordered[path].inputs
        formula = self.node(path).inputs
        return evaluate(formula, self.view(self.ordered[path])) if formula is not None else {}

    def collect(self, path: str) -> Json | Failure:
        """What a worker makes of an order to put values together."""
        command = self.ordered[path]
        view = self.view(command)
        try:
            if path == OUTPUTS_PATH:
                return scope_output(self.plan, self.plan.root, command.succeeded_by, view)
            node = self.node(path)
            match node.spec:
                case LoopSpec() as spec:
                    return self._collected(command, spec, view)
                case AggregationSpec() as spec:
                    return aggregate(spec, operand_values(spec, self.plan.root, view), view)
                case SucceedSpec(output=formula) if formula is not None:
                    return evaluate(formula, view)
                case _:
                    return self.inputs(path)
        except NodeError as error:
            return Failure(error.type, error.message)
        except EvaluationError as error:
            return Failure("execution_error", str(error))

    def _collected(self, command: RunNode, spec: LoopSpec, view: View) -> list[Json]:
        """What a worker makes of the order of a loop."""
        passes, block = command.passes, self.plan.blocks[spec.body]
        assert passes is not None
        errors = dict([value for key in passes.errors.pages for value in self.blobs[key]] + passes.errors.tail)
        found: list[Json] = []
        for index in passes.having(PassEnd.SUCCESS, PassEnd.FAILED):
            if passes.end(index) is PassEnd.FAILED:
                found += [{"error": errors[index]}] if index in errors else []
                continue
            given: dict[str, Json] = {"index": index}
            if command.items is not None:
                page = command.items.page(index) if command.items.values is None else None
                given["item"] = self.blobs[page.key][page.place] if page else (command.items.values or [])[index]
            runs = runs_of(passes, block, command.path, index)
            known = {node: self.records[run] for node, run in runs if run in self.records}
            found.append(contribution(block, view, command.path, index, known, given))
        return found

    def view(self, command: RunNode) -> View:
        nodes = {index: NodeValue(status) for index, status in command.statuses.items()}
        for read in command.reads:
            nodes[read.node] = self.records[read.path(self.plan), read.serial]
        names = command.names
        if command.undoes is not None:
            undone = command.undoes.path(self.plan), command.undoes.serial
            names = {**names, "inputs": self.given[undone], "output": self.records[undone].output}
        names = {**names, **{name: self.blobs[page.key][page.place] for name, page in command.pages.items()}}
        return View(
            plan=self.plan,
            execution_id="e1",
            workflow_version=1,
            started_at=START,
            now=command.at,
            place=f"{command.path}:{command.visit}",
            nodes=nodes,
            globals={**self.globals, "variables": self.replaced[command.replaced]},
            reopened=command.reopened,
            previous=command.previous,
            names=names,
            states=frozenset(command.states),
        )

    def replayed(self) -> ExecutionState:
        """The state that the journal leads to."""
        return replay(self.plan, self.first, self.journal, lambda needs: self._known(needs, NOTHING_KNOWN))

    def commands(self, kind: type[Command]) -> list[Any]:
        return [command for commit in self.commits for command in commit if isinstance(command, kind)]

    def _is_collected(self, path: str) -> bool:
        return path == OUTPUTS_PATH or self.node(path).pool is None

    def _variables(self, input: Json) -> dict[str, Json]:
        values: dict[str, Json] = {}
        for variable in self.plan.variables:
            values[variable.name] = variable.value.source
            if variable.overridable and isinstance(input, dict) and variable.name in input:
                values[variable.name] = input[variable.name]
        return values

    def _decide(
        self, state: ExecutionState, events: Sequence[Event], fetch: Callable[[Needs, Known], Known]
    ) -> Decision:
        known = Known(applied=frozenset(self.applied))
        for _ in range(self.nodes_count + 3):
            answer = advance(self.plan, guarded(state), events, self.now, known)
            if isinstance(answer, Decision):
                unguarded(answer.state)
                return answer
            assert answer.reads or answer.globals or answer.blobs or answer.orders or answer.passes or answer.segments
            known = fetch(answer, known)
        raise AssertionError("the engine keeps asking")

    def _assert_routes_open(self) -> None:
        """What is kept of subscriptions from turn to turn is what computing all of them again gives."""
        known, answered = NOTHING_KNOWN, False
        while not answered:
            turn = Turn.on(self.plan, self.state, known)
            turn.status_at_start = ExecutionStatus.PENDING
            try:
                open_routes(settling.scopes_of(turn))
                answered = True
            except ValuesMissing:
                known = self._known(turn.needs(), known)
        assert dict(turn.state.pending) == dict(self.state.pending)
        assert self.subscribed == set(subscriptions(self.plan, self.state.pending))

    def _known(self, needs: Needs, known: Known) -> Known:
        self.reads += 1
        nodes = dict(known.nodes)
        for read in needs.reads:
            value = self.records[read.path(self.plan), read.serial]
            nodes[read] = replace(value, output=prune(value.output, self.plan.node(read.node).decision_paths))
        for read in needs.passes:
            value = self.records.get((read.path(self.plan), read.serial), NOT_RUN)
            nodes[read] = replace(value, output=prune(value.output, self.plan.node(read.node).decision_paths))
        blobs = {**known.blobs, **{blob: self.blobs[blob] for blob in needs.blobs}}
        orders = {read: self.orders.get((read.path(self.plan), read.serial)) for read in needs.orders}
        orders = {**known.orders, **orders}
        segments = known.segments | {*needs.segments}  # nothing is recorded that was not reported
        if not needs.globals:
            return replace(known, nodes=nodes, blobs=blobs, orders=orders, segments=segments)
        pruned = {
            "input": prune(self.globals["input"], self.plan.input_paths),
            "variables": prune(self.replaced[needs.replaced], self.plan.variable_paths),
            "env": {},
        }
        return Known(nodes, pruned, blobs, orders, segments=segments)

    def carry_out(self, command: Command) -> None:
        match command:
            case RunNode():
                assert command.path not in self.ordered
                assert (command.path, command.serial) not in self.records, "ordered twice"
                self.ordered[command.path] = command
                self.orders[command.path, command.serial] = command
            case RecordNode():
                assert (command.path, command.serial) not in self.records, "recorded twice"
                error = error_value(command.error) if command.error is not None else None
                status = "success" if error is None else "failed"
                output = command.output
                if command.output_of is not None:
                    output = self.records[command.output_of.path(self.plan), command.output_of.serial].output
                self.records[command.path, command.serial] = NodeValue(status, output, error)
                inputs = command.inputs
                if command.inputs_of is not None:
                    inputs = self.given.get((command.inputs_of.path(self.plan), command.inputs_of.serial))
                self.given[command.path, command.serial] = inputs
            case CancelRun():
                self.cancelled.append(command.path)
                self.ordered.pop(command.path, None)  # its result may be under way
            case StopRun():
                self.told.append(command.path)
            case PublishEvent():
                self.published.append(command)
            case Log():
                self.logs.append(command.message)
            case StartTimer():
                assert command.timer not in self.timers
                self.timers[command.timer] = command.due
            case CancelTimer():
                self.timers.pop(command.timer, None)
            case StorePages():
                self.blobs |= zip(command.keys, command.pages, strict=True)
            case Subscribe():
                self.subscribed.add((command.event, command.key, command.route))
            case Unsubscribe():
                self.subscribed.discard((command.event, command.key, command.route))
            case AskApproval(keep=key) if key:
                self.blobs[key] = command.data
            case ReplaceVariables():
                self.replaced[command.attempt] = {**self.replaced[command.before], **command.variables}
            case SetStatus(output_run=run) if run is not None:
                self.output = self.records[OUTPUTS_PATH, run.serial].output
            case SetStatus():
                self.output = command.output
                if command.status not in ("running", "suspended", "compensating"):
                    self.ordered.clear()
            case _:
                pass


def _without_values(event: Event) -> Event:
    """An event as the journal keeps it."""
    if isinstance(event, NodeSucceeded) and event.has_values and event.values_bytes > VALUE_KEPT_BYTES_MAX:
        return replace(event, values=None, has_values=False)
    return event


def started(*states: dict[str, Any], input: Json = None, **fields: Any) -> Driver:
    """An execution of a chart with these states, of which the first is entered."""
    return Driver(chart_of(states, **fields), input).start()
