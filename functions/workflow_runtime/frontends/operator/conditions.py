"""What an object's status says: conditions in Kubernetes' common form, and findings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from workflow_runtime.findings import Finding
from workflow_runtime.frontends.client.errors import InvalidDefinition
from workflow_runtime.language.json_values import Json

MESSAGE_CHARS_MAX = 4_000  # Kubernetes takes 32,768, which nobody reads
FINDINGS_MAX = 50  # an object may have 1.5 MB in all


class Condition(msgspec.Struct, frozen=True):
    """``holds`` None: nobody knows. ``reason``: one word in CamelCase, for programs. ``message``: for people."""

    type: str
    holds: bool | None
    reason: str
    message: str = ""


def conditions_json(
    before: Sequence[dict[str, Json]], conditions: Sequence[Condition], *, generation: int, now: str
) -> list[dict[str, Json]]:
    """The conditions as JSON. One that holds as it did keeps the time since when; others of ``before`` are gone."""
    known = {entry.get("type"): entry for entry in before}
    return [_condition_json(condition, known.get(condition.type, {}), generation, now) for condition in conditions]


def _condition_json(condition: Condition, before: dict[str, Json], generation: int, now: str) -> dict[str, Json]:
    status = "Unknown" if condition.holds is None else str(condition.holds)
    return {
        "type": condition.type,
        "status": status,
        "reason": condition.reason,
        "message": condition.message[:MESSAGE_CHARS_MAX],
        "observedGeneration": generation,
        "lastTransitionTime": before["lastTransitionTime"] if before.get("status") == status else now,
    }


def invalid(error: InvalidDefinition) -> tuple[Condition, Condition]:
    """What is said of an object whose definition has findings; what was published before stays."""
    first = error.findings[0].message if error.findings else error.message
    count = len(error.findings)
    text = f"{count} findings, the first: {first}" if count > 1 else first
    unready = Condition("Ready", False, "Invalid", "see the condition Valid, and status.findings")
    return Condition("Valid", False, "Invalid", text), unready


def findings_json(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """The first findings; those that follow are told when these are gone."""
    return [
        {
            "rule": finding.id,
            "severity": str(finding.severity),
            "path": finding.path,
            "message": finding.message[:MESSAGE_CHARS_MAX],
            "hint": finding.hint[:MESSAGE_CHARS_MAX],
        }
        for finding in findings[:FINDINGS_MAX]
    ]
