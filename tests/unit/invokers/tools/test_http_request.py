"""`http_request` over a fake resolver and a fake transport."""

from __future__ import annotations

import asyncio
import base64
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import httpx
import pytest
from tests.unit.invokers.tools.tool_calls import FixedClock, failure, node_call, run_tool

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.invocation import NodeResult
from workflow_runtime.invokers.tools import LOCAL_REACH, Reach, ToolInvoker, ToolRegistry, ToolServices
from workflow_runtime.invokers.tools.builtin.http_body import RESPONSE_BYTES_MAX
from workflow_runtime.invokers.tools.builtin.http_request import REDIRECTS_MAX

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

    def result(self, **inputs: Any) -> NodeResult:
        """Output and warnings."""
        registry = ToolRegistry.load(None, reach=LOCAL_REACH, services=self.services)
        call = node_call("http_request", {"url": "https://example.com/a", **inputs})
        return asyncio.run(ToolInvoker(registry, FixedClock()).invoke(call))

    def fails(self, url: str = "https://example.com/a", reach: Reach = LOCAL_REACH, **inputs: Any) -> NodeError:
        return failure("http_request", {"url": url, **inputs}, reach=reach, services=self.services)


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 1000):
        yield data[start : start + 1000]


def response(status: int = 200, **options: Any) -> httpx.Response:
    """A response whose body is still to be read, as of a real connection."""
    made = httpx.Response(status, **{**options, "content": b""}) if "content" in options else None
    if made is None:
        made = httpx.Response(status, **options)
        options["content"] = made.content
    headers = [(name, value) for name, value in made.headers.multi_items() if name != "content-length"]
    return httpx.Response(status, headers=headers, content=pieces(options["content"]))


def answers(status: int = 200, **options: Any) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: response(status, **options)


def redirects(location: str, status: int = 302) -> Callable[[httpx.Request], httpx.Response]:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/end":
            return response(200, text="end")
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


def test_a_redirect_to_nowhere_is_the_answer() -> None:
    web = Web(lambda _: response(302, text="nothing", headers={"location": ""}))
    result = web.get()
    assert (result["status"], result["body"]) == (302, "nothing")
    assert len(web.sent) == 1


def test_redirects_end_after_five() -> None:
    web = Web(redirects("/again"))
    assert "redirects" in web.fails().message
    assert len(web.sent) == REDIRECTS_MAX + 1


def test_another_origin_sees_no_header_that_could_hold_a_key_and_no_cookie() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/end":
            return response(200, text="end")
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


NOON = "Sun, 29 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("asked", "date", "seconds"),
    [
        ("120", NOON, 120),
        ("Sun, 29 Nov 2026 12:01:30 GMT", NOON, 90),
        ("Sunday, 29-Nov-26 12:01:30 GMT", NOON, 90),
        ("Sun Nov 29 12:01:30 2026", NOON, 90),
        ("Sun, 29 Nov 2026 11:00:00 GMT", NOON, 0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None, 0),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", NOON, None),
        ("Mon, 01 Jan 2020 00:00:00 +99999999999999", NOON, None),
        ("soon", NOON, None),
        ("-1", NOON, None),
        ("１２", NOON, None),
        (NOON, "a while ago", "positive"),
        (None, NOON, None),
    ],
)
def test_a_server_may_say_how_long_to_wait_in_seconds_or_until_when(
    asked: str | None, date: str | None, seconds: object
) -> None:
    headers = {name: value.encode() for name, value in (("Retry-After", asked), ("Date", date)) if value is not None}
    error = Web(answers(429, headers=headers)).fails()
    assert error.retry_after is not None if seconds == "positive" else error.retry_after == seconds


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
        return response(200, text="ok")

    web = Web(handler, two_test=[PUBLIC, "2606:4700:4700::1111"])
    assert web.get("https://two.test/")["body"] == "ok"
    assert web.sent[1].url.host == "2606:4700:4700::1111"
    assert web.sent[1].headers["host"] == "two.test"


@pytest.mark.parametrize("compressed", [False, True])
def test_a_response_over_the_limit_ends_the_request(compressed: bool) -> None:
    content = b"a" * (RESPONSE_BYTES_MAX + 1)
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


