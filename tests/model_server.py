"""A server with OpenAI's chat API on loopback, which answers as a test says, with real HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import msgspec

Request = dict[str, Any]


class Reply(msgspec.Struct):
    """``cut``: the connection ends in the middle of the body. ``before``: runs before anything is sent. ``answer``: the
    completion that the body holds, if it holds one."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = {}
    cut: bool = False
    before: Callable[[], object] = lambda: None
    answer: dict[str, Any] | None = None


def completion(message: dict[str, Any], finish_reason: str, model: str, tokens: tuple[int, int]) -> Reply:
    choice = {"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", **message}}
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    body = {"id": "c1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice], "usage": usage}
    return Reply(json.dumps(body).encode(), answer=body)


def streamed(answer: dict[str, Any]) -> Reply:
    """A completion in chunks, as servers send it that are asked for a stream."""
    head = {name: answer[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    [choice] = answer["choices"]
    message = choice["message"]
    delta = dict(message)
    if "tool_calls" in message:
        delta["tool_calls"] = [{"index": place, **call} for place, call in enumerate(message["tool_calls"])]
    chunks = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]},
        {**head, "choices": [], "usage": answer["usage"]},
    ]
    lines = [*(f"data: {json.dumps(chunk)}" for chunk in chunks), "data: [DONE]"]
    return Reply("".join(f"{line}\n\n" for line in lines).encode(), headers={"content-type": "text/event-stream"})


def text(content: str, finish_reason: str = "stop", *, model: str = "m", tokens: tuple[int, int] = (10, 5)) -> Reply:
    return completion({"content": content}, finish_reason, model, tokens)


def calls(*named: tuple[str, dict[str, Any]], model: str = "m", tokens: tuple[int, int] = (10, 5)) -> Reply:
    """The model calls these tools, with these arguments."""
    listed = [
        {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for number, (name, arguments) in enumerate(named)
    ]
    return completion({"content": None, "tool_calls": listed}, "tool_calls", model, tokens)


def error(status: int, message: str = "no", code: str | None = None, **headers: str) -> Reply:
    body = {"error": {"message": message, "type": "server_error", "code": code}}
    return Reply(json.dumps(body).encode(), status, {name.replace("_", "-"): value for name, value in headers.items()})


class ModelServer:
    """Answers each request with the next of its replies, and the last one forever. A reply may be a function of the
    request. ``requests``: what it was asked; ``keys``: the bearer tokens that came with them."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"
        self.replies: list[Reply | Callable[[Request], Reply]] = [text("ok")]
        self.requests: list[Request] = []
        self.keys: list[str] = []

    def answer(self, *replies: Reply | Callable[[Request], Reply]) -> None:
        self.replies = list(replies)

    def reply_to(self, request: Request, key: str) -> Reply:
        self.requests.append(request)
        self.keys.append(key)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        found = reply if isinstance(reply, Reply) else reply(request)
        return streamed(found.answer) if request.get("stream") and found.answer is not None else found


@contextmanager
def serving() -> Iterator[ModelServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            reply = server.reply_to(body, self.headers.get("authorization", "").removeprefix("Bearer "))
            reply.before()
            self.send_response(reply.status)
            for name, value in {"content-type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(reply.body) + 1000 * reply.cut))
            self.end_headers()
            with suppress(BrokenPipeError):  # who asked has gone, as a timeout has it
                self.wfile.write(reply.body)
            self.close_connection = True

        def log_message(self, *_arguments: object) -> None:
            """Requests are kept, not printed."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = ModelServer(http.server_port)
    thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
