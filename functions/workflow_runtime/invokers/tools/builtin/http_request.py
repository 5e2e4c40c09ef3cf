"""`http_request`: one HTTP request to an address that was checked, redirects included.

The tool resolves the host itself, checks every address, and connects to a checked one by number: the request's URL
carries the address, its Host header and its TLS server name (which the certificate must match) carry the name. A name
that resolves differently a moment later (rebinding) therefore changes nothing.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.tools.builtin.http_body import Body, Form, Unreadable, decoded, received
from workflow_runtime.invokers.tools.builtin.http_guard import (
    Address,
    AllowList,
    Cookies,
    after_redirect,
    check_host,
    checked_headers,
)
from workflow_runtime.invokers.tools.reach import Reach
from workflow_runtime.invokers.tools.services import ToolServices
from workflow_runtime.sdk import NodeContext, tool

if TYPE_CHECKING:
    import httpx

Method: TypeAlias = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

REQUEST_BYTES_MAX = 5 * 1024 * 1024
URL_CHARACTERS_MAX = 8192
REDIRECTS_MAX = 5
TIMEOUT_SECONDS = 30.0
TIMEOUT_SECONDS_MAX = 870.0  # a worker's longest node
CONNECT_SECONDS = 10.0
FIRST_ERROR = 400  # of statuses
RATE_LIMITED = 429


Scalar: TypeAlias = str | int | float | bool | None


class _Request(msgspec.Struct, frozen=True):
    """What to send next; ``url`` is by name."""

    method: str
    url: httpx.URL
    headers: dict[str, str]
    content: bytes


class _Answer(msgspec.Struct, frozen=True):
    """The last response of an exchange. ``body`` is None, and ``problem`` says why, when it cannot be read."""

    host: str
    url: str
    status: int
    headers: dict[str, Any]
    body: Body | None
    problem: str = ""


def http_request_function(reach: Reach, services: ToolServices) -> Callable[..., Any]:
    allow_list = AllowList(reach.http or (), reach)

    @tool(
        description="Sends an HTTP request and returns {status, headers, body, url}; a JSON body is parsed, "
        "`response: bytes` gives base64."
    )
    async def http_request(
        url: str,
        context: NodeContext,
        method: Method = "GET",
        headers: dict[str, str] | None = None,
        query: dict[str, Scalar | list[Scalar]] | None = None,
        json: Any = None,
        body: str | None = None,
        response: Form = "auto",
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
                answer = await _Exchange(allow_list, services).run(request)
                if fail_on_error and answer.status >= FIRST_ERROR:
                    raise await _refusal(answer)
                result = await _result(answer, response, context)
        except TimeoutError:
            raise NodeError("timeout", f"{request.url.host} did not answer within {seconds:g} seconds") from None
        return result

    return http_request


async def _result(answer: _Answer, form: Form, context: NodeContext) -> dict[str, Any]:
    """What the tool returns. A body that cannot be given fails the attempt, unless the status is an error itself."""
    value, problem = None, answer.problem
    if answer.body is not None:
        try:
            value = await decoded(answer.body, form)
        except Unreadable as error:
            problem = str(error)
        for warning in answer.body.warnings:
            context.warn(warning)
    if problem and answer.status < FIRST_ERROR:
        raise NodeError(
            "execution_error", f"{answer.host} answered with HTTP {answer.status} and a body that {problem}"
        )
    if problem:
        context.warn(f"the body is null: it {problem}")
    return {"status": answer.status, "headers": answer.headers, "body": value, "url": answer.url}


async def _refusal(answer: _Answer) -> NodeError:
    """That the server answered with an error, and what it said about it."""
    type = "rate_limited" if answer.status == RATE_LIMITED else "execution_error"
    said = await asyncio.to_thread(answer.body.excerpt) if answer.body is not None else ""
    message = f"{answer.host} answered with HTTP {answer.status}" + (f": {said}" if said else "")
    return NodeError(type, message, _retry_after(answer.headers))


def _retry_after(headers: Mapping[str, Any]) -> float | None:
    """The seconds that ``retry-after`` asks for, or until the date in it; the server's own clock says from when."""
    value = headers.get("retry-after")
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return float(value)
    until = _http_date(value)
    if until is None:
        return None
    now = _http_date(headers.get("date")) or datetime.now(UTC)
    return max((until - now).total_seconds(), 0.0)


