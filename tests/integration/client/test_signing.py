"""Signing with whatever AWS credentials there are, and what is said when there are none that can be used."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.credentials import Credentials
from botocore.exceptions import UnauthorizedSSOTokenError

from workflow_runtime.frontends.cli.api import api
from workflow_runtime.frontends.cli.errors import CliError, ExitCode
from workflow_runtime.frontends.cli.server import Server
from workflow_runtime.frontends.client import NotAuthorized
from workflow_runtime.frontends.client.remote import RemoteConnection
from workflow_runtime.frontends.client.signing import SigV4

AWS_URL = "https://a1b2.execute-api.eu-central-1.amazonaws.com"
OWN_URL = "https://api.example.com/runtime"


class Expired(Credentials):
    """Of a single sign-on whose session has ended."""

    def __init__(self) -> None:
        super().__init__("AKIDEXAMPLE", "secret")

    def get_frozen_credentials(self) -> Any:
        raise UnauthorizedSSOTokenError


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No credentials and no region, but those of a profile `work` in a file of this test's own."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    keys = "aws_access_key_id = AKIDWORK\naws_secret_access_key = secret\n"
    (tmp_path / "credentials").write_text(f"[work]\n{keys}")
    (tmp_path / "config").write_text("[profile work]\nregion = ap-southeast-2\n")
    return tmp_path


def signed(auth: SigV4, url: str = OWN_URL) -> str:
    """The authorization of a request."""
    request = next(auth.auth_flow(httpx.Request("GET", url)))
    return str(request.headers["authorization"])


@pytest.mark.usefixtures("nowhere")
def test_a_profile_gives_credentials_and_region() -> None:
    assert "AKIDWORK/" in (header := signed(SigV4(profile="work")))
    assert "/ap-southeast-2/execute-api/" in header


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_environment_names_the_region(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "eu-west-3")
    assert "/eu-west-3/execute-api/" in signed(SigV4(credentials=Credentials("AKIDEXAMPLE", "secret")))


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(
    ("auth", "code"),
    [
        (SigV4("eu-central-1"), "no_credentials"),
        (SigV4(profile="nobody"), "no_credentials"),
        (SigV4(credentials=Credentials("AKIDEXAMPLE", "secret")), "no_region"),
        (SigV4("eu-central-1", Expired()), "credentials_expired"),
    ],
)
def test_what_cannot_be_signed_is_not_sent(auth: SigV4, code: str) -> None:
    with pytest.raises(NotAuthorized) as refused:
        signed(auth)
    assert refused.value.code == code


@pytest.mark.usefixtures("nowhere")
def test_commands_say_how_to_choose_credentials() -> None:
    async def ask() -> None:
        async with api(Server(AWS_URL)) as connection:
            await connection.workflows(1)

    with pytest.raises(CliError) as refused:
        asyncio.run(ask())
    assert (refused.value.code, refused.value.exit_code) == ("no_credentials", ExitCode.INVALID)
    assert "--profile" in refused.value.hint


def refusal(server: Server) -> str:
    """The hint about an API that answers 403."""

    async def ask() -> None:
        async with api(server):
            raise NotAuthorized("Forbidden", "http_403")

    with pytest.raises(CliError) as refused:
        asyncio.run(ask())
    return refused.value.hint


def test_a_refusal_is_explained_by_how_the_request_proved_itself() -> None:
    assert "execute-api:Invoke" in refusal(Server(AWS_URL))
    assert "execute-api:Invoke" in refusal(Server(OWN_URL, region="eu-central-1"))
    assert "expired" in refusal(Server(AWS_URL, token="t"))
    assert "--token" in refusal(Server(OWN_URL))


def test_the_region_of_an_aws_url_is_not_to_be_contradicted() -> None:
    Server(AWS_URL, region="eu-central-1").check()
    Server(OWN_URL, region="us-east-1").check()
    with pytest.raises(CliError, match="is in eu-central-1") as refused:
        Server(AWS_URL, region="us-east-1").check()
    assert refused.value.exit_code == ExitCode.USAGE


def test_a_refused_token_is_reported_with_the_reason_that_api_gateway_gives() -> None:
    challenge = 'Bearer scope="" error="invalid_token" error_description="the token has expired"'

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(401, json={"message": "Unauthorized"}, headers={"www-authenticate": challenge})

    async def ask() -> None:
        connection = RemoteConnection(OWN_URL, transport=httpx.MockTransport(answer))
        await connection.open()
        try:
            await connection.document("ex-1")
        finally:
            await connection.close()

    with pytest.raises(NotAuthorized, match="Unauthorized: the token has expired"):
        asyncio.run(ask())
