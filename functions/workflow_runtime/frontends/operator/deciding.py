"""What is to be done about an object, as far as that follows from it and from what the runtime has."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.frontends.operator.conditions import Condition
from workflow_runtime.frontends.operator.resources import Resource
from workflow_runtime.language.json_values import Json

OUTPUT_BYTES_MAX = 16 * 1024  # of a run's output in its status: it is for looking at, not for passing data on


class DeletionPolicy(StrEnum):
    """What becomes of a workflow, or an agent, when its object is deleted.

    ``wait``: it is unpublished once no execution of it runs, or nothing needs the agent; until then the object stays.
    ``force``: it is unpublished at once; executions go on and stay readable.
    ``retain``: it stays published.
    """

    WAIT = "Wait"
    FORCE = "Force"
    RETAIN = "Retain"


class RunDeletion(StrEnum):
    """What becomes of an execution that still runs when its object is deleted."""

    CANCEL = "Cancel"
    RETAIN = "Retain"


class Seen(msgspec.Struct, frozen=True):
    """A published workflow or agent at its latest version, as the runtime tells of it. ``identity``: what tells that
    version from others: the hash of the plan, or the digest of the definition."""

    version: int
    identity: str
    etag: str


class Reason(StrEnum):
    """Why something is published."""

    NEW = "Published"
    CHANGED = "Updated"
    DRIFTED = "DriftCorrected"


def publishing(digest: str, status: dict[str, Any], seen: Seen | None) -> Reason | None:
    """Why to publish a definition with this digest; None if what is published is what it became."""
    if seen is None:
        return Reason.DRIFTED if status.get("etag") else Reason.NEW
    if status.get("digest") != digest:
        return Reason.CHANGED if status.get("etag") else Reason.NEW
    return Reason.DRIFTED if status.get("etag") != seen.etag else None


def deletion_policy(resource: Resource) -> DeletionPolicy:
    return DeletionPolicy(resource.spec.get("deletionPolicy", DeletionPolicy.WAIT))


def run_deletion(resource: Resource) -> RunDeletion:
    return RunDeletion(resource.spec.get("deletionPolicy", RunDeletion.CANCEL))


def run_status(document: dict[str, Any]) -> dict[str, Any]:
    """The status of a run from its execution's document, without conditions."""
    status: dict[str, Any] = {
        "executionId": document["execution_id"],
        "phase": str(document["status"]).capitalize(),
        "workflowVersion": document["workflow_version"],
        "startedAt": document["started_at"],
    }
    if document.get("ended_at"):
        status["endedAt"] = document["ended_at"]
    if document.get("error"):
        status["error"] = {name: document["error"].get(name) or "" for name in ("type", "message", "node")}
    if ExecutionStatus(document["status"]) is ExecutionStatus.COMPLETED:
        status |= _output(document.get("output"))
    return status


def _output(output: Json) -> dict[str, Any]:
    """Kubernetes keeps no null, and prunes nothing below ``output``."""
    if output is None:
        return {}
    return {"output": output} if len(msgspec.json.encode(output)) <= OUTPUT_BYTES_MAX else {"outputTooLarge": True}


def has_ended(status: dict[str, Any]) -> bool:
    """Whether a run's status is its last one."""
    return any(
        entry.get("type") in ("Complete", "Failed") and entry.get("status") == "True"
        for entry in status.get("conditions", ())
    )


def run_conditions(document: dict[str, Any]) -> list[Condition]:
    """As Jobs have them: ``Complete`` or ``Failed`` at the end."""
    started = Condition("Started", True, "Started", f"execution {document['execution_id']}")
    status = ExecutionStatus(document["status"])
    if not status.terminal:
        return [started]
    error = document.get("error") or {}
    if status is ExecutionStatus.COMPLETED:
        return [started, Condition("Complete", True, "Completed")]
    message = str(error.get("message") or "")
    return [started, Condition("Failed", True, str(document["status"]).capitalize(), message)]


def run_summary(execution: dict[str, Any]) -> dict[str, Any]:
    """One of a workflow's last runs."""
    ended = {"endedAt": execution["ended_at"]} if execution.get("ended_at") else {}
    return {
        "executionId": execution["execution_id"],
        "version": execution["workflow_version"],
        "status": execution["status"],
        "startedAt": execution["started_at"],
        **ended,
    }