def _http_date(value: Any) -> datetime | None:
    try:
        found = parsedate_to_datetime(value) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None
    return found.replace(tzinfo=found.tzinfo or UTC) if found is not None else None  # an HTTP date is in GMT


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
        texts = {name: _texts(value) for name, value in query.items()}
        parsed = parsed.copy_merge_params({name: values for name, values in texts.items() if values})
    return _Request(method, parsed, sent, content)


def _texts(value: Scalar | list[Scalar]) -> list[str]:
    """The values of a query parameter: a list is given once for each, null not at all."""
    values = value if isinstance(value, list) else [value]
    return [one if isinstance(one, str) else msgspec.json.encode(one).decode() for one in values if one is not None]


def _checked_url(url: str) -> httpx.URL:
    import httpx

    if len(url) > URL_CHARACTERS_MAX:
        raise NodeError("validation_error", f"the URL is longer than {URL_CHARACTERS_MAX} characters")
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise NodeError("validation_error", f"not a valid URL:  {error}") from None
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
    """A request and the redirects after it, over one connection pool, with the cookies that they set."""

    def __init__(self, allow_list: AllowList, services: ToolServices) -> None:
        self._allow_list = allow_list
        self._services = services
        self._cookies = Cookies()

    async def run(self, request: _Request) -> _Answer:
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
                if isinstance(result, _Answer):
                    return result
                request = result
        raise NodeError("execution_error", f"{request.url.host}: more than {REDIRECTS_MAX} redirects")

    async def _send(self, client: httpx.AsyncClient, request: _Request) -> _Answer | _Request:
        """The answer, or the next request of a redirect."""
        response = await self._respond(client, request)
        host, status = request.url.host, response.status_code
        try:
            lines = response.headers.get_list("set-cookie")
            self._cookies.keep(_origin(request.url), request.url.path.rpartition("/")[0] or "/", lines)
            location = response.headers.get("location")
            if response.is_redirect and location:  # an empty one leads nowhere but back
                return _redirected(request, status, location)
            url, headers = str(request.url), _shown(response.headers)
            try:
                return _Answer(host, url, status, headers, await received(response))
            except Unreadable as error:
                return _Answer(host, url, status, headers, None, str(error))
        finally:
            await response.aclose()

    async def _respond(self, client: httpx.AsyncClient, request: _Request) -> httpx.Response:
        """The response of the first of its host's addresses that can be connected to; its body is still to come."""
        import httpx

        cookie = self._cookies.header(_origin(request.url), request.url.path, request.headers.get("cookie", ""))
        addresses = await self._addresses(request.url)
        for address in addresses[:-1]:
            try:
                return await client.send(_pinned(request, address, cookie), stream=True, follow_redirects=False)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await client.send(_pinned(request, addresses[-1], cookie), stream=True, follow_redirects=False)

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


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.host}:{url.port or ''}"


def _shown(headers: httpx.Headers) -> dict[str, Any]:
    """Headers by lower-case name. Repeated ones are lists, as some of their values hold commas; so is ``set-cookie``,
    also when there is only one.
    """
    shown: dict[str, Any] = {}
    for name in dict.fromkeys(map(str.lower, headers)):
        values = headers.get_list(name)
        shown[name] = values if len(values) > 1 or name == "set-cookie" else values[0]
    return shown


def _pinned(request: _Request, address: Address, cookie: str) -> httpx.Request:
    """The request to ``address``, in the name of its host. Built without a client, which would add cookies and
    credentials of its own."""
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
            **({"cookie": cookie} if cookie else {}),
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
        raise NodeError("execution_error", f"{request.url.host} redirects to an invalid URL") from None
    if request.url.scheme == "https" and target.scheme == "http":
        raise NodeError("not_allowed", f"{request.url.host} redirects from https to http")
    method, content, headers = request.method, request.content, request.headers
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):  # RFC 9110 §15.4
        method, content = "GET", b""
        headers = {name: value for name, value in headers.items() if not name.startswith("content-")}
    same_origin = _origin(target) == _origin(request.url)
    if not same_origin:
        headers = after_redirect(headers)
    return _Request(method, target, headers, content)
