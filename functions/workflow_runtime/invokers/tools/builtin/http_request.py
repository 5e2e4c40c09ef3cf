"""`http_request`: one HTTP request to an address that was checked, redirects included.

The tool resolves the host itself, checks every address, and connects to a checked one by number: the request's URL
carries the address, its Host header and its TLS server name (which the certificate must match) carry the name. A name
that resolves differently a moment later (rebinding) therefore changes nothing.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.tools.builtin.addresses import Address, AllowList, check_host
from workflow_runtime.invokers.tools.builtin.http_headers import after_redirect, checked_headers
from workflow_runtime.invokers.tools.reach import Reach
from workflow_runtime.invokers.tools.services import ToolServices
from workflow_runtime.sdk import NodeContext, tool

if TYPE_CHECKING:
    import httpx

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

RESPONSE_BYTES_MAX = 5 * 1024 * 1024  # decoded; a worker has 512 MB for ten nodes at once
REQUEST_BYTES_MAX = 5 * 1024 * 1024
URL_CHARACTERS_MAX = 8192
REDIRECTS_MAX = 5
TIMEOUT_SECONDS = 30.0
TIMEOUT_SECONDS_MAX = 870.0  # a worker's longest node
CONNECT_SECONDS = 10.0
RATE_LIMITED = 429


class _Request(msgspec.Struct, frozen=True):
    """What to send next; ``url`` is by name."""

    method: str
    url: httpx.URL
    headers: dict[str, str]
    content: bytes


def http_request_function(reach: Reach, services: ToolServices) -> Callable[..., Any]:
    allow_list = AllowList(reach.http or ())

    @tool(description="Sends an HTTP request and returns {status, headers, body, url}; a JSON body is parsed.")
    async def http_request(
        url: str,
        context: NodeContext,
        method: Method = "GET",
        headers: dict[str, str] | None = None,
        query: dict[str, str | int | float | bool] | None = None,
        json: Any = None,
        body: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
        fail_on_error: bool = True,
    ) -> dict[str, Any]:
        reach.require("http", "http_request")
        request = _first_request(url, method, headers or {}, query or {}, json, body)
        if not 0 < timeout <= TIMEOUT_SECONDS_MAX:
            raise NodeError("validation_error", f"timeout must be above 0 and at most {TIMEOUT_SECONDS_MAX:g} seconds")
        seconds = min(timeout, context.remaining_seconds())
        try:
            async with asyncio.timeout(seconds):
                result = await _Exchange(allow_list, services).run(request)
        except TimeoutError:
            raise NodeError("timeout", f"{request.url.host} did not answer within {seconds:g} seconds") from None
        if fail_on_error and result["status"] >= 400:
            type = "rate_limited" if result["status"] == RATE_LIMITED else "execution_error"
            raise NodeError(type, f"{request.url.host} answered with HTTP {result['status']}")
        return result

    return http_request


def _first_request(
    url: str, method: str, headers: Mapping[str, str], query: Mapping[str, Any], json: Any, body: str | None
) -> _Request:
    content = b""
    sent = checked_headers(headers)
    if json is not None and body is not None:
        raise NodeError("validation_error", "give `json` or `body`, not both")
    if json is not None:
        content = msgspec.json.encode(json)
        sent.setdefault("content-type", "application/json")
    elif body is not None:
        content = body.encode()
        sent.setdefault("content-type", "text/plain; charset=utf-8")
    if len(content) > REQUEST_BYTES_MAX:
        raise NodeError("validation_error", f"the body is larger than {REQUEST_BYTES_MAX} bytes")
    parsed = _checked_url(url)
    if query:
        texts = {name: _text(value) for name, value in query.items()}
        parsed = parsed.copy_merge_params(texts)
    return _Request(method, parsed, sent, content)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _checked_url(url: str) -> httpx.URL:
    import httpx

    if len(url) > URL_CHARACTERS_MAX:
        raise NodeError("validation_error", f"the URL is longer than {URL_CHARACTERS_MAX} characters")
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise NodeError("validation_error", f"no valid URL: {error}") from None
    if parsed.scheme not in ("http", "https"):
        raise NodeError("validation_error", f"only http and https URLs can be requested, not {parsed.scheme[:20]!r}")
    if parsed.userinfo:
        raise NodeError("validation_error", "a URL may not hold credentials; use the header Authorization")
    if not parsed.host:
        raise NodeError("validation_error", "the URL has no host")
    if parsed.port == 0:
        raise NodeError("validation_error", "the URL's port is 0")
    return parsed.copy_with(fragment=None)


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Certificates are read once a process: it takes longer than most requests."""
    import httpx

    return httpx.create_ssl_context(trust_env=False)


