"""What a connection to the HTTP API asks for people: approvals, and task tokens."""

from __future__ import annotations

from urllib.parse import quote

from msgspec import UNSET

from workflow_runtime.frontends.client.calls import Calls, encoded, is_left_out, key_or_new, segment
from workflow_runtime.frontends.client.errors import checked_json
from workflow_runtime.frontends.server.admission import AS_HEADER
from workflow_runtime.language.json_values import Json


class RemotePeople(Calls):
    """Of `remote.RemoteConnection`."""

    async def approvals(
        self,
        *,
        assignee: str | None,
        workflow: str | None,
        older_than: str | None,
        status: str,
        limit: int,
        kind: str | None = None,
    ) -> list[dict[str, Json]]:
        said = {"workflow": workflow, "older_than": older_than, "status": status, "kind": kind}
        given = {"assignee": assignee, **said}
        params = {name: value for name, value in given.items() if value is not None}
        return await self._pages_of("GET", "/approvals", params, limit)

    async def approval(self, approval_id: str) -> dict[str, Json]:
        path = f"/approvals/{segment(approval_id)}"
        document = (await self._call("GET", path)).plain("id", "answers")
        if is_left_out(document["data"]):
            document["data"] = await self._value(path, {})
        for place, said in enumerate(document["answers"]):
            if is_left_out(said.get("data")):
                said["data"] = await self._value(path, {"answer": str(place)})
        return document

    async def answer(
        self, approval_id: str, approved: bool, *, data: Json, comment: str, by: str | None, key: str | None
    ) -> dict[str, Json]:
        changed = {} if data is UNSET else {"data": checked_json(data, "data", "invalid_request")}
        return await self._say(approval_id, "answer", {"approved": approved, "comment": comment, **changed}, by, key)

    async def delegate(
        self, approval_id: str, to: str, *, reason: str, by: str | None, key: str | None
    ) -> dict[str, Json]:
        return await self._say(approval_id, "delegate", {"to": to, "reason": reason}, by, key)

    async def task(self, what: str, said: dict[str, Json]) -> bool:
        await self._followers_are_ready()
        body = checked_json(said, "the request", "invalid_request")
        headers = {"content-type": "application/json"}
        answer = await self._call("POST", f"/tasks/{what}", content=encoded(body), headers=headers)
        return bool(answer["changed"])

    async def _say(
        self, approval_id: str, what: str, body: dict[str, Json], by: str | None, key: str | None
    ) -> dict[str, Json]:
        """``by``: told to `awr dev` as who calls, to a deployed API as for whom."""
        await self._followers_are_ready()
        named, headers = ({"by": by}, {AS_HEADER: quote(by)}) if by else ({}, {})
        answer = await self._call(
            "POST",
            f"/approvals/{segment(approval_id)}/{what}",
            content=encoded({**body, **named}),
            headers={"content-type": "application/json", "idempotency-key": key_or_new(key), **headers},
        )
        return answer.plain("approval_id")
