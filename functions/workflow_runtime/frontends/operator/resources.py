"""The custom resources, and one object of them as the operator reads it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from workflow_runtime.language.json_values import Json

GROUP = "awr.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
FINALIZER = f"{GROUP}/published"


class Kind(StrEnum):
    """``plural``: as URLs have it."""

    WORKFLOW = "Workflow"
    TRIGGER = "Trigger"
    AGENT = "Agent"
    LIMIT = "Limit"
    RUN = "WorkflowRun"

    @property
    def plural(self) -> str:
        return f"{self.value.lower()}s"


class Key(msgspec.Struct, frozen=True, order=True):
    """What names an object in the operator's namespace."""

    kind: Kind
    name: str


class Resource(msgspec.Struct, frozen=True):
    """An object as the Kubernetes API has it.

    ``key``: its name.
    ``uid``: tells it from a later object of that name.
    ``generation``: counts changes of ``spec``.
    ``created_at``: ISO 8601, in whole seconds.
    ``deleting``: somebody has deleted it; it is there until its finalizers are gone.
    ``finalizers``: who must let go of it first.
    ``spec``, ``status``: as the custom resource's schema has them.
    ``body``: all of it, with the version of this reading, for writing it back.
    """

    key: Key
    uid: str
    generation: int
    created_at: str
    deleting: bool
    finalizers: tuple[str, ...]
    spec: dict[str, Any]
    status: dict[str, Any]
    body: dict[str, Any]

    @property
    def is_ours(self) -> bool:
        """Whether it has our finalizer: without it, nothing was done for it yet, or everything was undone."""
        return FINALIZER in self.finalizers

    @property
    def seniority(self) -> tuple[str, str]:
        """Of objects that claim the same workflow, agent or limiter, the first in this order has it."""
        return self.created_at, self.uid

    @property
    def claim(self) -> str:
        """The id of the workflow or agent, or the limiter's name, that the object is of; for triggers and runs, the
        workflow's."""
        match self.key.kind:
            case Kind.WORKFLOW:
                return str(_object(self.spec.get("workflow")).get("id", ""))
            case Kind.AGENT:
                return str(_object(self.spec.get("agent")).get("id", ""))
            case Kind.LIMIT:
                return str(self.spec.get("name") or self.key.name)
            case _:
                return str(self.spec.get("workflow", ""))


def resource_of(body: dict[str, Any]) -> Resource:
    """An object in the API's JSON."""
    metadata = body["metadata"]
    return Resource(
        key=Key(Kind(body["kind"]), metadata["name"]),
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
        created_at=metadata["creationTimestamp"],
        deleting="deletionTimestamp" in metadata,
        finalizers=tuple(metadata.get("finalizers") or ()),
        spec=_object(body.get("spec")),
        status=_object(body.get("status")),
        body=body,
    )


def _object(value: Json) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
