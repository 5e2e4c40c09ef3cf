"""Agents as custom resources: published, corrected, taken back, and what their status tells."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
from tests.integration.operator.objects import agent, condition, is_gone, is_ready
from tests.integration.operator.world import World, world

from workflow_runtime.frontends.operator.resources import FINALIZER, Kind


def returning(field: str) -> dict[str, Any]:
    """The schema of an output that has this field."""
    fields = {field: {"type": "integer"}}
    return {"type": "object", "required": [field], "properties": fields, "additionalProperties": False}


READS_SCORE = {
    "id": "reads",
    "nodes": [{"id": "a", "type": "agent", "agent": "helper", "prompt": "hello"}],
    "outputs": {"score": "${a.score}"},
}


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


async def applied(here: World, name: str, spec: dict[str, Any]) -> None:
    here.kubernetes.apply(Kind.AGENT, name, spec)
    await here.until(lambda: is_ready(here, Kind.AGENT, name))


def definition(here: World, agent_id: str = "helper") -> dict[str, Any] | None:
    """Of the latest version, if the agent is published."""
    agents = here.runtime.services.agents
    latest = agents.latest(agent_id)
    found: dict[str, Any] | None = msgspec.json.decode(agents.source(latest)) if latest is not None else None
    return found


def version(here: World) -> int:
    latest = here.runtime.services.agents.latest("helper")
    return latest.number if latest is not None else 0


def test_an_agent_is_published_and_changed_and_its_status_tells_the_version() -> None:
    async def use() -> None:
        async with world() as here, here.operator():
            await applied(here, "helper", agent())
            assert definition(here) == agent()["agent"]
            assert here.kubernetes.status(Kind.AGENT, "helper")["version"] == 1
            assert (here.kubernetes.get(Kind.AGENT, "helper") or {})["metadata"]["finalizers"] == [FINALIZER]
            await applied(here, "helper", agent("be brief"))
            status = here.kubernetes.status(Kind.AGENT, "helper")
            assert (status["version"], status["agentId"]) == (2, "helper")
            assert definition(here) == agent("be brief")["agent"]

    run(use())


def test_findings_are_told_and_the_last_good_version_stays() -> None:
    async def use() -> None:
        async with world() as here, here.operator():
            await applied(here, "helper", agent())
            here.kubernetes.apply(Kind.AGENT, "helper", agent(tools=["nobody"]))
            await here.until(lambda: condition(here, Kind.AGENT, "helper", "Valid").get("status") == "False")
            [finding] = here.kubernetes.status(Kind.AGENT, "helper")["findings"]
            assert (finding["rule"], finding["path"]) == ("WF609", "tools[0]")
            assert (version(here), definition(here)) == (1, agent()["agent"])
            await applied(here, "helper", agent("better"))
            assert not here.kubernetes.status(Kind.AGENT, "helper")["findings"]

    run(use())


def test_what_is_changed_in_the_runtime_is_corrected() -> None:
    async def use() -> None:
        async with world() as here, here.operator():
            await applied(here, "helper", agent())
            agents = here.runtime.services.agents
            agents.publish("helper", msgspec.json.encode(agent("drifted")["agent"]), lambda _: True)
            await here.until(lambda: version(here) == 3)
            assert definition(here) == agent()["agent"]
            await here.until(lambda: here.kubernetes.status(Kind.AGENT, "helper").get("version") == 3)
            assert here.kubernetes.status(Kind.AGENT, "helper")["driftCorrectedAt"]
            agents.remove("helper", lambda _: True)
            await here.until(lambda: version(here) == 4)

    run(use())


def test_a_change_that_published_workflows_do_not_fit_waits_for_them_or_is_forced() -> None:
    async def use() -> None:
        async with world() as here, here.operator():
            await applied(here, "helper", agent(output_schema=returning("score")))
            here.runtime.services.catalog.publish(msgspec.json.encode({"workflow": READS_SCORE}))
            here.kubernetes.apply(Kind.AGENT, "helper", agent(output_schema=returning("grade")))
            await here.until(lambda: condition(here, Kind.AGENT, "helper").get("reason") == "WorkflowsDoNotFit")
            assert "reads" in condition(here, Kind.AGENT, "helper")["message"]
            assert version(here) == 1
            await applied(here, "helper", {**agent(output_schema=returning("grade")), "force": True})
            assert version(here) == 2

    run(use())


def test_what_missed_an_agent_has_no_findings_any_more_once_that_is_published() -> None:
    async def use() -> None:
        async with world(resync_seconds=3600) as here, here.operator():
            here.kubernetes.apply(Kind.WORKFLOW, "greeting", {"workflow": {**READS_SCORE, "outputs": {}}})
            here.kubernetes.apply(Kind.AGENT, "caller", agent(agent_id="caller", tools=[{"agent": "helper"}]))
            await here.until(lambda: is_ready(here, Kind.WORKFLOW, "greeting"))
            await here.until(lambda: condition(here, Kind.AGENT, "caller", "Valid").get("status") == "False")
            [finding] = here.kubernetes.status(Kind.WORKFLOW, "greeting")["findings"]
            assert finding["rule"] == "WF417"
            await applied(here, "helper", agent())
            await here.until(lambda: not here.kubernetes.status(Kind.WORKFLOW, "greeting")["findings"])
            await here.until(lambda: is_ready(here, Kind.AGENT, "caller"))
            assert here.kubernetes.status(Kind.WORKFLOW, "greeting")["version"] == 1

    run(use())


def test_a_deleted_agent_is_taken_back_once_nothing_needs_it_at_once_or_not_at_all() -> None:
    async def use() -> None:
        async with world() as here, here.operator():
            await applied(here, "helper", agent())
            await applied(here, "kept", {**agent(agent_id="kept"), "deletionPolicy": "Retain"})
            await applied(
                here, "caller", {**agent(agent_id="caller", tools=[{"agent": "helper"}]), "deletionPolicy": "Force"}
            )
            here.kubernetes.delete(Kind.AGENT, "helper")
            here.kubernetes.delete(Kind.AGENT, "kept")
            await here.until(lambda: condition(here, Kind.AGENT, "helper").get("reason") == "DeletionWaits")
            assert "caller" in condition(here, Kind.AGENT, "helper")["message"]
            here.kubernetes.delete(Kind.AGENT, "caller")
            await here.until(lambda: not here.kubernetes.names(Kind.AGENT))
            assert (definition(here), definition(here, "caller")) == (None, None)
            assert definition(here, "kept") == agent(agent_id="kept")["agent"]

    run(use())


def test_of_two_objects_with_one_agent_the_older_one_has_it_and_leaves_it_to_the_other() -> None:
    async def use() -> None:
        async with world() as here, here.operator():
            await applied(here, "older", agent("older"))
            here.kubernetes.apply(Kind.AGENT, "younger", agent("younger"))
            await here.until(lambda: condition(here, Kind.AGENT, "younger").get("reason") == "Duplicate")
            here.kubernetes.delete(Kind.AGENT, "older")
            await here.until(lambda: is_ready(here, Kind.AGENT, "younger") and is_gone(here, Kind.AGENT, "older"))
            assert (definition(here), version(here)) == (agent("younger")["agent"], 2)

    run(use())
