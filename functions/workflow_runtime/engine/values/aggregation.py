"""Aggregation: many results to one. Pure, so that the dispatcher and a worker compute the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from workflow_runtime.engine.values.evaluation import View, evaluate
from workflow_runtime.errors import NodeError
from workflow_runtime.language.expressions import Scope
from workflow_runtime.language.expressions.values import freeze, kind
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.graph import GraphBlock
from workflow_runtime.plan.specs import AggregationSpec

Operand = tuple[str, Json]
"""Where a value came from (a node's id, or an index) and the value."""


def operand_values(spec: AggregationSpec, block: GraphBlock, view: View) -> list[Operand]:
    """What is aggregated: the operands that succeeded, or the elements of ``items`` without nulls and ``{error}``s."""
    if spec.items is None:
        return [
            (block.nodes[node].id, value.output)
            for node in spec.operands
            if (value := view.nodes.get(block.first + node)) is not None and value.status == "success"
        ]
    items = evaluate(spec.items, view)
    if not isinstance(items, list):
        raise NodeError("execution_error", f"items of an aggregation must be a list, not {kind(items)}")
    return [(str(place), item) for place, item in enumerate(items) if item is not None and not _is_error(item)]


def aggregate(spec: AggregationSpec, operands: Sequence[Operand], view: View) -> Json:
    """The aggregated value. Raises `NodeError` for operands that the strategy cannot combine, `EvaluationError`."""
    if not operands:
        return _default(spec, view, "execution_error", "there is nothing to aggregate: no dependency succeeded")
    if spec.strategy == "vote":
        return _vote(spec, operands, view)
    if spec.strategy == "best":
        return _best(spec, operands, view)
    if spec.strategy == "expression":
        assert spec.value is not None
        return evaluate(spec.value, view)
    try:
        return _STRATEGIES[spec.strategy](spec, operands)
    except OverflowError as error:
        raise NodeError("execution_error", f"{spec.strategy}: the numbers are too large") from error


def _default(spec: AggregationSpec, view: View, type: str, message: str) -> Json:
    if spec.default is None:
        raise NodeError(type, f"{message}, and no `default` is given")
    return evaluate(spec.default, view)


def _merge(_: AggregationSpec, operands: Sequence[Operand]) -> Json:
    merged: dict[str, Json] = {}
    for name, value in operands:
        if not isinstance(value, dict):
            gave = f"{name!r} gave {kind(value)}"
            raise NodeError("execution_error", f"merge takes objects, but {gave}; `collect` takes anything")
        merged.update(value)
    return merged


def _concat(_: AggregationSpec, operands: Sequence[Operand]) -> Json:
    values = [value for _, value in operands]
    if all(isinstance(value, str) for value in values):
        return "".join(values)
    if all(isinstance(value, list) for value in values):
        return [element for value in values for element in value]
    kinds = ", ".join(f"{name!r}: {kind(value)}" for name, value in operands)
    raise NodeError("execution_error", f"concat takes lists only or strings only, but got {kinds}")


def _numbers(spec: AggregationSpec, operands: Sequence[Operand]) -> list[float]:
    numbers = []
    for name, value in operands:
        number = _field(spec, value)
        if number is None:
            continue
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            what = f"field {spec.field!r} of {name!r}" if spec.field else repr(name)
            raise NodeError("execution_error", f"{spec.strategy} takes numbers, but {what} is {kind(number)}")
        numbers.append(number)
    if not numbers:
        where = f" in field {spec.field!r}" if spec.field else ""
        raise NodeError("execution_error", f"{spec.strategy} found no number{where}")
    return numbers


def _vote(spec: AggregationSpec, operands: Sequence[Operand], view: View) -> Json:
    """The most frequent value of ``field``; operands without it do not vote."""
    ballots = [value for value in (_field(spec, operand) for _, operand in operands) if value is not None]
    counts: dict[Any, int] = {}
    values: dict[Any, Json] = {}
    for value in ballots:
        key = freeze(value, Scope({}))
        counts[key] = counts.get(key, 0) + 1
        values.setdefault(key, value)
    total = len(ballots)
    leader, votes = max(counts.items(), key=lambda entry: entry[1], default=(None, 0))
    if votes == 0 or votes < _votes_needed(spec.min_votes, total):
        short = f"the leading value has {votes} of {total} votes, short of {spec.min_votes or 1}"
        return _default(spec, view, "no_majority", short)
    if spec.ties == "fail" and sum(count == votes for count in counts.values()) > 1:
        raise NodeError("no_majority", f"several values have {votes} of {total} votes")
    winner = values[leader]
    return {"value": winner, "votes": votes, "total": total} if spec.detail else winner


def _votes_needed(min_votes: str | int | None, total: int) -> float:
    if min_votes is None:
        return 1
    if isinstance(min_votes, str):
        return float(min_votes.rstrip("% ")) * total / 100
    return min_votes


def _best(spec: AggregationSpec, operands: Sequence[Operand], view: View) -> Json:
    assert spec.score is not None
    best: Json = None
    best_score: float | None = None
    for name, value in operands:
        score = evaluate(spec.score, view, {"item": value})
        if isinstance(score, bool) or not isinstance(score, (int, float)):
            raise NodeError("execution_error", f"the score of {name!r} is {kind(score)}, not a number")
        if best_score is None or score > best_score:
            best, best_score = value, score
    return best


def _field(spec: AggregationSpec, value: Json) -> Json:
    """The value itself, or what its dotted ``field`` leads to (null if nowhere)."""
    if spec.field is None:
        return value
    for key in spec.field.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _is_error(item: Json) -> bool:
    return isinstance(item, dict) and item.keys() == {"error"}


def _sum(spec: AggregationSpec, operands: Sequence[Operand]) -> Json:
    return _finite(sum(_numbers(spec, operands)))


def _average(spec: AggregationSpec, operands: Sequence[Operand]) -> Json:
    numbers = _numbers(spec, operands)
    return _finite(sum(numbers) / len(numbers))


def _finite(number: float) -> float:
    """JSON has no infinity."""
    if isinstance(number, float) and not math.isfinite(number):
        raise OverflowError
    return number


_STRATEGIES: dict[str, Callable[[AggregationSpec, Sequence[Operand]], Json]] = {
    "merge": _merge,
    "collect": lambda _, operands: [value for _, value in operands],
    "collect_by_id": lambda _, operands: dict(operands),
    "concat": _concat,
    "first": lambda _, operands: operands[0][1],
    "last": lambda _, operands: operands[-1][1],
    "sum": _sum,
    "average": _average,
    "min": lambda spec, operands: min(_numbers(spec, operands)),
    "max": lambda spec, operands: max(_numbers(spec, operands)),
}
