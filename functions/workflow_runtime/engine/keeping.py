"""Values that decisions read, kept in the state between turns if they are small, instead of read again."""

from __future__ import annotations

from typing import Any

import msgspec

from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.scopes import Scopes
from workflow_runtime.engine.turn import VALUE_KEPT_BYTES_MAX, VALUES_KEPT_BYTES_MAX
from workflow_runtime.engine.values.pruning import prune
from workflow_runtime.plan.graph import OUTPUTS

GLOBALS_KEPT_BYTES_MAX = 512  # parts of the input that decisions read


def keep_values(scopes: Scopes) -> None:
    """Between turns the state keeps small values whose readers have not decided yet; larger ones are read again."""
    turn = scopes.turn
    state = turn.state
    graphs: list[GraphScope] = []
    for scope in scopes.loaded.values():
        if isinstance(scope, GraphScope) and (scope.fresh or scope.graph.values):
            graphs.append(scope)
            _forget_decided(scope)
    if (not graphs and turn.known.globals is None) or state.status.terminal:
        return
    for scope in graphs:
        for node, value in scope.fresh.items() if not scope.is_closed else ():
            if not _has_open_reader(scope, node):
                continue
            pruned = prune(value, scope.block.nodes[node].decision_paths)
            size = _size(pruned)
            if size <= min(VALUES_KEPT_BYTES_MAX - state.kept_bytes, VALUE_KEPT_BYTES_MAX):
                scope.graph.values[node] = pruned
                scope.graph.kept_bytes += size
                state.kept_bytes += size
    if turn.known.globals is not None and state.globals is None and not turn.plan.has_chart:
        globals_ = turn.need_globals()
        if _size(globals_) <= GLOBALS_KEPT_BYTES_MAX:
            state.globals = globals_


def _forget_decided(scope: GraphScope) -> None:
    """Drop the values whose readers have all decided."""
    kept = scope.graph.values
    for node in [node for node in kept if not _has_open_reader(scope, node)]:
        size = _size(kept.pop(node))
        scope.graph.kept_bytes -= size
        scope.turn.state.kept_bytes -= size


def _has_open_reader(scope: GraphScope, node: int) -> bool:
    """Whether any reader of the value may still decide something by it. Readers later in the file are more likely to be
    open, so they are asked first."""
    readers = scope.block.readers[node]
    return OUTPUTS in readers[:1] or any(scope.is_open(reader) for reader in reversed(readers))


def _size(value: Any) -> int:
    return len(msgspec.json.encode(value))
