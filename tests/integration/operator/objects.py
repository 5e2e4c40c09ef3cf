"""Objects that tests apply, and what is asked of their status."""

from __future__ import annotations

from typing import Any

from tests.integration.operator.world import World

from workflow_runtime.frontends.operator.resources import Kind


def echo(text: str = "hello", workflow_id: str = "greeting", **more: Any) -> dict[str, Any]:
    """The spec of a Workflow that ends at once."""
    node = {"id": "say", "type": "tool", "tool": "echo", "inputs": {"text": text}}
    workflow = {"id": workflow_id, "nodes": [node], "outputs": {"text": "${say.text}"}, **more}
    return {"workflow": workflow}


def sleeping(workflow_id: str = "sleeping", **more: Any) -> dict[str, Any]:
    """The spec of a Workflow whose executions run for an hour."""
    return {"workflow": {"id": workflow_id, "nodes": [{"id": "slow", "type": "agent", "agent": "sleeper"}]}, **more}


def agent(instructions: str = "be kind", agent_id: str = "helper", **more: Any) -> dict[str, Any]:
    """The spec of an Agent. Further fields are those of its definition."""
    return {"agent": {"id": agent_id, "model": "test", "instructions": instructions, **more}}


def webhook(endpoint: str, workflow_id: str = "greeting") -> dict[str, Any]:
    """The spec of a Trigger."""
    return {"workflow": workflow_id, "trigger": {"type": "webhook", "endpoint": endpoint, "secret": "${secrets.KEY}"}}


def endpoints(world: World, workflow_id: str = "greeting") -> list[str]:
    """Of the webhooks of the latest version."""
    return [trigger["endpoint"] for trigger in (world.latest(workflow_id) or {}).get("triggers", ())]


def condition(world: World, kind: Kind, name: str, of: str = "Ready") -> dict[str, Any]:
    conditions = world.kubernetes.status(kind, name).get("conditions", [])
    return next((entry for entry in conditions if entry["type"] == of), {})


def is_ready(world: World, kind: Kind, name: str) -> bool:
    """Whether its status says so of the spec as it is now."""
    body = world.kubernetes.get(kind, name)
    ready = condition(world, kind, name)
    return (
        body is not None
        and ready.get("status") == "True"
        and ready["observedGeneration"] == body["metadata"]["generation"]
    )


def is_gone(world: World, kind: Kind, name: str) -> bool:
    return world.kubernetes.get(kind, name) is None
