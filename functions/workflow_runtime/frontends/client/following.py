"""Events of executions elsewhere, read from their histories: looks again and again, and tells what is new."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from workflow_runtime.deployment.topology import CUSTOM_SOURCE, LIFECYCLE_SOURCE
from workflow_runtime.frontends.client.errors import EngineError, NotFound
from workflow_runtime.language.json_values import Json

LOOK_SECONDS = 1.0
PAGE_ITEMS = 100
SCHEMA_VERSION = 1  # of the details, as `services.publisher` has it
IDENTITY = ("execution_id", "workflow_id", "workflow_version", "correlation_id")

Call = Callable[..., Awaitable[Any]]
Sleep = Callable[[float], Awaitable[None]]
Deliver = Callable[[dict[str, Json]], None]

logger = logging.getLogger(__name__)


class _Followed:
    """An execution whose history is read. ``cursor``: how far."""

    def __init__(self, summary: dict[str, Any]) -> None:
        self.summary = summary
        self.cursor: str | None = None
        self.ended = False


class Follower:
    """Follows one execution, those of one workflow, or all. ``call``: method, path and parameters to an answer."""

    def __init__(
        self, call: Call, sleep: Sleep, execution_id: str | None, workflow_id: str | None, deliver: Deliver
    ) -> None:
        self._call = call
        self._sleep = sleep
        self._execution_id = execution_id
        self._workflow_id = workflow_id
        self._deliver = deliver
        self._followed: dict[str, _Followed] = {}
        self._is_first = True
        self.ready = asyncio.Event()  # the first look was taken: what begins now is told

    async def run(self) -> None:
        """Until cancelled. Failures that may pass are logged, and looked past."""
        while True:
            try:
                await self.look()
            except EngineError as error:
                logger.warning("events cannot be read at the moment: %s", error)
            finally:
                self.ready.set()  # others wait for it, whatever happened
            await self._sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look once; of executions that were there before the first look, only what comes after it is told."""
        await self._discover()
        for id, followed in list(self._followed.items()):
            if not followed.ended:
                try:
                    await self._read(id, followed, tell=not self._is_first or self._execution_id is not None)
                except NotFound:
                    followed.ended = True
        self._is_first = False

    async def _discover(self) -> None:
        if self._execution_id is not None:
            if not self._followed:
                path = f"/executions/{self._execution_id}"
                self._followed[self._execution_id] = _Followed(await self._call("GET", path))
            return
        for workflow_id in [self._workflow_id] if self._workflow_id is not None else await self._workflows():
            await self._discover_of(workflow_id)

    async def _workflows(self) -> list[str]:
        found: list[str] = []
        cursor: str | None = None
        while True:
            page = await self._page("/workflows", {}, cursor)
            found += [item["workflow_id"] for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    async def _discover_of(self, workflow_id: str) -> None:
        """The executions since the newest that is known, and at first those under way."""
        cursor: str | None = None
        while True:
            page = await self._page("/executions", {"workflow": workflow_id}, cursor)
            fresh = [item for item in page["items"] if item["execution_id"] not in self._followed]
            for item in fresh:
                followed = self._followed[item["execution_id"]] = _Followed(item)
                followed.ended = self._is_first and item["ended_at"] is not None
            cursor = page["next_cursor"]
            if cursor is None or len(fresh) < len(page["items"]):
                return

    async def _page(self, path: str, parameters: dict[str, str], cursor: str | None) -> Any:
        given = {**parameters, "limit": str(PAGE_ITEMS), **({"cursor": cursor} if cursor is not None else {})}
        return await self._call("GET", path, params=given)

    async def _read(self, id: str, followed: _Followed, *, tell: bool) -> None:
        while True:
            page = await self._page(f"/executions/{id}/history", {}, followed.cursor)
            for entry in page["items"] if tell else ():
                for event in _events_of(followed.summary, entry):
                    self._deliver(event)
            followed.ended = page["next_cursor"] is None
            followed.cursor = page["next_cursor"] or followed.cursor
            if followed.ended or not page["items"]:
                return


def _events_of(summary: dict[str, Any], entry: dict[str, Any]) -> list[dict[str, Json]]:
    """The events that a commit published, as EventBridge delivers them."""
    events = []
    for index, command in enumerate(entry["commands"]):
        if command["command"] != "publish_event":
            continue
        identity = {name: summary[name] for name in IDENTITY}
        if command.get("custom"):
            mark = {name: identity[name] for name in ("execution_id", "workflow_id", "correlation_id")}
            detail = {**command["detail"], "workflow_runtime": mark}
        else:
            detail = {"schema_version": SCHEMA_VERSION, **identity, **command["detail"]}
        events.append(
            {
                "version": "0",
                "id": f"{identity['execution_id']}:{entry['version']}:{index}",
                "detail-type": command["detail_type"],
                "source": CUSTOM_SOURCE if command.get("custom") else LIFECYCLE_SOURCE,
                "account": "",
                "time": entry["at"],
                "region": "",
                "resources": [],
                "detail": msgspec.to_builtins(detail),
            }
        )
    return events
