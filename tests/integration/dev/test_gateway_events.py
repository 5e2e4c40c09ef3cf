"""HTTP requests as API Gateway's events, and answers as responses."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import pytest

from workflow_runtime.frontends.server.admission import Refused
from workflow_runtime.frontends.server.gateway import BODY_BYTES_MAX, LOOPBACK, Gateway, response_of

CHUNK = b"x" * (1024 * 1024)


class Exchange:
    """One request through the gateway: what the handler saw, what the client got."""

    def __init__(self, answer: Any = None) -> None:
        self.events: list[dict[str, Any]] = []
        self.sent: list[Any] = []
        self.read = 0
        self._answer = {"statusCode": 204} if answer is None else answer

    def request(
        self,
        method: str = "GET",
        path: bytes = b"/",
        query: bytes = b"",
        headers: tuple[tuple[bytes, bytes], ...] = (),
        body: Iterator[bytes] | None = None,
    ) -> Exchange:
        chunks = body if body is not None else iter(())
        names = {name for name, _ in headers}
        scope = {
            "type": "http",
            "method": method,
            "path": path.decode("latin-1"),
            "raw_path": path,
            "query_string": query,
            "headers": [*headers, *([] if b"host" in names else [(b"host", b"localhost:8080")])],
            "client": ("127.0.0.1", 5),
            "http_version": "1.1",
        }

        async def receive() -> dict[str, Any]:
            chunk = next(chunks, None)
            self.read += len(chunk or b"")
            return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

        async def send(message: Any) -> None:
            self.sent.append(message)

        asyncio.run(Gateway(lambda: self._handle, None, lambda *_: None)(scope, receive, send))
        return self

    async def _handle(self, event: dict[str, Any], context: Any) -> Any:  # noqa: ARG002
        self.events.append(event)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    @property
    def event(self) -> dict[str, Any]:
        return self.events[0]

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return list(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])


def test_paths_arrive_decoded_and_queries_raw_and_joined() -> None:
    path, query = b"/workflows/%E5%AE%A2%E6%9C%8D%2Fx/a+b", b"a=1&b=%E4%B8%80&a=2&c"
    event = Exchange().request("GET", path, query).event
    assert event["rawPath"] == event["requestContext"]["http"]["path"] == "/workflows/客服/x/a+b"
    assert event["rawQueryString"] == "a=1&b=%E4%B8%80&a=2&c"
    assert event["queryStringParameters"] == {"a": "1,2", "b": "一", "c": ""}
    assert event["requestContext"]["http"]["method"] == "GET"
    assert event["requestContext"]["stage"] == "$default"
    assert (event["version"], event["routeKey"]) == ("2.0", "$default")


def test_headers_are_lower_case_and_joined_and_cookies_stand_apart() -> None:
    headers = ((b"X-One", b"a"), (b"x-one", b"b"), (b"Cookie", b"k=1; l=2"), (b"User-Agent", b"test"))
    event = Exchange().request(headers=headers).event
    assert event["headers"] == {"x-one": "a,b", "user-agent": "test", "host": "localhost:8080"}
    assert event["cookies"] == ["k=1", "l=2"]
    assert event["requestContext"]["http"]["userAgent"] == "test"
    assert "body" not in event
    assert "queryStringParameters" not in event


@pytest.mark.parametrize(
    ("kind", "body", "is_base64"),
    [
        (b"application/json; charset=utf-8", b"{}", False),
        (b"application/problem+json", "文".encode(), False),
        (b"text/yaml", "文".encode(), False),
        (b"application/yaml", "文".encode(), True),
        (b"application/octet-stream", b"\0", True),
        (b"application/json", b"\xff", True),
        (b"", b"{}", True),
    ],
)
def test_bodies_that_are_no_text_are_base64(kind: bytes, body: bytes, is_base64: bool) -> None:
    event = Exchange().request("POST", headers=((b"content-type", kind),), body=iter([body])).event
    assert event["isBase64Encoded"] is is_base64
    assert (base64.b64decode(event["body"]) if is_base64 else event["body"].encode()) == body


def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    length = str(BODY_BYTES_MAX + 1).encode()
    exchange = Exchange().request("POST", headers=((b"content-length", length),), body=iter([CHUNK] * 11))
    assert (exchange.status, exchange.read, exchange.events) == (413, 0, [])
    assert (b"connection", b"close") in exchange.headers


def test_a_body_of_unknown_length_is_read_up_to_the_limit_only() -> None:
    exchange = Exchange().request("POST", body=iter([CHUNK] * 100))
    assert exchange.status == 413
    assert exchange.read == len(CHUNK) * 11
    assert Exchange().request("POST", body=iter([CHUNK] * 10)).status == 204


@pytest.mark.parametrize("host", [b"localhost", b"127.0.0.1:8080", b"[::1]:80", b"LOCALHOST:1"])
def test_loopback_hosts_are_served(host: bytes) -> None:
    assert Exchange().request(headers=((b"host", host),)).status == 204


@pytest.mark.parametrize(
    "host",
    [
        *(b"evil.example", b"localhost.evil.example", b"", b"10.0.0.1", b"[", b"localhost@evil", b"evil@localhost"),
        *(b"localhost:x", b"localhost/", b"localhost,evil.example", b"localhost:80:80", "localhost:８０".encode()),
    ],
)
def test_other_hosts_are_refused_before_the_handler_sees_them(host: bytes) -> None:
    exchange = Exchange().request(headers=((b"host", host),))
    assert (exchange.status, exchange.events) == (403, [])
    assert b'"code":"forbidden"' in exchange.body


@pytest.mark.parametrize(
    ("origin", "refused"),
    [
        ("http://localhost:8080", False),
        ("http://LOCALHOST:8080", False),
        ("http://localhost:3000", True),
        ("http://127.0.0.1:8080", True),
        ("https://localhost:8080", True),
        ("http://localhost", True),
        ("https://evil.example", True),
        ("http://localhost:8080,https://evil.example", True),
        ("http://localhost.evil", True),
        ("null", True),
        ("", True),
    ],
)
def test_pages_of_other_origins_are_refused(origin: str, refused: bool) -> None:
    admitted = LOOPBACK.admit("GET", "/workflows", {"host": "localhost:8080", "origin": origin})
    assert isinstance(admitted, Refused) is refused


def test_an_answer_becomes_the_response() -> None:
    answer = {
        "statusCode": 201,
        "headers": {"Content-Type": "text/plain", "Content-Length": "999", "Location": "/x"},
        "cookies": ["a=1", "b=2"],
        "body": base64.b64encode("文".encode()).decode(),
        "isBase64Encoded": True,
    }
    exchange = Exchange(answer).request()
    assert exchange.status == 201
    assert exchange.body == "文".encode()
    assert exchange.headers == [
        (b"content-type", b"text/plain"),
        (b"location", b"/x"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"content-length", b"3"),
    ]


def test_a_bare_value_is_the_json_of_a_200() -> None:
    response = response_of({"a": 1})
    assert (response.status, response.body) == (200, b'{"a":1}')


def test_the_answer_to_head_has_no_body_and_keeps_its_length() -> None:
    exchange = Exchange({"statusCode": 200, "body": "12345"}).request("HEAD")
    assert exchange.body == b""
    assert (b"content-length", b"5") in exchange.headers


@pytest.mark.parametrize("answer", [ValueError("secret"), {"statusCode": 200, "body": "?", "isBase64Encoded": True}])
def test_a_fault_is_a_500_that_says_nothing(answer: Any) -> None:
    exchange = Exchange(answer).request()
    assert exchange.status == 500
    assert b"secret" not in exchange.body
