"""The door of `awr dev` to the embedded bus: what it takes, what it refuses, and who may use it."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.frontends.dev.doors import BusDoor
from workflow_runtime.frontends.server.gateway import Gateway

JSON = {"content-type": "application/json"}
EVENT = {"source": "shop", "detail_type": "order.paid", "detail": {"order_id": "o-1"}}


async def api(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001
    return {"statusCode": 200, "body": "the API"}


def ask(method: str, path: str, **request: Any) -> tuple[httpx.Response, list[dict[str, Any]]]:
    """The answer, and the events on the bus."""
    with open_backend() as backend:
        gateway = Gateway(lambda: BusDoor(backend.ports.bus, lambda: api), None, lambda *_: None)

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=gateway)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.request(method, path, **request)

        return asyncio.run(send()), backend.bus_events()


def test_an_event_goes_onto_the_bus() -> None:
    answer, events = ask("POST", "/dev/events", json=EVENT)
    assert answer.status_code == 202
    assert [(event["source"], event["detail-type"], event["detail"]) for event in events] == [
        ("shop", "order.paid", {"order_id": "o-1"})
    ]


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        ("GET", None, 405),
        ("POST", None, 422),
        ("POST", {**EVENT, "source": "workflow-runtime"}, 422),
        ("POST", {**EVENT, "detail": [1]}, 422),
        ("POST", {**EVENT, "more": 1}, 422),
    ],
)
def test_what_no_bus_takes_is_refused(method: str, body: Any, status: int) -> None:
    answer, events = ask(method, "/dev/events", json=body)
    assert (answer.status_code, events) == (status, [])
    assert answer.headers["content-type"] == "application/problem+json"


def test_pages_from_elsewhere_are_kept_out_of_this_door_too() -> None:
    answer, events = ask("POST", "/dev/events", json=EVENT, headers={"origin": "https://example.com"})
    assert (answer.status_code, events) == (403, [])


def test_all_other_paths_are_the_apis() -> None:
    assert ask("GET", "/workflows")[0].text == "the API"
