"""Problem documents (RFC 9457): what went wrong, for people and, by ``code``, for programs; never why inside."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from workflow_runtime.errors import ConflictError, DefinitionError, RequestError, RetryableError, WouldBreak
from workflow_runtime.findings import findings_json
from workflow_runtime.language.refusals import refusal
from workflow_runtime.language.texts import counted

PROBLEM_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:agent-workflow-runtime:problem:"
RETRY_AFTER_SECONDS = 1

STATUSES: dict[str, tuple[int, str]] = {
    "invalid_body": (400, "The body cannot be read"),
    "unauthorized": (401, "The request is not authenticated"),
    "forbidden": (403, "The caller may not do this"),
    "not_found": (404, "There is no such resource"),
    "method_not_allowed": (405, "The resource does not take this method"),
    "conflict": (409, "The request conflicts with what is there"),
    "ended": (409, "The execution has ended"),
    "refused": (409, "The execution's status does not allow it"),
    "precondition_failed": (412, "The resource does not meet the request's precondition"),
    "too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "The body's type is not supported"),
    "range_not_satisfiable": (416, "The range lies outside the value"),
    "invalid_request": (422, "The request is not valid"),
    "invalid_input": (422, "The input is not valid"),
    "invalid_event": (422, "The event is not one that the execution takes"),
    "invalid_definition": (422, "The definition is not valid"),
    "too_many": (429, "There are too many of these already"),
    "internal_error": (500, "The request failed"),
    "unavailable": (503, "The service cannot answer at the moment"),
}


class Problem(Exception):
    """Ends a request with a problem document. ``members`` are extension members of it."""

    def __init__(self, code: str, detail: str, *, headers: dict[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.members = members

    @property
    def status(self) -> int:
        return STATUSES[self.code][0]

    def document(self) -> dict[str, Any]:
        status, title = STATUSES[self.code]
        head = {"type": TYPE_PREFIX + self.code.replace("_", "-"), "title": title, "status": status}
        return {**head, "detail": self.detail, "code": self.code, **self.members}


def problem_of(error: Exception) -> Problem | None:
    """The problem that an expected error is; None for an unexpected one."""
    match error:
        case Problem():
            return error
        case DefinitionError(findings=findings):
            count = len(findings)
            detail = f"the compiler has {counted(count, 'finding')}"
            return Problem("invalid_definition", detail, findings=findings_json(findings))
        case WouldBreak(message=message, findings=findings):
            return Problem("conflict", message, findings=findings_json(findings))
        case RequestError(code=code, message=message):
            return Problem(code if code in STATUSES else "invalid_request", message)
        case RetryableError() | ConflictError():
            headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            return Problem("unavailable", "try again in a moment", headers=headers)
    return None


def invalid(errors: Iterable[Any]) -> Problem:
    """The problem of values that pydantic refused; ``errors`` as its ``errors()`` gives them. No value is repeated."""
    found: list[dict[str, str]] = []
    for error in errors:
        place, *path = (str(part) for part in error["loc"])
        found.append({"in": place, "name": ".".join(path), "message": refusal(error)})
    detail = "; ".join(f"{error['name'] or error['in']}: {error['message']}" for error in found)
    return Problem("invalid_request", detail, errors=found)


def invalid_parameter(place: str, name: str, message: str) -> Problem:
    return invalid([{"type": "value_error", "loc": (place, name), "msg": message}])
