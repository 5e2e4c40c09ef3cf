"""Tool calls of an agent as steps, with a ledger of effects.

What a tool came to is recorded, a failure too: the model is told of it, and a replay tells it the same. A call that
must not happen twice (`Effects.ONCE`) is recorded before it begins; one that was begun and never ended may have
happened, and the tool's ``on_unknown`` says what to do then.
"""

from __future__ import annotations

import time
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from workflow_runtime.engine.awaited import CallAnswer
from workflow_runtime.errors import NodeError, WrongArguments, error_text
from workflow_runtime.invokers.agents import waits
from workflow_runtime.invokers.agents.nested import Invoke, call_agent, is_told
from workflow_runtime.invokers.agents.offers import AGENT, SCHEMA, WORKFLOW, Offer
from workflow_runtime.invokers.agents.step_log import StepLog
from workflow_runtime.invokers.agents.turns import Place
from workflow_runtime.invokers.committing import NOTHING_TO_COMMIT, ToCommit
from workflow_runtime.invokers.invocation import Invoker, Late, Meter, NodeCall
from workflow_runtime.invokers.steps import OffRecord
from workflow_runtime.invokers.tokens import said_times
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.schemas import schema_problems
from workflow_runtime.plan.catalogue import Effects
from workflow_runtime.plan.specs import CallbackPlan, NodeType
from workflow_runtime.ports import EffectRefused
from workflow_runtime.sdk import Pending
from workflow_runtime.storage.steps import Step
from workflow_runtime.storage.tasks import hash_of

VALUE, FAILED, WRONG, PENDING = "value", "failed", "wrong", "pending"
"""What a call came to: a value; a failure; a failure because of its arguments, which the model can set right; or a task
token that somebody is to complete."""

HAPPENED = "The call was made. What it gave is not known."
AGAIN_MAX = 1_000  # calls that are made again because people said that they had not happened, of one call


