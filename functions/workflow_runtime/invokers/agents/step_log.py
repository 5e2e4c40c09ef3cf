"""The step log of one run of an agent: what is recorded of its visit is taken from there, everything else is done, and
recorded before anything follows from it.

A step is known by its name and its number among those of that name, in the order of the conversation; never by when it
ended, nor by its content. What it was asked is kept beside its result, so that a replay which asks something else is
an error instead of a wrong answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

from msgspec.structs import replace

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.committing import NOTHING_TO_COMMIT, ToCommit
from workflow_runtime.invokers.invocation import Meter
from workflow_runtime.invokers.steps import Steps
from workflow_runtime.language.json_values import Json
from workflow_runtime.storage.steps import Step

DEFINITION = "definition"
PUBLISHED = "published"  # the fingerprint of a definition that was published at run time

Describe = Callable[[Json, Json], str]
"""How what was asked when a step was recorded differs from what is asked now."""


class GoesOn(Exception):
    """The time of this run is nearly up: the agent goes on in another one."""


class StepLog:
    """The steps of one run of an agent, in the visit's ``log``; ``meter`` counts those that it records.

    What ends the first run of an agent without tools need not be recorded, as the run's own record follows at once; its
    model request is recorded when something comes after it.
    """

    def __init__(self, steps: Steps, log: int, meter: Meter, is_ending: Callable[[], bool]) -> None:
        self._steps = steps
        self._meter = meter
        self._asked = meter.asked
        self._is_ending = is_ending
        self._log = log
        self._is_eager = True
        self._recorded: dict[tuple[int, str, int], Step] = {}
        self._counts: Counter[str] = Counter()
        self._definition: Step | None = None
        self._held: Step | None = None

    async def read(self) -> Step | None:
        """Read what is recorded of the visit. Returns the step that tells the definition that it began with; None: it
        begins now."""
        found = [] if self._steps.is_new else await self._steps.of_visit()
        self._recorded = {(step.log, step.name, step.ordinal): step for step in found}
        return self._recorded.get((0, DEFINITION, 1))

    async def begin_visit(
        self, definition: Json, called: Mapping[str, Json], *, is_published: bool, has_tools: bool
    ) -> Json:
        """The visit begins, with this definition and these descriptions of the agents that it calls, which are recorded
        with the first step that is. Returns the definition that counts."""
        self._is_eager = has_tools or not self._steps.is_new
        origin = PUBLISHED if is_published else None
        self._definition = Step(
            name=DEFINITION, ordinal=1, result=definition, fingerprint=origin, arguments={**called} or None
        )
        return await self._record_definition() if self._is_eager else definition

    async def _record_definition(self) -> Json:
        definition, self._definition = self._definition, None
        if definition is None:
            return None
        counts = await self._steps.record(definition)
        if self._steps.is_new and counts.result != definition.result:
            raise NodeError("worker_lost", "another run of this visit has begun with another definition")
        return counts.result

    @property
    def number(self) -> int:
        """How often the visit has begun anew."""
        return self._log

    @property
    def recorded(self) -> list[Step]:
        """What is recorded of the visit, as far as this run knows."""
        return list(self._recorded.values())

    def next_of(self, name: str) -> int:
        """The number of the next step of this name, from 1."""
        self._counts[name] += 1
        return self._counts[name]

    def find(self, name: str, ordinal: int) -> Step | None:
        """The step, if it is recorded."""
        return self._recorded.get((self._log, name, ordinal))

    def made_before(self, asked: Step, same: int) -> Step | None:
        """The step that was asked the same, the ``same``-th such one, before the visit began anew; the latest."""
        for log in range(self._log - 1, -1, -1):
            alike = [
                step
                for (other, name, _), step in sorted(self._recorded.items())
                if other == log and name == asked.name and step.fingerprint == asked.fingerprint
            ]
            if len(alike) >= same:
                return alike[same - 1]
        return None

    async def take(
        self, step: Step, do: Callable[[], Awaitable[Step]], describe: Describe, *, may_be_last: bool = False
    ) -> Step:
        """The step as it is recorded, or else done now. ``step``: its name, number and what it asks; ``do`` gives it
        with what it came to. Raises `NodeError`: ``replay_diverged``, or what `Steps` do."""
        await self.flush()
        found = self.find(step.name, step.ordinal)
        if found is not None and _differs(found, step) and self._steps.diverges():
            self._recorded.clear()  # from here on it is another conversation
            found = None
        if found is None:
            self.check_time()
            done = await do()
            if may_be_last and not self._is_eager:
                self._held = done
                self._meter.asked = {"call": self._asked, "request": done.fingerprint}
                return done
            found = await self.record(done)
        self.check(found, step, describe)
        return found

    def check_time(self) -> None:
        """Something is about to begin. Raises `GoesOn`."""
        if self._is_ending():
            raise GoesOn

    def check(self, recorded: Step, asked: Step, describe: Describe) -> None:
        """Raises `NodeError` (``replay_diverged``) if the step was recorded of something else than is asked now."""
        if _differs(recorded, asked):
            text = describe(recorded.fingerprint, asked.fingerprint)
            raise NodeError("replay_diverged", f"step {asked.name} {asked.ordinal} was recorded as another one: {text}")

    async def record(self, step: Step, to_commit: ToCommit = NOTHING_TO_COMMIT) -> Step:
        """Record a step that is done, and commit its effects with it; what counts. Raises `EffectRefused`."""
        await self._record_definition()
        counts = await self._steps.record(replace(step, log=self._log), to_commit)
        self._meter.steps += 1
        return self._keep(counts)

    async def begin(self, step: Step) -> Step:
        """Record that a step begins; what counts."""
        await self._record_definition()
        return self._keep(await self._steps.begin(replace(step, log=self._log)))

    async def outcome(self, step: Step) -> Step:
        """What became of a step that another run has begun."""
        return self._keep(await self._steps.outcome(step))

    async def flush(self) -> None:
        """Record what was held: something follows from it now."""
        held, self._held = self._held, None
        if held is not None and (await self.record(held)).result != held.result:
            raise NodeError("worker_lost", "another run of this visit was answered otherwise")

    def _keep(self, step: Step) -> Step:
        self._recorded[step.log, step.name, step.ordinal] = step
        return step


def _differs(recorded: Step, asked: Step) -> bool:
    """Whether the step was recorded of something else than is asked now. Of cassettes with texts hidden in them, nobody
    knows."""
    return recorded.fingerprint is not None and recorded.fingerprint != asked.fingerprint
