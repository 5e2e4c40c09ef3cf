"""Secrets Manager as the source of ``${secrets.NAME}``."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import moto
import pytest
from aws_lambda_powertools.utilities.parameters import SecretsProvider

from workflow_runtime.backends.aws.secrets import SecretsManagerSecrets
from workflow_runtime.errors import NodeError


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretsManagerSecrets]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with moto.mock_aws():
        client = boto3.client("secretsmanager", region_name="eu-central-1")
        client.create_secret(Name="workflow/api-key", SecretString="s3cret")
        client.create_secret(Name="workflow/binary", SecretBinary=b"\x00")
        yield SecretsManagerSecrets("workflow/", SecretsProvider(boto3_client=client))


def test_a_secret_is_found_under_the_prefix(secrets: SecretsManagerSecrets) -> None:
    assert secrets.get("api-key") == "s3cret"


@pytest.mark.parametrize("name", ["missing", "binary"])
def test_what_is_no_text_secret_fails_the_node_and_says_which(secrets: SecretsManagerSecrets, name: str) -> None:
    with pytest.raises(NodeError, match=f"workflow/{name}") as failure:
        secrets.get(name)
    assert failure.value.type == "not_found"
