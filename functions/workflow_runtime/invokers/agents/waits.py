"""What a call of an agent waits for before it is made, or for its end: people, a task token.

Each wait has an id, made of what is asked and of the arguments at hand; an answer is taken by that id. So an answer is
for this one call with these arguments, whatever else the agent asks in the visit, and whatever became of its worker.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from workflow_runtime.engine.awaited import CallAnswer, Wait
from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.agents.offers import Offer
from workflow_runtime.invokers.agents.questions import question
from workflow_runtime.invokers.agents.turns import Place
from workflow_runtime.invokers.invocation import NodeCall
from workflow_runtime.language.expressions import EvaluationError, Scope
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.calls import ONCE
from workflow_runtime.plan.catalogue import Effects

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
    """What people say to a call that is about to be made. Raises `Deferred`, `NodeError`."""
    id = wait_id(APPROVE, offer, place)
    if id not in call.answers:
        asked = question(call, offer, arguments)
        prompt = asked.prompt or f"The agent {call.target} asks to call {offer.id}."
        raise Deferred(replace(asked, id=id, kind=APPROVE, data=arguments, prompt=prompt))
    return call.answers[id]


def effect(call: NodeCall, offer: Offer, arguments: dict[str, Json], place: Place, number: int) -> CallAnswer:
    """What people say of a call that may have happened: those who approve such calls, without their form, their words
    and their time. Raises `Deferred`, `NodeError`."""
    id = wait_id(EFFECT, offer, place, number)
    if id not in call.answers:
        prompt = (
            f"A worker was lost while the agent {call.target} called {offer.id}. Approve if the call has happened: it "
            "is not made again, and the agent is told `result`. Reject if it has not: it is made now."
        )
        shown = {"arguments": arguments, "result": None}
        asked = question(call, offer, arguments)
        rules = replace(asked.rules, form=None) if asked.rules is not None else None
        raise Deferred(replace(asked, id=id, kind=EFFECT, data=shown, prompt=prompt, rules=rules, timeout=0))
    return call.answers[id]


def check_refusal(offer: Offer, said: CallAnswer) -> None:
    """Raises `NodeError` (``rejected``, ``timeout``) where a call that is not approved fails the attempt."""
    if said.error is not None and offer.approval.on_timeout == "fail":
        raise NodeError(said.error.type, f"the call of {offer.id!r}: {said.error.message}")
    if said.error is None and not said.approved and offer.approval.on_reject == "fail":
        raise NodeError("rejected", f"the call of {offer.id!r}: {rejection(said).removeprefix('rejected: ')}")


def rejection(said: CallAnswer) -> str:
    if said.error is not None:
        return said.error.text
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
        raise Deferred(Wait(id, NODE, f"{kind}:{offer.id}", arguments, terms=offer.terms))
    return call.answers[id]


def completion(call: NodeCall, offer: Offer, place: Place, token: Any) -> CallAnswer:
    """What somebody completes the task token of a call with. Raises `Deferred`."""
    id = wait_id(CALLBACK, offer, place)
    if id not in call.answers:
        times = {"timeout": token["timeout"], "heartbeat": token["heartbeat"]}
        raise Deferred(Wait(id, CALLBACK, offer.id, task=token["task"], **times))
    return call.answers[id]
