"""The stored form of a state, written now or by an older deployment."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TypeAlias

import msgspec

from workflow_runtime.engine import schema1, schema2
from workflow_runtime.engine.alarms import Alarms
from workflow_runtime.engine.awaited import Pending
from workflow_runtime.engine.marks import LongGraph, cut, parted
from workflow_runtime.engine.pages import Pages
from workflow_runtime.engine.state import STATE_SCHEMA, UNNUMBERED_SCHEMA, ExecutionState, encode_state
from workflow_runtime.engine.tables import Opened, Paged
from workflow_runtime.engine.visits import NOTHING_TO_UNDO, Undoables
from workflow_runtime.plan.addresses import TOP_GRAPH
from workflow_runtime.plan.plan import Plan

__all__ = ["current", "decode_state", "encode_state"]


_Table: TypeAlias = MutableMapping[str, msgspec.Raw] | list[msgspec.Raw]
"""Entries as they were stored; of a long table, its pages."""


class _Stored(ExecutionState, forbid_unknown_fields=True):
    """A state as it is read: with its scopes, what it waits for, the order of its timers, and what can be undone, as
    bytes."""

    scopes: _Table = msgspec.field(default_factory=dict)  # type: ignore[assignment]
    pending: _Table = msgspec.field(default_factory=dict)  # type: ignore[assignment]
    alarms: msgspec.Raw = None  # type: ignore[assignment]
    undo: msgspec.Raw = NOTHING_TO_UNDO  # type: ignore[assignment]


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
    except msgspec.DecodeError:  # looking for unknown fields first would be a second walk through every state
        rest, marks = parted(data)
        state = _decoder_elsewhere.decode(rest)
        state.newer = {name: bytes(value) for name, value in _fields.decode(rest).items() if name not in _KNOWN}
    if state.schema > STATE_SCHEMA:
        raise msgspec.ValidationError(f"state schema {state.schema} is newer than this runtime's {STATE_SCHEMA}")
    if state.schema == UNNUMBERED_SCHEMA:
        return schema1.unplaced(data)
    scopes, pending = state.scopes, state.pending
    if isinstance(scopes, list):
        scopes = state.scopes = Paged(Pages(scopes))
    if marks:
        if TOP_GRAPH not in scopes:
            raise msgspec.ValidationError("There are marks, but no graph at the top - at `$.scopes`")
        scopes[TOP_GRAPH] = LongGraph(scopes[TOP_GRAPH], marks)  # type: ignore[assignment]
    if isinstance(pending, list):
        pending = Paged(Pages(pending))
    if pending:
        state.pending = Opened(pending, _pending_decoder.decode)  # type: ignore[arg-type]
    if state.alarms is not None:
        state.alarms = Alarms.stored(bytes(state.alarms))  # type: ignore[assignment]
    if state.undo is not NOTHING_TO_UNDO:  # type: ignore[comparison-overlap]
        state.undo = Undoables.stored(bytes(state.undo))  # type: ignore[assignment]
    return state


def current(plan: Plan, state: ExecutionState) -> ExecutionState:
    """The state in the present layout: itself, unless it was stored by an older deployment."""
    if state.schema == STATE_SCHEMA:
        return state
    return schema2.placed(plan, schema1.placed(plan, state) if state.schema == UNNUMBERED_SCHEMA else state)