class _Exchange:
    """A request and the redirects after it, over one connection pool."""

    def __init__(self, allow_list: AllowList, services: ToolServices) -> None:
        self._allow_list = allow_list
        self._services = services

    async def run(self, request: _Request) -> dict[str, Any]:
        import httpx

        # trust_env: a proxy from the environment would resolve the name again, unchecked.
        transport = self._services.transport or httpx.AsyncHTTPTransport(verify=_tls(), trust_env=False, retries=0)
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            for _ in range(REDIRECTS_MAX + 1):
                try:
                    result = await self._send(client, request)
                except httpx.TimeoutException:
                    raise NodeError("timeout", f"{request.url.host} did not answer in time") from None
                except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                    message = f"the request to {request.url.host} failed: {type(error).__name__}"
                    raise NodeError("execution_error", message) from None
                if isinstance(result, dict):
                    return result
                request = result
        raise NodeError("execution_error", f"{request.url.host}: more than {REDIRECTS_MAX} redirects")

    async def _send(self, client: httpx.AsyncClient, request: _Request) -> dict[str, Any] | _Request:
        """The result, or the next request of a redirect."""
        import httpx

        addresses = await self._addresses(request.url)
        for position, address in enumerate(addresses):
            try:
                response = await client.send(_pinned(request, address), stream=True, follow_redirects=False)
                break
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if position == len(addresses) - 1:
                    raise
        try:
            location = response.headers.get("location")
            if response.is_redirect and location is not None:
                return _redirected(request, response.status_code, location)
            body = await _read(response)
        finally:
            await response.aclose()
        return {
            "status": response.status_code,
            "headers": {name.lower(): value for name, value in response.headers.items()},
            "body": _parsed(response, body, request.url.host),
            "url": str(request.url),
        }

    async def _addresses(self, url: httpx.URL) -> list[Address]:
        host = url.raw_host.decode("ascii").lower()
        literal = check_host(host)
        if literal is not None:
            return self._allow_list.check(host, [str(literal)])
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            found = await self._services.resolve(host, port)
        except (OSError, UnicodeError):
            raise NodeError("execution_error", f"the host {host} cannot be resolved") from None
        return self._allow_list.check(host.removesuffix("."), found)


def _pinned(request: _Request, address: Address) -> httpx.Request:
    """The request to ``address``, in the name of its host. Built without a client, which would add cookies and
    credentials."""
    import httpx

    url = request.url
    host = url.raw_host.decode("ascii")
    return httpx.Request(
        request.method,
        url.copy_with(host=str(address)),
        headers={
            "host": url.netloc.decode("ascii"),
            "accept-encoding": "identity",
            "user-agent": "agent-workflow-runtime",
            "accept": "*/*",
            **request.headers,
        },
        content=request.content or None,
        extensions={
            "sni_hostname": host.removesuffix("."),
            "timeout": httpx.Timeout(None, connect=CONNECT_SECONDS).as_dict(),
        },
    )


def _redirected(request: _Request, status: int, location: str) -> _Request:
    import httpx

    try:
        target = _checked_url(str(request.url.join(location)))
    except httpx.InvalidURL:
        raise NodeError("execution_error", f"{request.url.host} redirects to no valid URL") from None
    if request.url.scheme == "https" and target.scheme == "http":
        raise NodeError("not_allowed", f"{request.url.host} redirects from https to http")
    method, content, headers = request.method, request.content, request.headers
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):  # RFC 9110 §15.4
        method, content = "GET", b""
        headers = {name: value for name, value in headers.items() if not name.startswith("content-")}
    same_origin = (target.scheme, target.host, target.port) == (request.url.scheme, request.url.host, request.url.port)
    if not same_origin:
        headers = after_redirect(headers)
    return _Request(method, target, headers, content)


async def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > RESPONSE_BYTES_MAX:
            raise NodeError("execution_error", f"the response is larger than {RESPONSE_BYTES_MAX} bytes")
    return bytes(body)


def _parsed(response: httpx.Response, body: bytes, host: str) -> Any:
    content_type = response.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type == "application/json" or content_type.endswith("+json"):
        try:
            return msgspec.json.decode(body) if body else None
        except msgspec.DecodeError:
            pass  # said to be JSON and is not: the author sees the text
    try:
        return body.decode(response.charset_encoding or "utf-8")
    except (UnicodeDecodeError, LookupError):
        message = f"{host} answered with a body that is no text ({content_type or 'no content type'})"
        raise NodeError("execution_error", message) from None
