"""The Kubernetes API, as far as it is needed besides the watches: objects of ours, and leases."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import httpx
import msgspec

from workflow_runtime.frontends.operator.resources import API_VERSION, FINALIZER, Key, Resource, resource_of

LEASES = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
TIMEOUT_SECONDS = 10.0


class Stale(Exception):
    """What was to be written has changed since it was read, or is gone."""


class Access(msgspec.Struct, frozen=True):
    """How the API is reached.

    ``server``: its URL.
    ``namespace``: the one that is served.
    ``token_file``: holds the bearer token, which Kubernetes replaces every hour; None: no token.
    ``ca_file``: of the authority that signed the server's certificate; None: the usual ones.
    """

    server: str
    namespace: str
    token_file: Path | None = None
    ca_file: Path | None = None

    @property
    def token(self) -> str | None:
        return self.token_file.read_text("ascii").strip() if self.token_file is not None else None


class Cluster:
    """Every method raises `httpx.HTTPError` when the API cannot be reached or refuses."""

    def __init__(self, access: Access) -> None:
        self._access = access
        trust = ssl.create_default_context(cafile=access.ca_file)
        self._client = httpx.AsyncClient(base_url=access.server, timeout=TIMEOUT_SECONDS, verify=trust)

    async def close(self) -> None:
        await self._client.aclose()

    async def get(self, key: Key) -> Resource | None:
        body = await self._request("GET", self._path(key))
        return resource_of(body) if body is not None else None

    async def write_status(self, resource: Resource, status: dict[str, Any]) -> None:
        """Replace its status, if that changes anything. Raises `Stale`."""
        if status != resource.status:
            await self._replace(f"{self._path(resource.key)}/status", {**resource.body, "status": status})

    async def hold(self, resource: Resource) -> Resource:
        """The object with our finalizer. Raises `Stale`."""
        if resource.is_ours:
            return resource
        return resource_of(await self._with_finalizers(resource, (*resource.finalizers, FINALIZER)))

    async def release(self, resource: Resource) -> None:
        """Let go of the object. Raises `Stale`."""
        if resource.is_ours:
            await self._with_finalizers(resource, tuple(name for name in resource.finalizers if name != FINALIZER))

    async def _with_finalizers(self, resource: Resource, finalizers: tuple[str, ...]) -> dict[str, Any]:
        metadata = {**resource.body["metadata"], "finalizers": list(finalizers)}
        return await self._replace(self._path(resource.key), {**resource.body, "metadata": metadata})

    async def lease(self, name: str) -> dict[str, Any] | None:
        return await self._request("GET", f"{self._leases}/{name}")

    async def create_lease(self, lease: dict[str, Any]) -> dict[str, Any]:
        """Raises `Stale` if somebody else was first."""
        return _there(await self._request("POST", self._leases, lease))

    async def replace_lease(self, lease: dict[str, Any]) -> dict[str, Any]:
        """Raises `Stale` if it has changed since it was read."""
        return await self._replace(f"{self._leases}/{lease['metadata']['name']}", lease)

    @property
    def _leases(self) -> str:
        return LEASES.format(namespace=self._access.namespace)

    def _path(self, key: Key) -> str:
        return f"/apis/{API_VERSION}/namespaces/{self._access.namespace}/{key.kind.plural}/{key.name}"

    async def _replace(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return _there(await self._request("PUT", path, body))

    async def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """None: there is no such object. Raises `Stale` for a conflict."""
        token = self._access.token
        headers = {"authorization": f"Bearer {token}"} if token is not None else {}
        response = await self._client.request(method, path, json=body, headers=headers)
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        if response.status_code == httpx.codes.CONFLICT:
            raise Stale(f"{method} {path}: it has changed meanwhile")
        if response.is_error:
            detail = response.text[:500]
            message = f"{method} {path}: {response.status_code} {detail}"
            raise httpx.HTTPStatusError(message, request=response.request, response=response)
        found: dict[str, Any] = response.json()
        return found


def _there(body: dict[str, Any] | None) -> dict[str, Any]:
    if body is None:
        raise Stale("it is gone")
    return body
