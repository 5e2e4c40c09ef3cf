"""What an API answered, and what is said of an answer that is not this API's: a proxy's page, a login, half a text."""

from __future__ import annotations

import re
from typing import Any, NoReturn

import httpx
import msgspec

from workflow_runtime.findings import Finding
from workflow_runtime.frontends.client.errors import (
    Conflict,
    EngineError,
    InvalidDefinition,
    InvalidInput,
    NotAuthorized,
    NotFound,
    TooLarge,
    Unavailable,
)
from workflow_runtime.language.json_values import DEPTH_MAX, read_json
from workflow_runtime.language.texts import shorten

PASSING_STATUSES = (429, 500, 502, 503, 504)
BY_STATUS: dict[int, type[EngineError]] = {
    401: NotAuthorized,
    403: NotAuthorized,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    413: TooLarge,
}
BY_PROBLEM: dict[str, type[EngineError]] = dict.fromkeys(
    ("invalid_event", "invalid_input", "invalid_request"), InvalidInput
)
LEVELS_MAX = DEPTH_MAX + 12  # a value, in the document that tells of it
EXCERPT_BYTES = 4096  # of a body that is not ours: enough for what a page says first
EXCERPT_COLUMNS = 200

_TOKEN_PROBLEM = re.compile(r'error_description="([^"]+)"')  # RFC 6750; API Gateway says so that a token expired
_UNSHOWN = re.compile(r"<(script|style)\b.*?(</\1>|$)|<[^>]*(>|$)", re.DOTALL | re.IGNORECASE)


class Answer(dict[str, Any]):
    """A JSON object that an API answered. ``place``: the request and the status. What it lacks is an `EngineError`."""

    def __init__(self, members: dict[str, Any], place: str) -> None:
        super().__init__(members)
        self._place = place

    def __missing__(self, name: str) -> NoReturn:
        raise unexpected(f"{self._place} without `{name}`")

    def plain(self, *required: str) -> dict[str, Any]:
        """A plain copy. Raises `EngineError` if one of these members is missing."""
        return {**{name: self[name] for name in required}, **self}


def answer_of(response: httpx.Response) -> Answer:
    """The JSON object of a success. Raises `EngineError` (``unexpected_answer``)."""
    try:
        value = read_json(response.content, LEVELS_MAX)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        what = f" ({error})" if "json" in response.headers.get("content-type", "") else ""
        raise unexpected(f"{_place(response)} with {_shown(response)}{what}") from None
    if not isinstance(value, dict):
        raise unexpected(f"{_place(response)} with {_shown(response)}")
    return Answer(value, _place(response))


def error_of(response: httpx.Response) -> EngineError:
    """The error that a problem document, or any other failed answer, tells of."""
    status = response.status_code
    try:
        problem = read_json(response.content, LEVELS_MAX)
    except (msgspec.DecodeError, UnicodeDecodeError):
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    code = str(problem.get("code") or f"http_{status}")
    message = str(problem.get("detail") or problem.get("message") or "")
    if response.has_redirect_location:
        where = response.headers["location"]
        return EngineError(f"{_place(response)} with a redirect to {where}, which is not followed", "redirected")
    message = message or f"{_place(response)}" + (f" with {_shown(response)}" if response.content else "")
    if reason := _TOKEN_PROBLEM.search(response.headers.get("www-authenticate", "")):
        message = f"{message}: {reason.group(1)}"
    if code == "invalid_definition":
        findings = _findings(problem.get("findings"))
        return InvalidDefinition(findings, "" if findings else message)
    if status in PASSING_STATUSES:
        return Unavailable(message, code)
    return BY_PROBLEM.get(code, BY_STATUS.get(status, EngineError))(message, code)


def unexpected(what: str) -> EngineError:
    return EngineError(f"{what}: that is not how this API answers", "unexpected_answer")


def _place(response: httpx.Response) -> str:
    request = response.request
    return f"{request.method} {request.url} was answered {response.status_code}"


def _shown(response: httpx.Response) -> str:
    """What a body is and how it begins, without the tags of a page."""
    if not response.content:
        return "an empty body"
    kind = response.headers.get("content-type", "").partition(";")[0] or "a body of no stated type"
    text = response.content[:EXCERPT_BYTES].decode("utf-8", "replace")
    words = " ".join(_UNSHOWN.sub(" ", text).split() if "html" in kind else text.split())
    return f"{kind} ({shorten(words, EXCERPT_COLUMNS)})" if words else kind


def _findings(value: Any) -> list[Finding]:
    try:
        return msgspec.convert(value or [], list[Finding])
    except msgspec.ValidationError:  # an API of another version
        return []
