"""A connection to the HTTP API: `awr dev` or a deployed one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.frontends.client.calls import (
    PAGE_ITEMS_MAX,
    definition_of,
    encoded,
    is_left_out,
    key_or_new,
    segment,
)
from workflow_runtime.frontends.client.errors import (
    Conflict,
    EngineError,
    NotFound,
    WaitTimeout,
    checked_json,
)
from workflow_runtime.frontends.client.following import Follower
from workflow_runtime.frontends.client.remote_agents import RemoteAgents
from workflow_runtime.frontends.client.remote_people import RemotePeople
from workflow_runtime.frontends.client.sources import Source
from workflow_runtime.language.json_values import Json
from workflow_runtime.services.session_ids import session_id

LOOK_SECONDS_MIN = 0.1  # between looks at an execution that is waited for
LOOK_SECONDS_MAX = 2.0
LOOK_GROWTH = 1.5
ENDED = frozenset(status.value for status in ExecutionStatus if status.terminal)
WAIT_SECONDS_MAX = 20.0  # the API takes 25
VALUES = ("input", "output", "variables")  # parts of a document that may have any size


class RemoteConnection(RemotePeople, RemoteAgents):
    """See `connection.Connection`; the arguments are those of `WorkflowEngine.remote`.

    Every call may be repeated: reads change nothing, publishing the same definition again changes nothing, and starts
    and events carry idempotency keys. ``profile`` and ``region``: what to sign with, at any URL. ``transport``,
    ``sleep`` and ``now`` (seconds, growing) are for tests.
    """

    async def publish(self, source: Source) -> str:
        definition = definition_of(source)
        try:
            answer = await self._call("POST", "/workflows", **definition)
        except Conflict:  # it is there with another plan: ours is its next version
            checked = await self._call("POST", "/workflows/validate", **definition)
            answer = await self._call("PUT", f"/workflows/{segment(str(checked['workflow_id']))}", **definition)
        return str(answer["workflow_id"])

    async def start(self, workflow_id: str, input: Json, *, version: int | None, idempotency_key: str | None) -> str:
        await self._followers_are_ready()
        answer = await self._call(
            "POST",
            f"/workflows/{segment(workflow_id)}/execute",
            params={"version": str(version)} if version is not None else {},
            content=encoded({"input": checked_json(input, "input", "invalid_input")}),
            headers={"content-type": "application/json", "idempotency-key": key_or_new(idempotency_key)},
        )
        return str(answer["execution_id"])

    async def document(self, execution_id: str) -> dict[str, Json]:
        path = f"/executions/{segment(execution_id)}"
        answer = await self._call("GET", path, params={"include": ",".join(("nodes", *VALUES))})
        document = answer.plain("execution_id")
        for name in VALUES:
            if is_left_out(document.get(name)):
                document[name] = await self._value(path, {"include": name})
        nodes = document.get("node_executions", {})
        for node, entry in nodes.items() if not is_left_out(nodes) else ():
            if is_left_out(entry.get("output")):
                entry["output"] = await self._value(f"{path}/nodes/{segment(node)}", {})
        return document

    async def wait(self, execution_id: str, seconds: float | None) -> dict[str, Json]:
        end = self._now() + seconds if seconds is not None else None
        pause = LOOK_SECONDS_MIN
        while True:
            answer = await self._call("GET", f"/executions/{segment(execution_id)}", params={"include": "output"})
            if answer["status"] in ENDED:
                return await self.document(execution_id)
            left = end - self._now() if end is not None else pause
            if left <= 0:
                raise WaitTimeout(execution_id, seconds or 0)
            await self._sleep(min(pause, left))
            pause = min(pause * LOOK_GROWTH, LOOK_SECONDS_MAX)

    async def send_event(
        self, execution_id: str, name: str, data: Json, *, key: str | None, wait: float | None
    ) -> dict[str, Json]:
        """Sent again under the same key while the caller waits longer than one request may."""
        await self._followers_are_ready()
        path, key = f"/executions/{segment(execution_id)}/events", key_or_new(key)
        content = encoded({"event": name, "data": checked_json(data, "data", "invalid_event")})
        end = self._now() + (wait or 0)
        while True:
            left = max(end - self._now(), 0)
            answer = await self._call(
                "POST",
                path,
                params={"wait": f"{min(left, WAIT_SECONDS_MAX, self._timeout / 2):g}"} if left else {},
                content=content,
                headers={"content-type": "application/json", "idempotency-key": key},
            )
            if "outcome" in answer or self._now() >= end:
                return answer.plain("execution_id")

    async def control(
        self, operation: str, execution_id: str, reason: str, *, key: str | None, said: Mapping[str, Json]
    ) -> dict[str, Json]:
        """Under a key of its own if the caller has none: a call is repeated when its answer was lost."""
        await self._followers_are_ready()
        body = {
            "reason": reason,
            **{name: checked_json(value, name, "invalid_request") for name, value in said.items()},
        }
        answer = await self._call(
            "POST",
            f"/executions/{segment(execution_id)}/{operation}",
            content=encoded(body),
            headers={"content-type": "application/json", "idempotency-key": key_or_new(key)},
        )
        return answer.plain("execution_id")

    async def control_many(
        self,
        operation: str,
        workflow_id: str,
        selection: Mapping[str, Json],
        reason: str,
        *,
        key: str | None,
        said: Mapping[str, Json],
        cursor: str | None,
    ) -> dict[str, Json]:
        await self._followers_are_ready()
        fields = {name: checked_json(value, name, "invalid_request") for name, value in said.items()}
        answer = await self._call(
            "POST",
            f"/workflows/{segment(workflow_id)}/executions/{operation}",
            params={"cursor": cursor} if cursor is not None else {},
            content=encoded({**selection, "reason": reason, "fields": fields}),
            headers={"content-type": "application/json", "idempotency-key": key_or_new(key)},
        )
        return answer.plain("execution_ids")

    async def why(self, execution_id: str, node: str | None, limit: int) -> dict[str, Json]:
        path = f"/executions/{segment(execution_id)}/why"
        params = {"node": node} if node is not None else {"limit": str(min(limit, PAGE_ITEMS_MAX))}
        answer = await self._call("GET", path, params=params)
        document = answer.plain("waits", "next_cursor")
        cursor = document.pop("next_cursor")
        while cursor is not None and len(document["waits"]) < limit:
            page = await self._call("GET", path, params={**params, "cursor": cursor})
            document["waits"] += page["waits"]
            cursor = page["next_cursor"]
        del document["waits"][limit:]
        return document

    async def freeze(self, scope: str, reason: str) -> dict[str, Json]:
        await self._followers_are_ready()
        answer: dict[str, Json] = await self._call(
            "PUT",
            f"/freezes/{segment(scope)}",
            content=encoded({"reason": reason}),
            headers={"content-type": "application/json"},
        )
        return answer

    async def thaw(self, scope: str) -> dict[str, Json]:
        await self._followers_are_ready()
        answer: dict[str, Json] = await self._call("DELETE", f"/freezes/{segment(scope)}")
        return answer

    async def dead_letters(self, execution_id: str | None, limit: int) -> list[dict[str, Json]]:
        params = {"execution": execution_id} if execution_id is not None else {}
        return await self._pages_of("GET", "/dead-letters", params, limit)

    async def redrive(self, execution_id: str | None, *, dry_run: bool) -> list[dict[str, Json]]:
        content = encoded({"execution_id": execution_id, "dry_run": dry_run})
        headers = {"content-type": "application/json"}
        return await self._pages_of("POST", "/dead-letters/redrive", {}, None, content=content, headers=headers)

    async def freezes(self) -> list[dict[str, Json]]:
        found: list[dict[str, Json]] = (await self._call("GET", "/freezes"))["items"]
        return found

    async def limits(self) -> list[dict[str, Json]]:
        found: list[dict[str, Json]] = (await self._call("GET", "/limits"))["items"]
        return found

    async def limit(self, name: str) -> dict[str, Json]:
        answer: dict[str, Json] = await self._call("GET", f"/limits/{segment(name)}")
        return answer

    async def put_limit(self, name: str, fields: Mapping[str, Json]) -> dict[str, Json]:
        content, headers = encoded(dict(fields)), {"content-type": "application/json"}
        answer: dict[str, Json] = await self._call("PUT", f"/limits/{segment(name)}", content=content, headers=headers)
        return answer

    async def delete_limit(self, name: str) -> dict[str, Json]:
        answer: dict[str, Json] = await self._call("DELETE", f"/limits/{segment(name)}")
        return answer

    async def sessions(self, agent: str | None, tenant: str | None, limit: int) -> list[dict[str, Json]]:
        given = {"agent": agent, "tenant": tenant}
        params = {name: value for name, value in given.items() if value is not None}
        return await self._pages_of("GET", "/sessions", params, limit)

    async def session(self, agent: str, session: str, tenant: str) -> dict[str, Json]:
        path = f"/sessions/{session_id(agent, tenant, session)}"
        params = {"limit": str(PAGE_ITEMS_MAX)}
        told: list[dict[str, Json]] = []
        cursor: str | None = ""
        while cursor is not None:
            answer = await self._call("GET", path, params={**params, **({"cursor": cursor} if cursor else {})})
            document = answer.plain("told", "next_cursor")
            for turn in document["told"]:
                if is_left_out(turn["messages"]):
                    turn["messages"] = await self._value(path, {"turn": str(turn["number"])})
            told += document["told"]
            cursor = document.pop("next_cursor")
        return {**document, "told": told}

    async def delete_session(self, agent: str, session: str, tenant: str) -> None:
        await self._answer("DELETE", f"/sessions/{session_id(agent, tenant, session)}")

    async def publish_event(self, source: str, detail_type: str, detail: dict[str, Json]) -> None:
        await self._followers_are_ready()
        event = {
            "source": source,
            "detail_type": detail_type,
            "detail": checked_json(detail, "data", "invalid_event"),
        }
        headers = {"content-type": "application/json"}
        try:
            await self._call("POST", "/dev/events", content=encoded(event), headers=headers)
        except NotFound:
            message = f"{self._url} takes no events for its bus: a deployed runtime has an EventBridge bus that does"
            raise EngineError(message, "no_bus") from None

    def listen(
        self, execution_id: str | None, workflow_id: str | None, deliver: Callable[[dict[str, Json]], None]
    ) -> Callable[[], None]:
        follower = Follower(self._call, self._sleep, execution_id, workflow_id, deliver)
        task = asyncio.get_running_loop().create_task(follower.run())

        self._followers.add(follower)

        def stop() -> None:
            task.cancel()
            self._followers.discard(follower)
            follower.ready.set()

        return stop

    async def list(
        self, workflow_id: str | None, status: str | None, since: datetime | None, limit: int
    ) -> list[dict[str, Json]]:
        if workflow_id is not None:
            await self._call("GET", f"/workflows/{segment(workflow_id)}")
        started_after = since.isoformat() if since is not None else None
        given = {"workflow": workflow_id, "status": status, "started_after": started_after}
        params = {name: value for name, value in given.items() if value is not None}
        return await self._pages_of("GET", "/executions", params, limit)
