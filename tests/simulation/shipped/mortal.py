"""A whole runtime that dies at one port call, is started again on what it left behind, and goes on with its story."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property, partial
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace
from tests.simulation.delivery.faults import Crash, Fault, FaultyPort, NoFaults, Plan
from tests.simulation.delivery.invariants import Violation, require

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.deployment.topology import TIMERS
from workflow_runtime.errors import RetryableError
from workflow_runtime.invokers.invocation import Invoker, NodeCall, NodeResult
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.invokers.mocks.file import Behaviour
from workflow_runtime.invokers.tools.reach import Reach
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.storage import keys
from workflow_runtime.storage.stores import Stores

DEFINITIONS = Path(__file__).parents[3] / "definitions"
START = 1_767_225_600_000  # 2026-01-01
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
SWEEPS_MAX = 20  # without finding anything to do any more, before an execution counts as stuck
LIVES_MAX = 3  # one fault leaves one more
ASKED_MAX = 3
NO_REACH = Reach(advice="nothing here does: tools are mocked")
LOOK_MS = 2 * MINUTE_MS  # how often the sweep comes after a death, for as long as the story may need it
LOOKS = 60
BUSY = "rate_limited"
UNSTEADY = ("paid_until", "remaining")  # variables that tell the time at which something was done


class Act(msgspec.Struct):
    """What somebody does ``at`` so many minutes after the start: send an ``event``, or ``approve`` what a node asks."""

    at: float
    event: str = ""
    data: Any = None
    approve: str = ""
    by: str = ""


class Story(msgspec.Struct):
    """An execution of a shipped workflow to its end. ``mocks``: of which file (by default, the one of its name);
    ``by_chance``: nodes whose output tells when, or as which visit, something was done, or what came first."""

    workflow: str
    input: dict[str, Any]
    acts: Sequence[Act] = ()
    mocks: str = ""
    by_chance: tuple[str, ...] = ()


class MortalPoller:
    """A poller whose acknowledgements may be where the process dies."""

    def __init__(self, poller: Any, faulty: FaultyPort) -> None:
        self._poller = poller
        self._faulty = faulty

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poller, name)

    def delete(self, queue: str, receipts: Sequence[str]) -> None:
        self._faulty.delete(queue, receipts)


class MortalBackend:
    """An embedded backend on which nothing happens any more once the process has died, until it is `revived`."""

    def __init__(self) -> None:
        self.clock = VirtualClock(START)
        self.real = open_backend(None, self.clock)
        self.is_dead = False
        self.plan: Plan = NoFaults()
        ports = self.real.ports
        self.ports = replace(
            ports,
            table=self._faulty(ports.table),
            blobs=self._faulty(ports.blobs),
            queues=self._faulty(ports.queues),
            bus=self._faulty(ports.bus),
            schedules=self._faulty(ports.schedules),
            offload=self.real.database.join,  # as on a file
        )
        self.poller: Any = MortalPoller(self.real.poller, self._faulty(self.real.poller))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    @property
    def on_send(self) -> Callable[[str], None]:
        return self.real.on_send

    @on_send.setter
    def on_send(self, hook: Callable[[str], None]) -> None:
        self.real.on_send = hook

    def _faulty(self, port: Any) -> Any:
        return FaultyPort(port, lambda: None, self._suffer, self._die)

    def _suffer(self, method: str) -> Fault | None:
        if self.is_dead:
            raise Crash
        return self.plan.next(method)

    def _die(self) -> None:
        """What was written in this turn of the loop, and not committed yet, dies with the process."""
        self.is_dead = True
        for _ in range(2):  # the second one finds that there is nothing left
            with suppress(RetryableError):
                self.real.database.write("ROLLBACK", ())
        raise Crash


class Counting:
    """Around what runs agents or tools: no serial of a run begins twice."""

    def __init__(self, invoker: Invoker, begun: Counter[tuple[str, str, int]]) -> None:
        self._invoker = invoker
        self._begun = begun

    def __getattr__(self, name: str) -> Any:
        return getattr(self._invoker, name)

    async def invoke(self, call: NodeCall) -> NodeResult:
        self._begun[call.execution_id, call.path, call.serial] += 1
        return await self._invoker.invoke(call)


class Services(Mocks):
    """Services that know an idempotency key: what they answered to it they answer again, unless they were busy."""

    def behaviour(self, kind: NodeType, call: NodeCall) -> Behaviour | None:
        key = call.target, call.idempotency_key
        known = self._answers.get(key)
        if known is None or (known.error is not None and known.error[0] == BUSY):
            known = self._answers[key] = super().behaviour(kind, call)
        return known

    @cached_property
    def _answers(self) -> dict[tuple[str, str], Behaviour | None]:
        return {}


class Life:
    """A story, told on ports that suffer what ``plan`` says. `tell` it, then look at how it ended."""

    def __init__(self, story: Story, plan: Plan) -> None:
        self._story = story
        self._left = deque(story.acts)
        self._ids = count(1)
        self._mocks = Services.load(DEFINITIONS / "mocks" / f"{story.mocks or story.workflow}.yaml")
        self._execution_id = ""
        self._has_died = False
        self.begun: Counter[tuple[str, str, int]] = Counter()
        self.backend = MortalBackend()
        self._runtime = self._boot()
        self._publish(story.workflow)
        self.backend.plan = plan

    def _publish(self, workflow: str) -> None:
        """With all that it starts."""
        source = (DEFINITIONS / "workflows" / f"{workflow}.yaml").read_bytes()
        published = self._runtime.services.catalog.publish(source, scheduled=False)
        for started in sorted(published.plan.starts):
            self._publish(started)

    def _boot(self) -> LocalRuntime:
        self.backend.is_dead = False
        return LocalRuntime(
            self.backend,
            DEFINITIONS,
            self._mocks,
            reach=NO_REACH,
            environ={},
            wrap=lambda invoker: Counting(invoker, self.begun),
            new_id=lambda: f"{next(self._ids):032x}",
        )

    async def tell(self) -> None:
        """Start it, act when it is time, and go on until everything has ended and is acknowledged."""
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # what died with the process is nobody's
        for _ in range(LIVES_MAX):
            try:
                await self._live()
            except Crash:
                self._has_died = True
                self._runtime = self._boot()
            else:
                self.backend.plan = NoFaults()
                return
        raise AssertionError("it dies again and again")

    async def _live(self) -> None:
        pump, clock = self._runtime.pump, self.backend.clock
        self._asked(self._start)
        await pump.run(lambda: False, settle=True, moments=self._moments())
        for _ in range(SWEEPS_MAX):
            has_ended = await pump.run(self._has_ended)
            clock.advance_to(clock.now() + HOUR_MS)
            if has_ended:  # and what the sweep finds of it is put away
                await pump.run(lambda: False, settle=True)
                return
        raise Violation("P8: the sweep does not find what the execution waits for")

    def _moments(self) -> list[tuple[int, Callable[[], None]]]:
        """When people act; after a death, also when the sweep's tick comes, which nothing waits for by itself."""
        now = self.backend.clock.now()
        acts = [(max(START + round(act.at * MINUTE_MS), now), self._act) for act in self._left]
        looks = [(now + number * LOOK_MS, _nothing) for number in range(1, LOOKS + 1)] if self._has_died else []
        return sorted([*acts, *looks], key=lambda moment: moment[0])

    def _has_ended(self) -> bool:
        return self._runtime.services.documents.status(self._execution_id).terminal

    def _start(self) -> None:
        story = self._story
        self._execution_id = self._runtime.services.starter.start(story.workflow, story.input, start_key="story")

    def _act(self) -> None:
        act, services = self._left[0], self._runtime.services
        if act.approve:
            asked = services.approval_views.of_execution(self._execution_id)
            for id in [approval["id"] for approval in asked if approval["path"] == act.approve]:
                self._asked(partial(services.approvals.answer, id, True, by=act.by))  # none: it got through already
        else:
            key = f"{act.event}{act.at}"
            self._asked(lambda: services.signalling.send(self._execution_id, act.event, act.data, key))
        self._left.popleft()

    def _asked(self, ask: Callable[[], object]) -> None:
        """Ask again while there is no answer, as a caller does; a process that died has to be started for that."""
        for _ in range(ASKED_MAX):
            with suppress(RetryableError):
                ask()
                return
        raise AssertionError("there is no answer")

    # -- how it ended

    def check(self) -> None:
        ports = self.backend.real.ports
        stores = Stores(ports)
        require([run for run, times in self.begun.items() if times > 1] == [], f"P3: began twice: {self.begun}")
        require(stores.dead_letters.documents(self._execution_id) == [], "P6: there are dead letters of it")
        require(ports.table.query("DEAD") == [], "P6: there are dead letters")
        require(self.backend.real.poller.next_visible_at(without=TIMERS) is None, "a queue is not empty")
        require(not ports.table.get([keys.execution(self._execution_id, keys.DUE)]), "it is looked after for ever")

    def outcome(self) -> str:
        """What no crash may change."""
        document = self._runtime.services.documents.document(self._execution_id)
        events = {event["detail-type"] for event in self.backend.bus_events()}
        nodes: dict[str, Any] = document["node_executions"]
        fixed = [
            document["status"],
            _steady(document["output"]),
            document["error"],
            document.get("current_states"),
            _steady(document.get("variables")),
            document.get("compensation"),
            [(path, node["status"], self._steady(path, node["output"])) for path, node in sorted(nodes.items())],
            sorted(events),
        ]
        return msgspec.json.encode(fixed).decode()

    def _steady(self, path: str, output: Any) -> Any:
        return None if path in self._story.by_chance else output

    def close(self) -> None:
        self.backend.real.close()


def _nothing() -> None:
    """Time passes."""


def _steady(values: Any) -> Any:
    """Without those that tell the time at which something was done."""
    return (
        {name: value for name, value in values.items() if name not in UNSTEADY} if isinstance(values, dict) else values
    )


def told(story: Story, plan: Plan) -> str:
    """Tell a story and check how it ends; its outcome. Raises `Violation`."""
    life = Life(story, plan)
    try:
        asyncio.run(life.tell())
        life.check()
        return life.outcome()
    finally:
        life.close()
