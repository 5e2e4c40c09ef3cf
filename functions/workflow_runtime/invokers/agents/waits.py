"""What a call of an agent waits for before it is made, or for its end: people, a task token.

Each wait has an id, made of what is asked and of the arguments at hand; an answer is taken by that id. So an answer is
for this one call with these arguments, whatever else the agent asks in the visit, and whatever became of its worker.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from workflow_runtime.engine.awaited import CallAnswer, Wait
from workflow_runtime.engine.graph.approvals import NAME_CHARS_MAX
from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.agents.offers import Offer
from workflow_runtime.invokers.agents.turns import Place
from workflow_runtime.invokers.invocation import NodeCall
from workflow_runtime.language.expressions import EvaluationError, Scope, compile_template
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.calls import ONCE
from workflow_runtime.plan.catalogue import Effects
from workflow_runtime.plan.specs import PEOPLE_MAX

APPROVE, EFFECT, CALLBACK, WORKFLOW, NODE = "tool", "effect", "callback", "workflow", "node"
GUARDRAIL = "guardrail"


class Deferred(Exception):
    """A call cannot go on in this run: it ``waits``."""

    def __init__(self, *waits: Wait) -> None:
        super().__init__()
        self.waits = waits


def wait_id(kind: str, offer: Offer, place: Place, number: int = 0) -> str:
    """``number``: how often the same was asked before."""
    id = f"{kind}:{offer.id}#{place.ordinal}.{place.arguments}"
    return f"{id}.{number}" if number else id


def needs_approval(offer: Offer, arguments: dict[str, Json], steps: list[Json]) -> bool:
    """Whether somebody has to approve the call. Raises `NodeError`."""
    if offer.approve is None:
        return False
    try:
        return bool(offer.approve.evaluate(Scope({"args": arguments, "steps": steps})))
    except EvaluationError as error:
        raise NodeError("execution_error", f"`approve` of the tool {offer.id!r}: {error}") from None


def approval(call: NodeCall, offer: Offer, arguments: dict[str, Json], place: Place) -> CallAnswer:
    """What people say to a call that is about to be made. Raises `Deferred`."""
    id = wait_id(APPROVE, offer, place)
    if id not in call.answers:
        prompt = f"The agent {call.target} asks to call {offer.id}."
        asked = _assignees(call, offer, arguments)
        timeout = offer.approval_seconds * 1000
        raise Deferred(Wait(id, APPROVE, offer.id, arguments, prompt=prompt, assignees=asked, timeout=timeout))
    return call.answers[id]


def effect(call: NodeCall, offer: Offer, arguments: dict[str, Json], place: Place, number: int) -> CallAnswer:
    """What people say of a call that may have happened. Raises `Deferred`."""
    id = wait_id(EFFECT, offer, place, number)
    if id not in call.answers:
        prompt = (
            f"A worker was lost while the agent {call.target} called {offer.id}. Approve if the call has happened: it "
            "is not made again, and the agent is told `result`. Reject if it has not: it is made now."
        )
        shown = {"arguments": arguments, "result": None}
        asked = _assignees(call, offer, arguments)
        raise Deferred(Wait(id, EFFECT, offer.id, shown, prompt=prompt, assignees=asked))
    return call.answers[id]


def _assignees(call: NodeCall, offer: Offer, arguments: dict[str, Json]) -> tuple[str, ...]:
    """Who may answer. Raises `NodeError` (``validation_error``)."""
    names: list[str] = []
    for text in offer.assignees:
        try:
            value = compile_template(text).evaluate(Scope({"args": arguments, "inputs": call.inputs}))
        except EvaluationError as error:
            raise NodeError("execution_error", f"`assignees` of the tool {offer.id!r}: {error}") from None
        found = value if isinstance(value, list) else [value]
        if not found or not all(isinstance(name, str) and 0 < len(name.strip()) <= NAME_CHARS_MAX for name in found):
            message = f"`assignees` of the tool {offer.id!r}: {text} names nobody, or is no list of names"
            raise NodeError("validation_error", message)
        names += [str(name).strip() for name in found]
    if len(names) > PEOPLE_MAX:
        raise NodeError("validation_error", f"`assignees` of the tool {offer.id!r} are more than {PEOPLE_MAX}")
    return tuple(dict.fromkeys(names))


def rejection(said: CallAnswer) -> str:
    if said.error is not None:
        return f"{said.error.type}: {said.error.message}"
    because = f": {said.comment}" if said.comment else ""
    return f"rejected: {said.by or 'somebody'} rejected the call{because}"


def arguments_after(said: CallAnswer, arguments: dict[str, Json]) -> dict[str, Json] | None:
    """The arguments as the one who approved would have them; None: what he gave are none."""
    if said.value is UNSET:
        return arguments
    return said.value if isinstance(said.value, dict) else None


def execution(call: NodeCall, offer: Offer, arguments: dict[str, Json], place: Place) -> CallAnswer:
    """How the execution ended that a call stands for. Raises `Deferred`."""
    id = wait_id(WORKFLOW, offer, place)
    if id not in call.answers:
        raise Deferred(Wait(id, WORKFLOW, offer.id, arguments))
    return call.answers[id]


def node(call: NodeCall, offer: Offer, arguments: dict[str, Json], place: Place, number: int) -> CallAnswer:
    """How the execution ended that has made the call, for the ``number``-th time. Raises `Deferred`."""
    id = wait_id(NODE, offer, place, number)
    if id not in call.answers:
        kind = ONCE if offer.effects is Effects.ONCE else offer.kind
        raise Deferred(Wait(id, NODE, f"{kind}:{offer.id}", arguments))
    return call.answers[id]


def completion(call: NodeCall, offer: Offer, place: Place, token: Any) -> CallAnswer:
    """What somebody completes the task token of a call with. Raises `Deferred`."""
    id = wait_id(CALLBACK, offer, place)
    if id not in call.answers:
        times = {"timeout": token["timeout"], "heartbeat": token["heartbeat"]}
        raise Deferred(Wait(id, CALLBACK, offer.id, task=token["task"], **times))
    return call.answers[id]
