"""An OpenTelemetry collector on loopback that keeps what it gets."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Collector:
    """``status``: what it answers; ``headers``: of the last request."""

    def __init__(self) -> None:
        self.status = 200
        self.requests: list[Any] = []
        self.paths: list[str] = []
        self.headers: dict[str, str] = {}
        self.url = ""

    @property
    def spans(self) -> list[dict[str, Any]]:
        return [
            span
            for request in self.requests
            for resource in request["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]

    def span(self, name: str) -> dict[str, Any]:
        (found,) = (span for span in self.spans if span["name"] == name)
        return found


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    """By name, integers as integers."""
    found = {}
    for entry in span["attributes"]:
        ((kind, value),) = entry["value"].items()
        found[entry["key"]] = int(value) if kind == "intValue" else value
    return found


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.requests.append(json.loads(body))
            collector.paths.append(self.path)
            collector.headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(collector.status)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
