"""The step log of an agent in a replay."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from workflow_runtime.invokers.agents.step_log import DEFINITION
from workflow_runtime.invokers.cassettes.tape import VisitPlayed
from workflow_runtime.invokers.committing import NOTHING_TO_COMMIT, ToCommit
from workflow_runtime.invokers.steps import EndsAsRecorded, OffRecord, Steps
from workflow_runtime.language.json_values import Json
from workflow_runtime.storage.steps import Step

OF_MODELS = ("model", "models", "base_url", "credentials", "settings", "cache", "fallback_on")
"""Fields of an agent that no request shows, although another answer may come of them."""


class ToMocks(OffRecord):
    """The agent is asked for something else than is recorded, and it has a mock."""

    def __init__(self) -> None:
        super().__init__("a mock answers")


class Change(msgspec.Struct, frozen=True):
    """The definition of an agent as its file has it, and as it is to be."""

    before: dict[str, Json]
    after: dict[str, Json]


class TapedSteps:
    """The steps of an agent's visit in a replay: those of the cassette, as long as the agent asks the same; its own are
    recorded in the execution of the replay.

    ``goes_on``: it may ask for something else, and ``depart`` is told so. ``change``: of its definition.
    """

    is_new = False

    def __init__(
        self,
        steps: Steps,
        visit: VisitPlayed,
        *,
        goes_on: bool,
        depart: Callable[[str], None],
        change: Change | None,
        may_be_mocked: bool,
    ) -> None:
        self._steps = steps
        self._visit = visit
        self._goes_on = goes_on
        self._depart = depart
        self._change = change
        self._may_be_mocked = may_be_mocked

    def begin_something(self) -> None:
        """The agent is about to do what is not recorded. Raises `OffRecord`."""
        if self._visit.departed is not None:
            return
        if self._visit.run is not None and self._visit.run.status == "failed":
            raise EndsAsRecorded
        self._go_another_way("it does more than is recorded")

    def diverges(self) -> bool:
        if self._goes_on:
            self._go_another_way("its model is asked for something else")
        return self._goes_on

    def _go_another_way(self, why: str) -> None:
        on_tape = self._visit.on_tape
        if on_tape is not None and on_tape.in_session:
            raise OffRecord(f"{why}, and the turns of its session are not recorded")
        if not self._goes_on:
            raise OffRecord(why)
        self._depart(why)
        if self._may_be_mocked:
            raise ToMocks

    async def of_visit(self) -> list[Step]:
        own = [] if self._steps.is_new else await self._steps.of_visit()
        if self._change is not None:
            own.append(Step(name=DEFINITION, ordinal=1, result=self._change.after))
            on_tape = self._visit.on_tape
            if on_tape is not None and on_tape.in_session:
                self._go_another_way("it is changed")
            if self._asks_other_models(self._change):
                self._go_another_way("its models, or their settings, are others")
        return own if self._visit.departed is not None else [*self._visit.steps(), *own]

    def _asks_other_models(self, change: Change) -> bool:
        on_tape = self._visit.on_tape
        recorded = on_tape.definition if on_tape is not None else None
        before = recorded if isinstance(recorded, dict) else change.before
        return any(before.get(name) != change.after.get(name) for name in OF_MODELS)

    async def record(self, step: Step, to_commit: ToCommit = NOTHING_TO_COMMIT) -> Step:
        counts = await self._steps.record(step, to_commit)
        if counts.name != DEFINITION:
            self._visit.made.append(counts)
        return counts

    async def begin(self, step: Step) -> Step:
        return await self._steps.begin(step)

    async def outcome(self, step: Step) -> Step:
        return await self._steps.outcome(step)
