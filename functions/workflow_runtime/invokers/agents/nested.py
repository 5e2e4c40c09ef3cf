"""An agent as a tool of another one: it runs within the other's run, with steps, waits and answers of its own there.

All of them have the call in their names, so that it goes on where it was when the other one does, however deep.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from workflow_runtime.errors import NodeError, TransportError
from workflow_runtime.invokers.agents.step_log import GoesOn, StepLog
from workflow_runtime.invokers.agents.waits import Deferred
from workflow_runtime.invokers.committing import NOTHING_TO_COMMIT, ToCommit
from workflow_runtime.invokers.invocation import Late, Meter, NodeCall, NodeResult
from workflow_runtime.invokers.steps import Steps
from workflow_runtime.invokers.usage import total
from workflow_runtime.language.json_values import Json
from workflow_runtime.storage.steps import Step

NOT_TOLD = frozenset({"replay_diverged", "effect_unknown", "budget_exceeded", "worker_lost"})
"""Error types that end the run of the calling agent, too, as they would have if they had come up in itself."""

Invoke = Callable[[NodeCall], Awaitable[NodeResult]]


class NestedSteps:
    """The steps of an agent within those of another one: their names begin with ``prefix``."""

    def __init__(self, steps: Steps, outer: StepLog, prefix: str) -> None:
        self._steps = steps
        self._outer = outer
        self._prefix = prefix
        self.is_new = steps.is_new

    def diverges(self) -> bool:
        return self._steps.diverges()

    async def of_visit(self) -> list[Step]:
        own = [step for step in self._outer.recorded if step.name.startswith(self._prefix)]
        return [replace(step, name=step.name.removeprefix(self._prefix)) for step in own]

    async def record(self, step: Step, to_commit: ToCommit = NOTHING_TO_COMMIT) -> Step:
        return self._inside(await self._steps.record(self._outside(step), to_commit))

    async def begin(self, step: Step) -> Step:
        return self._inside(await self._steps.begin(self._outside(step)))

    async def outcome(self, step: Step) -> Step:
        return self._inside(await self._steps.outcome(self._outside(step)))

    def _outside(self, step: Step) -> Step:
        return replace(step, name=self._prefix + step.name)

    def _inside(self, step: Step) -> Step:
        return replace(step, name=step.name.removeprefix(self._prefix))


async def call_agent(
    call: NodeCall, log: StepLog, invoke: Invoke, target: str, prompt: Json, ordinal: int
) -> NodeResult:
    """What an agent gives that another one, in ``call``, calls for the ``ordinal``-th time. What it uses counts for the
    other one. Raises `NodeError`, `Deferred`, `GoesOn`."""
    prefix = f"agent:{target}.{ordinal}/"
    own = {id.removeprefix(prefix): said for id, said in call.answers.items() if id.startswith(prefix)}
    inner = replace(
        call,
        target=target,
        inputs={},
        prompt=str(prompt),
        idempotency_key=f"{call.idempotency_key}:{prefix}",
        within=call.within + prefix,
        output_schema=None,
        output_fields=None,
        meter=Meter(),
        late=Late(),
        steps=NestedSteps(call.steps, log, prefix),
        answers=own,
        sessions=None,  # a call has no inputs that could name one
        make_call_token=lambda id: call.make_call_token(prefix + id),
    )
    try:
        result = await invoke(inner)
    finally:
        call.meter.usage = total((call.meter.usage, inner.meter.usage))
        call.meter.steps += inner.meter.steps
    if result.waits:
        raise Deferred(*(replace(wait, id=prefix + wait.id) for wait in result.waits))
    if result.goes_on:
        raise GoesOn
    return result


def is_told(error: NodeError) -> bool:
    """Whether the calling agent's model is told of the failure, and goes on."""
    return error.type not in NOT_TOLD and not isinstance(error, TransportError)
