"""What every process looks at every few seconds, all of it in one read: which switches hold, what the rules of limiters
are, and which agents are published."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from msgspec.structs import replace

from workflow_runtime.plan.limiters import Limiter
from workflow_runtime.plan.plan import Plan
from workflow_runtime.ports import Clock
from workflow_runtime.services.freeze.scopes import line_of, scopes_of_run, scopes_of_start
from workflow_runtime.storage.agents import AgentPointer
from workflow_runtime.storage.freezes import FreezeStore, Switch

SEEN_MS = 5_000  # how old what is seen may be: one read in that time and process, whatever the load


class Looks:
    """One for a process: what one part of it has read, the others need not read again."""

    def __init__(self, clock: Clock, freezes: FreezeStore) -> None:
        self._clock = clock
        self._freezes = freezes
        self._seen: Mapping[str, Switch] = {}
        self._rules: Mapping[str, Limiter] = {}
        self._agents: Mapping[str, AgentPointer] = {}
        self._until = 0

    @property
    def seen(self) -> Mapping[str, Switch] | None:
        """The switches that hold, by scope, if they were read not long ago."""
        return self._seen if self._clock.now() < self._until else None

    def read(self) -> Mapping[str, Switch]:
        """The switches that hold, by scope, as they are now. Raises `RetryableError`."""
        until = self._clock.now() + SEEN_MS
        board = self._freezes.board()
        self._seen = {switch.scope: switch for switch in board.switches if switch.holds}
        self._rules = {
            rule.name: replace(rule.limiter, paused=True) if rule.paused else rule.limiter
            for rule in board.rules
            if rule.limiter is not None
        }
        self._agents = {pointer.agent_id: pointer for pointer in board.agents if pointer.is_published}
        self._until = until
        return self._seen

    def known(self) -> Mapping[str, Switch]:
        """Those seen not long ago, else as they are now. Raises `RetryableError`."""
        seen = self.seen
        return seen if seen is not None else self.read()

    @property
    def limiters(self) -> Mapping[str, Limiter]:
        """The limiters of the deployment, by name, as of the last look."""
        return self._rules

    @property
    def agents(self) -> Mapping[str, AgentPointer]:
        """The agents that are published, by id, as of the last look."""
        return self._agents

    def holding_run(self, plan: Plan, path: str) -> Switch | None:
        """The switch that holds back new runs of the node of this path. Raises `RetryableError`."""
        switches = self.known()
        return first_of(scopes_of_run(plan, path), switches) if switches else None

    def holding_order(self, plan: Plan, path: str, granted: Collection[str]) -> Switch | None:
        """The same for an order that these limiters have let go: one of them may be a freeze that was thawed a moment
        ago. Raises `RetryableError`."""
        switch = self.holding_run(plan, path)
        if switch is not None and not {str(line_of(scope)) for scope in scopes_of_run(plan, path)}.isdisjoint(granted):
            self.read()
            return self.holding_run(plan, path)
        return switch

    def frozen_ms(self, scopes: Iterable[str], since: int, until: int) -> int:
        """For how long in this time (epoch ms) one of the scopes was frozen, as far as their newest switches tell; of
        one that still holds, until the end. Raises `RetryableError`."""
        found = sorted(
            (max(switch.since, since), min(switch.thawed_at or until, until))
            for switch in map(self._freezes.switch, scopes)
            if switch is not None
        )
        frozen, counted = 0, since
        for begin, end in found:  # spans may overlap: what was counted is not counted again
            frozen += max(end - max(begin, counted), 0)
            counted = max(counted, end)
        return frozen

    def holding_start(self, workflow_id: str) -> Switch | None:
        """The switch that holds back new executions of a workflow. Raises `RetryableError`."""
        return first_of(scopes_of_start(workflow_id), self.known())


def first_of(scopes: Iterable[str], switches: Mapping[str, Switch]) -> Switch | None:
    """The first of these scopes' switches that holds."""
    return next((switches[scope] for scope in scopes if scope in switches), None) if switches else None
