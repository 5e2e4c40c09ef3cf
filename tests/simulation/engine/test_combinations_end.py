"""Random loops, approvals, sub-workflows, callbacks, waits and machines inside each other, while people suspend,
resume, skip, cancel and retry: whatever happens, the execution can be brought to an end, and nothing is left then.

`Driver` checks on the way that no run is ordered or recorded twice. ENGINE_EXAMPLES=5000 runs more of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random
from typing import Any

from msgspec import UNSET
from tests.seeds import for_seeds
from tests.unit.engine.driver import START, Driver, chart_of, control, loop, on, plan_of, state

from workflow_runtime.engine.commands import (
    AskApproval,
    CloseTask,
    Command,
    HoldEvent,
    RecordNode,
    StartChild,
    StopRun,
    UpdateApproval,
)
from workflow_runtime.engine.events import (
    ApprovalAnswered,
    CancelRequested,
    ChildEnded,
    ChildStarted,
    Event,
    EventReturned,
    ExecutionStarted,
    NodeSucceeded,
    NodeYielded,
    ResumeRequested,
    RetryRequested,
    RunStopped,
    SkipRequested,
    SuspendRequested,
    TaskCompleted,
    TaskFailed,
    run_event_id,
)
from workflow_runtime.engine.scope_states import GraphState
from workflow_runtime.engine.values.evaluation import NodeValue
from workflow_runtime.engine.visits import awaited_as
from workflow_runtime.engine.waiting import path_in
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.plan.plan import Plan

EXAMPLES = int(os.environ.get("ENGINE_EXAMPLES", "30"))
STEPS = 60
ROUNDS_MAX = 2_000  # to bring an execution to its end
DEPTH_MAX = 3  # of scopes inside each other
CALLBACK = {"timeout": "1h", "heartbeat": "10m"}


class Author:
    """Makes definitions."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._makers: list[Callable[[str, int], dict[str, Any]]] = [
            self._tool, self._loop, self._child, self._approval, self._wait, self._failure, self._callback,
            self._machine, self._loop, self._loop,
        ]  # fmt: skip

    def plan(self) -> Plan:
        body = self._body("n", 0)
        fields: dict[str, Any] = {"error_handlers": self._handlers()}
        if self._is(0.3):
            fields["timeout"] = 300
        if self._is(0.5):
            fields["limits"] = {"max_concurrency": 2} if self._is(0.3) else {}
            return plan_of(body, **fields)
        work = state("work", on("hop", "rest"), run=body, on_done="rest")
        return chart_of(
            [work, state("rest", on("back", "work"), on("go", "end")), state("end", type="final")], **fields
        )

    def _is(self, chance: float) -> bool:
        return self._random.random() < chance

    def _handlers(self) -> list[dict[str, Any]]:
        action = self._random.choice(["escalate", "skip", "retry"])
        return [{"node_pattern": self._random.choice([".*", "n0.*"]), "action": action}] if self._is(0.4) else []

    def _body(self, prefix: str, depth: int) -> list[dict[str, Any]]:
        nodes: list[dict[str, Any]] = []
        for number in range(self._random.randint(1, 3)):
            maker = self._random.choice(self._makers if depth < DEPTH_MAX else self._makers[:1])
            node = maker(f"{prefix}{number}", depth)
            if nodes and self._is(0.5):
                node["dependencies"] = [nodes[-1]["id"]]
                node["join"] = self._random.choice(["all", "any", "all_done"])
            nodes.append(node)
        return nodes

    def _policies(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self._is(0.25):
            found["on_error"] = self._random.choice(["skip", "continue"])
        if self._is(0.25):
            found["retry_policy"] = self._again()
        if self._is(0.2):
            found["fallback"] = self._random.choice([{"tool": "other"}, {"value": 1}])
        if self._is(0.3):
            found["compensate"] = {"tool": "undo"}
        return found

    def _again(self) -> dict[str, Any]:
        return {"max_retries": 1, "retry_delay": self._random.choice([0, 3]), "jitter": "none"}

    def _tool(self, id: str, _: int) -> dict[str, Any]:
        return {"id": id, "type": "tool", "tool": "t", **self._policies()}

    def _callback(self, id: str, depth: int) -> dict[str, Any]:
        return {**self._tool(id, depth), "callback": CALLBACK}

    def _child(self, id: str, _: int) -> dict[str, Any]:
        return {"id": id, "type": "sub_workflow", "workflow_id": "w2", "wait": self._is(0.8), **self._policies()}

    def _approval(self, id: str, _: int) -> dict[str, Any]:
        timed = {"timeout": 30} if self._is(0.4) else {}
        return control(id, "approval", assignees=["安", "白"], **timed, **self._policies())

    def _wait(self, id: str, _: int) -> dict[str, Any]:
        return control(id, "wait", **({"seconds": 5} if self._is(0.5) else {"event": "go"}))

    def _failure(self, id: str, _: int) -> dict[str, Any]:
        return control(id, "pass", inputs={"x": "${1 / 0}"} if self._is(0.3) else {"x": 1})

    def _machine(self, id: str, depth: int) -> dict[str, Any]:
        work = state("in", on("go", "out"), run=self._body(f"{id}_", depth + 1), on_done="out")
        states = [work, state("out", type="final")]
        return {"id": id, "type": "state_machine", "initial_state": "in", "states": states, **self._policies()}

    def _loop(self, id: str, depth: int) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "times": self._random.randint(1, 4),
            "max_concurrency": self._random.choice([0, 1, 2]),
        }
        if self._is(0.3):
            fields = {"until": "${index >= 2}"}
        elif self._is(0.5):
            fields["on_item_error"] = self._random.choice(["skip", "collect"])
        if self._is(0.3):
            fields["item_retry"] = self._again()
        if self._is(0.3):
            fields["timeout"] = self._random.choice([20, 200])
        return loop(id, *self._body(f"{id}_", depth + 1), **fields, **self._policies())


