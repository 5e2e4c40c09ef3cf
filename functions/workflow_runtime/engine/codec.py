"""The stored form of a state, written now or by an older deployment."""

from __future__ import annotations

from collections.abc import MutableMapping

import msgspec

from workflow_runtime.engine import schema1, schema2
from workflow_runtime.engine.alarms import Alarms
from workflow_runtime.engine.awaited import Pending
from workflow_runtime.engine.marks import LongGraph, cut
from workflow_runtime.engine.state import STATE_SCHEMA, UNNUMBERED_SCHEMA, ExecutionState, encode_state
from workflow_runtime.engine.tables import Opened
from workflow_runtime.plan.addresses import TOP_GRAPH, ScopeId
from workflow_runtime.plan.plan import Plan

__all__ = ["current", "decode_state", "encode_state"]


class _Stored(ExecutionState, forbid_unknown_fields=True):
    """A state as it is read: with its scopes, what it waits for, and the order of its timers, as bytes."""

    scopes: MutableMapping[ScopeId, msgspec.Raw] = msgspec.field(default_factory=dict)  # type: ignore[assignment]
    pending: MutableMapping[str, msgspec.Raw] = msgspec.field(default_factory=dict)  # type: ignore[assignment]
    alarms: msgspec.Raw = None  # type: ignore[assignment]


class _StoredElsewhere(_Stored, forbid_unknown_fields=False):
    """The same with fields that this deployment does not know."""


_decoder = msgspec.json.Decoder(_Stored)
_decoder_elsewhere = msgspec.json.Decoder(_StoredElsewhere)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_KNOWN = frozenset(ExecutionState.__struct_fields__)
_pending_decoder = msgspec.json.Decoder(Pending)


def decode_state(data: bytes) -> ExecutionState:
    """The state of these bytes. One of an older schema must be made `current` before it is worked on. What a newer
    deployment added to the layout without changing its schema is kept, as after a rollback nobody here knows it.

    Raises `msgspec.ValidationError` for anything that is not a state of this or an older schema.
    """
    rest, marks = cut(data)
    try:
        state: _Stored = _decoder.decode(rest)
    except msgspec.ValidationError:  # looking for unknown fields first would be a second walk through every state
        state = _decoder_elsewhere.decode(rest)
        state.newer = {name: bytes(value) for name, value in _fields.decode(rest).items() if name not in _KNOWN}
    if state.schema > STATE_SCHEMA:
        raise msgspec.ValidationError(f"state schema {state.schema} is newer than this runtime's {STATE_SCHEMA}")
    if state.schema == UNNUMBERED_SCHEMA:
        return schema1.unplaced(data)
    if marks:
        state.scopes[TOP_GRAPH] = LongGraph(state.scopes[TOP_GRAPH], marks)  # type: ignore[assignment]
    if state.alarms is not None:
        state.alarms = Alarms.stored(bytes(state.alarms))  # type: ignore[assignment]
    if state.pending:
        state.pending = Opened(state.pending, _pending_decoder.decode)  # type: ignore[arg-type]
    return state


def current(plan: Plan, state: ExecutionState) -> ExecutionState:
    """The state in the present layout: itself, unless it was stored by an older deployment."""
    if state.schema == STATE_SCHEMA:
        return state
    return schema2.placed(plan, schema1.placed(plan, state) if state.schema == UNNUMBERED_SCHEMA else state)
