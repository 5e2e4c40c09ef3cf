"""What a route is, as data."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from functools import cached_property

import msgspec
from pydantic import BaseModel

from workflow_runtime.frontends.api.answers import JSON_TYPE, Answer

Operation = Callable[..., Awaitable[Answer]]

LOCATION_HEADER = {"Location": "Where the resource is."}
RANGE_HEADER = {"Content-Range": "Which bytes of the value these are, and its size."}


class Scope(StrEnum):
    """What a caller needs in order to use a route, where callers have scopes (`awr serve`)."""

    OPEN = "open"  # nothing: the request proves itself, by a signature or a task token
    READ = "read"
    RUN = "run"  # start executions, send events
    OPERATE = "operate"  # publish, control executions, freeze, set limits
    APPROVE = "approve"  # answer what people are asked
    MCP = "mcp"  # call workflows that are tools, answer what these ask, cancel them


class Reply(msgspec.Struct, frozen=True):
    """An answer that a route gives when all is well. ``model`` by media type: a pydantic model, or None for text."""

    status: int
    description: str
    content: Mapping[str, type | None] = {}
    headers: dict[str, str] = {}


class Route(msgspec.Struct, frozen=True, dict=True):
    """``rule`` as Powertools writes them. ``body``: what it is, if the route takes one, and ``body_model``, unless that
    follows from it; ``conditions``: the conditional headers it honours; ``problems``: statuses of problems besides 405
    and 5xx; ``any_query``: its query is the caller's own. ``scope``: what callers need, unless it is as usual: reading
    for GET, operating for all else.
    """

    method: str
    rule: str
    operation: Operation
    name: str
    replies: tuple[Reply, ...]
    problems: tuple[int, ...] = ()
    body: str | None = None
    conditions: tuple[str, ...] = ()
    any_query: bool = False
    body_model: type[BaseModel] | None = None
    scope: Scope | None = None

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Of the whole paths that it answers."""
        return re.compile(re.sub(r"<\w+>", "[^/]+", self.rule))

    @property
    def needs(self) -> Scope:
        """The scope of those who may use it."""
        if self.scope is not None:
            return self.scope
        return Scope.READ if self.method == "GET" else Scope.OPERATE

    @property
    def tag(self) -> str:
        return self.rule.split("/")[1]


def json_reply(model: type, description: str) -> Reply:
    return Reply(200, description, {JSON_TYPE: model})