def of_type(content_type: str, content: bytes, status: int = 200, **headers: str) -> Web:
    sent = {"content-type": content_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Web(answers(status, content=content, headers={name: value for name, value in sent.items() if value}))


J = "application/json"
DEEP = b"[" * 300 + b"]" * 300


@pytest.mark.parametrize(
    ("content_type", "content", "body"),
    [
        (f"{J}; charset=utf-8", b"\xef\xbb\xbf" + b'{"a": 1}', {"a": 1}),
        (f"{J}; charset=gbk", '{"a": "你好"}'.encode("gbk"), {"a": "你好"}),
        (f"{J}; charset=ISO-8859-1", '{"a": "café"}'.encode("latin-1"), {"a": "café"}),
        (J, '{"a": "é"}'.encode("utf-16"), {"a": "é"}),
        ("text/json", b"[1]", [1]),
        ("application/problem+json", b"", None),
        ("text/html; charset=gb2312", "你好，世界".encode("gbk"), "你好，世界"),
        ('text/plain; charset="utf-8"', "Küçük".encode(), "Küçük"),
        ("text/plain; charset=utf-16", "hej".encode("utf-16"), "hej"),
        ("text/plain; charset=windows-1251", "привет".encode("cp1251"), "привет"),
        ("text/plain; charset=Shift_JIS", "こんにちは".encode("cp932"), "こんにちは"),
        ("text/plain; charset=big5", "中文".encode("big5"), "中文"),
        ("text/plain", b"a\x00b", "a\0b"),
        ("text/plain", b'{"a": 1}', '{"a": 1}'),
        ("", b"plain", "plain"),
        (J, b'{"id": 12345678901234567890123, "n": 738529527931269425, "f": 1.10, "e": 1e400, "v": NaN}',
         {"id": "12345678901234567890123", "n": 738529527931269425, "f": 1.1, "e": "1e400", "v": None}),
        (J, b'[18446744073709551615, 18446744073709551616, -9223372036854775809, "12345678901234567890123"]',
         [2**64 - 1, "18446744073709551616", "-9223372036854775809", "12345678901234567890123"]),
        (J, rb'{"a\ud83d": "\ud83d", "b": "\ud83d\ude00"}', {"a\ufffd": "\ufffd", "b": "😀"}),
        (J, b"{oops", "{oops"),
        (J, DEEP, DEEP.decode()),
        (J, b"1" * 100_000, "1" * 100_000),
    ],
)  # fmt: skip
def test_a_body_is_read_as_what_it_says_it_is(content_type: str, content: bytes, body: Any) -> None:
    assert of_type(content_type, content).get()["body"] == body


@pytest.mark.parametrize(
    ("content_type", "content", "body"),
    [
        ("text/html", "<meta charset=gbk>你好".encode("gbk"), "<meta charset=gbk>\ufffd\ufffd\ufffd"),
        ("text/plain", "café".encode("latin-1"), "caf\ufffd"),
        ("text/plain; charset=utf8mb4", b"abc", "abc"),
        ("text/plain; charset=punycode", b"aaaa-" + b"a" * 80_000, "aaaa-" + "a" * 80_000),
        ("image/png", b"\x89PNG\x00\xff\xfe", "\ufffdPNG\x00\ufffd\ufffd"),
    ],
)
def test_bytes_that_are_no_text_are_replaced_and_a_warning_says_so(
    content_type: str, content: bytes, body: str
) -> None:
    result = of_type(content_type, content).result()
    assert result.output["status"] == 200
    assert result.output["body"] == body
    assert result.warnings


def test_a_body_in_order_gives_no_warning() -> None:
    assert of_type(J, b'{"a": 1}').result().warnings == ()


def test_numbers_that_were_changed_are_warned_of_once() -> None:
    warnings = of_type(J, b"[1e400, 1e500, NaN]").result().warnings
    assert len(warnings) == 2
    assert any("given as text" in warning for warning in warnings)


def test_bytes_are_given_as_base64() -> None:
    png = b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe"
    assert base64.b64decode(of_type("image/png", png).get(response="bytes")["body"]) == png
    assert of_type(J, b"[1]").get(response="text")["body"] == "[1]"


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate"])
def test_a_compressed_body_is_unpacked_although_none_was_asked_for(encoding: str) -> None:
    packed = zlib.compress(b'{"z": 1}') if encoding == "deflate" else gzip.compress(b'{"z"') + gzip.compress(b": 1}")
    web = of_type(J, packed, content_encoding=encoding)
    assert web.get()["body"] == {"z": 1}
    assert web.sent[0].headers["accept-encoding"] == "identity"


def test_deflate_without_the_header_of_zlib_is_unpacked_too() -> None:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(b'{"z": "' + b"x" * 1000 + b'"}') + packer.flush()
    assert of_type(J, packed, content_encoding="deflate").get()["body"] == {"z": "x" * 1000}


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("gzip", b'{"z": 1}'),
        ("gzip", gzip.compress(b"x" * 100)[:-10]),
        ("br", b"x"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"x"))),
        ("gzip", gzip.compress(b"") * 200),
    ],
)
def test_a_body_that_cannot_be_unpacked_fails_but_never_hides_an_error_status(encoding: str, content: bytes) -> None:
    message = of_type(J, content, content_encoding=encoding).fails().message
    assert "HTTP 200" in message
    assert "a body that is" in message
    web = of_type(J, content, status=500, content_encoding=encoding)
    assert "HTTP 500" in web.fails().message
    result = web.result(fail_on_error=False)
    assert (result.output["status"], result.output["body"]) == (500, None)
    assert "null" in result.warnings[0]


