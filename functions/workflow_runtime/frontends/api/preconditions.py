"""ETags of workflows, and what If-Match and If-None-Match say about them (RFC 9110 §13)."""

from __future__ import annotations

import re

from workflow_runtime.frontends.api.request import Request
from workflow_runtime.services.catalog.publishing import Expected
from workflow_runtime.storage.workflows import WorkflowVersion

_TAG = re.compile(r'(W/)?("[^"]*")')


def etag(version: WorkflowVersion) -> str:
    """Strong: number and plan tell every version of a workflow from every other."""
    return f'"{version.number}-{version.plan_hash[:16]}"'


def expected(request: Request) -> Expected:
    """Whether the request may replace what is there, by its preconditions; without any it always may."""
    match_, none_match = request.headers.get("if-match"), request.headers.get("if-none-match")

    def allows(latest: WorkflowVersion | None) -> bool:
        if match_ is not None and not _names(match_, latest, weak=False):
            return False
        return none_match is None or not _names(none_match, latest, weak=True)

    return allows


def is_current(request: Request, version: WorkflowVersion) -> bool:
    """Whether the caller of a GET has this version already."""
    header = request.headers.get("if-none-match")
    return header is not None and _names(header, version, weak=True)


def _names(header: str, version: WorkflowVersion | None, *, weak: bool) -> bool:
    """Whether the list of tags holds the version's; ``weak``: weak tags count, too."""
    if version is None:
        return False
    if header.strip() == "*":
        return True
    return any(tag == etag(version) and (weak or not mark) for mark, tag in _TAG.findall(header))
