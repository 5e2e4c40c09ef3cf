"""Under which keys an execution waits for events of the bus; kept right as variables change and waits come and go."""

from __future__ import annotations

from workflow_runtime.engine.commands import Command, Subscribe, Unsubscribe
from workflow_runtime.engine.inside import correlation_key
from workflow_runtime.engine.names import View, evaluate
from workflow_runtime.engine.scope import GraphScope
from workflow_runtime.engine.turn import Turn
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.graph import OUTPUTS
from workflow_runtime.plan.specs import WaitSpec
from workflow_runtime.plan.triggers import EventTrigger


def subscribe(turn: Turn) -> None:
    """Order what changed in the subscriptions. Raises `ValuesMissing`.

    Several triggers may wait for one event under one key: that is one subscription, and it ends with the last of them.
    """
    if turn.state.status.terminal or not turn.plan.triggers:
        return
    wanted = _wanted(turn)
    before, after = _places(turn, turn.state.subscriptions), _places(turn, wanted)
    turn.commands[:] = [command for command in turn.commands if not _ends(command, after)]
    turn.commands += [Subscribe(event, key) for event, key in after if (event, key) not in before]
    turn.commands += [Unsubscribe(event, key) for event, key in before if (event, key) not in after]
    turn.state.subscriptions = wanted


def listens(turn: Turn, event: str, key: str) -> bool:
    """Whether the execution waits for this now: what it ordered last may be older than this turn. Raises
    `ValuesMissing`."""
    return (event, key) in _places(turn, _wanted(turn))


def _ends(command: Command, wanted: dict[tuple[str, str], None]) -> bool:
    """Whether it unsubscribes, because of an event that came too early, from what is waited for by now."""
    return isinstance(command, Unsubscribe) and (command.event, command.key) in wanted


def _places(turn: Turn, keys: dict[int, str]) -> dict[tuple[str, str], None]:
    """Events and keys, once each, in order."""
    return dict.fromkeys((_event(turn, number), key) for number, key in keys.items())


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
