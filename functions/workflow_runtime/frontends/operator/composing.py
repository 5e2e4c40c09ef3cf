"""The definition that a Workflow and the Triggers of its workflow are together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from workflow_runtime.frontends.client.sources import Source
from workflow_runtime.frontends.operator.resources import Resource


class Composed(msgspec.Struct, frozen=True):
    """``source``: what is published. ``digest``: of it. ``triggers``: what marks the Triggers in it, by name."""

    source: Source
    digest: str
    triggers: dict[str, str]


def composed(workflow: Resource, triggers: Iterable[Resource]) -> Composed:
    """The definition of a Workflow with the triggers of its Triggers behind its own, the oldest first: their order
    stays as it is when others come."""
    document: dict[str, Any] = dict(workflow.spec["workflow"])
    added = sorted((one for one in triggers if not one.deleting), key=lambda trigger: trigger.seniority)
    if added:
        own = document.get("triggers") or []
        own = own if isinstance(own, list) else [own]
        document["triggers"] = [*own, *(trigger.spec["trigger"] for trigger in added)]
    data = msgspec.json.format(msgspec.json.encode({"workflow": document}), indent=2)
    marks = {trigger.key.name: trigger_mark(trigger) for trigger in added}
    return Composed(Source(data), hashlib.sha256(data).hexdigest(), marks)


def trigger_mark(trigger: Resource) -> str:
    """What tells a Trigger as it is from one that was changed, or deleted and made again."""
    return f"{trigger.uid}/{trigger.generation}"


def first_of(resources: Iterable[Resource]) -> Resource | None:
    """Of objects that claim the same, the one that has it: the oldest that nobody has deleted."""
    staying = (resource for resource in resources if not resource.deleting)
    return min(staying, key=lambda resource: resource.seniority, default=None)
