"""Ids that are made of what they name. Those of executions are made of what starts them, so that starting one twice
starts one."""

from __future__ import annotations

import hashlib


def keyed_execution_id(workflow_id: str, start_key: str) -> str:
    """The id of the execution that a workflow and key start: the same for every caller and at any time."""
    return "ex-key-" + hashlib.sha256(f"{workflow_id}\0{start_key}".encode()).hexdigest()[:40]


def child_key(execution_id: str, token: str) -> str:
    """The start key of the child that an execution starts by its order of this token."""
    return f"child:{execution_id}:{token}"


def child_execution_id(execution_id: str, token: str, workflow_id: str) -> str:
    """The id of that child, an execution of this workflow."""
    return keyed_execution_id(workflow_id, child_key(execution_id, token))


def approval_id(execution_id: str, number: int) -> str:
    """What people name an approval of this execution by."""
    return f"{execution_id}.{number}"


def trace_id(execution_id: str) -> str:
    """The OpenTelemetry trace of an execution: 16 bytes, in hexadecimal."""
    return hashlib.sha256(f"trace\0{execution_id}".encode()).hexdigest()[:32]


def span_id(execution_id: str, *place: str | int) -> str:
    """A span in that trace: 8 bytes, in hexadecimal. ``place``: path and serial of a run, and what names a step of it;
    nothing: the execution itself."""
    return hashlib.sha256("\0".join(("span", execution_id, *map(str, place))).encode()).hexdigest()[:16]
