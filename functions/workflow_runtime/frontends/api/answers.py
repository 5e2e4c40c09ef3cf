"""Answers, and what API Gateway wants to get of them."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from workflow_runtime.frontends.api.problems import PROBLEM_TYPE, Problem

JSON_TYPE = "application/json"
TEXT_BYTES_MAX = 1024 * 1024  # larger bodies travel as base64: a third more, whereas JSON escapes may double a text
BODY_BYTES_MAX = 4_500_000  # as base64 6.0 MB, which is what Lambda's answers end at (6,291,556 bytes)


class Answer(msgspec.Struct, frozen=True):
    """A status, a body and headers; no body, no type."""

    status: int
    body: bytes = b""
    type: str | None = None
    headers: dict[str, str] = {}

    def event(self, method: str = "GET") -> dict[str, Any]:
        """The answer in payload version 2.0. A HEAD request gets no body."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        headers.setdefault("cache-control", "no-store")
        headers["x-content-type-options"] = "nosniff"
        if self.type is not None:
            headers["content-type"] = self.type
        body = b"" if method == "HEAD" else self.body
        if len(body) <= TEXT_BYTES_MAX:
            try:
                return _event(self.status, headers, body.decode(), base64_encoded=False)
            except UnicodeDecodeError:  # a slice of a text may begin inside a character
                pass
        return _event(self.status, headers, base64.b64encode(body).decode(), base64_encoded=True)


def json_answer(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, msgspec.json.encode(document), JSON_TYPE, headers or {})


def bounded_answer(document: Any, what: str, advice: str = "") -> Answer:
    """The document as JSON. Raises `Problem` (``too_large``) if an answer does not take it: ``what``, followed by its
    size, and what to do about it."""
    body = msgspec.json.encode(document)
    if len(body) > BODY_BYTES_MAX:
        detail = f"{what} {len(body):,} bytes; an answer takes {BODY_BYTES_MAX:,}"
        raise Problem("too_large", f"{detail}: {advice}" if advice else detail)
    return Answer(200, body, JSON_TYPE)


def problem_answer(problem: Problem) -> Answer:
    return Answer(problem.status, msgspec.json.encode(problem.document()), PROBLEM_TYPE, problem.headers)


def _event(status: int, headers: dict[str, str], body: str, *, base64_encoded: bool) -> dict[str, Any]:
    return {"statusCode": status, "headers": headers, "body": body, "isBase64Encoded": base64_encoded}
