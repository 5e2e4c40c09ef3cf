"""Tool calls of an agent as steps, with a ledger of effects.

What a tool came to is recorded, a failure too: the model is told of it, and a replay tells it the same. A call that
must not happen twice (`Effects.ONCE`) is recorded before it begins; one that was begun and never ended may have
happened, and the agent's ``on_unknown`` says what to do then.
"""

from __future__ import annotations

import time
from typing import Any

from msgspec.structs import replace

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.agents.offers import Offer
from workflow_runtime.invokers.agents.step_log import StepLog
from workflow_runtime.invokers.agents.turns import Place
from workflow_runtime.invokers.invocation import Invoker, Late, Meter, NodeCall
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.catalogue import Effects
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.storage.steps import Step

VALUE, FAILED, WRONG = "value", "failed", "wrong"
"""What a call came to: a value; a failure; or a failure because of its arguments, which the model can set right."""


class ToolCalls:
    """Makes the calls of one run of an agent, ``call``. ``warnings``: what tools have told people."""

    def __init__(self, call: NodeCall, log: StepLog, invoker: Invoker) -> None:
        self._call = call
        self._log = log
        self._invoker = invoker
        self.warnings: list[str] = []

    async def make(self, offer: Offer, arguments: dict[str, Json], place: Place) -> dict[str, Json]:
        """What a call came to, by `VALUE`, `FAILED` or `WRONG`. Raises `NodeError`."""
        if offer.limit is not None and place.ordinal > offer.limit:
            calls = "1 call" if offer.limit == 1 else f"{offer.limit} calls"
            return {FAILED: f"budget_exceeded: only {calls} of this tool may be made, and none is left"}
        asked = Step(name=f"tool:{offer.id}", ordinal=place.ordinal, fingerprint=place.arguments)
        step = self._log.find(asked.name, asked.ordinal)
        if step is not None and step.done:
            self._log.check(step, asked, _difference)
        else:
            step = await self._step(offer, arguments, place, asked, step)
        result: Any = step.result
        self.warnings += result.get("warnings", ())
        return result  # type: ignore[no-any-return]

    async def _step(
        self, offer: Offer, arguments: dict[str, Json], place: Place, asked: Step, begun: Step | None
    ) -> Step:
        if offer.effects is Effects.ONCE:
            earlier = begun or self._log.made_before(asked, place.same)
            asked = replace(asked, arguments=arguments)
            if earlier is None:
                counts = await self._log.begin(replace(asked, done=False, serial=self._call.serial))
                # Who came first has lost its worker, or just seems to: it has until its lease ends.
                earlier = await self._log.outcome(counts) if counts.serial != self._call.serial else None
            if earlier is not None:
                if earlier.done:
                    return await self._log.record(replace(asked, result=earlier.result))
                self._decide(offer)
        began = time.monotonic()
        result = await self._made(offer, arguments, place)
        milliseconds = round((time.monotonic() - began) * 1000)
        return await self._log.record(replace(asked, result=result, milliseconds=milliseconds))

    def _decide(self, offer: Offer) -> None:
        """Whether a call may be made that was begun before, and may have happened. Raises `NodeError`."""
        if offer.on_unknown == "retry":
            return
        message = f"a worker was lost while it called the tool {offer.id!r}: nobody knows whether that happened"
        raise NodeError("effect_unknown", message)

    async def _made(self, offer: Offer, arguments: dict[str, Json], place: Place) -> dict[str, Json]:
        call = replace(
            self._call,
            type=NodeType.TOOL,
            target=offer.id,
            inputs=arguments,
            idempotency_key=f"{self._call.idempotency_key}:{offer.id}:{place.arguments}:{place.same}",
            prompt=None,
            output_schema=None,
            output_fields=None,
            meter=Meter(),
            late=Late(),
        )
        try:
            result = await self._invoker.invoke(call)
        except NodeError as error:
            kind = WRONG if error.type == "validation_error" else FAILED
            return {kind: self._call.mask.text(f"{error.type}: {error.message}")}
        value = {VALUE: self._call.mask.value(result.output)}
        return {**value, "warnings": list(result.warnings)} if result.warnings else value


def _difference(recorded: Json, asked: Json) -> str:
    return f"recorded: a call with the arguments {recorded}; now: one with {asked} (hashes)"
