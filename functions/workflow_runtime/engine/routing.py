"""Under which keys an execution waits for events of the bus; kept right as variables change and waits come and go."""

from __future__ import annotations

from workflow_runtime.engine.commands import Subscribe, Unsubscribe
from workflow_runtime.engine.inside import correlation_key
from workflow_runtime.engine.names import View, evaluate
from workflow_runtime.engine.scope import GraphScope
from workflow_runtime.engine.turn import Turn
from workflow_runtime.expressions import EvaluationError
from workflow_runtime.plan import OUTPUTS, EventTrigger, Formula, WaitSpec


def subscribe(turn: Turn) -> None:
    """Order what changed in the subscriptions. Raises `ValuesMissing`."""
    if turn.state.status.terminal or not turn.plan.triggers:
        return
    wanted = _wanted(turn)
    held = turn.state.subscriptions
    for number, key in wanted.items():
        if held.get(number) != key:
            turn.commands.append(Subscribe(_event(turn, number), key))
    for number, key in held.items():
        if wanted.get(number) != key:
            turn.commands.append(Unsubscribe(_event(turn, number), key))
    turn.state.subscriptions = wanted


def _event(turn: Turn, number: int) -> str:
    trigger = turn.plan.triggers[number]
    assert isinstance(trigger, EventTrigger)
    return trigger.event


def _wanted(turn: Turn) -> dict[int, str]:
    found: dict[int, str] = {}
    for number, trigger in enumerate(turn.plan.triggers):
        if isinstance(trigger, EventTrigger) and trigger.event and trigger.with_key is not None:
            key = _key(turn, trigger.with_key)
            if key is not None:
                found[number] = key
    for scope in turn.graphs.values():
        for node, wait in scope.graph.waits.items():
            spec = scope.block.nodes[node].spec
            assert isinstance(spec, WaitSpec)
            if spec.correlated >= 0 and wait.key is not None:
                found[spec.correlated] = wait.key
    return found


def _key(turn: Turn, formula: Formula) -> str | None:
    """The execution's side of a trigger; none while it cannot be computed."""
    root = turn.graphs[0]
    try:
        return correlation_key(evaluate(formula, _view(root, formula)))
    except EvaluationError:
        return None


def _view(root: GraphScope, formula: Formula) -> View:
    return root.view((formula,), OUTPUTS)
