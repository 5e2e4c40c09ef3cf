"""Calls to the HTTP API, `awr dev` or a deployed one: signed, repeated, and put together of pages and slices."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from workflow_runtime.frontends.client.answers import PASSING_STATUSES, Answer, answer_of, error_of, unexpected
from workflow_runtime.frontends.client.errors import EngineError, Unavailable, not_encodable
from workflow_runtime.frontends.client.following import Follower
from workflow_runtime.frontends.client.signing import SigV4, aws_region
from workflow_runtime.frontends.client.sources import Source
from workflow_runtime.language.json_values import Json, read_json

ATTEMPTS_MAX = 5
PAUSE_SECONDS_MIN = 0.1
PAUSE_SECONDS_MAX = 5.0
PAGE_ITEMS_MAX = 100  # the API's
Sleep = Callable[[float], Awaitable[None]]


class Calls:
    """What calls about anything are made with; the arguments are those of `remote.RemoteConnection`."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        sign: bool | None = None,
        profile: str | None = None,
        region: str | None = None,
        timeout_seconds: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url.rstrip("/")
        asked = profile is not None or region is not None
        region = region or aws_region(url)
        wanted = asked or region is not None if sign is None else sign
        self._auth = SigV4(region, profile=profile) if wanted else None
        self._headers = dict(headers or {})
        self._timeout = timeout_seconds
        self._transport = transport
        self._sleep = sleep
        self._now = now
        self._client: httpx.AsyncClient | None = None
        self._followers: set[Follower] = set()

    async def open(self) -> None:
        self._client = httpx.AsyncClient(
            auth=self._auth, headers=self._headers, timeout=self._timeout, transport=self._transport
        )

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _call(self, method: str, path: str, **request: Any) -> Answer:
        """The answer's JSON. Raises `EngineError`."""
        return answer_of(await self._answer(method, path, **request))

    async def _answer(self, method: str, path: str, **request: Any) -> httpx.Response:
        """An answer that is a success. Calls that fail for a passing reason are repeated. Raises `EngineError`."""
        if self._client is None:
            raise Unavailable("the engine is not open: use `async with WorkflowEngine.remote(…) as engine`", "not_open")
        url = self._url + path
        for attempt in range(1, ATTEMPTS_MAX + 1):
            pause = random.uniform(0, min(PAUSE_SECONDS_MIN * 2**attempt, PAUSE_SECONDS_MAX))
            try:
                response = await self._client.request(method, url, **request)
            except httpx.TransportError as error:
                failure: EngineError = Unavailable(f"{self._url} cannot be reached: {error!r}", "unavailable")
            except httpx.DecodingError as error:
                raise unexpected(
                    f"{method} {url} was answered with a body that cannot be unpacked ({error})"
                ) from error
            except UnicodeEncodeError as error:
                raise not_encodable(error) from error
            except httpx.InvalidURL as error:
                raise EngineError(f"{url} is not a URL: {error}", "invalid_url") from error
            else:
                if response.is_success:
                    return response
                failure = error_of(response)
                if response.status_code not in PASSING_STATUSES:
                    raise failure
                pause = _retry_after(response, pause)
            if attempt < ATTEMPTS_MAX:
                await self._sleep(pause)
        raise failure

    async def _pages_of(
        self, method: str, path: str, params: dict[str, str], limit: int | None, **request: Any
    ) -> list[dict[str, Json]]:
        """Items of all pages, at most ``limit``."""
        found: list[dict[str, Json]] = []
        cursor: str | None = ""
        while cursor is not None and (limit is None or len(found) < limit):
            size = PAGE_ITEMS_MAX if limit is None else min(limit - len(found), PAGE_ITEMS_MAX)
            given = {**params, "limit": str(size), **({"cursor": cursor} if cursor else {})}
            page = await self._call(method, path, params=given, **request)
            found += page["items"]
            cursor = page["next_cursor"]
        return found

    async def _value(self, path: str, parameters: dict[str, str]) -> Json:
        """A value that was too large for a document, read in slices of its JSON text."""
        text = b""
        while True:
            response = await self._answer("GET", path, params={**parameters, "range": f"{len(text)}-"})
            text += response.content
            length = response.headers.get("content-range", "").rpartition("/")[2]
            if not length.isdecimal() or not response.content:
                raise unexpected(f"a part of {response.request.url} was answered without its range")
            if len(text) >= int(length):
                return read_json(text)

    async def _followers_are_ready(self) -> None:
        """What is done here after somebody began to listen is delivered to that caller."""
        for follower in list(self._followers):
            await follower.ready.wait()


def is_left_out(value: Json) -> bool:
    """Whether this is the API's note in place of a large value. A value that looks like one is read again as it is."""
    return isinstance(value, dict) and value.get("truncated") is True and isinstance(value.get("href"), str)


def key_or_new(given: str | None) -> str:
    return given if given is not None else uuid.uuid4().hex


def segment(text: str) -> str:
    """A text as a part of a path. Raises `InvalidInput`."""
    try:
        return quote(text, safe="")
    except UnicodeEncodeError as error:
        raise not_encodable(error) from error


def encoded(body: Json) -> bytes:
    """A body as it is sent. Raises `InvalidInput`."""
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError as error:
        raise not_encodable(error) from error


def definition_of(source: Source) -> dict[str, Any]:
    """The part of a request that carries a definition."""
    kind = "application/json" if source.is_json else "application/yaml"
    return {"content": source.data, "headers": {"content-type": kind}}


def forced(force: bool) -> dict[str, str]:
    """The parameter of a request that does something although there is a reason not to."""
    return {"force": "true"} if force else {}


def _retry_after(response: httpx.Response, pause: float) -> float:
    """What the server asks for, if it is not too long."""
    asked = response.headers.get("retry-after", "")
    return min(float(asked), PAUSE_SECONDS_MAX) if asked.isdecimal() else pause