class World(Driver):
    """An execution with all around it: children, people, systems that hold task tokens, and events that are held."""

    def __init__(self, plan: Plan, random: Random) -> None:
        super().__init__(plan)
        self.random = random
        self.children: dict[str, StartChild] = {}
        self.asked: set[int] = set()
        self.tokens: dict[str, tuple[str, int]] = {}
        self.kept: dict[int, Any] = {}
        self.leaving: list[tuple[str, int]] = []  # told to stop, and at work all the same
        self.stops: list[tuple[str, int]] = []
        self._left: set[tuple[str, int]] = set()  # runs whose code has returned
        self._number = 0

    def start(self) -> Driver:
        awaits_cancelled = bool(self.plan.undo_blocks) and self.random.random() < 0.7  # else it is an older one
        self.take(ExecutionStarted("start", START, awaits_cancelled=awaits_cancelled))
        return self

    def id(self, kind: str) -> str:
        self._number += 1
        return f"{kind}:{self._number}"

    def carry_out(self, command: Command) -> None:
        match command:
            case StartChild():
                self.children[command.token] = command
            case AskApproval():
                self.asked.add(command.approval)
            case UpdateApproval(outcome=outcome) if outcome:
                self.asked.remove(command.approval)
            case CloseTask():
                self.tokens.pop(command.task, None)
            case HoldEvent():
                self.kept[command.number] = next(e for e in reversed(self.sent) if e.event_id == command.event_id)
            case StopRun(path=path, serial=serial):
                order = self.ordered.get(path)
                if order is not None and order.serial == serial:
                    self._give(path)
                    del self.ordered[path]
                    self.leaving.append((path, serial))
                if command.closes or (path, serial) not in self.leaving:
                    self.stops.append((path, serial))
            case RecordNode() if (command.path, command.serial) in self._left:
                self.records.pop((command.path, command.serial), None)  # what its worker had recorded
        super().carry_out(command)

    def say(self, event: Event) -> None:
        """Send an event, then what follows outside."""
        self.take(event)
        while self.state.held and self.status == "running":
            number = self.state.held_first
            self.take(EventReturned(f"held:{number}", self.now, number, self.kept[number]))
        while self.stops:
            run = self.stops.pop()
            if awaited_as(self.state.stopping, *run):
                self.take(RunStopped(self.id("stop"), self.now, *run))

    def stop(self) -> None:
        """The code of a run that was told to stop returns, or it never began."""
        path, serial = self.leaving.pop(self.random.randrange(len(self.leaving)))
        if self.random.random() < 0.3:
            self.say(RunStopped(self.id("stop"), self.now, path, serial))
            return
        self.records[path, serial] = NodeValue("success", {"v": 1})
        awaited, before = bool(awaited_as(self.state.stopping, path, serial)), len(self.state.undo)
        self.say(NodeSucceeded(run_event_id(path, serial), self.now, path, serial))
        if awaited:
            assert len(self.state.undo) == before + 1, f"what {path} has done is not undone"

    def work(self, *, well: bool) -> None:
        path = self.random.choice(list(self.ordered))
        if self._is_collected(path):
            self.say(self.answer(path, self.collect(path)))
        elif well:
            self.say(self.success(path, {"v": 1}))
        else:
            self.say(self.failure(path, self.random.choice(["execution_error", "worker_lost", "timeout"])))

    def leave(self) -> None:
        """The code of a run returns; it waits for its token."""
        path = self.random.choice(list(self.ordered))
        if self._is_collected(path) or path.endswith(("~fallback", "~compensate")):
            return
        run = path, self.ordered.pop(path).serial
        token = f"token:{path}#{run[1]}"
        self._left.add(run)
        self.tokens[token] = run
        self.say(NodeYielded(self.id("run"), self.now, *run, token, 3_600_000, self.random.choice([0, 600_000])))

    def complete(self, *, well: bool) -> None:
        token, run = self.tokens.popitem()
        id = self.id("task")
        if well:
            self.say(TaskCompleted(id, self.now, *run, token, {"x": 1}))
        else:
            self.say(TaskFailed(id, self.now, *run, token, ErrorDocument.of("busy", "no", run[0])))

    def end_child(self, *, well: bool) -> None:
        token, child = self.children.popitem()
        if child.notify:
            error = None if well else ErrorDocument.of("child", "it failed", "")
            status = "completed" if well else self.random.choice(["failed", "cancelled"])
            self.say(ChildEnded(self.id("child"), self.now, token, "k", status, error=error))
        else:
            self.say(ChildStarted(self.id("child"), self.now, token, "k"))

    def approve(self, *, well: bool) -> None:
        approval = self.random.choice(sorted(self.asked))
        self.say(ApprovalAnswered(self.id("answer"), self.now, approval, self.random.choice("安白"), well))

    def let_time_pass(self) -> None:
        self.elapse(10)

    def hear(self) -> None:
        self.say(self.signal(self.random.choice(["go", "go", "hop", "back"])))

    @property
    def paths(self) -> list[str]:
        """Of the nodes at work."""
        graphs = [(address, scope) for address, scope in self.state.all_scopes() if isinstance(scope, GraphState)]
        found = [path_in(self.plan, graph.block, address, node)
                 for address, graph in graphs for node in range(len(graph.marks))]  # fmt: skip
        return found or ["n0"]

    def ask(self) -> None:
        """Somebody asks for something."""
        kind = self.random.choice([SuspendRequested, ResumeRequested, RetryRequested, SkipRequested, SkipRequested])
        id = self.id("control")
        if self.random.random() < 0.05:
            self.say(CancelRequested(id, self.now))
        elif kind is SkipRequested:
            path = self.random.choice(self.paths)
            output = self.random.choice([UNSET, {"o": 1}])
            self.say(SkipRequested(id, self.now, node=path, output=output))
        else:
            self.say(kind(id, self.now))

    def step(self, *, well: bool) -> None:
        """Something of what may happen."""
        possible: list[Callable[[], None]] = [self.hear, self.let_time_pass]
        possible += [lambda: self.work(well=well), self.leave] if self.ordered else []
        possible += [self.stop] if self.leaving else []
        possible += [lambda: self.complete(well=well)] if self.tokens else []
        possible += [lambda: self.end_child(well=well)] if self.children else []
        possible += [lambda: self.approve(well=well)] if self.asked else []
        self.random.choice(possible)()

    def assert_nothing_is_left(self) -> None:
        state = self.state
        assert not state.pending
        assert not state.crowded
        assert not state.stopping
        assert not state.queued
        assert not self.asked
        assert (state.in_flight, state.open_passes, state.kept_bytes) == (0, 0, 0)
        assert state.suspension is None
        assert state.escalated is None

    def assert_goes_on(self) -> None:
        """Something is awaited, or at work."""
        assert (
            len(self.state.pending) or self.ordered or self.leaving or self.plan.has_chart or self.status == "suspended"
        )


@for_seeds(range(EXAMPLES))
def test_whatever_is_asked_meanwhile_an_execution_ends_and_leaves_nothing_behind(seed: int) -> None:
    random = Random(seed)
    world = World(Author(random).plan(), random)
    world.start()
    for _ in range(STEPS):
        if random.random() < 0.2:
            world.ask()
        else:
            world.step(well=random.random() < 0.7)
        if world.state.status.terminal:
            world.assert_nothing_is_left()
        else:
            world.assert_goes_on()
    for _ in range(ROUNDS_MAX):
        if world.state.status.terminal:
            world.assert_nothing_is_left()
            return
        if world.status == "suspended":
            world.say(ResumeRequested(world.id("control"), world.now))
        else:
            world.step(well=True)
    raise AssertionError("it does not end")
