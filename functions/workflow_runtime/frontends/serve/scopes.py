"""Who may do what: requests carry a bearer token, and each route says which scope it needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from workflow_runtime.frontends.api.route import Route, Scope
from workflow_runtime.frontends.serve.tokens import TokenEntry, TokenFile
from workflow_runtime.frontends.server.admission import AS_HEADER, Caller, Refused, spoken_for

SCHEME = "bearer"
CHALLENGE = (("www-authenticate", 'Bearer realm="workflow-runtime"'),)


class TokenDoor:
    """Lets in who has a token with the scope that the request needs. ``routes``: the API's; ``own``: the server's own
    paths and what they need. A path that is neither needs a token: who has none learns nothing, not even what there is.

    There is no check of ``Host`` or ``Origin``, as `Loopback` has it: browsers send cookies unasked, but no token.
    """

    def __init__(self, tokens: TokenFile, routes: Iterable[Route], own: Mapping[str, Scope]) -> None:
        self._tokens = tokens
        self._own = own
        self._routes = tuple(routes)

    def admit(self, method: str, path: str, headers: Mapping[str, str]) -> Caller | Refused:
        needed = self._needed(method, path)
        if needed is Scope.OPEN:
            return Caller()
        scheme, _, token = headers.get("authorization", "").partition(" ")
        entry = self._tokens.find(token.strip()) if scheme.lower() == SCHEME else None
        if entry is None:
            said = "the token is unknown, revoked or expired" if token else "this server takes a bearer token"
            return Refused(401, "unauthorized", "No valid token", f"{said} (Authorization: Bearer …)", CHALLENGE)
        if needed is not None and needed not in entry.scopes:
            return _forbidden(
                f"this needs the scope {needed.value}; the token {entry.name!r} has {_listed(entry.scopes)}"
            )
        return _speaking(entry, headers)

    def _needed(self, method: str, path: str) -> Scope | None:
        """None: there is nothing that the path or the method would do."""
        if path in self._own:
            return self._own[path]
        method = "GET" if method == "HEAD" else method
        found = (route for route in self._routes if route.method == method and route.pattern.fullmatch(path))
        return next((route.needs for route in found), None)


def _speaking(entry: TokenEntry, headers: Mapping[str, str]) -> Caller | Refused:
    other = spoken_for(headers)
    if not other or other == entry.name:
        return Caller(entry.name)
    if not entry.speaks_for_others:
        return _forbidden(f"the token {entry.name!r} may not speak for others ({AS_HEADER}: {other!r})")
    return Caller(other)


def _forbidden(detail: str) -> Refused:
    return Refused(403, "forbidden", "Not allowed", detail)


def _listed(scopes: Collection[Scope]) -> str:
    return ", ".join(scope.value for scope in scopes) or "none"
