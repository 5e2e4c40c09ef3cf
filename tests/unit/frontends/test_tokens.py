"""The tokens of `awr serve`: what their file may say, who is let in, and what each route asks for."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.errors import DefinitionError, RequestError
from workflow_runtime.frontends.api.route import Route, Scope
from workflow_runtime.frontends.api.routes import routes
from workflow_runtime.frontends.serve.scopes import TokenDoor
from workflow_runtime.frontends.serve.tokens import TokenFile, add_token, hash_of, read_tokens, revoke_token
from workflow_runtime.frontends.server.admission import Caller, Refused
from workflow_runtime.runtime.in_process import LocalRuntime

SHA = "0" * 64


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.yaml"


@pytest.fixture
def api_routes() -> tuple[Route, ...]:
    with LocalRuntime(open_backend(None)) as runtime:
        return routes(runtime.services)


def test_a_token_is_found_by_its_hash_and_stands_nowhere(file: Path) -> None:
    token = add_token(file, "网关", [Scope.READ, Scope.RUN])
    assert token not in file.read_text("utf-8")
    assert hash_of(token) in file.read_text("utf-8")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found = TokenFile(file).find(token)
    assert found is not None
    assert (found.name, found.scopes) == ("网关", (Scope.READ, Scope.RUN))
    assert TokenFile(file).find(hash_of(token)) is None


def test_a_token_ends_when_it_expires_or_is_revoked(file: Path) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    expired = add_token(file, "old", [Scope.READ], expires=past)
    kept = add_token(file, "kept", [Scope.READ])
    tokens = TokenFile(file)
    assert tokens.find(expired) is None
    assert tokens.find(kept) is not None
    revoke_token(file, "kept")
    assert tokens.refresh()
    assert tokens.find(kept) is None
    with pytest.raises(RequestError, match="no token 'kept'"):
        revoke_token(file, "kept")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tokens: []", "expected a list of tokens"),
        ("- {name: a}", "sha256"),
        (f"- {{name: a, sha256: {SHA}, scopes: [raed]}}", "there is no scope 'raed': read, run, operate, approve"),
        (f"- {{name: a, sha256: {SHA}, scopes: [open]}}", "there is no scope 'open'"),
        ("- {name: a, sha256: abc, scopes: [read]}", "sha256"),
        (f"- {{name: a, sha256: '{SHA}', scopes: [read], expire: 1}}", "expire"),
        (f"- {{name: a, sha256: '{SHA}', scopes: [read], expires: '2027-01-01T00:00:00'}}", "time zone"),
        (f"- {{name: '', sha256: '{SHA}', scopes: [read]}}", "name"),
        (f"- {{name: a, sha256: '{SHA}', scopes: read}}", "scope"),
        (
            f"- &t {{name: a, sha256: '{SHA}', scopes: [read]}}\n- {{name: a, sha256: '{SHA}', scopes: []}}",
            "two tokens",
        ),
        ("- just text", "not a token"),
        ("[unclosed", ""),
    ],
)
def test_what_is_wrong_with_the_file_is_said_with_its_place(file: Path, text: str, said: str) -> None:
    file.write_text(text, "utf-8")
    with pytest.raises(DefinitionError) as raised:
        read_tokens(file)
    [finding, *_] = raised.value.findings
    assert said in finding.message or said == ""
    assert (finding.file, finding.line) == (str(file), finding.line)
    assert finding.line >= 1


def test_each_route_asks_for_the_scope_of_what_it_does(api_routes: tuple[Route, ...]) -> None:
    asked: dict[Scope, set[str]] = {scope: set() for scope in Scope}
    for route in api_routes:
        asked[route.needs].add(f"{route.method} {route.rule}")
    checks = ("POST /workflows/validate", "POST /agents/validate")
    assert all(line.startswith("GET ") or line in checks for line in asked[Scope.READ])
    assert asked[Scope.RUN] >= {"POST /workflows/<workflow_id>/execute", "POST /executions/<execution_id>/events"}
    assert asked[Scope.APPROVE] == {
        "POST /approvals/<approval_id>/answer",
        "POST /approvals/<approval_id>/delegate",
    }
    proving_themselves = ("hooks", "tasks", ".well-known")
    assert all(line.split()[1].split("/")[1] in proving_themselves for line in asked[Scope.OPEN])
    assert asked[Scope.OPERATE] >= {"PUT /workflows/<workflow_id>", "POST /executions/<execution_id>/cancel"}


def test_a_caller_needs_the_scope_and_may_speak_for_others_only_if_the_token_says_so(
    file: Path, api_routes: tuple[Route, ...]
) -> None:
    reader = add_token(file, "reader", [Scope.READ])
    page = add_token(file, "page", [Scope.APPROVE], speaks_for_others=True)
    door = TokenDoor(TokenFile(file), api_routes, {"/health/live": Scope.OPEN})

    def admit(method: str, path: str, token: str = "", **headers: str) -> Caller | Refused:
        return door.admit(method, path, {**({"authorization": f"Bearer {token}"} if token else {}), **headers})

    def status(answer: Caller | Refused) -> int:
        assert isinstance(answer, Refused)
        return answer.status

    assert admit("GET", "/health/live") == Caller()
    assert admit("POST", "/hooks/orders/paid") == Caller()
    assert admit("HEAD", "/workflows", reader) == Caller("reader")
    assert status(admit("GET", "/workflows")) == status(admit("GET", "/nothing")) == 401
    assert admit("GET", "/nothing", reader) == Caller("reader")
    assert status(admit("POST", "/workflows/a/execute", reader)) == 403
    assert admit("POST", "/approvals/ex-1.1/answer", page, **{"x-workflow-as": "%E5%BC%A0"}) == Caller("张")
    assert status(admit("GET", "/workflows", reader, **{"x-workflow-as": "boss"})) == 403
    assert status(door.admit("GET", "/workflows", {"authorization": f"Basic {reader}"})) == 401