class ToolCalls:
    """Makes the calls of one run of an agent, ``call``: of tools by ``invoker``, of other ``agents``. ``warnings``:
    what those have told people."""

    def __init__(self, call: NodeCall, log: StepLog, invoker: Invoker, agents: Invoke) -> None:
        self._call = call
        self._log = log
        self._invoker = invoker
        self._agents = agents
        self.warnings: list[str] = []

    async def make(
        self, offer: Offer, arguments: dict[str, Json], place: Place, *, must_be_approved: bool
    ) -> dict[str, Json]:
        """What a call came to, by `VALUE`, `FAILED` or `WRONG`. Raises `Deferred`, `GoesOn`, `NodeError`."""
        if offer.limit is not None and place.ordinal - place.denied > offer.limit:
            calls = "1 call" if offer.limit == 1 else f"{offer.limit} calls"
            return {FAILED: f"budget_exceeded: only {calls} of this tool may be made, and none is left"}
        asked = Step(name=f"{offer.kind}:{offer.id}", ordinal=place.ordinal, fingerprint=place.arguments)
        step = self._log.find(asked.name, asked.ordinal)
        if step is not None and step.done:
            self._log.check(step, asked, _difference)
        else:
            if step is None and (must_be_approved or offer.as_node) and (problems := _misfits(offer, arguments)):
                return {WRONG: problems}
            if step is None and must_be_approved:
                arguments, refused = self._approved(offer, arguments, place)
                step = await self._log.record(replace(asked, result={FAILED: refused})) if refused else None
            step = step if step is not None and step.done else await self._step(offer, arguments, place, asked, step)
        if PENDING in step.result:
            step = await self._completed(offer, place, step)
        result: Any = step.result
        self.warnings += result.get("warnings", ())
        return result  # type: ignore[no-any-return]

    def _approved(self, offer: Offer, arguments: dict[str, Json], place: Place) -> tuple[dict[str, Json], str]:
        """The arguments as they were approved, and why the call is not made, if it is not. Raises `Deferred`,
        `NodeError`."""
        said = waits.approval(self._call, offer, arguments, place)
        waits.check_refusal(offer, said)
        changed = waits.arguments_after(said, arguments)
        if not said.approved:
            return arguments, waits.rejection(said)
        return changed or {}, "" if changed is not None else "rejected: the approver's arguments are not an object"

    async def _step(
        self, offer: Offer, arguments: dict[str, Json], place: Place, asked: Step, begun: Step | None
    ) -> Step:
        if offer.kind == WORKFLOW:
            said = waits.execution(self._call, offer, arguments, place)
            return await self._log.record(replace(asked, result=self._said(said)))
        if begun is not None and isinstance(begun.arguments, dict):
            arguments = begun.arguments  # as they were approved
        self._log.check_time()
        if offer.as_node:
            return await self._as_node(offer, arguments, place, asked, begun)
        if offer.effects is Effects.ONCE:
            asked = replace(asked, arguments=arguments)
            result = await self._unless_made(offer, place, asked, begun)
            if result is not None:
                return await self._log.record(replace(asked, result=result))
        began = time.monotonic()
        if offer.kind == AGENT:
            result, to_commit = await self._asked_agent(offer, arguments, place), NOTHING_TO_COMMIT
        else:
            result, to_commit = await self._made(offer, arguments, place)
        asked = replace(asked, milliseconds=round((time.monotonic() - began) * 1000))
        try:
            return await self._log.record(replace(asked, result=result), to_commit)
        except EffectRefused as error:  # neither the effect nor the record is there
            refused = {FAILED: self._call.mask.text(error_text(error.type, error.message))}
            return await self._log.record(replace(asked, result=refused))

    # ---- calls that must not happen twice

    async def _unless_made(self, offer: Offer, place: Place, asked: Step, begun: Step | None) -> Json:
        """What such a call came to, if it was made before; None: it is to be made now, and is recorded as begun."""
        earlier = begun or self._log.made_before(asked, place.same)
        if earlier is None and offer.commits:
            return None  # it happens when it is recorded, so nobody need know that it begins
        if earlier is None:
            counts = await self._log.begin(replace(asked, done=False))
            if counts.serial in (0, self._call.serial):
                return None
            # Who came first has lost its worker, or just seems to: it has until its lease ends.
            earlier = await self._log.outcome(counts)
        if earlier.done:
            return earlier.result
        if offer.on_unknown == "retry":
            return None
        if offer.on_unknown == "fail":
            raise self._unknown(offer)
        return await self._as_people_say(offer, place, asked)

    async def _as_people_say(self, offer: Offer, place: Place, asked: Step) -> Json:
        """Each answer that it has not happened lets the call be made once: that is recorded before it is."""
        for number in range(AGAIN_MAX):
            again = Step(name=f"again:{offer.id}", ordinal=place.ordinal * AGAIN_MAX + number)
            if self._log.find(again.name, again.ordinal) is not None:
                continue
            arguments: Any = asked.arguments
            said = waits.effect(self._call, offer, arguments, place, number)
            if said.approved:
                return _happened(said)
            counts = await self._log.begin(again)
            if counts.serial in (0, self._call.serial):
                return None
        raise NodeError("effect_unknown", f"the tool {offer.id!r} was lost {AGAIN_MAX:,} times during one call")

    # ---- calls that are nodes

    async def _as_node(
        self, offer: Offer, arguments: dict[str, Json], place: Place, asked: Step, begun: Step | None
    ) -> Step:
        """The call made by an execution of its own. One that must not happen twice is recorded before that begins: in
        another log of the visit, it may have happened."""
        is_once = offer.effects is Effects.ONCE
        may_have_happened = False
        if is_once and begun is None:
            asked = replace(asked, arguments=arguments)
            earlier = self._log.made_before(asked, place.same)
            if earlier is not None and earlier.done:
                return await self._log.record(replace(asked, result=earlier.result))
            may_have_happened = earlier is not None
            await self._log.begin(replace(asked, done=False))
        for number in range(AGAIN_MAX):
            if not may_have_happened:
                said = waits.node(self._call, offer, arguments, place, number)
                if not is_once or said.error is None or said.error.type != "worker_lost":
                    return await self._log.record(replace(asked, result=self._said(said)))
            may_have_happened = False
            if offer.on_unknown == "fail":
                raise self._unknown(offer)
            if offer.on_unknown == "ask":
                answer = waits.effect(self._call, offer, arguments, place, number)
                if answer.approved:
                    return await self._log.record(replace(asked, result=_happened(answer)))
        raise NodeError("effect_unknown", f"the tool {offer.id!r} was lost {AGAIN_MAX:,} times during one call")

    def _unknown(self, offer: Offer) -> NodeError:
        message = f"a worker was lost while it called the tool {offer.id!r}: nobody knows whether that happened"
        return NodeError("effect_unknown", message)

    # ---- the call itself

    async def _made(self, offer: Offer, arguments: dict[str, Json], place: Place) -> tuple[dict[str, Json], ToCommit]:
        """What a call came to, and what is to be committed with that."""
        token = CallToken(self._call, waits.wait_id(waits.CALLBACK, offer, place))
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
            make_token=token,
        )
        try:
            result = await self._invoker.invoke(call)
        except OffRecord:
            raise
        except NodeError as error:
            kind = WRONG if isinstance(error, WrongArguments) else FAILED
            return {kind: self._call.mask.text(error_text(error.type, error.message))}, NOTHING_TO_COMMIT
        if result.pending is not None:
            return {PENDING: token.pending(offer.id, result.pending)}, result.to_commit
        value = {VALUE: self._call.mask.value(result.output)}
        if result.warnings:
            value["warnings"] = list(result.warnings)
        return value, result.to_commit

    async def _asked_agent(self, offer: Offer, arguments: dict[str, Json], place: Place) -> dict[str, Json]:
        if problems := schema_problems(SCHEMA, arguments):
            return {WRONG: "; ".join(problems)}
        try:
            result = await call_agent(self._call, self._log, self._agents, offer.id, arguments["prompt"], place.ordinal)
        except NodeError as error:
            if not is_told(error):
                raise
            return {FAILED: self._call.mask.text(error_text(error.type, error.message))}
        value = {VALUE: self._call.mask.value(result.output)}
        return {**value, "warnings": list(result.warnings)} if result.warnings else value

    async def _completed(self, offer: Offer, place: Place, step: Step) -> Step:
        """The step with which the call ends whose token somebody is to complete."""
        result: Any = step.result
        ended = Step(name=f"end:{offer.id}", ordinal=place.ordinal)
        found = self._log.find(ended.name, ended.ordinal)
        if found is not None:
            return found
        said = waits.completion(self._call, offer, place, result[PENDING])
        return await self._log.record(replace(ended, result=self._said(said)))

    def _said(self, said: CallAnswer) -> dict[str, Json]:
        """What a call came to that somebody else has ended."""
        if said.error is not None:
            return {FAILED: self._call.mask.text(said.error.text)}
        return {VALUE: self._call.mask.value(said.value if said.value is not UNSET else None)}


