"""The operator end to end: objects become what they say in the runtime, and their status tells of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec
import yaml
from tests.integration.operator.objects import agent, condition, echo, endpoints, is_gone, is_ready, sleeping, webhook
from tests.integration.operator.world import World, world

from workflow_runtime.frontends.operator.resources import FINALIZER, Kind
from workflow_runtime.plan.limiters import Limiter

ROOT = Path(__file__).parents[3]


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


async def published(here: World, name: str, spec: dict[str, Any]) -> None:
    here.kubernetes.apply(Kind.WORKFLOW, name, spec)
    await here.until(lambda: is_ready(here, Kind.WORKFLOW, name))


def test_a_workflow_is_published_and_its_status_tells_its_version_and_last_runs() -> None:
    async def use() -> None:
        async with world() as here, here.operator():
            await published(here, "greeting", echo())
            here.kubernetes.apply(Kind.RUN, "first", {"workflow": "greeting", "input": {}})
            await here.until(lambda: condition(here, Kind.RUN, "first", "Complete").get("status") == "True")
            await here.until(lambda: bool(here.kubernetes.status(Kind.WORKFLOW, "greeting").get("lastRuns")))
            status = here.kubernetes.status(Kind.WORKFLOW, "greeting")
            of_run = here.kubernetes.status(Kind.RUN, "first")
            assert (status["version"], status["workflowId"], len(here.versions("greeting"))) == (1, "greeting", 1)
            assert status["lastRuns"][0]["executionId"] == of_run["executionId"]
            assert (of_run["phase"], of_run["output"], of_run["workflowVersion"]) == ("Completed", {"text": "hello"}, 1)

    run(use())


def test_a_definition_with_findings_is_told_in_the_status_and_the_last_good_version_stays() -> None:
    async def use() -> None:
        async with world() as here, here.operator():
            await published(here, "greeting", echo())
            broken = echo()
            broken["workflow"]["nodes"][0]["dependencies"] = ["nobody"]
            here.kubernetes.apply(Kind.WORKFLOW, "greeting", broken)
            await here.until(lambda: condition(here, Kind.WORKFLOW, "greeting", "Valid").get("status") == "False")
            status = here.kubernetes.status(Kind.WORKFLOW, "greeting")
            [finding] = status["findings"]
            assert (finding["rule"], finding["severity"]) == ("WF301", "error")
            assert "nobody" in condition(here, Kind.WORKFLOW, "greeting", "Valid")["message"]
            assert (status["version"], len(here.versions("greeting"))) == (1, 1)
            await published(here, "greeting", echo("better"))
            assert not here.kubernetes.status(Kind.WORKFLOW, "greeting")["findings"]
            assert len(here.versions("greeting")) == 2

    run(use())


def test_what_is_changed_in_the_runtime_is_corrected() -> None:
    async def use() -> None:
        async with world() as here, here.operator():
            await published(here, "greeting", echo())
            api = here.api()
            await api.open()
            here.runtime.services.catalog.publish(msgspec.json.encode(echo("something else")))
            await here.until(lambda: len(here.versions("greeting")) == 3)
            assert here.latest("greeting") == echo()["workflow"]
            await here.until(lambda: here.kubernetes.status(Kind.WORKFLOW, "greeting").get("version") == 3)
            assert here.kubernetes.status(Kind.WORKFLOW, "greeting")["driftCorrectedAt"]
            seen = await api.seen("greeting")
            assert seen is not None
            await api.remove("greeting", seen, force=False)
            await here.until(lambda: here.latest("greeting") is not None)
            await api.close()

    run(use())


def test_a_deleted_workflow_is_unpublished_once_its_executions_have_ended() -> None:
    async def use() -> None:
        async with world() as here, here.operator():
            await published(here, "sleeping", sleeping())
            here.kubernetes.apply(Kind.RUN, "night", {"workflow": "sleeping"})
            await here.until(lambda: here.kubernetes.status(Kind.RUN, "night").get("phase") == "Running")
            here.kubernetes.delete(Kind.WORKFLOW, "sleeping")
            await here.until(lambda: condition(here, Kind.WORKFLOW, "sleeping").get("reason") == "DeletionWaits")
            assert here.latest("sleeping") is not None
            here.kubernetes.delete(Kind.RUN, "night")  # which cancels it
            await here.until(lambda: is_gone(here, Kind.WORKFLOW, "sleeping"))
            assert is_gone(here, Kind.RUN, "night")
            assert here.latest("sleeping") is None

    run(use())


def test_a_deletion_policy_unpublishes_at_once_or_not_at_all() -> None:
    async def use() -> None:
        async with world() as here, here.operator():
            await published(here, "forced", sleeping("forced", deletionPolicy="Force"))
            await published(here, "kept", echo(workflow_id="kept") | {"deletionPolicy": "Retain"})
            here.kubernetes.apply(Kind.RUN, "night", {"workflow": "forced", "deletionPolicy": "Retain"})
            await here.until(lambda: here.kubernetes.status(Kind.RUN, "night").get("phase") == "Running")
            execution_id = here.kubernetes.status(Kind.RUN, "night")["executionId"]
            for kind, name in ((Kind.RUN, "night"), (Kind.WORKFLOW, "forced"), (Kind.WORKFLOW, "kept")):
                here.kubernetes.delete(kind, name)
            await here.until(lambda: not here.kubernetes.names(Kind.WORKFLOW) + here.kubernetes.names(Kind.RUN))
            assert here.latest("forced") is None
            assert here.latest("kept") is not None
            assert here.runtime.services.documents.status(execution_id) == "running"

    run(use())


def test_of_two_objects_with_one_workflow_the_older_one_has_it_and_leaves_it_to_the_other() -> None:
    async def use() -> None:
        async with world() as here, here.operator():
            await published(here, "older", echo("older"))
            here.kubernetes.apply(Kind.WORKFLOW, "younger", echo("younger"))
            await here.until(lambda: condition(here, Kind.WORKFLOW, "younger").get("reason") == "Duplicate")
            assert "older" in condition(here, Kind.WORKFLOW, "younger")["message"]
            here.kubernetes.delete(Kind.WORKFLOW, "older")
            await here.until(lambda: is_ready(here, Kind.WORKFLOW, "younger"))
            assert here.latest("greeting") == echo("younger")["workflow"]
            assert len(here.versions("greeting")) == 2  # it was never unpublished

    run(use())


def test_triggers_are_published_with_their_workflow_and_go_with_their_objects() -> None:
    async def use() -> None:
        async with world() as here, here.operator():
            here.kubernetes.apply(Kind.TRIGGER, "orders", webhook("orders"))
            await here.until(lambda: condition(here, Kind.TRIGGER, "orders").get("reason") == "WorkflowNotFound")
            own = [{"type": "webhook", "endpoint": "own", "secret": "${secrets.KEY}"}]
            await published(here, "greeting", echo(triggers=own))
            await here.until(lambda: is_ready(here, Kind.TRIGGER, "orders"))
            assert endpoints(here) == ["own", "orders"]
            here.kubernetes.apply(Kind.TRIGGER, "orders", webhook("purchases"))
            await here.until(lambda: is_ready(here, Kind.TRIGGER, "orders"))
            assert endpoints(here) == ["own", "purchases"]
            here.kubernetes.delete(Kind.TRIGGER, "orders")
            await here.until(lambda: is_gone(here, Kind.TRIGGER, "orders"))
            assert endpoints(here) == ["own"]

    run(use())


def test_a_limit_is_set_and_taken_back_and_what_others_set_is_corrected() -> None:
    async def use() -> None:
        async with world() as here, here.operator():
            limiters = here.runtime.services.stores.limiters

            def limit() -> Limiter | None:
                rule = limiters.rule("模型")
                return rule.limiter if rule is not None else None

            here.kubernetes.apply(Kind.LIMIT, "model", {"name": "模型", "concurrency": 4, "paused": True})
            await here.until(lambda: is_ready(here, Kind.LIMIT, "model"))
            assert limit() == Limiter(concurrency=4)
            assert here.runtime.services.limits.get("模型")["gauges"][0]["paused"]
            here.runtime.services.limits.put("模型", {"concurrency": 9})
            await here.until(lambda: limit() == Limiter(concurrency=4))
            here.kubernetes.delete(Kind.LIMIT, "model")
            await here.until(lambda: is_gone(here, Kind.LIMIT, "model"))
            assert limit() is None

    run(use())


def test_a_run_waits_for_its_workflow_and_tells_when_it_is_refused() -> None:
    async def use() -> None:
        async with world() as here, here.operator():
            here.kubernetes.apply(Kind.RUN, "early", {"workflow": "strict", "input": {"name": "Li"}})
            here.kubernetes.apply(Kind.RUN, "wrong", {"workflow": "strict", "input": {"name": 7}})
            await here.until(lambda: condition(here, Kind.RUN, "early", "Started").get("reason") == "WorkflowNotFound")
            schema = {"type": "object", "properties": {"name": {"type": "string"}}}
            await published(here, "strict", echo(workflow_id="strict", input_schema=schema))
            await here.until(lambda: condition(here, Kind.RUN, "early", "Complete").get("status") == "True")
            await here.until(lambda: condition(here, Kind.RUN, "wrong", "Failed").get("status") == "True")
            assert "name" in condition(here, Kind.RUN, "wrong", "Failed")["message"]

    run(use())


def test_a_run_that_fails_tells_its_error() -> None:
    async def use() -> None:
        async with world() as here, here.operator():
            fail = {"id": "no", "type": "control", "subtype": "fail", "error": "declined", "message": "额度不足"}
            await published(here, "failing", {"workflow": {"id": "failing", "nodes": [fail]}})
            here.kubernetes.apply(Kind.RUN, "bad", {"workflow": "failing"})
            await here.until(lambda: condition(here, Kind.RUN, "bad", "Failed").get("status") == "True")
            status = here.kubernetes.status(Kind.RUN, "bad")
            assert (status["phase"], status["error"]["type"]) == ("Failed", "declined")

    run(use())


def test_what_has_not_changed_is_not_written_again() -> None:
    async def use() -> None:
        async with world() as here, here.operator():
            await published(here, "greeting", echo())
            assert (here.kubernetes.get(Kind.WORKFLOW, "greeting") or {})["metadata"]["finalizers"] == [FINALIZER]
            looked = here.kubernetes.asked.count(("get", "workflows"))
            await here.until(lambda: here.kubernetes.asked.count(("get", "workflows")) > looked + 2)
            writes = [what for verb, what in here.kubernetes.asked if verb == "update" and what != "leases"]
            assert writes == ["workflows", "workflows/status"]

    run(use())


def test_the_role_allows_what_the_operator_asks_for_and_nothing_else() -> None:
    async def use() -> None:
        async with world() as here:
            async with here.operator():
                await published(here, "greeting", echo())
                here.kubernetes.apply(Kind.TRIGGER, "orders", webhook("orders"))
                here.kubernetes.apply(Kind.LIMIT, "model", {"concurrency": 4})
                here.kubernetes.apply(Kind.AGENT, "helper", agent())
                here.kubernetes.apply(Kind.RUN, "first", {"workflow": "greeting"})
                await here.until(lambda: condition(here, Kind.RUN, "first", "Complete").get("status") == "True")
                others = ((Kind.LIMIT, "model"), (Kind.TRIGGER, "orders"), (Kind.AGENT, "helper"))
                await here.until(lambda: all(is_ready(here, kind, name) for kind, name in others))
                for kind in Kind:
                    for name in here.kubernetes.names(kind):
                        here.kubernetes.delete(kind, name)
                await here.until(lambda: not any(here.kubernetes.names(kind) for kind in Kind))
            manifests = yaml.safe_load_all((ROOT / "infra/kubernetes/operator.yaml").read_text("utf-8"))
            [role] = [document for document in manifests if document["kind"] == "Role"]
            allowed = {(verb, what) for rule in role["rules"] for verb in rule["verbs"] for what in rule["resources"]}
            assert set(here.kubernetes.asked) == allowed

    run(use())
