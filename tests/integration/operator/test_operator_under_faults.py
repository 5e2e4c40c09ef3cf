"""Many workflows, changed again and again, while the operator is killed, its writes conflict, its watches break or are
too old, and the runtime's answers are lost: no version is wrong, missing or published twice."""

from __future__ import annotations

import asyncio
import os
import random

import httpx
import msgspec
from tests.integration.operator.objects import condition, echo, endpoints, is_ready, webhook
from tests.integration.operator.world import World, world
from tests.seeds import for_seeds

from workflow_runtime.frontends.operator.resources import Kind

WORKFLOWS = int(os.environ.get("OPERATOR_WORKFLOWS", "60"))  # 200 and more in a long run
CHANGED = WORKFLOWS * 3 // 10  # in each round
ROUNDS = 5
RESYNC_SECONDS = 600.0  # none of what is expected here comes from looking again at what nobody has changed


def name(number: int) -> str:
    return f"w-{number:03d}"


def spec(number: int, revision: int) -> dict[str, object]:
    return echo(f"revision {revision}", name(number).replace("-", "_"))


def revisions(here: World, number: int) -> list[int]:
    """Of the versions that were published, the oldest first."""
    documents = [msgspec.json.decode(source) for source in here.versions(name(number).replace("-", "_"))]
    return [int(document["workflow"]["nodes"][0]["inputs"]["text"].split()[1]) for document in documents]


async def _until_all_are_ready(here: World) -> None:
    await here.until(lambda: all(is_ready(here, Kind.WORKFLOW, name(number)) for number in range(WORKFLOWS)))


@for_seeds([1])
def test_workflows_get_every_version_through_conflicts_restarts_and_broken_watches(seed: int) -> None:
    chance = random.Random(seed)
    revision = dict.fromkeys(range(WORKFLOWS), 0)

    async def use() -> None:
        async with world(RESYNC_SECONDS) as here:
            here.losing = lambda request: request.method in ("PUT", "DELETE") and chance.random() < 0.2
            for number in range(WORKFLOWS):
                here.kubernetes.apply(Kind.WORKFLOW, name(number), spec(number, 0))
            for round_ in range(ROUNDS):
                async with here.operator(f"replica-{round_}"):
                    here.kubernetes.conflicts = CHANGED
                    for number in chance.sample(range(WORKFLOWS), CHANGED):
                        revision[number] += 1
                        here.kubernetes.apply(Kind.WORKFLOW, name(number), spec(number, revision[number]))
                        if chance.random() < 0.05:
                            here.kubernetes.break_watches()
                            here.kubernetes.forget()
                        if chance.random() < 0.1:
                            await asyncio.sleep(0.05)
                    if chance.random() < 0.5:
                        await asyncio.sleep(chance.random())  # else it is killed while most is left to do
            async with here.operator("last"):
                await here.until(lambda: here.kubernetes.refused_conflicts > 0)
                while here.kubernetes.gone == 0:  # until it watched before, and was told less than is forgotten
                    revision[0] += 1
                    here.kubernetes.apply(Kind.WORKFLOW, name(0), spec(0, revision[0]))
                    here.kubernetes.break_watches()
                    here.kubernetes.forget()
                    await asyncio.sleep(0.05)
                await _until_all_are_ready(here)
            for number in range(WORKFLOWS):
                published = revisions(here, number)
                assert published[-1] == revision[number]
                assert published == sorted(set(published)), f"{name(number)}: {published}"
                status = here.kubernetes.status(Kind.WORKFLOW, name(number))
                assert status["version"] == len(published)

    asyncio.run(use())


def test_triggers_that_come_and_go_unheard_are_in_the_next_version() -> None:
    async def use() -> None:
        async with world() as here:
            async with here.operator():
                here.kubernetes.apply(Kind.WORKFLOW, "greeting", echo())
                for endpoint in ("a", "b", "c"):
                    here.kubernetes.apply(Kind.TRIGGER, endpoint, webhook(endpoint))
                await here.until(lambda: all(is_ready(here, Kind.TRIGGER, one) for one in ("a", "b", "c")))
            here.kubernetes.delete(Kind.TRIGGER, "a")
            here.kubernetes.apply(Kind.TRIGGER, "b", webhook("d"))
            here.kubernetes.forget()
            async with here.operator():
                await here.until(lambda: endpoints(here) == ["d", "c"] and not here.kubernetes.get(Kind.TRIGGER, "a"))

    asyncio.run(use())


def test_a_start_whose_answer_is_lost_is_one_execution() -> None:
    async def use() -> None:
        async with world() as here:
            lost: list[httpx.Request] = []

            def lose(request: httpx.Request) -> bool:
                if request.url.path.endswith("/execute") and len(lost) < 8:
                    lost.append(request)
                    return True
                return False

            here.losing = lose
            async with here.operator():
                here.kubernetes.apply(Kind.WORKFLOW, "greeting", echo())
                here.kubernetes.apply(Kind.RUN, "once", {"workflow": "greeting"})
                await here.until(lambda: condition(here, Kind.RUN, "once", "Complete").get("status") == "True")
                await here.until(lambda: bool(here.kubernetes.status(Kind.WORKFLOW, "greeting").get("lastRuns")))
            assert len(lost) == 8
            assert len(here.kubernetes.status(Kind.WORKFLOW, "greeting")["lastRuns"]) == 1

    asyncio.run(use())


def test_of_several_replicas_one_works_and_another_takes_over_when_it_ends() -> None:
    async def use() -> None:
        async with world() as here, here.operator("second") as second:
            async with here.operator("first"):
                here.kubernetes.apply(Kind.WORKFLOW, "greeting", echo())
                await here.until(lambda: is_ready(here, Kind.WORKFLOW, "greeting"))
                leader = here.kubernetes.lease_holder("awr-operator")
                await asyncio.sleep(0)
                assert leader in ("first", "second")
            here.kubernetes.apply(Kind.WORKFLOW, "greeting", echo("again"))
            await here.until(lambda: is_ready(here, Kind.WORKFLOW, "greeting"))
            assert here.kubernetes.lease_holder("awr-operator") == "second"
            assert len(here.versions("greeting")) == 2
            assert not second.done()

    asyncio.run(use())