def test_an_error_page_of_any_bytes_keeps_its_status() -> None:
    web = of_type("image/png", b"\x89PNG\x00\xff\xfe", status=500)
    assert web.get(fail_on_error=False)["status"] == 500
    assert web.fails().message == "example.com answered with HTTP 500"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"error": {"message": "field amount must be positive"}}', '{"error": {"message": "field amount must be'),
        ("<p>\n  " + "长" * 1_000_000, "<p> " + "长" * 196 + "…"),
        (b"", ""),
    ],
)
def test_an_error_says_what_the_server_complained_about(content: Any, said: str) -> None:
    data = content.encode() if isinstance(content, str) else content
    message = of_type("text/plain", data, status=422).fails().message
    assert message.startswith("example.com answered with HTTP 422" + (": " if said else ""))
    assert said in message
    assert len(message) < 300


def test_a_bomb_is_bounded_while_it_is_unpacked() -> None:
    """200 KB that unpack to 200 MB: never more than the limit and a piece are there."""
    packer = zlib.compressobj(wbits=31)
    head, block = (packer.compress(b"\0" * 1_000_000) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    packed = head + block * 199
    assert len(packed) < RESPONSE_BYTES_MAX
    tracemalloc.start()
    try:
        assert "larger" in of_type(J, packed, content_encoding="gzip").fails().message
        assert tracemalloc.get_traced_memory()[1] < 6 * RESPONSE_BYTES_MAX
    finally:
        tracemalloc.stop()


def test_json_of_more_lists_and_objects_than_memory_is_good_for_is_not_parsed() -> None:
    bomb = b"[" + b"[]," * 1_000_000 + b"[]]"
    tracemalloc.start()
    try:
        assert "lists and objects" in of_type(J, bomb).fails().message
        assert tracemalloc.get_traced_memory()[1] < 6 * RESPONSE_BYTES_MAX
    finally:
        tracemalloc.stop()


def test_a_body_without_end_ends_with_the_timeout() -> None:
    async def drip() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)
            yield b"x"

    web = Web(lambda _: httpx.Response(200, content=drip()))
    assert web.fails(timeout=0.05).type == "timeout"


LAST_COOKIES = ["a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT", "b=2"]


def test_cookies_of_an_exchange_come_back_to_the_origin_that_set_them() -> None:
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(f"{request.headers['host']}{request.url.path} {request.headers.get('cookie', '')}".strip())
        if "seen=1" in request.headers.get("cookie", ""):
            return response(302, headers={"location": "https://other.test/"}, text="")
        if request.headers["host"] == "other.test":
            return response(
                200, headers=[("set-cookie", "a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT"), ("set-cookie", "b=2")]
            )
        cookies = ["seen=1; Path=/", "gone=1; Max-Age=0", "deep=1; Path=/deep", "bad\x01=1"]
        return response(302, headers=[("location", "/login"), *(("set-cookie", cookie) for cookie in cookies)])

    web = Web(handler, other_test=[PUBLIC])
    result = web.get("https://example.com/login", headers={"Cookie": "mine=0"})
    assert seen == [
        "example.com/login mine=0",
        "example.com/login mine=0; seen=1",
        "other.test/",
    ]
    assert result["headers"]["set-cookie"] == LAST_COOKIES


def test_a_header_that_comes_twice_is_a_list() -> None:
    web = Web(answers(headers=[("vary", "a, b"), ("Vary", "c"), ("x-one", "1, 2")]))
    headers = web.get()["headers"]
    assert (headers["vary"], headers["x-one"]) == (["a, b", "c"], "1, 2")


def test_a_list_in_the_query_is_given_once_for_each_and_null_not_at_all() -> None:
    web = Web(answers())
    result = web.get("https://example.com/?keep=1", query={"id": [1, "二"], "none": None, "empty": []})
    assert httpx.URL(result["url"]).params.multi_items() == [("keep", "1"), ("id", "1"), ("id", "二")]


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