def _happened(said: CallAnswer) -> dict[str, Json]:
    """What a call came to of which somebody says that it has happened."""
    given = said.value.get("result") if isinstance(said.value, dict) else None
    return {VALUE: HAPPENED if given is None else given}


def _misfits(offer: Offer, arguments: dict[str, Json]) -> str:
    """What is wrong with the arguments, as far as their schema tells."""
    return "; ".join(schema_problems(offer.arguments, arguments)) if offer.arguments is not None else ""


class CallToken:
    """The task token of a call, made when its tool asks for it."""

    def __init__(self, call: NodeCall, id: str) -> None:
        self._call = call
        self._id = id
        self._token = ""

    def __call__(self) -> str:
        self._token = self._token or self._call.make_call_token(self._id)
        return self._token

    def pending(self, tool: str, said: Pending) -> dict[str, Json]:
        """What is recorded of a call that waits for it. Raises `NodeError`."""
        if not self._token:
            hint = "it must hand `context.task_token` to somebody first"
            message = f"the tool {tool!r} returned `pending`, but nobody has its task token: {hint}"
            raise NodeError("execution_error", message)
        timeout, heartbeat = said_times(said, CallbackPlan())
        return {"task": hash_of(self._token), "timeout": timeout, "heartbeat": heartbeat}


def _difference(recorded: Json, asked: Json) -> str:
    return f"recorded: a call with the arguments {recorded}; now: one with {asked} (hashes)"
