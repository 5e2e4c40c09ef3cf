"""A stand-in for the Kubernetes API server: versions, conflicts, watches, finalizers and status subresources.

As the real one: every write gets a new version, and one that names another than the current version is a conflict
(409); a watch sends what happened since a version, and answers 410 when it has forgotten that; ``metadata.generation``
counts changes of ``spec`` alone; a write of an object leaves its status alone, one of ``/status`` all else; an object
with finalizers is only marked when it is deleted, and goes with its last finalizer.
"""

from __future__ import annotations

import asyncio
import copy
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import web

from workflow_runtime.frontends.operator.resources import API_VERSION, GROUP, VERSION, Kind

NAMESPACE = "team"
LEASES = "leases"
KINDS = {**{kind.plural: kind.value for kind in Kind}, LEASES: "Lease"}
VERBS = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
DISCOVERY = ("/version", "/api", "/api/v1", "/apis", "/apis/apiextensions.k8s.io/v1", f"/apis/{API_VERSION}")
CREATED = "2027-01-01T00:00:{:02d}Z"


class KubernetesApi:
    """``check`` raises `ValueError` for an object that its schema refuses. Faults: ``conflicts`` is how many of the
    next writes find that somebody else was quicker; `break_watches`, `forget`.
    """

    def __init__(self, check: Callable[[dict[str, Any]], None]) -> None:
        self._check = check
        self._objects: dict[tuple[str, str], dict[str, Any]] = {}
        self._events: list[tuple[int, str, dict[str, Any]]] = []  # version, plural, event
        self._version = 0
        self._forgotten = 0
        self._changed = asyncio.Event()
        self._breaking = asyncio.Event()
        self._created = 0
        self.conflicts = 0
        self._chance = random.Random(1)
        self.refused_conflicts = 0
        self.gone = 0
        self.asked: list[tuple[str, str]] = []  # verb and resource, as roles name them

    # What tests do.

    def apply(self, kind: Kind, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        """Create an object, or change its spec."""
        held = self._objects.get((kind.plural, name))
        if held is None:
            return self._create(kind.plural, {"metadata": {"name": name}, "spec": spec})
        return self._write(kind.plural, held, {**held, "spec": spec})

    def delete(self, kind: Kind, name: str) -> None:
        self._delete(kind.plural, name)

    def get(self, kind: Kind, name: str) -> dict[str, Any] | None:
        return copy.deepcopy(self._objects.get((kind.plural, name)))

    def status(self, kind: Kind, name: str) -> dict[str, Any]:
        body = self._objects.get((kind.plural, name), {})
        return copy.deepcopy(body.get("status", {}))

    def names(self, kind: Kind) -> list[str]:
        return [name for plural, name in self._objects if plural == kind.plural]

    def everything(self) -> str:
        """Specs and statuses, for people."""
        return "\n".join(f"{name} {body['spec']} {body.get('status')}" for name, body in self._objects.items())

    def break_watches(self) -> None:
        """End the connections of all watches, in the middle."""
        self._breaking.set()
        self._breaking = asyncio.Event()

    def forget(self) -> None:
        """Forget what happened until now: a watch from before is answered 410."""
        self._forgotten = self._version
        self._events.clear()

    def lease_holder(self, name: str) -> str:
        lease = self._objects.get((LEASES, name), {})
        return str(lease.get("spec", {}).get("holderIdentity", ""))

    # What the API does.

    def _tell(self, type_: str, plural: str, body: dict[str, Any]) -> None:
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)
        self._events.append((self._version, plural, {"type": type_, "object": copy.deepcopy(body)}))
        self._changed.set()
        self._changed = asyncio.Event()

    def _create(self, plural: str, given: dict[str, Any]) -> dict[str, Any]:
        name = given["metadata"]["name"]
        self._created += 1
        body = {
            "apiVersion": API_VERSION if plural != LEASES else "coordination.k8s.io/v1",
            "kind": KINDS[plural],
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "uid": f"uid-{self._created:05d}",
                "creationTimestamp": CREATED.format(self._created % 60),
                "generation": 1,
            },
            "spec": copy.deepcopy(given["spec"]),
        }
        self._check(body)
        self._objects[plural, name] = body
        self._tell("ADDED", plural, body)
        return copy.deepcopy(body)

    def _write(self, plural: str, held: dict[str, Any], body: dict[str, Any], subresource: str = "") -> dict[str, Any]:
        written = copy.deepcopy(held)
        if subresource == "status":
            written["status"] = copy.deepcopy(body.get("status", {}))
        else:
            written["spec"] = copy.deepcopy(body["spec"])
            written["metadata"]["finalizers"] = list(body["metadata"].get("finalizers", ()))
            if written["spec"] != held["spec"]:
                written["metadata"]["generation"] += 1
        if written == held:
            return copy.deepcopy(held)
        self._check(written)
        name = held["metadata"]["name"]
        metadata = written["metadata"]
        if "deletionTimestamp" in metadata and not metadata.get("finalizers"):
            del self._objects[plural, name]
            self._tell("DELETED", plural, written)
        else:
            self._objects[plural, name] = written
            self._tell("MODIFIED", plural, written)
        return copy.deepcopy(written)

    def _delete(self, plural: str, name: str) -> None:
        body = copy.deepcopy(self._objects[plural, name])
        if body["metadata"].get("finalizers"):
            body["metadata"]["deletionTimestamp"] = "2027-01-01T01:00:00Z"
            self._objects[plural, name] = body
            self._tell("MODIFIED", plural, body)
        else:
            del self._objects[plural, name]
            self._tell("DELETED", plural, body)

    # Its HTTP.

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """The URL at which it answers inside."""
        app = web.Application()
        app.add_routes(
            [
                *(web.get(path, self._discovered) for path in DISCOVERY),
                web.route("*", "/apis/{group}/{version}/namespaces/{namespace}/{plural}", self._many),
                web.route("*", "/apis/{group}/{version}/namespaces/{namespace}/{plural}/{name}", self._one),
                web.route("*", "/apis/{group}/{version}/namespaces/{namespace}/{plural}/{name}/{sub}", self._one),
            ]
        )
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            self.break_watches()
            await runner.cleanup()

    async def _discovered(self, request: web.Request) -> web.Response:
        served = [(kind.plural, kind.value) for kind in Kind]
        answers: dict[str, dict[str, Any]] = {
            "/version": {"major": "1", "minor": "34"},
            "/api": {"versions": ["v1"]},
            "/api/v1": {"resources": [_described("namespaces", "Namespace", namespaced=False)]},
            "/apis": {"groups": [_group(GROUP, VERSION), _group("apiextensions.k8s.io", "v1")]},
            "/apis/apiextensions.k8s.io/v1": {
                "resources": [_described("customresourcedefinitions", "CustomResourceDefinition", namespaced=False)]
            },
            f"/apis/{API_VERSION}": {
                "resources": [_described(f"{name}{sub}", kind) for name, kind in served for sub in ("", "/status")]
            },
        }
        return web.json_response(answers[request.path])

    async def _many(self, request: web.Request) -> web.StreamResponse:
        plural = request.match_info["plural"]
        if request.method == "POST":
            self.asked.append(("create", plural))
            given = await request.json()
            if (plural, given["metadata"]["name"]) in self._objects:
                return _status(409, "AlreadyExists")
            return web.json_response(self._create(plural, given), status=201)
        self.asked.append(("watch" if request.query.get("watch") else "list", plural))
        if request.query.get("watch"):
            response = web.StreamResponse(headers={"content-type": "application/json"})
            with suppress(ConnectionResetError):  # whoever watches has gone
                await self._watched(request, response, plural)
            return response
        items = [copy.deepcopy(body) for (kind, _), body in self._objects.items() if kind == plural]
        return web.json_response(
            {"kind": f"{KINDS[plural]}List", "apiVersion": API_VERSION, "items": items,
             "metadata": {"resourceVersion": str(self._version)}}
        )  # fmt: skip

    async def _watched(self, request: web.Request, response: web.StreamResponse, plural: str) -> None:
        since = int(request.query["resourceVersion"])
        await response.prepare(request)
        breaking = self._breaking
        while not breaking.is_set():
            if since < self._forgotten:
                self.gone += 1
                error = {"kind": "Status", "code": 410, "reason": "Expired"}
                await response.write(_line({"type": "ERROR", "object": error}))
                break
            changed = self._changed
            for version, of, event in list(self._events):
                if version > since and of == plural:
                    await response.write(_line(event))
                    since = version
            waits = [asyncio.ensure_future(changed.wait()), asyncio.ensure_future(breaking.wait())]
            _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in pending:
                wait.cancel()
        if request.transport is not None and breaking.is_set():
            request.transport.abort()  # as a network does that fails: no last chunk

    async def _one(self, request: web.Request) -> web.Response:
        plural, name = request.match_info["plural"], request.match_info["name"]
        subresource = f"/{request.match_info['sub']}" if "sub" in request.match_info else ""
        self.asked.append((VERBS[request.method], f"{plural}{subresource}"))
        held = self._objects.get((plural, name))
        if held is None:
            return _status(404, "NotFound")
        if request.method == "GET":
            return web.json_response(held)
        if request.method != "PUT":
            return _status(405, "MethodNotAllowed")
        body = await request.json()
        if self.conflicts > 0 and plural != LEASES and self._chance.random() < 0.5:
            self.conflicts -= 1
            self._tell("MODIFIED", plural, held)  # somebody else, just before
        if body["metadata"].get("resourceVersion") != held["metadata"]["resourceVersion"]:
            self.refused_conflicts += 1
            return _status(409, "Conflict")
        try:
            return web.json_response(self._write(plural, held, body, request.match_info.get("sub", "")))
        except ValueError as error:
            return _status(422, str(error))


def _group(name: str, version: str) -> dict[str, Any]:
    described = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [described], "preferredVersion": described}


def _described(name: str, kind: str, *, namespaced: bool = True) -> dict[str, Any]:
    verbs = ["get", "list", "watch", "update"]
    return {"name": name, "singularName": kind.lower(), "kind": kind, "namespaced": namespaced, "verbs": verbs}


def _line(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode() + b"\n"


def _status(code: int, reason: str) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "reason": reason, "message": reason}, status=code)
