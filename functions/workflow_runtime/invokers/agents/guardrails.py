"""The checks of one run of an agent: of its message, of its output, of the arguments of its calls.

An expression or a schema says at once whether all is well, and says the same in a replay. A tool or an agent that
checks is called, and what it says is a step. Whatever cannot be checked has not passed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine.awaited import Wait
from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.agents.definition import AgentDefinition
from workflow_runtime.invokers.agents.guardrail_entries import Guardrail
from workflow_runtime.invokers.agents.step_log import StepLog
from workflow_runtime.invokers.agents.turns import hash_of
from workflow_runtime.invokers.agents.waits import GUARDRAIL, Deferred
from workflow_runtime.invokers.invocation import Late, Meter, NodeCall, NodeResult
from workflow_runtime.invokers.steps import NOT_RECORDED
from workflow_runtime.invokers.usage import total
from workflow_runtime.language.expressions import EvaluationError, Scope, compile_expression
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.schemas import schema_problems
from workflow_runtime.language.texts import quoted
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.storage.steps import Step

FAILED = "guardrail_failed"
RETRIES = 2  # of a guardrail that does not say
VERDICT = {
    "type": "object",
    "required": ["ok"],
    "properties": {
        "ok": {"type": "boolean", "description": "Whether the value is fit."},
        "reason": {"type": "string", "description": "Why it is not."},
        "value": {"description": "What to take in its place, if something else is fit."},
    },
}
"""What an agent that checks is asked for, and a tool may give; a tool may also give just true or false."""

Invoke = Callable[[NodeCall], Awaitable[NodeResult]]


class Verdict(msgspec.Struct, frozen=True):
    """``value``: what the checker would have in place of what it has checked; unset: nothing."""

    ok: bool
    reason: str = ""
    value: Json | msgspec.UnsetType = msgspec.UNSET


class AskAgain(Exception):
    """The model is to be told the reason, and asked again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class AskPerson(Exception):
    """Somebody has to approve first, because of the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Guard:
    """``tools``, ``agents``: what calls those that check. ``meter``: takes what the agents among them have used."""

    def __init__(
        self, agent: AgentDefinition, call: NodeCall, log: StepLog, tools: Invoke, agents: Invoke, meter: Meter
    ) -> None:
        self._guardrails = agent.guardrails
        self._rules = agent.rules
        self._call = call
        self._log = log
        self._invokes = {"tool": (NodeType.TOOL, tools), "agent": (NodeType.AGENT, agents)}
        self._meter = meter
        self._asked_again: Counter[str] = Counter()

    @property
    def retries(self) -> int:
        """How often the model may be asked again, by all guardrails of the output together."""
        return sum(guardrail.max or RETRIES for guardrail in self._guardrails.output if guardrail.on_fail == "retry")

    async def message(self, message: str) -> str:
        """The message to the model, or what a guardrail puts in its place. Raises `Deferred`, `NodeError`."""
        for number, guardrail in enumerate(self._guardrails.input):
            checked = await self._passed(f"input[{number}]", guardrail, message, {"message": message})
            message = checked if isinstance(checked, str) else msgspec.json.encode(checked).decode()
        return message

    async def output(self, output: Json) -> Json:
        """The output, or what a guardrail puts in its place. Raises `AskAgain`, `Deferred`, `NodeError`."""
        for number, guardrail in enumerate(self._guardrails.output):
            output = await self._passed(f"output[{number}]", guardrail, output, {"output": output})
        return output

    async def arguments(self, tool: str, arguments: dict[str, Json], steps: list[Json]) -> tuple[dict[str, Json], bool]:
        """Those of a call, or what a guardrail puts in their place; and whether somebody has to approve it first.
        ``steps``: the calls before it, ``{tool, args}``. Raises `AskAgain`: the call is not made, and the model is told
        why; `NodeError`."""
        asks = False
        names: dict[str, Json] = {"args": arguments, "steps": steps}
        for rule in self._rules:
            if rule.deny == tool and _value(rule.when, {"inputs": self._call.inputs, **names}) is not False:
                raise AskAgain(rule.message or f"a rule denies this call: {quoted(rule.when)}")
        for number, guardrail in enumerate(self._guardrails.tools.get(tool, ())):
            place = f"tools.{tool}[{number}]"
            seen: dict[str, Json] = {"args": arguments, "steps": steps}
            try:
                checked = await self._checked(place, guardrail, arguments, seen, ordinal=len(steps) + 1)
            except AskPerson:
                asks = True
                continue
            if not isinstance(checked, dict):
                raise self._failed(place, "the arguments that were given in place of the call's are not an object")
            arguments = checked
        return arguments, asks or self._wants_approval(tool, arguments, steps)

    def _wants_approval(self, tool: str, arguments: dict[str, Json], steps: list[Json]) -> bool:
        """Whether a rule has somebody approve the call first; one that cannot be evaluated does."""
        names: dict[str, Json] = {"inputs": self._call.inputs, "args": arguments, "steps": steps}
        return any(rule.before == tool and _value(rule.when, names) is not False for rule in self._rules)

    async def _passed(self, place: str, guardrail: Guardrail, value: Json, names: Mapping[str, Json]) -> Json:
        """What is checked, or what is to be taken in its place, if need be as somebody says who was asked."""
        try:
            return await self._checked(place, guardrail, value, names)
        except AskPerson as asked:
            return await self._as_people_say(place, value, asked.reason)

    async def _as_people_say(self, place: str, value: Json, reason: str) -> Json:
        digest = hash_of(value)
        step = Step(name=f"approval:{place}", ordinal=self._log.next_of(f"approval:{place}"), fingerprint=digest)
        found = self._log.find(step.name, step.ordinal)
        if found is None:
            id = f"{GUARDRAIL}:{place}#{step.ordinal}.{digest}"
            said = self._call.answers.get(id)
            if said is None:
                what = "told" if place.startswith("input") else "giving"
                prompt = f"The agent {self._call.target} is {what} what did not pass a check: {reason}"
                shown = self._call.mask.value(value)
                raise Deferred(Wait(id, GUARDRAIL, self._call.target, shown, prompt=self._call.mask.text(prompt)))
            result = {"approved": said.approved, "by": said.by, "comment": said.comment}
            changed = {} if said.value is msgspec.UNSET else {"value": said.value}
            found = await self._log.record(replace(step, result={**result, **changed}))
        self._log.check(found, step, _difference)
        answer: Any = found.result
        if not answer["approved"]:
            because = f": {answer['comment']}" if answer["comment"] else ""
            raise self._failed(place, f"{answer['by'] or 'somebody'} rejected it{because}")
        taken: Json = answer.get("value", value)
        return taken

    async def _checked(
        self, place: str, guardrail: Guardrail, value: Json, names: Mapping[str, Json], ordinal: int | None = None
    ) -> Json:
        """``ordinal``: of the check among those at its place, where several are made at once."""
        verdict = await self._verdict(place, guardrail, value, {"inputs": self._call.inputs, **names}, ordinal)
        if verdict.ok:
            return value
        if guardrail.on_fail == "fix" and verdict.value is not msgspec.UNSET:
            return verdict.value
        if guardrail.on_fail == "human":
            raise AskPerson(guardrail.message or verdict.reason)
        reason = guardrail.message or verdict.reason
        if guardrail.on_fail == "retry" and self._asked_again[place] < (guardrail.max or RETRIES):
            self._asked_again[place] += 1
            raise AskAgain(reason)
        raise self._failed(place, reason)

    def _failed(self, place: str, reason: str) -> NodeError:
        return NodeError(FAILED, self._call.mask.text(f"agent {self._call.target!r}: guardrails.{place}: {reason}"))

    async def _verdict(
        self, place: str, guardrail: Guardrail, value: Json, names: dict[str, Json], ordinal: int | None
    ) -> Verdict:
        check = guardrail.check
        match check.kind:
            case "expression":
                assert check.expression is not None
                held = _value(check.expression, names)
                unheld = f"{quoted(check.expression)} does not hold"
                return Verdict(held is True, unheld if isinstance(held, bool) else held)
            case "schema":
                problems = schema_problems(check.schema_, value)
                return Verdict(not problems, "; ".join(problems))
            case kind:
                target = check.tool or check.agent
                assert target is not None
                return await self._asked(place, kind, target, value, ordinal)

    async def _asked(self, place: str, kind: str, target: str, value: Json, ordinal: int | None) -> Verdict:
        name = f"guardrail:{place}"
        asked = Step(name=name, ordinal=ordinal or self._log.next_of(name), fingerprint=hash_of(value))

        async def do() -> Step:
            return replace(asked, result=self._call.mask.value(await self._called(place, kind, target, value)))

        said = (await self._log.take(asked, do, _difference)).result
        if isinstance(said, bool):
            return Verdict(said, f"the {kind} {target!r} refuses it")
        if isinstance(said, dict) and isinstance(said.get("ok"), bool):
            reason = str(said.get("reason") or f"the {kind} {target!r} refuses it")
            return Verdict(said["ok"], reason, said.get("value", msgspec.UNSET))
        return Verdict(False, f"the {kind} {target!r} says neither true nor false")

    async def _called(self, place: str, kind: str, target: str, value: Json) -> Json:
        type, invoke = self._invokes[kind]
        meter = Meter()
        call = replace(
            self._call,
            type=type,
            target=target,
            inputs={"value": value},
            idempotency_key=f"{self._call.idempotency_key}:{place}:{hash_of(value)}",
            prompt=None,
            output_schema=VERDICT if kind == "agent" else None,
            output_fields=None,
            meter=meter,
            late=Late(),
            steps=NOT_RECORDED,
            serial=1,
            visit=1,
            log=0,
            sessions=None,
        )
        try:
            return (await invoke(call)).output
        except NodeError as error:
            message = f"guardrails.{place}: the {kind} {target!r} has not checked: {error.message}"
            raise NodeError(error.type, message, error.retry_after) from None
        finally:
            self._meter.usage = total((self._meter.usage, meter.usage))


def _value(expression: str, names: dict[str, Json]) -> bool | str:
    """What the expression says, or why it says nothing."""
    try:
        value = compile_expression(expression).evaluate(Scope(names))
    except EvaluationError as error:
        return f"{quoted(expression)} cannot be evaluated: {error.without_quote()}"
    return value if isinstance(value, bool) else f"{quoted(expression)} is neither true nor false"


def _difference(recorded: Json, asked: Json) -> str:
    return f"recorded: a check of another value ({recorded}; now {asked})"
