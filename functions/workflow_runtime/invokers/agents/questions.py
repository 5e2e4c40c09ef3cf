"""Whom a call of an agent is put before, and by which rules they answer, once its definition's templates are filled."""

from __future__ import annotations

from workflow_runtime.engine.awaited import Rules, Wait
from workflow_runtime.engine.graph.asking import people_of, prompt_of, quorum_of
from workflow_runtime.engine.values.durations import seconds_of
from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.agents.offers import Offer
from workflow_runtime.invokers.invocation import NodeCall
from workflow_runtime.language.expressions import EvaluationError, Scope, compile_template
from workflow_runtime.language.json_values import Json


def question(call: NodeCall, offer: Offer, arguments: dict[str, Json]) -> Wait:
    """What is asked about a call with these arguments, still without its id and what is shown; its form is that of the
    tool's arguments where the definition has none. Raises `NodeError`: ``validation_error``, ``too_large``,
    ``execution_error``."""
    said = offer.approval
    names: dict[str, Json] = {"args": arguments, "inputs": call.inputs}

    def value(field: str) -> Json:
        return _filled(getattr(said, field), names)

    try:
        assignees, later = (
            people_of(value(field), field) if getattr(said, field) is not None else ()
            for field in ("assignees", "escalate_to")
        )
        quorum = quorum_of(value("quorum"), {*assignees, *later})
        escalate_after, timeout = (
            round(seconds_of(value(field)) * 1000) if getattr(said, field) is not None else 0
            for field in ("escalate_after", "timeout")
        )
        prompt = call.mask.text(prompt_of(value("prompt"))) if said.prompt is not None else ""
    except EvaluationError as error:
        raise NodeError("execution_error", f"`approve` of the tool {offer.id!r}: {error.without_quote()}") from None
    except NodeError as error:
        raise NodeError(error.type, f"`approve` of the tool {offer.id!r}: {error.message}") from None
    if any(call.mask.text(name) != name for name in (*assignees, *later)):
        text = f"`approve` of the tool {offer.id!r}: names must not be made of a secret"
        raise NodeError("validation_error", text)
    form = said.form if said.form is not None else offer.arguments
    return Wait(
        id="",
        kind="",
        target=offer.id,
        prompt=prompt,
        timeout=timeout,
        assignees=assignees,
        later=later,
        escalate_after=escalate_after,
        quorum=quorum,
        rules=Rules(form, veto=said.veto, second_answer=said.second_answer, delegate=said.delegate),
    )


def _filled(value: Json, names: dict[str, Json]) -> Json:
    """Raises `EvaluationError`."""
    if isinstance(value, list):
        return [_filled(item, names) for item in value]
    return compile_template(value).evaluate(Scope(names)) if isinstance(value, str) else value
