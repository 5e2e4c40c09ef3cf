"""Headers of executions, as they are stored: what lists, workers and permission checks read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from workflow_runtime.engine.commands import Read, SetStatus
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.state import Parent
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.plan.limiters import Share
from workflow_runtime.ports import Attribute, Item, Key
from workflow_runtime.storage import keys
from workflow_runtime.storage.listing import place_in_workflow
from workflow_runtime.storage.payloads import pack
from workflow_runtime.storage.records import Header

RECORD = "express"  # of an express execution: one of these; once it is recorded, its packed items, or where they are
STORED, BEGUN, CLOSED = 0, 1, 2
"""It may begin; an invocation may have begun, of which only the record will tell; it ends without one."""


def header_changes(command: SetStatus) -> dict[str, Attribute]:
    """What a status changes in the header."""
    changes: dict[str, Attribute] = {"status": command.status}
    if command.reopened:
        changes["attempt"] = command.reopened
        changes["renewed_at"] = 1  # at once: some of it may be about to expire
        if command.status == ExecutionStatus.RUNNING:
            changes |= dict.fromkeys(("ended_at", "error", "output", "output_run", "compensation"))
    if command.replaced:
        changes["replaced"] = command.replaced
    if command.suspended_ms:
        changes["suspended_ms"] = command.suspended_ms
    if command.error is not None:
        changes["error"] = msgspec.json.encode(command.error)
    if ExecutionStatus(command.status).terminal:
        changes["ended_at"] = command.at
        if command.compensation:
            changes["compensation"] = command.compensation
        elif command.output_run is not None:
            changes["output_run"] = outputs_key(command.output_run)
        elif command.error is None:
            changes["output"] = command.blob if command.blob is not None else pack(command.output)
    return changes


def outputs_key(run: Read) -> str:
    """Of the run that the execution's output is recorded with: of its outputs, or of the node that is all there is."""
    return keys.run("", "~outputs" if run.prefix is None else run.prefix, run.serial).sort


def header_of(execution_id: str, item: Item) -> Header:
    values = item.attributes
    return Header(
        execution_id=execution_id,
        workflow_id=str(values["workflow"]),
        workflow_version=int(values["version"] or 0),
        plan_hash=str(values["plan"]),
        status=ExecutionStatus(str(values["status"])),
        started_at=int(values["started_at"] or 0),
        express=RECORD in values,
        begun=values.get(RECORD) == BEGUN,
        **{field: read(value) for name, (field, read) in _OPTIONAL.items() if (value := values.get(name))},
    )


# What most headers lack: the attribute, its field, and what makes that of it.
_OPTIONAL: dict[str, tuple[str, Callable[[Any], Any]]] = {
    **{name: (name, str) for name in ("input_hash", "correlation", "compensation", "tenant", "renewed_to")},
    **{name: (name, int) for name in ("ended_at", "hops", "attempt", "replaced", "suspended_ms", "lags_until")},
    "v": ("state_version", int),
    "renewed_at": ("renewed_at", int),
    keys.WATCHED: ("watched_until", int),
    "error": ("error", msgspec.json.Decoder(ErrorDocument).decode),
    "shares": ("shares", msgspec.json.Decoder(dict[str, Share]).decode),
    "parent": ("parent", msgspec.json.Decoder(Parent).decode),
}


def header_item(header: Header) -> Item:
    attributes: dict[str, Attribute] = {
        "workflow": header.workflow_id,
        "version": header.workflow_version,
        "plan": header.plan_hash,
        "status": header.status,
        "started_at": header.started_at,
        "input_hash": header.input_hash,
        "v": 0,
    }
    if header.parent is not None:
        attributes["parent"] = msgspec.json.encode(header.parent)
    if header.hops:
        attributes["hops"] = header.hops
    if header.correlation:
        attributes["correlation"] = header.correlation
    if header.tenant:
        attributes["tenant"] = header.tenant
    if header.shares:
        attributes["shares"] = msgspec.json.encode(header.shares)
    if header.express:
        attributes[RECORD] = BEGUN if header.begun else STORED
    return Item(Key(f"EX#{header.execution_id}", keys.HEADER), attributes, listing=place_in_workflow(header))
