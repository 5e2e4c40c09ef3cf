"""Ids of executions that are made of what starts them, so that starting one twice starts one."""

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
