"""What a runtime takes from the environment: secrets and settings of local runs, and where traces go."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from workflow_runtime.deployment.settings import ENV_PREFIX
from workflow_runtime.errors import NodeError, RequestError

if TYPE_CHECKING:
    from workflow_runtime.ports import TraceSink

SECRET_PREFIX = "WORKFLOW_SECRET_"


class EnvironmentSecrets:
    """``${secrets.NAME}`` from the environment variable ``WORKFLOW_SECRET_NAME``: local runs and tests."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ

    def get(self, name: str) -> str:
        value = self._environ.get(SECRET_PREFIX + name)
        if value is None:
            raise NodeError("not_found", f"there is no secret {name!r}: the variable {SECRET_PREFIX}{name} is not set")
        return value


def collector(environ: Mapping[str, str]) -> TraceSink | None:
    """Who collects traces, if OpenTelemetry's variables name somebody. Raises `RequestError` (``settings_invalid``)."""
    if not any(name.startswith("OTEL_EXPORTER_OTLP_") for name in environ):
        return None
    from workflow_runtime.backends.otlp import collector_of  # few deployments have a collector

    try:
        return collector_of(environ)
    except ValueError as error:
        raise RequestError("settings_invalid", str(error)) from None


def workflow_env(environ: Mapping[str, str]) -> dict[str, str]:
    """The deployment settings in an environment: ``WORKFLOW_ENV_REGION`` is ``${env.REGION}``."""
    return {name.removeprefix(ENV_PREFIX): value for name, value in environ.items() if name.startswith(ENV_PREFIX)}
