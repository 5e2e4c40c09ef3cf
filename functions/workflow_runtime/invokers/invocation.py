"""What running a node means: the call that a worker makes and what comes back. Agents, tools and mocks all speak it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from workflow_runtime.engine.awaited import CallAnswer, Wait
from workflow_runtime.engine.state import Parent
from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.committing import NOTHING_TO_COMMIT, ToCommit
from workflow_runtime.invokers.containment import Outcome
from workflow_runtime.invokers.gate import Beyond, ModelGate, NestedBudget
from workflow_runtime.invokers.live import UNWATCHED, Live
from workflow_runtime.invokers.masking import NOTHING_SECRET, Mask
from workflow_runtime.invokers.steps import NOT_RECORDED, Steps
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.limiters import Budget
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.sdk import Pending

if TYPE_CHECKING:  # few agents remember what was said
    from workflow_runtime.invokers.sessions import Said, Sessions

TOKENS = ("input_tokens", "output_tokens")
ORIGIN_KEY = "workflow_runtime"
ASKED_CHARS = 12  # of a hash that tells whether two calls ask the same: 48 bits, among the calls of one node


class Meter(msgspec.Struct):
    """What an attempt has used so far, which counts however it ends: a failed or timed-out one was paid for as well.

    ``usage``: ``{model, input_tokens, output_tokens, requests}``, as far as known; None: nothing. ``steps``: of an
    agent, how many it has recorded. ``asked``: what tells whether another call asks the same (`asked_of`); of an agent
    whose last request is not a step of its own, that as ``call``, and the fingerprint of the ``request``.
    """

    usage: dict[str, Json] | None = None
    steps: int = 0
    asked: Json = None

    @property
    def tokens(self) -> int | None:
        """Of input and output together, if they are known."""
        return sum(int(self.usage.get(name) or 0) for name in TOKENS) if self.usage else None


class Stop(msgspec.Struct):
    """Whether an attempt is wanted no more: its execution was cancelled, its node's branch was, or its time is over."""

    requested: bool = False


class Late:
    """What an attempt's code came to after the attempt was over, for whoever wants to know that then. All of it happens
    in the event loop of the attempt."""

    __slots__ = ("_listener", "_outcome")

    def __init__(self) -> None:
        self._outcome: Outcome[NodeResult] | None = None
        self._listener: Callable[[Outcome[NodeResult]], None] | None = None

    def came(self, outcome: Outcome[NodeResult]) -> None:
        """The code has come to an end, of which nobody has heard. That it was stopped is nothing to tell."""
        if isinstance(outcome.error, asyncio.CancelledError):
            return
        self._outcome = outcome
        if self._listener is not None:
            self._listener(outcome)

    def listen(self, listener: Callable[[Outcome[NodeResult]], None]) -> None:
        """Have the listener told, at once if it came already."""
        self._listener = listener
        if self._outcome is not None:
            listener(self._outcome)


Reveal = Callable[[str], Awaitable[tuple[str, Mask]]]


async def reveal_nothing(name: str) -> tuple[str, Mask]:
    """Of a runtime without secrets."""
    raise NodeError("not_found", f"there is no secret {name!r}")


async def _unknown_schema(_: str) -> Json:
    return {"type": "object"}


class NodeSession(msgspec.Struct, frozen=True):
    """What a node says of the session of its agent: its ``name`` (unset: the agent says it), what a visit does while
    others work on it (``on_busy``, "": the agent says it), or that there is none."""

    name: Json = msgspec.UNSET
    on_busy: str = ""
    is_none: bool = False


OF_AGENT = NodeSession()
"""All as the agent says."""


