"""Secrets on AWS: ``${secrets.NAME}`` is ``<prefix>NAME`` in Secrets Manager, resolved in the worker only."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from workflow_runtime.backends.aws.sessions import create_session
from workflow_runtime.errors import NodeError

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.parameters import SecretsProvider

CACHED_SECONDS = 300  # a rotated secret is seen after five minutes


class SecretsManagerSecrets:
    """Reads through Powertools' cache. ``prefix`` keeps a deployment to its own secrets, as its role does.

    The provider and its client are made for the first secret: most functions read none.
    """

    def __init__(self, prefix: str, provider: SecretsProvider | None = None) -> None:
        self._prefix = prefix
        self._given = provider

    @cached_property
    def _provider(self) -> SecretsProvider:
        if self._given is not None:
            return self._given
        from aws_lambda_powertools.utilities.parameters import SecretsProvider

        client: Any = create_session().create_client("secretsmanager")
        return SecretsProvider(boto3_client=client)

    def get(self, name: str) -> str:
        """Raises `NodeError` (``not_found``), which names the secret but never quotes what the service said of it."""
        from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

        try:
            value = self._provider.get(self._prefix + name, max_age=CACHED_SECONDS)
        except (GetParameterError, ClientError) as error:
            raise NodeError("not_found", f"the secret {self._prefix + name!r} cannot be read") from error
        if not isinstance(value, str):
            raise NodeError("not_found", f"the secret {self._prefix + name!r} is not text")
        return value
