"""What the passes of a loop are going to be: how many, as far as that is known when it begins, and for which items."""

from __future__ import annotations

import msgspec

from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.passes import Items, Passes
from workflow_runtime.errors import NodeError
from workflow_runtime.language.expressions.values import kind
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.specs import LoopSpec

ITEMS_KEPT_BYTES_MAX = 2 * 1024  # of a loop's items that stay in the state; more are stored apart
PAGE_BYTES = 64 * 1024  # of items that are stored together, about
PAGE_ITEMS_MAX = 100


def counted(scope: GraphScope, node: int, spec: LoopSpec) -> tuple[Passes, list[Json] | None]:
    """The passes that there are going to be, as far as that is known, and what they are for."""
    items: list[Json] | None = None
    count = -1
    if spec.items is not None:
        items = _batches(_listed(scope.evaluate(spec.items, node)), spec.batch_size)
        count = len(items)
    elif spec.times is not None:
        count = _whole_number(scope.evaluate(spec.times, node) if isinstance(spec.times, Formula) else spec.times)
    if count > spec.max_iterations:
        if not spec.stops:
            raise NodeError("max_iterations", f"{count:,} passes are more than {spec.max_iterations:,}")
        count = spec.max_iterations
        items = items[:count] if items is not None else None
    return Passes(count, first_serial=first_serial(scope, node)), items


def first_serial(scope: GraphScope, node: int) -> int:
    """Of the runs in the loop's passes: none of an earlier visit has had it."""
    return scope.graph.next_serials.get(node, scope.graph.first_serial)


def _listed(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise NodeError("execution_error", f"items of a loop must be a list, not {kind(value)}")
    return value


def _batches(items: list[Json], size: int) -> list[Json]:
    return [items[start : start + size] for start in range(0, len(items), size)] if size else items


def _whole_number(value: Json) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < 0:
        shown = f"the number {value}" if isinstance(value, int | float) and not isinstance(value, bool) else kind(value)
        raise NodeError("execution_error", f"`times` of a loop must be a whole number, not {shown}")
    return int(value)


def stored(scope: GraphScope, items: list[Json] | None) -> Items | None:
    """The items as the state has them: few and small ones, or where they are stored."""
    if items is None:
        return None
    size = len(msgspec.json.encode(items))
    if size <= ITEMS_KEPT_BYTES_MAX:
        return Items(items)
    page_size = max(1, min(PAGE_ITEMS_MAX, PAGE_BYTES * len(items) // size))
    key = scope.turn.store([items[start : start + page_size] for start in range(0, len(items), page_size)])
    return Items(None, key, page_size)