class NodeCall(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of one agent or tool node, inputs rendered.

    ``target`` is the agent's or tool's id. ``idempotency_key`` is the same for all attempts of one visit. ``deadline``
    is epoch ms; the runner enforces it, a callee may use it to plan. ``output_fields``: fields an agent without
    ``output_schema`` must return. ``hops``: executions that passed on the event which led to this call.
    ``correlation_id``: what brought the execution about; ``limit_fences``: by limiter that let it begin, a number
    larger than those of all calls that it let begin before; ``parent``: what started it, if another execution did.
    ``live``: where an agent tells what it writes. ``meter`` is written by the callee, ``stop`` by the runner; ``late``
    by whoever stops waiting for code that goes on.
    ``make_token``: the attempt's task token, made when it is first asked for. ``reveal``: a secret by its name, and
    the mask that hides it, too; raises `NodeError` (``not_found``). ``gate``: asked before each request of a
    model, if anything limits their tokens or money; ``within``: names the call of an agent among those of the
    attempt's own, ``budgets``: of the agents around it there. ``mask`` hides what is secret in the inputs from whoever
    records, logs or shows what came of them.
    ``serial``: of the run, ``visit``: of the first one of its visit; ``log``: how often the visit has begun anew;
    ``steps``: where an agent's steps in it are recorded; ``answers``: what its calls have waited for, by call;
    ``is_ending``: whether the time of this run is nearly up, or nobody wants it any more, so that nothing begins in it;
    ``make_call_token``: the task token of a call; ``workflow_schema``: gives the schema of a workflow's input.
    ``sessions``: where what was said in visits before is kept; None: nothing is, of this call. ``session``: which of
    them the node wants.
    """

    type: NodeType
    target: str
    inputs: dict[str, Json]
    execution_id: str
    workflow_id: str
    path: str
    attempt: int
    idempotency_key: str
    deadline: int
    prompt: str | None = None
    output_schema: Json = None
    output_fields: tuple[str, ...] | None = None
    hops: int = 0
    correlation_id: str = ""
    parent: Parent | None = None
    limit_fences: dict[str, int] = {}
    meter: Meter = msgspec.field(default_factory=Meter)
    stop: Stop = msgspec.field(default_factory=Stop)
    late: Late = msgspec.field(default_factory=Late)
    mask: Mask = NOTHING_SECRET
    make_token: Callable[[], str] = lambda: ""
    reveal: Reveal = reveal_nothing
    gate: ModelGate | None = None
    within: str = ""
    budgets: tuple[NestedBudget, ...] = ()
    live: Live = UNWATCHED
    serial: int = 1
    visit: int = 1
    log: int = 0
    steps: Steps = NOT_RECORDED
    answers: dict[str, CallAnswer] = {}
    is_ending: Callable[[], bool] = lambda: False
    make_call_token: Callable[[str], str] = lambda _: ""
    workflow_schema: Callable[[str], Awaitable[Json]] = _unknown_schema
    sessions: Sessions | None = None
    session: NodeSession = OF_AGENT


def asked_of(mask: Mask, target: str, prompt: str | None, inputs: Json) -> str:
    """What tells whether two calls ask the same: a hash, of what is not secret."""
    asked = msgspec.json.encode([target, mask.value(prompt), mask.value(inputs)], order="deterministic")
    return hashlib.sha256(asked).hexdigest()[:ASKED_CHARS]


def origin(execution_id: str, workflow_id: str, hops: int, correlation_id: str) -> dict[str, Json]:
    """What an event that an execution publishes carries in its detail: circles of events end by it, and executions that
    the event starts have the same correlation id.
    """
    mark: dict[str, Json] = {"execution_id": execution_id, "workflow_id": workflow_id, "hops": hops}
    return {ORIGIN_KEY: {**mark, "correlation_id": correlation_id}}


class NodeResult(msgspec.Struct, frozen=True):
    """What an attempt returned. ``warnings``: what people should know of it, although it succeeded. ``pending``: it has
    not: somebody is to complete its task token. ``goes_on``: an agent has not, it goes on in another run, once all that
    its calls wait for (``waits``) is in. ``is_shaped``: the output is the node's already, as its ``outputs`` says.
    ``said``: what is to be remembered of it in the agent's session. ``to_commit``: with its record."""

    output: Json
    warnings: tuple[str, ...] = ()
    pending: Pending | None = None
    goes_on: bool = False
    waits: tuple[Wait, ...] = ()
    is_shaped: bool = False
    said: Said | None = None
    to_commit: ToCommit = NOTHING_TO_COMMIT


class Invoker(Protocol):
    """Runs calls of one node type. Raises `NodeError` for a failed attempt; anything else counts as
    ``execution_error``.
    """

    @property
    def abandoned(self) -> int:
        """Calls that still run although their attempt is over."""

    def limiters(self, target: str) -> Sequence[str]:
        """Names of limiters that hold every call of this target, if there are such."""

    def budget(self, target: str) -> Budget | None:
        """What the models of one visit of this target may cost, if that is limited."""

    def beyond(self, target: str) -> Beyond:
        """What its requests of models may be held to beside that."""

    async def invoke(self, call: NodeCall) -> NodeResult: ...


class InvokerAround:
    """Base of invokers that stand before another one: what they do not say themselves, that one says."""

    def __init__(self, invoker: Invoker) -> None:
        self._invoker = invoker

    @property
    def abandoned(self) -> int:
        return self._invoker.abandoned

    def limiters(self, target: str) -> Sequence[str]:
        return self._invoker.limiters(target)

    def budget(self, target: str) -> Budget | None:
        return self._invoker.budget(target)

    def beyond(self, target: str) -> Beyond:
        return self._invoker.beyond(target)
