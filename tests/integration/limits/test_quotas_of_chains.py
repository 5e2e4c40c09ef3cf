"""Quotas over chains that one worker runs in turn, whatever becomes of these: nodes fail, take too long and are tried
again; executions are suspended, cancelled and undone; quotas are paused; calls of ports fail."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

from tests.limits_world import LimitsWorld
from tests.seeds import for_seeds

from workflow_runtime.errors import NodeError, RequestError
from workflow_runtime.invokers.invocation import NodeCall, NodeResult

SEEDS = int(os.environ.get("QUOTA_SEEDS", "4"))  # 1,000 take about six minutes
QUOTAS = ({"*": 1}, {"*": 1, "type:tool": 1}, {"type:tool": 1, "type:agent": 1}, {"*": 2, "type:tool": 1})
OPERATIONS = ("suspend", "resume", "suspend", "cancel")
SECONDS = (0.1, 5.0, 20.0, 29.0, 29.0, 60.0)  # short ones take longer together than a lease does
AGAIN = "retry_policy: {max_retries: 3, retry_delay: 1s}"
CHILD = f"""
workflow:
  id: child
  nodes:
    - {{id: c0, type: tool, tool: echo}}
    - {{id: c1, type: tool, tool: echo, dependencies: [c0], {AGAIN}}}
    - {{id: c2, type: tool, tool: echo, dependencies: [c1]}}
"""
WORKFLOW = f"""
workflow:
  id: w
  nodes:
    - {{id: a0, type: tool, tool: echo, timeout: 25s, {AGAIN}}}
    - {{id: a1, type: tool, tool: echo, dependencies: [a0], compensate: {{type: tool, tool: echo}}, {AGAIN}}}
    - {{id: a2, type: tool, tool: echo, dependencies: [a1], on_error: continue}}
    - {{id: b0, type: tool, tool: echo}}
    - {{id: b1, type: tool, tool: echo, dependencies: [b0], on_error: continue}}
    - {{id: b2, type: sub_workflow, workflow_id: child, dependencies: [b1], on_error: continue}}
    - {{id: g0, type: agent, agent: writer}}
    - {{id: g1, type: agent, agent: writer, dependencies: [g0], {AGAIN}}}
    - id: each
      type: control
      subtype: loop
      times: 3
      max_concurrency: 2
      on_item_error: skip
      body:
        - {{id: p0, type: tool, tool: echo}}
        - {{id: p1, type: tool, tool: echo, dependencies: [p0]}}
"""


class Quotas:
    """A world in which so many may run at once: `broken` are the times at which more did."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.most = self.random.choice(QUOTAS)
        self.broken: list[tuple[int, str]] = []
        self.executions: list[str] = []
        self._open: Counter[str] = Counter()
        self.world = LimitsWorld(self._seconds, failures=self.random.choice((0, 0, 5, 20)), seed=seed)
        self._invoke = self.world.worker.invoke
        self.world.worker.raises = self._error
        self.world.worker.invoke = self._watched  # type: ignore[method-assign]
        self.world.publish(CHILD, WORKFLOW)
        for name, slots in self.most.items():
            self.put(name, concurrency=slots)

    def _seconds(self, _call: NodeCall) -> float:
        return self.random.choice(SECONDS)

    def _error(self, _call: NodeCall) -> NodeError | None:
        return NodeError("execution_error", "not this time") if self.random.random() < 0.08 else None

    async def _watched(self, call: NodeCall) -> NodeResult:
        kind = "type:agent" if call.target == "writer" else "type:tool"
        self._open.update(["*", kind])
        if any(self._open[name] > slots for name, slots in self.most.items()):
            self.broken.append((self.world.now, call.path))
        try:
            return await self._invoke(call)
        finally:
            self._open.subtract(["*", kind])

    def put(self, name: str, **fields: int | bool) -> None:
        with self.world.calm():
            self.world.services.limits.put(name, fields)

    def start(self) -> None:
        self.executions.append(self.world.start("w"))

    def ask(self, operation: str) -> Callable[[], None]:
        """Of any of the executions, which may have come too far for it."""

        def act() -> None:
            with self.world.calm(), suppress(RequestError):
                self.world.ask(operation, self.random.choice(self.executions))

        return act

    def resume_all(self) -> None:
        for execution in self.executions:
            with self.world.calm(), suppress(RequestError):
                self.world.ask("resume", execution)

    def _some(self, found: Iterable[str]) -> list[str]:
        return [one for one in found if self.random.random() < 0.5]

    def _between(self, least: int, most: int) -> int:
        return self.random.randrange(least, most)

    def play(self) -> None:
        moments = [(0, self.start), (self._between(0, 60_000), self.start)]
        moments += [(self._between(60_000, 300_000), self.ask(operation)) for operation in self._some(OPERATIONS)]
        for name in self._some(self.most):
            at = self._between(0, 200_000)
            moments += [
                (at, partial(self.put, name, paused=True)),
                (at + 60_000, partial(self.put, name, paused=False)),
            ]
        moments += [(900_000, self.resume_all), (4_000_000, lambda: None)]
        self.world.play(*sorted(moments, key=lambda moment: moment[0]))


@for_seeds(range(SEEDS))
def test_chains_never_take_more_than_their_quotas_and_give_all_back(seed: int) -> None:
    quotas = Quotas(seed)
    quotas.play()
    world = quotas.world
    assert quotas.broken == []
    statuses = {str(world.document(execution)["status"]) for execution in quotas.executions}
    assert statuses <= {"completed", "failed", "cancelled"}
    with world.calm():
        held = {name: world.services.limits.get(name)["gauges"][0]["held"] for name in quotas.most}
        waiting = {name: len(world.waiting(name)) for name in quotas.most}
    nothing = dict.fromkeys(quotas.most, 0)
    assert (held, waiting) == (nothing, nothing)
