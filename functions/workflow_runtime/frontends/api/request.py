"""A request as API Gateway's HTTP API (payload version 2.0) delivers it, made plain."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

import msgspec

from workflow_runtime.deployment.settings import IDENTITY_CLAIM
from workflow_runtime.frontends.api.problems import Problem

# /executions/{id}/nodes/…, …/passes/… and /hooks/{workflow}/…: what follows is one path, slashes included.
NODES_SEGMENT = 3
ENDPOINT_SEGMENT = 3
SCOPE_SEGMENT = 2  # of a freeze or limiter: agents may have ids with a slash, and workflows have limiters of their own

PARAMETERS_MAX = 100  # of a query


class Request(msgspec.Struct, frozen=True):
    """``path`` is decoded and without ``prefix`` (the stage's, when its name stands in the URL).

    Headers go by their lower-case names. ``caller``: whom the gateway has let in, "" if it lets everybody in.
    ``raw_query``: the query as it was sent.
    """

    method: str
    path: str
    prefix: str
    headers: dict[str, str]
    query: tuple[tuple[str, str], ...]
    body: bytes
    caller: str = ""
    raw_query: str = ""

    @classmethod
    def of(cls, event: Mapping[str, Any], identity_claim: str = IDENTITY_CLAIM) -> Request:
        """``identity_claim``: of a token, the claim that says who the caller is. Raises `Problem` for a body that is
        not what its flag says, and too long a query."""
        context = event["requestContext"]
        stage = context.get("stage") or "$default"
        path, prefix = unquote(event["rawPath"]), ""
        if stage != "$default" and (path == f"/{stage}" or path.startswith(f"/{stage}/")):
            path, prefix = path[len(stage) + 1 :] or "/", f"/{stage}"
        return cls(
            method=context["http"]["method"].upper(),
            path=path,
            prefix=prefix,
            headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
            query=_query(event),
            body=_body(event),
            caller=_caller(context.get("authorizer") or {}, identity_claim),
            raw_query=event.get("rawQueryString") or "",
        )

    def event(self) -> dict[str, Any]:
        """What the resolver gets: a path parameter is one encoded segment, though API Gateway decodes paths.

        Ids and node paths hold no ``%``, so decoding twice changes nothing. The body stays here: `bodies` reads it.
        """
        query: dict[str, str] = {}
        for name, value in self.query:
            query[name] = f"{query[name]},{value}" if name in query else value
        path = "/".join(quote(segment, safe="") for segment in self._segments())
        method = "GET" if self.method == "HEAD" else self.method
        return {
            "version": "2.0",
            "rawPath": path,
            "rawQueryString": "&".join(f"{quote(name)}={quote(value)}" for name, value in self.query),
            "queryStringParameters": query,
            "headers": self.headers,
            "requestContext": {"stage": "$default", "http": {"method": method, "path": path}},
        }

    def _segments(self) -> list[str]:
        segments = self.path.split("/")
        if segments[1:2] == ["executions"] and segments[NODES_SEGMENT : NODES_SEGMENT + 1] in (["nodes"], ["passes"]):
            return segments[: NODES_SEGMENT + 1] + (["/".join(segments[NODES_SEGMENT + 1 :])] if segments[4:] else [])
        if segments[1:2] == ["hooks"] and segments[ENDPOINT_SEGMENT:]:
            return [*segments[:ENDPOINT_SEGMENT], "/".join(segments[ENDPOINT_SEGMENT:])]
        if segments[1:2] in (["freezes"], ["limits"]) and segments[SCOPE_SEGMENT:]:
            return [*segments[:SCOPE_SEGMENT], "/".join(segments[SCOPE_SEGMENT:])]
        return segments


def _caller(authorizer: Mapping[str, Any], identity_claim: str) -> str:
    """Who signed the request (IAM), or whom the token is about (JWT)."""
    iam, claims = authorizer.get("iam") or {}, (authorizer.get("jwt") or {}).get("claims") or {}
    return str(iam.get("userArn") or claims.get(identity_claim) or "")


def _query(event: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    raw = event.get("rawQueryString")
    if raw:
        try:
            return tuple(parse_qsl(raw, keep_blank_values=True, max_num_fields=PARAMETERS_MAX))
        except ValueError:
            raise Problem("invalid_request", f"a query has at most {PARAMETERS_MAX} parameters") from None
    return tuple((event.get("queryStringParameters") or {}).items())


def _body(event: Mapping[str, Any]) -> bytes:
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(body).encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise Problem("invalid_body", "the body is marked as base64 but is not") from None
