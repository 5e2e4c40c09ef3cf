"""`http_request` over a fake resolver and a fake transport."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest
from tests.unit.tooling.tool_calls import failure, run_tool

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.tools import LOCAL_REACH, Reach, ToolServices
from workflow_runtime.invokers.tools.builtin import http_request as module

PUBLIC = "93.184.216.34"


class Web:
    """Hosts with their addresses (or a list of answers, one per question), a handler, and what was sent."""

    def __init__(self, handler: Callable[[httpx.Request], httpx.Response], **hosts: Any) -> None:
        self.hosts: dict[str, Any] = {"example.com": [PUBLIC], **{k.replace("_", "."): v for k, v in hosts.items()}}
        self.sent: list[httpx.Request] = []
        self.asked: list[str] = []
        self._handler = handler

    async def resolve(self, host: str, _port: int) -> Sequence[str]:
        self.asked.append(host)
        if host not in self.hosts:
            raise OSError("no such host")
        answer = self.hosts[host]
        found: Sequence[str] = answer.pop(0) if isinstance(answer[0], list) else answer
        return found

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        return self._handler(request)

    @property
    def services(self) -> ToolServices:
        return ToolServices(resolve=self.resolve, transport=httpx.MockTransport(self._handle))

    def get(self, url: str = "https://example.com/a", reach: Reach = LOCAL_REACH, **inputs: Any) -> Any:
        return run_tool("http_request", {"url": url, **inputs}, reach=reach, services=self.services)

    def fails(self, url: str = "https://example.com/a", reach: Reach = LOCAL_REACH, **inputs: Any) -> NodeError:
        return failure("http_request", {"url": url, **inputs}, reach=reach, services=self.services)


def answers(status: int = 200, **options: Any) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(status, **options)


def redirects(location: str, status: int = 302) -> Callable[[httpx.Request], httpx.Response]:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/end":
            return httpx.Response(200, text="end")
        return httpx.Response(status, headers={"location": location})

    return handler


def test_a_json_body_is_parsed_and_headers_are_lower_case() -> None:
    web = Web(answers(json={"名称": [1, None]}, headers={"X-One": "1"}))
    result = web.get(query={"q": "中文", "n": 3, "b": True})
    assert result["status"] == 200
    assert result["body"] == {"名称": [1, None]}
    assert result["headers"]["x-one"] == "1"
    assert httpx.URL(result["url"]).params.multi_items() == [("q", "中文"), ("n", "3"), ("b", "true")]


def test_the_connection_goes_to_the_checked_address_in_the_name_of_the_host() -> None:
    web = Web(answers(text="x"))
    web.get("https://Example.com:8443/a?b=1#c")
    sent = web.sent[0]
    assert sent.url.host == PUBLIC
    assert sent.url.port == 8443
    assert sent.headers["host"] == "example.com:8443"
    assert sent.extensions["sni_hostname"] == "example.com"
    assert sent.url.raw_path == b"/a?b=1"


def test_a_rebinding_name_is_asked_once_and_the_checked_address_is_used() -> None:
    web = Web(answers(text="x"), rebind_example=[[PUBLIC], ["127.0.0.1"]])
    web.get("http://rebind.example/")
    assert web.asked == ["rebind.example"]
    assert web.sent[0].url.host == PUBLIC


def test_a_rebinding_name_is_checked_again_on_a_redirect_to_itself() -> None:
    web = Web(redirects("/again"), rebind_example=[[PUBLIC], ["127.0.0.1"]])
    assert web.fails("http://rebind.example/").type == "not_allowed"
    assert len(web.sent) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://169.254.169.254/latest/meta-data/",
        "http://localhost/", "http://[fe80::1]/", "http://0.0.0.0:8080/", "http://10.0.0.1/", "http://mixed.test/",
        "http://LOCALHOST./", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/",
    ],
)  # fmt: skip
def test_a_private_target_is_refused_before_anything_is_sent(url: str) -> None:
    web = Web(answers(), localhost=["127.0.0.1"], mixed_test=[PUBLIC, "192.168.1.1"])
    web.hosts["localhost."] = ["127.0.0.1"]
    assert web.fails(url).type == "not_allowed"
    assert web.sent == []


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/",
        "//169.254.169.254/",
        "http://private.test/x",
        "https://[::ffff:10.0.0.1]/",
        "http://[::1]:80/",
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_a_private_address_is_refused(location: str, status: int) -> None:
    web = Web(redirects(location, status), private_test=["10.0.0.1"])
    assert web.fails("http://example.com/a").type == "not_allowed"
    assert len(web.sent) == 1


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://example.com/", "http://a:b@example.com/", "http://0x7f.1/"]
)
def test_a_redirect_to_no_plain_web_address_is_refused(location: str) -> None:
    assert Web(redirects(location)).fails("http://example.com/a").type == "validation_error"


def test_a_redirect_from_https_to_http_is_refused() -> None:
    assert Web(redirects("http://example.com/end")).fails().type == "not_allowed"


def test_redirects_end_after_five() -> None:
    web = Web(redirects("/again"))
    assert "redirects" in web.fails().message
    assert len(web.sent) == module.REDIRECTS_MAX + 1


def test_another_origin_sees_no_header_that_could_hold_a_key_and_no_cookie() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/end":
            return httpx.Response(200, text="end")
        headers = {"location": "https://other.test/end", "set-cookie": "s=1"}
        return httpx.Response(302, headers=headers)

    web = Web(handler, other_test=[PUBLIC])
    web.get(headers={"Authorization": "Bearer s3cret", "X-Api-Key": "k", "Accept-Language": "zh"})
    first, second = web.sent
    assert first.headers["authorization"] == "Bearer s3cret"
    assert second.headers["host"] == "other.test"
    assert not {"authorization", "x-api-key", "cookie"} & set(second.headers)
    assert second.headers["accept-language"] == "zh"


def test_the_same_origin_keeps_its_headers() -> None:
    web = Web(redirects("/end"))
    web.get(headers={"X-Api-Key": "k"})
    assert web.sent[1].headers["x-api-key"] == "k"


@pytest.mark.parametrize(("status", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")])
def test_a_redirected_post_becomes_what_the_status_says(status: int, method: str) -> None:
    web = Web(redirects("/end", status))
    web.get(method="POST", json={"a": 1})
    assert web.sent[1].method == method
    assert web.sent[1].content == (b'{"a":1}' if method == "POST" else b"")
    assert ("content-type" in web.sent[1].headers) == (method == "POST")


@pytest.mark.parametrize(
    "url",
    ["ftp://example.com/", "file:///etc/passwd", "gopher://example.com", "http://u:p@example.com/", "http:///x", "x",
     "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/", "http://127.1/", "https://example.com:0/",
     "http://exa mple.com/", "http://example.com/" + "a" * 9000, "javascript:alert(1)", ""],
)  # fmt: skip
def test_a_url_that_is_no_plain_web_address_is_refused(url: str) -> None:
    web = Web(answers())
    assert web.fails(url).type == "validation_error"
    assert web.sent == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("X-A", "1\r\nHost: evil"), ("X-A", "1\n2"), ("X-A", "\0"), ("X-A", "中"), ("X A", "1"),
     ("X-A\r\n", "1"), ("", "1"),
     ("Host", "evil"), ("content-length", "1"), ("Transfer-Encoding", "chunked"), ("Connection", "x"),
     ("Proxy-Authorization", "x")],
)  # fmt: skip
def test_headers_cannot_be_injected_or_reframe_the_message(name: str, value: str) -> None:
    web = Web(answers())
    error = web.fails(headers={name: value})
    assert error.type == "validation_error"
    assert web.sent == []


@pytest.mark.parametrize(
    ("status", "type"), [(429, "rate_limited"), (404, "execution_error"), (503, "execution_error")]
)
def test_an_error_status_fails_the_attempt_unless_told_otherwise(status: int, type: str) -> None:
    web = Web(answers(status, text="no"))
    error = web.fails("https://example.com/a?token=s3cret")
    assert error.type == type
    assert "s3cret" not in error.message
    assert web.get(fail_on_error=False)["status"] == status


@pytest.mark.parametrize(
    ("raised", "type"),
    [(httpx.ReadTimeout("s3cret"), "timeout"), (httpx.ConnectTimeout("x"), "timeout"),
     (httpx.ReadError("s3cret"), "execution_error"), (httpx.RemoteProtocolError("x"), "execution_error")],
)  # fmt: skip
def test_a_failing_connection_is_an_error_type_of_the_language(raised: Exception, type: str) -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        raise raised

    error = Web(handler).fails()
    assert error.type == type
    assert "s3cret" not in error.message


def test_the_next_address_is_tried_when_one_cannot_be_connected_to() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.host == PUBLIC:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, text="ok")

    web = Web(handler, two_test=[PUBLIC, "2606:4700:4700::1111"])
    assert web.get("https://two.test/")["body"] == "ok"
    assert web.sent[1].url.host == "2606:4700:4700::1111"
    assert web.sent[1].headers["host"] == "two.test"


@pytest.mark.parametrize("compressed", [False, True])
def test_a_response_over_the_limit_ends_the_request(compressed: bool) -> None:
    content = b"a" * (module.RESPONSE_BYTES_MAX + 1)
    headers = {"content-encoding": "gzip"} if compressed else {}
    web = Web(answers(content=gzip.compress(content) if compressed else content, headers=headers))
    assert "larger" in web.fails().message


def test_the_whole_request_is_bounded_in_time() -> None:
    async def never(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    services = ToolServices(resolve=never, transport=httpx.MockTransport(answers()))
    error = failure(
        "http_request", {"url": "https://example.com", "timeout": 1e-6}, reach=LOCAL_REACH, services=services
    )
    assert error.type == "timeout"


def test_text_keeps_its_charset_and_binary_is_refused() -> None:
    headers = {"content-type": "text/plain; charset=gbk"}
    assert Web(answers(content="中文".encode("gbk"), headers=headers)).get()["body"] == "中文"
    assert "no text" in Web(answers(content=b"\xff\xfe\x00\x80", headers={"content-type": "image/png"})).fails().message


def test_text_that_claims_to_be_json_stays_text() -> None:
    assert Web(answers(content=b"{oops", headers={"content-type": "application/json"})).get()["body"] == "{oops"
    assert Web(answers(204, headers={"content-type": "application/problem+json"})).get()["body"] is None


def test_json_and_body_exclude_each_other() -> None:
    assert Web(answers()).fails(method="POST", json={}, body="x").type == "validation_error"


def test_an_unknown_host_is_an_execution_error() -> None:
    assert Web(answers()).fails("https://nowhere.test/").type == "execution_error"


def test_without_an_allow_list_the_tool_is_off_and_names_the_setting() -> None:
    error = Web(answers()).fails(reach=Reach())
    assert error.type == "not_allowed"
    assert "TOOLS_HTTP_ALLOW" in error.message


def test_a_named_private_host_can_be_reached() -> None:
    web = Web(answers(text="ok"), db_internal=["10.0.0.5"])
    assert web.get("http://db.internal/", reach=Reach(http=("db.internal",)))["body"] == "ok"
    assert web.fails("http://example.com/", reach=Reach(http=("db.internal",))).type == "not_allowed"
