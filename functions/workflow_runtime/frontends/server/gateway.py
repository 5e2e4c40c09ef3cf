"""An ASGI application that plays API Gateway's HTTP API: requests become version 2.0 events, answers become responses.

Sources: "Working with AWS Lambda proxy integrations for HTTP APIs" (payload format 2.0). Like the
service, it hands over the path decoded and the query string raw, joins repeated headers and parameters with commas, and
encodes bodies that are not text as base64. A `Door` stands where the authorizer does.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from workflow_runtime.deployment.settings import IDENTITY_CLAIM
from workflow_runtime.frontends.server.admission import Door, Loopback, Refused

BODY_BYTES_MAX = 10 * 1024 * 1024  # HTTP API: the largest payload
STAGE = "$default"
TEXT_TYPES = ("application/json", "application/javascript", "application/xml")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Answering = Callable[[dict[str, Any], Any], Awaitable[Any]]
Logged = Callable[[str, str, int, float], None]

LOOPBACK = Loopback()

logger = logging.getLogger(__name__)


class TooLarge(Exception):
    """The body has more than `BODY_BYTES_MAX` bytes."""


class Disconnected(Exception):
    """The client went away before its request was complete."""


class Response(msgspec.Struct, frozen=True):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Gateway:
    """``answering`` is asked for the handler at every request, so that it may be exchanged. ``logged`` gets method,
    path, status and milliseconds of every request. ``door`` lets requests in."""

    def __init__(self, answering: Callable[[], Answering], context: Any, logged: Logged, door: Door = LOOPBACK) -> None:
        self._answering = answering
        self._context = context
        self._logged = logged
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"only HTTP is served, not {scope['type']}")
        begun = time.perf_counter()
        try:
            response = await self._respond(scope, receive)
        except Disconnected:
            return
        await send_response(send, response, bodiless=scope["method"] == "HEAD")
        self._logged(scope["method"], scope["path"], response.status, (time.perf_counter() - begun) * 1000)

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        headers = joined_headers(scope["headers"])
        caller = self._door.admit(scope["method"], path_of(scope), headers)
        if isinstance(caller, Refused):
            return refusal(caller)
        try:
            body = await _read(headers, receive)
        except TooLarge:
            detail = f"the body has more than {BODY_BYTES_MAX} bytes"
            return problem(413, "too_large", "The body is too large", detail, close=True)
        try:
            answer = await self._answering()(event_of(scope, headers, body, caller.name), self._context)
            return response_of(answer)
        except asyncio.CancelledError:  # only the server's end cancels requests; a traceback would help nobody
            return problem(503, "unavailable", "The server stops", "it is stopping; try again later", close=True)
        except Exception:
            logger.exception("a request failed")
            return problem(500, "internal_error", "The request failed", "the log of the server has the reason")


def joined_headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by lower-case name; those given several times joined with commas (cookies with semicolons)."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        separator = "; " if name == "cookie" else ","
        headers[name] = f"{headers[name]}{separator}{value}" if name in headers else value
    return headers


async def _read(headers: dict[str, str], receive: Receive) -> bytes:
    """The body. Raises `TooLarge` before it is held, from what it says of itself or as soon as it is too much."""
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length) > BODY_BYTES_MAX:
        raise TooLarge
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > BODY_BYTES_MAX:
            raise TooLarge
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def path_of(scope: Scope) -> str:
    """The path of a request, decoded."""
    return unquote(scope.get("raw_path", scope["path"].encode()).decode("latin-1"), errors="replace")


def event_of(scope: Scope, headers: dict[str, str], body: bytes, caller: str = "") -> dict[str, Any]:
    """The request as API Gateway delivers it. ``headers``: of `joined_headers`; ``caller``: whom the door let in."""
    headers = dict(headers)
    cookies = [cookie.strip() for cookie in headers.pop("cookie", "").split(";") if cookie.strip()]
    path = path_of(scope)
    query = scope.get("query_string", b"").decode("latin-1")
    now = time.time()
    host = headers.get("host", "localhost")
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": STAGE,
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "http": {
                "method": scope["method"],
                "path": path,
                "protocol": f"HTTP/{scope.get('http_version', '1.1')}",
                "sourceIp": (scope.get("client") or ("127.0.0.1", 0))[0],
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": uuid.uuid4().hex,
            "routeKey": STAGE,
            "stage": STAGE,
            "time": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": False,
    }
    if caller:
        event["requestContext"]["authorizer"] = {"jwt": {"claims": {IDENTITY_CLAIM: caller}}}
    if cookies:
        event["cookies"] = cookies
    if parameters := _joined_parameters(query):
        event["queryStringParameters"] = parameters
    if body:
        event["body"], event["isBase64Encoded"] = _body(headers.get("content-type", ""), body)
    return event


def _joined_parameters(query: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    return parameters


def _body(content_type: str, body: bytes) -> tuple[str, bool]:
    """The body as text, or as base64 (True) if its type is not text."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("text/") or kind in TEXT_TYPES or kind.endswith(("+json", "+xml")):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), True


def response_of(answer: Any) -> Response:
    """A handler's answer as a response: the 2.0 format, or a bare value, which is the JSON body of a 200.

    Raises `ValueError` for an answer that API Gateway would refuse.
    """
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return Response(200, [(b"content-type", b"application/json")], msgspec.json.encode(answer))
    body = answer.get("body") or ""
    try:
        data = base64.b64decode(body, validate=True) if answer.get("isBase64Encoded") else str(body).encode()
    except binascii.Error as error:
        raise ValueError("the answer's body is not base64") from error
    headers = [
        (str(name).lower().encode("latin-1"), str(value).encode("latin-1"))
        for name, value in (answer.get("headers") or {}).items()
        if str(name).lower() not in ("content-length", "transfer-encoding", "connection")
    ]
    headers += [(b"set-cookie", str(cookie).encode("latin-1")) for cookie in answer.get("cookies") or ()]
    if data and not any(name == b"content-type" for name, _ in headers):
        headers.append((b"content-type", b"application/json"))
    return Response(int(answer["statusCode"]), headers, data)


def refusal(refused: Refused) -> Response:
    """Closes the connection: the body was not read."""
    response = problem(refused.status, refused.code, refused.title, refused.detail, close=True)
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in refused.headers]
    return Response(response.status, [*response.headers, *headers], response.body)


def problem(status: int, code: str, title: str, detail: str, *, close: bool = False) -> Response:
    document = {
        "type": f"urn:agent-workflow-runtime:problem:{code.replace('_', '-')}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
    }
    headers = [(b"content-type", b"application/problem+json")]
    return Response(status, [*headers, (b"connection", b"close")] if close else headers, msgspec.json.encode(document))


async def send_response(send: Send, response: Response, *, bodiless: bool) -> None:
    """``bodiless``: the answer to a HEAD; its length stays that of the GET."""
    headers = list(response.headers)
    if response.status not in (204, 304) and (response.body or not bodiless):
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if bodiless else response.body})
