"""Who may make a request, and who is said to make it: what API Gateway's authorizer is on AWS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import unquote

import msgspec

AS_HEADER = "x-workflow-as"  # percent-encoded: the name of whom a request speaks for

_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?", re.ASCII | re.IGNORECASE)


class Caller(msgspec.Struct, frozen=True):
    """Somebody who was let in. ``name``: the identity that the API sees; "" if nobody says who it is."""

    name: str = ""


class Refused(msgspec.Struct, frozen=True):
    """Why a request was not let in, as a problem document says it. ``headers``: of the answer."""

    status: int
    code: str
    title: str
    detail: str
    headers: tuple[tuple[str, str], ...] = ()


class Door(Protocol):
    """Asked before anything of a request but its head is read. ``headers`` by lower-case name."""

    def admit(self, method: str, path: str, headers: Mapping[str, str]) -> Caller | Refused: ...


class Loopback:
    """Lets in everybody on this machine, under the name they give themselves.

    A server on loopback is still reached by browsers on this machine that run a page from elsewhere: its requests
    name another ``Origin`` or, when a foreign name suddenly resolves to 127.0.0.1 (DNS rebinding), another ``Host``.
    Both are refused.
    """

    def admit(self, method: str, path: str, headers: Mapping[str, str]) -> Caller | Refused:  # noqa: ARG002
        problem = _foreign(headers)
        if problem:
            return Refused(403, "forbidden", "Refused", problem)
        return Caller(spoken_for(headers))


def spoken_for(headers: Mapping[str, str]) -> str:
    """Whom the request says it speaks for; "" if it does not say."""
    return unquote(headers.get(AS_HEADER, ""))


def _foreign(headers: Mapping[str, str]) -> str:
    """Why a request is not one of this machine's; "" when it is."""
    host = headers.get("host", "")
    if _HOST.fullmatch(host) is None:
        return "the Host must be localhost or a loopback address: this server is for this machine only"
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"http://{host}".lower():
        return "web pages from other origins may not use this server"
    return ""
