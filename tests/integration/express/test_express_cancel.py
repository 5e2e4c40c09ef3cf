"""Cancelling express executions: one that waits to begin does nothing, one that has begun ends as it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.integration.api.conftest import JSON, Api, Reply
from tests.integration.express.test_express import Cut, CutAt, cut
from tests.integration.express.test_express import api as api

from workflow_runtime.errors import RequestError, RetryableError
from workflow_runtime.runtime.express import ExpressRunner
from workflow_runtime.services.express import ExpressNow, ExpressOrder, ExpressStart, express_body, order_with


def stored(api: Api) -> str:
    return api.runtime.services.starter.start("快", {"x": 1})


def begin(api: Api, execution_id: str) -> None:
    """An invocation begins, does what there is to do, and is lost before it has recorded it."""
    counting = CutAt(None, after=False)
    other = stored(api)
    asyncio.run(ExpressRunner(cut(api.runtime.services, counting)).run(ExpressOrder(other)))
    lost = CutAt(counting.made, after=False)
    with pytest.raises(Cut):
        asyncio.run(ExpressRunner(cut(api.runtime.services, lost)).run(ExpressOrder(execution_id)))


def cancel(api: Api, execution_id: str) -> Reply:
    return api("POST", f"/executions/{execution_id}/cancel", "{}", JSON)


def status(api: Api, execution_id: str) -> str:
    return str(api.runtime.services.documents.status(execution_id))


def test_one_that_an_invocation_runs_cannot_be_cancelled_and_comes_to_its_end(api: Api) -> None:
    execution_id = stored(api)
    begin(api, execution_id)
    refused = cancel(api, execution_id)
    assert (refused.status, refused.code) == (409, "refused")
    assert "cannot be cancelled any more" in refused.json["detail"]
    asyncio.run(api.runtime.run_until_ended(execution_id))
    document = api("GET", f"/executions/{execution_id}?include=output,nodes").json
    assert (document["status"], document["output"]) == ("completed", {"y": 1})
    assert {node["status"] for node in document["node_executions"].values()} == {"success"}


def test_why_tells_what_begins_it_and_that_it_has_begun(api: Api) -> None:
    execution_id = stored(api)
    url = f"/executions/{execution_id}/why"
    (waits,) = api("GET", url).json["waits"]
    assert waits["waiting_on"] == "queue"
    assert "an invocation of the pool `express`" in waits["moves"]
    begin(api, execution_id)
    for query in ("", "?node=一"):
        (runs,) = api("GET", url + query).json["waits"]
        assert runs["waiting_on"] is None
        assert "the end of the invocation that runs it" in runs["moves"]


def test_an_invocation_that_begins_before_the_request_is_taken_decides(api: Api) -> None:
    execution_id = stored(api)
    assert cancel(api, execution_id).status == 202
    begin(api, execution_id)
    asyncio.run(api.runtime.run_until_ended(execution_id))
    assert status(api, execution_id) == "completed"


@pytest.mark.parametrize("is_lost", [False, True])
def test_nothing_runs_once_the_request_is_taken(api: Api, is_lost: bool) -> None:
    """``is_lost``: whoever took it got no further than to say so."""
    services = api.runtime.services
    execution_id = stored(api)
    services.control.ask("cancel", execution_id)
    if is_lost:
        assert services.stores.executions.close_express(execution_id)
        asyncio.run(ExpressRunner(services).run(ExpressOrder(execution_id)))
        assert status(api, execution_id) == "pending"
    asyncio.run(api.runtime.run_until_ended(execution_id))
    assert status(api, execution_id) == "cancelled"
    counting = CutAt(None, after=False)
    asyncio.run(ExpressRunner(cut(services, counting)).run(ExpressOrder(execution_id)))
    assert counting.made == 1, "it looks, and no more"
    assert {node["status"] for node in services.documents.document(execution_id)["node_executions"].values()} == {
        "skipped"
    }


@pytest.mark.parametrize("is_stored_before", [False, True])
def test_one_that_somebody_waited_for_may_have_begun(api: Api, is_stored_before: bool) -> None:
    services = api.runtime.services

    async def fails(_: ExpressOrder) -> None:
        raise RetryableError("cut off")

    starts: list[ExpressStart] = []
    execution_id = services.starter.start("快", {"x": 1}, run_express=starts.append)
    if is_stored_before:
        services.stores.executions.create(starts[0].header, starts[0].data)
    asyncio.run(ExpressNow(services.ports, fails, services.starter).run(starts[0], 1))
    with pytest.raises(RequestError, match="cannot be cancelled any more"):
        services.control.ask("cancel", execution_id)
    asyncio.run(api.runtime.run_until_ended(execution_id))
    assert status(api, execution_id) == "completed"


def test_one_that_is_given_up_takes_no_record_any_more(api: Api) -> None:
    services = api.runtime.services
    execution_id = stored(api)
    start = ExpressStart(services.documents.header(execution_id), services.stores.executions.globals(execution_id))
    begin(api, execution_id)
    services.dead_letters.take({"body": express_body(ExpressOrder(execution_id)), "messageId": "m", "attributes": {}})
    asyncio.run(api.runtime.run_until_ended(execution_id))
    asyncio.run(ExpressRunner(services).run(order_with(services.ports, start)))
    document = services.documents.document(execution_id)
    assert (document["status"], document["error"]["type"]) == ("failed", "worker_lost")
    assert "what its nodes have done is not recorded" in document["error"]["message"]


def test_a_start_that_is_brought_writes_nothing_but_its_record(api: Api) -> None:
    services = api.runtime.services
    starts: list[ExpressStart] = []
    services.starter.start("快", {"x": 1}, run_express=starts.append)
    writes: list[str] = []

    class Counting(CutAt):
        def call(self, function: Callable[..., Any]) -> Callable[..., Any]:
            def called(*given: Any, **named: Any) -> Any:
                if function.__name__ in ("put", "put_all", "update", "change", "transact"):
                    writes.append(function.__name__)
                return function(*given, **named)

            return called

    asyncio.run(ExpressRunner(cut(services, Counting(None, after=False))).run(order_with(services.ports, starts[0])))
    assert writes == ["put"]
